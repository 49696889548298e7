# SPDX-License-Identifier: Apache-2.0
"""Warp kernels at the walls of a box of liquid, beyond which lies the mirror image of what is inside: what fills cells
and tangential velocities are the same there, normal velocities have the other sign. So sums over a particle's stencil
lack nothing near a wall.

Grids of four channels lie one place beyond both ends of the box: cell (i, j, k), or its lower face, is at (i + 1,
j + 1, k + 1) of (nx + 3, ny + 3, nz + 3). `fold` adds what particles gave to places beyond walls to those
inside that they are images of, where nothing stays, and `reflect` fills them: each is the adjoint of the other.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["wall_kernels"]


@built_once
def wall_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `fold` and `reflect`, a thread for each world and axis of faces, and the same of centres. The
        first `odd` channels of faces change their sign across the axis.
    """
    vec4 = wp.types.vector(length=4, dtype=real)
    options = {"module": f"simenv_liquid_walls_{real.__name__}", "enable_backward": False}

    @wp.func
    def turned(value: vec4, odd: int) -> vec4:
        out = vec4(value)
        for c in range(odd):
            out[c] = -out[c]
        return out

    @wp.func
    def place(n: wp.vec3i, i: int, j: int, k: int) -> int:
        return (i * (n[1] + 3) + j) * (n[2] + 3) + k

    @wp.func
    def image(end: int, n: int, face: int):
        # number of a place beyond an end, and of that which it is the image of
        if end == 0:
            return 0, 2 - (1 - face)
        return n + 1 + face, n

    @wp.func
    def across(w: int, axis: int, end: int, n: wp.vec3i, own: int, odd: int, folds: int, grid: wp.array2d(dtype=vec4)):
        face = int(0)
        turns = int(0)
        if axis == own:
            face = 1
            turns = odd
        out, into = image(end, n[axis], face)
        b = (axis + 1) % 3
        c = (axis + 2) % 3
        here = wp.vec3i(0, 0, 0)
        there = wp.vec3i(0, 0, 0)
        here[axis] = out
        there[axis] = into
        for j in range(n[b] + 3):
            here[b] = j
            there[b] = j
            for k in range(n[c] + 3):
                here[c] = k
                there[c] = k
                beyond = place(n, here[0], here[1], here[2])
                within = place(n, there[0], there[1], there[2])
                if folds == 1:
                    grid[w, within] = grid[w, within] + turned(grid[w, beyond], turns)
                    grid[w, beyond] = vec4()
                else:
                    grid[w, beyond] = turned(grid[w, within], turns)

    @wp.func
    def fold_one(w: int, n: wp.vec3i, own: int, odd: int, grid: wp.array2d(dtype=vec4)):
        for axis in range(int(3)):
            across(w, axis, 0, n, own, odd, 1, grid)
            across(w, axis, 1, n, own, odd, 1, grid)

    @wp.func
    def reflect_one(w: int, n: wp.vec3i, own: int, odd: int, grid: wp.array2d(dtype=vec4)):
        for axis in range(int(3)):
            across(w, 2 - axis, 0, n, own, odd, 0, grid)
            across(w, 2 - axis, 1, n, own, odd, 0, grid)

    @wp.kernel(**options)
    def fold(
        odd: int,
        window_in: wp.array2d(dtype=wp.vec3i),
        x_inout: wp.array2d(dtype=vec4),
        y_inout: wp.array2d(dtype=vec4),
        z_inout: wp.array2d(dtype=vec4),
    ):
        w, axis = wp.tid()
        n = window_in[w, 1]
        if axis == 0:
            fold_one(w, n, 0, odd, x_inout)
        elif axis == 1:
            fold_one(w, n, 1, odd, y_inout)
        else:
            fold_one(w, n, 2, odd, z_inout)

    @wp.kernel(**options)
    def reflect(
        odd: int,
        window_in: wp.array2d(dtype=wp.vec3i),
        x_inout: wp.array2d(dtype=vec4),
        y_inout: wp.array2d(dtype=vec4),
        z_inout: wp.array2d(dtype=vec4),
    ):
        w, axis = wp.tid()
        n = window_in[w, 1]
        if axis == 0:
            reflect_one(w, n, 0, odd, x_inout)
        elif axis == 1:
            reflect_one(w, n, 1, odd, y_inout)
        else:
            reflect_one(w, n, 2, odd, z_inout)

    @wp.kernel(**options)
    def fold_centres(window_in: wp.array2d(dtype=wp.vec3i), fill_inout: wp.array2d(dtype=vec4)):
        w = wp.tid()
        n = window_in[w, 1]
        fold_one(w, n, 3, 0, fill_inout)

    @wp.kernel(**options)
    def reflect_centres(window_in: wp.array2d(dtype=wp.vec3i), fill_inout: wp.array2d(dtype=vec4)):
        w = wp.tid()
        n = window_in[w, 1]
        reflect_one(w, n, 3, 0, fill_inout)

    return SimpleNamespace(
        fold=fold, reflect=reflect, fold_centres=fold_centres, reflect_centres=reflect_centres
    )  # fmt: skip
