# SPDX-License-Identifier: Apache-2.0
"""Warp kernel that lights a gel's surface by coloured lamps, ray by ray. The adjoint is generated."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.sensors.tactile.kernels_image import slope_function

__all__ = ["leds_kernels"]

STEPS = 32  # of a ray towards a lamp


@built_once
def leds_kernels(real) -> SimpleNamespace:
    """Build the kernel for one scalar type.

    Args:
        real: `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the kernel `light`, over worlds N and H W pixels; `real` and `vec3` are the types of its
        arrays.
    """
    vec3 = wp.types.vector(length=3, dtype=real)
    options = {"module": f"simenv_tactile_leds_{real.__name__}", "enable_backward": True}
    slope = slope_function(real)
    zero, one, two = wp.constant(real(0.0)), wp.constant(real(1.0)), wp.constant(real(2.0))

    @wp.func
    def height(surface: wp.array2d(dtype=real), w: int, x: real, y: real, columns: int, rows: int) -> real:
        # bilinear between pixels; level beyond the border
        a = wp.clamp(x, zero, real(columns - 1))
        b = wp.clamp(y, zero, real(rows - 1))
        c = wp.min(int(wp.floor(a)), columns - 2)
        r = wp.min(int(wp.floor(b)), rows - 2)
        s = a - real(c)
        t = b - real(r)
        i = r * columns + c
        low = (one - s) * surface[w, i] + s * surface[w, i + 1]
        high = (one - s) * surface[w, i + columns] + s * surface[w, i + columns + 1]
        return (one - t) * low + t * high

    @wp.func
    def clearance(
        surface: wp.array2d(dtype=real), w: int, x: real, y: real, z: real, towards: vec3, along: real, pixel: real,
        columns: int, rows: int,
    ) -> real:  # fmt: skip
        # height of the ray over the surface, over the way it went, `along` pixels from where it starts
        aside = wp.sqrt(towards[0] * towards[0] + towards[1] * towards[1])
        way = along * pixel
        ground = height(
            surface, w, x + along * towards[0] / aside, y + along * towards[1] / aside, columns, rows
        )  # fmt: skip
        return (z - ground) / way + towards[2] / aside

    @wp.func
    def nearest(
        surface: wp.array2d(dtype=real), w: int, x: real, y: real, z: real, towards: vec3, stride: real, pixel: real,
        columns: int, rows: int,
    ) -> int:  # fmt: skip
        # the step at which the ray comes closest to the gel
        least = real(1.0e9)
        found = int(0)
        for k in range(STEPS):
            free = clearance(surface, w, x, y, z, towards, real(k + 1) * stride, pixel, columns, rows)
            if free < least:
                least = free
                found = k
        return found

    @wp.func_grad(nearest)
    def adj_nearest(
        surface: wp.array2d(dtype=real), w: int, x: real, y: real, z: real, towards: vec3, stride: real, pixel: real,
        columns: int, rows: int, adj_ret: int,
    ):  # fmt: skip
        # a number of a step: the shadow's derivative is that of the clearance at this step
        pass

    @wp.kernel(**options)
    def light(
        lamps: wp.array(dtype=vec3),
        colours: wp.array(dtype=vec3),
        count: int,
        ambient: vec3,
        diffuse: real,
        specular: real,
        shininess: real,
        penumbra: real,
        stride: real,
        columns: int,
        rows: int,
        pixel: real,
        surface_in: wp.array2d(dtype=real),
        image_out: wp.array2d(dtype=vec3),
    ):
        w, i = wp.tid()
        row = i // columns
        column = i - row * columns
        g = slope(surface_in, w, row, column, rows, columns, pixel)
        normal = vec3(-g[0], -g[1], one) / wp.sqrt(one + g[0] * g[0] + g[1] * g[1])
        z = surface_in[w, i]
        point = vec3(
            (real(column) - real(0.5) * real(columns - 1)) * pixel, (real(row) - real(0.5) * real(rows - 1)) * pixel, z
        )
        colour = ambient
        for lamp in range(count):
            away = lamps[lamp] - point
            far = wp.length(away)
            towards = away / far
            level = lamps[lamp][2] / far
            cosine = wp.max(wp.dot(normal, towards), zero)
            mirrored = wp.max(two * wp.dot(normal, towards) * normal[2] - towards[2], zero)
            step = nearest(surface_in, w, real(column), real(row), z, towards, stride, pixel, columns, rows)
            open_ = clearance(
                surface_in, w, real(column), real(row), z, towards, real(step + 1) * stride, pixel, columns, rows
            )
            u = wp.clamp(open_ / penumbra, zero, one)
            seen = u * u * (real(3.0) - two * u)
            strength = (diffuse * cosine + specular * wp.pow(mirrored, shininess)) * level * level * seen
            colour = colour + strength * colours[lamp]
        image_out[w, i] = colour

    return SimpleNamespace(light=light, real=real, vec3=vec3)
