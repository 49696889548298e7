# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of rigid motion: where gels see their objects, what gels do to bodies, and semi-implicit steps.

Arrays have the world N first, then bodies B. Body frames lie at the centre of mass, along the principal axes. Bodies
that a hand drives feel the wrench of a task-space impedance (Hogan 1985). Angular momentum, not angular velocity, is
what torques change, so that it is exact in free motion. The adjoints are generated.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["motion_kernels"]


@built_once
def motion_kernels(real) -> SimpleNamespace:
    """Build the kernels for one scalar type.

    Args:
        real: `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the kernels `gel_view`, `gel_forces`, `free_motion`, `advance` and `advance_grip`, and the
        types `real`, `vec2`, `vec3`, `vec4`, `quat` and `mat33` of their arrays.
    """
    vec2 = wp.types.vector(length=2, dtype=real)
    vec3 = wp.types.vector(length=3, dtype=real)
    vec4 = wp.types.vector(length=4, dtype=real)
    quat = wp.types.quaternion(dtype=real)
    mat33 = wp.types.matrix(shape=(3, 3), dtype=real)
    options = {"module": f"simenv_bodies_motion_{real.__name__}", "enable_backward": True}

    @wp.func
    def turned(q: quat, rotation: vec3) -> quat:
        # q after a rotation vector [rad], smooth at zero
        half = real(0.5) * rotation
        square = wp.dot(half, half)
        sinc = real(1.0) - square / real(6.0) + square * square / real(120.0)
        cosine = real(1.0) - square / real(2.0) + square * square / real(24.0)
        if square > real(1.0e-4):
            angle = wp.sqrt(square)
            sinc = wp.sin(angle) / angle
            cosine = wp.cos(angle)
        return wp.normalize(quat(sinc * half[0], sinc * half[1], sinc * half[2], cosine) * q)

    @wp.func
    def times_inertia(q: quat, inertia: vec3, v: vec3) -> vec3:
        local = wp.quat_rotate_inv(q, v)
        return wp.quat_rotate(q, wp.cw_mul(inertia, local))

    @wp.func
    def by_inertia(q: quat, inertia: vec3, v: vec3) -> vec3:
        local = wp.quat_rotate_inv(q, v)
        return wp.quat_rotate(q, wp.cw_div(local, inertia))

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

    @wp.kernel(**options)
    def free_motion(
        dt: real,
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
    ):
        # velocities after gels, gravity and impedance, before the impulses of stiff contact; kinds: 0 fixed, 1 free,
        # 2 driven (the drive carries the weight), 3 carried by an arm, whose own kernels move it
        w, b = wp.tid()
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
                force = force + gains[0] * (goal_in[w, b] - position_in[w, b]) - gains[2] * velocity_in[w, b]
                twist = vec3(side * error[0], side * error[1], side * error[2])  # 2 sin(angle / 2) along the axis
                torque = torque + gains[1] * twist - gains[3] * omega_in[w, b]
            velocity = velocity_in[w, b] + (dt / mass) * force
            spin = times_inertia(q, mass * inertia[b], omega_in[w, b]) + dt * torque
            omega = by_inertia(q, mass * inertia[b], spin)
        velocity_out[w, b] = velocity
        omega_out[w, b] = omega

    @wp.kernel(**options)
    def advance(
        dt: real,
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
    ):
        w, b = wp.tid()
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
        gel_view=gel_view,
        gel_forces=gel_forces,
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
