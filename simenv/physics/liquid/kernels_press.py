# SPDX-License-Identifier: Apache-2.0
"""The Warp kernel of what a liquid's pressure does to solids in its window.

The pressure is that of the centres of cells, zero where the filling falls to `SURFACE`. On a solid it acts at the
solid's surface, less what it is where cells are half filled, and on the area of a shell as it is, not thickened.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.liquid.kernels_measure import measure_kernels
from simenv.physics.liquid.places import cell, corner, step

__all__ = ["press_kernels"]

LIFT = 0.436  # cells between where cells are half filled and where pressure is zero, under a flat surface
LARGEST = 3.0  # of an area as it is, of one that is thickened


@built_once
def press_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `press`: forces and torques of the pressure on colliders, about their origins; and the function
        `to_wall`, from the centre of a cell to the nearest surface.
    """
    base = measure_kernels(real)
    Box, vec3, fine, place, at_fine = base.Box, base.vec3, base.fine, base.place, base.at_fine
    lift, largest = wp.constant(real(LIFT)), wp.constant(real(LARGEST))
    options = {"module": f"simenv_liquid_press_{real.__name__}", "enable_backward": True}

    @wp.func
    def mean_of(low: real, high: real, a: real, b: real) -> real:
        # of two faces, by what is open of them
        if a + b > real(0.0):
            return (a * low + b * high) / (a + b)
        return real(0.0)

    @wp.func
    def to_wall(w: int, n: wp.vec3i, c: wp.vec3i, dx: real, thick: real, phi: wp.array2d(dtype=real)) -> vec3:
        # from the centre of a cell to the nearest surface, at most a cell, in cells
        x = at_fine(w, n, c + step(0), phi) - at_fine(w, n, c - step(0), phi)
        y = at_fine(w, n, c + step(1), phi) - at_fine(w, n, c - step(1), phi)
        z = at_fine(w, n, c + step(2), phi) - at_fine(w, n, c - step(2), phi)
        far = wp.clamp((at_fine(w, n, c, phi) + thick) / dx, real(-1.0), real(1.0))
        return (-far / dx) * vec3(x, y, z)

    @wp.func
    def around(w: int, n: wp.vec3i, c: wp.vec3i, axis: int, phi: wp.array2d(dtype=real)) -> real:
        e = step(axis) + step(axis)
        return at_fine(w, n, c + e, phi) + at_fine(w, n, c - e, phi)

    @wp.func
    def thinned(w: int, n: wp.vec3i, c: wp.vec3i, dx: real, thick: real, phi: wp.array2d(dtype=real)) -> real:
        # area of a shell's surface, of one that is parallel to it, farther by `thick`: by the sum of its curvatures
        total = around(w, n, c, 0, phi) + around(w, n, c, 1, phi) + around(w, n, c, 2, phi)
        bent = (total - real(6.0) * at_fine(w, n, c, phi)) / (dx * dx)
        return wp.clamp(real(1.0) - thick * bent, real(0.0), largest)

    @wp.func
    def excess(slope: vec3, pull: vec3) -> real:
        # of the pressure, as far as it grows along gravity, which gives velocities `pull` in a tick
        size = wp.dot(pull, pull)
        if size <= real(0.0):
            return real(0.0)
        return lift * wp.sqrt(size) * wp.clamp(-wp.dot(slope, pull) / size, real(0.0), real(1.0))

    @wp.kernel(**options)
    def press(
        whole: Box,
        factor: real,
        dt: real,
        count: int,
        ticks: int,
        tick: int,
        thick: wp.array(dtype=real),
        window_in: wp.array2d(dtype=wp.vec3i),
        phi_in: wp.array2d(dtype=real),
        owner_in: wp.array2d(dtype=int),
        density_in: wp.array(dtype=real),
        gravity_in: wp.array(dtype=vec3),
        open_in: wp.array2d(dtype=vec3),
        p_in: wp.array2d(dtype=real),
        change_in: wp.array2d(dtype=vec3),
        position_in: wp.array(dtype=vec3),
        force_out: wp.array2d(dtype=vec3),
        torque_out: wp.array2d(dtype=vec3),
    ):
        """`factor` is dx^3 / dt, which makes a force of a pressure that is a velocity, with the density. Pressure acts
        where the surface is, which its slope, of open faces, tells.
        """
        w, i = wp.tid()
        n = window_in[w, 1]
        if i >= n[0]:
            return
        for j in range(n[1]):
            for k in range(n[2]):
                p = p_in[w, cell(n, i, j, k)]
                m = owner_in[w, fine(n, 2 * i + 1, 2 * j + 1, 2 * k + 1)]
                if m >= 0 and p != real(0.0):
                    o = open_in[w, corner(n, i, j, k)]
                    above = vec3(
                        open_in[w, corner(n, i + 1, j, k)][0],
                        open_in[w, corner(n, i, j + 1, k)][1],
                        open_in[w, corner(n, i, j, k + 1)][2],
                    )
                    closed = o - above
                    if wp.dot(closed, closed) > real(0.0):
                        low = change_in[w, corner(n, i, j, k)]
                        slope = vec3(
                            mean_of(low[0], change_in[w, corner(n, i + 1, j, k)][0], o[0], above[0]),
                            mean_of(low[1], change_in[w, corner(n, i, j + 1, k)][1], o[1], above[1]),
                            mean_of(low[2], change_in[w, corner(n, i, j, k + 1)][2], o[2], above[2]),
                        )
                        c = wp.vec3i(2 * i + 1, 2 * j + 1, 2 * k + 1)
                        way = to_wall(w, n, c, whole.dx, thick[m], phi_in)
                        there = p - wp.dot(slope, way) - excess(slope, dt * gravity_in[w])
                        area = thinned(w, n, c, whole.dx, thick[m], phi_in)
                        f = (factor * density_in[w] * there * area) * closed
                        x = place(whole, window_in[w, 0], 2 * i + 1, 2 * j + 1, 2 * k + 1) + whole.dx * way
                        wp.atomic_add(force_out, w, m, f)
                        wp.atomic_add(torque_out, w, m, wp.cross(x - position_in[(w * ticks + tick) * count + m], f))

    return SimpleNamespace(press=press, to_wall=to_wall)
