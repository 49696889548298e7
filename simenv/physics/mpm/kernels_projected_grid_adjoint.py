# SPDX-License-Identifier: Apache-2.0
"""Hand-written adjoints of the kernels that make the grid rigid (kernels_projected_grid.py).

With ``A`` the adjoint of v', the motion (u, omega) has the adjoint ``sum chi A`` and ``sum r x chi A``. Through the
solve of six equations it reaches the sums of w = m chi, r, v, r x v and the inertia, and from those every node: its
velocity, its mass, and the bodies' masses in it. The reference point of the moments drops out.
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
def projected_grid_adjoint_kernels(real) -> SimpleNamespace:
    """Build the kernels for one scalar type (``wp.float32`` or ``wp.float64``)."""
    st = stencil_functions(real)
    vec3, vec4, vec8, vec16 = st.vec3, st.vec4, st.vec8, st.vec16
    gs = grid_struct(real)
    Grid, stencil_at, Bodies = gs.Grid, gs.stencil_at, projected_struct(real)
    nodes = projected_node_functions(real)
    node_of, box_index, box_base, mass_at = nodes.node_of, nodes.box_index, nodes.box_base, nodes.mass_at
    rest_share, is_first = nodes.rest_share, nodes.is_first
    stiffness, stiffness_slope = nodes.stiffness, nodes.stiffness_slope
    weight, slope_weight, angular_solve = nodes.weight, nodes.slope_weight, nodes.angular_solve
    options = {"module": f"simenv_mpm_projected_grid_adjoint_{real.__name__}", "enable_backward": False}

    @wp.kernel(**options)
    def scatter_mass_adjoint(
        # parameters
        bodies: Bodies, grid: Grid, material: wp.array(dtype=wp.int32), parameters: wp.array(dtype=vec8),
        volume: wp.array(dtype=real), materials: int,
        # inputs
        position_in: wp.array(dtype=vec3), x_in: wp.array(dtype=vec3), adj_body_mass_in: wp.array(dtype=real),
        # outputs
        adj_x_inout: wp.array(dtype=vec3), adj_parameters_inout: wp.array(dtype=vec8),
    ):  # fmt: skip
        """Adjoint of `scatter_mass`."""
        t = wp.tid()
        s = t // bodies.members
        e = s * bodies.count + bodies.owner[t - s * bodies.members]
        q = bodies.member[t - s * bodies.members]
        p = s * bodies.particles + q
        m = parameters[s * materials + material[q]][DENSITY] * volume[p]
        bi, bj, bk, f = stencil_at(grid, x_in[p])
        base = box_base(bodies, grid, e, position_in[e], bi, bj, bk)
        if base < 0:
            return
        n = bodies.box
        adj_m = real(0.0)
        adj_place = vec3()
        for i in range(3):
            for j in range(3):
                for k in range(3):
                    adj = adj_body_mass_in[base + (i * n + j) * n + k]
                    wx = weight(i, f[0])
                    wy = weight(j, f[1])
                    wz = weight(k, f[2])
                    adj_m = adj_m + adj * wx * wy * wz
                    slope = vec3(slope_weight(i, f[0]) * wy * wz, wx * slope_weight(j, f[1]) * wz, real(0.0))
                    slope[2] = wx * wy * slope_weight(k, f[2])
                    adj_place = adj_place + adj * slope
        adj_x_inout[p] = adj_x_inout[p] + (m * grid.inv_dx) * adj_place
        adj_par = adj_parameters_inout[p]
        adj_par[DENSITY] = adj_par[DENSITY] + volume[p] * adj_m
        adj_parameters_inout[p] = adj_par

    @wp.kernel(**options)
    def motion_adjoint(
        # parameters
        bodies: Bodies, grid: Grid,
        # inputs
        position_in: wp.array(dtype=vec3), mass_in: wp.array(dtype=real), momentum_in: wp.array(dtype=vec4),
        adj_velocity_in: wp.array(dtype=vec4),
        # outputs
        rows_out: wp.array(dtype=vec16),
    ):  # fmt: skip
        """Each row's part of the adjoint of a body's motion (u, omega), from that of `project`'s result."""
        row = wp.tid()
        e = row // (bodies.box * bodies.box)
        centre = position_in[e]
        u = vec3()
        omega = vec3()
        for c in range(bodies.box):
            node = node_of(bodies, grid, row, c, centre)
            own = mass_in[node.local_index]
            if node.global_index >= 0 and own > real(0.0):
                total = momentum_in[node.global_index][3]
                a = rest_share(bodies, grid, e // bodies.count, node, total, position_in, mass_in)
                adj = adj_velocity_in[node.global_index]
                push = (own * stiffness(a) / total) * vec3(adj[0], adj[1], adj[2])
                u = u + push
                omega = omega + wp.cross(node.place - centre, push)
        zero = real(0.0)
        rows_out[row] = vec16(
            u[0], u[1], u[2], omega[0], omega[1], omega[2], zero, zero, zero, zero, zero, zero, zero, zero, zero, zero
        )

    @wp.kernel(**options)
    def solve_adjoint(
        # parameters
        grid: Grid,
        # inputs
        sums_in: wp.array(dtype=vec16), linear_in: wp.array(dtype=vec3), angular_in: wp.array(dtype=vec3),
        adj_motion_in: wp.array(dtype=vec16),
        # outputs
        adj_sums_out: wp.array(dtype=vec16),
    ):  # fmt: skip
        """Adjoint of `solve`: of M, S, P and H in the first ten entries; that of the second moments J is - H-bar
        omega^T.
        """
        e = wp.tid()
        q = sums_in[e]
        result = vec16()
        if q[0] > real(0.0):
            M = q[0]
            S = vec3(q[1], q[2], q[3])
            P = vec3(q[4], q[5], q[6])
            omega = angular_in[e]
            a = adj_motion_in[e]
            adj_u = vec3(a[0], a[1], a[2])
            adj_omega = vec3(a[3], a[4], a[5]) - wp.cross(S, adj_u) / M
            z = angular_solve(q, grid.dx, adj_omega)
            turned = wp.dot(S, S) * wp.dot(z, omega) - wp.dot(z, S) * wp.dot(omega, S)
            adj_P = (adj_u - wp.cross(z, S)) / M
            adj_S = (real(2.0) * wp.dot(z, omega)) * S - wp.dot(omega, S) * z - wp.dot(z, S) * omega
            adj_S = (adj_S - wp.cross(adj_u, omega) - wp.cross(P, z)) / M
            adj_M = (wp.dot(z, wp.cross(S, P)) - turned) / (M * M) - wp.dot(adj_u, linear_in[e]) / M
            zero = real(0.0)
            result = vec16(
                adj_M, adj_S[0], adj_S[1], adj_S[2], adj_P[0], adj_P[1], adj_P[2], z[0], z[1], z[2],
                zero, zero, zero, zero, zero, zero,
            )  # fmt: skip
        adj_sums_out[e] = result

    @wp.func
    def adj_weight(adj: vec16, omega: vec3, r: vec3, v: vec3) -> real:
        # adjoint of a node's weight w in the sums of `moments`
        adj_S = vec3(adj[1], adj[2], adj[3])
        adj_P = vec3(adj[4], adj[5], adj[6])
        z = vec3(adj[7], adj[8], adj[9])
        second = wp.dot(r, r) * wp.dot(z, omega) - wp.dot(z, r) * wp.dot(omega, r)
        return adj[0] + wp.dot(adj_S, r) + wp.dot(adj_P, v) + wp.dot(z, wp.cross(r, v)) - second

    @wp.kernel(**options)
    def project_adjoint(
        # parameters
        bodies: Bodies, grid: Grid,
        # inputs
        position_in: wp.array(dtype=vec3), mass_in: wp.array(dtype=real), momentum_in: wp.array(dtype=vec4),
        before_in: wp.array(dtype=vec3), linear_in: wp.array(dtype=vec3), angular_in: wp.array(dtype=vec3),
        adj_sums_in: wp.array(dtype=vec16),
        # outputs
        adj_velocity_inout: wp.array(dtype=vec4), adj_mass_out: wp.array(dtype=real),
        adj_body_mass_out: wp.array(dtype=real),
    ):  # fmt: skip
        """Adjoint of `project` and `moments`: replaces that of the velocity, and gives those of the node's mass and of
        the bodies' masses in it.
        """
        row = wp.tid()
        e = row // (bodies.box * bodies.box)
        s = e // bodies.count
        for c in range(bodies.box):
            node = node_of(bodies, grid, row, c, position_in[e])
            if node.global_index >= 0 and mass_in[node.local_index] > real(0.0):
                if is_first(bodies, grid, e, node, position_in, mass_in):
                    total = momentum_in[node.global_index][3]
                    a = rest_share(bodies, grid, s, node, total, position_in, mass_in)
                    g = stiffness(a)
                    value = adj_velocity_inout[node.global_index]
                    adj = vec3(value[0], value[1], value[2])
                    adj_v = adj
                    adj_g = real(0.0)
                    adj_mass = real(0.0)
                    for b in range(bodies.count):
                        o = s * bodies.count + b
                        own = mass_at(bodies, grid, o, node, position_in, mass_in)
                        if own > real(0.0):
                            r = node.place - position_in[o]
                            v = before_in[box_index(bodies, grid, o, position_in[o], node.i, node.j, node.k)]
                            sums = adj_sums_in[o]
                            chi = own * g / total
                            rigid = linear_in[o] + wp.cross(angular_in[o], r)
                            adj_chi = wp.dot(adj, rigid - v)
                            adj_w = adj_weight(sums, angular_in[o], r, v)
                            push = vec3(sums[4], sums[5], sums[6]) + wp.cross(vec3(sums[7], sums[8], sums[9]), r)
                            adj_v = adj_v - chi * adj + (own * g) * push
                            adj_g = adj_g + own * (adj_w + adj_chi / total)
                            adj_mass = adj_mass - adj_chi * chi / total
                    adj_a = real(0.0)
                    if a > real(0.0):
                        adj_a = adj_g * stiffness_slope(a)
                    for b in range(bodies.count):
                        o = s * bodies.count + b
                        own = mass_at(bodies, grid, o, node, position_in, mass_in)
                        if own > real(0.0):
                            r = node.place - position_in[o]
                            rigid = linear_in[o] + wp.cross(angular_in[o], r)
                            index = box_index(bodies, grid, o, position_in[o], node.i, node.j, node.k)
                            v = before_in[index]
                            adj_w = adj_weight(adj_sums_in[o], angular_in[o], r, v)
                            adj_body_mass_out[index] = g * (adj_w + wp.dot(adj, rigid - v) / total) - adj_a / total
                    adj_mass_out[node.local_index] = adj_mass + adj_a * (real(1.0) - a) / total
                    adj_velocity_inout[node.global_index] = vec4(adj_v[0], adj_v[1], adj_v[2], real(0.0))

    @wp.kernel(**options)
    def add_mass_adjoint(
        # parameters
        bodies: Bodies, grid: Grid,
        # inputs
        position_in: wp.array(dtype=vec3), mass_in: wp.array(dtype=real), adj_mass_in: wp.array(dtype=real),
        # outputs
        adj_momentum_inout: wp.array(dtype=vec4),
    ):  # fmt: skip
        """Add the adjoint of the nodes' masses to what the adjoint of the grid update has left."""
        row = wp.tid()
        e = row // (bodies.box * bodies.box)
        for c in range(bodies.box):
            node = node_of(bodies, grid, row, c, position_in[e])
            if node.global_index >= 0 and mass_in[node.local_index] > real(0.0):
                if is_first(bodies, grid, e, node, position_in, mass_in):
                    value = adj_momentum_inout[node.global_index]
                    mass = value[3] + adj_mass_in[node.local_index]
                    adj_momentum_inout[node.global_index] = vec4(value[0], value[1], value[2], mass)

    return SimpleNamespace(
        scatter_mass_adjoint=scatter_mass_adjoint, motion_adjoint=motion_adjoint, solve_adjoint=solve_adjoint,
        project_adjoint=project_adjoint, add_mass_adjoint=add_mass_adjoint,
    )  # fmt: skip
