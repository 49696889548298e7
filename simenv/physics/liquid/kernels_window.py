# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of the window of cells that a liquid needs: those that particles touch, and one more on every side.

Whatever lies on the grid is stored for the window's cells one after another, so that a world's cost is that of its
liquid and not of its box. At the window's ends, where the box goes on, nothing is, and they are treated like walls.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.pressure.levels import COARSEST

__all__ = ["MARGIN", "window_kernels"]

FAR = 1 << 30
MARGIN = 2  # cells beyond those that particles are in, at least


@built_once
def window_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * the struct `Box` of a world's cells;
        * `begin`, `bound`, `fit`: from nothing, around each particle, and what a window (N, 2) is: its first cell, and
          how many there are along each axis;
        * `refine`: tables of the levels of a pressure's equation in the window of the only world;
        * `wipe_*`: zeros in the windows of grids of cells, of faces, of four channels, and of points half a cell apart.
    """
    vec3, vec4 = wp.types.vector(length=3, dtype=real), wp.types.vector(length=4, dtype=real)
    far, coarsest = wp.constant(FAR), wp.constant(COARSEST)
    options = {"module": f"simenv_liquid_window_{real.__name__}", "enable_backward": False}

    @wp.struct
    class Box:
        n: wp.vec3i
        origin: vec3
        dx: real

    @wp.func
    def is_inside(box: Box, x: vec3) -> bool:
        # false also for what is no number
        here = bool(True)
        for axis in range(3):
            at = (x[axis] - box.origin[axis]) / box.dx
            here = here and at >= real(0.0) and at <= real(box.n[axis])
        return here

    @wp.kernel(**options)
    def begin(ends_out: wp.array2d(dtype=int)):
        w = wp.tid()
        for c in range(6):
            ends_out[w, c] = (c // 3) * (-2) * far + far

    @wp.kernel(**options)
    def bound(
        box: Box,
        active_in: wp.array2d(dtype=int),
        x_in: wp.array2d(dtype=vec3),
        ends_out: wp.array2d(dtype=int),
    ):
        w, p = wp.tid()
        if active_in[w, p] != 0 and is_inside(box, x_in[w, p]):
            for axis in range(3):
                cell = int((x_in[w, p][axis] - box.origin[axis]) / box.dx)
                wp.atomic_min(ends_out, w, axis, cell)
                wp.atomic_max(ends_out, w, axis + 3, cell)

    @wp.kernel(**options)
    def fit(box: Box, whole: int, margin: int, ends_in: wp.array2d(dtype=int), window_out: wp.array2d(dtype=wp.vec3i)):
        """`whole` is 1 where windows are all of the box; `margin`: cells beyond those that particles are in."""
        w = wp.tid()
        first = wp.vec3i(0, 0, 0)
        count = wp.vec3i(box.n)
        if whole == 0:
            for axis in range(3):
                low = wp.max(ends_in[w, axis] - margin, 0)
                high = wp.min(ends_in[w, axis + 3] + margin + 1, box.n[axis])
                if high - low < 2:  # nothing is there
                    low = 0
                    high = 2
                first[axis] = low
                count[axis] = high - low
        window_out[w, 0] = first
        window_out[w, 1] = count

    @wp.kernel(**options)
    def refine(
        window_in: wp.array2d(dtype=wp.vec3i),
        n_out: wp.array(dtype=wp.vec3i),
        f_out: wp.array(dtype=wp.vec3i),
        cell_out: wp.array(dtype=int),
        face_out: wp.array(dtype=wp.vec3i),
        factor_out: wp.array(dtype=wp.vec3i),
        line_out: wp.array(dtype=int),
        sums_out: wp.array3d(dtype=real),
        parts_out: wp.array4d(dtype=real),
    ):
        n = window_in[0, 1]
        cells = int(0)
        lines = int(0)
        faces = wp.vec3i(0, 0, 0)
        for level in range(n_out.shape[0]):
            n_out[level] = n
            f_out[level] = n + wp.vec3i(1, 1, 1)
            cell_out[level] = cells
            line_out[level] = lines
            face_out[level] = faces
            cells += n[0] * n[1] * n[2]
            lines += n[0] * n[1]
            faces = faces + wp.vec3i((n[0] + 1) * n[1] * n[2], n[0] * (n[1] + 1) * n[2], n[0] * n[1] * (n[2] + 1))
            factor = wp.vec3i(1, 1, 1)
            next = wp.vec3i(n)
            if level < n_out.shape[0] - 1:
                for axis in range(3):
                    if n[axis] > coarsest:
                        factor[axis] = 2
                        next[axis] = (n[axis] + 1) // 2
            factor_out[level] = factor
            n = next
        for i in range(window_in[0, 1][0], sums_out.shape[1]):
            for c in range(sums_out.shape[2]):
                sums_out[0, i, c] = real(0.0)
            for each in range(parts_out.shape[2]):
                parts_out[0, i, each, 0] = real(0.0)
                parts_out[0, i, each, 1] = real(0.0)

    @wp.kernel(**options)
    def wipe_grids(
        window_in: wp.array2d(dtype=wp.vec3i),
        a_out: wp.array2d(dtype=vec4),
        b_out: wp.array2d(dtype=vec4),
        c_out: wp.array2d(dtype=vec4),
    ):
        w, i = wp.tid()
        m = window_in[w, 1]
        if i < m[0] + 3:
            size = (m[1] + 3) * (m[2] + 3)
            for c in range(i * size, i * size + size):
                a_out[w, c] = vec4()
                b_out[w, c] = vec4()
                c_out[w, c] = vec4()

    @wp.kernel(**options)
    def wipe_grid(window_in: wp.array2d(dtype=wp.vec3i), a_out: wp.array2d(dtype=vec4)):
        w, i = wp.tid()
        m = window_in[w, 1]
        if i < m[0] + 3:
            size = (m[1] + 3) * (m[2] + 3)
            for c in range(i * size, i * size + size):
                a_out[w, c] = vec4()

    @wp.kernel(**options)
    def wipe_faces(window_in: wp.array2d(dtype=wp.vec3i), a_out: wp.array2d(dtype=vec3)):
        w, i = wp.tid()
        m = window_in[w, 1]
        if i < m[0] + 1:
            size = (m[1] + 1) * (m[2] + 1)
            for c in range(i * size, i * size + size):
                a_out[w, c] = vec3()

    @wp.kernel(**options)
    def wipe_corners(window_in: wp.array2d(dtype=wp.vec3i), a_out: wp.array2d(dtype=real)):
        w, i = wp.tid()
        m = window_in[w, 1]
        if i < m[0] + 1:
            size = (m[1] + 1) * (m[2] + 1)
            for c in range(i * size, i * size + size):
                a_out[w, c] = real(0.0)

    @wp.kernel(**options)
    def wipe_cells(window_in: wp.array2d(dtype=wp.vec3i), a_out: wp.array2d(dtype=real)):
        w, i = wp.tid()
        m = window_in[w, 1]
        if i < m[0]:
            size = m[1] * m[2]
            for c in range(i * size, i * size + size):
                a_out[w, c] = real(0.0)

    @wp.kernel(**options)
    def wipe_points(window_in: wp.array2d(dtype=wp.vec3i), a_out: wp.array2d(dtype=real)):
        """Half a cell apart."""
        w, i = wp.tid()
        m = window_in[w, 1]
        if i < 2 * m[0] + 1:
            size = (2 * m[1] + 1) * (2 * m[2] + 1)
            for c in range(i * size, i * size + size):
                a_out[w, c] = real(0.0)

    return SimpleNamespace(
        Box=Box, is_inside=is_inside, begin=begin, bound=bound, fit=fit, refine=refine, wipe_grids=wipe_grids,
        wipe_grid=wipe_grid, wipe_faces=wipe_faces, wipe_cells=wipe_cells,
        wipe_points=wipe_points, wipe_corners=wipe_corners,
    )  # fmt: skip
