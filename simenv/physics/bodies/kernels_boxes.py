# SPDX-License-Identifier: Apache-2.0
"""Warp functions of where two boxes touch, in closed form.

Which features meet is found first, without derivatives: the axis along which the boxes are farthest apart, of fifteen
(Gottschalk, Lin, Manocha 1996), and where a face is across it the corners of what both faces have in common, at most
eight. These are corners of one box before a face of the other, or two edges that cross. Each is a code, of which gap,
normal and point then follow smoothly.

A code has, from its lowest bits on: kind (3), whether the face is b's (1), the face's axis (2) and sign (1), the same
of the face against it (3), a corner or an edge of that (2), an edge of the face (2). Corners of a face are (+, +),
(-, +), (-, -), (+, -) of the two axes that follow its own, and edge i begins at corner i.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["BOX_POINTS", "box_functions"]

BOX_POINTS = 8  # slots of a pair of boxes
CORNER, CROSSING, UNDER, EDGES = 2, 3, 4, 5  # kinds of codes: corner before the face, crossed edges, corner of the
# face before the other, and edges across their own axis
RIM = 2.0e-3  # what lies so far beyond the rim of a face still counts as on it, over the least half extent
TILTED = 0.85  # cosine below which the axis of two edges counts as another than that of a face
ASKEW = 0.2  # sine of the angle of edges, above which what crosses has the normal of both


@built_once
def box_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `match_boxes(w, first, reach, turn, away, half_a, half_b, near)`: codes of the slots from `first` on, 0 for
          none, of boxes that are no farther apart than `reach` [m]; with b's axes and its centre, in a's frame;
        * `axis_of(i) -> vec3`: the unit vector along x, y or z;
        * `box_point(code, place_a, turn_a, half_a, place_b, turn_b, half_b) -> vec7`: gap, normal from b to a, and
          point.
    """
    vec3 = wp.types.vector(length=3, dtype=real)
    vec7 = wp.types.vector(length=7, dtype=real)
    quat = wp.types.quaternion(dtype=real)
    mat33 = wp.types.matrix(shape=(3, 3), dtype=real)
    corner_kind, crossing_kind, under_kind, edges_kind = (
        wp.constant(each) for each in (CORNER, CROSSING, UNDER, EDGES)
    )  # fmt: skip
    wide, tilted, askew = wp.constant(real(RIM)), wp.constant(real(TILTED)), wp.constant(real(ASKEW))
    parallel, beyond = wp.constant(real(1.0e-6)), wp.constant(real(-1.0e30))

    @wp.func
    def axis_of(i: int) -> vec3:
        out = vec3(real(1.0), real(0.0), real(0.0))
        if i == 1:
            out = vec3(real(0.0), real(1.0), real(0.0))
        if i == 2:
            out = vec3(real(0.0), real(0.0), real(1.0))
        return out

    @wp.func
    def sign_of(bit: int) -> real:
        return wp.where(bit == 1, real(1.0), real(-1.0))

    @wp.func
    def first_sign(i: int) -> real:
        # of a face's corner i, along the axis after the face's
        return wp.where(i == 0 or i == 3, real(1.0), real(-1.0))

    @wp.func
    def second_sign(i: int) -> real:
        return wp.where(i < 2, real(1.0), real(-1.0))

    @wp.func
    def least_of(one: vec3, other: vec3) -> real:
        least = wp.min(wp.min(one[0], one[1]), one[2])
        return wp.min(least, wp.min(wp.min(other[0], other[1]), other[2]))

    @wp.func
    def corner_of(half: vec3, axis: int, up: real, i: int) -> vec3:
        u = (axis + 1) % 3
        v = (axis + 2) % 3
        out = (up * half[axis]) * axis_of(axis)
        return out + (first_sign(i) * half[u]) * axis_of(u) + (second_sign(i) * half[v]) * axis_of(v)

    @wp.func
    def packed(kind: int, of_b: int, axis: int, up: int, other: int, other_up: int, i: int, edge: int) -> int:
        face = kind + 8 * of_b + 16 * axis + 64 * up
        return face + 128 * other + 512 * other_up + 1024 * i + 4096 * edge

    @wp.func
    def match_faces(
        w: int, first: int, of_b: int, axis: int, turn: mat33, away: vec3, half: vec3, half_in: vec3,
        near: wp.array2d(dtype=int),
    ):  # fmt: skip
        # what the face across an axis has in common with the other box's face against it; all in the frame of the
        # first, `turn` has the axes of the other
        four = int(4)  # loops that are not unrolled, which compile in half the time
        u = (axis + 1) % 3
        v = (axis + 2) % 3
        up = wp.where(away[axis] >= real(0.0), 1, 0)
        rim = wide * least_of(half, half_in)
        h_u = half[u] + rim
        h_v = half[v] + rim
        other = int(0)
        most = real(0.0)
        for j in range(3):
            if wp.abs(turn[axis, j]) > most + real(1.0e-6):
                most = wp.abs(turn[axis, j])
                other = j
        faces = turn[axis, other] * sign_of(up)
        other_up = wp.where(faces < real(0.0), 1, 0)
        k = (other + 1) % 3
        m = (other + 2) % 3
        side_k = vec3(turn[0, k], turn[1, k], turn[2, k])
        side_m = vec3(turn[0, m], turn[1, m], turn[2, m])
        out_in = sign_of(other_up) * vec3(turn[0, other], turn[1, other], turn[2, other])
        middle = away + half_in[other] * out_in
        for i in range(four):
            e = (i + 1) % 4
            p = middle + (first_sign(i) * half_in[k]) * side_k + (second_sign(i) * half_in[m]) * side_m
            q = middle + (first_sign(e) * half_in[k]) * side_k + (second_sign(e) * half_in[m]) * side_m
            enter = real(0.0)
            leave = real(1.0)
            through = int(-1)
            out = int(-1)
            for s in range(four):  # edges of the face: +v, -u, -v, +u
                before = second_sign(s) * p[v] - h_v
                after = second_sign(s) * q[v] - h_v
                if s == 1 or s == 3:
                    before = first_sign(s) * p[u] - h_u
                    after = first_sign(s) * q[u] - h_u
                if before > real(0.0) and after > real(0.0):
                    enter = real(2.0)
                elif before > real(0.0):
                    if before / (before - after) > enter:
                        enter = before / (before - after)
                        through = s
                elif after > real(0.0):
                    if before / (before - after) < leave:
                        leave = before / (before - after)
                        out = s
            if enter < leave:
                if through < 0:
                    near[w, first + i] = packed(corner_kind, of_b, axis, up, other, other_up, i, 0)
                else:
                    near[w, first + i] = packed(crossing_kind, of_b, axis, up, other, other_up, i, through)
                if out >= 0:
                    near[w, first + 4 + e] = packed(crossing_kind, of_b, axis, up, other, other_up, i, out)
        for i in range(four):  # where one edge still ends at a corner it has its slot
            if near[w, first + i] == 0:
                near[w, first + i] = near[w, first + 4 + i]
                near[w, first + 4 + i] = 0
        for i in range(four):  # corners of the face, where the other is before them
            x_u = first_sign(i) * h_u
            x_v = second_sign(i) * h_v
            height = (out_in[u] * (middle[u] - x_u) + out_in[v] * (middle[v] - x_v)) / out_in[axis] + middle[axis]
            x = x_u * axis_of(u) + x_v * axis_of(v) + height * axis_of(axis) - middle
            if wp.abs(wp.dot(x, side_k)) <= half_in[k] and wp.abs(wp.dot(x, side_m)) <= half_in[m]:
                slot = first + i
                tries = int(0)
                while near[w, slot] != 0 and tries < 8:
                    tries += 1
                    slot = first + (i + 4 * tries + tries // 2) % 8
                near[w, slot] = packed(under_kind, of_b, axis, up, other, other_up, 0, i)

    @wp.func
    def edge_code(i: int, j: int, n: vec3, n_b: vec3) -> int:
        # of the edges along a's axis i and b's axis j that are farthest along n of a and against it of b
        face = (i + 2) % 3
        other = (j + 2) % 3
        edge = wp.where(n[(i + 1) % 3] >= real(0.0), 0, 2)
        other_edge = wp.where(n_b[(j + 1) % 3] <= real(0.0), 0, 2)
        up = wp.where(n[face] >= real(0.0), 1, 0)
        other_up = wp.where(n_b[other] <= real(0.0), 1, 0)
        return packed(edges_kind, 0, face, up, other, other_up, other_edge, edge)

    @wp.func
    def meets(
        i: int, j: int, l2: real, n: vec3, n_b: vec3, turn: mat33, away: vec3, half_a: vec3, half_b: vec3
    ) -> bool:
        # whether the places where these edges are next to each other are on them; `l2`: squared sine between them
        a = vec3(real(0.0), real(0.0), real(0.0))
        b = vec3(real(0.0), real(0.0), real(0.0))
        for k in range(3):
            if k != i:
                a[k] = wp.where(n[k] >= real(0.0), half_a[k], -half_a[k])
            if k != j:
                b[k] = wp.where(n_b[k] <= real(0.0), half_b[k], -half_b[k])
        r = away + turn * b - a
        other = vec3(turn[0, j], turn[1, j], turn[2, j])
        both = turn[i, j]
        on_a = (r[i] - both * wp.dot(other, r)) / l2
        on_b = (both * r[i] - wp.dot(other, r)) / l2
        rim = real(1.0) + wide
        return wp.abs(on_a) <= rim * half_a[i] and wp.abs(on_b) <= rim * half_b[j]

    @wp.func
    def match_boxes(
        w: int, first: int, reach: real, turn: mat33, away: vec3, half_a: vec3, half_b: vec3,
        near: wp.array2d(dtype=int),
    ):  # fmt: skip
        for i in range(8):
            near[w, first + i] = 0
        from_b = wp.transpose(turn) * away
        apart_a = beyond
        apart_b = beyond
        face_a = int(0)
        face_b = int(0)
        for i in range(3):
            apart = wp.abs(away[i]) - half_a[i]
            other = wp.abs(from_b[i]) - half_b[i]
            for j in range(3):
                apart = apart - wp.abs(turn[i, j]) * half_b[j]
                other = other - wp.abs(turn[j, i]) * half_a[j]
            if apart > apart_a:
                apart_a = apart
                face_a = i
            if other > apart_b:
                apart_b = other
                face_b = i
        if apart_a > reach or apart_b > reach:
            return
        rim = wide * least_of(half_a, half_b)
        of_b = apart_b > apart_a + rim
        across = sign_of(wp.where(away[face_a] >= real(0.0), 1, 0)) * axis_of(face_a)
        best = wp.max(apart_a, apart_b) + rim
        if of_b:
            across = vec3(turn[0, face_b], turn[1, face_b], turn[2, face_b])
            across = sign_of(wp.where(from_b[face_b] >= real(0.0), 1, 0)) * across
        three = int(3)
        found = int(0)
        for i in range(three):
            for j in range(three):
                l2 = real(1.0) - turn[i, j] * turn[i, j]
                if l2 > parallel:
                    n = wp.cross(axis_of(i), vec3(turn[0, j], turn[1, j], turn[2, j])) / wp.sqrt(l2)
                    along = wp.dot(n, away)
                    if along < real(0.0):
                        n = -n
                        along = -along
                    n_b = wp.transpose(turn) * n
                    apart = along
                    for k in range(3):
                        apart = apart - wp.abs(n[k]) * half_a[k] - wp.abs(n_b[k]) * half_b[k]
                    if apart > best and wp.dot(n, across) < tilted:
                        best = apart
                        found = 0
                        if meets(i, j, l2, n, n_b, turn, away, half_a, half_b):
                            found = edge_code(i, j, n, n_b)
                    elif apart > reach:
                        return
        if best > reach + rim:
            return
        if found > 0:
            near[w, first] = found
        elif of_b:
            match_faces(w, first, 1, face_b, wp.transpose(turn), -from_b, half_b, half_a, near)
        else:
            match_faces(w, first, 0, face_a, turn, away, half_a, half_b, near)

    @wp.func
    def box_point(
        code: int, place_a: vec3, turn_a: quat, half_a: vec3, place_b: vec3, turn_b: quat, half_b: vec3
    ) -> vec7:  # fmt: skip
        kind = code % 8
        of_b = (code // 8) % 2
        axis = (code // 16) % 4
        up = sign_of((code // 64) % 2)
        other = (code // 128) % 4
        other_up = sign_of((code // 512) % 2)
        i = (code // 1024) % 4
        edge = (code // 4096) % 4
        place = place_a
        turn = turn_a
        half = half_a
        place_in = place_b
        turn_in = turn_b
        half_in = half_b
        if of_b == 1:
            place = place_b
            turn = turn_b
            half = half_b
            place_in = place_a
            turn_in = turn_a
            half_in = half_a
        n = wp.quat_rotate(turn, up * axis_of(axis))
        x = place_in + wp.quat_rotate(turn_in, corner_of(half_in, other, other_up, i))
        gap = real(0.0)
        point = x
        if kind == corner_kind:
            gap = wp.dot(n, x - place) - half[axis]
            point = x - (real(0.5) * gap) * n
        elif kind == under_kind:
            y = place + wp.quat_rotate(turn, corner_of(half, axis, up, edge))
            n = wp.quat_rotate(turn_in, (-other_up) * axis_of(other))
            gap = -wp.dot(n, y - place_in) - half_in[other]
            point = y + (real(0.5) * gap) * n
        else:
            y = place + wp.quat_rotate(turn, corner_of(half, axis, up, edge))
            a = wp.quat_rotate(turn, axis_of((axis + 1 + edge % 2) % 3))
            b = wp.quat_rotate(turn_in, axis_of((other + 1 + i % 2) % 3))
            r = x - y
            across = wp.cross(a, b)
            size2 = wp.dot(across, across)
            facing = wp.dot(across, n)
            if kind == edges_kind:
                facing = wp.dot(across, place_in - place)
            if kind == edges_kind or (size2 > askew * askew and facing * facing > real(0.25) * size2):
                n = (wp.where(facing >= real(0.0), real(1.0), real(-1.0)) / wp.sqrt(size2)) * across
                gap = wp.dot(n, r)
                point = y + (wp.dot(wp.cross(r, b), across) / size2) * a + (real(0.5) * gap) * n
            else:  # edges that hardly cross: where the other's passes the rim of the face
                outward = second_sign(edge) * axis_of((axis + 2) % 3)
                if edge % 2 == 1:
                    outward = first_sign(edge) * axis_of((axis + 1) % 3)
                side = wp.quat_rotate(turn, outward)
                on = x - ((wp.dot(side, r) - wide * least_of(half, half_in)) / wp.dot(side, b)) * b
                gap = wp.dot(n, on - y)
                point = on - (real(0.5) * gap) * n
        if of_b == 0:
            n = -n
        return vec7(gap, n[0], n[1], n[2], point[0], point[1], point[2])

    return SimpleNamespace(match_boxes=match_boxes, box_point=box_point, axis_of=axis_of)
