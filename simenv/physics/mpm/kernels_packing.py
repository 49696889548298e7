# SPDX-License-Identifier: Apache-2.0
"""What the nodes of the grid say of how densely a liquid is packed (`packing.py`), and the adjoint by their masses."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.columns import DENSITY
from simenv.physics.mpm.contact import contact_functions
from simenv.physics.mpm.grid import OUTFLOW, PERIODIC, grid_struct
from simenv.physics.mpm.grid_rows import grid_rows
from simenv.physics.mpm.packing import packing_functions
from simenv.physics.mpm.stencil import stencil_functions


@built_once
def packing_kernels(real, sparse: bool) -> SimpleNamespace:
    """Build them for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.
        sparse: whether nodes are stored in blocks.

    Returns:
        A namespace of the Warp function ``packing_at`` and the kernel ``adjoint``.
    """
    st = stencil_functions(real)
    vec3, vec4, vec8 = st.vec3, st.vec4, st.vec8
    Grid = grid_struct(real).Grid
    cf = contact_functions(real)
    Colliders, is_near = cf.Colliders, cf.is_near
    rows = grid_rows(real, sparse)
    touched, touched_parts, lane_sum = rows.touched, rows.touched_parts, rows.lane_sum
    node_at, mass_at = rows.node_at, rows.mass_at
    excess_slopes = packing_functions(real).excess_slopes
    options = {"module": f"simenv_mpm_packing_{real.__name__}{'_b' * sparse}", "enable_backward": False}

    @wp.func
    def inward(node: int, count: int, pad: int, boundary: int) -> int:
        # how many nodes further in a wall's node finds one whose surroundings the wall does not cut; 0 off walls
        if boundary != PERIODIC and boundary != OUTFLOW:
            if node == pad:
                return 2
            if node == count - 1 - pad:
                return -2
        return 0

    @wp.func
    def wall_factor(x: int, y: int, z: int) -> real:
        # 2 for each wall beyond which there is nothing, by what `inward` says
        factor = real(1.0)
        if x != 0:
            factor = real(2.0)
        if y != 0:
            factor = real(2.0) * factor
        if z != 0:
            factor = real(2.0) * factor
        return factor

    @wp.func
    def stands_free(grid: Grid, colliders: Colliders, s: int, substep: int, x: vec3) -> bool:
        # whether no collider is within two cells, which may be what holds the liquid off the wall
        for c in range(colliders.count):
            e = s * colliders.count + c
            pose = (s * colliders.substeps + substep) * colliders.count + c
            local = ((x - colliders.position[pose]) * colliders.rotation[pose]) / colliders.scale[e]
            reach = (colliders.width[c] + real(2.0) * grid.dx) / colliders.scale[e]
            if is_near(colliders, e, local, reach):
                return False
        return True

    @wp.func
    def packing_at(
        grid: Grid, colliders: Colliders, bounds: wp.array(dtype=wp.int32), lanes: int, summed: int, substep: int,
        s: int, i: int, j: int, k: int, rest: real, values: wp.array(dtype=vec4),
    ):  # fmt: skip
        # theta and gap of `packing.py`, and 2^n / rest, of a node with mass
        di = inward(i, grid.nx, grid.pad, grid.boundary_x)
        dj = inward(j, grid.ny, grid.pad, grid.boundary_y)
        dk = inward(k, grid.nz, grid.pad, grid.boundary_z)
        factor = wall_factor(di, dj, dk) / rest
        theta = factor * mass_at(grid, bounds, lanes, summed, s, i, j, k, values)
        gap = real(0.0)
        if di != 0 or dj != 0 or dk != 0:
            if stands_free(grid, colliders, s, substep, grid.origin + grid.dx * vec3(real(i), real(j), real(k))):
                gap = mass_at(grid, bounds, lanes, summed, s, i + di, j + dj, k + dk, values) / rest - theta
        return theta, gap, factor

    @wp.func
    def step_of(digit: int) -> int:
        if digit == 2:
            return 2
        return -2 * digit

    @wp.func
    def looks_at(grid: Grid, i2: int, j2: int, k2: int, i: int, j: int, k: int) -> bool:
        # whether node 2, on a wall, has (i, j, k) as the one further in
        if i2 < 0 or i2 >= grid.nx or j2 < 0 or j2 >= grid.ny or k2 < 0 or k2 >= grid.nz:
            return False
        if i2 + inward(i2, grid.nx, grid.pad, grid.boundary_x) != i:
            return False
        if j2 + inward(j2, grid.ny, grid.pad, grid.boundary_y) != j:
            return False
        return k2 + inward(k2, grid.nz, grid.pad, grid.boundary_z) == k

    @wp.func
    def packing_adjoint(
        grid: Grid, colliders: Colliders, bounds: wp.array(dtype=wp.int32), lanes: int, substep: int,
        s: int, i: int, j: int, k: int, rest: real, adj_e: real,
        values: wp.array(dtype=vec4), adj_values: wp.array(dtype=vec4),
    ):  # fmt: skip
        # by the node's mass, of its own excess and of those of the walls' nodes that look at it; by rest, of its own
        theta, gap, factor = packing_at(grid, colliders, bounds, lanes, 1, substep, s, i, j, k, rest, values)
        by_theta, by_gap = excess_slopes(theta, gap)
        adj_m = adj_e * (by_theta - by_gap) * factor
        adj_rest = -adj_e * (by_theta * theta + by_gap * gap) / rest
        for code in range(1, 27):  # of wall nodes two nodes away, (0, -2, 2) along each axis
            i2 = i + step_of(code % 3)
            j2 = j + step_of((code // 3) % 3)
            k2 = k + step_of(code // 9)
            if looks_at(grid, i2, j2, k2, i, j, k):
                if mass_at(grid, bounds, lanes, 1, s, i2, j2, k2, values) > real(0.0):
                    t2, gap2, _f2 = packing_at(grid, colliders, bounds, lanes, 1, substep, s, i2, j2, k2, rest, values)
                    if gap2 > real(0.0):
                        node = node_at(grid, s, i2, j2, k2)
                        adj2 = lane_sum(grid, bounds, lanes, i2, j2, k2, node, adj_values)
                        _by_t, by_gap2 = excess_slopes(t2, gap2)
                        adj_m = adj_m + adj2[3] * by_gap2 / rest
        return adj_m, adj_rest

    @wp.kernel(**options)
    def adjoint(
        # parameters
        grid: Grid, colliders: Colliders, material: wp.array(dtype=vec8), bounds_in: wp.array(dtype=wp.int32),
        lanes: int, lane: int, chunk: int, parts: int, substep: int,
        # inputs
        momentum_in: wp.array(dtype=vec4), adj_lanes_in: wp.array(dtype=vec4),
        # outputs
        packing_out: wp.array(dtype=vec4),
    ):  # fmt: skip
        """What the excess of nodes adds to the adjoints of a node's mass and of the liquid's density."""
        first, last = touched_parts(grid, bounds_in, 0, lanes, wp.tid() * lanes + lane, parts)
        for part in range(first, last):
            s, i, j, lower, upper, base = touched(grid, bounds_in, lanes, chunk, part)
            for k in range(lower, upper):
                if momentum_in[base + k][3] > real(0.0):
                    rest = material[s][DENSITY] * grid.dx * grid.dx * grid.dx
                    adj_e = lane_sum(grid, bounds_in, lanes, i, j, k, base + k, adj_lanes_in)[3]
                    adj_m, adj_rest = packing_adjoint(
                        grid, colliders, bounds_in, lanes, substep, s, i, j, k, rest, adj_e, momentum_in, adj_lanes_in
                    )
                    packing_out[base + k] = vec4(adj_m, adj_rest * grid.dx * grid.dx * grid.dx, real(0.0), real(0.0))

    return SimpleNamespace(packing_at=packing_at, adjoint=adjoint)
