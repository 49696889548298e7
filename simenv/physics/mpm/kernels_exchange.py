# SPDX-License-Identifier: Apache-2.0
"""Warp kernels between particles' colliders and moving frames: frames place colliders, and take what these receive.

The particles' arrays of colliders are flat: world, substep, collider; those of wrenches world, collider. Frames' arrays
have the world N first, then bodies B, and lie at the centres of mass. The adjoints are generated.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.kernels_rotation import rotation_functions

__all__ = ["exchange_kernels"]


@built_once
def exchange_kernels(real) -> SimpleNamespace:
    """Build the kernels for one scalar type.

    Args:
        real: `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the kernels `place_colliders`, `carry`, `gather_wrenches`, `gather_answers`, `spread_change`,
        `owe` and `pay`, and the types of their arrays.
    """
    vec3 = wp.types.vector(length=3, dtype=real)
    quat = wp.types.quaternion(dtype=real)
    mat33 = wp.types.matrix(shape=(3, 3), dtype=real)
    mat66 = wp.types.matrix(shape=(6, 6), dtype=real)
    turned = rotation_functions(real).turned
    options = {"module": f"simenv_mpm_exchange_{real.__name__}", "enable_backward": True}

    @wp.kernel(**options)
    def place_colliders(
        substep: int,
        substeps: int,
        count: int,
        ahead: real,
        colliders: wp.array(dtype=int),
        frames: wp.array(dtype=int),
        local_position: wp.array(dtype=vec3),
        local_quaternion: wp.array(dtype=quat),
        position_in: wp.array2d(dtype=vec3),
        quaternion_in: wp.array2d(dtype=quat),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        position_out: wp.array(dtype=vec3),
        rotation_out: wp.array(dtype=mat33),
        velocity_out: wp.array(dtype=vec3),
        omega_out: wp.array(dtype=vec3),
    ):
        # the frame moves on at its twist for `ahead` seconds, where a tick has several substeps
        w, m = wp.tid()
        b = frames[m]
        row = (w * substeps + substep) * count + colliders[m]
        q = turned(quaternion_in[w, b], ahead * omega_in[w, b])
        arm = wp.quat_rotate(q, local_position[m])
        position_out[row] = position_in[w, b] + ahead * velocity_in[w, b] + arm
        rotation_out[row] = wp.quat_to_matrix(q * local_quaternion[m])
        velocity_out[row] = velocity_in[w, b] + wp.cross(omega_in[w, b], arm)
        omega_out[row] = omega_in[w, b]

    @wp.kernel(**options)
    def gather_wrenches(
        substep: int,
        substeps: int,
        count: int,
        share: real,
        colliders: wp.array(dtype=int),
        frames: wp.array(dtype=int),
        position_in: wp.array(dtype=vec3),
        force_in: wp.array(dtype=vec3),
        torque_in: wp.array(dtype=vec3),
        frame_in: wp.array2d(dtype=vec3),
        force_inout: wp.array2d(dtype=vec3),
        torque_inout: wp.array2d(dtype=vec3),
    ):
        # about the frame's origin at the start of the tick, where its owner applies them: no angular momentum is made
        w = wp.tid()
        for m in range(colliders.shape[0]):
            c = colliders[m]
            b = frames[m]
            force = share * force_in[w * count + c]
            arm = position_in[(w * substeps + substep) * count + c] - frame_in[w, b]
            wp.atomic_add(force_inout, w, b, force)
            wp.atomic_add(torque_inout, w, b, share * torque_in[w * count + c] + wp.cross(arm, force))

    @wp.func
    def moved(arm: vec3) -> mat66:
        # what takes the motion of a frame to that of a place at `arm` from it
        T = wp.identity(n=6, dtype=real)
        T[0, 4] = arm[2]
        T[0, 5] = -arm[1]
        T[1, 3] = -arm[2]
        T[1, 5] = arm[0]
        T[2, 3] = arm[1]
        T[2, 4] = -arm[0]
        return T

    @wp.kernel(**options)
    def gather_answers(
        substep: int,
        substeps: int,
        count: int,
        colliders: wp.array(dtype=int),
        frames: wp.array(dtype=int),
        position_in: wp.array(dtype=vec3),
        force_in: wp.array2d(dtype=vec3),
        torque_in: wp.array2d(dtype=vec3),
        inertia_in: wp.array2d(dtype=mat66),
        frame_in: wp.array2d(dtype=vec3),
        force_inout: wp.array2d(dtype=vec3),
        torque_inout: wp.array2d(dtype=vec3),
        response_inout: wp.array2d(dtype=mat66),
    ):
        # as `gather_wrenches`, with the response about the same place
        w = wp.tid()
        for m in range(colliders.shape[0]):
            c = colliders[m]
            b = frames[m]
            arm = position_in[(w * substeps + substep) * count + c] - frame_in[w, b]
            wp.atomic_add(force_inout, w, b, force_in[w, c])
            wp.atomic_add(torque_inout, w, b, torque_in[w, c] + wp.cross(arm, force_in[w, c]))
            T = moved(arm)
            wp.atomic_add(response_inout, w, b, wp.transpose(T) * inertia_in[w, c] * T)

    @wp.kernel(**options)
    def spread_change(
        substep: int,
        substeps: int,
        count: int,
        mounts: wp.array(dtype=int),
        position_in: wp.array(dtype=vec3),
        velocity_in: wp.array(dtype=vec3),
        omega_in: wp.array(dtype=vec3),
        frame_in: wp.array2d(dtype=vec3),
        change_in: wp.array2d(dtype=vec3),
        spin_in: wp.array2d(dtype=vec3),
        change_out: wp.array2d(dtype=vec3),
        spin_out: wp.array2d(dtype=vec3),
        velocity_out: wp.array(dtype=vec3),
        omega_out: wp.array(dtype=vec3),
    ):
        # what the tick changes the motion of colliders by that are on frames which answer, and the motion of all then
        w, c = wp.tid()
        row = (w * substeps + substep) * count + c
        b = mounts[c]
        if b >= 0:
            more = change_in[w, b] + wp.cross(spin_in[w, b], position_in[row] - frame_in[w, b])
            change_out[w, c] = more
            spin_out[w, c] = spin_in[w, b]
            velocity_out[row] = velocity_in[row] + more
            omega_out[row] = omega_in[row] + spin_in[w, b]
        else:
            velocity_out[row] = velocity_in[row]
            omega_out[row] = omega_in[row]

    @wp.kernel(**options)
    def owe(
        substep: int,
        substeps: int,
        dt: real,
        mounts: wp.array(dtype=int),
        position_in: wp.array(dtype=vec3),
        late_force_in: wp.array(dtype=vec3),
        late_torque_in: wp.array(dtype=vec3),
        frame_in: wp.array2d(dtype=vec3),
        push_out: wp.array2d(dtype=vec3),
        turn_out: wp.array2d(dtype=vec3),
        force_inout: wp.array(dtype=vec3),
        torque_inout: wp.array(dtype=vec3),
    ):
        # what colliders received after bodies had moved: those get the impulse in the next tick, about where they are
        w = wp.tid()
        count = mounts.shape[0]
        zero = vec3(real(0.0), real(0.0), real(0.0))
        for b in range(push_out.shape[1]):
            push_out[w, b] = zero
            turn_out[w, b] = zero
        for c in range(count):
            e = w * count + c
            wp.atomic_add(force_inout, e, late_force_in[e])
            wp.atomic_add(torque_inout, e, late_torque_in[e])
            b = mounts[c]
            if b >= 0:
                arm = position_in[(w * substeps + substep) * count + c] - frame_in[w, b]
                wp.atomic_add(push_out, w, b, dt * late_force_in[e])
                wp.atomic_add(turn_out, w, b, dt * (late_torque_in[e] + wp.cross(arm, late_force_in[e])))

    @wp.kernel(**options)
    def pay(
        dt: real,
        push_in: wp.array2d(dtype=vec3),
        turn_in: wp.array2d(dtype=vec3),
        force_inout: wp.array2d(dtype=vec3),
        torque_inout: wp.array2d(dtype=vec3),
    ):
        w, b = wp.tid()
        wp.atomic_add(force_inout, w, b, push_in[w, b] / dt)
        wp.atomic_add(torque_inout, w, b, turn_in[w, b] / dt)

    @wp.kernel(module=f"simenv_mpm_carry_{real.__name__}", enable_backward=False)
    def carry(
        count: int,
        colliders: wp.array(dtype=int),
        force_in: wp.array(dtype=vec3),
        torque_in: wp.array(dtype=vec3),
        force_out: wp.array(dtype=vec3),
        torque_out: wp.array(dtype=vec3),
    ):
        # what colliders that nobody feels received up to a substep, to which the next one adds
        w, m = wp.tid()
        row = w * count + colliders[m]
        force_out[row] = force_in[row]
        torque_out[row] = torque_in[row]

    return SimpleNamespace(
        place_colliders=place_colliders,
        carry=carry,
        gather_wrenches=gather_wrenches,
        gather_answers=gather_answers,
        spread_change=spread_change,
        owe=owe,
        pay=pay,
        real=real,
        vec3=vec3,
        quat=quat,
        mat33=mat33,
    )  # fmt: skip
