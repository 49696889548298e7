# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of rigid motion: semi-implicit steps of bodies that are free or pulled by an impedance, and of fingers.

Arrays have the world N first, then bodies B. Body frames lie at the centre of mass, along the principal axes. Bodies
that a hand drives feel the wrench of a task-space impedance (Hogan 1985). Angular momentum, not angular velocity, is
what torques change, so that it is exact in free motion. The adjoints are generated.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.kernels_rotation import rotation_functions

__all__ = ["motion_kernels"]


@built_once
def motion_kernels(real) -> SimpleNamespace:
    """Build the kernels for one scalar type.

    Args:
        real: `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the kernels `free_motion`, `advance` and `advance_grip`, and the types `real`, `vec2`, `vec3`,
        `vec4`, `quat` and `mat33` of their arrays.
    """
    vec2 = wp.types.vector(length=2, dtype=real)
    vec3 = wp.types.vector(length=3, dtype=real)
    vec4 = wp.types.vector(length=4, dtype=real)
    quat = wp.types.quaternion(dtype=real)
    mat33 = wp.types.matrix(shape=(3, 3), dtype=real)
    turned = rotation_functions(real).turned
    options = {"module": f"simenv_bodies_motion_{real.__name__}", "enable_backward": True}

    @wp.func
    def times_inertia(q: quat, inertia: vec3, v: vec3) -> vec3:
        local = wp.quat_rotate_inv(q, v)
        return wp.quat_rotate(q, wp.cw_mul(inertia, local))

    @wp.func
    def by_inertia(q: quat, inertia: vec3, v: vec3) -> vec3:
        local = wp.quat_rotate_inv(q, v)
        return wp.quat_rotate(q, wp.cw_div(local, inertia))

    @wp.kernel(**options)
    def free_motion(
        dt: real,
        share: real,
        kinds: wp.array(dtype=int),
        inertia: wp.array(dtype=vec3),
        mass_in: wp.array2d(dtype=real),
        gravity_in: wp.array(dtype=vec3),
        gains_in: wp.array2d(dtype=vec4),
        goal_in: wp.array2d(dtype=vec3),
        goal_turn_in: wp.array2d(dtype=quat),
        position_in: wp.array2d(dtype=vec3),
        quaternion_in: wp.array2d(dtype=quat),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        force_in: wp.array2d(dtype=vec3),
        torque_in: wp.array2d(dtype=vec3),
        velocity_out: wp.array2d(dtype=vec3),
        omega_out: wp.array2d(dtype=vec3),
        drive_inout: wp.array2d(dtype=vec3),
        drive_turn_inout: wp.array2d(dtype=vec3),
        felt_inout: wp.array2d(dtype=vec3),
        felt_turn_inout: wp.array2d(dtype=vec3),
    ):
        # velocities after what pushes, gravity and impedance, before the impulses of stiff contact; kinds: 0 fixed, 1
        # free, 2 driven (the drive carries the weight), 3 given;
        # `share` makes a mean over the control step of what is added up in each tick
        w, b = wp.tid()
        wp.atomic_add(felt_inout, w, b, share * force_in[w, b])
        wp.atomic_add(felt_turn_inout, w, b, share * torque_in[w, b])
        velocity = vec3(real(0.0), real(0.0), real(0.0))
        omega = vec3(real(0.0), real(0.0), real(0.0))
        if kinds[b] == 1 or kinds[b] == 2:
            mass = mass_in[w, b]
            q = quaternion_in[w, b]
            force = force_in[w, b]
            torque = torque_in[w, b]
            if kinds[b] == 1:
                force = force + mass * gravity_in[w]
            else:
                gains = gains_in[w, b]
                error = goal_turn_in[w, b] * wp.quat_inverse(q)
                side = wp.where(error[3] < real(0.0), real(-2.0), real(2.0))  # the shorter way round
                pull = gains[0] * (goal_in[w, b] - position_in[w, b]) - gains[2] * velocity_in[w, b]
                twist = vec3(side * error[0], side * error[1], side * error[2])  # 2 sin(angle / 2) along the axis
                turn = gains[1] * twist - gains[3] * omega_in[w, b]
                force = force + pull
                torque = torque + turn
                wp.atomic_add(drive_inout, w, b, share * pull)
                wp.atomic_add(drive_turn_inout, w, b, share * turn)
            velocity = velocity_in[w, b] + (dt / mass) * force
            spin = times_inertia(q, mass * inertia[b], omega_in[w, b]) + dt * torque
            omega = by_inertia(q, mass * inertia[b], spin)
        velocity_out[w, b] = velocity
        omega_out[w, b] = omega

    @wp.kernel(**options)
    def advance(
        dt: real,
        share: real,
        kinds: wp.array(dtype=int),
        inertia: wp.array(dtype=vec3),
        mass_in: wp.array2d(dtype=real),
        position_in: wp.array2d(dtype=vec3),
        quaternion_in: wp.array2d(dtype=quat),
        free_velocity_in: wp.array2d(dtype=vec3),
        free_omega_in: wp.array2d(dtype=vec3),
        impulse_in: wp.array2d(dtype=vec3),
        turning_in: wp.array2d(dtype=vec3),
        position_out: wp.array2d(dtype=vec3),
        quaternion_out: wp.array2d(dtype=quat),
        velocity_out: wp.array2d(dtype=vec3),
        omega_out: wp.array2d(dtype=vec3),
        push_inout: wp.array2d(dtype=vec3),
        push_turn_inout: wp.array2d(dtype=vec3),
    ):
        w, b = wp.tid()
        wp.atomic_add(push_inout, w, b, (share / dt) * impulse_in[w, b])
        wp.atomic_add(push_turn_inout, w, b, (share / dt) * turning_in[w, b])
        x = position_in[w, b]
        q = quaternion_in[w, b]
        velocity = vec3(real(0.0), real(0.0), real(0.0))
        omega = vec3(real(0.0), real(0.0), real(0.0))
        if kinds[b] == 1 or kinds[b] == 2:
            velocity = free_velocity_in[w, b] + impulse_in[w, b] / mass_in[w, b]
            moments = mass_in[w, b] * inertia[b]
            spin = times_inertia(q, moments, free_omega_in[w, b]) + turning_in[w, b]
            x = x + dt * velocity
            q = turned(q, dt * by_inertia(q, moments, spin))
            omega = by_inertia(q, moments, spin)
        if kinds[b] < 3:
            position_out[w, b] = x
            quaternion_out[w, b] = q
            velocity_out[w, b] = velocity
            omega_out[w, b] = omega

    @wp.kernel(**options)
    def advance_grip(
        dt: real,
        mass: real,
        damping: real,
        widest: real,
        effort_in: wp.array(dtype=real),
        squeeze_in: wp.array(dtype=real),
        grip_in: wp.array(dtype=vec2),
        grip_out: wp.array(dtype=vec2),
    ):
        # two coupled fingers: half of their opening, and its speed; the damping is implicit
        w = wp.tid()
        pushed = grip_in[w][1] + (dt / mass) * (effort_in[w] + real(0.5) * squeeze_in[w])
        speed = pushed / (real(1.0) + dt * damping / mass)
        half = grip_in[w][0] + dt * speed
        if half > widest:
            half = widest
            speed = real(0.0)
        grip_out[w] = vec2(half, speed)

    return SimpleNamespace(
        free_motion=free_motion,
        advance=advance,
        advance_grip=advance_grip,
        real=real,
        vec2=vec2,
        vec3=vec3,
        vec4=vec4,
        quat=quat,
        mat33=mat33,
    )
