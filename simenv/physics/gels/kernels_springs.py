# SPDX-License-Identifier: Apache-2.0
"""A gel of springs in a tick, in one kernel: what a taxel sees, how it answers, and its share of the wrench.

It is `columns`, `springs` and `wrench` of `kernels_contact` for an undamped gel, but leaves out what is zero where a
taxel does not touch, and keeps nothing between them. The adjoint is generated.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.distance import distance_functions
from simenv.physics.gels.column import column_functions

__all__ = ["springs_kernels"]


@built_once
def springs_kernels(real) -> SimpleNamespace:
    """Build the kernel for one scalar type.

    Args:
        real: `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the kernel `feel` over worlds and taxels.
    """
    dist = distance_functions(real)
    Shape, vec3 = dist.Shape, dist.vec3
    column_depth = column_functions(real).column_depth
    vec2 = wp.types.vector(length=2, dtype=real)
    mat33 = wp.types.matrix(shape=(3, 3), dtype=real)

    @wp.kernel(module=f"simenv_gels_springs_{real.__name__}", enable_backward=True)
    def feel(
        shapes: wp.array(dtype=Shape),
        sdf_values: wp.array(dtype=real),
        points: wp.array(dtype=vec3),
        frames: wp.array(dtype=mat33),
        areas: wp.array(dtype=real),
        deepest: real,
        reach: real,
        rotation_in: wp.array(dtype=mat33),
        position_in: wp.array(dtype=vec3),
        before_rotation_in: wp.array(dtype=mat33),
        before_position_in: wp.array(dtype=vec3),
        stick_in: wp.array2d(dtype=vec2),
        k_n_in: wp.array(dtype=real),
        k_t_in: wp.array(dtype=real),
        mu_in: wp.array(dtype=real),
        depth_out: wp.array2d(dtype=real),
        force_out: wp.array2d(dtype=vec3),
        stick_out: wp.array2d(dtype=vec2),
        total_out: wp.array2d(dtype=vec3),
    ):
        w, i = wp.tid()
        x = points[i]
        frame = frames[i]
        n = vec3(frame[0, 2], frame[1, 2], frame[2, 2])
        into = wp.transpose(rotation_in[w])
        d = column_depth(shapes[0], sdf_values, into * (x - position_in[w]), into * n, deepest, reach)
        force = vec3(real(0.0), real(0.0), real(0.0))
        kept = vec2(real(0.0), real(0.0))
        if d > real(0.0):
            # how far the object's matter at the contact has slid along the taxel since the tick before
            at = x - d * n
            arm = at - position_in[w]
            moved = at - before_position_in[w] - before_rotation_in[w] * (into * arm)
            local = wp.transpose(frame) * moved
            trial = stick_in[w, i] + vec2(local[0], local[1])
            # Coulomb's law: the trial traction, returned to the disc |q| <= mu p
            p = k_n_in[w] * d
            limit = mu_in[w] * p
            q = k_t_in[w] * trial
            size2 = wp.dot(q, q)
            if size2 <= limit * limit:
                force = areas[i] * vec3(q[0], q[1], p)
                kept = trial
            else:
                share = limit / wp.sqrt(size2)
                force = areas[i] * vec3(share * q[0], share * q[1], p)
                kept = (share / k_t_in[w]) * q
            on_gel = frame * vec3(force[0], force[1], -force[2])
            wp.atomic_add(total_out, w, 0, on_gel)
            wp.atomic_add(total_out, w, 1, wp.cross(at, on_gel))
        depth_out[w, i] = d
        force_out[w, i] = force
        stick_out[w, i] = kept

    return SimpleNamespace(feel=feel, real=real, vec2=vec2, vec3=vec3, mat33=mat33)
