# SPDX-License-Identifier: Apache-2.0
"""Warp kernels that find where an object meets a gel, and the pointwise force laws.

The adjoints are generated, but for those of the distance (`simenv.geometry.distance`) and of the column depth
(`simenv.physics.gels.column`), which are written by hand.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.distance import distance_functions
from simenv.physics.gels.column import column_functions

__all__ = ["contact_kernels"]


@built_once
def contact_kernels(real) -> SimpleNamespace:
    """Build the kernels for one scalar type.

    Args:
        real: `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the kernels `tacsl`, `columns`, `springs`, `wrench` and `heights`, which take arrays of worlds
        N and taxels P; `real`, `vec2`, `vec3`, `mat33` and `Shape` are the types of their arrays.
    """
    dist = distance_functions(real)
    Shape, vec3, vec4, distance = dist.Shape, dist.vec3, dist.vec4, dist.distance
    column_depth = column_functions(real).column_depth
    vec2 = wp.types.vector(length=2, dtype=real)
    mat33 = wp.types.matrix(shape=(3, 3), dtype=real)
    options = {"module": f"simenv_tactile_contact_{real.__name__}", "enable_backward": True}

    @wp.kernel(**options)
    def tacsl(
        shapes: wp.array(dtype=Shape),
        sdf_values: wp.array(dtype=real),
        points: wp.array(dtype=vec3),
        frames: wp.array(dtype=mat33),
        rotation_in: wp.array(dtype=mat33),
        position_in: wp.array(dtype=vec3),
        velocity_in: wp.array(dtype=vec3),
        omega_in: wp.array(dtype=vec3),
        k_n_in: wp.array(dtype=real),
        k_t_in: wp.array(dtype=real),
        mu_in: wp.array(dtype=real),
        damping_in: wp.array(dtype=real),
        force_out: wp.array2d(dtype=vec3),
        depth_out: wp.array2d(dtype=real),
    ):
        w, i = wp.tid()
        x = points[i]
        arm = x - position_in[w]
        near = distance(shapes[0], sdf_values, wp.transpose(rotation_in[w]) * arm)
        d = wp.max(-near[3], real(0.0))
        force = vec3(real(0.0), real(0.0), real(0.0))
        if d > real(0.0):
            n = rotation_in[w] * vec3(near[0], near[1], near[2])
            v = -velocity_in[w] - wp.cross(omega_in[w], arm)  # of the gel's point, seen from the object
            v_n = wp.dot(n, v)
            f_n = wp.max((k_n_in[w] - damping_in[w] * v_n) * d, real(0.0))
            v_t = v - v_n * n
            speed2 = wp.dot(v_t, v_t)
            limit = mu_in[w] * f_n
            sticking = k_t_in[w] * k_t_in[w] * speed2 <= limit * limit
            if sticking:
                force = f_n * n - k_t_in[w] * v_t
            else:
                force = f_n * n - (limit / wp.sqrt(speed2)) * v_t
        local = wp.transpose(frames[i]) * force
        force_out[w, i] = vec3(local[0], local[1], -local[2])
        depth_out[w, i] = d

    @wp.kernel(**options)
    def columns(
        shapes: wp.array(dtype=Shape),
        sdf_values: wp.array(dtype=real),
        points: wp.array(dtype=vec3),
        frames: wp.array(dtype=mat33),
        deepest: real,
        reach: real,
        rotation_in: wp.array(dtype=mat33),
        position_in: wp.array(dtype=vec3),
        before_rotation_in: wp.array(dtype=mat33),
        before_position_in: wp.array(dtype=vec3),
        velocity_in: wp.array(dtype=vec3),
        omega_in: wp.array(dtype=vec3),
        depth_out: wp.array2d(dtype=real),
        slide_out: wp.array2d(dtype=vec2),
        rate_out: wp.array2d(dtype=real),
    ):
        # depth along the taxel's normal, negative before touch; how far the object's matter at the contact has slid
        # along the taxel since the state before; and the speed at which it sinks in
        w, i = wp.tid()
        x = points[i]
        frame = frames[i]
        n = vec3(frame[0, 2], frame[1, 2], frame[2, 2])
        into = wp.transpose(rotation_in[w])
        d = column_depth(shapes[0], sdf_values, into * (x - position_in[w]), into * n, deepest, reach)
        arm = x - wp.max(d, real(0.0)) * n - position_in[w]
        moved = arm + position_in[w] - before_position_in[w] - before_rotation_in[w] * (into * arm)
        local = wp.transpose(frame) * moved
        speed = velocity_in[w] + wp.cross(omega_in[w], arm)
        depth_out[w, i] = d
        slide_out[w, i] = vec2(local[0], local[1])
        rate_out[w, i] = -wp.dot(n, speed)

    @wp.kernel(**options)
    def springs(
        areas: wp.array(dtype=real),
        depth_in: wp.array2d(dtype=real),
        rate_in: wp.array2d(dtype=real),
        slide_in: wp.array2d(dtype=vec2),
        stick_in: wp.array2d(dtype=vec2),
        k_n_in: wp.array(dtype=real),
        k_t_in: wp.array(dtype=real),
        mu_in: wp.array(dtype=real),
        damping_in: wp.array(dtype=real),
        force_out: wp.array2d(dtype=vec3),
        stick_out: wp.array2d(dtype=vec2),
    ):
        # independent springs with Coulomb's law: the trial traction, returned to the disc |q| <= mu p
        w, i = wp.tid()
        force = vec3(real(0.0), real(0.0), real(0.0))
        kept = vec2(real(0.0), real(0.0))
        d = depth_in[w, i]
        if d > real(0.0):
            p = wp.max(k_n_in[w] * d * (real(1.0) + damping_in[w] * rate_in[w, i]), real(0.0))
            limit = mu_in[w] * p
            q = k_t_in[w] * (stick_in[w, i] + slide_in[w, i])
            size2 = wp.dot(q, q)
            if size2 <= limit * limit:
                force = areas[i] * vec3(q[0], q[1], p)
                kept = stick_in[w, i] + slide_in[w, i]
            else:
                share = limit / wp.sqrt(size2)
                force = areas[i] * vec3(share * q[0], share * q[1], p)
                kept = (share / k_t_in[w]) * q
        force_out[w, i] = force
        stick_out[w, i] = kept

    @wp.kernel(**options)
    def wrench(
        points: wp.array(dtype=vec3),
        frames: wp.array(dtype=mat33),
        force_in: wp.array2d(dtype=vec3),
        depth_in: wp.array2d(dtype=real),
        total_out: wp.array2d(dtype=vec3),
    ):
        # force on the gel and its moment about the sensor's origin, in the sensor's frame
        w, i = wp.tid()
        frame = frames[i]
        local = force_in[w, i]
        force = frame * vec3(local[0], local[1], -local[2])
        n = vec3(frame[0, 2], frame[1, 2], frame[2, 2])
        at = points[i] - wp.max(depth_in[w, i], real(0.0)) * n
        wp.atomic_add(total_out, w, 0, force)
        wp.atomic_add(total_out, w, 1, wp.cross(at, force))

    @wp.kernel(**options)
    def heights(
        shapes: wp.array(dtype=Shape),
        sdf_values: wp.array(dtype=real),
        first: vec2,
        pixel: real,
        columns_count: int,
        deepest: real,
        reach: real,
        rotation_in: wp.array(dtype=mat33),
        position_in: wp.array(dtype=vec3),
        depth_out: wp.array2d(dtype=real),
    ):
        # depth along z below each pixel of an orthographic view of the plane z = 0
        w, i = wp.tid()
        row = i // columns_count
        column = i - row * columns_count
        x = vec3(first[0] + real(column) * pixel, first[1] + real(row) * pixel, real(0.0))
        into = wp.transpose(rotation_in[w])
        n = vec3(into[0, 2], into[1, 2], into[2, 2])
        depth_out[w, i] = column_depth(shapes[0], sdf_values, into * (x - position_in[w]), n, deepest, reach)

    return SimpleNamespace(
        tacsl=tacsl,
        columns=columns,
        springs=springs,
        wrench=wrench,
        heights=heights,
        real=real,
        vec2=vec2,
        vec3=vec3,
        vec4=vec4,
        mat33=mat33,
        Shape=Shape,
    )
