# SPDX-License-Identifier: Apache-2.0
"""Grid kernels of MLS-MPM: momentum to velocity under gravity, colliders and walls, and the adjoint of that.

A thread has `parts` times `chunk` nodes of one row (a plane of rows on the CPU, one node on CUDA) and skips what the
particles do not touch. On a sparse grid rows are those of its blocks, and a thread of the CPU has a block. Lanes take
threads in turn, so that the nodes which are touched are shared evenly.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.columns import DENSITY
from simenv.physics.mpm.contact import AT_NODES, contact_functions
from simenv.physics.mpm.grid import OUTFLOW, PERIODIC, SEPARATE, SLIP, STICK, grid_struct
from simenv.physics.mpm.grid_rows import grid_rows
from simenv.physics.mpm.kernels_packing import packing_kernels
from simenv.physics.mpm.packing import packing_functions
from simenv.physics.mpm.stencil import stencil_functions

BOUNDARIES = {"separate": SEPARATE, "slip": SLIP, "stick": STICK, "periodic": PERIODIC, "outflow": OUTFLOW}


@built_once
def grid_kernels(real, sparse: bool = False, packs: bool = False) -> SimpleNamespace:
    """Build the grid kernels for one scalar type (``wp.float32`` or ``wp.float64``), for a dense or a sparse grid;
    `packs` says whether nodes compare their density with that of the scene's only material (`packing.py`).
    """
    st = stencil_functions(real)
    vec3, vec4, vec8 = st.vec3, st.vec4, st.vec8
    excess = packing_functions(real).excess
    gs = grid_struct(real)
    Grid, image = gs.Grid, gs.image
    cf = contact_functions(real)
    Colliders, ColliderAdjoints, is_near = cf.Colliders, cf.ColliderAdjoints, cf.is_near
    velocity_change, velocity_change_adjoint, add_wrench = cf.velocity_change, cf.velocity_change_adjoint, cf.add_wrench
    rows = grid_rows(real, sparse)
    touched, touched_parts, lane_sum = rows.touched, rows.touched_parts, rows.lane_sum
    nodes = packing_kernels(real, sparse)
    packing_at = nodes.packing_at
    options = {"module": f"simenv_mpm_grid_{real.__name__}{'_b' * sparse}{'_d' * packs}", "enable_backward": False}

    @wp.func
    def is_inside(node: int, count: int, pad: int) -> bool:
        # whether no wall of this axis has a say
        return node > pad and node < count - 1 - pad

    @wp.func
    def wall_keeps(v: real, node: int, count: int, pad: int, boundary: int) -> real:
        # 1 if the component normal to this axis' walls survives, else 0
        if boundary == PERIODIC or is_inside(node, count, pad):
            return real(1.0)
        if boundary == OUTFLOW:
            return real(1.0)
        if boundary == SEPARATE:
            if node <= pad and v >= real(0.0):
                return real(1.0)
            if node >= count - 1 - pad and v <= real(0.0):
                return real(1.0)
        return real(0.0)

    @wp.func
    def sticks(node: int, count: int, pad: int, boundary: int) -> bool:
        return boundary == STICK and (node <= pad or node >= count - 1 - pad)

    @wp.func
    def wall_mask(grid: Grid, i: int, j: int, k: int, v: vec3) -> vec3:
        stuck = sticks(i, grid.nx, grid.pad, grid.boundary_x) or sticks(j, grid.ny, grid.pad, grid.boundary_y)
        if stuck or sticks(k, grid.nz, grid.pad, grid.boundary_z):
            return vec3(real(0.0), real(0.0), real(0.0))
        return vec3(
            wall_keeps(v[0], i, grid.nx, grid.pad, grid.boundary_x),
            wall_keeps(v[1], j, grid.ny, grid.pad, grid.boundary_y),
            wall_keeps(v[2], k, grid.nz, grid.pad, grid.boundary_z),
        )

    @wp.func
    def node_touches(colliders: Colliders, s: int, substep: int, c: int, x: vec3) -> bool:
        if (colliders.levels[c] & AT_NODES) == 0:
            return False
        e = s * colliders.count + c
        scale = colliders.scale[e]
        pose = (s * colliders.substeps + substep) * colliders.count + c
        local = ((x - colliders.position[pose]) * colliders.rotation[pose]) / scale
        return is_near(colliders, e, local, colliders.width[c] / scale)

    @wp.kernel(**options)
    def grid_update(
        # parameters
        grid: Grid, colliders: Colliders, gravity: wp.array(dtype=vec3), material: wp.array(dtype=vec8),
        bounds_in: wp.array(dtype=wp.int32),
        lanes: int, summed: int, lane: int, chunk: int, parts: int, substep: int,
        # inputs
        lanes_in: wp.array(dtype=vec4),
        # outputs
        momentum_out: wp.array(dtype=vec4), velocity_out: wp.array(dtype=vec4), force_out: wp.array(dtype=vec3),
        torque_out: wp.array(dtype=vec3),
    ):  # fmt: skip
        """v = p / m + g dt, then colliders, then walls.

        `lanes` bounds say what is touched; `summed` lanes are added up into `momentum_out`, which the reverse sweep
        reads (with `summed` = 1 the input is that sum already). Beside the velocity stands `excess`, or zero.
        """
        first, last = touched_parts(grid, bounds_in, 0, lanes, wp.tid() * lanes + lane, parts)
        for part in range(first, last):
            s, i, j, lower, upper, base = touched(grid, bounds_in, lanes, chunk, part)
            free = is_inside(i, grid.nx, grid.pad) and is_inside(j, grid.ny, grid.pad)
            for k in range(lower, upper):
                value = lane_sum(grid, bounds_in, summed, i, j, k, base + k, lanes_in)
                if summed > 1:
                    momentum_out[base + k] = value
                mass = value[3]
                result = vec4()
                if mass > real(0.0):
                    v = vec3(value[0], value[1], value[2]) / mass + grid.dt * gravity[s]
                    x = grid.origin + grid.dx * vec3(real(i), real(j), real(k))
                    for c in range(colliders.count):
                        if node_touches(colliders, s, substep, c, x):
                            dv = velocity_change(colliders, s, substep, c, x, v, AT_NODES)
                            v = v + dv
                            add_wrench(colliders, s, substep, c, x, mass * dv, grid.dt, force_out, torque_out)
                    if not free or not is_inside(k, grid.nz, grid.pad):
                        v = wp.cw_mul(v, wall_mask(grid, i, j, k, v))
                    more = real(0.0)
                    if wp.static(packs):
                        rest = material[s][DENSITY] * grid.dx * grid.dx * grid.dx
                        theta, inside, gap = packing_at(
                            grid, colliders, bounds_in, lanes, summed, substep, s, i, j, k, rest, lanes_in
                        )
                        more = excess(theta, inside, gap)
                    result = vec4(v[0], v[1], v[2], more)
                velocity_out[base + k] = result

    @wp.func
    def velocity_met(colliders: Colliders, s: int, substep: int, x: vec3, v: vec3, last: int) -> vec3:
        # the velocity that collider `last` meets at a node: the response to the colliders before it
        for c in range(last):
            if node_touches(colliders, s, substep, c, x):
                v = v + velocity_change(colliders, s, substep, c, x, v, AT_NODES)
        return v

    @wp.kernel(**options)
    def grid_update_adjoint(
        # parameters
        grid: Grid, colliders: Colliders, gravity: wp.array(dtype=vec3), bounds_in: wp.array(dtype=wp.int32),
        lanes: int, lane: int, chunk: int, parts: int, substep: int,
        # inputs
        momentum_in: wp.array(dtype=vec4), adj_lanes_in: wp.array(dtype=vec4), packing_in: wp.array(dtype=vec4),
        adjoints: ColliderAdjoints,
        # outputs
        adj_momentum_out: wp.array(dtype=vec4), adj_gravity_out: wp.array(dtype=vec3),
        adj_density_out: wp.array(dtype=real),
    ):  # fmt: skip
        """Adjoint of `grid_update`; `adj_momentum_out` may be the first lane of `adj_lanes_in`; `packing_in` is what
        `gather` of `kernels_packing.py` left.
        """
        first, last = touched_parts(grid, bounds_in, 0, lanes, wp.tid() * lanes + lane, parts)
        for part in range(first, last):
            s, i, j, lower, upper, base = touched(grid, bounds_in, lanes, chunk, part)
            free = is_inside(i, grid.nx, grid.pad) and is_inside(j, grid.ny, grid.pad)
            adj_g = vec3(real(0.0), real(0.0), real(0.0))
            adj_d = real(0.0)
            for k in range(lower, upper):
                adj = lane_sum(grid, bounds_in, lanes, i, j, k, base + k, adj_lanes_in)
                value = momentum_in[base + k]
                mass = value[3]
                result = vec4()
                if mass > real(0.0):
                    v_free = vec3(value[0], value[1], value[2]) / mass
                    v_start = v_free + grid.dt * gravity[s]
                    x = grid.origin + grid.dx * vec3(real(i), real(j), real(k))
                    adj_v = vec3(adj[0], adj[1], adj[2])
                    if not free or not is_inside(k, grid.nz, grid.pad):
                        v = velocity_met(colliders, s, substep, x, v_start, colliders.count)
                        adj_v = wp.cw_mul(adj_v, wall_mask(grid, i, j, k, v))
                    adj_mass = real(0.0)
                    for index in range(colliders.count):
                        c = colliders.count - 1 - index
                        if node_touches(colliders, s, substep, c, x):
                            met = velocity_met(colliders, s, substep, x, v_start, c)
                            _adj_x, d_v, d_mass = velocity_change_adjoint(
                                colliders, s, substep, c, x, met, mass, grid.dt, AT_NODES, adj_v, adjoints
                            )
                            adj_v = d_v
                            adj_mass = adj_mass + d_mass
                    if wp.static(packs):
                        adj_mass = adj_mass + packing_in[base + k][0]
                        adj_d = adj_d + packing_in[base + k][1]
                    adj_g = adj_g + grid.dt * adj_v
                    adj_p = adj_v / mass
                    adj_mass = adj_mass - wp.dot(adj_p, v_free)
                    result = vec4(adj_p[0], adj_p[1], adj_p[2], adj_mass)
                adj_momentum_out[base + k] = result
            if lower < upper:
                wp.atomic_add(adj_gravity_out, s, adj_g)
                if wp.static(packs):
                    wp.atomic_add(adj_density_out, s, adj_d)

    @wp.kernel(**options)
    def fold_periodic(grid: Grid, values_inout: wp.array(dtype=vec4)):
        """Add every ghost node to the node it stands for."""
        t = wp.tid()
        s = t // grid.cells
        node = t - s * grid.cells
        i = node // (grid.ny * grid.nz)
        j = (node // grid.nz) % grid.ny
        k = node % grid.nz
        a = image(i, grid.nx, grid.pad, grid.boundary_x)
        b = image(j, grid.ny, grid.pad, grid.boundary_y)
        c = image(k, grid.nz, grid.pad, grid.boundary_z)
        if a != i or b != j or c != k:
            wp.atomic_add(values_inout, s * grid.cells + (a * grid.ny + b) * grid.nz + c, values_inout[t])
            values_inout[t] = vec4()

    @wp.kernel(**options)
    def spread_periodic(grid: Grid, values_inout: wp.array(dtype=vec4)):
        """Copy to every ghost node the node it stands for."""
        t = wp.tid()
        s = t // grid.cells
        node = t - s * grid.cells
        i = node // (grid.ny * grid.nz)
        j = (node // grid.nz) % grid.ny
        k = node % grid.nz
        a = image(i, grid.nx, grid.pad, grid.boundary_x)
        b = image(j, grid.ny, grid.pad, grid.boundary_y)
        c = image(k, grid.nz, grid.pad, grid.boundary_z)
        if a != i or b != j or c != k:
            values_inout[t] = values_inout[s * grid.cells + (a * grid.ny + b) * grid.nz + c]

    return SimpleNamespace(
        grid_update=grid_update, grid_update_adjoint=grid_update_adjoint, fold_periodic=fold_periodic,
        spread_periodic=spread_periodic, is_inside=is_inside, wall_mask=wall_mask, touched=touched,
        touched_parts=touched_parts, node_touches=node_touches,
    )  # fmt: skip
