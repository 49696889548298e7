# SPDX-License-Identifier: Apache-2.0
"""A sparse grid: nodes are stored in blocks of 4 x 4 x 4, and only blocks that particles touch have a place.

A store holds the nodes of `capacity` blocks of a world. Which block is in which slot is said by one bit for every block
of the box (``marks``) and, for every 32 of them, the number of marked blocks before (``before``): the slot of a block
is its rank among the marked ones, as in a succinct bit vector (Jacobson 1989). So slots follow from the set of touched
blocks alone, whatever the order of particles and threads, and the table takes about two bits for a block of 64 nodes.
The kernels that keep it are in `kernels_blocks.py`.

Around a particle up to eight blocks meet, in pairs along z that are in consecutive slots. On the CPU their 27 nodes are
copied to a small dense array, on which the code of `stencil.py` runs as it does on a dense grid: results are equal bit
for bit.
"""

import itertools
import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.stencil import snippets, stencil_functions

SHIFT = 2  # blocks are 2^SHIFT nodes wide
BLOCK = 1 << SHIFT
BLOCK_NODES = BLOCK**3
SPARE = 2  # slots that what finds no place is written to: a block, and the next along z
GROUP = 64  # words of the table that are handled together, and groups that are

vec5i = wp.types.vector(5, wp.int32)


@dataclass(frozen=True)
class BlockLayout:
    """Sizes of the table of one world.

    Attributes:
        columns: blocks along x and y.
        row_words: words of 32 blocks along z.
        words: of the table; groups: of `GROUP` words; supers: of `GROUP` groups.
    """

    columns: tuple[int, int]
    row_words: int
    words: int
    groups: int
    supers: int

    @classmethod
    def of(cls, shape: tuple[int, int, int]) -> "BlockLayout":
        """The layout for a grid of `shape` nodes."""
        nx, ny, nz = (-(-n // BLOCK) for n in shape)
        row_words = -(-nz // 32)
        words = nx * ny * row_words
        groups = -(-words // GROUP)
        return cls((nx, ny), row_words, words, groups, -(-groups // GROUP))


def touched_blocks(positions: np.ndarray, origin: np.ndarray, dx: float) -> int:
    """Number of blocks that particles at `positions` (P, 3) [m] touch; `origin` (3,) is the place of node 0 [m]."""
    first = np.floor((positions - origin) / dx - 0.5).astype(np.int64)
    corners = [first >> SHIFT, (first + 2) >> SHIFT]
    every = [
        np.stack([corners[a][:, 0], corners[b][:, 1], corners[c][:, 2]], 1)
        for a, b, c in itertools.product((0, 1), repeat=3)
    ]
    return len(np.unique(np.concatenate(every), axis=0))


def default_capacity(positions: np.ndarray, volume: float, origin: np.ndarray, dx: float) -> int:
    """Four times what a scene touches at its start, as material spreads.

    Args:
        positions: of the particles that take part, (P, 3) [m].
        volume: of those that come later [m^3], taken as eight times as many blocks as they fill.
        origin: place of node 0 [m], (3,).
        dx: [m].
    """
    later = math.ceil(8 * volume / (BLOCK * dx) ** 3)
    return max(4 * (touched_blocks(positions, origin, dx) + later), 64)


@wp.struct
class BlockTable:
    """The tables of all worlds of a solver, one after the other."""

    capacity: wp.int32  # slots of a world; SPARE more are for what finds no place
    columns_y: wp.int32
    row_words: wp.int32
    words: wp.int32
    groups: wp.int32
    supers: wp.int32
    marks: wp.array(dtype=wp.int32)  # (S words) bits
    before: wp.array(dtype=wp.int32)  # (S words) marked blocks of the world before those of the word
    block: wp.array(dtype=wp.int32)  # (S capacity) the block of every slot: 32 word + bit
    count: wp.array(dtype=wp.int32)  # (S) marked blocks


# `place` has the first nodes of the slots of the four columns of blocks, and the stencil's first node within its block.
# `row` is where a row of three nodes begins. Blocks that meet along z are in consecutive slots, as both are marked:
# nodes 1 and 2 of a row are `shift1` and `shift2` further away if they are in the next block.
_ROWS = """
    const int low = place[4] & 255, mid = (place[4] >> 8) & 255, high = place[4] >> 16;
    const long long shift1 = high + 1 < {block} ? 0 : {gap}, shift2 = high + 2 < {block} ? 0 : {gap};
    auto row = [&](int i, int j) {{
        const int inside = ((((low + i) & {mask}) << {shift}) + ((mid + j) & {mask})) << {shift};
        return (long long)start + place[2 * ((low + i) >> {shift}) + ((mid + j) >> {shift})] + inside + high;
    }};
"""

# The copy to a dense array of 3 x 3 x 3 nodes, in the pieces in which stencil.py reads it.
_LOAD = """
#if defined(__CUDACC__)
    auto& grid = values;
    auto at = [&](int i, int j, int k) {{ return row(i, j) + k + (k == 1 ? shift1 : k == 2 ? shift2 : 0); }};
#else
    typedef {scalar} t4 __attribute__((ext_vector_type(4)));
    typedef {scalar} w4 __attribute__((ext_vector_type(4), aligned(4), may_alias));
    typedef {scalar} w8 __attribute__((ext_vector_type(8), aligned(4), may_alias));
    alignas(64) {scalar} tile[27 * 4];
    #pragma clang loop unroll(full)
    for (int i = 0; i < 3; ++i)
        #pragma clang loop unroll(full)
        for (int j = 0; j < 3; ++j) {{
            const {scalar}* node = (const {scalar}*)(values.data + row(i, j));
            const t4 first = *(const w4*)node, second = *(const w4*)(node + 4 * (1 + shift1));
            *(w8*)(tile + 36 * i + 12 * j) = __builtin_shufflevector(first, second, 0, 1, 2, 3, 4, 5, 6, 7);
            *(w4*)(tile + 36 * i + 12 * j + 8) = *(const w4*)(node + 4 * (2 + shift2));
        }}
    const struct {{ wp::vec_t<4, {real}>* data; }} grid = {{(wp::vec_t<4, {real}>*)tile}};
    const int index = 0, stride_x = 9, stride_y = 3;
#endif
"""

_STORE = """
#if !defined(__CUDACC__)
    #pragma clang loop unroll(full)
    for (int i = 0; i < 3; ++i)
        #pragma clang loop unroll(full)
        for (int j = 0; j < 3; ++j) {{
            {scalar}* node = ({scalar}*)(values.data + row(i, j));
            const w8 pair = *(const w8*)(tile + 36 * i + 12 * j);
            *(w4*)node = pair.lo;
            *(w4*)(node + 4 * (1 + shift1)) = pair.hi;
            *(w4*)(node + 4 * (2 + shift2)) = *(const w4*)(tile + 36 * i + 12 * j + 8);
        }}
#endif
"""


@built_once
def block_functions(real, Grid, rows: int = 3) -> SimpleNamespace:
    """The functions of `grid.node_access` for a sparse grid.

    Args:
        real: ``wp.float32`` or ``wp.float64``.
        Grid: the grid's struct.
        rows: number of rows of ``A``, see `stencil_functions`.
    """
    st = stencil_functions(real, rows)
    vec3, vec4, vec16, affine = st.vec3, st.vec4, st.vec16, st.affine
    names = {"real": f"wp::{real.__name__}", "scalar": "float" if real is wp.float32 else "double"}
    load = _ROWS.format(shift=SHIFT, block=BLOCK, mask=BLOCK - 1, gap=BLOCK_NODES - BLOCK) + _LOAD.format(**names)
    text = snippets(real, node="at(i, j, k)", rows=rows)

    @wp.func_native(load + text["scatter"] + _STORE.format(**names))
    def block_scatter(values: wp.array(dtype=vec4), start: int, place: vec5i, f: vec3, q: vec4, A: affine): ...

    @wp.func_native(load + text["gather"])
    def block_gather(values: wp.array(dtype=vec4), start: int, place: vec5i, f: vec3) -> vec16: ...

    @wp.func_native(load + text["sweep"])
    def block_sweep(
        values: wp.array(dtype=vec4), start: int, place: vec5i, f: vec3, q: vec4, A: affine, sum: vec4
    ) -> vec3: ...

    @wp.func
    def slot_start(table: BlockTable, world: int, i: int, j: int, k: int) -> int:
        # first node of a block's slot, counted from that of slot 0
        word = world * table.words + (i * table.columns_y + j) * table.row_words + (k >> 5)
        below = table.marks[word] & ~((-1) << (k & 31))
        return wp.min(table.before[word] + wp.bit_count(below), table.capacity) * BLOCK_NODES

    @wp.func
    def locate(grid: Grid, world: int, i: int, j: int, k: int) -> vec5i:
        place = vec5i()
        a = i >> SHIFT
        b = j >> SHIFT
        c = k >> SHIFT
        next_a = (i + 2) >> SHIFT
        next_b = (j + 2) >> SHIFT
        place[0] = slot_start(grid.table, world, a, b, c)
        place[1] = slot_start(grid.table, world, a, next_b, c)
        place[2] = slot_start(grid.table, world, next_a, b, c)
        place[3] = slot_start(grid.table, world, next_a, next_b, c)
        place[4] = (i & (BLOCK - 1)) | ((j & (BLOCK - 1)) << 8) | ((k & (BLOCK - 1)) << 16)
        return place

    @wp.func
    def scatter(values: wp.array(dtype=vec4), grid: Grid, store: int, place: vec5i, f: vec3, q: vec4, A: affine):
        block_scatter(values, store * grid.cells, place, f, q, A)

    @wp.func
    def gather(values: wp.array(dtype=vec4), grid: Grid, store: int, place: vec5i, f: vec3) -> vec16:
        return block_gather(values, store * grid.cells, place, f)

    @wp.func
    def sweep(
        values: wp.array(dtype=vec4), grid: Grid, store: int, place: vec5i, f: vec3, q: vec4, A: affine, sum: vec4
    ) -> vec3:
        return block_sweep(values, store * grid.cells, place, f, q, A, sum)

    @wp.func
    def block_row(grid: Grid, chunk: int, t: int):
        # the `chunk` nodes of thread t: world, i, j, first k, last k + 1, and the place of k = 0 if the row went on
        parts = BLOCK_NODES // chunk
        slot = t // parts
        s = slot // grid.table.capacity
        slot = slot - s * grid.table.capacity
        if slot >= grid.table.count[s]:
            return s, 0, 0, 0, 0, 0
        first = (t % parts) * chunk
        block = grid.table.block[s * grid.table.capacity + slot]
        column = block // (32 * grid.table.row_words)
        i = (column // grid.table.columns_y) * BLOCK + first // (BLOCK * BLOCK)
        j = (column % grid.table.columns_y) * BLOCK + (first // BLOCK) % BLOCK
        k = (block % (32 * grid.table.row_words)) * BLOCK + first % BLOCK
        return s, i, j, k, k + chunk, s * grid.cells + slot * BLOCK_NODES + first - k

    @wp.func
    def block_node(grid: Grid, s: int, i: int, j: int, k: int) -> int:
        # the place of one node, or -1 if its block is not marked
        c = k >> SHIFT
        word = s * grid.table.words + ((i >> SHIFT) * grid.table.columns_y + (j >> SHIFT)) * grid.table.row_words
        if (grid.table.marks[word + (c >> 5)] >> (c & 31)) & 1 == 0:
            return -1
        inside = (((i & (BLOCK - 1)) << SHIFT) + (j & (BLOCK - 1))) << SHIFT
        return s * grid.cells + slot_start(grid.table, s, i >> SHIFT, j >> SHIFT, c) + inside + (k & (BLOCK - 1))

    return SimpleNamespace(
        locate=locate, scatter=scatter, gather=gather, sweep=sweep, block_row=block_row, block_node=block_node
    )
