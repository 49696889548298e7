# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of tactile images: the membrane's filter, colours by table, and Taxim's own lookup.

Surfaces are heights of the gel pressed towards the camera [m], one per pixel. The slope of a pixel is the central
difference of its neighbours, one-sided at the border. The adjoints are written by hand: the one of the colours first
per pixel (adjoint of its slope), then gathered from the neighbours, so that no sum depends on the order of threads.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["WIDE", "image_kernels", "slope_function"]

WIDE = 16  # columns that a CPU thread filters at once: a cache line of float32


@built_once
def box_kernel(real, kind, name: str):
    """The running box filter of lines, for elements of type `kind`: a scalar, or neighbouring columns together."""
    options = {"module": f"simenv_tactile_box{name}_{real.__name__}", "enable_backward": False}

    @wp.kernel(**options)
    def box(
        first_stride: int,
        stride: int,
        count: int,
        radius: int,
        inner: real,
        outer: real,
        field_in: wp.array2d(dtype=kind),
        result_out: wp.array2d(dtype=kind),
    ):
        # weights `inner` within `radius` and `outer` at radius + 1 along one line of an image, zeros outside of it
        w, line = wp.tid()
        start = line * first_stride
        total = kind(real(0.0))
        for k in range(wp.min(radius, count)):
            total = total + field_in[w, start + k * stride]
        for i in range(count):
            if i + radius < count:
                total = total + field_in[w, start + (i + radius) * stride]
            if i - radius - 1 >= 0:
                total = total - field_in[w, start + (i - radius - 1) * stride]
            rim = kind(real(0.0))
            if i + radius + 1 < count:
                rim = field_in[w, start + (i + radius + 1) * stride]
            if i - radius - 1 >= 0:
                rim = rim + field_in[w, start + (i - radius - 1) * stride]
            result_out[w, start + i * stride] = inner * total + outer * rim

    return box


@built_once
def slope_function(real):
    """Slope (along the columns, along the rows) of a surface at a pixel."""
    vec2 = wp.types.vector(length=2, dtype=real)

    @wp.func
    def slope(surface: wp.array2d(dtype=real), w: int, row: int, column: int, rows: int, columns: int, pixel: real):
        left = wp.max(column - 1, 0)
        right = wp.min(column + 1, columns - 1)
        low = wp.max(row - 1, 0)
        high = wp.min(row + 1, rows - 1)
        return vec2(
            (surface[w, row * columns + right] - surface[w, row * columns + left]) / (real(right - left) * pixel),
            (surface[w, high * columns + column] - surface[w, low * columns + column]) / (real(high - low) * pixel),
        )

    return slope


@built_once
def image_kernels(real) -> SimpleNamespace:
    """Build the kernels for one scalar type.

    Args:
        real: `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the kernels `box`, `wide_box`, `colours`, `colours_adjoint`, `gather` and `taxim`, over worlds
        N and H W pixels (boxes: N and lines); `real`, `wide`, `vec2`, `vec3` and `mat36` are the types of their arrays.
    """
    vec2 = wp.types.vector(length=2, dtype=real)
    vec3 = wp.types.vector(length=3, dtype=real)
    vec6 = wp.types.vector(length=6, dtype=real)
    mat36 = wp.types.matrix(shape=(3, 6), dtype=real)
    options = {"module": f"simenv_tactile_image_{real.__name__}", "enable_backward": False}
    half_pi = wp.constant(real(1.5707963267948966))
    pi = wp.constant(real(3.141592653589793))

    box = box_kernel(real, real, "1")
    wide = wp.types.vector(length=WIDE, dtype=real)
    wide_box = box_kernel(real, wide, str(WIDE))

    slope = slope_function(real)

    @wp.func
    def position(row: int, column: int, scale: vec2) -> vec6:
        x = real(column) * scale[0]
        y = real(row) * scale[1]
        return vec6(x * x, y * y, x * y, x, y, real(1.0))

    @wp.func
    def cell(n: real, bins: int) -> int:
        return wp.clamp(int(wp.floor((n + real(1.0)) * real(0.5) * real(bins - 1))), 0, bins - 2)

    @wp.kernel(**options)
    def colours(
        table: wp.array2d(dtype=mat36),
        bins: int,
        background: wp.array(dtype=vec3),
        columns: int,
        rows: int,
        pixel: real,
        scale: vec2,
        surface_in: wp.array2d(dtype=real),
        image_out: wp.array2d(dtype=vec3),
    ):
        # bilinear in the first two components of the surface's normal; the table is zero at the flat one
        w, i = wp.tid()
        row = i // columns
        column = i - row * columns
        g = slope(surface_in, w, row, column, rows, columns, pixel)
        colour = background[i]
        if g[0] != real(0.0) or g[1] != real(0.0):
            n = g / wp.sqrt(real(1.0) + wp.dot(g, g))
            a = cell(n[0], bins)
            b = cell(n[1], bins)
            s = (n[0] + real(1.0)) * real(0.5) * real(bins - 1) - real(a)
            t = (n[1] + real(1.0)) * real(0.5) * real(bins - 1) - real(b)
            p = position(row, column, scale)
            low = (real(1.0) - s) * (table[b, a] * p) + s * (table[b, a + 1] * p)
            high = (real(1.0) - s) * (table[b + 1, a] * p) + s * (table[b + 1, a + 1] * p)
            colour = colour + (real(1.0) - t) * low + t * high
            for c in range(3):
                colour[c] = wp.clamp(colour[c], real(0.0), real(255.0))
        image_out[w, i] = colour

    @wp.kernel(**options)
    def colours_adjoint(
        table: wp.array2d(dtype=mat36),
        bins: int,
        background: wp.array(dtype=vec3),
        columns: int,
        rows: int,
        pixel: real,
        scale: vec2,
        surface_in: wp.array2d(dtype=real),
        adj_image_in: wp.array2d(dtype=vec3),
        adj_slope_out: wp.array2d(dtype=vec2),
    ):
        w, i = wp.tid()
        row = i // columns
        column = i - row * columns
        g = slope(surface_in, w, row, column, rows, columns, pixel)
        stretch = real(1.0) / wp.sqrt(real(1.0) + wp.dot(g, g))
        n = stretch * g
        a = cell(n[0], bins)
        b = cell(n[1], bins)
        s = (n[0] + real(1.0)) * real(0.5) * real(bins - 1) - real(a)
        t = (n[1] + real(1.0)) * real(0.5) * real(bins - 1) - real(b)
        p = position(row, column, scale)
        c00 = table[b, a] * p
        c01 = table[b, a + 1] * p
        c10 = table[b + 1, a] * p
        c11 = table[b + 1, a + 1] * p
        low = (real(1.0) - s) * c00 + s * c01
        high = (real(1.0) - s) * c10 + s * c11
        colour = background[i] + (real(1.0) - t) * low + t * high
        seed = adj_image_in[w, i]
        for c in range(3):
            if colour[c] < real(0.0) or colour[c] > real(255.0):
                seed[c] = real(0.0)
        factor = real(0.5) * real(bins - 1)
        adj_n = factor * vec2(wp.dot(seed, (real(1.0) - t) * (c01 - c00) + t * (c11 - c10)), wp.dot(seed, high - low))
        # n = g / sqrt(1 + g.g)
        adj_slope_out[w, i] = stretch * (adj_n - wp.dot(adj_n, n) * n)

    @wp.kernel(**options)
    def gather(
        columns: int,
        rows: int,
        pixel: real,
        adj_slope_in: wp.array2d(dtype=vec2),
        adj_surface_out: wp.array2d(dtype=real),
    ):
        # every slope that a height enters
        w, i = wp.tid()
        row = i // columns
        column = i - row * columns
        half = real(0.5) / pixel
        whole = real(1.0) / pixel
        total = real(0.0)
        if column > 0:
            total = total + adj_slope_in[w, i - 1][0] * wp.where(column == 1, whole, half)
        else:
            total = total - adj_slope_in[w, i][0] * whole
        if column < columns - 1:
            total = total - adj_slope_in[w, i + 1][0] * wp.where(column == columns - 2, whole, half)
        else:
            total = total + adj_slope_in[w, i][0] * whole
        if row > 0:
            total = total + adj_slope_in[w, i - columns][1] * wp.where(row == 1, whole, half)
        else:
            total = total - adj_slope_in[w, i][1] * whole
        if row < rows - 1:
            total = total - adj_slope_in[w, i + columns][1] * wp.where(row == rows - 2, whole, half)
        else:
            total = total + adj_slope_in[w, i][1] * whole
        adj_surface_out[w, i] = total

    @wp.kernel(**options)
    def taxim(
        table: wp.array2d(dtype=mat36),
        bins: int,
        background: wp.array(dtype=vec3),
        columns: int,
        rows: int,
        pixel: real,
        scale: vec2,
        surface_in: wp.array2d(dtype=real),
        image_out: wp.array2d(dtype=vec3),
    ):
        # Taxim's own lookup: the bin below, in the slope's angle and direction
        w, i = wp.tid()
        row = i // columns
        column = i - row * columns
        g = slope(surface_in, w, row, column, rows, columns, pixel)
        angle = wp.atan(wp.length(g))
        direction = real(0.0)
        if angle > real(0.0):
            direction = wp.atan2(g[1], g[0])
        a = wp.clamp(int(wp.floor(angle / half_pi * real(bins - 1))), 0, bins - 1)
        b = wp.clamp(int(wp.floor((direction + pi) / (real(2.0) * pi) * real(bins - 1))), 0, bins - 1)
        colour = background[i] + table[a, b] * position(row, column, scale)
        for c in range(3):
            colour[c] = wp.clamp(colour[c], real(0.0), real(255.0))
        image_out[w, i] = colour

    return SimpleNamespace(
        box=box,
        wide_box=wide_box,
        colours=colours,
        colours_adjoint=colours_adjoint,
        gather=gather,
        taxim=taxim,
        real=real,
        wide=wide,
        vec2=vec2,
        vec3=vec3,
        mat36=mat36,
    )
