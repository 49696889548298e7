# SPDX-License-Identifier: Apache-2.0
"""Warp functions of conjugate gradients. Sums are made of slabs of cells, in one order, so that their bits do not
depend on how many threads share the work.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.pressure.kernels_cycle import cycle_functions

__all__ = ["krylov_functions"]


@built_once
def krylov_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with functions of a slab of the finest level, `start`, `align`, `search`, `apply` and `advance`, and
        of a world, `judge` and `turn`; and what `cycle_functions` has. The residual r is the finest level's `right`,
        z, what a cycle makes of it, its `found`. `sums` (N, nx, 4) has of each slab d.Ad, the largest |r|, r.z, and
        the largest |p|; `aligned` (N, 2) r.z and its share of the one before; `left` (N, 2) the largest |r|, and what
        it is compared with.
    """
    base = cycle_functions(real)
    Levels, row_of, applied = base.Levels, base.row_of, base.applied

    @wp.func
    def greater(a: real, b: real) -> real:
        # the larger one, or what is no number
        if a == a:
            if not (b <= a):
                return b
        return a

    @wp.func
    def start(
        s: Levels, w: int, i: int, b: wp.array2d(dtype=real), p: wp.array2d(dtype=real), right: wp.array2d(dtype=real),
        d: wp.array2d(dtype=real), sums: wp.array3d(dtype=real),
    ):  # fmt: skip
        # from p = 0: r = b where there is an equation, and the largest |r|; nothing lasts of solves before
        size = s.n[0][1] * s.n[0][2]
        most = real(0.0)
        for c in range(i * size, i * size + size):
            value = real(0.0)
            if s.inverse[w, c] > real(0.0):
                value = b[w, c]
            p[w, c] = real(0.0)
            d[w, c] = real(0.0)
            right[w, c] = value
            most = greater(most, wp.abs(value))
        sums[w, i, 1] = most
        sums[w, i, 3] = real(0.0)

    @wp.func
    def judge(
        w: int, iteration: int, tolerance: real, rounding: real, scale: wp.array(dtype=real),
        sums: wp.array3d(dtype=real), done: wp.array(dtype=int), left: wp.array2d(dtype=real),
        spent: wp.array(dtype=int),
    ):  # fmt: skip
        # end a world in which the largest |r| is at most a share of `scale`, or of the largest |b| where that is zero,
        # or a share `rounding` of the largest |p|
        most = real(0.0)
        size = real(0.0)
        for i in range(sums.shape[1]):
            most = greater(most, sums[w, i, 1])
            size = wp.max(size, sums[w, i, 3])
        if iteration == 0:
            done[w] = 0
            left[w, 1] = most
            if scale[w] > real(0.0):
                left[w, 1] = scale[w]
        left[w, 0] = most
        spent[w] = iteration
        if most <= wp.max(tolerance * left[w, 1], rounding * size):
            done[w] = 1

    @wp.func
    def align(s: Levels, w: int, i: int, right: wp.array2d(dtype=real), found: wp.array2d(dtype=real)) -> real:
        # r.z
        total = real(0.0)
        for j in range(s.n[0][1]):
            line = i * s.n[0][1] + j
            row = real(0.0)
            for c in range(line * s.n[0][2] + s.low[w, line], line * s.n[0][2] + s.high[w, line]):
                row = row + right[w, c] * found[w, c]
            total = total + row
        return total

    @wp.func
    def turn(w: int, iteration: int, sums: wp.array3d(dtype=real), aligned: wp.array2d(dtype=real)):
        # r.z of the world, and its share of the one before
        total = real(0.0)
        for i in range(sums.shape[1]):
            total = total + sums[w, i, 2]
        share = real(0.0)
        if iteration > 0:
            if aligned[w, 0] != real(0.0):
                share = total / aligned[w, 0]
        aligned[w, 0] = total
        aligned[w, 1] = share

    @wp.func
    def search(
        s: Levels, w: int, i: int, iteration: int, found: wp.array2d(dtype=real), aligned: wp.array2d(dtype=real),
        d: wp.array2d(dtype=real),
    ):  # fmt: skip
        # the next direction, conjugate to those before
        share = aligned[w, 1]
        for line in range(i * s.n[0][1], (i + 1) * s.n[0][1]):
            for c in range(line * s.n[0][2] + s.low[w, line], line * s.n[0][2] + s.high[w, line]):
                value = found[w, c]
                if iteration > 0:
                    value = value + share * d[w, c]
                d[w, c] = value

    @wp.func
    def apply(s: Levels, w: int, i: int, d: wp.array2d(dtype=real), ad: wp.array2d(dtype=real)) -> real:
        # A d, and d.Ad
        total = real(0.0)
        for j in range(s.n[0][1]):
            r = row_of(s, w, 0, i, j)
            row = real(0.0)
            for k in range(r.low, r.high):
                both = applied(s, w, r, k, d)
                ad[w, r.own + k] = both[0]
                row = row + both[1]
            total = total + row
        return total

    @wp.func
    def advance(
        s: Levels, w: int, i: int, d: wp.array2d(dtype=real), ad: wp.array2d(dtype=real),
        aligned: wp.array2d(dtype=real), sums: wp.array3d(dtype=real), p: wp.array2d(dtype=real),
        right: wp.array2d(dtype=real),
    ):  # fmt: skip
        # p and r along d, and the largest |r|
        bent = real(0.0)
        for slab in range(sums.shape[1]):
            bent = bent + sums[w, slab, 0]
        step = real(0.0)
        if bent > real(0.0):
            step = aligned[w, 0] / bent
        most = real(0.0)
        high = real(0.0)
        for line in range(i * s.n[0][1], (i + 1) * s.n[0][1]):
            for c in range(line * s.n[0][2] + s.low[w, line], line * s.n[0][2] + s.high[w, line]):
                p[w, c] = p[w, c] + step * d[w, c]
                high = wp.max(high, wp.abs(p[w, c]))
                left = right[w, c] - step * ad[w, c]
                right[w, c] = left
                most = greater(most, wp.abs(left))
        sums[w, i, 1] = most
        sums[w, i, 3] = high

    return SimpleNamespace(
        start=start, judge=judge, align=align, turn=turn, search=search, apply=apply, advance=advance, greater=greater,
        **vars(base),
    )  # fmt: skip
