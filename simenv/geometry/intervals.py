# SPDX-License-Identifier: Apache-2.0
"""Along which part of a ray a simple convex solid lies, as Warp functions.

A span is vec2(enter, leave), in the ray's own t; the ray misses where enter >= leave. Intersections of solids are those
of their spans.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["interval_functions"]

FAR = 1.0e30


@built_once
def interval_functions(real: type) -> SimpleNamespace:
    """Spans of the ray x + t axis, and what goes with them, for one scalar type.

    Args:
        real: `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `vec2` and `vec3`, and the Warp functions `both(span, span)`, `half_space(height, rate)`
        (below a plane), `slab(low, high, x, rate)` (between two planes of one coordinate), `tube(radius, x, axis)`
        (about the z axis), `ball(radius, x, axis)` (about the origin), and `radial(x, radius)`, the outward normal of
        the tube at a point of its surface.
    """
    vec2 = wp.types.vector(length=2, dtype=real)
    vec3 = wp.types.vector(length=3, dtype=real)
    far = wp.constant(real(FAR))

    @wp.func
    def both(a: vec2, b: vec2) -> vec2:
        return vec2(wp.max(a[0], b[0]), wp.min(a[1], b[1]))

    @wp.func
    def everything_if(inside: bool) -> vec2:
        # a ray that keeps its distance from the surface
        if inside:
            return vec2(-far, far)
        return vec2(far, -far)

    @wp.func
    def half_space(height: real, rate: real) -> vec2:
        if rate < real(0.0):
            return vec2(-height / rate, far)
        if rate > real(0.0):
            return vec2(-far, -height / rate)
        return everything_if(height < real(0.0))

    @wp.func
    def slab(low: real, high: real, x: real, rate: real) -> vec2:
        if rate > real(0.0):
            return vec2((low - x) / rate, (high - x) / rate)
        if rate < real(0.0):
            return vec2((high - x) / rate, (low - x) / rate)
        return everything_if(x > low and x < high)

    @wp.func
    def quadratic(a: real, b: real, c: real, root2: real) -> vec2:
        # a t^2 + 2 b t + c < 0 with root2 = b^2 - a c, in the form that does not cancel
        if a == real(0.0):
            return everything_if(c < real(0.0))
        if root2 <= real(0.0):
            return everything_if(False)
        root = wp.sqrt(root2)
        if b >= real(0.0):
            q = -b - root
            return vec2(q / a, c / q)
        q = root - b
        return vec2(c / q, q / a)

    @wp.func
    def tube(radius: real, x: vec3, axis: vec3) -> vec2:
        a = axis[0] * axis[0] + axis[1] * axis[1]
        rho = wp.sqrt(x[0] * x[0] + x[1] * x[1])
        past = x[0] * axis[1] - x[1] * axis[0]  # squared: a times the least distance from the z axis
        return quadratic(
            a, x[0] * axis[0] + x[1] * axis[1], (rho - radius) * (rho + radius), a * radius * radius - past * past
        )

    @wp.func
    def ball(radius: real, x: vec3, axis: vec3) -> vec2:
        a = wp.dot(axis, axis)
        size = wp.length(x)
        past = wp.cross(x, axis)
        return quadratic(
            a, wp.dot(x, axis), (size - radius) * (size + radius), a * radius * radius - wp.dot(past, past)
        )

    @wp.func
    def radial(x: vec3, radius: real) -> vec3:
        return vec3(x[0] / radius, x[1] / radius, real(0.0))

    return SimpleNamespace(
        vec2=vec2, vec3=vec3, both=both, half_space=half_space, slab=slab, tube=tube, ball=ball, radial=radial
    )
