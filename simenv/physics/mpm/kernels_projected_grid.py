# SPDX-License-Identifier: Apache-2.0
"""Rigidity on the grid: after forces and contact, the grid's velocity where bodies are is projected on rigid motions.

A stiff elastic solid would do the same by its stress within the substep; without it a body would only be rigid again at
its next scatter, and liquid would creep into it. With a node's mass ``m``, the share ``beta_b = m_b / m`` of body b in
it, and what is left, ``a = 1 - sum beta_b``,

    v' = v + sum_b chi_b (u_b + omega_b x r - v),       chi_b = beta_b (1 + a)(1 + a^2)(1 + a^4)(1 + a^8)

``sum chi`` is ``1 - a^16``: nearly one in all that a body touches, zero outside, and smooth. ``(u_b, omega_b)`` is the
motion for which the impulses ``m chi_b (v' - v)`` have no sum and no moment, so that body and surroundings exchange
momentum and none is lost, whatever the number of bodies that meet at a node. Sums run along rows of nodes, then rows,
then planes, in a fixed order.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.columns import DENSITY
from simenv.physics.mpm.grid import grid_struct
from simenv.physics.mpm.projected_nodes import projected_node_functions
from simenv.physics.mpm.projected_struct import projected_struct
from simenv.physics.mpm.stencil import stencil_functions


@built_once
def projected_grid_kernels(real) -> SimpleNamespace:
    """Build the kernels for one scalar type (``wp.float32`` or ``wp.float64``)."""
    st = stencil_functions(real)
    vec3, vec4, vec8, vec16 = st.vec3, st.vec4, st.vec8, st.vec16
    gs = grid_struct(real)
    Grid, stencil_at, Bodies = gs.Grid, gs.stencil_at, projected_struct(real)
    nodes = projected_node_functions(real)
    node_of, box_base, mass_at, weight = nodes.node_of, nodes.box_base, nodes.mass_at, nodes.weight
    rest_share, is_first, stiffness, angular_solve = (
        nodes.rest_share, nodes.is_first, nodes.stiffness, nodes.angular_solve
    )  # fmt: skip
    options = {"module": f"simenv_mpm_projected_grid_{real.__name__}", "enable_backward": False}

    @wp.kernel(**options)
    def clear(mass_out: wp.array(dtype=real), adj_body_mass_out: wp.array(dtype=real)):
        """Set all boxes to zero."""
        t = wp.tid()
        mass_out[t] = real(0.0)
        adj_body_mass_out[t] = real(0.0)

    @wp.kernel(**options)
    def scatter_mass(
        # parameters
        bodies: Bodies, grid: Grid, material: wp.array(dtype=wp.int32), parameters: wp.array(dtype=vec8),
        volume: wp.array(dtype=real), materials: int,
        # inputs
        position_in: wp.array(dtype=vec3), x_in: wp.array(dtype=vec3),
        # outputs
        mass_out: wp.array(dtype=real),
    ):  # fmt: skip
        """Mass of every body at the nodes of its box."""
        t = wp.tid()
        s = t // bodies.members
        e = s * bodies.count + bodies.owner[t - s * bodies.members]
        q = bodies.member[t - s * bodies.members]
        p = s * bodies.particles + q
        m = parameters[s * materials + material[q]][DENSITY] * volume[p]
        bi, bj, bk, f = stencil_at(grid, x_in[p])
        base = box_base(bodies, grid, e, position_in[e], bi, bj, bk)
        if base < 0:
            return  # it has left the grid, and its world stops
        n = bodies.box
        for i in range(3):
            wx = m * weight(i, f[0])
            for j in range(3):
                w = wx * weight(j, f[1])
                for k in range(3):
                    wp.atomic_add(mass_out, base + (i * n + j) * n + k, w * weight(k, f[2]))

    @wp.kernel(**options)
    def fold(
        # parameters
        width: int,
        # inputs
        values_in: wp.array(dtype=vec16),
        # outputs
        sums_out: wp.array(dtype=vec16),
    ):  # fmt: skip
        """Sums of `width` neighbours each."""
        t = wp.tid()
        total = vec16()
        for c in range(width):
            total = total + values_in[t * width + c]
        sums_out[t] = total

    @wp.kernel(**options)
    def moments(
        # parameters
        bodies: Bodies, grid: Grid,
        # inputs
        position_in: wp.array(dtype=vec3), mass_in: wp.array(dtype=real), momentum_in: wp.array(dtype=vec4),
        velocity_in: wp.array(dtype=vec4), body_velocity_in: wp.array(dtype=vec3), body_omega_in: wp.array(dtype=vec3),
        # outputs
        before_out: wp.array(dtype=vec3), rows_out: wp.array(dtype=vec16),
    ):  # fmt: skip
        """For each row of a body's box the sums over w = m chi of 1, r, v, r x v, and the second moments of r; keeps
        the velocity v, which is relative to the body's own motion: the projection is the same, with less rounding.
        """
        row = wp.tid()
        e = row // (bodies.box * bodies.box)
        centre = position_in[e]
        M = real(0.0)
        S = vec3()
        P = vec3()
        H = vec3()
        D = vec3()
        E = vec3()
        for c in range(bodies.box):
            node = node_of(bodies, grid, row, c, centre)
            own = mass_in[node.local_index]
            if node.global_index >= 0 and own > real(0.0):
                total = momentum_in[node.global_index][3]
                w = own * stiffness(rest_share(bodies, grid, e // bodies.count, node, total, position_in, mass_in))
                value = velocity_in[node.global_index]
                r = node.place - centre
                v = vec3(value[0], value[1], value[2]) - body_velocity_in[e] - wp.cross(body_omega_in[e], r)
                before_out[node.local_index] = v
                M = M + w
                S = S + w * r
                P = P + w * v
                H = H + w * wp.cross(r, v)
                D = D + w * wp.cw_mul(r, r)
                E = E + w * vec3(r[1] * r[2], r[2] * r[0], r[0] * r[1])
        rows_out[row] = vec16(
            M, S[0], S[1], S[2], P[0], P[1], P[2], H[0], H[1], H[2], D[0], D[1], D[2], E[0], E[1], E[2]
        )

    @wp.kernel(**options)
    def solve(
        # parameters
        grid: Grid,
        # inputs
        sums_in: wp.array(dtype=vec16),
        # outputs
        linear_out: wp.array(dtype=vec3), angular_out: wp.array(dtype=vec3),
    ):  # fmt: skip
        """The rigid motion (velocity at the body's centre, angular velocity) that has the sums' momenta; relative."""
        e = wp.tid()
        q = sums_in[e]
        u = vec3()
        omega = vec3()
        if q[0] > real(0.0):
            S = vec3(q[1], q[2], q[3])
            P = vec3(q[4], q[5], q[6])
            omega = angular_solve(q, grid.dx, vec3(q[7], q[8], q[9]) - wp.cross(S, P) / q[0])
            u = (P - wp.cross(omega, S)) / q[0]
        linear_out[e] = u
        angular_out[e] = omega

    @wp.kernel(**options)
    def project(
        # parameters
        bodies: Bodies, grid: Grid,
        # inputs
        position_in: wp.array(dtype=vec3), mass_in: wp.array(dtype=real), momentum_in: wp.array(dtype=vec4),
        body_velocity_in: wp.array(dtype=vec3), body_omega_in: wp.array(dtype=vec3), linear_in: wp.array(dtype=vec3),
        angular_in: wp.array(dtype=vec3),
        # outputs
        velocity_inout: wp.array(dtype=vec4),
    ):  # fmt: skip
        """v' = v + sum_b chi_b (u_b + omega_b x r - v); a thread has the nodes of a row that are first its body's."""
        row = wp.tid()
        e = row // (bodies.box * bodies.box)
        s = e // bodies.count
        for c in range(bodies.box):
            node = node_of(bodies, grid, row, c, position_in[e])
            if node.global_index >= 0 and mass_in[node.local_index] > real(0.0):
                if is_first(bodies, grid, e, node, position_in, mass_in):
                    total = momentum_in[node.global_index][3]
                    g = stiffness(rest_share(bodies, grid, s, node, total, position_in, mass_in))
                    value = velocity_inout[node.global_index]
                    v = vec3(value[0], value[1], value[2])
                    change = vec3()
                    for b in range(bodies.count):
                        o = s * bodies.count + b
                        chi = g * mass_at(bodies, grid, o, node, position_in, mass_in) / total
                        if chi > real(0.0):
                            r = node.place - position_in[o]
                            own = v - body_velocity_in[o] - wp.cross(body_omega_in[o], r)
                            change = change + chi * (linear_in[o] + wp.cross(angular_in[o], r) - own)
                    v = v + change
                    velocity_inout[node.global_index] = vec4(v[0], v[1], v[2], real(0.0))

    return SimpleNamespace(
        clear=clear, scatter_mass=scatter_mass, fold=fold, moments=moments, solve=solve, project=project
    )
