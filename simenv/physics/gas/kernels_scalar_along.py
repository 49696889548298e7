# SPDX-License-Identifier: Apache-2.0
"""Warp functions of one axis, of which the adjoint of what carries scalars in gas is made."""

from collections.abc import Sequence
from typing import Any

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_scalar_rows import scalar_row_functions
from simenv.physics.gas.kernels_walls import PERIODIC, wall_functions

__all__ = ["along_functions"]


@built_once
def along_functions(real) -> Sequence[tuple[Any, ...]]:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        Of each axis: what adds to a row of cells what the fluxes through all faces along it give; what adds to the
        speeds on the faces below a row of cells, and returns what the spread has; and what adds to either what is
        exchanged with sides.
    """
    base, each = wall_functions(real), scalar_row_functions(real)
    take, blow, at_side, vec4 = each.take, each.blow, each.at_side, each.vec4
    Kinds, wrap, vec3i = base.Kinds, base.wrap, wp.vec3i
    cells, table, held_of = wp.array4d(dtype=real), wp.array2d(dtype=real), wp.array2d(dtype=int)
    PERIODIC_ = wp.constant(PERIODIC)

    def along(axis: int):
        X, Y, Z = (int(axis == each) for each in range(3))

        @wp.func
        def moved(start: int, i: int, j: int, k: int, p: int) -> vec3i:
            # row of the cells at p along the axis
            return vec3i(
                start + wp.static(1 - X) * i + wp.static(X) * p, wp.static(1 - Y) * j + wp.static(Y) * p,
                wp.static(1 - Z) * k + wp.static(Z) * p,
            )  # fmt: skip

        @wp.func
        def cells_along(nx: int, q: cells) -> int:
            if wp.static(axis == 0):
                return nx
            return q.shape[wp.static(axis + 1)]

        @wp.func
        def from_face(
            w: int, start: int, nx: int, i: int, j: int, k: int, count: int, way: int, kind: int, lane: int, lanes: int,
            limited: int, c: real, spread: real, speed: cells, q: cells, g: cells, to: cells,
        ):  # fmt: skip
            # what the face above the cells `way` farther gives to a row of cells from (i, j, k)
            n = cells_along(nx, q)
            p = wp.static(X) * i + wp.static(Y) * j + wp.static(Z) * k
            low = p + way
            if kind == PERIODIC_ or (low >= 0 and low < n - 1):
                low = wrap(low, n, kind)
                high = wrap(low + 1, n, kind)
                before = real(0.0)
                after = real(0.0)
                # a cell at a wall stands in for what is beyond it
                if way == 1 or (way == 0 and p == 0 and kind != PERIODIC_):
                    before = real(1.0)
                if way == -2 or (way == -1 and p == n - 1 and kind != PERIODIC_):
                    after = real(1.0)
                mine = (lane + lanes - k % lanes) % lanes
                take(
                    w, vec3i(start + i, j, k), moved(start, i, j, k, wrap(low - 1, n, kind)),
                    moved(start, i, j, k, low), moved(start, i, j, k, high),
                    moved(start, i, j, k, wrap(low + 2, n, kind)),
                    moved(0, i, j, k, wrap(low + 1, speed.shape[wp.static(axis + 1)], kind)), mine, lanes, count,
                    real(wp.where(way == 0, 1, 0)), real(wp.where(way == -1, 1, 0)), before, after, limited, c, spread,
                    speed, q, g, to,
                )  # fmt: skip

        @wp.func
        def gathered(
            w: int, start: int, nx: int, i: int, j: int, kinds: Kinds, lane: int, lanes: int, limited: int, c: real,
            spread: real, speed: cells, q: cells, g: cells, to: cells,
        ):  # fmt: skip
            nz = q.shape[3]
            kind = kinds[wp.static(2 * axis)]
            for back in range(4):
                way = back - 2
                if wp.static(axis < 2):
                    from_face(w, start, nx, i, j, 0, nz, way, kind, lane, lanes, limited, c, spread, speed, q, g, to)
                else:
                    # those in the middle at once
                    first = wp.min(wp.max(1 - way, 0), nz)
                    last = wp.max(wp.min(nz, nz - 2 - way), first)
                    for k in range(first):
                        from_face(w, start, nx, i, j, k, 1, way, kind, lane, lanes, limited, c, spread, speed, q, g,
                                  to)  # fmt: skip
                    if last > first:
                        from_face(w, start, nx, i, j, first, last - first, way, kind, lane, lanes, limited, c, spread,
                                  speed, q, g, to)  # fmt: skip
                    for k in range(last, nz):
                        from_face(w, start, nx, i, j, k, 1, way, kind, lane, lanes, limited, c, spread, speed, q, g,
                                  to)  # fmt: skip

        @wp.func
        def to_face(
            w: int, start: int, nx: int, i: int, j: int, k: int, count: int, kind: int, lane: int, lanes: int,
            limited: int, c: real, speed: cells, q: cells, g: cells, to: cells,
        ) -> real:  # fmt: skip
            # to the speeds on the faces below a row of cells from (i, j, k), where these are no sides
            n = cells_along(nx, q)
            p = wp.static(X) * i + wp.static(Y) * j + wp.static(Z) * k
            if p == 0 and kind != PERIODIC_:
                return real(0.0)
            low = wrap(p - 1, n, kind)
            mine = (lane + lanes - k % lanes) % lanes
            return blow(
                w, moved(start, i, j, k, wrap(low - 1, n, kind)), moved(start, i, j, k, low),
                moved(start, i, j, k, p), moved(start, i, j, k, wrap(p + 1, n, kind)), vec3i(i, j, k), mine, lanes,
                count, limited, c, speed, q, g, to,
            )  # fmt: skip

        @wp.func
        def blown(
            w: int, start: int, nx: int, i: int, j: int, kinds: Kinds, lane: int, lanes: int, limited: int, c: real,
            speed: cells, q: cells, g: cells, to: cells,
        ) -> real:  # fmt: skip
            nz = q.shape[3]
            kind = kinds[wp.static(2 * axis)]
            total = real(0.0)
            if wp.static(axis < 2):
                total = to_face(w, start, nx, i, j, 0, nz, kind, lane, lanes, limited, c, speed, q, g, to)
            else:
                first = wp.min(2, nz)
                last = wp.max(nz - 1, first)
                for k in range(first):
                    total += to_face(w, start, nx, i, j, k, 1, kind, lane, lanes, limited, c, speed, q, g, to)
                if last > first:
                    total += to_face(w, start, nx, i, j, first, last - first, kind, lane, lanes, limited, c, speed, q,
                                     g, to)  # fmt: skip
                for k in range(last, nz):
                    total += to_face(w, start, nx, i, j, k, 1, kind, lane, lanes, limited, c, speed, q, g, to)
            return total

        @wp.func
        def through(
            w: int, s: int, nx: int, i: int, j: int, k: int, upper: int, held: held_of, spread: real, value: table,
            speed: cells, q: cells,
        ) -> vec4:  # fmt: skip
            # derivatives at a cell of what leaves through a side beside it
            side = wp.static(2 * axis) + upper
            outward = speed[w, i + wp.static(X) * upper, j + wp.static(Y) * upper, k + wp.static(Z) * upper]
            if upper == 0:
                outward = -outward
            return at_side(q[w, s * nx + i, j, k], outward, spread, held[s, side], value[w, 6 * s + side])

        @wp.func
        def sides(
            w: int, s: int, nx: int, i: int, j: int, kinds: Kinds, lane: int, lanes: int, speeds: int, held: held_of,
            c: real, spread: real, value: table, speed: cells, q: cells, g: cells, value_bar: table, speed_bar: cells,
            q_bar: cells,
        ) -> real:  # fmt: skip
            # of what a row of cells exchanges with sides: to the speeds there, or to all else
            n = cells_along(nx, q)
            p = wp.static(X) * i + wp.static(Y) * j
            total = real(0.0)
            for upper in range(2):
                side = wp.static(2 * axis) + upper
                first = lane
                last = q.shape[3]
                if wp.static(axis == 2):
                    first = upper * (n - 1)
                    last = first + 1
                    if first % lanes != lane:
                        last = first
                if kinds[side] == PERIODIC_ or (wp.static(axis < 2) and p != upper * (n - 1)):
                    last = first
                held_at = real(0.0)
                for k in range(first, last, lanes):
                    of = -c * g[w, s * nx + i, j, k] * through(w, s, nx, i, j, k, upper, held, spread, value, speed, q)
                    if speeds == 1:
                        out = of[1] * real(2 * upper - 1)
                        x = i + wp.static(X) * upper
                        y = j + wp.static(Y) * upper
                        z = k + wp.static(Z) * upper
                        speed_bar[w, x, y, z] = speed_bar[w, x, y, z] + out
                    else:
                        q_bar[w, s * nx + i, j, k] = q_bar[w, s * nx + i, j, k] + of[0]
                        held_at += of[2]
                        total += of[3]
                if speeds == 0 and held[s, side] == 1 and last > first:
                    wp.atomic_add(value_bar, w, 6 * s + side, held_at)
            return total

        return gathered, blown, sides

    return [along(axis) for axis in range(3)]
