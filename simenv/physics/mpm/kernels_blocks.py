# SPDX-License-Identifier: Apache-2.0
"""Kernels that keep the table of a sparse grid (`blocks.py`): each substep they mark and number the touched blocks.

Every integer that they write depends on the set of touched blocks only, not on the order of particles or threads. Words
of the table are handled in groups of 64 and groups by 64 again, so that untouched parts of the box cost almost nothing.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.blocks import GROUP, SHIFT, BlockTable, block_functions
from simenv.physics.mpm.grid import grid_struct
from simenv.physics.mpm.stencil import stencil_functions
from simenv.physics.status import BLOCKS_FULL


@built_once
def block_kernels(real, batched: bool) -> SimpleNamespace:
    """Build the kernels; the arguments are those of `transfer_kernels`."""
    st = stencil_functions(real)
    vec3, vec4 = st.vec3, st.vec4
    gs = grid_struct(real)
    Grid, stencil_at, is_inert = gs.Grid, gs.stencil_at, gs.is_inert
    block_row = block_functions(real, Grid).block_row
    variant = f"{real.__name__}_{'batched' if batched else 'single'}"
    options = {"module": f"simenv_mpm_blocks_{variant}", "enable_backward": False}

    @wp.kernel(**options)
    def forget(
        # parameters
        table: BlockTable,
        # outputs
        marks_out: wp.array(dtype=wp.int32), marked_inout: wp.array(dtype=wp.int32),
        supers_out: wp.array(dtype=wp.int32), count_out: wp.array(dtype=wp.int32),
    ):  # fmt: skip
        """Unmark the blocks of the last substep; a thread has a group of words."""
        t = wp.tid()
        s = t // table.groups
        group = t - s * table.groups
        if group % GROUP == 0:
            supers_out[s * table.supers + group // GROUP] = 0
        if group == 0:
            count_out[s] = 0
        if marked_inout[t] != 0:
            marked_inout[t] = 0
            first = group * GROUP
            for word in range(first, wp.min(first + GROUP, table.words)):
                marks_out[s * table.words + word] = 0

    @wp.func
    def set_bits(
        table: BlockTable, s: int, word: int, bits: int, marks: wp.array(dtype=wp.int32),
        marked: wp.array(dtype=wp.int32),
    ):  # fmt: skip
        if (marks[s * table.words + word] & bits) != bits:
            wp.atomic_or(marks, s * table.words + word, bits)
            marked[s * table.groups + word // GROUP] = 1

    @wp.kernel(**options)
    def mark(
        # parameters
        grid: Grid, active: wp.array(dtype=wp.int32), particles: int,
        # inputs
        x_in: wp.array(dtype=vec3),
        # outputs
        marks_inout: wp.array(dtype=wp.int32), marked_out: wp.array(dtype=wp.int32),
    ):  # fmt: skip
        """Mark the blocks that a particle touches, and their groups."""
        p = wp.tid()
        s = int(0)
        if wp.static(batched):
            s = p // particles
        if is_inert(grid, active[p], x_in[p]):
            return
        i, j, k, _f = stencil_at(grid, x_in[p])
        more_x = ((i + 2) >> SHIFT) - (i >> SHIFT)
        more_y = ((j + 2) >> SHIFT) - (j >> SHIFT)
        c = k >> SHIFT
        last = (k + 2) >> SHIFT
        for n in range(4):
            column = ((i >> SHIFT) + (n >> 1) * more_x) * grid.table.columns_y + (j >> SHIFT) + (n & 1) * more_y
            row = column * grid.table.row_words
            if (c >> 5) == (last >> 5):
                set_bits(grid.table, s, row + (c >> 5), (1 << (c & 31)) | (1 << (last & 31)), marks_inout, marked_out)
            else:
                set_bits(grid.table, s, row + (c >> 5), 1 << (c & 31), marks_inout, marked_out)
                set_bits(grid.table, s, row + (last >> 5), 1 << (last & 31), marks_inout, marked_out)

    @wp.kernel(**options)
    def count(
        # parameters
        table: BlockTable,
        # inputs
        marked_in: wp.array(dtype=wp.int32),
        # outputs
        sums_out: wp.array(dtype=wp.int32), supers_out: wp.array(dtype=wp.int32), count_out: wp.array(dtype=wp.int32),
    ):  # fmt: skip
        """Number of marked blocks of each group, of each group of groups, and of the world."""
        t = wp.tid()
        s = t // table.groups
        group = t - s * table.groups
        total = int(0)
        if marked_in[t] != 0:
            first = group * GROUP
            for word in range(first, wp.min(first + GROUP, table.words)):
                total = total + wp.bit_count(table.marks[s * table.words + word])
            wp.atomic_add(supers_out, s * table.supers + group // GROUP, total)
            wp.atomic_add(count_out, s, total)
        sums_out[t] = total

    @wp.kernel(**options)
    def number(
        # parameters
        table: BlockTable,
        # inputs
        marked_in: wp.array(dtype=wp.int32), sums_in: wp.array(dtype=wp.int32), supers_in: wp.array(dtype=wp.int32),
        # outputs
        before_out: wp.array(dtype=wp.int32), block_out: wp.array(dtype=wp.int32), status_out: wp.array(dtype=wp.int32),
    ):  # fmt: skip
        """Slots in the order of the table; a world with more blocks than slots gets a status."""
        t = wp.tid()
        s = t // table.groups
        group = t - s * table.groups
        if group == 0 and table.count[s] > table.capacity:
            wp.atomic_or(status_out, s, BLOCKS_FULL)
        if marked_in[t] == 0:
            return
        slot = int(0)
        for index in range(group // GROUP):
            slot = slot + supers_in[s * table.supers + index]
        for index in range(group - group % GROUP, group):
            slot = slot + sums_in[s * table.groups + index]
        first = group * GROUP
        for word in range(first, wp.min(first + GROUP, table.words)):
            bits = table.marks[s * table.words + word]
            before_out[s * table.words + word] = slot
            if bits != 0:
                for bit in range(32):
                    if ((bits >> bit) & 1) != 0:
                        if slot < table.capacity:
                            block_out[s * table.capacity + slot] = 32 * word + bit
                        slot = slot + 1

    @wp.kernel(**options)
    def clear(grid: Grid, chunk: int, grid_out: wp.array(dtype=vec4)):
        """Set to zero the nodes of all touched blocks; a thread has `chunk` of them."""
        _s, _i, _j, first, last, base = block_row(grid, chunk, wp.tid())
        for k in range(first, last):
            grid_out[base + k] = vec4()

    return SimpleNamespace(forget=forget, mark=mark, count=count, number=number, clear=clear)
