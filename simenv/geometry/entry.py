# SPDX-License-Identifier: Apache-2.0
"""Where a ray enters a collision shape, as a Warp function.

`entry_functions(wp.float32).entry(shape, sdf_values, x, axis, first, last) -> vec4` takes a ray x + t axis in the
shape's own frame, of unit `axis`, and returns grad phi there and the first t in (first, last) at which it goes from
outside to inside. t = `first` where it starts inside, and t = `last` where it enters nothing; the gradient is then
zero.

Closed forms, but for a distance volume, whose entry is bracketed and then found as a root. Touch is therefore decided
by the very number whose derivative the implicit function theorem gives,

    phi(x + t axis) = 0   =>   dt = -(g . dx + t g . daxis) / (g . axis),

and g is that of the face that was met, not of the surface nearest to a point that rounding has put beside an edge: a
ray that passes a rim does not touch, however near, and one that enters beside it has the slope of its own face.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.distance import (
    KIND_BOX,
    KIND_CAPSULE,
    KIND_CUP,
    KIND_CYLINDER,
    KIND_PLANE,
    KIND_SPHERE,
    distance_functions,
)
from simenv.geometry.intervals import interval_functions

__all__ = ["entry_functions"]

TRACE_STEPS = 256  # of a ray through a distance volume: the last (last - first) / 256 of a step is the least
ROOT_STEPS = 40
_PLANE = wp.constant(KIND_PLANE)
_BOX = wp.constant(KIND_BOX)
_SPHERE = wp.constant(KIND_SPHERE)
_CYLINDER = wp.constant(KIND_CYLINDER)
_CAPSULE = wp.constant(KIND_CAPSULE)
_CUP = wp.constant(KIND_CUP)


@built_once
def entry_functions(real: type) -> SimpleNamespace:
    """Return the Warp function `entry` of the module docstring for one scalar type, and `Shape`, `vec3`, `vec4`.

    Args:
        real: `wp.float32` or `wp.float64`.

    Raises:
        TypeError: `real` is another type.
    """
    dist = distance_functions(real)
    Shape, vec3, vec4, distance_gradient, distance = (
        dist.Shape, dist.vec3, dist.vec4, dist.distance_gradient, dist.distance,
    )  # fmt: skip
    steps = wp.constant(real(TRACE_STEPS))
    convex = interval_functions(real)
    vec2, half_space, slab, both = convex.vec2, convex.half_space, convex.slab, convex.both
    tube, ball, radial = convex.tube, convex.ball, convex.radial

    @wp.func
    def of_convex(n: vec3, span: vec2, first: real, last: real) -> vec4:
        # n: the normal where the ray enters
        if span[0] < span[1] and span[1] > first and span[0] < last:
            if span[0] > first:
                return vec4(n[0], n[1], n[2], span[0])
            return vec4(real(0.0), real(0.0), real(0.0), first)
        return vec4(real(0.0), real(0.0), real(0.0), last)

    @wp.func
    def box_entry(h: vec4, x: vec3, axis: vec3, first: real, last: real) -> vec4:
        a = slab(-h[0], h[0], x[0], axis[0])
        b = slab(-h[1], h[1], x[1], axis[1])
        c = slab(-h[2], h[2], x[2], axis[2])
        span = both(both(a, b), c)
        n = vec3(real(0.0), real(0.0), -wp.sign(axis[2]))
        if a[0] == span[0]:
            n = vec3(-wp.sign(axis[0]), real(0.0), real(0.0))
        elif b[0] == span[0]:
            n = vec3(real(0.0), -wp.sign(axis[1]), real(0.0))
        return of_convex(n, span, first, last)

    @wp.func
    def cylinder_entry(radius: real, side: vec2, ends: vec2, x: vec3, axis: vec3, first: real, last: real) -> vec4:
        n = vec3(real(0.0), real(0.0), -wp.sign(axis[2]))
        if side[0] >= ends[0]:
            n = radial(x + side[0] * axis, radius)
        return of_convex(n, both(side, ends), first, last)

    @wp.func
    def ball_entry(x: vec3, radius: real, axis: vec3, first: real, last: real) -> vec4:
        span = ball(radius, x, axis)
        return of_convex((x + span[0] * axis) / radius, span, first, last)

    @wp.func
    def capsule_entry(radius: real, half: real, x: vec3, axis: vec3, first: real, last: real) -> vec4:
        # the earliest of two balls and the side between them, whose flat ends lie inside the balls
        side = tube(radius, x, axis)
        ends = slab(-half, half, x[2], axis[2])
        best = cylinder_entry(radius, side, ends, x, axis, first, last)
        if best[3] > first and ends[0] > side[0]:
            best = vec4(real(0.0), real(0.0), real(0.0), last)
        upper = ball_entry(x - vec3(real(0.0), real(0.0), half), radius, axis, first, last)
        lower = ball_entry(x + vec3(real(0.0), real(0.0), half), radius, axis, first, last)
        if upper[3] < best[3]:
            best = upper
        if lower[3] < best[3]:
            best = lower
        return best

    @wp.func
    def cup_entry(size: vec4, x: vec3, axis: vec3, first: real, last: real) -> vec4:
        # a cylinder less its cavity: entered from outside, or from the cavity where the ray leaves that
        radius = size[0] + size[2]
        side = tube(radius, x, axis)
        ends = slab(real(0.0), size[1], x[2], axis[2])
        outer = both(side, ends)
        wall = tube(size[0], x, axis)
        floor = half_space(size[3] - x[2], -axis[2])
        cavity = both(wall, floor)
        hollow = cavity[0] < cavity[1]
        if outer[0] <= first and first < outer[1] and not (hollow and cavity[0] <= first and first < cavity[1]):
            return vec4(real(0.0), real(0.0), real(0.0), first)
        best = vec4(real(0.0), real(0.0), real(0.0), last)
        if outer[0] > first and not (hollow and cavity[0] <= outer[0] and outer[0] < cavity[1]):
            best = cylinder_entry(radius, side, ends, x, axis, first, last)
        t = cavity[1]
        if hollow and t > first and t < best[3] and outer[0] < t and t < outer[1]:
            if wall[1] <= floor[1]:
                n = -radial(x + t * axis, size[0])
                best = vec4(n[0], n[1], n[2], t)
            else:
                best = vec4(real(0.0), real(0.0), real(1.0), t)
        return best

    @wp.func
    def volume_span(shape: Shape, x: vec3, axis: vec3) -> vec2:
        # within the box on which the spline is defined; the surface lies inside it
        low = shape.sdf_origin + vec3(real(0.5) * shape.sdf_spacing)
        size = vec3(real(shape.sdf_nx - 2), real(shape.sdf_ny - 2), real(shape.sdf_nz - 2)) * shape.sdf_spacing
        a = slab(low[0], low[0] + size[0], x[0], axis[0])
        b = slab(low[1], low[1] + size[1], x[1], axis[1])
        c = slab(low[2], low[2] + size[2], x[2], axis[2])
        return both(both(a, b), c)

    @wp.func
    def volume_root(
        shape: Shape, sdf_values: wp.array(dtype=real), x: vec3, axis: vec3, outside: real, inside: real
    ) -> vec4:
        # Newton's method, halving the bracket where it would leave it
        low = outside
        high = inside
        t = inside
        g = vec3(real(0.0))
        for _i in range(ROOT_STEPS):
            near = distance(shape, sdf_values, x + t * axis)
            g = distance_gradient(shape, sdf_values, x + t * axis)
            if near[3] > real(0.0):
                low = t
            else:
                high = t
            slope = wp.dot(g, axis)
            then = real(0.5) * (low + high)
            if slope < real(0.0):
                newton = t - near[3] / slope
                if newton >= low and newton <= high:
                    then = newton
            if then == t:
                break
            t = then
        return vec4(g[0], g[1], g[2], t)

    @wp.func
    def volume_entry(
        shape: Shape, sdf_values: wp.array(dtype=real), x: vec3, axis: vec3, first: real, last: real
    ) -> vec4:
        span = volume_span(shape, x, axis)
        t = wp.max(first, span[0])
        end = wp.min(last, span[1])
        if t < end:
            near = distance(shape, sdf_values, x + t * axis)
            if near[3] <= real(0.0):
                return vec4(real(0.0), real(0.0), real(0.0), first)
            least = (end - t) / steps
            before = t
            for _i in range(TRACE_STEPS):
                before = t
                t = t + wp.max(near[3], least)
                near = distance(shape, sdf_values, x + t * axis)
                if near[3] <= real(0.0) or t >= end:
                    break
            if near[3] <= real(0.0):
                root = volume_root(shape, sdf_values, x, axis, before, t)
                if root[3] < last:
                    return root
        return vec4(real(0.0), real(0.0), real(0.0), last)

    @wp.func
    def entry(shape: Shape, sdf_values: wp.array(dtype=real), x: vec3, axis: vec3, first: real, last: real) -> vec4:
        s = shape.size
        if shape.kind == _PLANE:
            n = vec3(s[0], s[1], s[2])
            return of_convex(n, half_space(wp.dot(n, x), wp.dot(n, axis)), first, last)
        if shape.kind == _BOX:
            return box_entry(s, x, axis, first, last)
        if shape.kind == _SPHERE:
            return ball_entry(x, s[0], axis, first, last)
        if shape.kind == _CYLINDER:
            side = tube(s[0], x, axis)
            return cylinder_entry(s[0], side, slab(-s[1], s[1], x[2], axis[2]), x, axis, first, last)
        if shape.kind == _CAPSULE:
            return capsule_entry(s[0], s[1], x, axis, first, last)
        if shape.kind == _CUP:
            return cup_entry(s, x, axis, first, last)
        return volume_entry(shape, sdf_values, x, axis, first, last)

    return SimpleNamespace(real=real, vec3=vec3, vec4=vec4, Shape=Shape, entry=entry)
