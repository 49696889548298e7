# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of a robot arm: kinematics, joint-space inertia, task-space impedance, and semi-implicit steps.

M(q) q'' + h(q, q') + d q' = tau + J^T F, where h holds weight, Coriolis and centrifugal forces. M and h are sums of
the links' Jacobians (Kane and Levinson 1985; Featherstone 2008, chapter 3), which any number of joints shares in one
compiled module. The motors give Hogan's (1985) impedance J^T (K e - D v), carry h, and pull towards a posture by what
the task does not feel: its accelerations are projected so that J q'' is untouched (Khatib 1987). Torques are held over
a step and cut at the motors' limits. There are no adjoints.

Arrays have the world N first, then joints n. A link's frame is its joint's after the joint's motion.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["arm_kernels"]


@built_once
def arm_kernels(real) -> SimpleNamespace:
    """Build the kernels for one scalar type.

    Args:
        real: `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the kernels `arm_motion`, `arm_inertia`, `arm_drive` and `arm_advance`, and the types `real`,
        `vec2`, `vec3`, `vec4`, `quat` and `mat33`.
    """
    vec2 = wp.types.vector(length=2, dtype=real)
    vec3 = wp.types.vector(length=3, dtype=real)
    vec4 = wp.types.vector(length=4, dtype=real)
    quat = wp.types.quaternion(dtype=real)
    mat33 = wp.types.matrix(shape=(3, 3), dtype=real)
    options = {"module": f"simenv_bodies_arm_{real.__name__}", "enable_backward": False}

    @wp.func
    def factor(w: int, n: int, matrix: wp.array3d(dtype=real), lower_inout: wp.array3d(dtype=real)):
        # Cholesky: matrix = L L^T
        for i in range(n):
            for j in range(i + 1):
                rest = matrix[w, i, j]
                for k in range(j):
                    rest = rest - lower_inout[w, i, k] * lower_inout[w, j, k]
                if i == j:
                    lower_inout[w, i, i] = wp.sqrt(rest)
                else:
                    lower_inout[w, i, j] = rest / lower_inout[w, j, j]

    @wp.func
    def solve(w: int, n: int, row: int, lower: wp.array3d(dtype=real), x_inout: wp.array3d(dtype=real)):
        # x[w, row] becomes (L L^T)^-1 x[w, row]
        for i in range(n):
            rest = x_inout[w, row, i]
            for k in range(i):
                rest = rest - lower[w, i, k] * x_inout[w, row, k]
            x_inout[w, row, i] = rest / lower[w, i, i]
        for back in range(n):
            i = n - 1 - back
            rest = x_inout[w, row, i]
            for k in range(i + 1, n):
                rest = rest - lower[w, k, i] * x_inout[w, row, k]
            x_inout[w, row, i] = rest / lower[w, i, i]

    @wp.func
    def column(sliding: int, axis: vec3, place: vec3, point: vec3):
        # velocity of a point per speed of a joint
        moved = axis
        if sliding == 0:
            moved = wp.cross(axis, point - place)
        return moved

    @wp.kernel(**options)
    def arm_motion(
        hand: int,
        places: wp.array(dtype=vec3),
        turns: wp.array(dtype=quat),
        axes: wp.array(dtype=vec3),
        sliding: wp.array(dtype=int),
        centres: wp.array(dtype=vec3),
        tool_place: vec3,
        tool_turn: quat,
        q_in: wp.array2d(dtype=real),
        qd_in: wp.array2d(dtype=real),
        place_out: wp.array2d(dtype=vec3),
        turn_out: wp.array2d(dtype=quat),
        axis_out: wp.array2d(dtype=vec3),
        centre_out: wp.array2d(dtype=vec3),
        spin_out: wp.array2d(dtype=vec3),
        drift_out: wp.array2d(dtype=vec3),
        twirl_out: wp.array2d(dtype=vec3),
        position_out: wp.array2d(dtype=vec3),
        quaternion_out: wp.array2d(dtype=quat),
        velocity_out: wp.array2d(dtype=vec3),
        omega_out: wp.array2d(dtype=vec3),
    ):
        # Frames, joint axes, centres of mass and angular velocities in the world, and accelerations that the links
        # have without joint accelerations: of the centres (drift) and angular (twirl). The tool is body `hand`.
        w = wp.tid()
        x = vec3(real(0.0), real(0.0), real(0.0))
        v = vec3(real(0.0), real(0.0), real(0.0))
        a = vec3(real(0.0), real(0.0), real(0.0))
        spin = vec3(real(0.0), real(0.0), real(0.0))
        twirl = vec3(real(0.0), real(0.0), real(0.0))
        r = quat(real(0.0), real(0.0), real(0.0), real(1.0))
        for i in range(places.shape[0]):
            arm = wp.quat_rotate(r, places[i])
            r = r * turns[i]
            u = wp.quat_rotate(r, axes[i])
            rate = qd_in[w, i] * u
            if sliding[i] == 1:
                arm = arm + q_in[w, i] * u
            x = x + arm
            v = v + wp.cross(spin, arm)
            a = a + wp.cross(twirl, arm) + wp.cross(spin, wp.cross(spin, arm))
            if sliding[i] == 1:
                v = v + rate
                a = a + real(2.0) * wp.cross(spin, rate)
            else:
                twirl = twirl + wp.cross(spin, rate)
                spin = spin + rate
                r = wp.normalize(r * wp.quat_from_axis_angle(axes[i], q_in[w, i]))
            c = wp.quat_rotate(r, centres[i])
            place_out[w, i] = x
            turn_out[w, i] = r
            axis_out[w, i] = u
            centre_out[w, i] = x + c
            spin_out[w, i] = spin
            twirl_out[w, i] = twirl
            drift_out[w, i] = a + wp.cross(twirl, c) + wp.cross(spin, wp.cross(spin, c))
        reach = wp.quat_rotate(r, tool_place)
        position_out[w, hand] = x + reach
        quaternion_out[w, hand] = r * tool_turn
        velocity_out[w, hand] = v + wp.cross(spin, reach)
        omega_out[w, hand] = spin

    @wp.kernel(**options)
    def arm_inertia(
        hand: int,
        sliding: wp.array(dtype=int),
        mass: wp.array(dtype=real),
        inertia: wp.array(dtype=mat33),
        armature: wp.array(dtype=real),
        gravity_in: wp.array(dtype=vec3),
        position_in: wp.array2d(dtype=vec3),
        place_in: wp.array2d(dtype=vec3),
        turn_in: wp.array2d(dtype=quat),
        axis_in: wp.array2d(dtype=vec3),
        centre_in: wp.array2d(dtype=vec3),
        spin_in: wp.array2d(dtype=vec3),
        drift_in: wp.array2d(dtype=vec3),
        twirl_in: wp.array2d(dtype=vec3),
        matrix_out: wp.array3d(dtype=real),
        bias_out: wp.array2d(dtype=real),
        jacobian_out: wp.array3d(dtype=real),
    ):
        # M = sum of m Jc^T Jc + Jw^T I Jw; h = sum of Jc^T m (drift - g) + Jw^T (I twirl + spin x I spin); the tool's J
        w, i, j = wp.tid()
        if j > i:
            return
        n = sliding.shape[0]
        total = real(0.0)
        bias = real(0.0)
        u = axis_in[w, i]
        for k in range(i, n):
            c = centre_in[w, k]
            q = turn_in[w, k]
            moved = column(sliding[i], u, place_in[w, i], c)
            total = total + mass[k] * wp.dot(moved, column(sliding[j], axis_in[w, j], place_in[w, j], c))
            local = wp.quat_rotate_inv(q, u)
            if sliding[i] == 0 and sliding[j] == 0:
                total = total + wp.dot(local, inertia[k] * wp.quat_rotate_inv(q, axis_in[w, j]))
            if i == j:
                bias = bias + mass[k] * wp.dot(moved, drift_in[w, k] - gravity_in[w])
                if sliding[i] == 0:
                    spin = wp.quat_rotate_inv(q, spin_in[w, k])
                    moment = inertia[k] * wp.quat_rotate_inv(q, twirl_in[w, k]) + wp.cross(spin, inertia[k] * spin)
                    bias = bias + wp.dot(local, moment)
        if i == j:
            total = total + armature[i]
            bias_out[w, i] = bias
            ahead = column(sliding[i], u, place_in[w, i], position_in[w, hand])
            for row in range(3):
                jacobian_out[w, row, i] = ahead[row]
                jacobian_out[w, 3 + row, i] = wp.where(sliding[i] == 1, real(0.0), u[row])
        matrix_out[w, i, j] = total
        matrix_out[w, j, i] = total

    @wp.kernel(**options)
    def arm_drive(
        hand: int,
        rate: real,
        compensate: real,
        posture: wp.array(dtype=real),
        effort: wp.array(dtype=real),
        gains_in: wp.array2d(dtype=vec4),
        goal_in: wp.array2d(dtype=vec3),
        goal_turn_in: wp.array2d(dtype=quat),
        position_in: wp.array2d(dtype=vec3),
        quaternion_in: wp.array2d(dtype=quat),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        q_in: wp.array2d(dtype=real),
        qd_in: wp.array2d(dtype=real),
        matrix_in: wp.array3d(dtype=real),
        bias_in: wp.array2d(dtype=real),
        jacobian_in: wp.array3d(dtype=real),
        factor_out: wp.array3d(dtype=real),
        easing_out: wp.array3d(dtype=real),
        task_out: wp.array3d(dtype=real),
        task_factor_out: wp.array3d(dtype=real),
        wrench_out: wp.array3d(dtype=real),
        torque_out: wp.array2d(dtype=real),
    ):
        # torques of the motors (N, n); the rest is work space: L of M, M^-1 J^T, J M^-1 J^T and its L, a wrench
        w = wp.tid()
        n = posture.shape[0]
        factor(w, n, matrix_in, factor_out)
        for a in range(6):
            for i in range(n):
                easing_out[w, a, i] = jacobian_in[w, a, i]
            solve(w, n, a, factor_out, easing_out)
            for b in range(a + 1):
                total = real(0.0)
                for i in range(n):
                    total = total + jacobian_in[w, b, i] * easing_out[w, a, i]
                task_out[w, a, b] = total
        # where the arm cannot move its tool in all directions, and in rounding, a millionth keeps the inverse finite
        for a in range(6):
            task_out[w, a, a] = real(1.000001) * task_out[w, a, a]
            wrench_out[w, 0, a] = real(0.0)
            for i in range(n):
                wanted = rate * rate * (posture[i] - q_in[w, i]) - real(2.0) * rate * qd_in[w, i]
                wrench_out[w, 0, a] = wrench_out[w, 0, a] - jacobian_in[w, a, i] * wanted
        factor(w, 6, task_out, task_factor_out)
        solve(w, 6, 0, task_factor_out, wrench_out)
        gains = gains_in[w, hand]
        push = gains[0] * (goal_in[w, hand] - position_in[w, hand]) - gains[2] * velocity_in[w, hand]
        error = goal_turn_in[w, hand] * wp.quat_inverse(quaternion_in[w, hand])
        side = wp.where(error[3] < real(0.0), real(-2.0), real(2.0))  # the shorter way round; 2 sin(angle / 2)
        twist = gains[1] * vec3(side * error[0], side * error[1], side * error[2]) - gains[3] * omega_in[w, hand]
        for a in range(3):
            wrench_out[w, 0, a] = wrench_out[w, 0, a] + push[a]
            wrench_out[w, 0, 3 + a] = wrench_out[w, 0, 3 + a] + twist[a]
        for i in range(n):
            torque = compensate * bias_in[w, i]
            for a in range(6):
                torque = torque + jacobian_in[w, a, i] * wrench_out[w, 0, a]
            for j in range(n):
                wanted = rate * rate * (posture[j] - q_in[w, j]) - real(2.0) * rate * qd_in[w, j]
                torque = torque + matrix_in[w, i, j] * wanted
            torque_out[w, i] = wp.clamp(torque, -effort[i], effort[i])

    @wp.kernel(**options)
    def arm_advance(
        hand: int,
        dt: real,
        lower: wp.array(dtype=real),
        upper: wp.array(dtype=real),
        damping: wp.array(dtype=real),
        force_in: wp.array2d(dtype=vec3),
        moment_in: wp.array2d(dtype=vec3),
        q_in: wp.array2d(dtype=real),
        qd_in: wp.array2d(dtype=real),
        bias_in: wp.array2d(dtype=real),
        jacobian_in: wp.array3d(dtype=real),
        factor_in: wp.array3d(dtype=real),
        torque_in: wp.array2d(dtype=real),
        work_out: wp.array3d(dtype=real),
        q_out: wp.array2d(dtype=real),
        qd_out: wp.array2d(dtype=real),
    ):
        # q' first, then q with it. A joint that would pass its limit gets the impulse that stops it there.
        w = wp.tid()
        n = lower.shape[0]
        for i in range(n):
            force = force_in[w, hand]
            moment = moment_in[w, hand]
            torque = torque_in[w, i] - bias_in[w, i] - damping[i] * qd_in[w, i]
            for a in range(3):
                torque = torque + jacobian_in[w, a, i] * force[a] + jacobian_in[w, 3 + a, i] * moment[a]
            work_out[w, 0, i] = torque
        solve(w, n, 0, factor_in, work_out)
        for i in range(n):
            qd_out[w, i] = qd_in[w, i] + dt * work_out[w, 0, i]
        for i in range(n):
            wanted = wp.clamp(qd_out[w, i], (lower[i] - q_in[w, i]) / dt, (upper[i] - q_in[w, i]) / dt)
            if wanted != qd_out[w, i]:
                for k in range(n):
                    work_out[w, 0, k] = wp.where(k == i, real(1.0), real(0.0))
                solve(w, n, 0, factor_in, work_out)
                impulse = (wanted - qd_out[w, i]) / work_out[w, 0, i]
                for k in range(n):
                    qd_out[w, k] = qd_out[w, k] + impulse * work_out[w, 0, k]
        for i in range(n):
            q = q_in[w, i] + dt * qd_out[w, i]
            if q < lower[i] or q > upper[i]:  # rounding, or another joint's stop moved it again
                q = wp.clamp(q, lower[i], upper[i])
                qd_out[w, i] = real(0.0)
            q_out[w, i] = q

    return SimpleNamespace(
        arm_motion=arm_motion,
        arm_inertia=arm_inertia,
        arm_drive=arm_drive,
        arm_advance=arm_advance,
        real=real,
        vec2=vec2,
        vec3=vec3,
        vec4=vec4,
        quat=quat,
        mat33=mat33,
    )
