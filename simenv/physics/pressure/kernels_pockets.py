# SPDX-License-Identifier: Apache-2.0
"""Warp functions of sealed pockets: sets of cells that faces join, none of which has a shift. Their equations leave a
constant of the pressure undetermined, and have a solution only if the right-hand side sums to zero in each.

Cells are joined as in the connected components of Shiloach and Vishkin (1982): every cell takes the least label around
it, and passes it to the cell that its own label names. Labels of cells are their numbers from 1; 0 is not sealed.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.pressure.kernels_levels import level_functions

__all__ = ["POCKETS", "pocket_functions"]

POCKETS = 16  # sealed pockets of a world; from cells of more no mean is taken, so that their solve fails


@built_once
def pocket_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with functions of a slab, in their order, `label`, `join`, which is called until nothing changes,
        `count`, `number` and `spread`, which find the pocket of each cell, -1 for none; `collect` and `remove`, and
        `average`, of a pocket of a world, which take its mean from each. If `some`, roomy cells count, whose weights
        sum to at least `roomy`: with `give` these bear the sum over all cells, else their mean is taken from all.
    """
    base = level_functions(real)
    Levels, row_of, lower, upper, above = base.Levels, base.row_of, base.lower, base.upper, base.above
    room = wp.constant(POCKETS)

    @wp.func
    def label(s: Levels, w: int, i: int, labels: wp.array2d(dtype=int)):
        # each cell its own; 0 where the pressure is held
        size = s.n[0][1] * s.n[0][2]
        for c in range(i * size, i * size + size):
            own = int(0)
            if s.inverse[w, c] > real(0.0) and s.shift[w, c] <= real(0.0):
                own = c + 1
            labels[w, c] = own

    @wp.func
    def least(weight: real, so_far: int, other: int) -> int:
        if weight > real(0.0):
            return wp.min(so_far, other)
        return so_far

    @wp.func
    def join(s: Levels, w: int, i: int, labels: wp.array2d(dtype=int)) -> int:
        # take the least label around, and what that label's cell has, and pass it on; 1 if anything changed
        changed = int(0)
        for j in range(s.n[0][1]):
            r = row_of(s, w, 0, i, j)
            for k in range(r.low, r.high):
                own = labels[w, r.own + k]
                if own > 0:
                    new = least(s.x[w, r.fx0 + k], own, labels[w, r.x0 + k])
                    new = least(s.x[w, r.fx1 + k], new, labels[w, r.x1 + k])
                    new = least(s.y[w, r.fy0 + k], new, labels[w, r.y0 + k])
                    new = least(s.y[w, r.fy1 + k], new, labels[w, r.y1 + k])
                    new = least(s.z[w, r.fz + k], new, labels[w, r.own + lower(k, r.n, r.faces)])
                    ku = above(k, r.faces)
                    new = least(s.z[w, r.fz + ku], new, labels[w, r.own + upper(k, r.n, r.faces)])
                    if new > 0:
                        new = wp.min(new, labels[w, new - 1])
                    if new < own:
                        wp.atomic_min(labels, w, own - 1, new)
                        wp.atomic_min(labels, w, r.own + k, new)
                        changed = 1
        return changed

    @wp.func
    def count(s: Levels, w: int, i: int, labels: wp.array2d(dtype=int)) -> int:
        # cells that have kept their own label: one of each pocket
        size = s.n[0][1] * s.n[0][2]
        found = int(0)
        for c in range(i * size, i * size + size):
            if labels[w, c] == c + 1:
                found += 1
        return found

    @wp.func
    def number(
        s: Levels, w: int, i: int, labels: wp.array2d(dtype=int), counts: wp.array2d(dtype=int),
        pockets: wp.array2d(dtype=int),
    ):  # fmt: skip
        # number these cells
        next = int(0)
        for before in range(i):
            next += counts[w, before]
        size = s.n[0][1] * s.n[0][2]
        for c in range(i * size, i * size + size):
            if labels[w, c] == c + 1:
                pockets[w, c] = next
                next += 1

    @wp.func
    def spread(s: Levels, w: int, i: int, labels: wp.array2d(dtype=int), pockets: wp.array2d(dtype=int)):
        # and the others of their pockets
        size = s.n[0][1] * s.n[0][2]
        for c in range(i * size, i * size + size):
            own = labels[w, c]
            if own == 0:
                pockets[w, c] = -1
            elif own != c + 1:
                pockets[w, c] = pockets[w, own - 1]

    @wp.func
    def is_roomy(s: Levels, w: int, c: int, roomy: real) -> bool:
        return s.inverse[w, c] * roomy <= real(1.0)

    @wp.func
    def add(w: int, i: int, each: int, total: real, cells: real, sums: wp.array4d(dtype=real)):
        if each >= 0 and each < room:
            sums[w, i, each, 0] = sums[w, i, each, 0] + total
            sums[w, i, each, 1] = sums[w, i, each, 1] + cells

    @wp.func
    def collect(
        s: Levels, w: int, i: int, pockets: wp.array2d(dtype=int), value: wp.array2d(dtype=real),
        roomy: real, some: int, give: int, sums: wp.array4d(dtype=real),
    ):  # fmt: skip
        # sums and counts of the slab by pocket (N, nx, POCKETS, 2)
        for each in range(room):
            sums[w, i, each, 0] = real(0.0)
            sums[w, i, each, 1] = real(0.0)
        size = s.n[0][1] * s.n[0][2]
        own = int(-1)
        total = real(0.0)
        cells = real(0.0)
        for c in range(i * size, i * size + size):
            each = pockets[w, c]
            if each != own:  # neighbours are mostly of the same
                add(w, i, own, total, cells, sums)
                own = each
                total = real(0.0)
                cells = real(0.0)
            if some == 0 or is_roomy(s, w, c, roomy):
                total = total + value[w, c]
                cells = cells + real(1.0)
            elif give != 0:
                total = total + value[w, c]
        add(w, i, own, total, cells, sums)

    @wp.func
    def average(w: int, each: int, sums: wp.array4d(dtype=real)) -> real:
        total = real(0.0)
        cells = real(0.0)
        for i in range(sums.shape[1]):
            total = total + sums[w, i, each, 0]
            cells = cells + sums[w, i, each, 1]
        if cells > real(0.0):
            return total / cells
        return real(0.0)

    @wp.func
    def remove(
        s: Levels, w: int, i: int, pockets: wp.array2d(dtype=int), mean: wp.array2d(dtype=real),
        roomy: real, some: int, value: wp.array2d(dtype=real),
    ):  # fmt: skip
        # take its pocket's mean from each cell, or from some
        size = s.n[0][1] * s.n[0][2]
        for c in range(i * size, i * size + size):
            each = pockets[w, c]
            if each >= 0 and each < room and (some == 0 or is_roomy(s, w, c, roomy)):
                value[w, c] = value[w, c] - mean[w, each]

    return SimpleNamespace(
        label=label, join=join, count=count, number=number, spread=spread, collect=collect, average=average,
        remove=remove,
    )  # fmt: skip
