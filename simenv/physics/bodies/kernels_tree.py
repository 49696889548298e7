# SPDX-License-Identifier: Apache-2.0
"""Warp functions and kernels of trees of joints: where links are and how they move, and what torques that takes.

Spatial vectors (Featherstone 2008) in world axes about one point, the origin of a tree's first link where it is now:
of a motion angular velocity and the velocity of what is at that point, of a force the moment about it and the force.
World axes need no 6 x 6 transforms; a point on the robot keeps single precision good far from the world's origin.

Arrays have the world N first, then links L or rates. One thread moves one tree of one world.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["tree_functions", "tree_kernels"]


@built_once
def tree_functions(real) -> SimpleNamespace:
    """Types and functions for one scalar type.

    Args:
        real: `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * structs `Trees` (what `Table` has, for T trees, whose links `first` separates) and `Motion` (of links: place
          of the origin, `reach` to it from the tree's point, turn, angular velocity `spin`, velocity `speed` of what is
          at the point, `drift_*` the acceleration without joint accelerations; of rates: `axis_*`, the motion of one);
        * functions `move`, which fills the motion, `matrix_of` a quaternion, `first_moment` and `second_moment` of a
          link about the tree's point, `tangent`, the first axis of a plane, and `unit`, an axis of the world;
        * types `vec3`, `quat`, `mat33`, `real`.
    """
    vec3 = wp.types.vector(length=3, dtype=real)
    quat = wp.types.quaternion(dtype=real)
    mat33 = wp.types.matrix(shape=(3, 3), dtype=real)

    @wp.struct
    class Trees:
        first: wp.array(dtype=int)
        parent: wp.array(dtype=int)
        kind: wp.array(dtype=int)
        place: wp.array(dtype=vec3)
        turn: wp.array(dtype=quat)
        axis: wp.array(dtype=vec3)
        q_start: wp.array(dtype=int)
        v_start: wp.array(dtype=int)

    @wp.struct
    class Motion:
        place: wp.array2d(dtype=vec3)
        reach: wp.array2d(dtype=vec3)
        turn: wp.array2d(dtype=quat)
        spin: wp.array2d(dtype=vec3)
        speed: wp.array2d(dtype=vec3)
        drift_spin: wp.array2d(dtype=vec3)
        drift_speed: wp.array2d(dtype=vec3)
        axis_spin: wp.array2d(dtype=vec3)
        axis_speed: wp.array2d(dtype=vec3)

    @wp.func
    def tangent(normal: vec3) -> vec3:
        # the first axis of a plane: x, or y where that is the normal
        along = vec3(real(1.0), real(0.0), real(0.0))
        if wp.abs(normal[0]) > real(0.9):
            along = vec3(real(0.0), real(1.0), real(0.0))
        return wp.normalize(along - wp.dot(along, normal) * normal)

    @wp.func
    def unit_turn(r: quat) -> quat:
        # not finite where it has no length or is not finite, where Warp's own normalize gives zero
        return r * (real(1.0) / wp.length(r))

    @wp.func
    def unit(index: int) -> vec3:
        return vec3(
            wp.where(index == 0, real(1.0), real(0.0)),
            wp.where(index == 1, real(1.0), real(0.0)),
            wp.where(index == 2, real(1.0), real(0.0)),
        )

    @wp.func
    def move(trees: Trees, w: int, t: int, q: wp.array2d(dtype=real), v: wp.array2d(dtype=real), m: Motion):
        first = trees.first[t]
        zero = vec3(real(0.0), real(0.0), real(0.0))
        for i in range(first, trees.first[t + 1]):
            up = trees.parent[i]
            a = trees.q_start[i]
            k = trees.v_start[i]
            kind = trees.kind[i]
            x = zero
            near = zero
            spin = zero
            speed = zero
            r = quat(real(0.0), real(0.0), real(0.0), real(1.0))
            if up >= 0:
                x = m.place[w, up]
                near = m.reach[w, up]
                r = m.turn[w, up]
                spin = m.spin[w, up]
                speed = m.speed[w, up]
            arm = wp.quat_rotate(r, trees.place[i])
            r = r * trees.turn[i]
            u = wp.quat_rotate(r, trees.axis[i])
            if kind == 1:
                arm = arm + q[w, a] * u
            if kind == 2:
                along = wp.quat_rotate(r, tangent(trees.axis[i]))
                arm = arm + q[w, a] * along + q[w, a + 1] * wp.cross(u, along)
            if kind == 4:
                arm = vec3(q[w, a], q[w, a + 1], q[w, a + 2])
            x = x + arm
            near = near + arm
            if i == first:
                near = zero
            elif up < 0:
                near = x - m.place[w, first]
            joint_spin = zero
            joint_speed = zero
            carried_spin = zero
            carried_speed = zero
            if kind == 0:
                r = r * wp.quat_from_axis_angle(trees.axis[i], q[w, a])
                m.axis_spin[w, k] = u
                m.axis_speed[w, k] = wp.cross(near, u)
                joint_spin = v[w, k] * u
                joint_speed = wp.cross(near, joint_spin)
            elif kind == 1:
                m.axis_spin[w, k] = zero
                m.axis_speed[w, k] = u
                joint_speed = v[w, k] * u
            elif kind == 2:
                along = wp.quat_rotate(r, tangent(trees.axis[i]))
                across = wp.cross(u, along)
                slide = v[w, k] * along + v[w, k + 1] * across
                carried_speed = wp.cross(spin, slide)  # of axes that the parent carries
                speed = speed + slide
                r = unit_turn(r * wp.quat_from_axis_angle(trees.axis[i], q[w, a + 2]))
                m.axis_spin[w, k] = zero
                m.axis_speed[w, k] = along
                m.axis_spin[w, k + 1] = zero
                m.axis_speed[w, k + 1] = across
                m.axis_spin[w, k + 2] = u
                m.axis_speed[w, k + 2] = wp.cross(near, u)
                joint_spin = v[w, k + 2] * u
                joint_speed = wp.cross(near, joint_spin)
            elif kind == 3:
                r = unit_turn(r * unit_turn(quat(q[w, a], q[w, a + 1], q[w, a + 2], q[w, a + 3])))
                for n in range(3):
                    e = wp.quat_rotate(r, unit(n))
                    m.axis_spin[w, k + n] = e
                    m.axis_speed[w, k + n] = wp.cross(near, e)
                    joint_spin = joint_spin + v[w, k + n] * e
                joint_speed = wp.cross(near, joint_spin)
            else:
                r = unit_turn(quat(q[w, a + 3], q[w, a + 4], q[w, a + 5], q[w, a + 6]))
                speed = vec3(v[w, k], v[w, k + 1], v[w, k + 2])
                spin = vec3(v[w, k + 3], v[w, k + 4], v[w, k + 5])
                carried_speed = wp.cross(speed, spin)
                for n in range(3):
                    m.axis_spin[w, k + n] = zero
                    m.axis_speed[w, k + n] = unit(n)
                    m.axis_spin[w, k + 3 + n] = unit(n)
                    m.axis_speed[w, k + 3 + n] = zero
            spin = spin + joint_spin
            speed = speed + joint_speed
            m.drift_spin[w, i] = carried_spin + wp.cross(spin, joint_spin)
            m.drift_speed[w, i] = carried_speed + wp.cross(spin, joint_speed) + wp.cross(speed, joint_spin)
            m.place[w, i] = x
            m.reach[w, i] = near
            m.turn[w, i] = r
            m.spin[w, i] = spin
            m.speed[w, i] = speed

    @wp.func
    def matrix_of(q: quat) -> mat33:
        # of a quaternion of length one; Warp's own turns three axes
        x = q[0]
        y = q[1]
        z = q[2]
        x2 = x + x
        y2 = y + y
        z2 = z + z
        wx = q[3] * x2
        wy = q[3] * y2
        wz = q[3] * z2
        xx = x * x2
        yy = y * y2
        zz = z * z2
        xy = x * y2
        xz = x * z2
        yz = y * z2
        one = real(1.0)
        return mat33(
            one - (yy + zz), xy - wz, xz + wy, xy + wz, one - (xx + zz), yz - wx, xz - wy, yz + wx, one - (xx + yy)
        )  # fmt: skip

    @wp.func
    def first_moment(inertial: wp.array3d(dtype=real), w: int, i: int, turn: mat33, reach: vec3) -> vec3:
        # mass times centre, about the tree's point
        local = vec3(inertial[w, i, 1], inertial[w, i, 2], inertial[w, i, 3])
        return turn * local + inertial[w, i, 0] * reach

    @wp.func
    def second_moment(inertial: wp.array3d(dtype=real), w: int, i: int, turn: mat33, reach: vec3) -> mat33:
        # inertia about the tree's point
        xy = inertial[w, i, 7]
        xz = inertial[w, i, 8]
        yz = inertial[w, i, 9]
        local = mat33(inertial[w, i, 4], xy, xz, xy, inertial[w, i, 5], yz, xz, yz, inertial[w, i, 6])
        own = turn * vec3(inertial[w, i, 1], inertial[w, i, 2], inertial[w, i, 3])
        half = own + real(0.5) * inertial[w, i, 0] * reach
        spread = real(2.0) * wp.dot(reach, half)
        x = turn[0]
        y = turn[1]
        z = turn[2]
        by_y = local * y
        by_z = local * z
        about_xy = wp.dot(x, by_y) - reach[0] * half[1] - reach[1] * half[0]
        about_xz = wp.dot(x, by_z) - reach[0] * half[2] - reach[2] * half[0]
        about_yz = wp.dot(y, by_z) - reach[1] * half[2] - reach[2] * half[1]
        about_xx = wp.dot(x, local * x) - real(2.0) * reach[0] * half[0] + spread
        about_yy = wp.dot(y, by_y) - real(2.0) * reach[1] * half[1] + spread
        about_zz = wp.dot(z, by_z) - real(2.0) * reach[2] * half[2] + spread
        return mat33(
            about_xx, about_xy, about_xz, about_xy, about_yy, about_yz, about_xz, about_yz, about_zz
        )  # fmt: skip

    return SimpleNamespace(
        Trees=Trees, Motion=Motion, tangent=tangent, unit=unit, move=move, matrix_of=matrix_of,
        first_moment=first_moment, second_moment=second_moment, real=real, vec3=vec3, quat=quat, mat33=mat33,
    )  # fmt: skip


@built_once
def tree_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type.

    Returns:
        A namespace with `kinematics(trees, q, v, motion)` and
        `inverse_dynamics(trees, q, v, acceleration, gravity, force, torque, inertial, easing, motion, load_moment,
        load_force, tau)`: joint torques, of loads (N, L) that are summed up from the tips, where forces [N] and torques
        [N m] about their origins push links in world axes, and `easing` is the motors' inertia.
    """
    tree = tree_functions(real)
    Trees, Motion, move, matrix_of, vec3 = tree.Trees, tree.Motion, tree.move, tree.matrix_of, tree.vec3
    first_moment, second_moment = tree.first_moment, tree.second_moment
    options = {"module": f"simenv_bodies_tree_{real.__name__}", "enable_backward": False}

    @wp.kernel(**options)
    def kinematics(trees: Trees, q_in: wp.array2d(dtype=real), v_in: wp.array2d(dtype=real), motion_out: Motion):
        w, t = wp.tid()
        move(trees, w, t, q_in, v_in, motion_out)

    @wp.kernel(**options)
    def inverse_dynamics(
        trees: Trees,
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        acceleration_in: wp.array2d(dtype=real),
        gravity_in: wp.array(dtype=vec3),
        force_in: wp.array2d(dtype=vec3),
        torque_in: wp.array2d(dtype=vec3),
        inertial_in: wp.array3d(dtype=real),
        easing_in: wp.array2d(dtype=real),
        motion_out: Motion,
        gain_spin_out: wp.array2d(dtype=vec3),
        gain_speed_out: wp.array2d(dtype=vec3),
        load_moment_out: wp.array2d(dtype=vec3),
        load_force_out: wp.array2d(dtype=vec3),
        tau_out: wp.array2d(dtype=real),
    ):
        # Recursive Newton-Euler; a link's gain is its acceleration, where the world's is that against gravity
        w, t = wp.tid()
        move(trees, w, t, q_in, v_in, motion_out)
        first = trees.first[t]
        last = trees.first[t + 1]
        for i in range(first, last):
            up = trees.parent[i]
            spin_gain = motion_out.drift_spin[w, i]
            speed_gain = motion_out.drift_speed[w, i]
            if up >= 0:
                spin_gain = spin_gain + gain_spin_out[w, up]
                speed_gain = speed_gain + gain_speed_out[w, up]
            else:
                speed_gain = speed_gain - gravity_in[w]
            for k in range(trees.v_start[i], trees.v_start[i + 1]):
                spin_gain = spin_gain + acceleration_in[w, k] * motion_out.axis_spin[w, k]
                speed_gain = speed_gain + acceleration_in[w, k] * motion_out.axis_speed[w, k]
            gain_spin_out[w, i] = spin_gain
            gain_speed_out[w, i] = speed_gain
            turn = matrix_of(motion_out.turn[w, i])
            reach = motion_out.reach[w, i]
            spin = motion_out.spin[w, i]
            speed = motion_out.speed[w, i]
            mass = inertial_in[w, i, 0]
            h = first_moment(inertial_in, w, i, turn, reach)
            about = second_moment(inertial_in, w, i, turn, reach)
            n = about * spin + wp.cross(h, speed)
            f = mass * speed - wp.cross(h, spin)
            load_moment_out[w, i] = (
                about * spin_gain
                + wp.cross(h, speed_gain)
                + wp.cross(spin, n)
                + wp.cross(speed, f)
                - torque_in[w, i]
                - wp.cross(reach, force_in[w, i])
            )
            load_force_out[w, i] = mass * speed_gain - wp.cross(h, spin_gain) + wp.cross(spin, f) - force_in[w, i]
        for back in range(last - first):
            i = last - 1 - back
            up = trees.parent[i]
            n = load_moment_out[w, i]
            f = load_force_out[w, i]
            for k in range(trees.v_start[i], trees.v_start[i + 1]):
                tau_out[w, k] = (
                    wp.dot(motion_out.axis_spin[w, k], n)
                    + wp.dot(motion_out.axis_speed[w, k], f)
                    + easing_in[w, k] * acceleration_in[w, k]
                )
            if up >= 0:
                load_moment_out[w, up] = load_moment_out[w, up] + n
                load_force_out[w, up] = load_force_out[w, up] + f

    return SimpleNamespace(kinematics=kinematics, inverse_dynamics=inverse_dynamics, **vars(tree))
