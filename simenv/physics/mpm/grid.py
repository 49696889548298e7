# SPDX-License-Identifier: Apache-2.0
"""The grid as kernels see it: its constants, its walls, and how the nodes around a particle are reached."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.blocks import BlockTable, block_functions
from simenv.physics.mpm.stencil import stencil_functions

SEPARATE, SLIP, STICK, PERIODIC, OUTFLOW = 0, 1, 2, 3, 4  # what a wall of the domain does


@built_once
def grid_struct(real) -> SimpleNamespace:
    """The grid's constants as a Warp struct, and the functions that read it, for one scalar type."""
    vec3 = stencil_functions(real).vec3

    @wp.struct
    class Grid:
        nx: wp.int32
        ny: wp.int32
        nz: wp.int32
        cells: wp.int32
        pad: wp.int32  # nodes outside the domain on each side
        boundary_x: wp.int32
        boundary_y: wp.int32
        boundary_z: wp.int32
        is_open: wp.int32  # whether any wall is OUTFLOW
        dx: real
        inv_dx: real
        dt: real
        origin: vec3  # position of node (0, 0, 0) [m]
        table: BlockTable  # of a sparse grid

    @wp.func
    def first_node(coordinate: real, count: int) -> int:
        # index of the first of the three nodes; kept inside the grid whatever the coordinate, NaN included
        if coordinate > real(0.5) and coordinate < real(count):
            return wp.min(int(coordinate - real(0.5)), count - 3)
        return 0

    @wp.func
    def stencil_at(grid: Grid, x: vec3):
        # indices of the first node of a particle's stencil, and the particle's place relative to it, in cells
        g = (x - grid.origin) * grid.inv_dx
        i = first_node(g[0], grid.nx)
        j = first_node(g[1], grid.ny)
        k = first_node(g[2], grid.nz)
        return i, j, k, vec3(g[0] - real(i), g[1] - real(j), g[2] - real(k))

    @wp.func
    def wrapped(coordinate: real, count: int, pad: int, boundary: int) -> real:
        # `coordinate` in cells; a periodic domain has count - 1 - 2 pad cells
        period = real(count - 1 - 2 * pad)
        if boundary != PERIODIC:
            return real(0.0)
        if coordinate < real(pad):
            return period
        if coordinate >= real(pad) + period:
            return -period
        return real(0.0)

    @wp.func
    def wrap(grid: Grid, x: vec3) -> vec3:
        g = (x - grid.origin) * grid.inv_dx
        return x + grid.dx * vec3(
            wrapped(g[0], grid.nx, grid.pad, grid.boundary_x),
            wrapped(g[1], grid.ny, grid.pad, grid.boundary_y),
            wrapped(g[2], grid.nz, grid.pad, grid.boundary_z),
        )

    @wp.func
    def image(node: int, count: int, pad: int, boundary: int) -> int:
        # the node of the domain that a ghost of a periodic axis stands for; there is one more node than cells
        period = count - 1 - 2 * pad
        if boundary == PERIODIC and node < pad:
            return node + period
        if boundary == PERIODIC and node >= pad + period:
            return node - period
        return node

    @wp.func
    def beyond(coordinate: real, count: int, pad: int, boundary: int) -> bool:
        return boundary == OUTFLOW and (coordinate < real(pad) or coordinate > real(count - 1 - pad))

    @wp.func
    def is_inert(grid: Grid, active: int, x: vec3) -> bool:
        # a particle that takes no part, or that has left through an open wall: it stays where it is
        if active == 0:
            return True
        if grid.is_open == 0:
            return False
        g = (x - grid.origin) * grid.inv_dx
        if beyond(g[0], grid.nx, grid.pad, grid.boundary_x) or beyond(g[1], grid.ny, grid.pad, grid.boundary_y):
            return True
        return beyond(g[2], grid.nz, grid.pad, grid.boundary_z)

    @wp.func
    def touched_parts(grid: Grid, bounds: wp.array(dtype=wp.int32), first: int, last: int, thread: int, parts: int):
        # first and last + 1 of a thread's parts that lanes `first` to `last` - 1 may touch: of a plane, some rows
        if parts == 1:
            return thread, thread + 1
        i = thread % grid.nx
        lower = parts
        upper = int(0)
        for lane in range(first, last):
            b = lane * 6
            if i >= bounds[b] and i <= bounds[b + 3]:
                lower = wp.min(lower, bounds[b + 1])
                upper = wp.max(upper, bounds[b + 4] + 1)
        return thread * parts + lower, thread * parts + upper

    return SimpleNamespace(
        Grid=Grid, first_node=first_node, stencil_at=stencil_at, wrap=wrap, image=image, is_inert=is_inert,
        touched_parts=touched_parts,
    )  # fmt: skip


@built_once
def node_access(real, sparse: bool, rows: int = 3) -> SimpleNamespace:
    """The functions of `stencil.py` on either storage of the grid.

    Args:
        real: ``wp.float32`` or ``wp.float64``.
        sparse: whether nodes are stored in blocks (`blocks.py`); otherwise every node of the box has its place.
        rows: number of rows of ``A``, see `stencil_functions`.

    Returns:
        Namespace with

        * ``locate(grid, world, i, j, k)``: where in a store the nodes are of which (i, j, k) is the first;
        * ``scatter(values, grid, store, place, f, q, A)``, ``gather(values, grid, store, place, f)`` and
          ``sweep(values, grid, store, place, f, q, A, sum)``: those of `stencil.py`, on store number `store` of
          `values`, which holds `Grid.cells` nodes.
    """
    if sparse:
        return block_functions(real, grid_struct(real).Grid, rows)
    st = stencil_functions(real, rows)
    vec3, vec4, vec16, affine = st.vec3, st.vec4, st.vec16, st.affine
    stencil_scatter, stencil_gather, stencil_sweep = st.scatter, st.gather, st.sweep
    Grid = grid_struct(real).Grid

    @wp.func
    def locate(grid: Grid, world: int, i: int, j: int, k: int) -> int:
        return (i * grid.ny + j) * grid.nz + k

    @wp.func
    def scatter(values: wp.array(dtype=vec4), grid: Grid, store: int, place: int, f: vec3, q: vec4, A: affine):
        stencil_scatter(values, store * grid.cells + place, grid.ny * grid.nz, grid.nz, f, q, A)

    @wp.func
    def gather(values: wp.array(dtype=vec4), grid: Grid, store: int, place: int, f: vec3) -> vec16:
        return stencil_gather(values, store * grid.cells + place, grid.ny * grid.nz, grid.nz, f)

    @wp.func
    def sweep(
        values: wp.array(dtype=vec4), grid: Grid, store: int, place: int, f: vec3, q: vec4, A: affine, sum: vec4
    ) -> vec3:
        return stencil_sweep(values, store * grid.cells + place, grid.ny * grid.nz, grid.nz, f, q, A, sum)

    return SimpleNamespace(locate=locate, scatter=scatter, gather=gather, sweep=sweep)
