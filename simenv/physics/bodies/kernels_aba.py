# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of the forward dynamics of trees of joints, by the articulated-body algorithm (Featherstone 2008,
chapter 7), one thread a tree and world.

A joint of several rates is eliminated one rate after the other, as if links without extent lay between: each step is
a rank-one update, so that no matrix is inverted. What adds to the diagonal of the joint-space inertia, as motors'
inertia, damping and stiff drives that are taken implicitly do, is `easing`.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_tree import tree_functions

__all__ = ["aba_functions", "aba_kernels"]


@built_once
def aba_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the structs `Articulated` (inertia of what hangs on a link, in blocks: `about` to moment by
        rotation, `mixed`, `heavy` to force by motion; the load without acceleration; of rates `rest`, the torque that
        is left; `gain_*`, links' accelerations) and `Factor` (of rates: `pull_*`, the force that one of acceleration
        takes, and the `inverse` of its part along the axis; all of the inertia that a solve with it needs), and the
        functions of one tree of one world, after `move`,

        * `accelerate(trees, w, t, tau, easing, gravity, force, torque, held, at, inertial, motion, articulated, factor,
          acceleration)`: torques are about the links' origins, or, if `held` is 1, about places `at` in the world;
        * `unload(trees, w, t, rhs, motion, factor, articulated, x)`: x = M^-1 rhs, after that, of which it needs the
          factor only.
    """
    tree = tree_functions(real)
    Trees, Motion, vec3, mat33 = tree.Trees, tree.Motion, tree.vec3, tree.mat33
    first_moment, second_moment = tree.first_moment, tree.second_moment
    matrix_of = tree.matrix_of

    @wp.struct
    class Articulated:
        about: wp.array2d(dtype=mat33)
        mixed: wp.array2d(dtype=mat33)
        heavy: wp.array2d(dtype=mat33)
        load_moment: wp.array2d(dtype=vec3)
        load_force: wp.array2d(dtype=vec3)
        rest: wp.array2d(dtype=real)
        gain_spin: wp.array2d(dtype=vec3)
        gain_speed: wp.array2d(dtype=vec3)

    @wp.struct
    class Factor:
        pull_moment: wp.array2d(dtype=vec3)
        pull_force: wp.array2d(dtype=vec3)
        inverse: wp.array2d(dtype=real)

    @wp.func
    def skew(x: vec3) -> mat33:
        zero = real(0.0)
        return mat33(zero, -x[2], x[1], x[2], zero, -x[0], -x[1], x[0], zero)

    @wp.func
    def enter(
        trees: Trees,
        w: int,
        t: int,
        force: wp.array2d(dtype=vec3),
        torque: wp.array2d(dtype=vec3),
        held: int,
        at: wp.array2d(dtype=vec3),
        inertial: wp.array3d(dtype=real),
        m: Motion,
        a: Articulated,
    ):
        # every link by itself
        for i in range(trees.first[t], trees.first[t + 1]):
            turn = matrix_of(m.turn[w, i])
            reach = m.reach[w, i]
            spin = m.spin[w, i]
            speed = m.speed[w, i]
            mass = inertial[w, i, 0]
            h = first_moment(inertial, w, i, turn, reach)
            about = second_moment(inertial, w, i, turn, reach)
            n = about * spin + wp.cross(h, speed)
            f = mass * speed - wp.cross(h, spin)
            a.about[w, i] = about
            a.mixed[w, i] = skew(h)
            a.heavy[w, i] = wp.diag(vec3(mass, mass, mass))
            arm = reach
            if held == 1:
                arm = at[w, i] - m.place[w, trees.first[t]]
            a.load_moment[w, i] = wp.cross(spin, n) + wp.cross(speed, f) - torque[w, i] - wp.cross(arm, force[w, i])
            a.load_force[w, i] = wp.cross(spin, f) - force[w, i]

    @wp.func
    def eliminate(
        trees: Trees,
        w: int,
        t: int,
        tau: wp.array2d(dtype=real),
        easing: wp.array2d(dtype=real),
        m: Motion,
        a: Articulated,
        factor: Factor,
    ):
        # from the tips to the root
        first = trees.first[t]
        count = trees.first[t + 1] - first
        for back in range(count):
            i = first + count - 1 - back
            about = a.about[w, i]
            mixed = a.mixed[w, i]
            heavy = a.heavy[w, i]
            n = a.load_moment[w, i]
            f = a.load_force[w, i]
            start = trees.v_start[i]
            rates = trees.v_start[i + 1] - start
            for back_rate in range(rates):
                k = start + rates - 1 - back_rate
                spin = m.axis_spin[w, k]
                speed = m.axis_speed[w, k]
                pull_n = about * spin + mixed * speed
                pull_f = spin * mixed + heavy * speed
                inverse = real(1.0) / (wp.dot(spin, pull_n) + wp.dot(speed, pull_f) + easing[w, k])
                rest = tau[w, k] - wp.dot(spin, n) - wp.dot(speed, f)
                factor.pull_moment[w, k] = pull_n
                factor.pull_force[w, k] = pull_f
                factor.inverse[w, k] = inverse
                a.rest[w, k] = rest
                part_n = inverse * pull_n
                part_f = inverse * pull_f
                about = about - wp.outer(part_n, pull_n)
                mixed = mixed - wp.outer(part_n, pull_f)
                heavy = heavy - wp.outer(part_f, pull_f)
                n = n + rest * part_n
                f = f + rest * part_f
            up = trees.parent[i]
            if up >= 0:
                spin = m.drift_spin[w, i]
                speed = m.drift_speed[w, i]
                a.about[w, up] = a.about[w, up] + about
                a.mixed[w, up] = a.mixed[w, up] + mixed
                a.heavy[w, up] = a.heavy[w, up] + heavy
                a.load_moment[w, up] = a.load_moment[w, up] + n + about * spin + mixed * speed
                a.load_force[w, up] = a.load_force[w, up] + f + spin * mixed + heavy * speed

    @wp.func
    def accelerate(
        trees: Trees,
        w: int,
        t: int,
        tau: wp.array2d(dtype=real),
        easing: wp.array2d(dtype=real),
        gravity: vec3,
        force: wp.array2d(dtype=vec3),
        torque: wp.array2d(dtype=vec3),
        held: int,
        at: wp.array2d(dtype=vec3),
        inertial: wp.array3d(dtype=real),
        m: Motion,
        a: Articulated,
        factor: Factor,
        acceleration: wp.array2d(dtype=real),
    ):
        enter(trees, w, t, force, torque, held, at, inertial, m, a)
        eliminate(trees, w, t, tau, easing, m, a, factor)
        for i in range(trees.first[t], trees.first[t + 1]):
            up = trees.parent[i]
            spin = m.drift_spin[w, i]
            speed = m.drift_speed[w, i]
            if up >= 0:
                spin = spin + a.gain_spin[w, up]
                speed = speed + a.gain_speed[w, up]
            else:
                speed = speed - gravity
            for k in range(trees.v_start[i], trees.v_start[i + 1]):
                pulled = wp.dot(factor.pull_moment[w, k], spin) + wp.dot(factor.pull_force[w, k], speed)
                gain = (a.rest[w, k] - pulled) * factor.inverse[w, k]
                acceleration[w, k] = gain
                spin = spin + gain * m.axis_spin[w, k]
                speed = speed + gain * m.axis_speed[w, k]
            a.gain_spin[w, i] = spin
            a.gain_speed[w, i] = speed

    @wp.func
    def unload(
        trees: Trees,
        w: int,
        t: int,
        rhs: wp.array2d(dtype=real),
        m: Motion,
        factor: Factor,
        a: Articulated,
        x: wp.array2d(dtype=real),
    ):
        # the sweeps of forward dynamics again, at rest and without weight, with the inertia that they left
        first = trees.first[t]
        count = trees.first[t + 1] - first
        zero = vec3(real(0.0), real(0.0), real(0.0))
        for i in range(first, first + count):
            a.load_moment[w, i] = zero
            a.load_force[w, i] = zero
        for back in range(count):
            i = first + count - 1 - back
            n = a.load_moment[w, i]
            f = a.load_force[w, i]
            start = trees.v_start[i]
            rates = trees.v_start[i + 1] - start
            for back_rate in range(rates):
                k = start + rates - 1 - back_rate
                rest = rhs[w, k] - wp.dot(m.axis_spin[w, k], n) - wp.dot(m.axis_speed[w, k], f)
                a.rest[w, k] = rest
                part = rest * factor.inverse[w, k]
                n = n + part * factor.pull_moment[w, k]
                f = f + part * factor.pull_force[w, k]
            up = trees.parent[i]
            if up >= 0:
                a.load_moment[w, up] = a.load_moment[w, up] + n
                a.load_force[w, up] = a.load_force[w, up] + f
        for i in range(first, first + count):
            up = trees.parent[i]
            spin = zero
            speed = zero
            if up >= 0:
                spin = a.gain_spin[w, up]
                speed = a.gain_speed[w, up]
            for k in range(trees.v_start[i], trees.v_start[i + 1]):
                pulled = wp.dot(factor.pull_moment[w, k], spin)
                pulled = pulled + wp.dot(factor.pull_force[w, k], speed)
                found = (a.rest[w, k] - pulled) * factor.inverse[w, k]
                x[w, k] = found
                spin = spin + found * m.axis_spin[w, k]
                speed = speed + found * m.axis_speed[w, k]
            a.gain_spin[w, i] = spin
            a.gain_speed[w, i] = speed

    return SimpleNamespace(Articulated=Articulated, Factor=Factor, accelerate=accelerate, unload=unload, **vars(tree))


@built_once
def aba_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type.

    Returns:
        A namespace with `forward_dynamics(trees, q, v, tau, easing, gravity, force, torque, inertial, motion,
        articulated, factor, acceleration)`, and `solve(trees, rhs, motion, factor, articulated, x)`: x = M^-1 rhs,
        after that.
    """
    aba = aba_functions(real)
    Trees, Motion, Articulated, Factor, move, vec3 = (
        aba.Trees,
        aba.Motion,
        aba.Articulated,
        aba.Factor,
        aba.move,
        aba.vec3,
    )
    accelerate, unload = aba.accelerate, aba.unload
    options = {"module": f"simenv_bodies_aba_{real.__name__}", "enable_backward": False}

    @wp.kernel(**options)
    def forward_dynamics(
        trees: Trees,
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        tau_in: wp.array2d(dtype=real),
        easing_in: wp.array2d(dtype=real),
        gravity_in: wp.array(dtype=vec3),
        force_in: wp.array2d(dtype=vec3),
        torque_in: wp.array2d(dtype=vec3),
        inertial_in: wp.array3d(dtype=real),
        motion_out: Motion,
        articulated_out: Articulated,
        factor_out: Factor,
        acceleration_out: wp.array2d(dtype=real),
    ):
        w, t = wp.tid()
        move(trees, w, t, q_in, v_in, motion_out)
        accelerate(
            trees, w, t, tau_in, easing_in, gravity_in[w], force_in, torque_in, 0, motion_out.place,
            inertial_in, motion_out, articulated_out, factor_out, acceleration_out,
        )  # fmt: skip

    @wp.kernel(**options)
    def solve(
        trees: Trees,
        rhs_in: wp.array2d(dtype=real),
        motion_in: Motion,
        factor_in: Factor,
        articulated_out: Articulated,
        x_out: wp.array2d(dtype=real),
    ):
        w, t = wp.tid()
        unload(trees, w, t, rhs_in, motion_in, factor_in, articulated_out, x_out)

    return SimpleNamespace(forward_dynamics=forward_dynamics, solve=solve, **vars(aba))
