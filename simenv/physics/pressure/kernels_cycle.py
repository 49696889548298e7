# SPDX-License-Identifier: Apache-2.0
"""Warp functions of a multigrid cycle: red-black Gauss-Seidel sweeps, and transfers that are constant in coarse cells.

Of two colours of cells, as on a chess board, each has neighbours of the other only. After a sweep of the second colour
nothing is left of its equations, and before one of it nothing of it is read: residuals and corrections are made of
cells of the first colour only.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.pressure.kernels_levels import level_functions

__all__ = ["cycle_functions"]


@built_once
def cycle_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with functions of a slab of a level, `begin`, `sweep`, `descend` and `ascend`; `cycle`, of all
        levels of a world, one after the other; and what `level_functions` has. `right` and `found` have the right-hand
        side and the solution of all levels.
    """
    base = level_functions(real)
    Levels, row_of, coupled, deepest = base.Levels, base.row_of, base.coupled, base.deepest

    @wp.func
    def begin(
        s: Levels, w: int, level: int, i: int, right: wp.array2d(dtype=real), found: wp.array2d(dtype=real)
    ):  # fmt: skip
        # a sweep of the first colour from zero
        n = s.n[level]
        for j in range(n[1]):
            start = s.cell[level] + (i * n[1] + j) * n[2]
            line = s.line[level] + i * n[1] + j
            for k in range(s.low[w, line], s.high[w, line]):
                value = real(0.0)
                if (i + j + k) % 2 == 0:
                    value = right[w, start + k] * s.inverse[w, start + k]
                found[w, start + k] = value

    @wp.func
    def sweep(
        s: Levels, w: int, level: int, color: int, i: int, right: wp.array2d(dtype=real), found: wp.array2d(dtype=real)
    ):  # fmt: skip
        # solve the equations of the cells of a colour, each for its own
        for j in range(s.n[level][1]):
            r = row_of(s, w, level, i, j)
            for k in range(r.low + (r.low + i + j + color) % 2, r.high, 2):
                total = right[w, r.own + k] + coupled(s, w, r, k, found)
                found[w, r.own + k] = total * s.inverse[w, r.own + k]

    @wp.func
    def descend(
        s: Levels, w: int, level: int, i: int, right: wp.array2d(dtype=real), found: wp.array2d(dtype=real)
    ):  # fmt: skip
        # sum over coarse cells what a sweep of the second colour left, that is of the first colour's cells
        g = s.factor[level]
        n = s.n[level]
        coarse = s.n[level + 1]
        for j in range(coarse[1]):
            to = s.cell[level + 1] + (i * coarse[1] + j) * coarse[2]
            for k in range(coarse[2]):
                right[w, to + k] = real(0.0)
            for a in range(g[0] * i, wp.min(g[0] * i + g[0], n[0])):
                for b in range(g[1] * j, wp.min(g[1] * j + g[1], n[1])):
                    r = row_of(s, w, level, a, b)
                    for c in range(r.low + (r.low + a + b) % 2, r.high, 2):
                        inverse = s.inverse[w, r.own + c]
                        if inverse > real(0.0):
                            k = to + c // g[2]
                            left = right[w, r.own + c] - found[w, r.own + c] / inverse
                            right[w, k] = right[w, k] + left + coupled(s, w, r, c, found)

    @wp.func
    def ascend(s: Levels, w: int, level: int, i: int, found: wp.array2d(dtype=real)):
        # add a coarse solution to the cells of the first colour; the others' next sweep reads nothing else
        g = s.factor[level]
        n = s.n[level]
        coarse = s.n[level + 1]
        for j in range(n[1]):
            start = s.cell[level] + (i * n[1] + j) * n[2]
            under = s.cell[level + 1] + ((i // g[0]) * coarse[1] + j // g[1]) * coarse[2]
            line = s.line[level] + i * n[1] + j
            low = s.low[w, line]
            for k in range(low + (low + i + j) % 2, s.high[w, line], 2):
                if s.inverse[w, start + k] > real(0.0):
                    found[w, start + k] = found[w, start + k] + found[w, under + k // g[2]]

    @wp.func
    def sweep_level(
        s: Levels, w: int, level: int, color: int, right: wp.array2d(dtype=real), found: wp.array2d(dtype=real)
    ):  # fmt: skip
        for i in range(s.n[level][0]):
            sweep(s, w, level, color, i, right, found)

    @wp.func
    def cycle(
        s: Levels, w: int, sweeps: int, last: int, right: wp.array2d(dtype=real), found: wp.array2d(dtype=real)
    ):  # fmt: skip
        # A symmetric map of the finest level's right-hand side to nearly its solution. Where there is no equation the
        # solution has to be zero before.
        bottom = deepest(s)
        for level in range(bottom + 1):
            for i in range(s.n[level][0]):
                begin(s, w, level, i, right, found)
            count = sweeps
            if level == bottom:
                count = last
            for turn in range(1, 2 * count):
                sweep_level(s, w, level, turn % 2, right, found)
            if level < bottom:
                for i in range(s.n[level + 1][0]):
                    descend(s, w, level, i, right, found)
        for up in range(bottom + 1):
            level = bottom - up
            count = last
            if level < bottom:
                count = sweeps
                for i in range(s.n[level][0]):
                    ascend(s, w, level, i, found)
            for turn in range(2 * count):
                sweep_level(s, w, level, (turn + 1) % 2, right, found)

    return SimpleNamespace(begin=begin, sweep=sweep, descend=descend, ascend=ascend, cycle=cycle, **vars(base))
