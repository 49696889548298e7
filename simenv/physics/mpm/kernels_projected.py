# SPDX-License-Identifier: Apache-2.0
"""Rigid bodies among the particles: where a body places its particles, and the motion it takes from them.

A body is a group of particles at ``x = c + R r_0`` that move with ``v = u + omega x r`` and ``C = [omega]x``. They
scatter, and gather, as any particle does. Both transfers conserve linear and angular momentum (Jiang et al. 2015), so
that what the particles gained on the grid is what the body gained:

    u'  = u + sum_p V_p (v_p' - v_p) / V
    l'  = l + sum_p V_p [r_p x (v_p' - v_p) + dx^2/4 axial(C_p' - C_p)]

with volumes instead of masses, as the density is uniform, and ``l`` [m^5/s] the angular momentum per unit density. Then
``c' = c + u' dt`` and the body turns with `projected_functions.turn`. Sums run in blocks of particles and then over
blocks, in a fixed order on every device.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.grid import PERIODIC, grid_struct
from simenv.physics.mpm.projected_functions import projected_functions
from simenv.physics.mpm.projected_struct import projected_struct
from simenv.physics.mpm.stencil import stencil_functions

RECOVERY = 0.05  # share of its depth in a wall of the domain that a body undoes in a substep, as for colliders
_SPEED_LIMIT = 0.5  # [m/s], of that


@built_once
def projected_kernels(real) -> SimpleNamespace:
    """Build the kernels for one scalar type (``wp.float32`` or ``wp.float64``)."""
    st = stencil_functions(real)
    vec3, vec4, mat33 = st.vec3, st.vec4, st.mat33
    Grid, Bodies = grid_struct(real).Grid, projected_struct(real)
    rf = projected_functions(real)
    rotation, rotation_adjoint, rate, rate_adjoint = rf.rotation, rf.rotation_adjoint, rf.rate, rf.rate_adjoint
    turn, turn_adjoint, skew, axial = rf.turn, rf.turn_adjoint, rf.skew, rf.axial
    limit = wp.constant(real(_SPEED_LIMIT))
    options = {"module": f"simenv_mpm_projected_{real.__name__}", "enable_backward": False}

    @wp.func
    def wall_speed(x: real, origin: real, dx: real, dt: real, pad: int, count: int, boundary: int):
        # speed b at which a wall moves a member out along its axis, the sign of its normal, and db/dx
        lower = origin + real(pad) * dx - x
        upper = x - origin - real(count - 1 - pad) * dx
        depth = wp.max(lower, upper)
        if boundary == PERIODIC or depth <= real(0.0):
            return real(0.0), real(0.0), real(0.0)
        sign = real(1.0)
        if upper > lower:
            sign = real(-1.0)
        b = real(RECOVERY) * depth / dt
        if b >= limit:
            return limit, sign, real(0.0)
        return b, sign, -sign * real(RECOVERY) / dt

    @wp.func
    def walls(grid: Grid, x: vec3, axis: int):
        if axis == 0:
            b, sign, slope = wall_speed(x[0], grid.origin[0], grid.dx, grid.dt, grid.pad, grid.nx, grid.boundary_x)
            return b, sign, slope
        if axis == 1:
            b, sign, slope = wall_speed(x[1], grid.origin[1], grid.dx, grid.dt, grid.pad, grid.ny, grid.boundary_y)
            return b, sign, slope
        b, sign, slope = wall_speed(x[2], grid.origin[2], grid.dx, grid.dt, grid.pad, grid.nz, grid.boundary_z)
        return b, sign, slope

    @wp.func
    def held(grid: Grid, x: vec3, v: vec3) -> vec3:
        # velocity of a member after the walls of the domain; the nodes make the contact, this secures it
        u = vec3(v[0], v[1], v[2])
        for axis in range(3):
            b, sign, _slope = walls(grid, x, axis)
            if sign * v[axis] < b and sign != real(0.0):
                u[axis] = sign * b
        return u

    @wp.func
    def held_adjoint(grid: Grid, x: vec3, v: vec3, adj: vec3):
        adj_x = vec3()
        adj_v = vec3(adj[0], adj[1], adj[2])
        for axis in range(3):
            b, sign, slope = walls(grid, x, axis)
            if sign * v[axis] < b and sign != real(0.0):
                adj_x[axis] = sign * slope * adj[axis]
                adj_v[axis] = real(0.0)
        return adj_x, adj_v

    @wp.kernel(**options)
    def enter(
        # parameters
        bodies: Bodies,
        # inputs
        quaternion_in: wp.array(dtype=vec4), spin_in: wp.array(dtype=vec3),
        # outputs
        rotation_out: wp.array(dtype=mat33), omega_out: wp.array(dtype=vec3),
    ):  # fmt: skip
        """Rotation matrix and angular velocity of the entering state."""
        e = wp.tid()
        b = e % bodies.count
        rotation_out[e] = rotation(quaternion_in[e])
        omega_out[e] = rate(quaternion_in[e], bodies.axes[b], bodies.moments[b], spin_in[e])

    @wp.kernel(**options)
    def place(
        # parameters
        bodies: Bodies,
        # inputs
        position_in: wp.array(dtype=vec3), rotation_in: wp.array(dtype=mat33), velocity_in: wp.array(dtype=vec3),
        omega_in: wp.array(dtype=vec3),
        # outputs
        x_out: wp.array(dtype=vec3), v_out: wp.array(dtype=vec3), C_out: wp.array(dtype=mat33),
    ):  # fmt: skip
        """Positions, velocities and velocity gradients of the members from the bodies' motion."""
        t = wp.tid()
        s = t // bodies.members
        j = t - s * bodies.members
        e = s * bodies.count + bodies.owner[j]
        p = s * bodies.particles + bodies.member[j]
        r = rotation_in[e] * bodies.rest[j]
        x_out[p] = position_in[e] + r
        v_out[p] = velocity_in[e] + wp.cross(omega_in[e], r)
        C_out[p] = skew(omega_in[e])

    @wp.kernel(**options)
    def gain(
        # parameters
        bodies: Bodies, grid: Grid, volume: wp.array(dtype=real),
        # inputs
        position_in: wp.array(dtype=vec3), rotation_in: wp.array(dtype=mat33), velocity_in: wp.array(dtype=vec3),
        omega_in: wp.array(dtype=vec3), v_in: wp.array(dtype=vec3), C_in: wp.array(dtype=mat33),
        # outputs
        gathered_out: wp.array(dtype=vec3), linear_out: wp.array(dtype=vec3), angular_out: wp.array(dtype=vec3),
    ):  # fmt: skip
        """Each block's gain of linear [m^4/s] and angular [m^5/s] momentum per unit density; keeps what was
        gathered.
        """
        t = wp.tid()
        s = t // bodies.blocks
        block = t - s * bodies.blocks
        first = bodies.block_first[block]
        e = s * bodies.count + bodies.owner[first]
        linear = vec3()
        angular = vec3()
        lever = real(0.25) * grid.dx * grid.dx
        for j in range(first, bodies.block_first[block + 1]):
            p = s * bodies.particles + bodies.member[j]
            r = rotation_in[e] * bodies.rest[j]
            v = v_in[p]
            gathered_out[s * bodies.members + j] = v
            u = held(grid, position_in[e] + r, v) - velocity_in[e] - wp.cross(omega_in[e], r)
            linear = linear + volume[p] * u
            angular = angular + volume[p] * (wp.cross(r, u) + lever * axial(C_in[p] - skew(omega_in[e])))
        linear_out[t] = linear
        angular_out[t] = angular

    @wp.kernel(**options)
    def advance(
        # parameters
        bodies: Bodies, dt: real,
        # inputs
        position_in: wp.array(dtype=vec3), quaternion_in: wp.array(dtype=vec4), velocity_in: wp.array(dtype=vec3),
        spin_in: wp.array(dtype=vec3), linear_in: wp.array(dtype=vec3), angular_in: wp.array(dtype=vec3),
        # outputs
        position_out: wp.array(dtype=vec3), quaternion_out: wp.array(dtype=vec4), velocity_out: wp.array(dtype=vec3),
        spin_out: wp.array(dtype=vec3), rotation_out: wp.array(dtype=mat33), omega_out: wp.array(dtype=vec3),
    ):  # fmt: skip
        """Add up the blocks' gains, and move and turn the body."""
        e = wp.tid()
        s = e // bodies.count
        b = e - s * bodies.count
        linear = vec3()
        angular = vec3()
        for block in range(bodies.body_block[b], bodies.body_block[b + 1]):
            linear = linear + linear_in[s * bodies.blocks + block]
            angular = angular + angular_in[s * bodies.blocks + block]
        velocity = velocity_in[e] + linear / bodies.volume[b]
        spin = spin_in[e] + angular
        quaternion = turn(quaternion_in[e], bodies.axes[b], bodies.moments[b], spin, dt)
        position_out[e] = position_in[e] + dt * velocity
        velocity_out[e] = velocity
        spin_out[e] = spin
        quaternion_out[e] = quaternion
        rotation_out[e] = rotation(quaternion)
        omega_out[e] = rate(quaternion, bodies.axes[b], bodies.moments[b], spin)

    @wp.kernel(**options)
    def place_adjoint(
        # parameters
        bodies: Bodies, grid: Grid, volume: wp.array(dtype=real), gains: int,
        # inputs
        position_in: wp.array(dtype=vec3), rotation_in: wp.array(dtype=mat33), velocity_in: wp.array(dtype=vec3),
        omega_in: wp.array(dtype=vec3), gathered_in: wp.array(dtype=vec3), adj_velocity_in: wp.array(dtype=vec3),
        adj_spin_in: wp.array(dtype=vec3),
        # outputs
        adj_x_inout: wp.array(dtype=vec3), adj_v_inout: wp.array(dtype=vec3), adj_C_inout: wp.array(dtype=mat33),
        adj_position_out: wp.array(dtype=vec3), adj_linear_out: wp.array(dtype=vec3),
        adj_omega_out: wp.array(dtype=vec3), adj_rotation_out: wp.array(dtype=mat33),
    ):  # fmt: skip
        """Adjoint of `place`, by blocks, which clears the members' adjoints; with `gains`, that of `gain` with respect
        to the placed motion too, from the adjoints that `advance_adjoint` left.
        """
        t = wp.tid()
        s = t // bodies.blocks
        block = t - s * bodies.blocks
        first = bodies.block_first[block]
        b = bodies.owner[first]
        e = s * bodies.count + b
        omega = omega_in[e]
        adj_position = vec3()
        adj_linear = vec3()
        adj_omega = vec3()
        adj_rotation = mat33()
        lever = real(0.25) * grid.dx * grid.dx
        for j in range(first, bodies.block_first[block + 1]):
            p = s * bodies.particles + bodies.member[j]
            r = rotation_in[e] * bodies.rest[j]
            adj_x = adj_x_inout[p]
            adj_v = adj_v_inout[p]
            adj_C = adj_C_inout[p]
            adj_r = vec3()
            if gains != 0:
                adj_l = volume[p] * adj_spin_in[e]
                adj_u = (volume[p] / bodies.volume[b]) * adj_velocity_in[e] + wp.cross(adj_l, r)
                x = position_in[e] + r
                v = gathered_in[s * bodies.members + j]
                u = held(grid, x, v) - velocity_in[e] - wp.cross(omega, r)
                adj_wall, _adj_v = held_adjoint(grid, x, v, adj_u)
                adj_x = adj_x + adj_wall
                adj_v = adj_v - adj_u
                adj_C = adj_C - lever * skew(adj_l)
                adj_r = wp.cross(u, adj_l)
            adj_r = adj_r + adj_x + wp.cross(adj_v, omega)
            adj_position = adj_position + adj_x
            adj_linear = adj_linear + adj_v
            adj_omega = adj_omega + wp.cross(r, adj_v) + axial(adj_C)
            adj_rotation = adj_rotation + wp.outer(adj_r, bodies.rest[j])
            adj_x_inout[p] = vec3()
            adj_v_inout[p] = vec3()
            adj_C_inout[p] = mat33()
        adj_position_out[t] = adj_position
        adj_linear_out[t] = adj_linear
        adj_omega_out[t] = adj_omega
        adj_rotation_out[t] = adj_rotation

    @wp.kernel(**options)
    def collect_adjoint(
        # parameters
        bodies: Bodies,
        # inputs
        quaternion_in: wp.array(dtype=vec4), spin_in: wp.array(dtype=vec3),
        adj_blocks_position_in: wp.array(dtype=vec3), adj_blocks_linear_in: wp.array(dtype=vec3),
        adj_blocks_omega_in: wp.array(dtype=vec3),
        adj_blocks_rotation_in: wp.array(dtype=mat33),
        # outputs
        adj_position_inout: wp.array(dtype=vec3), adj_quaternion_inout: wp.array(dtype=vec4),
        adj_velocity_inout: wp.array(dtype=vec3), adj_spin_inout: wp.array(dtype=vec3),
    ):  # fmt: skip
        """Add to the adjoint of a body's state what `place_adjoint` left in its blocks."""
        e = wp.tid()
        s = e // bodies.count
        b = e - s * bodies.count
        adj_position = adj_position_inout[e]
        adj_velocity = adj_velocity_inout[e]
        adj_omega = vec3()
        adj_rotation = mat33()
        for block in range(bodies.body_block[b], bodies.body_block[b + 1]):
            t = s * bodies.blocks + block
            adj_position = adj_position + adj_blocks_position_in[t]
            adj_velocity = adj_velocity + adj_blocks_linear_in[t]
            adj_omega = adj_omega + adj_blocks_omega_in[t]
            adj_rotation = adj_rotation + adj_blocks_rotation_in[t]
        q = quaternion_in[e]
        adj_q, adj_l = rate_adjoint(q, bodies.axes[b], bodies.moments[b], spin_in[e], adj_omega)
        adj_position_inout[e] = adj_position
        adj_velocity_inout[e] = adj_velocity
        adj_quaternion_inout[e] = adj_quaternion_inout[e] + adj_q + rotation_adjoint(q, adj_rotation)
        adj_spin_inout[e] = adj_spin_inout[e] + adj_l

    @wp.kernel(**options)
    def advance_adjoint(
        # parameters
        bodies: Bodies, dt: real,
        # inputs
        quaternion_in: wp.array(dtype=vec4), spin_in: wp.array(dtype=vec3), adj_position_in: wp.array(dtype=vec3),
        # outputs
        adj_quaternion_inout: wp.array(dtype=vec4), adj_velocity_inout: wp.array(dtype=vec3),
        adj_spin_inout: wp.array(dtype=vec3),
    ):  # fmt: skip
        """Adjoint of `advance`: `quaternion_in` before it, `spin_in` after it. The adjoints of velocity and spin are
        those of the gains as well.
        """
        e = wp.tid()
        b = e % bodies.count
        adj_q, adj_l = turn_adjoint(
            quaternion_in[e], bodies.axes[b], bodies.moments[b], spin_in[e], dt, adj_quaternion_inout[e]
        )
        adj_quaternion_inout[e] = adj_q
        adj_spin_inout[e] = adj_spin_inout[e] + adj_l
        adj_velocity_inout[e] = adj_velocity_inout[e] + dt * adj_position_in[e]

    @wp.kernel(**options)
    def gain_adjoint(
        # parameters
        bodies: Bodies, grid: Grid, volume: wp.array(dtype=real),
        # inputs
        position_in: wp.array(dtype=vec3), rotation_in: wp.array(dtype=mat33), gathered_in: wp.array(dtype=vec3),
        adj_velocity_in: wp.array(dtype=vec3), adj_spin_in: wp.array(dtype=vec3),
        # outputs
        adj_v_out: wp.array(dtype=vec3), adj_C_out: wp.array(dtype=mat33),
    ):  # fmt: skip
        """Adjoint of `gain` with respect to what the members gathered."""
        t = wp.tid()
        s = t // bodies.members
        j = t - s * bodies.members
        b = bodies.owner[j]
        e = s * bodies.count + b
        p = s * bodies.particles + bodies.member[j]
        r = rotation_in[e] * bodies.rest[j]
        adj_l = volume[p] * adj_spin_in[e]
        adj_u = (volume[p] / bodies.volume[b]) * adj_velocity_in[e] + wp.cross(adj_l, r)
        _adj_x, adj_v = held_adjoint(grid, position_in[e] + r, gathered_in[t], adj_u)
        adj_v_out[p] = adj_v
        adj_C_out[p] = (real(0.25) * grid.dx * grid.dx) * skew(adj_l)

    return SimpleNamespace(
        enter=enter, place=place, gain=gain, advance=advance, place_adjoint=place_adjoint,
        collect_adjoint=collect_adjoint, advance_adjoint=advance_adjoint, gain_adjoint=gain_adjoint,
    )  # fmt: skip
