# SPDX-License-Identifier: Apache-2.0
"""Warp kernels that say where the shapes of obstacles are, and how far the corners of cells are from them.

Arrays have the world N first, then obstacles M. Frames lie at the centres of mass.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.distance import distance_functions
from simenv.physics.kernels_rotation import rotation_functions

__all__ = ["place_kernels"]


@built_once
def place_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `place`: poses and twists of obstacles, `ahead` seconds after those of the frames that carry them; `moves` is
          0 of those that stand, whatever twist a state says, else 1;
        * `measure` and its adjoint `measure_adjoint`: the signed distance of the corners of cells from the nearest
          obstacle, negative within, and its number;
        * `near(x, place, span) -> vec3`: from a place to a point, the short way on periodic axes, whose `span` [m] is
          not zero.
    """
    dist = distance_functions(real)
    Shape, vec3, distance, distance_gradient = dist.Shape, dist.vec3, dist.distance, dist.distance_gradient
    quat = wp.types.quaternion(dtype=real)
    mat33 = wp.types.matrix(shape=(3, 3), dtype=real)
    turned = rotation_functions(real).turned
    both = {"module": f"simenv_flow_place_{real.__name__}", "enable_backward": True}
    once = {"module": f"simenv_flow_measure_{real.__name__}", "enable_backward": False}

    @wp.kernel(**both)
    def place(
        ahead: real,
        moves: real,
        obstacles: wp.array(dtype=int),
        frames: wp.array(dtype=int),
        local_position: wp.array(dtype=vec3),
        local_quaternion: wp.array(dtype=quat),
        position_in: wp.array2d(dtype=vec3),
        quaternion_in: wp.array2d(dtype=quat),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        place_out: wp.array2d(dtype=vec3),
        turn_out: wp.array2d(dtype=mat33),
        origin_out: wp.array2d(dtype=vec3),
        velocity_out: wp.array2d(dtype=vec3),
        omega_out: wp.array2d(dtype=vec3),
    ):
        w, row = wp.tid()
        m = obstacles[row]
        b = frames[m]
        if b >= 0:
            q = turned(quaternion_in[w, b], ahead * omega_in[w, b])
            x = position_in[w, b] + ahead * velocity_in[w, b]
            place_out[w, m] = x + wp.quat_rotate(q, local_position[m])
            turn_out[w, m] = wp.quat_to_matrix(q * local_quaternion[m])
            origin_out[w, m] = x
            velocity_out[w, m] = moves * velocity_in[w, b]
            omega_out[w, m] = moves * omega_in[w, b]
        else:
            still = vec3(real(0.0), real(0.0), real(0.0))
            place_out[w, m] = local_position[m]
            turn_out[w, m] = wp.quat_to_matrix(local_quaternion[m])
            origin_out[w, m] = local_position[m]
            velocity_out[w, m] = still
            omega_out[w, m] = still

    @wp.func
    def short(d: real, span: real) -> real:
        if span > real(0.0):
            return d - span * wp.round(d / span)
        return d

    @wp.func
    def near(x: vec3, place: vec3, span: vec3) -> vec3:
        d = x - place
        return vec3(short(d[0], span[0]), short(d[1], span[1]), short(d[2], span[2]))

    @wp.kernel(**once)
    def measure(
        origin: vec3,
        dx: real,
        span: vec3,
        count: int,
        lanes: wp.vec2i,
        shapes: wp.array(dtype=Shape),
        values: wp.array(dtype=real),
        scales: wp.array(dtype=real),
        place_in: wp.array2d(dtype=vec3),
        turn_in: wp.array2d(dtype=mat33),
        phi_out: wp.array4d(dtype=real),
        owner_out: wp.array4d(dtype=int),
    ):
        w, i, row, lane = wp.tid()
        for j in range(row, phi_out.shape[2], lanes[0]):
            for k in range(lane, phi_out.shape[3], lanes[1]):
                x = origin + dx * vec3(real(i), real(j), real(k))
                least = real(0.0)
                owner = int(-1)
                for m in range(count):
                    d = near(x, place_in[w, m], span)
                    found = distance(shapes[m], values, wp.transpose(turn_in[w, m]) * d / scales[m])
                    phi = scales[m] * found[3]
                    if owner < 0 or phi < least:
                        least = phi
                        owner = m
                phi_out[w, i, j, k] = least
                owner_out[w, i, j, k] = owner

    @wp.kernel(**once)
    def measure_adjoint(
        origin: vec3,
        dx: real,
        span: vec3,
        count: int,
        lanes: wp.vec2i,
        shapes: wp.array(dtype=Shape),
        values: wp.array(dtype=real),
        scales: wp.array(dtype=real),
        place_in: wp.array2d(dtype=vec3),
        turn_in: wp.array2d(dtype=mat33),
        phi_in: wp.array4d(dtype=real),
        owner_in: wp.array4d(dtype=int),
        phi_bar_in: wp.array4d(dtype=real),
        none: wp.array4d(dtype=int),
        place_bar_inout: wp.array2d(dtype=vec3),
        turn_bar_inout: wp.array2d(dtype=mat33),
    ):
        w, i, row, lane = wp.tid()
        for j in range(row, phi_in.shape[2], lanes[0]):
            for k in range(lane, phi_in.shape[3], lanes[1]):
                bar = phi_bar_in[w, i, j, k]
                if bar != real(0.0):
                    m = owner_in[w, i, j, k]
                    x = origin + dx * vec3(real(i), real(j), real(k))
                    d = near(x, place_in[w, m], span)
                    turn = turn_in[w, m]
                    slope = distance_gradient(shapes[m], values, wp.transpose(turn) * d / scales[m])
                    wp.atomic_add(place_bar_inout, w, m, -bar * (turn * slope))
                    wp.atomic_add(turn_bar_inout, w, m, bar * wp.outer(d, slope))

    return SimpleNamespace(
        place=place, measure=measure, measure_adjoint=measure_adjoint, near=near, Shape=Shape, vec3=vec3, quat=quat,
        mat33=mat33, real=real,
    )  # fmt: skip
