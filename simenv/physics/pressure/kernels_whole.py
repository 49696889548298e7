# SPDX-License-Identifier: Apache-2.0
"""Warp kernels that prepare and solve the pressure equation of a world in one thread, as the CPU does: no launch waits
between two sweeps, and a world ends when it has converged.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.pressure.kernels_krylov import krylov_functions
from simenv.physics.pressure.kernels_pockets import POCKETS, pocket_functions

__all__ = ["whole_kernels"]


@built_once
def whole_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `prepare`, which makes coarser levels, diagonals and pockets of the finest's weights and shift,
        `solve`, and the struct `Levels`.
    """
    f, g = krylov_functions(real), pocket_functions(real)
    Levels, coarsen, invert, cycle, deepest = f.Levels, f.coarsen, f.invert, f.cycle, f.deepest
    start, judge, align, turn, search, apply, advance = (
        f.start, f.judge, f.align, f.turn, f.search, f.apply, f.advance
    )  # fmt: skip
    label, join, count, number, spread = g.label, g.join, g.count, g.number, g.spread
    collect, average, remove = g.collect, g.average, g.remove
    room = wp.constant(POCKETS)
    options = {"module": f"simenv_pressure_{real.__name__}", "enable_backward": False}

    @wp.kernel(**options)
    def prepare(
        levels_inout: Levels,
        counts_out: wp.array2d(dtype=int),
        labels_out: wp.array2d(dtype=int),
        pockets_out: wp.array2d(dtype=int),
    ):
        w = wp.tid()
        s = levels_inout
        for level in range(deepest(s) + 1):
            for i in range(s.n[level][0]):
                if level > 0:
                    coarsen(s, w, level, i)
            for i in range(s.n[level][0]):
                invert(s, w, level, i)
        nx = s.n[0][0]
        for i in range(nx):
            label(s, w, i, labels_out)
        before = int(0)
        changes = int(1)
        while changes > before:
            before = int(changes)
            for i in range(nx):
                changes += join(s, w, i, labels_out)
        for i in range(nx):
            counts_out[w, i] = count(s, w, i, labels_out)
        for i in range(nx):
            number(s, w, i, labels_out, counts_out, pockets_out)
        for i in range(nx):
            spread(s, w, i, labels_out, pockets_out)

    @wp.func
    def level_out(
        s: Levels, w: int, pockets: wp.array2d(dtype=int), roomy: real, some: int, give: int,
        parts: wp.array4d(dtype=real), mean: wp.array2d(dtype=real), value: wp.array2d(dtype=real),
    ):  # fmt: skip
        for i in range(s.n[0][0]):
            collect(s, w, i, pockets, value, roomy, some, give, parts)
        for each in range(room):
            mean[w, each] = average(w, each, parts)
        for i in range(s.n[0][0]):
            remove(s, w, i, pockets, mean, roomy, give, value)

    @wp.kernel(**options)
    def solve(
        tolerance: real,
        rounding: real,
        iterations: int,
        sweeps: int,
        last: int,
        roomy: real,
        adjoint: int,
        s: Levels,
        pockets_in: wp.array2d(dtype=int),
        counts_in: wp.array2d(dtype=int),
        scale_in: wp.array(dtype=real),
        b_inout: wp.array2d(dtype=real),
        p_out: wp.array2d(dtype=real),
        done_out: wp.array(dtype=int),
        left_out: wp.array2d(dtype=real),
        spent_out: wp.array(dtype=int),
        right_out: wp.array2d(dtype=real),
        found_out: wp.array2d(dtype=real),
        d_out: wp.array2d(dtype=real),
        ad_out: wp.array2d(dtype=real),
        sums_out: wp.array3d(dtype=real),
        aligned_out: wp.array2d(dtype=real),
        parts_out: wp.array4d(dtype=real),
        mean_out: wp.array2d(dtype=real),
    ):
        w = wp.tid()
        nx = s.n[0][0]
        sealed = int(0)
        for i in range(nx):
            sealed += counts_in[w, i]
        some = int(0)
        if sealed > 0:
            if roomy > real(0.0):
                some = 1
            if some == 1 and adjoint == 0:
                level_out(s, w, pockets_in, roomy, 1, 1, parts_out, mean_out, b_inout)
            level_out(s, w, pockets_in, roomy, 0, 0, parts_out, mean_out, b_inout)
        for i in range(nx):
            start(s, w, i, b_inout, p_out, right_out, d_out, sums_out)
        bottom = deepest(s)
        for c in range(s.cell[bottom] + s.n[bottom][0] * s.n[bottom][1] * s.n[bottom][2]):
            found_out[w, c] = real(0.0)
        judge(w, 0, tolerance, rounding, scale_in, sums_out, done_out, left_out, spent_out)
        each = int(0)
        while each < iterations and done_out[w] == 0:
            if sealed > 0 and each > 0:  # rounding brings the mean back, and of it a cycle makes a pressure without end
                level_out(s, w, pockets_in, roomy, 0, 0, parts_out, mean_out, right_out)
            cycle(s, w, sweeps, last, right_out, found_out)
            for i in range(nx):
                sums_out[w, i, 2] = align(s, w, i, right_out, found_out)
            turn(w, each, sums_out, aligned_out)
            for i in range(nx):
                search(s, w, i, each, found_out, aligned_out, d_out)
            for i in range(nx):
                sums_out[w, i, 0] = apply(s, w, i, d_out, ad_out)
            for i in range(nx):
                advance(s, w, i, d_out, ad_out, aligned_out, sums_out, p_out, right_out)
            each += 1
            judge(w, each, tolerance, rounding, scale_in, sums_out, done_out, left_out, spent_out)
        if sealed > 0:
            level_out(s, w, pockets_in, roomy, 0, 0, parts_out, mean_out, p_out)
            if some == 1 and adjoint == 1:  # the transpose of what the right-hand side goes through
                level_out(s, w, pockets_in, roomy, 1, 0, parts_out, mean_out, p_out)

    return SimpleNamespace(prepare=prepare, solve=solve, Levels=Levels)
