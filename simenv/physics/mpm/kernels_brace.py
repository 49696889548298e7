# SPDX-License-Identifier: Apache-2.0
"""What walls of bodies that answer give to the liquid beside them, with adjoints (response.py).

The stress of particles on one side of a wall gives the nodes about it forces that do not balance: what is missing is
the wall's own part, which nodes deep in the body get by contact and those outside do not. It is what liquid in the
body would give: with points q that fill its outer layer, of volume V_q,

    f_i = p_i g_i,      g_i = sum_q V_q (4 / dx^2) w_iq (x_i - x_q),      s_i = sum_q V_q w_iq / dx^3,
    p_i = chi(s_i) max(0, sum_p V_p w_ip p_p) / (dx^3 (1 - s_i)),

with MLS-MPM's gradient, the share s_i of a node's volume that is the body's, and the pressure p_p of the particles.
Where liquid fills only part of the rest, the force is as much less. chi is 1 up to s = 1/2, a wall through the node,
and falls to 0 at 3/4, where contact at the node holds all. The body gets the opposite, which acts at the points: the
force between a node and a point is along the line between them, so that both momenta balance. p_i is the mean on the
liquid's side, a fraction of a cell from the wall: where pressure grows with depth, a face feels up to a third of a cell
more or less.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.columns import LAME_LAMBDA
from simenv.physics.mpm.contact import contact_functions
from simenv.physics.mpm.grid import grid_struct, node_access
from simenv.physics.mpm.stencil import stencil_functions

__all__ = ["brace_kernels"]

REACH = 4.2  # cells from a wall within which particles have a part in the pressure of nodes that matter
FULL, NONE = 0.5, 0.75  # s up to which chi is 1, and from which it is 0


@built_once
def brace_kernels(real, batched: bool) -> SimpleNamespace:
    """Build the kernels for one scalar type, for launches of one world or of several."""
    st = stencil_functions(real)
    vec3, vec4, vec8, mat33 = st.vec3, st.vec4, st.vec8, st.mat33
    access = node_access(real, False)
    locate, scatter, gather, sweep = access.locate, access.scatter, access.gather, access.sweep
    gs = grid_struct(real)
    Grid, stencil_at, is_inert = gs.Grid, gs.stencil_at, gs.is_inert
    cf = contact_functions(real)
    Colliders, ColliderAdjoints, is_near = cf.Colliders, cf.ColliderAdjoints, cf.is_near
    name = f"simenv_mpm_brace_{real.__name__}_{'batched' if batched else 'single'}"
    options = {"module": name, "enable_backward": False}

    @wp.func
    def matters(
        colliders: Colliders, is_answering: wp.array(dtype=wp.int32), s: int, substep: int, x: vec3, reach: real
    ) -> bool:  # fmt: skip
        for c in range(colliders.count):
            if is_answering[c] != 0:
                e = s * colliders.count + c
                pose = (s * colliders.substeps + substep) * colliders.count + c
                local = ((x - colliders.position[pose]) * colliders.rotation[pose]) / colliders.scale[e]
                if is_near(colliders, e, local, reach / colliders.scale[e]):
                    return True
        return False

    @wp.kernel(**options)
    def wipe(pressure_out: wp.array(dtype=vec4), solid_out: wp.array(dtype=vec4)):
        node = wp.tid()
        pressure_out[node] = vec4()
        solid_out[node] = vec4()

    @wp.kernel(**options)
    def press(
        # parameters
        grid: Grid, colliders: Colliders, is_answering: wp.array(dtype=wp.int32), material: wp.array(dtype=wp.int32),
        kind: wp.array(dtype=wp.int32), parameters: wp.array(dtype=vec8), volume: wp.array(dtype=real),
        active: wp.array(dtype=wp.int32), particles: int, materials: int, substep: int,
        # inputs
        x_in: wp.array(dtype=vec3), J_in: wp.array(dtype=real),
        # outputs
        pressure_inout: wp.array(dtype=vec4),
    ):  # fmt: skip
        """Scatter pressure times volume of liquids."""
        p = wp.tid()
        s = int(0)
        if wp.static(batched):
            s = p // particles
        m = material[p - s * particles]
        x = x_in[p]
        if kind[m] >= 0 or is_inert(grid, active[p], x):
            return
        if not matters(colliders, is_answering, s, substep, x, real(REACH) * grid.dx):
            return
        bi, bj, bk, f = stencil_at(grid, x)
        tension = parameters[s * materials + m][LAME_LAMBDA] * (J_in[p] - real(1.0))
        q = vec4(-volume[p] * tension, real(0.0), real(0.0), real(0.0))
        scatter(pressure_inout, grid, s, locate(grid, s, bi, bj, bk), f, q, mat33())

    @wp.kernel(**options)
    def press_adjoint(
        # parameters
        grid: Grid, colliders: Colliders, is_answering: wp.array(dtype=wp.int32), material: wp.array(dtype=wp.int32),
        kind: wp.array(dtype=wp.int32), parameters: wp.array(dtype=vec8), volume: wp.array(dtype=real),
        active: wp.array(dtype=wp.int32), particles: int, materials: int, substep: int,
        # inputs
        x_in: wp.array(dtype=vec3), J_in: wp.array(dtype=real), adj_pressure_in: wp.array(dtype=vec4),
        # outputs
        adj_x_inout: wp.array(dtype=vec3), adj_J_inout: wp.array(dtype=real),
        adj_parameters_inout: wp.array(dtype=vec8),
    ):  # fmt: skip
        """Adjoint of `press`, which adds."""
        p = wp.tid()
        s = int(0)
        if wp.static(batched):
            s = p // particles
        m = material[p - s * particles]
        x = x_in[p]
        if kind[m] >= 0 or is_inert(grid, active[p], x):
            return
        if not matters(colliders, is_answering, s, substep, x, real(REACH) * grid.dx):
            return
        bi, bj, bk, f = stencil_at(grid, x)
        place = locate(grid, s, bi, bj, bk)
        bulk = parameters[s * materials + m][LAME_LAMBDA]
        q = vec4(-volume[p] * bulk * (J_in[p] - real(1.0)), real(0.0), real(0.0), real(0.0))
        g = gather(adj_pressure_in, grid, s, place, f)
        total = vec4(g[0], g[1], g[2], g[3])
        adj_x_inout[p] = adj_x_inout[p] + grid.inv_dx * sweep(adj_pressure_in, grid, s, place, f, q, mat33(), total)
        adj_J_inout[p] = adj_J_inout[p] - volume[p] * bulk * g[0]
        adj_par = adj_parameters_inout[p]
        adj_par[LAME_LAMBDA] = adj_par[LAME_LAMBDA] - volume[p] * (J_in[p] - real(1.0)) * g[0]
        adj_parameters_inout[p] = adj_par

    @wp.func
    def point_of(
        colliders: Colliders, s: int, substep: int, c: int, local: vec3
    ):  # fmt: skip
        # place of a point, its arm from the collider's origin, and the scale of lengths
        pose = (s * colliders.substeps + substep) * colliders.count + c
        scale = colliders.scale[s * colliders.count + c]
        r = colliders.rotation[pose] * (scale * local)
        return colliders.position[pose] + r, r, scale

    @wp.func
    def is_on_grid(grid: Grid, x: vec3) -> bool:
        g = (x - grid.origin) * grid.inv_dx
        inside = g[0] > real(0.5) and g[0] < real(grid.nx) - real(1.5)
        inside = inside and g[1] > real(0.5) and g[1] < real(grid.ny) - real(1.5)
        return inside and g[2] > real(0.5) and g[2] < real(grid.nz) - real(1.5)

    @wp.kernel(**options)
    def fill(
        # parameters
        grid: Grid, colliders: Colliders, substep: int, owner: wp.array(dtype=int), local: wp.array(dtype=vec3),
        share: wp.array(dtype=real),
        # outputs
        solid_inout: wp.array(dtype=vec4),
    ):  # fmt: skip
        """Scatter the points that fill the bodies: g [dx^2], s."""
        s, q = wp.tid()
        x, _r, scale = point_of(colliders, s, substep, owner[q], local[q])
        if is_on_grid(grid, x):
            bi, bj, bk, f = stencil_at(grid, x)
            volume = share[q] * scale * scale * scale
            A = (real(4.0) * volume * grid.inv_dx) * wp.identity(n=3, dtype=real)
            none = vec4(real(0.0), real(0.0), real(0.0), volume * grid.inv_dx * grid.inv_dx * grid.inv_dx)
            scatter(solid_inout, grid, s, locate(grid, s, bi, bj, bk), f, none, A)

    @wp.func
    def add_place(
        colliders: Colliders, s: int, substep: int, c: int, local: vec3, adj_x: vec3, adj_arm: vec3,
        adjoints: ColliderAdjoints,
    ):  # fmt: skip
        # the arm turns with the body, and its origin moves with the point
        pose = (s * colliders.substeps + substep) * colliders.count + c
        wp.atomic_add(adjoints.position, pose, adj_x)
        scale = colliders.scale[s * colliders.count + c]
        wp.atomic_add(adjoints.rotation, pose, wp.outer(adj_x + adj_arm, scale * local))

    @wp.kernel(**options)
    def fill_adjoint(
        # parameters
        grid: Grid, colliders: Colliders, substep: int, owner: wp.array(dtype=int), local: wp.array(dtype=vec3),
        share: wp.array(dtype=real),
        # inputs
        adj_solid_in: wp.array(dtype=vec4), adjoints: ColliderAdjoints,
    ):  # fmt: skip
        """Adjoint of `fill`, which adds to that of the colliders' poses."""
        s, q = wp.tid()
        x, _r, scale = point_of(colliders, s, substep, owner[q], local[q])
        if is_on_grid(grid, x):
            bi, bj, bk, f = stencil_at(grid, x)
            place = locate(grid, s, bi, bj, bk)
            volume = share[q] * scale * scale * scale
            A = (real(4.0) * volume * grid.inv_dx) * wp.identity(n=3, dtype=real)
            none = vec4(real(0.0), real(0.0), real(0.0), volume * grid.inv_dx * grid.inv_dx * grid.inv_dx)
            g = gather(adj_solid_in, grid, s, place, f)
            total = vec4(g[0], g[1], g[2], g[3])
            adj_x = grid.inv_dx * sweep(adj_solid_in, grid, s, place, f, none, A, total)
            add_place(colliders, s, substep, owner[q], local[q], adj_x, vec3(), adjoints)

    @wp.func
    def fade(s: real):
        # chi / (1 - s) and its slope
        rest = real(1.0) / (real(1.0) - s)
        if s <= real(FULL):
            return rest, rest * rest
        t = (real(NONE) - s) / real(NONE - FULL)
        chi = t * t * (real(3.0) - real(2.0) * t)
        d_chi = -real(6.0) * t * (real(1.0) - t) / real(NONE - FULL)
        return chi * rest, d_chi * rest + chi * rest * rest

    @wp.kernel(**options)
    def mean(grid: Grid, solid_in: wp.array(dtype=vec4), pressure_inout: wp.array(dtype=vec4)):
        """The second number of a node becomes p_i."""
        node = wp.tid()
        s = solid_in[node][3]
        value = pressure_inout[node]
        p = real(0.0)
        if s > real(0.0) and s < real(NONE) and value[0] > real(0.0):
            share, _slope = fade(s)
            p = value[0] * share * grid.inv_dx * grid.inv_dx * grid.inv_dx
        pressure_inout[node] = vec4(value[0], p, real(0.0), real(0.0))

    @wp.kernel(**options)
    def mean_adjoint(
        grid: Grid, solid_in: wp.array(dtype=vec4), pressure_in: wp.array(dtype=vec4),
        adj_pressure_inout: wp.array(dtype=vec4), adj_solid_inout: wp.array(dtype=vec4),
    ):  # fmt: skip
        """Adjoint of `mean`: that of the sum takes the place of that of p_i."""
        node = wp.tid()
        s = solid_in[node][3]
        sum_p = pressure_in[node][0]
        adj = vec4()
        if s > real(0.0) and s < real(NONE) and sum_p > real(0.0):
            share, slope = fade(s)
            adj_p = adj_pressure_inout[node][1] * grid.inv_dx * grid.inv_dx * grid.inv_dx
            adj[0] = adj_p * share
            given = adj_solid_inout[node]
            adj_solid_inout[node] = vec4(given[0], given[1], given[2], given[3] + adj_p * sum_p * slope)
        adj_pressure_inout[node] = adj

    @wp.kernel(**options)
    def react(
        # parameters
        grid: Grid, colliders: Colliders, substep: int, owner: wp.array(dtype=int), local: wp.array(dtype=vec3),
        share: wp.array(dtype=real),
        # inputs
        pressure_in: wp.array(dtype=vec4),
        # outputs
        force_inout: wp.array2d(dtype=vec3), torque_inout: wp.array2d(dtype=vec3), felt_inout: wp.array(dtype=vec3),
        felt_turn_inout: wp.array(dtype=vec3),
    ):  # fmt: skip
        """What the points, and so the bodies, get for it, about the colliders' origins."""
        s, q = wp.tid()
        c = owner[q]
        x, r, scale = point_of(colliders, s, substep, c, local[q])
        if is_on_grid(grid, x):
            bi, bj, bk, f = stencil_at(grid, x)
            g = gather(pressure_in, grid, s, locate(grid, s, bi, bj, bk), f)
            size = -real(4.0) * share[q] * scale * scale * scale * grid.inv_dx
            force = size * vec3(g[5], g[9], g[13])
            e = s * colliders.count + c
            wp.atomic_add(force_inout, s, c, force)
            wp.atomic_add(torque_inout, s, c, wp.cross(r, force))
            wp.atomic_add(felt_inout, e, force)
            wp.atomic_add(felt_turn_inout, e, wp.cross(r, force))

    @wp.kernel(**options)
    def react_adjoint(
        # parameters
        grid: Grid, colliders: Colliders, substep: int, owner: wp.array(dtype=int), local: wp.array(dtype=vec3),
        share: wp.array(dtype=real),
        # inputs
        pressure_in: wp.array(dtype=vec4), adj_force_in: wp.array2d(dtype=vec3), adj_torque_in: wp.array2d(dtype=vec3),
        adjoints: ColliderAdjoints,
        # outputs
        adj_pressure_inout: wp.array(dtype=vec4),
    ):  # fmt: skip
        """Adjoint of `react`, which adds."""
        s, q = wp.tid()
        c = owner[q]
        x, r, scale = point_of(colliders, s, substep, c, local[q])
        if is_on_grid(grid, x):
            bi, bj, bk, f = stencil_at(grid, x)
            place = locate(grid, s, bi, bj, bk)
            size = -real(4.0) * share[q] * scale * scale * scale * grid.inv_dx
            e = s * colliders.count + c
            adj_torque = adj_torque_in[s, c] + adjoints.torque[e]
            adj_f = adj_force_in[s, c] + adjoints.force[e] + wp.cross(adj_torque, r)
            A = mat33()
            for i in range(3):
                A[1, i] = size * adj_f[i]
            g = gather(pressure_in, grid, s, place, f)
            scatter(adj_pressure_inout, grid, s, place, f, vec4(), A)
            total = vec4(g[0], g[1], g[2], g[3])
            adj_x = grid.inv_dx * sweep(pressure_in, grid, s, place, f, vec4(), A, total)
            force = size * vec3(g[5], g[9], g[13])
            add_place(colliders, s, substep, c, local[q], adj_x, wp.cross(force, adj_torque), adjoints)

    return SimpleNamespace(
        press=press, press_adjoint=press_adjoint, fill=fill, fill_adjoint=fill_adjoint, mean=mean,
        mean_adjoint=mean_adjoint, react=react, react_adjoint=react_adjoint, wipe=wipe,
    )  # fmt: skip
