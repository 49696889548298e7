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
    Levels, row_of, coupled = base.Levels, base.row_of, base.coupled

    @wp.func
    def begin(
        s: Levels, w: int, level: int, i: int, row: int, lane: int, lanes: wp.vec2i, right: wp.array2d(dtype=real),
        found: wp.array2d(dtype=real),
    ):  # fmt: skip
        # a sweep of the first colour from zero
        n = s.n[level]
        for j in range(row, n[1], lanes[0]):
            start = s.cell[level] + (i * n[1] + j) * n[2]
            odd = (i + j) % 2
            for k in range(lane, n[2], lanes[1]):
                value = real(0.0)
                if (k + odd) % 2 == 0:
                    value = right[w, start + k] * s.inverse[w, start + k]
                found[w, start + k] = value

    @wp.func
    def sweep(
        s: Levels, w: int, level: int, color: int, i: int, row: int, lane: int, lanes: wp.vec2i,
        right: wp.array2d(dtype=real), found: wp.array2d(dtype=real),
    ):  # fmt: skip
        # solve the equations of the cells of a colour, each for its own
        for j in range(row, s.n[level][1], lanes[0]):
            r = row_of(s, level, i, j)
            for k in range(2 * lane + (i + j + color) % 2, r.n, 2 * lanes[1]):
                total = right[w, r.own + k] + coupled(s, w, r, k, found)
                found[w, r.own + k] = total * s.inverse[w, r.own + k]

    @wp.func
    def descend(
        s: Levels, w: int, level: int, i: int, row: int, lane: int, lanes: wp.vec2i, right: wp.array2d(dtype=real),
        found: wp.array2d(dtype=real),
    ):  # fmt: skip
        # sum over coarse cells what a sweep of the second colour left, that is of the first colour's cells
        g = s.factor[level]
        n = s.n[level]
        coarse = s.n[level + 1]
        for j in range(row, coarse[1], lanes[0]):
            to = s.cell[level + 1] + (i * coarse[1] + j) * coarse[2]
            for k in range(lane, coarse[2], lanes[1]):
                right[w, to + k] = real(0.0)
            for a in range(g[0] * i, wp.min(g[0] * i + g[0], n[0])):
                for b in range(g[1] * j, wp.min(g[1] * j + g[1], n[1])):
                    r = row_of(s, level, a, b)
                    for k in range(lane, coarse[2], lanes[1]):
                        first = g[2] * k
                        for c in range(first + (a + b + first) % 2, wp.min(first + g[2], n[2]), 2):
                            inverse = s.inverse[w, r.own + c]
                            if inverse > real(0.0):
                                left = right[w, r.own + c] - found[w, r.own + c] / inverse
                                right[w, to + k] = right[w, to + k] + left + coupled(s, w, r, c, found)

    @wp.func
    def ascend(
        s: Levels, w: int, level: int, i: int, row: int, lane: int, lanes: wp.vec2i, found: wp.array2d(dtype=real)
    ):  # fmt: skip
        # add a coarse solution to the cells of the first colour; the others' next sweep reads nothing else
        g = s.factor[level]
        n = s.n[level]
        coarse = s.n[level + 1]
        for j in range(row, n[1], lanes[0]):
            start = s.cell[level] + (i * n[1] + j) * n[2]
            under = s.cell[level + 1] + ((i // g[0]) * coarse[1] + j // g[1]) * coarse[2]
            for k in range(2 * lane + (i + j) % 2, n[2], 2 * lanes[1]):
                if s.inverse[w, start + k] > real(0.0):
                    found[w, start + k] = found[w, start + k] + found[w, under + k // g[2]]

    @wp.func
    def sweep_level(
        s: Levels, w: int, level: int, color: int, right: wp.array2d(dtype=real), found: wp.array2d(dtype=real)
    ):  # fmt: skip
        for i in range(s.n[level][0]):
            sweep(s, w, level, color, i, 0, 0, wp.vec2i(1, 1), right, found)

    @wp.func
    def cycle(
        s: Levels, w: int, sweeps: int, last: int, right: wp.array2d(dtype=real), found: wp.array2d(dtype=real)
    ):  # fmt: skip
        # a symmetric map of the finest level's right-hand side to nearly its solution
        one = wp.vec2i(1, 1)
        deepest = s.n.shape[0] - 1
        for level in range(deepest + 1):
            for i in range(s.n[level][0]):
                begin(s, w, level, i, 0, 0, one, right, found)
            count = sweeps
            if level == deepest:
                count = last
            for turn in range(1, 2 * count):
                sweep_level(s, w, level, turn % 2, right, found)
            if level < deepest:
                for i in range(s.n[level + 1][0]):
                    descend(s, w, level, i, 0, 0, one, right, found)
        for up in range(deepest + 1):
            level = deepest - up
            count = last
            if level < deepest:
                count = sweeps
                for i in range(s.n[level][0]):
                    ascend(s, w, level, i, 0, 0, one, found)
            for turn in range(2 * count):
                sweep_level(s, w, level, (turn + 1) % 2, right, found)

    return SimpleNamespace(begin=begin, sweep=sweep, descend=descend, ascend=ascend, cycle=cycle, **vars(base))
