# SPDX-License-Identifier: Apache-2.0
"""Warp kernels that kick trees of joints by all forces of a tick, contact, limits and dry friction among them, and the
adjoint by the implicit function theorem (kernels_touch has the functions).
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_equations import STILL
from simenv.physics.bodies.kernels_robots import robot_kernels
from simenv.physics.bodies.kernels_touch import touch_functions
from simenv.physics.bodies.kernels_tree_adjoint import tree_adjoint_functions

__all__ = ["settle_kernels"]


@built_once
def settle_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the kernels `kick` and `kick_adjoint`, `see_failures`, which sets bits of the status where
        there was no room for all contacts or no solution was found, and the structs of `touch_functions`.
    """
    touch, back, robots = touch_functions(real), tree_adjoint_functions(real), robot_kernels(real)
    Trees, Motion, Articulated, Swept, Spare = touch.Trees, touch.Motion, touch.Articulated, back.Swept, robots.Spare
    Touch, Limits, Contacts, vec3, vec5 = touch.Touch, touch.Limits, touch.hit.Contacts, touch.vec3, touch.vec5
    move, accelerate, unload, differentiate = touch.move, touch.accelerate, touch.unload, back.differentiate
    gather, assemble, settle, unsettle = touch.gather, touch.assemble, touch.settle, touch.unsettle
    of_joint, normal_partials, far = touch.of_joint, touch.normal_partials, touch.hit.far
    forward = {"module": f"simenv_bodies_settle_{real.__name__}", "enable_backward": False}
    reverse = {"module": f"simenv_bodies_unsettle_{real.__name__}", "enable_backward": False}
    still = wp.constant(real(STILL))

    @wp.func
    def see_active(
        trees: Trees,
        w: int,
        dt: real,
        limits: Limits,
        width: int,
        q: wp.array2d(dtype=real),
        dry: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        after: wp.array2d(dtype=real),
        s: Touch,
    ) -> int:
        # Trees with contacts, or on which limits, dry friction or motors do anything at rates, or whose joints follow
        # others; and whether there are any. The rest move as if these were not there, bit for bit.
        any_active = int(0)
        for t in range(trees.first.shape[0] - 1):
            start = trees.v_start[trees.first[t]]
            end = trees.v_start[trees.first[t + 1]]
            active = int(0)
            for r in range(limits.follower.shape[0]):
                if limits.follower[r] >= start and limits.follower[r] < end:
                    active = 1
            for group in range(s.sizes[w, 3]):
                for e in range(group * width, group * width + s.count[w, group]):
                    if s.column[w, e] >= start and s.column[w, e] < end:
                        active = 1
            for k in range(start, end):
                pulled = of_joint(
                    dt, limits, w, k, q, dry[w, k], s.pull[w, k], s.soft[w, k], before[w, k], after[w, k]
                )  # fmt: skip
                if pulled[0] != real(0.0) or pulled[1] != real(0.0):
                    active = 1
            for k in range(start, end):
                s.active[w, k] = active
            any_active = wp.max(any_active, active)
        return any_active

    @wp.kernel(**forward)
    def kick(
        trees: Trees,
        dt: real,
        contacts: Contacts,
        limits: Limits,
        link_of: wp.array(dtype=int),
        room: int,
        width: int,
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        tau_in: wp.array2d(dtype=real),
        easing_in: wp.array2d(dtype=real),
        pull_in: wp.array2d(dtype=real),
        soft_in: wp.array2d(dtype=real),
        gravity_in: wp.array(dtype=vec3),
        force_in: wp.array2d(dtype=vec3),
        torque_in: wp.array2d(dtype=vec3),
        at_in: wp.array2d(dtype=vec3),
        inertial_in: wp.array3d(dtype=real),
        gap_in: wp.array2d(dtype=real),
        normal_in: wp.array2d(dtype=vec3),
        point_in: wp.array2d(dtype=vec3),
        position_in: wp.array2d(dtype=vec3),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        held_in: wp.array2d(dtype=vec3),
        law_in: wp.array2d(dtype=vec5),
        dry_in: wp.array2d(dtype=real),
        impulse_in: wp.array2d(dtype=vec3),  # read in the reverse sweep only, after `feel` has written both
        held_after_in: wp.array2d(dtype=vec3),
        v_out: wp.array2d(dtype=real),
        motion_out: Motion,
        articulated_out: Articulated,
        swept_out: Swept,
        spare_out: Spare,
        touch_out: Touch,
    ):
        w = wp.tid()
        nv = v_in.shape[1]
        for k in range(nv):
            touch_out.pull[w, k] = pull_in[w, k]
            touch_out.soft[w, k] = soft_in[w, k]
        for t in range(trees.first.shape[0] - 1):
            move(trees, w, t, q_in, v_in, motion_out)
            accelerate(
                trees, w, t, tau_in, easing_in, gravity_in[w], force_in, torque_in, 1, at_in, inertial_in, motion_out,
                articulated_out, spare_out.acceleration,
            )  # fmt: skip
        for k in range(nv):
            spare_out.v[w, k] = v_in[w, k] + dt * spare_out.acceleration[w, k]
        gather(
            trees, w, contacts, link_of, room, width, dt, gap_in, normal_in, point_in, position_in, velocity_in,
            omega_in, held_in, law_in, motion_out, touch_out,
        )  # fmt: skip
        touch_out.sizes[w, 1] = 0
        if see_active(trees, w, dt, limits, width, q_in, dry_in, v_in, spare_out.v, touch_out) == 1:
            assemble(trees, w, nv, inertial_in, easing_in, motion_out, touch_out)
            touch_out.sizes[w, 1] = settle(w, nv, width, dt, limits, q_in, dry_in, v_in, spare_out.v, touch_out)
            for k in range(nv):
                v_out[w, k] = touch_out.v[w, k]
        else:
            for k in range(nv):
                v_out[w, k] = spare_out.v[w, k]

    @wp.func
    def virtual_velocity(trees: Trees, w: int, link: int, p: vec3, m: Motion, s: Swept) -> vec3:
        t = int(0)
        while trees.first[t + 1] <= link:
            t += 1
        return s.w_speed[w, link] + wp.cross(s.w_spin[w, link], p - m.place[w, trees.first[t]])

    @wp.kernel(**reverse)
    def kick_adjoint(
        trees: Trees,
        dt: real,
        contacts: Contacts,
        limits: Limits,
        link_of: wp.array(dtype=int),
        room: int,
        width: int,
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        tau_in: wp.array2d(dtype=real),
        easing_in: wp.array2d(dtype=real),
        pull_in: wp.array2d(dtype=real),
        soft_in: wp.array2d(dtype=real),
        gravity_in: wp.array(dtype=vec3),
        force_in: wp.array2d(dtype=vec3),
        torque_in: wp.array2d(dtype=vec3),
        at_in: wp.array2d(dtype=vec3),
        inertial_in: wp.array3d(dtype=real),
        gap_in: wp.array2d(dtype=real),
        normal_in: wp.array2d(dtype=vec3),
        point_in: wp.array2d(dtype=vec3),
        position_in: wp.array2d(dtype=vec3),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        held_in: wp.array2d(dtype=vec3),
        law_in: wp.array2d(dtype=vec5),
        dry_in: wp.array2d(dtype=real),
        impulse_in: wp.array2d(dtype=vec3),
        held_after_in: wp.array2d(dtype=vec3),
        after_in: wp.array2d(dtype=real),
        adj_after_in: wp.array2d(dtype=real),
        adj_q_inout: wp.array2d(dtype=real),
        adj_v_inout: wp.array2d(dtype=real),
        adj_tau_inout: wp.array2d(dtype=real),
        adj_easing_inout: wp.array2d(dtype=real),
        adj_pull_inout: wp.array2d(dtype=real),
        adj_soft_inout: wp.array2d(dtype=real),
        adj_gravity_inout: wp.array(dtype=vec3),
        adj_force_inout: wp.array2d(dtype=vec3),
        adj_torque_inout: wp.array2d(dtype=vec3),
        adj_at_inout: wp.array2d(dtype=vec3),
        adj_inertial_inout: wp.array3d(dtype=real),
        adj_gap_inout: wp.array2d(dtype=real),
        adj_normal_inout: wp.array2d(dtype=vec3),
        adj_point_inout: wp.array2d(dtype=vec3),
        adj_position_inout: wp.array2d(dtype=vec3),
        adj_velocity_inout: wp.array2d(dtype=vec3),
        adj_omega_inout: wp.array2d(dtype=vec3),
        adj_held_inout: wp.array2d(dtype=vec3),
        adj_law_inout: wp.array2d(dtype=vec5),
        adj_dry_inout: wp.array2d(dtype=real),
        adj_impulse_inout: wp.array2d(dtype=vec3),
        adj_held_after_inout: wp.array2d(dtype=vec3),
        motion_out: Motion,
        articulated_out: Articulated,
        swept_out: Swept,
        spare_out: Spare,
        touch_out: Touch,
    ):
        # The residual is ID(q, v, (v' - v) / dt) + easing (v' - v) / dt - tau - J^T impulse / dt. What it does by the
        # impulses' own dependences is left to `feel`, which is told the adjoints of these here.
        w = wp.tid()
        nv = v_in.shape[1]
        for k in range(nv):
            touch_out.pull[w, k] = pull_in[w, k]
            touch_out.soft[w, k] = soft_in[w, k]
        zero = vec3(real(0.0), real(0.0), real(0.0))
        for t in range(trees.first.shape[0] - 1):
            move(trees, w, t, q_in, v_in, motion_out)
        for k in range(nv):
            spare_out.acceleration[w, k] = (after_in[w, k] - v_in[w, k]) / dt
            spare_out.a[w, k] = dt * adj_after_in[w, k]
        gather(
            trees, w, contacts, link_of, room, width, dt, gap_in, normal_in, point_in, position_in, velocity_in,
            omega_in, held_in, law_in, motion_out, touch_out,
        )  # fmt: skip
        if see_active(trees, w, dt, limits, width, q_in, dry_in, v_in, after_in, touch_out) == 1:
            assemble(trees, w, nv, inertial_in, easing_in, motion_out, touch_out)
            unsettle(
                w, nv, width, dt, limits, q_in, dry_in, v_in, v_in, after_in, spare_out.a, touch_out, spare_out.rates
            )  # fmt: skip
        for t in range(trees.first.shape[0] - 1):
            if touch_out.active[w, trees.v_start[trees.first[t]]] == 0:
                accelerate(
                    trees, w, t, tau_in, easing_in, gravity_in[w], force_in, torque_in, 1, at_in, inertial_in,
                    motion_out, articulated_out, spare_out.acceleration,
                )  # fmt: skip
                unload(trees, w, t, spare_out.a, motion_out, articulated_out, spare_out.rates)
        # contact pushes links as well, at points in the world: all forces and torques, where velocities have their
        # place
        for i in range(force_in.shape[1]):
            spare_out.velocity[w, i] = force_in[w, i]
            spare_out.omega[w, i] = torque_in[w, i]
        for c in range(contacts.a.shape[0]):
            adj_impulse_inout[w, c] = zero
            adj_held_after_inout[w, c] = zero
            if gap_in[w, c] < far:
                push = impulse_in[w, c] / dt
                a = link_of[contacts.a[c]]
                b = link_of[contacts.b[c]]
                if a >= 0:
                    spare_out.velocity[w, a] = spare_out.velocity[w, a] + push
                    spare_out.omega[w, a] = spare_out.omega[w, a] + wp.cross(point_in[w, c] - at_in[w, a], push)
                if b >= 0:
                    spare_out.velocity[w, b] = spare_out.velocity[w, b] - push
                    spare_out.omega[w, b] = spare_out.omega[w, b] - wp.cross(point_in[w, c] - at_in[w, b], push)
        fallen = zero
        for t in range(trees.first.shape[0] - 1):
            first = trees.first[t]
            last = trees.first[t + 1]
            fallen = fallen + differentiate(
                trees, w, t, real(-1.0), q_in, v_in, spare_out.acceleration, spare_out.rates, gravity_in[w],
                spare_out.velocity, spare_out.omega, 1, at_in, inertial_in, easing_in, motion_out, swept_out,
                spare_out.q, spare_out.v, spare_out.a, spare_out.force, spare_out.torque, spare_out.inertial,
                spare_out.easing,
            )  # fmt: skip
            for i in range(first, last):
                adj_force_inout[w, i] = adj_force_inout[w, i] + spare_out.force[w, i]
                adj_torque_inout[w, i] = adj_torque_inout[w, i] + spare_out.torque[w, i]
                adj_at_inout[w, i] = adj_at_inout[w, i] + wp.cross(force_in[w, i], spare_out.torque[w, i])
                for n in range(10):
                    adj_inertial_inout[w, i, n] = adj_inertial_inout[w, i, n] + spare_out.inertial[w, i, n]
        adj_gravity_inout[w] = adj_gravity_inout[w] + fallen
        for c in range(contacts.a.shape[0]):
            if gap_in[w, c] < far:
                p = point_in[w, c]
                told = zero
                turning = zero
                a = link_of[contacts.a[c]]
                b = link_of[contacts.b[c]]
                if a >= 0:
                    told = told + virtual_velocity(trees, w, a, p, motion_out, swept_out)
                    turning = turning + swept_out.w_spin[w, a]
                if b >= 0:
                    told = told - virtual_velocity(trees, w, b, p, motion_out, swept_out)
                    turning = turning - swept_out.w_spin[w, b]
                adj_impulse_inout[w, c] = told / dt
                adj_point_inout[w, c] = adj_point_inout[w, c] + wp.cross(impulse_in[w, c], turning) / dt
        for a in range(q_in.shape[1]):
            adj_q_inout[w, a] = adj_q_inout[w, a] + spare_out.q[w, a]
        for k in range(nv):
            through = -spare_out.a[w, k] / dt  # the acceleration'touch_out adjoint, by the rates before
            drawn = spare_out.rates[w, k] / dt
            at = limits.position[k]
            if at >= 0:
                stiff = limits.stiffest[k]
                low = normal_partials(
                    dt, q_in[w, at] - limits.lower[k], v_in[w, k], after_in[w, k], stiff, dt * stiff, real(0.0)
                )  # fmt: skip
                high = normal_partials(
                    dt, limits.upper[k] - q_in[w, at], -v_in[w, k], -after_in[w, k], stiff, dt * stiff, real(0.0)
                )  # fmt: skip
                adj_q_inout[w, at] = adj_q_inout[w, at] + drawn * (low[0] + high[0])
                through = through + drawn * (low[1] + high[1])
            wanted = dt * pull_in[w, k] - soft_in[w, k] * (after_in[w, k] - v_in[w, k])
            if wp.abs(wanted) > dt * limits.effort[k]:
                adj_pull_inout[w, k] = adj_pull_inout[w, k] - drawn * dt
                adj_soft_inout[w, k] = adj_soft_inout[w, k] + drawn * (after_in[w, k] - v_in[w, k])
                through = through - drawn * soft_in[w, k]
            adj_v_inout[w, k] = adj_v_inout[w, k] + spare_out.v[w, k] + through
            adj_tau_inout[w, k] = adj_tau_inout[w, k] + spare_out.rates[w, k]
            adj_easing_inout[w, k] = adj_easing_inout[w, k] + spare_out.easing[w, k]
            slip = wp.clamp(after_in[w, k] / still, real(-1.0), real(1.0))
            adj_dry_inout[w, k] = adj_dry_inout[w, k] - drawn * dt * slip

        for r in range(limits.follower.shape[0]):
            drawn = spare_out.rates[w, limits.follower[r]] - limits.ratio[r] * spare_out.rates[w, limits.leader[r]]
            held = -limits.hold[r] * drawn
            a = limits.follower_at[r]
            b = limits.leader_at[r]
            adj_q_inout[w, a] = adj_q_inout[w, a] + held
            adj_q_inout[w, b] = adj_q_inout[w, b] - limits.ratio[r] * held

    @wp.kernel(**forward)
    def see_failures(no_room: int, unconverged: int, touch_in: Touch, status_inout: wp.array(dtype=int)):
        w = wp.tid()
        if touch_in.sizes[w, 2] == 1:
            wp.atomic_or(status_inout, w, no_room)
        if touch_in.sizes[w, 4] == 1:
            wp.atomic_or(status_inout, w, unconverged)

    return SimpleNamespace(
        kick=kick, kick_adjoint=kick_adjoint, see_failures=see_failures, Touch=Touch, Limits=Limits, Contacts=Contacts,
        Spare=Spare, Swept=Swept, Motion=Motion, Articulated=Articulated,
    )  # fmt: skip
