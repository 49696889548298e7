# SPDX-License-Identifier: Apache-2.0
"""Warp kernel of what Coriolis', centrifugal and gyroscopic forces gain by the rates of the middle of a tick, with its
adjoint by hand.

A kick takes them, h(q, v), at the rates before it. With the rates that it would give, v', torques of
h(q, v) - h(q, (v + v') / 2) more make it one of the midpoint rule, which is of second order.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_robots import robot_kernels
from simenv.physics.bodies.kernels_tree_adjoint import tree_adjoint_functions

__all__ = ["midpoint_kernels"]


@built_once
def midpoint_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the kernel `correct`, a thread of which has a block of worlds, and its reverse
        `correct_adjoint`.
    """
    robots, back = robot_kernels(real), tree_adjoint_functions(real)
    Trees, Motion, Swept, Spare, move = robots.Trees, robots.Motion, robots.Swept, robots.Spare, robots.move
    first_moment, second_moment, vec3 = robots.first_moment, robots.second_moment, robots.vec3
    matrix_of, differentiate = robots.matrix_of, back.differentiate
    once = {"module": f"simenv_bodies_midpoint_{real.__name__}", "enable_backward": False}

    @wp.func
    def add_bias(
        trees: Trees, w: int, t: int, sign: real, inertial: wp.array3d(dtype=real), m: Motion, s: Swept,
        tau: wp.array2d(dtype=real),
    ):  # fmt: skip
        # `sign` times the torques that the motion takes at constant rates, without weight
        first = trees.first[t]
        last = trees.first[t + 1]
        for i in range(first, last):
            up = trees.parent[i]
            spin_gain = m.drift_spin[w, i]
            speed_gain = m.drift_speed[w, i]
            if up >= 0:
                spin_gain = spin_gain + s.gain_spin[w, up]
                speed_gain = speed_gain + s.gain_speed[w, up]
            s.gain_spin[w, i] = spin_gain
            s.gain_speed[w, i] = speed_gain
            turn = matrix_of(m.turn[w, i])
            spin = m.spin[w, i]
            speed = m.speed[w, i]
            mass = inertial[w, i, 0]
            h = first_moment(inertial, w, i, turn, m.reach[w, i])
            about = second_moment(inertial, w, i, turn, m.reach[w, i])
            n = about * spin + wp.cross(h, speed)
            f = mass * speed - wp.cross(h, spin)
            s.w_n[w, i] = about * spin_gain + wp.cross(h, speed_gain) + wp.cross(spin, n) + wp.cross(speed, f)
            s.w_f[w, i] = mass * speed_gain - wp.cross(h, spin_gain) + wp.cross(spin, f)
        for backward in range(last - first):
            i = last - 1 - backward
            up = trees.parent[i]
            n = s.w_n[w, i]
            f = s.w_f[w, i]
            for k in range(trees.v_start[i], trees.v_start[i + 1]):
                tau[w, k] = tau[w, k] + sign * (wp.dot(m.axis_spin[w, k], n) + wp.dot(m.axis_speed[w, k], f))
            if up >= 0:
                s.w_n[w, up] = s.w_n[w, up] + n
                s.w_f[w, up] = s.w_f[w, up] + f

    @wp.kernel(**once)
    def correct(
        block: int,
        trees: Trees,
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        ahead_in: wp.array2d(dtype=real),
        tau_in: wp.array2d(dtype=real),
        inertial_in: wp.array3d(dtype=real),
        tau_out: wp.array2d(dtype=real),
        motion_out: Motion,
        swept_out: Swept,
        spare_out: Spare,
    ):
        start = wp.tid() * block
        for w in range(start, wp.min(start + block, v_in.shape[0])):
            for k in range(v_in.shape[1]):
                tau_out[w, k] = tau_in[w, k]
                spare_out.a[w, k] = real(0.5) * (v_in[w, k] + ahead_in[w, k])
            for t in range(trees.first.shape[0] - 1):
                move(trees, w, t, q_in, v_in, motion_out)
                add_bias(trees, w, t, real(1.0), inertial_in, motion_out, swept_out, tau_out)
                move(trees, w, t, q_in, spare_out.a, motion_out)
                add_bias(trees, w, t, real(-1.0), inertial_in, motion_out, swept_out, tau_out)

    @wp.func
    def undo_bias(
        trees: Trees,
        w: int,
        t: int,
        sign: real,
        q: wp.array2d(dtype=real),
        v: wp.array2d(dtype=real),
        seen: wp.array2d(dtype=real),
        inertial: wp.array3d(dtype=real),
        m: Motion,
        s: Swept,
        x: Spare,
        q_adj: wp.array2d(dtype=real),
        inertial_adj: wp.array3d(dtype=real),
    ):
        # the adjoint of `add_bias` with that of tau in `seen`; that of v is left in the spare rates
        zero = vec3(real(0.0), real(0.0), real(0.0))
        first = trees.first[t]
        last = trees.first[t + 1]
        move(trees, w, t, q, v, m)
        differentiate(
            trees, w, t, sign, q, v, x.acceleration, seen, zero, x.velocity, x.omega, 0, x.place, inertial, x.rates, m,
            s, x.q, x.v, x.easing, x.force, x.torque, x.inertial, x.easing,
        )  # fmt: skip
        for a in range(trees.q_start[first], trees.q_start[last]):
            q_adj[w, a] = q_adj[w, a] + x.q[w, a]
        for i in range(first, last):
            for n in range(10):
                inertial_adj[w, i, n] = inertial_adj[w, i, n] + x.inertial[w, i, n]

    @wp.kernel(**once)
    def correct_adjoint(
        block: int,
        trees: Trees,
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        ahead_in: wp.array2d(dtype=real),
        tau_in: wp.array2d(dtype=real),
        inertial_in: wp.array3d(dtype=real),
        corrected_in: wp.array2d(dtype=real),
        adj_corrected_in: wp.array2d(dtype=real),
        adj_q_inout: wp.array2d(dtype=real),
        adj_v_inout: wp.array2d(dtype=real),
        adj_ahead_inout: wp.array2d(dtype=real),
        adj_tau_inout: wp.array2d(dtype=real),
        adj_inertial_inout: wp.array3d(dtype=real),
        motion_out: Motion,
        swept_out: Swept,
        spare_out: Spare,
    ):
        zero = vec3(real(0.0), real(0.0), real(0.0))
        start = wp.tid() * block
        for w in range(start, wp.min(start + block, v_in.shape[0])):
            for k in range(v_in.shape[1]):
                adj_tau_inout[w, k] = adj_tau_inout[w, k] + adj_corrected_in[w, k]
                spare_out.a[w, k] = real(0.5) * (v_in[w, k] + ahead_in[w, k])
                spare_out.acceleration[w, k] = real(0.0)
                spare_out.rates[w, k] = real(0.0)
            for i in range(inertial_in.shape[1]):
                spare_out.velocity[w, i] = zero
                spare_out.omega[w, i] = zero
            for t in range(trees.first.shape[0] - 1):
                begin = trees.v_start[trees.first[t]]
                end = trees.v_start[trees.first[t + 1]]
                undo_bias(
                    trees, w, t, real(1.0), q_in, v_in, adj_corrected_in, inertial_in, motion_out, swept_out, spare_out,
                    adj_q_inout, adj_inertial_inout,
                )  # fmt: skip
                for k in range(begin, end):
                    adj_v_inout[w, k] = adj_v_inout[w, k] + spare_out.v[w, k]
                undo_bias(
                    trees, w, t, real(-1.0), q_in, spare_out.a, adj_corrected_in, inertial_in, motion_out, swept_out,
                    spare_out, adj_q_inout, adj_inertial_inout,
                )  # fmt: skip
                for k in range(begin, end):
                    half = real(0.5) * spare_out.v[w, k]
                    adj_v_inout[w, k] = adj_v_inout[w, k] + half
                    adj_ahead_inout[w, k] = adj_ahead_inout[w, k] + half

    return SimpleNamespace(correct=correct, correct_adjoint=correct_adjoint)
