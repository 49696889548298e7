# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of a liquid's surface tension: how bent its surface is, and what the jump of pressure does to faces.

The curvature is the divergence of the unit normal of what fills cells, smoothed (Brackbill, Kothe and Zemach 1992), at
the place nearest to a cell where cells are half filled. Beyond a wall lies the mirror image, so that surfaces meet it
at a right angle. The pressure where it was zero is sigma times the curvature (ghost fluid, Gibou et al. 2002); what
this does to faces is put into their velocities before the pressure's equation, which stays as it is.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.liquid.kernels_cells import HALF, cell_kernels
from simenv.physics.liquid.places import cell, corner, step

__all__ = ["tension_kernels"]

MOST = 0.98  # of a cell that is filled, from which on it is told from a full one
FAINT = 1e-2  # of the level of cells, from one to the next, below which there is hardly a normal
FARTHEST = 1.25  # cells to where cells are half filled, that a cell looks for its curvature
SHARPEST = 1.0  # curvature of a surface, per cell: that of a ball of two cells
LEAVING, LEFT = 0.6, 1.2  # spreads beyond the surface, from which on what is there returns, and fully


@built_once
def tension_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `soften`: the mean of cells along an axis, with weights 1/4, 1/2, 1/4;
        * `level`: distance from a surface, by what fills cells;
        * `lean`: of faces the normal's component across each; `bend`: its divergence; `near`: that of the nearest place
          on the surface;
        * `pull`: what the jump does to faces; `gain`: sums of faces;
        * `cling`: what holds particles at the surface.
    """
    vec3 = wp.types.vector(length=3, dtype=real)
    depth, smooth = cell_kernels(real, HALF).depth, cell_kernels(real, HALF).smooth
    most = wp.constant(real(MOST))
    leaving, leave = wp.constant(real(LEAVING)), wp.constant(real(1.0 / (LEFT - LEAVING)))
    surface, faint, farthest = wp.constant(real(HALF)), wp.constant(real(FAINT)), wp.constant(real(FARTHEST))
    sharpest = wp.constant(real(SHARPEST))
    options = {"module": f"simenv_liquid_tension_{real.__name__}", "enable_backward": True}

    @wp.func
    def seen(
        w: int, cells: wp.vec3i, window: wp.array2d(dtype=wp.vec3i), at: wp.vec3i, a: wp.array2d(dtype=real)
    ) -> real:  # fmt: skip
        # of a cell: beyond a wall of the box the mirror image, beyond the window nothing
        first = window[w, 0]
        n = window[w, 1]
        i = wp.clamp(at[0], -first[0], cells[0] - 1 - first[0])
        j = wp.clamp(at[1], -first[1], cells[1] - 1 - first[1])
        k = wp.clamp(at[2], -first[2], cells[2] - 1 - first[2])
        if i < 0 or j < 0 or k < 0 or i >= n[0] or j >= n[1] or k >= n[2]:
            return real(0.0)
        return a[w, cell(n, i, j, k)]

    @wp.kernel(**options)
    def soften(
        axis: int,
        cells: wp.vec3i,
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        a_in: wp.array2d(dtype=real),
        a_out: wp.array2d(dtype=real),
    ):
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i >= n[0]:
            return
        d = step(axis)
        for j in range(row, n[1], lanes[0]):
            for k in range(lane, n[2], lanes[1]):
                at = wp.vec3i(i, j, k)
                beside = seen(w, cells, window_in, at - d, a_in) + seen(w, cells, window_in, at + d, a_in)
                a_out[w, cell(n, i, j, k)] = real(0.5) * a_in[w, cell(n, i, j, k)] + real(0.25) * beside

    @wp.kernel(**options)
    def level(
        window_in: wp.array2d(dtype=wp.vec3i), soft_in: wp.array2d(dtype=real), level_out: wp.array2d(dtype=real)
    ):  # fmt: skip
        """Distance from where cells are half filled, in spreads of a flat surface by what smooths it, and as far as
        two: the inverse of the normal distribution to 2e-4. It is linear across a surface, which differences need.
        """
        w, i = wp.tid()
        n = window_in[w, 1]
        if i < n[0]:
            size = n[1] * n[2]
            for c in range(i * size, i * size + size):
                f = wp.clamp(soft_in[w, c], real(1.0) - most, most)
                t = -wp.log(real(4.0) * f * (real(1.0) - f))
                slope = real(1.2532956) + t * (real(0.32839548) + t * (real(0.01582224) - t * real(0.00320218)))
                level_out[w, c] = (real(2.0) * f - real(1.0)) * slope

    @wp.func
    def across(
        w: int, cells: wp.vec3i, window: wp.array2d(dtype=wp.vec3i), at: wp.vec3i, axis: int, a: wp.array2d(dtype=real)
    ) -> real:  # fmt: skip
        # the outward normal's component across the lower face of a cell
        e = step(axis)
        u = step((axis + 1) % 3)
        v = step((axis + 2) % 3)
        b = at - e
        g = seen(w, cells, window, at, a) - seen(w, cells, window, b, a)
        gu = seen(w, cells, window, at + u, a) - seen(w, cells, window, at - u, a)
        gu = gu + seen(w, cells, window, b + u, a) - seen(w, cells, window, b - u, a)
        gv = seen(w, cells, window, at + v, a) - seen(w, cells, window, at - v, a)
        gv = gv + seen(w, cells, window, b + v, a) - seen(w, cells, window, b - v, a)
        return -g / wp.sqrt(g * g + real(0.0625) * (gu * gu + gv * gv) + faint * faint)

    @wp.kernel(**options)
    def lean(
        cells: wp.vec3i,
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        level_in: wp.array2d(dtype=real),
        normal_out: wp.array2d(dtype=vec3),
    ):
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i > n[0]:
            return
        for j in range(row, n[1] + 1, lanes[0]):
            for k in range(lane, n[2] + 1, lanes[1]):
                at = wp.vec3i(i, j, k)
                x = across(w, cells, window_in, at, 0, level_in)
                y = across(w, cells, window_in, at, 1, level_in)
                z = across(w, cells, window_in, at, 2, level_in)
                normal_out[w, corner(n, i, j, k)] = vec3(x, y, z)

    @wp.kernel(**options)
    def bend(
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        normal_in: wp.array2d(dtype=vec3),
        bent_out: wp.array2d(dtype=real),
    ):
        """Curvature, per cell, of the surface through each cell on which the softened filling is the same."""
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i >= n[0]:
            return
        for j in range(row, n[1], lanes[0]):
            for k in range(lane, n[2], lanes[1]):
                own = normal_in[w, corner(n, i, j, k)]
                x = normal_in[w, corner(n, i + 1, j, k)][0] - own[0]
                y = normal_in[w, corner(n, i, j + 1, k)][1] - own[1]
                z = normal_in[w, corner(n, i, j, k + 1)][2] - own[2]
                bent_out[w, cell(n, i, j, k)] = x + y + z

    @wp.func
    def fall(
        w: int, cells: wp.vec3i, window: wp.array2d(dtype=wp.vec3i), at: wp.vec3i, axis: int, a: wp.array2d(dtype=real)
    ) -> real:  # fmt: skip
        # along an axis, over two cells
        return seen(w, cells, window, at - step(axis), a) - seen(w, cells, window, at + step(axis), a)

    @wp.func
    def sampled(
        w: int, cells: wp.vec3i, window: wp.array2d(dtype=wp.vec3i), x: vec3, a: wp.array2d(dtype=real)
    ) -> real:  # fmt: skip
        # at a place in cells from the centre of the first, linearly
        i = int(wp.floor(x[0]))
        j = int(wp.floor(x[1]))
        k = int(wp.floor(x[2]))
        f = x - vec3(real(i), real(j), real(k))
        total = real(0.0)
        for p in range(2):
            for q in range(2):
                for r in range(2):
                    s = wp.abs(real(1 - p) - f[0]) * wp.abs(real(1 - q) - f[1]) * wp.abs(real(1 - r) - f[2])
                    total = total + s * seen(w, cells, window, wp.vec3i(i + p, j + q, k + r), a)
        return total

    @wp.kernel(**options)
    def near(
        cells: wp.vec3i,
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        fill_in: wp.array2d(dtype=real),
        level_in: wp.array2d(dtype=real),
        bent_in: wp.array2d(dtype=real),
        bent_out: wp.array2d(dtype=real),
    ):
        """Curvature where cells are half filled, nearest to each cell that is between full and empty."""
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i >= n[0]:
            return
        for j in range(row, n[1], lanes[0]):
            for k in range(lane, n[2], lanes[1]):
                at = wp.vec3i(i, j, k)
                gx = fall(w, cells, window_in, at, 0, level_in)
                gy = fall(w, cells, window_in, at, 1, level_in)
                gz = fall(w, cells, window_in, at, 2, level_in)
                g = vec3(gx, gy, gz)
                found = real(0.0)
                if wp.dot(g, g) > faint * faint:
                    far = wp.clamp(depth(fill_in[w, cell(n, i, j, k)]), -farthest, farthest)
                    x = vec3(real(i), real(j), real(k)) + (far / wp.sqrt(wp.dot(g, g))) * g
                    found = sampled(w, cells, window_in, x, bent_in)
                bent_out[w, cell(n, i, j, k)] = wp.clamp(found, -sharpest, sharpest)

    @wp.func
    def jump(
        w: int, liquid: int, other: int, fill: wp.array2d(dtype=real), bent: wp.array2d(dtype=real)
    ) -> real:  # fmt: skip
        # curvature where the filling falls to `surface` between two cells
        top = depth(fill[w, liquid])
        part = (top - depth(surface)) / (top - depth(fill[w, other]))
        return bent[w, liquid] + part * (bent[w, other] - bent[w, liquid])

    @wp.func
    def pulled(
        w: int, low: int, high: int, steep: real, fill: wp.array2d(dtype=real), bent: wp.array2d(dtype=real)
    ) -> real:  # fmt: skip
        # what the curvature where pressure begins does to the velocity of a face
        if steep > real(0.0):
            if fill[w, low] > surface:
                if fill[w, high] <= surface:
                    return -steep * jump(w, low, high, fill, bent)
            elif fill[w, high] > surface:
                return steep * jump(w, high, low, fill, bent)
        return real(0.0)

    @wp.kernel(**options)
    def pull(
        lanes: wp.vec2i,
        factor: real,
        window_in: wp.array2d(dtype=wp.vec3i),
        tension_in: wp.array(dtype=real),
        fill_in: wp.array2d(dtype=real),
        bent_in: wp.array2d(dtype=real),
        steep_in: wp.array2d(dtype=vec3),
        star_in: wp.array2d(dtype=vec3),
        pull_out: wp.array2d(dtype=vec3),
        star_out: wp.array2d(dtype=vec3),
    ):
        """`factor` is dt / dx^2, `tension` that of the surface over the density."""
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i > n[0]:
            return
        share = factor * tension_in[w]
        for j in range(row, n[1] + 1, lanes[0]):
            for k in range(lane, n[2] + 1, lanes[1]):
                at = corner(n, i, j, k)
                own = cell(n, i, j, k)
                x = real(0.0)
                y = real(0.0)
                z = real(0.0)
                if i < n[0] and j < n[1] and k < n[2]:
                    s = steep_in[w, at]
                    if i > 0:
                        x = pulled(w, cell(n, i - 1, j, k), own, s[0], fill_in, bent_in)
                    if j > 0:
                        y = pulled(w, cell(n, i, j - 1, k), own, s[1], fill_in, bent_in)
                    if k > 0:
                        z = pulled(w, cell(n, i, j, k - 1), own, s[2], fill_in, bent_in)
                change = share * vec3(x, y, z)
                pull_out[w, at] = change
                star_out[w, at] = star_in[w, at] + change

    @wp.kernel(**options)
    def gain(
        window_in: wp.array2d(dtype=wp.vec3i),
        a_in: wp.array2d(dtype=vec3),
        b_in: wp.array2d(dtype=vec3),
        sum_out: wp.array2d(dtype=vec3),
    ):
        w, i = wp.tid()
        n = window_in[w, 1]
        if i <= n[0]:
            size = (n[1] + 1) * (n[2] + 1)
            for c in range(i * size, i * size + size):
                sum_out[w, c] = a_in[w, c] + b_in[w, c]

    @wp.func
    def homeward(low: real, high: real, speed: real, reached: real, star: real, drift: real) -> real:
        # by what a face's velocity changes where hardly anything fills cells but what has left the surface
        gone = smooth((real(-0.5) * (low + high) - leaving) * leave)
        return gone * (drift - reached * star + reached * speed * (high - low))

    @wp.kernel(**options)
    def cling(
        cells: wp.vec3i,
        lanes: wp.vec2i,
        factor: real,
        window_in: wp.array2d(dtype=wp.vec3i),
        tension_in: wp.array(dtype=real),
        level_in: wp.array2d(dtype=real),
        ripe_in: wp.array2d(dtype=vec3),
        star_in: wp.array2d(dtype=vec3),
        reached_in: wp.array2d(dtype=vec3),
        drift_in: wp.array2d(dtype=vec3),
        change_in: wp.array2d(dtype=vec3),
        change_out: wp.array2d(dtype=vec3),
    ):
        """What has left the surface moves with it, and returns at a share of the speed of waves as long as a cell;
        `factor` is the square of this share over dx.
        """
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i > n[0]:
            return
        speed = wp.sqrt(factor * tension_in[w])
        one = vec3(real(1.0), real(1.0), real(1.0))
        for j in range(row, n[1] + 1, lanes[0]):
            for k in range(lane, n[2] + 1, lanes[1]):
                c = corner(n, i, j, k)
                at = wp.vec3i(i, j, k)
                own = seen(w, cells, window_in, at, level_in)
                to = reached_in[w, c]
                u = star_in[w, c]
                v = drift_in[w, c]
                x = homeward(seen(w, cells, window_in, at - step(0), level_in), own, speed, to[0], u[0], v[0])
                y = homeward(seen(w, cells, window_in, at - step(1), level_in), own, speed, to[1], u[1], v[1])
                z = homeward(seen(w, cells, window_in, at - step(2), level_in), own, speed, to[2], u[2], v[2])
                change_out[w, c] = change_in[w, c] + wp.cw_mul(one - ripe_in[w, c], vec3(x, y, z))

    return SimpleNamespace(
        soften=soften, level=level, lean=lean, bend=bend, near=near, pull=pull, gain=gain,
        cling=cling,
    )  # fmt: skip
