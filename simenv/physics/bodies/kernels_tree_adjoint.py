# SPDX-License-Identifier: Apache-2.0
"""Warp functions of the exact adjoints of kinematics and of inverse dynamics of trees of joints, by hand.

With lambda in the place of the torques' adjoints, phi = lambda . ID(q, v, a) is virtual power: the sum over links of
w . (I A + v x* I v - f), where w is the motion at rates lambda, v at rates v, and A the acceleration against gravity. A
change of a position moves all that hangs on its joint as one, by the twist xi along the axis: inertias change by
xi x* I - I xi x, axes by xi x S, forces keep their directions. So one sweep out gives w, and one sweep in gathers, for
every link, the adjoints of v, w, A and xi. Forward dynamics has the same adjoint with lambda = M^-1 of that of the
acceleration, and the opposite sign (Carpentier and Mansard 2018; Singh, Russell and Wensing 2022 have the derivatives).

Adjoints of positions are those of small motions along the rates' axes, and of quaternions at the end.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_tree import tree_functions

__all__ = ["tree_adjoint_functions"]


@built_once
def tree_adjoint_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the struct `Swept` (of links: motion `w_*` at the rates, acceleration `gain_*`; adjoints of
        `v`, `w`, gains `a` and displacements `x`, as moments `_n` and forces `_f`), and the functions of one tree of
        one world, which write adjoints,

        * `differentiate(trees, w, t, sign, q, v, acceleration, rates, gravity, force, torque, held, at, inertial,
          easing, motion, swept, q_adj, v_adj, acceleration_adj, force_adj, torque_adj, inertial_adj, easing_adj)`:
          `sign` times the derivatives of phi at `rates`; that of gravity is returned; motion must be that of q and v;
        * `carry_back(trees, w, t, q, v, place_adj, turn_adj, velocity_adj, omega_adj, motion, swept, q_adj, v_adj)`: of
          kinematics.
    """
    tree = tree_functions(real)
    Trees, Motion, vec3, quat = tree.Trees, tree.Motion, tree.vec3, tree.quat
    first_moment, second_moment, unit = tree.first_moment, tree.second_moment, tree.unit
    matrix_of = tree.matrix_of

    @wp.struct
    class Swept:
        w_spin: wp.array2d(dtype=vec3)
        w_speed: wp.array2d(dtype=vec3)
        gain_spin: wp.array2d(dtype=vec3)
        gain_speed: wp.array2d(dtype=vec3)
        v_n: wp.array2d(dtype=vec3)
        v_f: wp.array2d(dtype=vec3)
        w_n: wp.array2d(dtype=vec3)
        w_f: wp.array2d(dtype=vec3)
        a_n: wp.array2d(dtype=vec3)
        a_f: wp.array2d(dtype=vec3)
        x_n: wp.array2d(dtype=vec3)
        x_f: wp.array2d(dtype=vec3)

    @wp.func
    def gather(
        trees: Trees,
        w: int,
        t: int,
        sign: real,
        q: wp.array2d(dtype=real),
        v: wp.array2d(dtype=real),
        acceleration: wp.array2d(dtype=real),
        rates: wp.array2d(dtype=real),
        moving: int,
        m: Motion,
        s: Swept,
        q_adj: wp.array2d(dtype=real),
        v_adj: wp.array2d(dtype=real),
    ):
        # From the tips to the root. `moving` is 0 where only v matters: there are no rates and accelerations.
        first = trees.first[t]
        count = trees.first[t + 1] - first
        for back in range(count):
            i = first + count - 1 - back
            kind = trees.kind[i]
            start = trees.v_start[i]
            end = trees.v_start[i + 1]
            v_n = s.v_n[w, i]
            v_f = s.v_f[w, i]
            a_n = s.a_n[w, i]
            a_f = s.a_f[w, i]
            x_n = s.x_n[w, i]
            x_f = s.x_f[w, i]
            # the joint's part of the link's motion, of axes that the link carries
            spin = m.spin[w, i]
            speed = m.speed[w, i]
            joint_spin = vec3(real(0.0), real(0.0), real(0.0))
            joint_speed = vec3(real(0.0), real(0.0), real(0.0))
            own = start
            if kind == 2:
                own = start + 2
            if kind == 4:
                own = end
            for k in range(own, end):
                joint_spin = joint_spin + v[w, k] * m.axis_spin[w, k]
                joint_speed = joint_speed + v[w, k] * m.axis_speed[w, k]
            # drift = motion x joint: adjoints of both
            v_n = v_n + wp.cross(joint_spin, a_n) + wp.cross(joint_speed, a_f)
            v_f = v_f + wp.cross(joint_spin, a_f)
            j_n = v_n - wp.cross(spin, a_n) - wp.cross(speed, a_f)
            j_f = v_f - wp.cross(spin, a_f)
            w_n = s.w_n[w, i]
            w_f = s.w_f[w, i]
            for k in range(own, end):
                axis_n = v[w, k] * j_n
                axis_f = v[w, k] * j_f
                if moving == 1:
                    axis_n = axis_n + rates[w, k] * w_n + acceleration[w, k] * a_n
                    axis_f = axis_f + rates[w, k] * w_f + acceleration[w, k] * a_f
                x_n = x_n + wp.cross(m.axis_spin[w, k], axis_n) + wp.cross(m.axis_speed[w, k], axis_f)
                x_f = x_f + wp.cross(m.axis_spin[w, k], axis_f)
                v_adj[w, k] = sign * (wp.dot(m.axis_spin[w, k], j_n) + wp.dot(m.axis_speed[w, k], j_f))
            if kind == 4:
                # at the tree's point: axes of turning move with the link's place, drift is speed x spin
                spun = wp.cross(spin, a_f)
                turned = wp.cross(a_f, speed)
                for n in range(3):
                    e = unit(n)
                    axis_f = v[w, start + 3 + n] * v_f
                    if moving == 1:
                        axis_f = axis_f + rates[w, start + 3 + n] * w_f + acceleration[w, start + 3 + n] * a_f
                    x_f = x_f + wp.cross(e, axis_f)
                    v_adj[w, start + n] = sign * (v_f[n] + spun[n])
                    v_adj[w, start + 3 + n] = sign * (v_n[n] + turned[n])
            for k in range(own, end):
                q_adj[w, trees.q_start[i] + k - start] = sign * (
                    wp.dot(m.axis_spin[w, k], x_n) + wp.dot(m.axis_speed[w, k], x_f)
                )
            up = trees.parent[i]
            if kind == 2:
                # the slides' axes, which the parent carries; what hangs on them has been moved as one
                up_spin = vec3(real(0.0), real(0.0), real(0.0))
                if up >= 0:
                    up_spin = m.spin[w, up]
                slide = v[w, start] * m.axis_speed[w, start] + v[w, start + 1] * m.axis_speed[w, start + 1]
                # drift has up_spin x slide beside the turn's
                s_f = v_f - wp.cross(up_spin, a_f)
                pushed = vec3(real(0.0), real(0.0), real(0.0))
                for n in range(2):
                    k = start + n
                    axis = m.axis_speed[w, k]
                    q_adj[w, trees.q_start[i] + n] = sign * wp.dot(axis, x_f)
                    v_adj[w, k] = sign * wp.dot(axis, s_f)
                    axis_f = v[w, k] * s_f
                    if moving == 1:
                        axis_f = axis_f + rates[w, k] * w_f + acceleration[w, k] * a_f
                    pushed = pushed + wp.cross(axis, axis_f)
                x_n = x_n + pushed
                v_n = v_n + wp.cross(slide, a_f)
            if kind == 3:
                a0 = trees.q_start[i]
                g = vec3(q_adj[w, a0], q_adj[w, a0 + 1], q_adj[w, a0 + 2])
                r = quat(q[w, a0], q[w, a0 + 1], q[w, a0 + 2], q[w, a0 + 3])
                out = r * quat(g[0], g[1], g[2], real(0.0)) * (real(2.0) / wp.dot(r, r))
                for n in range(4):
                    q_adj[w, a0 + n] = out[n]
            if kind == 4:
                a0 = trees.q_start[i]
                r = quat(q[w, a0 + 3], q[w, a0 + 4], q[w, a0 + 5], q[w, a0 + 6])
                g = sign * x_n
                out = quat(g[0], g[1], g[2], real(0.0)) * r * (real(2.0) / wp.dot(r, r))
                for n in range(3):
                    q_adj[w, a0 + n] = sign * x_f[n]
                for n in range(4):
                    q_adj[w, a0 + 3 + n] = out[n]
            s.a_n[w, i] = a_n
            s.a_f[w, i] = a_f
            if up >= 0:
                s.v_n[w, up] = s.v_n[w, up] + v_n
                s.v_f[w, up] = s.v_f[w, up] + v_f
                s.w_n[w, up] = s.w_n[w, up] + w_n
                s.w_f[w, up] = s.w_f[w, up] + w_f
                s.a_n[w, up] = s.a_n[w, up] + a_n
                s.a_f[w, up] = s.a_f[w, up] + a_f
                s.x_n[w, up] = s.x_n[w, up] + x_n
                s.x_f[w, up] = s.x_f[w, up] + x_f

    @wp.func
    def differentiate(
        trees: Trees,
        w: int,
        t: int,
        sign: real,
        q: wp.array2d(dtype=real),
        v: wp.array2d(dtype=real),
        acceleration: wp.array2d(dtype=real),
        rates: wp.array2d(dtype=real),
        gravity: vec3,
        force: wp.array2d(dtype=vec3),
        torque: wp.array2d(dtype=vec3),
        held: int,
        at: wp.array2d(dtype=vec3),
        inertial: wp.array3d(dtype=real),
        easing: wp.array2d(dtype=real),
        m: Motion,
        s: Swept,
        q_adj: wp.array2d(dtype=real),
        v_adj: wp.array2d(dtype=real),
        acceleration_adj: wp.array2d(dtype=real),
        force_adj: wp.array2d(dtype=vec3),
        torque_adj: wp.array2d(dtype=vec3),
        inertial_adj: wp.array3d(dtype=real),
        easing_adj: wp.array2d(dtype=real),
    ) -> vec3:
        # returns the adjoint of gravity
        first = trees.first[t]
        last = trees.first[t + 1]
        zero = vec3(real(0.0), real(0.0), real(0.0))
        for i in range(first, last):
            up = trees.parent[i]
            w_spin = zero
            w_speed = zero
            spin_gain = m.drift_spin[w, i]
            speed_gain = m.drift_speed[w, i]
            if up >= 0:
                w_spin = s.w_spin[w, up]
                w_speed = s.w_speed[w, up]
                spin_gain = spin_gain + s.gain_spin[w, up]
                speed_gain = speed_gain + s.gain_speed[w, up]
            else:
                speed_gain = speed_gain - gravity
            for k in range(trees.v_start[i], trees.v_start[i + 1]):
                w_spin = w_spin + rates[w, k] * m.axis_spin[w, k]
                w_speed = w_speed + rates[w, k] * m.axis_speed[w, k]
                spin_gain = spin_gain + acceleration[w, k] * m.axis_spin[w, k]
                speed_gain = speed_gain + acceleration[w, k] * m.axis_speed[w, k]
            s.w_spin[w, i] = w_spin
            s.w_speed[w, i] = w_speed
            s.gain_spin[w, i] = spin_gain
            s.gain_speed[w, i] = speed_gain
            turn = matrix_of(m.turn[w, i])
            reach = m.reach[w, i]
            spin = m.spin[w, i]
            speed = m.speed[w, i]
            mass = inertial[w, i, 0]
            h = first_moment(inertial, w, i, turn, reach)
            about = second_moment(inertial, w, i, turn, reach)
            # momenta of v, w, A and of u = w x v
            u_spin = wp.cross(w_spin, spin)
            u_speed = wp.cross(w_spin, speed) + wp.cross(w_speed, spin)
            vn = about * spin + wp.cross(h, speed)
            vf = mass * speed - wp.cross(h, spin)
            wn = about * w_spin + wp.cross(h, w_speed)
            wf = mass * w_speed - wp.cross(h, w_spin)
            an = about * spin_gain + wp.cross(h, speed_gain)
            af = mass * speed_gain - wp.cross(h, spin_gain)
            un = about * u_spin + wp.cross(h, u_speed)
            uf = mass * u_speed - wp.cross(h, u_spin)
            push = force[w, i]
            arm = reach
            if held == 1:
                arm = at[w, i] - m.place[w, first]
            s.a_n[w, i] = wn
            s.a_f[w, i] = wf
            s.v_n[w, i] = un - wp.cross(w_spin, vn) - wp.cross(w_speed, vf)
            s.v_f[w, i] = uf - wp.cross(w_spin, vf)
            load = an + wp.cross(spin, vn) + wp.cross(speed, vf)
            s.w_n[w, i] = load - torque[w, i] - wp.cross(arm, push)
            s.w_f[w, i] = af + wp.cross(spin, vf) - push
            # minus w x* I A, A x* I w, u x* I v, v x* I u, and what the force gains on its way
            gained = wp.cross(push, w_spin)
            if held == 1:
                gained = zero
            s.x_n[w, i] = (
                -wp.cross(w_spin, an)
                - wp.cross(w_speed, af)
                - wp.cross(spin_gain, wn)
                - wp.cross(speed_gain, wf)
                - wp.cross(u_spin, vn)
                - wp.cross(u_speed, vf)
                - wp.cross(spin, un)
                - wp.cross(speed, uf)
                - wp.cross(reach, gained)
            )
            s.x_f[w, i] = (
                -wp.cross(w_spin, af) - wp.cross(spin_gain, wf) - wp.cross(u_spin, vf) - wp.cross(spin, uf) - gained
            )
            force_adj[w, i] = -sign * (w_speed + wp.cross(w_spin, arm))
            torque_adj[w, i] = -sign * w_spin
            # phi is linear in the ten numbers: pairs of motions at the link's origin, in its axes
            back = wp.transpose(turn)
            a1 = back * w_spin
            a2 = back * spin_gain
            a3 = back * u_spin
            a4 = back * spin
            b1 = back * (w_speed + wp.cross(w_spin, reach))
            b2 = back * (speed_gain + wp.cross(spin_gain, reach))
            b3 = back * (u_speed + wp.cross(u_spin, reach))
            b4 = back * (speed + wp.cross(spin, reach))
            inertial_adj[w, i, 0] = sign * (wp.dot(b1, b2) + wp.dot(b3, b4))
            h_adj = wp.cross(b2, a1) + wp.cross(b1, a2) + wp.cross(b4, a3) + wp.cross(b3, a4)
            both = wp.outer(a1, a2) + wp.outer(a3, a4)
            for n in range(3):
                inertial_adj[w, i, 1 + n] = sign * h_adj[n]
                inertial_adj[w, i, 4 + n] = sign * both[n, n]
            inertial_adj[w, i, 7] = sign * (both[0, 1] + both[1, 0])
            inertial_adj[w, i, 8] = sign * (both[0, 2] + both[2, 0])
            inertial_adj[w, i, 9] = sign * (both[1, 2] + both[2, 1])
        gather(trees, w, t, sign, q, v, acceleration, rates, 1, m, s, q_adj, v_adj)
        fallen = zero
        for i in range(first, last):
            if trees.parent[i] < 0:
                fallen = fallen - s.a_f[w, i]
            for k in range(trees.v_start[i], trees.v_start[i + 1]):
                acceleration_adj[w, k] = sign * (
                    wp.dot(m.axis_spin[w, k], s.a_n[w, i])
                    + wp.dot(m.axis_speed[w, k], s.a_f[w, i])
                    + easing[w, k] * rates[w, k]
                )
                easing_adj[w, k] = sign * rates[w, k] * acceleration[w, k]
        return sign * fallen

    @wp.func
    def carry_back(
        trees: Trees,
        w: int,
        t: int,
        q: wp.array2d(dtype=real),
        v: wp.array2d(dtype=real),
        place_adj: wp.array2d(dtype=vec3),
        turn_adj: wp.array2d(dtype=quat),
        velocity_adj: wp.array2d(dtype=vec3),
        omega_adj: wp.array2d(dtype=vec3),
        m: Motion,
        s: Swept,
        q_adj: wp.array2d(dtype=real),
        v_adj: wp.array2d(dtype=real),
    ):
        zero = vec3(real(0.0), real(0.0), real(0.0))
        for i in range(trees.first[t], trees.first[t + 1]):
            reach = m.reach[w, i]
            r = m.turn[w, i]
            g = turn_adj[w, i]
            velocity = velocity_adj[w, i]
            back = g * wp.quat_inverse(r)  # the quaternion moves by half of a small rotation before it
            pushed = place_adj[w, i] + wp.cross(velocity, m.spin[w, i])
            s.v_n[w, i] = omega_adj[w, i] + wp.cross(reach, velocity)
            s.v_f[w, i] = velocity
            s.w_n[w, i] = zero
            s.w_f[w, i] = zero
            s.a_n[w, i] = zero
            s.a_f[w, i] = zero
            s.x_n[w, i] = wp.cross(reach, pushed) + real(0.5) * vec3(back[0], back[1], back[2])
            s.x_f[w, i] = pushed
        gather(
            trees, w, t, real(1.0), q, v, v, v, 0, m, s, q_adj, v_adj
        )  # fmt: skip

    return SimpleNamespace(Swept=Swept, differentiate=differentiate, carry_back=carry_back, **vars(tree))
