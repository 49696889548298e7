# SPDX-License-Identifier: Apache-2.0
"""Warp functions of where a capsule crosses another, or an edge of a box, between the ends of both.

Ends of capsules are balls, and corners of boxes points, in the distance of the other shape; this is the rest. Which
edges cross is found first, without derivatives; what crosses has a code: kind (3 bits) and edge (4).
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_boxes import box_functions

__all__ = ["BOX_EDGES", "rod_functions"]

BOX_EDGES = 12  # slots of a capsule and a box
RODS, EDGE = 6, 7  # kinds of codes; kernels_boxes has those of boxes
ASIDE = -0.05  # cosine to the faces of an edge, below which these are met and not the edge


@built_once
def rod_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `match_rods(w, first, reach, turn, away, rod_a, rod_b, half_b, near)`: codes of the slots from `first` on, 0
          for none, of a capsule and what is no farther than `reach` [m]; with b's axes and its centre, in a's frame.
          `rod`: radius and half height of a capsule, the radius below zero for a box;
        * `rod_point(code, place_a, turn_a, rod_a, place_b, turn_b, rod_b, half_b) -> vec7`: gap, normal from b to a,
          and point.
    """
    axis_of = box_functions(real).axis_of
    vec2 = wp.types.vector(length=2, dtype=real)
    vec3 = wp.types.vector(length=3, dtype=real)
    vec7 = wp.types.vector(length=7, dtype=real)
    quat = wp.types.quaternion(dtype=real)
    mat33 = wp.types.matrix(shape=(3, 3), dtype=real)
    rods, edge_kind = wp.constant(RODS), wp.constant(EDGE)
    parallel, aside = wp.constant(real(1.0e-6)), wp.constant(real(ASIDE))

    @wp.func
    def first_side(edge: int) -> vec3:
        # outwards of the faces beside an edge, which is along axis edge // 4
        return wp.where(edge % 2 == 1, real(1.0), real(-1.0)) * axis_of((edge // 4 + 1) % 3)

    @wp.func
    def second_side(edge: int) -> vec3:
        return wp.where((edge // 2) % 2 == 1, real(1.0), real(-1.0)) * axis_of((edge // 4 + 2) % 3)

    @wp.func
    def middle_of(edge: int, half: vec3) -> vec3:
        return wp.cw_mul(first_side(edge) + second_side(edge), half)

    @wp.func
    def between(reach: real, half: real, middle: vec3, along: vec3, long: real) -> vec3:
        # from the place on an edge next to the axis z of a capsule to that, or zero: parallel, not between ends, or far
        both = along[2]
        l2 = real(1.0) - both * both
        out = vec3(real(0.0), real(0.0), real(0.0))
        if l2 > parallel:
            far = wp.dot(along, middle)
            on_a = (middle[2] - both * far) / l2
            on_b = (both * middle[2] - far) / l2
            if wp.abs(on_a) < half and wp.abs(on_b) < long:
                way = vec3(real(0.0), real(0.0), on_a) - middle - on_b * along
                if wp.length(way) < reach:
                    out = way
        return out

    @wp.func
    def match_rods(
        w: int, first: int, reach: real, turn: mat33, away: vec3, rod_a: vec2, rod_b: vec2, half_b: vec3,
        near: wp.array2d(dtype=int),
    ):  # fmt: skip
        if rod_b[0] >= real(0.0):
            way = between(
                reach + rod_a[0] + rod_b[0], rod_a[1], away, vec3(turn[0, 2], turn[1, 2], turn[2, 2]), rod_b[1]
            )
            near[w, first] = wp.where(wp.length(way) > real(0.0), rods, 0)
            return
        edges = int(12)  # not unrolled
        for edge in range(edges):
            k = edge // 4
            middle = away + turn * middle_of(edge, half_b)
            way = between(reach + rod_a[0], rod_a[1], middle, vec3(turn[0, k], turn[1, k], turn[2, k]), half_b[k])
            size = wp.length(way)
            touches = (
                size > real(0.0)
                and wp.dot(way, turn * first_side(edge)) >= aside * size
                and wp.dot(way, turn * second_side(edge)) >= aside * size
            )
            near[w, first + edge] = wp.where(touches, edge_kind + 8 * edge, 0)

    @wp.func
    def rod_point(
        code: int, place_a: vec3, turn_a: quat, rod_a: vec2, place_b: vec3, turn_b: quat, rod_b: vec2, half_b: vec3
    ) -> vec7:  # fmt: skip
        edge = code // 8
        a = wp.quat_rotate(turn_a, axis_of(2))
        b = wp.quat_rotate(turn_b, axis_of(2))
        c = place_b
        thick = rod_b[0]
        if code % 8 == edge_kind:
            b = wp.quat_rotate(turn_b, axis_of(edge // 4))
            c = place_b + wp.quat_rotate(turn_b, middle_of(edge, half_b))
            thick = real(0.0)
        across = wp.cross(a, b)
        size2 = wp.dot(across, across)
        r = place_a - c
        apart = wp.dot(across, r)
        n = (wp.where(apart >= real(0.0), real(1.0), real(-1.0)) / wp.sqrt(size2)) * across
        far = wp.dot(n, r)
        on = c - (wp.dot(wp.cross(r, a), across) / size2) * b
        point = on + (real(0.5) * (far - rod_a[0] + thick)) * n
        return vec7(far - rod_a[0] - thick, n[0], n[1], n[2], point[0], point[1], point[2])

    return SimpleNamespace(match_rods=match_rods, rod_point=rod_point)
