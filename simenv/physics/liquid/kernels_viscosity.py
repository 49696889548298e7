# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of a liquid's viscosity: stresses of twice the rate of deformation, explicit in time.

Normal stresses lie at centres of cells and shear stresses at their edges, as in Batty and Bridson 2008, Accurate
viscous free surfaces; each acts as far as there is liquid on all the faces that it is between, so that none acts at a
surface.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.liquid.places import corner

__all__ = ["viscosity_kernels"]

LEAST = 1e-6  # of a face's volume that particles fill, for viscosity to act on it


@built_once
def viscosity_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `strain`: of cells along each axis, and of their lower edges along each; and `rub`: velocities
        of faces after these stresses have acted.
    """
    vec3 = wp.types.vector(length=3, dtype=real)
    least = wp.constant(real(LEAST))
    options = {"module": f"simenv_liquid_viscosity_{real.__name__}", "enable_backward": True}

    @wp.func
    def stretch(low: real, high: real, at: int, last: int, before: real, after: real) -> real:
        # of a cell along an axis, from what fills its two faces, of which walls take half, and their velocities
        a = low
        if at == 0:
            a = real(2.0) * low
        b = high
        if at == last - 1:
            b = real(2.0) * high
        return wp.min(wp.min(a, b), real(1.0)) * (after - before)

    @wp.func
    def shear(a: real, b: real, c: real, d: real, rate: real) -> real:
        # of an edge, from what fills the four faces around
        return wp.min(wp.min(wp.min(a, b), wp.min(c, d)), real(1.0)) * rate

    @wp.kernel(**options)
    def strain(
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        mass_in: wp.array2d(dtype=vec3),
        flow_in: wp.array2d(dtype=vec3),
        stretch_out: wp.array2d(dtype=vec3),
        shear_out: wp.array2d(dtype=vec3),
    ):
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i > n[0]:
            return
        for j in range(row, n[1] + 1, lanes[0]):
            for k in range(lane, n[2] + 1, lanes[1]):
                at = corner(n, i, j, k)
                along = vec3()
                sx = real(0.0)
                sy = real(0.0)
                sz = real(0.0)
                own = mass_in[w, at]
                if own[0] > real(0.0) or own[1] > real(0.0) or own[2] > real(0.0):  # elsewhere nothing has a share
                    u = flow_in[w, at]
                    if i < n[0] and j < n[1] and k < n[2]:
                        x = corner(n, i + 1, j, k)
                        y = corner(n, i, j + 1, k)
                        z = corner(n, i, j, k + 1)
                        along = vec3(
                            stretch(own[0], mass_in[w, x][0], i, n[0], u[0], flow_in[w, x][0]),
                            stretch(own[1], mass_in[w, y][1], j, n[1], u[1], flow_in[w, y][1]),
                            stretch(own[2], mass_in[w, z][2], k, n[2], u[2], flow_in[w, z][2]),
                        )
                    ix = i > 0 and i < n[0]
                    iy = j > 0 and j < n[1]
                    iz = k > 0 and k < n[2]
                    below_x = corner(n, wp.max(i - 1, 0), j, k)
                    below_y = corner(n, i, wp.max(j - 1, 0), k)
                    below_z = corner(n, i, j, wp.max(k - 1, 0))
                    mx = mass_in[w, below_x]
                    my = mass_in[w, below_y]
                    mz = mass_in[w, below_z]
                    ux = flow_in[w, below_x]
                    uy = flow_in[w, below_y]
                    uz = flow_in[w, below_z]
                    if iy and iz:
                        sx = shear(own[1], mz[1], own[2], my[2], u[1] - uz[1] + u[2] - uy[2])
                    if iz and ix:
                        sy = shear(own[2], mx[2], own[0], mz[0], u[2] - ux[2] + u[0] - uz[0])
                    if ix and iy:
                        sz = shear(own[0], my[0], own[1], mx[1], u[0] - uy[0] + u[1] - ux[1])
                stretch_out[w, at] = along
                shear_out[w, at] = vec3(sx, sy, sz)

    @wp.func
    def held(at: int, last: int, low: int, high: int) -> real:
        # how far walls beside a face hold what is there
        total = int(0)
        if at == 0:
            total += 2 * low
        if at == last - 1:
            total += 2 * high
        return real(total)

    @wp.func
    def over(force: real, hold: real, own: real, flow: real, at: int, last: int) -> real:
        # acceleration of an inner face that anything fills
        if at < 1 or at > last - 1 or own < least:
            return real(0.0)
        return (force - hold * wp.min(own, real(1.0)) * flow) / own

    @wp.kernel(**options)
    def rub(
        lanes: wp.vec2i,
        factor: real,
        sticks: wp.vec3i,
        cells: wp.vec3i,
        window_in: wp.array2d(dtype=wp.vec3i),
        viscosity_in: wp.array(dtype=real),
        mass_in: wp.array2d(dtype=vec3),
        old_in: wp.array2d(dtype=vec3),
        stretch_in: wp.array2d(dtype=vec3),
        shear_in: wp.array2d(dtype=vec3),
        star_in: wp.array2d(dtype=vec3),
        star_out: wp.array2d(dtype=vec3),
    ):
        """`factor` is dt / dx^2; along which axes walls hold the liquid; cells of the box."""
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i > n[0]:
            return
        first = window_in[w, 0]
        low = wp.vec3i(
            wp.where(first[0] == 0, sticks[0], 0), wp.where(first[1] == 0, sticks[1], 0),
            wp.where(first[2] == 0, sticks[2], 0),
        )  # fmt: skip
        high = wp.vec3i(
            wp.where(first[0] + n[0] == cells[0], sticks[0], 0), wp.where(first[1] + n[1] == cells[1], sticks[1], 0),
            wp.where(first[2] + n[2] == cells[2], sticks[2], 0),
        )  # fmt: skip
        share = factor * viscosity_in[w]
        hx = held(i, n[0], low[0], high[0])
        two = real(2.0)
        for j in range(row, n[1] + 1, lanes[0]):
            hy = held(j, n[1], low[1], high[1])
            for k in range(lane, n[2] + 1, lanes[1]):
                hz = held(k, n[2], low[2], high[2])
                at = corner(n, i, j, k)
                own = mass_in[w, at]
                more = vec3()
                if own[0] >= least or own[1] >= least or own[2] >= least:
                    e = stretch_in[w, at]
                    s = shear_in[w, at]
                    x = corner(n, wp.min(i + 1, n[0]), j, k)
                    y = corner(n, i, wp.min(j + 1, n[1]), k)
                    z = corner(n, i, j, wp.min(k + 1, n[2]))
                    sx = shear_in[w, x]
                    sy = shear_in[w, y]
                    sz = shear_in[w, z]
                    ex = stretch_in[w, corner(n, wp.max(i - 1, 0), j, k)][0]
                    ey = stretch_in[w, corner(n, i, wp.max(j - 1, 0), k)][1]
                    ez = stretch_in[w, corner(n, i, j, wp.max(k - 1, 0))][2]
                    u = old_in[w, at]
                    more = vec3(
                        over(two * (e[0] - ex) + sy[2] - s[2] + sz[1] - s[1], hy + hz, own[0], u[0], i, n[0]),
                        over(two * (e[1] - ey) + sz[0] - s[0] + sx[2] - s[2], hz + hx, own[1], u[1], j, n[1]),
                        over(two * (e[2] - ez) + sx[1] - s[1] + sy[0] - s[0], hx + hy, own[2], u[2], k, n[2]),
                    )
                star_out[w, at] = star_in[w, at] + share * more

    return SimpleNamespace(strain=strain, rub=rub)
