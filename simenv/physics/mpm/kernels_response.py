# SPDX-License-Identifier: Apache-2.0
"""Grid kernels where bodies answer (response.py): what contact would do to bodies that keep their motion, how that
changes with their motion, and, once bodies have moved, the velocities of the nodes; with the adjoints of both.

`probe` runs before the bodies move, `settle` after, on the same momenta. Both let the colliders of bodies that answer
act one after the other, each on the velocity that the one before has left, with the bodies' motion at the beginning of
the tick. `settle` then adds what the change of motion gives; other colliders and walls come last. Arrays are (world,
collider), and threads have nodes as in `kernels_grid.py`.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.contact import AT_NODES, contact_functions
from simenv.physics.mpm.grid import grid_struct
from simenv.physics.mpm.kernels_grid import grid_kernels
from simenv.physics.mpm.response import response_functions
from simenv.physics.mpm.stencil import stencil_functions

__all__ = ["response_kernels"]


@built_once
def response_kernels(real) -> SimpleNamespace:
    """Build the kernels for one scalar type (``wp.float32`` or ``wp.float64``)."""
    st = stencil_functions(real)
    vec3, vec4, mat33 = st.vec3, st.vec4, st.mat33
    Grid = grid_struct(real).Grid
    cf = contact_functions(real)
    Colliders, ColliderAdjoints = cf.Colliders, cf.ColliderAdjoints
    velocity_change, velocity_change_adjoint, add_wrench = cf.velocity_change, cf.velocity_change_adjoint, cf.add_wrench
    rf = response_functions(real)
    meet, pull, inertia, mat66 = rf.meet, rf.pull, rf.inertia, rf.mat66
    pull_adjoint, inertia_adjoint, meet_adjoint = rf.pull_adjoint, rf.inertia_adjoint, rf.meet_adjoint
    walk = grid_kernels(real)
    is_inside, wall_mask, node_touches = walk.is_inside, walk.wall_mask, walk.node_touches
    touched, touched_parts = walk.touched, walk.touched_parts
    options = {"module": f"simenv_mpm_response_{real.__name__}", "enable_backward": False}

    @wp.func
    def answers(colliders: Colliders, is_answering: wp.array(dtype=wp.int32), s: int, substep: int, c: int, x: vec3):
        return is_answering[c] != 0 and node_touches(colliders, s, substep, c, x)

    @wp.func
    def holds(colliders: Colliders, is_answering: wp.array(dtype=wp.int32), s: int, substep: int, c: int, x: vec3):
        return is_answering[c] == 0 and node_touches(colliders, s, substep, c, x)

    @wp.func
    def pushed(value: vec4, pressure: vec4, solid: vec4, dt: real) -> vec3:
        # velocity of a node with what walls give it (kernels_brace.py)
        hold = (dt * pressure[1]) * vec3(solid[0], solid[1], solid[2])
        return (vec3(value[0], value[1], value[2]) + hold) / value[3]

    @wp.func
    def pushed_adjoint(pressure: vec4, solid: vec4, adj: vec3):
        # adjoints of `solid` and `pressure`, from dt times that of the momentum
        adj_p = adj[0] * solid[0] + adj[1] * solid[1] + adj[2] * solid[2]
        a, none = pressure[1] * adj, real(0.0)
        return vec4(a[0], a[1], a[2], none), vec4(none, adj_p, none, none)

    @wp.func
    def met(
        colliders: Colliders, is_answering: wp.array(dtype=wp.int32), s: int, substep: int, x: vec3, v: vec3, last: int
    ) -> vec3:
        # what a node's velocity is after the answering colliders before `last`, as their motion was
        for c in range(last):
            if answers(colliders, is_answering, s, substep, c, x):
                here = meet(colliders, s, substep, c, x, v)
                v = v - pull(here, here.w)
        return v

    @wp.func
    def carried(
        colliders: Colliders, is_answering: wp.array(dtype=wp.int32), s: int, substep: int, x: vec3, v: vec3,
        change: wp.array2d(dtype=vec3), spin: wp.array2d(dtype=vec3),
    ) -> vec3:  # fmt: skip
        # the same after all of them, with what the changes of their motion give
        more = vec3(real(0.0), real(0.0), real(0.0))
        for c in range(colliders.count):
            if answers(colliders, is_answering, s, substep, c, x):
                here = meet(colliders, s, substep, c, x, v)
                v = v - pull(here, here.w)
                more = more + pull(here, change[s, c] + wp.cross(spin[s, c], here.r))
        return v + more

    @wp.func
    def held(
        colliders: Colliders, is_answering: wp.array(dtype=wp.int32), s: int, substep: int, x: vec3, v: vec3, last: int
    ) -> vec3:
        # the same after those of the others that come before `last`
        for c in range(last):
            if holds(colliders, is_answering, s, substep, c, x):
                v = v + velocity_change(colliders, s, substep, c, x, v, AT_NODES)
        return v

    @wp.kernel(**options)
    def still(
        force_out: wp.array2d(dtype=vec3), torque_out: wp.array2d(dtype=vec3), inertia_out: wp.array2d(dtype=mat66)
    ):
        s, c = wp.tid()
        force_out[s, c] = vec3(real(0.0), real(0.0), real(0.0))
        torque_out[s, c] = vec3(real(0.0), real(0.0), real(0.0))
        for i in range(6):
            for j in range(6):
                inertia_out[s, c][i, j] = real(0.0)

    @wp.kernel(**options)
    def probe(
        # parameters
        grid: Grid, colliders: Colliders, is_answering: wp.array(dtype=wp.int32), gravity: wp.array(dtype=vec3),
        bounds_in: wp.array(dtype=wp.int32), chunk: int, parts: int, substep: int,
        # inputs
        momentum_in: wp.array(dtype=vec4), pressure_in: wp.array(dtype=vec4), solid_in: wp.array(dtype=vec4),
        # outputs
        force_inout: wp.array2d(dtype=vec3), torque_inout: wp.array2d(dtype=vec3),
        inertia_inout: wp.array2d(dtype=mat66),
    ):  # fmt: skip
        """Wrench of contact on bodies that keep their motion, and its response, about their colliders' origins."""
        first, last = touched_parts(grid, bounds_in, 0, 1, wp.tid(), parts)
        for part in range(first, last):
            s, i, j, lower, upper, base = touched(grid, bounds_in, 1, chunk, part)
            fall = grid.dt * gravity[s]
            for k in range(lower, upper):
                value = momentum_in[base + k]
                mass = value[3]
                if mass > real(0.0):
                    x = grid.origin + grid.dx * vec3(real(i), real(j), real(k))
                    v = pushed(value, pressure_in[base + k], solid_in[base + k], grid.dt) + fall
                    for c in range(colliders.count):
                        if answers(colliders, is_answering, s, substep, c, x):
                            here = meet(colliders, s, substep, c, x, v)
                            if here.alpha > real(0.0):
                                dv = -pull(here, here.w)
                                f = (-mass / grid.dt) * dv
                                wp.atomic_add(force_inout, s, c, f)
                                wp.atomic_add(torque_inout, s, c, wp.cross(here.r, f))
                                wp.atomic_add(inertia_inout, s, c, inertia(here, mass))
                                v = v + dv

    @wp.kernel(**options)
    def probe_adjoint(
        # parameters
        grid: Grid, colliders: Colliders, is_answering: wp.array(dtype=wp.int32), gravity: wp.array(dtype=vec3),
        bounds_in: wp.array(dtype=wp.int32), chunk: int, parts: int, substep: int,
        # inputs
        momentum_in: wp.array(dtype=vec4), pressure_in: wp.array(dtype=vec4), solid_in: wp.array(dtype=vec4),
        adj_force_in: wp.array2d(dtype=vec3), adj_torque_in: wp.array2d(dtype=vec3),
        adj_inertia_in: wp.array2d(dtype=mat66), adjoints: ColliderAdjoints,
        # outputs
        adj_momentum_inout: wp.array(dtype=vec4), adj_gravity_out: wp.array(dtype=vec3),
        adj_pressure_inout: wp.array(dtype=vec4), adj_solid_inout: wp.array(dtype=vec4),
    ):  # fmt: skip
        """Adjoint of `probe`; adds to that of the momentum."""
        first, last = touched_parts(grid, bounds_in, 0, 1, wp.tid(), parts)
        for part in range(first, last):
            s, i, j, lower, upper, base = touched(grid, bounds_in, 1, chunk, part)
            fall = grid.dt * gravity[s]
            adj_g = vec3(real(0.0), real(0.0), real(0.0))
            for k in range(lower, upper):
                value = momentum_in[base + k]
                mass = value[3]
                if mass > real(0.0):
                    x = grid.origin + grid.dx * vec3(real(i), real(j), real(k))
                    v_free = pushed(value, pressure_in[base + k], solid_in[base + k], grid.dt)
                    adj_v = vec3(real(0.0), real(0.0), real(0.0))
                    adj_mass = real(0.0)
                    for index in range(colliders.count):
                        c = colliders.count - 1 - index
                        if answers(colliders, is_answering, s, substep, c, x):
                            v = met(colliders, is_answering, s, substep, x, v_free + fall, c)
                            here = meet(colliders, s, substep, c, x, v)
                            if here.alpha > real(0.0):
                                f = (mass / grid.dt) * pull(here, here.w)
                                adj_f = adj_force_in[s, c] + wp.cross(adj_torque_in[s, c], here.r)
                                adj_change = adj_v - (mass / grid.dt) * adj_f
                                d_alpha, d_P, d_w = pull_adjoint(here, here.w, -adj_change)
                                z_mass, z_alpha, z_P, z_r = inertia_adjoint(here, mass, adj_inertia_in[s, c])
                                adj_r = z_r + wp.cross(f, adj_torque_in[s, c])
                                adj_mass = adj_mass + z_mass + wp.dot(f, adj_f) / mass
                                d_v = meet_adjoint(
                                    colliders,
                                    s,
                                    substep,
                                    c,
                                    here,
                                    d_alpha + z_alpha,
                                    d_P + z_P,
                                    adj_r,
                                    d_w,
                                    adjoints,
                                )
                                adj_v = adj_v + d_v
                    adj_g = adj_g + grid.dt * adj_v
                    adj_p = adj_v / mass
                    adj_mass = adj_mass - wp.dot(adj_p, v_free)
                    adj_solid, adj_pressure = pushed_adjoint(pressure_in[base + k], solid_in[base + k], grid.dt * adj_p)
                    adj_solid_inout[base + k] = adj_solid_inout[base + k] + adj_solid
                    adj_pressure_inout[base + k] = adj_pressure_inout[base + k] + adj_pressure
                    total = adj_momentum_inout[base + k]
                    adj_momentum_inout[base + k] = total + vec4(adj_p[0], adj_p[1], adj_p[2], adj_mass)
            if lower < upper:
                wp.atomic_add(adj_gravity_out, s, adj_g)

    @wp.kernel(**options)
    def settle(
        # parameters
        grid: Grid, colliders: Colliders, late: Colliders, is_answering: wp.array(dtype=wp.int32),
        gravity: wp.array(dtype=vec3),
        bounds_in: wp.array(dtype=wp.int32), chunk: int, parts: int, substep: int,
        # inputs
        momentum_in: wp.array(dtype=vec4), pressure_in: wp.array(dtype=vec4), solid_in: wp.array(dtype=vec4),
        change_in: wp.array2d(dtype=vec3), spin_in: wp.array2d(dtype=vec3),
        # outputs
        velocity_out: wp.array(dtype=vec4), force_out: wp.array(dtype=vec3), torque_out: wp.array(dtype=vec3),
        late_force_out: wp.array(dtype=vec3), late_torque_out: wp.array(dtype=vec3),
    ):  # fmt: skip
        """v = p / m + g dt, then what bodies that answer have made of it, then other colliders, then walls."""
        first, last = touched_parts(grid, bounds_in, 0, 1, wp.tid(), parts)
        for part in range(first, last):
            s, i, j, lower, upper, base = touched(grid, bounds_in, 1, chunk, part)
            free = is_inside(i, grid.nx, grid.pad) and is_inside(j, grid.ny, grid.pad)
            fall = grid.dt * gravity[s]
            for k in range(lower, upper):
                value = momentum_in[base + k]
                mass = value[3]
                result = vec4()
                if mass > real(0.0):
                    x = grid.origin + grid.dx * vec3(real(i), real(j), real(k))
                    v = pushed(value, pressure_in[base + k], solid_in[base + k], grid.dt) + fall
                    more = vec3(real(0.0), real(0.0), real(0.0))
                    for c in range(colliders.count):
                        if answers(colliders, is_answering, s, substep, c, x):
                            here = meet(colliders, s, substep, c, x, v)
                            dv = -pull(here, here.w)
                            later = pull(here, change_in[s, c] + wp.cross(spin_in[s, c], here.r))
                            add_wrench(
                                colliders, s, substep, c, x, mass * (dv + later), grid.dt, force_out, torque_out
                            )  # fmt: skip
                            v = v + dv
                            more = more + later
                    v = v + more
                    for c in range(colliders.count):
                        if holds(colliders, is_answering, s, substep, c, x):
                            dv = velocity_change(late, s, substep, c, x, v, AT_NODES)
                            v = v + dv
                            add_wrench(late, s, substep, c, x, mass * dv, grid.dt, late_force_out, late_torque_out)
                    if not free or not is_inside(k, grid.nz, grid.pad):
                        v = wp.cw_mul(v, wall_mask(grid, i, j, k, v))
                    result = vec4(v[0], v[1], v[2], real(0.0))
                velocity_out[base + k] = result

    @wp.kernel(**options)
    def settle_adjoint(
        # parameters
        grid: Grid, colliders: Colliders, late: Colliders, is_answering: wp.array(dtype=wp.int32),
        gravity: wp.array(dtype=vec3),
        bounds_in: wp.array(dtype=wp.int32), chunk: int, parts: int, substep: int,
        # inputs
        momentum_in: wp.array(dtype=vec4), pressure_in: wp.array(dtype=vec4), solid_in: wp.array(dtype=vec4),
        change_in: wp.array2d(dtype=vec3), spin_in: wp.array2d(dtype=vec3),
        adjoints: ColliderAdjoints, late_adjoints: ColliderAdjoints,
        # outputs
        adj_grid_inout: wp.array(dtype=vec4), adj_gravity_out: wp.array(dtype=vec3),
        adj_change_inout: wp.array2d(dtype=vec3), adj_spin_inout: wp.array2d(dtype=vec3),
        adj_pressure_inout: wp.array(dtype=vec4), adj_solid_inout: wp.array(dtype=vec4),
    ):  # fmt: skip
        """Adjoint of `settle`: replaces that of the velocity by that of the momentum."""
        first, last = touched_parts(grid, bounds_in, 0, 1, wp.tid(), parts)
        for part in range(first, last):
            s, i, j, lower, upper, base = touched(grid, bounds_in, 1, chunk, part)
            free = is_inside(i, grid.nx, grid.pad) and is_inside(j, grid.ny, grid.pad)
            fall = grid.dt * gravity[s]
            adj_g = vec3(real(0.0), real(0.0), real(0.0))
            for k in range(lower, upper):
                adj = adj_grid_inout[base + k]
                value = momentum_in[base + k]
                mass = value[3]
                result = vec4()
                if mass > real(0.0):
                    x = grid.origin + grid.dx * vec3(real(i), real(j), real(k))
                    v_free = pushed(value, pressure_in[base + k], solid_in[base + k], grid.dt)
                    adj_v = vec3(adj[0], adj[1], adj[2])
                    after = carried(
                        colliders, is_answering, s, substep, x, v_free + fall, change_in, spin_in
                    )  # fmt: skip
                    if not free or not is_inside(k, grid.nz, grid.pad):
                        v = held(late, is_answering, s, substep, x, after, colliders.count)
                        adj_v = wp.cw_mul(adj_v, wall_mask(grid, i, j, k, v))
                    adj_mass = real(0.0)
                    for index in range(colliders.count):
                        c = colliders.count - 1 - index
                        if holds(colliders, is_answering, s, substep, c, x):
                            v = held(late, is_answering, s, substep, x, after, c)
                            _adj_x, d_v, d_mass = velocity_change_adjoint(
                                late, s, substep, c, x, v, mass, grid.dt, AT_NODES, adj_v, late_adjoints
                            )
                            adj_v = d_v
                            adj_mass = adj_mass + d_mass
                    adj_more = adj_v
                    for index in range(colliders.count):
                        c = colliders.count - 1 - index
                        if answers(colliders, is_answering, s, substep, c, x):
                            v = met(colliders, is_answering, s, substep, x, v_free + fall, c)
                            here = meet(colliders, s, substep, c, x, v)
                            if here.alpha > real(0.0):
                                e = s * colliders.count + c
                                spin = spin_in[s, c]
                                towards = change_in[s, c] + wp.cross(spin, here.r)
                                f = (mass / grid.dt) * (pull(here, here.w) - pull(here, towards))
                                adj_f = adjoints.force[e] + wp.cross(adjoints.torque[e], here.r)
                                adj_mass = adj_mass + wp.dot(f, adj_f) / mass
                                push = (mass / grid.dt) * adj_f
                                d_alpha, d_P, d_w = pull_adjoint(here, here.w, push - adj_v)
                                e_alpha, e_P, d_towards = pull_adjoint(here, towards, adj_more - push)
                                adj_r = wp.cross(f, adjoints.torque[e]) + wp.cross(d_towards, spin)
                                wp.atomic_add(adj_change_inout, s, c, d_towards)
                                wp.atomic_add(adj_spin_inout, s, c, wp.cross(here.r, d_towards))
                                d_v = meet_adjoint(
                                    colliders,
                                    s,
                                    substep,
                                    c,
                                    here,
                                    d_alpha + e_alpha,
                                    d_P + e_P,
                                    adj_r,
                                    d_w,
                                    adjoints,
                                )
                                adj_v = adj_v + d_v
                    adj_g = adj_g + grid.dt * adj_v
                    adj_p = adj_v / mass
                    adj_mass = adj_mass - wp.dot(adj_p, v_free)
                    adj_solid, adj_pressure = pushed_adjoint(pressure_in[base + k], solid_in[base + k], grid.dt * adj_p)
                    adj_solid_inout[base + k] = adj_solid_inout[base + k] + adj_solid
                    adj_pressure_inout[base + k] = adj_pressure_inout[base + k] + adj_pressure
                    result = vec4(adj_p[0], adj_p[1], adj_p[2], adj_mass)
                adj_grid_inout[base + k] = result
            if lower < upper:
                wp.atomic_add(adj_gravity_out, s, adj_g)

    return SimpleNamespace(
        still=still, probe=probe, probe_adjoint=probe_adjoint, settle=settle, settle_adjoint=settle_adjoint,
        mat33=mat33, mat66=mat66,
    )  # fmt: skip
