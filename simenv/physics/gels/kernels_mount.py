# SPDX-License-Identifier: Apache-2.0
"""Warp kernels between a gel and the bodies it sits between: where it sees its object, and what it does to both.

Arrays have the world N first, then bodies B. Body frames lie at the centre of mass. The adjoints are generated.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.kernels_rotation import rotation_functions

__all__ = ["mount_kernels"]


@built_once
def mount_kernels(real) -> SimpleNamespace:
    """Build the kernels for one scalar type.

    Args:
        real: `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the kernels `gel_view` and `gel_forces`, and the types `real`, `vec2`, `vec3`, `quat` and
        `mat33` of their arrays.
    """
    vec2 = wp.types.vector(length=2, dtype=real)
    vec3 = wp.types.vector(length=3, dtype=real)
    quat = wp.types.quaternion(dtype=real)
    mat33 = wp.types.matrix(shape=(3, 3), dtype=real)
    turned = rotation_functions(real).turned
    options = {"module": f"simenv_gels_mount_{real.__name__}", "enable_backward": True}

    @wp.kernel(**options)
    def gel_view(
        sensor: int,
        item: int,
        mount: vec3,
        mount_turn: quat,
        slide: vec3,
        local: vec3,
        local_turn: quat,
        lead: real,
        position_in: wp.array2d(dtype=vec3),
        quaternion_in: wp.array2d(dtype=quat),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        grip_in: wp.array(dtype=vec2),
        rotation_out: wp.array(dtype=mat33),
        offset_out: wp.array(dtype=vec3),
        place_out: wp.array(dtype=vec3),
        turn_out: wp.array(dtype=quat),
        wrench_out: wp.array2d(dtype=vec3),
    ):
        # The object in the sensor's frame, and the sensor in the world, both `lead` seconds ahead at the present
        # velocities: a force k x taken there is k x + (k lead) v, Kelvin and Voigt's solid in all directions.
        w = wp.tid()
        qs = turned(quaternion_in[w, sensor], lead * omega_in[w, sensor])
        qo = turned(quaternion_in[w, item], lead * omega_in[w, item])
        arm = mount + (grip_in[w][0] + lead * grip_in[w][1]) * slide
        place = position_in[w, sensor] + lead * velocity_in[w, sensor] + wp.quat_rotate(qs, arm)
        turn = qs * mount_turn
        at = position_in[w, item] + lead * velocity_in[w, item] + wp.quat_rotate(qo, local)
        rotation_out[w] = wp.quat_to_matrix(wp.quat_inverse(turn) * (qo * local_turn))
        offset_out[w] = wp.quat_rotate_inv(turn, at - place)
        place_out[w] = place
        turn_out[w] = turn
        wrench_out[w, 0] = vec3(real(0.0), real(0.0), real(0.0))  # the taxels add to it
        wrench_out[w, 1] = vec3(real(0.0), real(0.0), real(0.0))

    @wp.kernel(**options)
    def gel_forces(
        sensor: int,
        item: int,
        slide: vec3,
        position_in: wp.array2d(dtype=vec3),
        quaternion_in: wp.array2d(dtype=quat),
        place_in: wp.array(dtype=vec3),
        turn_in: wp.array(dtype=quat),
        wrench_in: wp.array2d(dtype=vec3),
        force_inout: wp.array2d(dtype=vec3),
        torque_inout: wp.array2d(dtype=vec3),
        squeeze_inout: wp.array(dtype=real),
    ):
        # the wrench on the gel, to the body that carries it, and its opposite to the object; the arms are to one and
        # the same point, so that no momentum is made
        w = wp.tid()
        force = wp.quat_rotate(turn_in[w], wrench_in[w, 0])
        moment = wp.quat_rotate(turn_in[w], wrench_in[w, 1])
        place = place_in[w]
        wp.atomic_add(force_inout, w, sensor, force)
        wp.atomic_add(torque_inout, w, sensor, moment + wp.cross(place - position_in[w, sensor], force))
        wp.atomic_add(force_inout, w, item, -force)
        wp.atomic_add(torque_inout, w, item, -moment - wp.cross(place - position_in[w, item], force))
        wp.atomic_add(squeeze_inout, w, wp.dot(force, wp.quat_rotate(quaternion_in[w, sensor], slide)))

    return SimpleNamespace(
        gel_view=gel_view, gel_forces=gel_forces, real=real, vec2=vec2, vec3=vec3, quat=quat, mat33=mat33
    )
