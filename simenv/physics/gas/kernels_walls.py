# SPDX-License-Identifier: Apache-2.0
"""Warp functions that read a staggered velocity beside and beyond the sides of its box.

Velocities lie on faces: u[i, j, k] on the face across x below cell (i, j, k), v and w likewise. Sides are numbered
x-, x+, y-, y+, z-, z+. Beyond a wall is what makes the mean with the value inside the wall's own velocity.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import warp as wp

from simenv._exclusive import built_once

__all__ = ["OPEN", "PERIODIC", "SLIP", "WALL", "of_axis", "wall_functions"]

PERIODIC, SLIP, WALL, OPEN = range(4)  # kinds of sides; a wall may move along itself, or let gas in


def of_axis(axis: int) -> Callable[[Any], Any]:
    """Names what is made for each axis apart: graphs know kernels by their names."""

    def named(function: Any) -> Any:
        function.__qualname__ += "_" + "xyz"[axis]
        return function

    return named


@built_once
def wall_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `vec3`, the type `Kinds` of the kinds of six sides, and

        * `wrap(i, n, kind) -> int`: an index that may be one or two beyond, on a periodic axis around it, else clamped;
        * `moves(w, side, i, j, k, profile, speed) -> vec3`: velocity of a side at a cell;
        * `beyond(inside, kind, moved) -> real`: a tangential velocity one cell beyond a side;
        * `side_of_face[axis](i, j, k, faces, kinds) -> int`: the side that a face across an axis lies in, -1 for
          inner ones; `seated[axis](w, i, j, k, side, kinds, profile, speed, q) -> real`: its velocity there;
          `passed[axis](w, i, j, k, side, kinds, dt_per_dx, profile, speed, q) -> real`: the same after a step;
        * `read[axis](w, i, j, k, kinds, profile, speed, q) -> real`: the component along an axis, at most one cell
          beyond a side across another axis.
    """
    vec3 = wp.types.vector(length=3, dtype=real)
    Kinds = wp.types.vector(length=6, dtype=int)
    PERIODIC_, SLIP_, OPEN_ = wp.constant(PERIODIC), wp.constant(SLIP), wp.constant(OPEN)

    @wp.func
    def wrap(i: int, n: int, kind: int) -> int:
        if i < 0:
            if kind == PERIODIC_:
                return i + n
            return 0
        if i >= n:
            if kind == PERIODIC_:
                return i - n
            return n - 1
        return i

    @wp.func
    def moves(
        w: int, side: int, i: int, j: int, k: int, profile: wp.array4d(dtype=real), speed: wp.array2d(dtype=vec3)
    ) -> vec3:  # fmt: skip
        a = j
        b = k
        if side >= 4:
            a = i
            b = j
        elif side >= 2:
            a = i
        a = wp.min(a, profile.shape[1] - 1)
        b = wp.min(b, profile.shape[2] - 1)
        v = speed[w, side]
        return vec3(profile[side, a, b, 0] * v[0], profile[side, a, b, 1] * v[1], profile[side, a, b, 2] * v[2])

    @wp.func
    def beyond(inside: real, kind: int, moved: real) -> real:
        if kind == SLIP_ or kind == OPEN_:  # noqa: SIM109
            return inside
        return real(2.0) * moved - inside

    def reading(axis: int):
        @wp.func
        def read(
            w: int,
            i: int,
            j: int,
            k: int,
            kinds: Kinds,
            profile: wp.array4d(dtype=real),
            speed: wp.array2d(dtype=vec3),
            q: wp.array4d(dtype=real),
        ) -> real:
            side = int(-1)
            if i < 0:
                side = 0
            elif i >= q.shape[1]:
                side = 1
            elif j < 0:
                side = 2
            elif j >= q.shape[2]:
                side = 3
            elif k < 0:
                side = 4
            elif k >= q.shape[3]:
                side = 5
            if side < 0:
                return q[w, i, j, k]
            kind = kinds[side]
            inside = q[w, wrap(i, q.shape[1], kinds[0]), wrap(j, q.shape[2], kinds[2]), wrap(k, q.shape[3], kinds[4])]
            if kind == PERIODIC_:
                return inside
            # the side's own velocity between the two cells that a face divides
            a = wrap(i - wp.static(int(axis == 0)), q.shape[1], kinds[0])
            b = wrap(j - wp.static(int(axis == 1)), q.shape[2], kinds[2])
            c = wrap(k - wp.static(int(axis == 2)), q.shape[3], kinds[4])
            moved = moves(w, side, i, j, k, profile, speed) + moves(w, side, a, b, c, profile, speed)
            return beyond(inside, kind, real(0.5) * moved[wp.static(axis)])

        return read

    def of_faces(axis: int):
        X, Y, Z = (int(axis == each) for each in range(3))

        @wp.func
        def side_of_face(i: int, j: int, k: int, faces: int, kinds: Kinds) -> int:
            at = wp.static(X) * i + wp.static(Y) * j + wp.static(Z) * k
            if kinds[wp.static(2 * axis)] != PERIODIC_:
                if at == 0:
                    return wp.static(2 * axis)
                if at == faces - 1:
                    return wp.static(2 * axis + 1)
            return -1

        @wp.func
        def seated(
            w: int,
            i: int,
            j: int,
            k: int,
            side: int,
            kinds: Kinds,
            profile: wp.array4d(dtype=real),
            speed: wp.array2d(dtype=vec3),
            q: wp.array4d(dtype=real),
        ) -> real:
            if kinds[side] == SLIP_:
                return real(0.0)
            if kinds[side] == OPEN_:
                return q[w, i, j, k]
            return moves(w, side, i, j, k, profile, speed)[wp.static(axis)]

        @wp.func
        def passed(
            w: int,
            i: int,
            j: int,
            k: int,
            side: int,
            kinds: Kinds,
            dt_per_dx: real,
            profile: wp.array4d(dtype=real),
            speed: wp.array2d(dtype=vec3),
            q: wp.array4d(dtype=real),
        ) -> real:
            own = seated(w, i, j, k, side, kinds, profile, speed, q)
            if kinds[side] == OPEN_:  # what flows out comes from inside; what flows in stays
                inward = int(1)
                if side == wp.static(2 * axis + 1):
                    inward = -1
                out = -real(inward) * own
                if out > real(0.0):
                    inside = q[w, i + inward * wp.static(X), j + inward * wp.static(Y), k + inward * wp.static(Z)]
                    own = own + dt_per_dx * out * (inside - own)
            return own

        return side_of_face, seated, passed

    pairs = [of_faces(axis) for axis in range(3)]
    return SimpleNamespace(
        side_of_face=[each[0] for each in pairs], seated=[each[1] for each in pairs],
        passed=[each[2] for each in pairs],
        vec3=vec3, Kinds=Kinds, wrap=wrap, moves=moves, beyond=beyond, read=[reading(axis) for axis in range(3)],
    )  # fmt: skip
