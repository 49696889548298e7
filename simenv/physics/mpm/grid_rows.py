# SPDX-License-Identifier: Apache-2.0
"""The nodes that a thread of the grid kernels works on, of a dense or a sparse grid."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.blocks import block_functions
from simenv.physics.mpm.grid import grid_struct
from simenv.physics.mpm.stencil import stencil_functions


@built_once
def grid_rows(real, sparse: bool) -> SimpleNamespace:
    """Build the Warp functions for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.
        sparse: whether nodes are stored in blocks.

    Returns:
        A namespace of Warp functions:

        * ``touched_parts(grid, bounds, first, last, thread, parts)``: the first and last + 1 of a thread's parts that
          lanes `first` to `last` - 1 may touch
        * ``touched(grid, bounds, lanes, chunk, part)``: of a part, its world, i, j, first k, last k + 1, and the place
          that k = 0 would have
        * ``node_at(grid, world, i, j, k)``: the place of a node, of a sparse grid -1 if it has none
        * ``lane_sum(grid, bounds, lanes, i, j, k, node, values)``: of what the lanes have at a touched node
        * ``is_touched(grid, bounds, lanes, world, i, j, k)``: whether a node is
        * ``mass_at(grid, bounds, lanes, summed, world, i, j, k, values)``: the mass of any node, touched or not
        * ``value_at(grid, bounds, lanes, world, i, j, k, values)``: what any node has, zero where nothing is touched
        * ``neighbour(grid, bounds, lanes, world, i, j, k, side, values)``: the same of neighbour 0 to 5
        * ``beside(side)``: where that neighbour is, from a node
    """
    vec4 = stencil_functions(real).vec4
    gs = grid_struct(real)
    Grid, image = gs.Grid, gs.image
    blocks = block_functions(real, Grid)
    block_row, block_node = blocks.block_row, blocks.block_node

    @wp.func
    def row_range(bounds: wp.array(dtype=wp.int32), lanes: int, i: int, j: int, first: int, chunk: int):
        # the part of a chunk that any lane touches
        lower = first + chunk
        upper = first
        for lane in range(lanes):
            b = lane * 6
            if i >= bounds[b] and i <= bounds[b + 3] and j >= bounds[b + 1] and j <= bounds[b + 4]:
                lower = wp.min(lower, wp.max(bounds[b + 2], first))
                upper = wp.max(upper, wp.min(bounds[b + 5] + 1, first + chunk))
        return lower, upper

    @wp.func
    def dense_row(grid: Grid, bounds: wp.array(dtype=wp.int32), lanes: int, chunk: int, part: int):
        # the touched nodes of a part: world, i, j, first k, last k + 1, and the place of k = 0
        chunks = (grid.nz + chunk - 1) // chunk
        row = part // chunks
        s = row // (grid.nx * grid.ny)
        i = (row // grid.ny) % grid.nx
        j = row % grid.ny
        first = (part - row * chunks) * chunk
        lower, upper = row_range(bounds, lanes, i, j, first, wp.min(chunk, grid.nz - first))
        return s, i, j, lower, upper, s * grid.cells + (i * grid.ny + j) * grid.nz

    @wp.func
    def sparse_row(grid: Grid, bounds: wp.array(dtype=wp.int32), lanes: int, chunk: int, part: int):
        s, i, j, lower, upper, base = block_row(grid, chunk, part)
        return s, i, j, lower, upper, base

    @wp.func
    def every_part(grid: Grid, bounds: wp.array(dtype=wp.int32), first: int, last: int, thread: int, parts: int):
        return thread * parts, (thread + 1) * parts

    touched, touched_parts = (sparse_row, every_part) if sparse else (dense_row, gs.touched_parts)

    @wp.func
    def lane_sum(
        grid: Grid,
        bounds: wp.array(dtype=wp.int32),
        lanes: int,
        i: int,
        j: int,
        k: int,
        node: int,
        values: wp.array(dtype=vec4),
    ) -> vec4:
        if lanes == 1:
            return values[node]
        total = vec4()
        for lane in range(lanes):
            b = lane * 6
            inside = i >= bounds[b] and i <= bounds[b + 3] and j >= bounds[b + 1] and j <= bounds[b + 4]
            if inside and k >= bounds[b + 2] and k <= bounds[b + 5]:
                total = total + values[lane * grid.cells + node]
        return total

    @wp.func
    def dense_node(grid: Grid, s: int, i: int, j: int, k: int) -> int:
        return s * grid.cells + (i * grid.ny + j) * grid.nz + k

    node_at = block_node if sparse else dense_node

    @wp.func
    def mass_at(
        grid: Grid, bounds: wp.array(dtype=wp.int32), lanes: int, summed: int, s: int, i: int, j: int, k: int,
        values: wp.array(dtype=vec4),
    ) -> real:  # fmt: skip
        # of any node, touched or not; `values` are of `summed` lanes
        node = node_at(grid, s, i, j, k)
        total = real(0.0)
        if wp.static(sparse):
            if node >= 0:
                total = values[node][3]
            return total
        for lane in range(lanes):
            b = lane * 6
            inside = i >= bounds[b] and i <= bounds[b + 3] and j >= bounds[b + 1] and j <= bounds[b + 4]
            if inside and k >= bounds[b + 2] and k <= bounds[b + 5]:
                if summed == 1:
                    return values[node][3]
                total = total + values[lane * grid.cells + node][3]
        return total

    @wp.func
    def is_touched(
        grid: Grid, bounds: wp.array(dtype=wp.int32), lanes: int, s: int, i: int, j: int, k: int
    ) -> bool:  # fmt: skip
        if wp.static(sparse):
            if i < 0 or i >= grid.nx or j < 0 or j >= grid.ny or k < 0 or k >= grid.nz:
                return False
            return node_at(grid, s, i, j, k) >= 0
        for lane in range(lanes):
            b = lane * 6
            inside = i >= bounds[b] and i <= bounds[b + 3] and j >= bounds[b + 1] and j <= bounds[b + 4]
            if inside and k >= bounds[b + 2] and k <= bounds[b + 5]:
                return True
        return False

    @wp.func
    def value_at(
        grid: Grid, bounds: wp.array(dtype=wp.int32), lanes: int, s: int, i: int, j: int, k: int,
        values: wp.array(dtype=vec4),
    ) -> vec4:  # fmt: skip
        # zero where nothing is touched
        a = image(i, grid.nx, grid.pad, grid.boundary_x)
        b = image(j, grid.ny, grid.pad, grid.boundary_y)
        c = image(k, grid.nz, grid.pad, grid.boundary_z)
        if not is_touched(grid, bounds, lanes, s, a, b, c):
            return vec4()
        return values[node_at(grid, s, a, b, c)]

    @wp.func
    def beside(side: int):
        step = 2 * (side % 2) - 1
        axis = side // 2
        if axis == 0:
            return step, 0, 0
        if axis == 1:
            return 0, step, 0
        return 0, 0, step

    @wp.func
    def neighbour(
        grid: Grid, bounds: wp.array(dtype=wp.int32), lanes: int, s: int, i: int, j: int, k: int, side: int,
        values: wp.array(dtype=vec4),
    ) -> vec4:  # fmt: skip
        # number `side` of six
        di, dj, dk = beside(side)
        return value_at(grid, bounds, lanes, s, i + di, j + dj, k + dk, values)

    return SimpleNamespace(
        is_touched=is_touched,
        value_at=value_at,
        neighbour=neighbour,
        beside=beside,
        touched=touched,
        touched_parts=touched_parts,
        lane_sum=lane_sum,
        node_at=node_at,
        mass_at=mass_at,
    )
