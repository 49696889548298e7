# SPDX-License-Identifier: Apache-2.0
"""Sampling of a signed-distance volume as Warp functions: value, gradient and curvature.

The values are the coefficients of a quadratic B-spline, so that phi is C1 and its Hessian piecewise smooth; it
reproduces linear fields exactly and lies h^2/8 times the Laplacian off a curved one. The spline needs three values
along each axis and is therefore defined on the box from half a cell after the first value to half a cell before the
last. Beyond it phi(x) = phi(c) + |x - c| with c the nearest point of the box: continuous, and no smaller than the
distance.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["volume_functions"]


@built_once
def volume_functions(real: type) -> SimpleNamespace:
    """Return Warp functions that sample one distance volume of a flat array of volumes.

    Both take (origin vec3 [m], spacing [m], nx, ny, nz, start, values (total,) [m], x vec3 [m]); values are x-major.

    Args:
        real: `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `sample(...) -> vec4` (grad phi, phi [m]), `level(...) -> real`, phi alone, and `curvature(...,
        a) -> vec3`, the Hessian of phi times `a` [1/m]; and `nearest(...) -> real`, the value nearest to x [m].
    """
    vec3 = wp.types.vector(length=3, dtype=real)
    vec4 = wp.types.vector(length=4, dtype=real)

    @wp.func
    def inside(u: real, n: wp.int32):
        return wp.clamp(u, real(0.5), real(n) - real(1.5))

    @wp.func
    def first(u: real, n: wp.int32):
        return wp.clamp(wp.int32(wp.floor(u - real(0.5))), 0, n - 3)

    @wp.func
    def weights(f: real):
        a = real(1.5) - f
        b = f - real(1.0)
        c = f - real(0.5)
        return vec3(real(0.5) * a * a, real(0.75) - b * b, real(0.5) * c * c)

    @wp.func
    def slopes(f: real):
        return vec3(f - real(1.5), real(2.0) - real(2.0) * f, f - real(0.5))

    @wp.func
    def sample(
        origin: vec3,
        spacing: real,
        nx: wp.int32,
        ny: wp.int32,
        nz: wp.int32,
        start: wp.int32,
        values: wp.array(dtype=real),
        x: vec3,
    ):
        u = (x - origin) / spacing
        c = vec3(inside(u[0], nx), inside(u[1], ny), inside(u[2], nz))
        i = first(c[0], nx)
        j = first(c[1], ny)
        k = first(c[2], nz)
        wx = weights(c[0] - real(i))
        wy = weights(c[1] - real(j))
        wz = weights(c[2] - real(k))
        dx = slopes(c[0] - real(i))
        dy = slopes(c[1] - real(j))
        dz = slopes(c[2] - real(k))
        phi = real(0.0)
        gx = real(0.0)
        gy = real(0.0)
        gz = real(0.0)
        for p in range(3):
            for q in range(3):
                at = start + ((i + p) * ny + j + q) * nz + k
                v = vec3(values[at], values[at + 1], values[at + 2])
                row = wp.dot(wz, v)
                phi += wx[p] * wy[q] * row
                gx += dx[p] * wy[q] * row
                gy += wx[p] * dy[q] * row
                gz += wx[p] * wy[q] * wp.dot(dz, v)
        g = vec3(gx, gy, gz) / spacing
        e = (u - c) * spacing
        beyond = wp.length(e)
        if beyond > real(0.0):  # phi(c) changes along the axes that aren't clamped, |x - c| along the others
            g = vec3(
                wp.where(e[0] == real(0.0), g[0], e[0] / beyond),
                wp.where(e[1] == real(0.0), g[1], e[1] / beyond),
                wp.where(e[2] == real(0.0), g[2], e[2] / beyond),
            )
        return vec4(g[0], g[1], g[2], phi + beyond)

    @wp.func
    def level(
        origin: vec3,
        spacing: real,
        nx: wp.int32,
        ny: wp.int32,
        nz: wp.int32,
        start: wp.int32,
        values: wp.array(dtype=real),
        x: vec3,
    ):
        u = (x - origin) / spacing
        c = vec3(inside(u[0], nx), inside(u[1], ny), inside(u[2], nz))
        i = first(c[0], nx)
        j = first(c[1], ny)
        k = first(c[2], nz)
        wx = weights(c[0] - real(i))
        wy = weights(c[1] - real(j))
        wz = weights(c[2] - real(k))
        phi = real(0.0)
        for p in range(3):
            for q in range(3):
                at = start + ((i + p) * ny + j + q) * nz + k
                phi += wx[p] * wy[q] * wp.dot(wz, vec3(values[at], values[at + 1], values[at + 2]))
        return phi + wp.length((u - c) * spacing)

    @wp.func
    def nearest(
        origin: vec3,
        spacing: real,
        nx: wp.int32,
        ny: wp.int32,
        nz: wp.int32,
        start: wp.int32,
        values: wp.array(dtype=real),
        x: vec3,
    ):
        u = (x - origin) / spacing
        i = wp.clamp(wp.int32(wp.floor(u[0] + real(0.5))), 0, nx - 1)
        j = wp.clamp(wp.int32(wp.floor(u[1] + real(0.5))), 0, ny - 1)
        k = wp.clamp(wp.int32(wp.floor(u[2] + real(0.5))), 0, nz - 1)
        return values[start + (i * ny + j) * nz + k]

    @wp.func
    def curvature(
        origin: vec3,
        spacing: real,
        nx: wp.int32,
        ny: wp.int32,
        nz: wp.int32,
        start: wp.int32,
        values: wp.array(dtype=real),
        x: vec3,
        a: vec3,
    ):
        u = (x - origin) / spacing
        c = vec3(inside(u[0], nx), inside(u[1], ny), inside(u[2], nz))
        e = (u - c) * spacing
        free = vec3(
            wp.where(e[0] == real(0.0), a[0], real(0.0)),
            wp.where(e[1] == real(0.0), a[1], real(0.0)),
            wp.where(e[2] == real(0.0), a[2], real(0.0)),
        )
        i = first(c[0], nx)
        j = first(c[1], ny)
        k = first(c[2], nz)
        wx = weights(c[0] - real(i))
        wy = weights(c[1] - real(j))
        wz = weights(c[2] - real(k))
        dx = slopes(c[0] - real(i))
        dy = slopes(c[1] - real(j))
        dz = slopes(c[2] - real(k))
        bend = vec3(real(1.0), real(-2.0), real(1.0))  # second derivative of the weights
        hx = real(0.0)
        hy = real(0.0)
        hz = real(0.0)
        for p in range(3):
            for q in range(3):
                at = start + ((i + p) * ny + j + q) * nz + k
                v = vec3(values[at], values[at + 1], values[at + 2])
                row = wp.dot(wz, v)
                row_z = wp.dot(dz, v)
                xy = dx[p] * dy[q] * row
                xz = dx[p] * wy[q] * row_z
                yz = wx[p] * dy[q] * row_z
                hx += bend[p] * wy[q] * row * free[0] + xy * free[1] + xz * free[2]
                hy += xy * free[0] + wx[p] * bend[q] * row * free[1] + yz * free[2]
                hz += xz * free[0] + yz * free[1] + wx[p] * wy[q] * wp.dot(bend, v) * free[2]
        h = vec3(hx, hy, hz) / (spacing * spacing)
        beyond = wp.length(e)
        if beyond > real(0.0):
            along = wp.dot(e, a) / (beyond * beyond)
            h = vec3(
                wp.where(e[0] == real(0.0), h[0], (a[0] - e[0] * along) / beyond),
                wp.where(e[1] == real(0.0), h[1], (a[1] - e[1] * along) / beyond),
                wp.where(e[2] == real(0.0), h[2], (a[2] - e[2] * along) / beyond),
            )
        return h

    return SimpleNamespace(sample=sample, level=level, curvature=curvature, nearest=nearest)
