# SPDX-License-Identifier: Apache-2.0
"""Warp functions of staggered grids with a weight on every face, from the finest to one of a few cells, and of making
the coarser ones.

All levels lie one after another in the same arrays, (N, numbers). Functions work on a slab of cells with one number
along x. Cells that have no equation, as in air and in solids, cost nothing where they lie before or after all that have
one in their row along z.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["level_functions"]


@built_once
def level_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `Levels`: of each level counts of cells `n` and of faces `f` along x, y and z, where its cells start and its
          faces across each, and by how much it is finer than the next; weights of the faces, the shift, and the inverse
          of the diagonal, which is zero in cells that have no equation; and of each row along z, of which a level's
          start at `line`, between which cells those with an equation lie;
        * `Row` and `row_of(levels, w, level, i, j)`: where a row of cells along z lies, and what is around it;
        * `coupled(levels, w, row, k, value) -> real`: the sum over faces of weight times the neighbour's value;
        * `applied(levels, w, row, k, value) -> vec2`: what the equation makes of values in a cell, and its part of
          their square: both of differences across faces, so that values that are nearly alike, as in a pocket that is
          nearly sealed, lose no digits, and a square that is never negative;
        * `coarsen`, `invert`: make a slab of a coarser level, and of its diagonal and its rows;
        * `deepest(levels) -> int`: the first level that is no finer than the next.
    """
    vec3i, vec2 = wp.vec3i, wp.types.vector(length=2, dtype=real)

    @wp.struct
    class Levels:
        n: wp.array(dtype=vec3i)
        f: wp.array(dtype=vec3i)
        cell: wp.array(dtype=int)
        face: wp.array(dtype=vec3i)
        factor: wp.array(dtype=vec3i)
        line: wp.array(dtype=int)
        x: wp.array2d(dtype=real)
        y: wp.array2d(dtype=real)
        z: wp.array2d(dtype=real)
        shift: wp.array2d(dtype=real)
        inverse: wp.array2d(dtype=real)
        low: wp.array2d(dtype=int)
        high: wp.array2d(dtype=int)

    @wp.struct
    class Row:  # where things start: cells of this row and the rows around it, and the faces between
        own: int
        x0: int
        x1: int
        y0: int
        y1: int
        fx0: int
        fx1: int
        fy0: int
        fy1: int
        fz: int
        n: int
        faces: int
        low: int
        high: int

    @wp.func
    def lower(i: int, n: int, faces: int) -> int:
        # the cell before; itself at a wall, where the weight is zero
        if i > 0:
            return i - 1
        if faces == n:  # a periodic axis
            return n - 1
        return 0

    @wp.func
    def upper(i: int, n: int, faces: int) -> int:
        if i + 1 < n:
            return i + 1
        if faces == n:
            return 0
        return n - 1

    @wp.func
    def above(i: int, faces: int) -> int:
        # the face after a cell
        if i + 1 < faces:
            return i + 1
        return 0

    @wp.func
    def deepest(s: Levels) -> int:
        level = int(0)
        while level < s.n.shape[0] - 1 and wp.max(s.factor[level]) > 1:
            level += 1
        return level

    @wp.func
    def row_of(s: Levels, w: int, level: int, i: int, j: int) -> Row:
        n = s.n[level]
        f = s.f[level]
        face = s.face[level]
        start = s.cell[level]
        line = s.line[level] + i * n[1] + j
        row = Row()
        row.low = s.low[w, line]
        row.high = s.high[w, line]
        row.n = n[2]
        row.faces = f[2]
        row.own = start + (i * n[1] + j) * n[2]
        row.x0 = start + (lower(i, n[0], f[0]) * n[1] + j) * n[2]
        row.x1 = start + (upper(i, n[0], f[0]) * n[1] + j) * n[2]
        row.y0 = start + (i * n[1] + lower(j, n[1], f[1])) * n[2]
        row.y1 = start + (i * n[1] + upper(j, n[1], f[1])) * n[2]
        row.fx0 = face[0] + (i * n[1] + j) * n[2]
        row.fx1 = face[0] + (above(i, f[0]) * n[1] + j) * n[2]
        row.fy0 = face[1] + (i * f[1] + j) * n[2]
        row.fy1 = face[1] + (i * f[1] + above(j, f[1])) * n[2]
        row.fz = face[2] + (i * n[1] + j) * f[2]
        return row

    @wp.func
    def across(weight: real, own: real, other: real) -> vec2:
        d = own - other
        return vec2(weight * d, weight * d * d)

    @wp.func
    def applied(s: Levels, w: int, r: Row, k: int, value: wp.array2d(dtype=real)) -> vec2:
        own = value[w, r.own + k]
        total = across(s.x[w, r.fx0 + k], own, value[w, r.x0 + k])
        total = total + across(s.x[w, r.fx1 + k], own, value[w, r.x1 + k])
        total = total + across(s.y[w, r.fy0 + k], own, value[w, r.y0 + k])
        total = total + across(s.y[w, r.fy1 + k], own, value[w, r.y1 + k])
        total = total + across(s.z[w, r.fz + k], own, value[w, r.own + lower(k, r.n, r.faces)])
        total = total + across(s.z[w, r.fz + above(k, r.faces)], own, value[w, r.own + upper(k, r.n, r.faces)])
        held = s.shift[w, r.own + k] * own
        return vec2(total[0] + held, real(0.5) * total[1] + held * own)  # two cells share a face

    @wp.func
    def coupled(s: Levels, w: int, r: Row, k: int, value: wp.array2d(dtype=real)) -> real:
        return (
            s.x[w, r.fx0 + k] * value[w, r.x0 + k]
            + s.x[w, r.fx1 + k] * value[w, r.x1 + k]
            + s.y[w, r.fy0 + k] * value[w, r.y0 + k]
            + s.y[w, r.fy1 + k] * value[w, r.y1 + k]
            + s.z[w, r.fz + k] * value[w, r.own + lower(k, r.n, r.faces)]
            + s.z[w, r.fz + above(k, r.faces)] * value[w, r.own + upper(k, r.n, r.faces)]
        )

    @wp.func
    def sum_over(
        w: int, start: int, size: vec3i, first: vec3i, count: vec3i, value: wp.array2d(dtype=real)
    ) -> real:  # fmt: skip
        # of a block of a level's cells or faces, as far as there are any
        total = real(0.0)
        for a in range(first[0], wp.min(first[0] + count[0], size[0])):
            for b in range(first[1], wp.min(first[1] + count[1], size[1])):
                for c in range(first[2], wp.min(first[2] + count[2], size[2])):
                    total = total + value[w, start + (a * size[1] + b) * size[2] + c]
        return total

    @wp.func
    def coarsen(s: Levels, w: int, level: int, i: int):
        # Weights of faces: what the finer ones let through, over the distance between cells, which is twice as far
        # along a coarsened axis; the shift: the sum over the finer cells. Of the slab and of the faces above it.
        g = s.factor[level - 1]
        n = s.n[level]
        f = s.f[level]
        fine = s.n[level - 1]
        for axis in range(3):
            size = vec3i(n)
            size[axis] = f[axis]
            under = vec3i(fine)
            under[axis] = s.f[level - 1][axis]
            count = vec3i(g)
            count[axis] = 1
            far = real(1.0)
            if g[axis] == 2:
                far = real(0.5)
            last = i + 1
            if i == n[0] - 1:
                last = size[0]
            for a in range(i, last):
                for j in range(size[1]):
                    for k in range(size[2]):
                        at = vec3i(g[0] * a, g[1] * j, g[2] * k)
                        to = s.face[level][axis] + (a * size[1] + j) * size[2] + k
                        start = s.face[level - 1][axis]
                        if axis == 0:
                            s.x[w, to] = far * sum_over(w, start, under, at, count, s.x)
                        elif axis == 1:
                            s.y[w, to] = far * sum_over(w, start, under, at, count, s.y)
                        else:
                            s.z[w, to] = far * sum_over(w, start, under, at, count, s.z)
        for j in range(n[1]):
            for k in range(n[2]):
                at = vec3i(g[0] * i, g[1] * j, g[2] * k)
                to = s.cell[level] + (i * n[1] + j) * n[2] + k
                s.shift[w, to] = sum_over(w, s.cell[level - 1], fine, at, g, s.shift)

    @wp.func
    def invert(s: Levels, w: int, level: int, i: int):
        for j in range(s.n[level][1]):
            r = row_of(s, w, level, i, j)
            low = int(r.n)
            high = int(0)
            for k in range(r.n):
                total = (
                    s.shift[w, r.own + k]
                    + s.x[w, r.fx0 + k]
                    + s.x[w, r.fx1 + k]
                    + s.y[w, r.fy0 + k]
                    + s.y[w, r.fy1 + k]
                    + s.z[w, r.fz + k]
                    + s.z[w, r.fz + above(k, r.faces)]
                )
                inverse = real(0.0)
                if total > real(0.0):
                    inverse = real(1.0) / total
                    low = wp.min(low, k)
                    high = k + 1
                s.inverse[w, r.own + k] = inverse
            line = s.line[level] + i * s.n[level][1] + j
            s.low[w, line] = low
            s.high[w, line] = high

    return SimpleNamespace(
        Levels=Levels, Row=Row, row_of=row_of, coupled=coupled, applied=applied, coarsen=coarsen, invert=invert,
        lower=lower, upper=upper, above=above, deepest=deepest,
    )  # fmt: skip
