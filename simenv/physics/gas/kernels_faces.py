# SPDX-License-Identifier: Apache-2.0
"""Warp functions by which cells gather from the faces beside them, row by row."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_rows import row_functions
from simenv.physics.gas.kernels_walls import OPEN, PERIODIC, wall_functions

__all__ = ["face_functions"]


@built_once
def face_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `of_faces[axis](w, i, j, row, lane, lanes, kinds, at_open, a, b, g, to)`, which adds to a row
        of cells, from (row, j), a times what g has on the face below each of cells (i, j) along an axis, and b times
        that on the face above, none of those in sides, but `at_open` times those in open ones; `of_open_faces[axis]`,
        with the open shares of faces before g, passes over those that are closed.
    """
    Kinds, wrap, rows = wall_functions(real).Kinds, wall_functions(real).wrap, row_functions(real)
    cells, vec3i = wp.array4d(dtype=real), wp.vec3i
    OPEN_, PERIODIC_ = wp.constant(OPEN), wp.constant(PERIODIC)

    @wp.func
    def at_side(kind: int, at_open: real) -> real:
        if kind == PERIODIC_:
            return real(1.0)
        if kind == OPEN_:
            return at_open
        return real(0.0)

    def made(axis: int, masked: bool):
        X, Y = int(axis == 0), int(axis == 1)

        @wp.func
        def add(
            w: int, at: vec3i, low: vec3i, high: vec3i, lane: int, lanes: int, count: int, a: real, b: real,
            share: cells, g: cells, to: cells,
        ):  # fmt: skip
            if wp.static(masked):
                rows.gather_open(w, at, low, high, lane, lanes, count, a, b, share, g, to)
            else:
                rows.gather(w, at, low, high, lane, lanes, count, a, b, g, to)

        @wp.func
        def gathered(
            w: int, i: int, j: int, row: int, lane: int, lanes: int, kinds: Kinds, at_open: real, a: real, b: real,
            share: cells, g: cells, to: cells,
        ):  # fmt: skip
            first = at_side(kinds[wp.static(2 * axis)], at_open)
            last = at_side(kinds[wp.static(2 * axis + 1)], at_open)
            n = to.shape[3]
            if wp.static(axis < 2):
                faces = g.shape[wp.static(axis + 1)]
                p = wp.static(X) * i + wp.static(Y) * j
                above = wrap(p + 1, faces, kinds[wp.static(2 * axis)])
                low = a
                high = b
                if p == 0:
                    low = a * first
                # the last cell is that before the last face, or before the first one again
                if above == 0 or (above == faces - 1 and kinds[wp.static(2 * axis)] != PERIODIC_):
                    high = b * last
                up = vec3i(above, j, 0)
                if wp.static(axis == 1):
                    up = vec3i(i, above, 0)
                add(w, vec3i(row, j, 0), vec3i(i, j, 0), up, lane, lanes, n, low, high, share, g, to)
            else:
                end = wrap(n, g.shape[3], kinds[4])
                if n == 1:
                    add(w, vec3i(row, j, 0), vec3i(i, j, 0), vec3i(i, j, end), lane, lanes, 1, a * first, b * last,
                        share, g, to)  # fmt: skip
                else:
                    add(w, vec3i(row, j, 0), vec3i(i, j, 0), vec3i(i, j, 1), lane, lanes, 1, a * first, b, share, g,
                        to)  # fmt: skip
                    add(w, vec3i(row, j, 1), vec3i(i, j, 1), vec3i(i, j, 2), lane, lanes, n - 2, a, b, share, g, to)
                    add(w, vec3i(row, j, n - 1), vec3i(i, j, n - 1), vec3i(i, j, end), lane, lanes, 1, a, b * last,
                        share, g, to)  # fmt: skip

        if masked:
            return gathered

        @wp.func
        def gathered_plainly(
            w: int, i: int, j: int, row: int, lane: int, lanes: int, kinds: Kinds, at_open: real, a: real, b: real,
            g: cells, to: cells,
        ):  # fmt: skip
            gathered(w, i, j, row, lane, lanes, kinds, at_open, a, b, g, g, to)

        return gathered_plainly

    return SimpleNamespace(
        of_faces=[made(axis, False) for axis in range(3)], of_open_faces=[made(axis, True) for axis in range(3)]
    )
