# SPDX-License-Identifier: Apache-2.0
"""Warp kernel of the adjoint of a kick (kernels_settle), by the implicit function theorem."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_burden import burden_functions
from simenv.physics.bodies.kernels_equations import STILL
from simenv.physics.bodies.kernels_push import push_functions
from simenv.physics.bodies.kernels_robots import robot_kernels
from simenv.physics.bodies.kernels_tools import tool_kernels
from simenv.physics.bodies.kernels_touch import touch_functions
from simenv.physics.bodies.kernels_tree_adjoint import tree_adjoint_functions
from simenv.physics.bodies.kernels_yield import yield_functions

__all__ = ["unsettle_kernels"]


@built_once
def unsettle_kernels(real, answers: bool = False) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`, with pushers that answer or without.

    Returns:
        A namespace with the kernel `kick_adjoint`.
    """
    touch, back, robots = touch_functions(real), tree_adjoint_functions(real), robot_kernels(real)
    Trees, Motion, Articulated, Swept, Spare = touch.Trees, touch.Motion, touch.Articulated, back.Swept, robots.Spare
    Space, Bounds, Contacts, vec3, vec10 = touch.Space, touch.Bounds, touch.hit.Contacts, touch.vec3, touch.vec10
    move, unload, differentiate, Factor = touch.move, touch.unload, back.differentiate, touch.Factor
    gather_loops = touch.gather_loops
    Rows, see_touched, unfollow = robots.Rows, touch.see_touched, touch.unfollow
    gather, assemble, unsettle, see_active = touch.gather, touch.assemble, touch.unsettle, touch.see_active
    tools_of, Tools = yield_functions(real), tool_kernels(real).Tools
    harden, resist = tools_of.harden, tools_of.resist
    lent, push = burden_functions(real), push_functions(real)
    lend_any, burden, rouse, burden_back, mat66 = lent.lend_any, lent.burden, lent.rouse, lent.burden_back, lent.mat66
    virtual_velocity, push_both, end_of = push.virtual_velocity, push.push_both, push.end_of
    normal_partials, far = touch.normal_partials, touch.hit.far
    kind = "unsettle_answers" if answers else "unsettle"
    reverse = {"module": f"simenv_bodies_{kind}_{real.__name__}", "enable_backward": False}
    still = wp.constant(real(STILL))

    @wp.kernel(**reverse)
    def kick_adjoint(
        block: int,
        trees: Trees,
        rows: Rows,
        dt: real,
        contacts: Contacts,
        limits: Bounds,
        tools: Tools,
        lends: wp.array(dtype=int),
        link_of: wp.array(dtype=int),
        room: int,
        width: int,
        moved: int,
        shown: int,
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        tau_in: wp.array2d(dtype=real),
        easing_in: wp.array2d(dtype=real),
        pull_in: wp.array2d(dtype=real),
        soft_in: wp.array2d(dtype=real),
        hard_in: wp.array2d(dtype=real),
        gravity_in: wp.array(dtype=vec3),
        force_in: wp.array2d(dtype=vec3),
        torque_in: wp.array2d(dtype=vec3),
        at_in: wp.array2d(dtype=vec3),
        lent_in: wp.array2d(dtype=mat66),
        inertial_in: wp.array3d(dtype=real),
        gap_in: wp.array2d(dtype=real),
        normal_in: wp.array2d(dtype=vec3),
        point_in: wp.array2d(dtype=vec3),
        position_in: wp.array2d(dtype=vec3),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        held_in: wp.array2d(dtype=vec3),
        closing_in: wp.array2d(dtype=real),
        law_in: wp.array2d(dtype=vec10),
        dry_in: wp.array2d(dtype=real),
        apart_in: wp.array2d(dtype=vec3),
        askew_in: wp.array2d(dtype=vec3),
        middle_in: wp.array2d(dtype=vec3),
        impulse_in: wp.array2d(dtype=vec3),
        moment_in: wp.array2d(dtype=vec3),
        held_after_in: wp.array2d(dtype=vec3),
        closing_after_in: wp.array2d(dtype=real),
        loop_pull_in: wp.array2d(dtype=vec3),
        loop_twist_in: wp.array2d(dtype=vec3),
        after_in: wp.array2d(dtype=real),
        spent_in: wp.array2d(dtype=real),
        adj_after_in: wp.array2d(dtype=real),
        adj_spent_in: wp.array2d(dtype=real),
        adj_q_inout: wp.array2d(dtype=real),
        adj_v_inout: wp.array2d(dtype=real),
        adj_tau_inout: wp.array2d(dtype=real),
        adj_easing_inout: wp.array2d(dtype=real),
        adj_pull_inout: wp.array2d(dtype=real),
        adj_soft_inout: wp.array2d(dtype=real),
        adj_hard_inout: wp.array2d(dtype=real),
        adj_gravity_inout: wp.array(dtype=vec3),
        adj_force_inout: wp.array2d(dtype=vec3),
        adj_torque_inout: wp.array2d(dtype=vec3),
        adj_at_inout: wp.array2d(dtype=vec3),
        adj_lent_inout: wp.array2d(dtype=mat66),
        adj_inertial_inout: wp.array3d(dtype=real),
        adj_gap_inout: wp.array2d(dtype=real),
        adj_normal_inout: wp.array2d(dtype=vec3),
        adj_point_inout: wp.array2d(dtype=vec3),
        adj_position_inout: wp.array2d(dtype=vec3),
        adj_velocity_inout: wp.array2d(dtype=vec3),
        adj_omega_inout: wp.array2d(dtype=vec3),
        adj_held_inout: wp.array2d(dtype=vec3),
        adj_closing_inout: wp.array2d(dtype=real),
        adj_law_inout: wp.array2d(dtype=vec10),
        adj_dry_inout: wp.array2d(dtype=real),
        adj_apart_inout: wp.array2d(dtype=vec3),
        adj_askew_inout: wp.array2d(dtype=vec3),
        adj_middle_inout: wp.array2d(dtype=vec3),
        adj_impulse_inout: wp.array2d(dtype=vec3),
        adj_moment_inout: wp.array2d(dtype=vec3),
        adj_held_after_inout: wp.array2d(dtype=vec3),
        adj_closing_after_inout: wp.array2d(dtype=real),
        adj_loop_pull_inout: wp.array2d(dtype=vec3),
        adj_loop_twist_inout: wp.array2d(dtype=vec3),
        factor_inout: Factor,
        motion_out: Motion,
        articulated_out: Articulated,
        swept_out: Swept,
        spare_out: Spare,
        touch_out: Space,
        velocity_out: wp.array2d(dtype=vec3),
        omega_out: wp.array2d(dtype=vec3),
    ):
        # The residual is ID(q, v, (v' - v) / dt) + (easing + S + J^T Z J) (v' - v) / dt - tau - J^T impulse / dt. What
        # it does by the impulses' own dependences is left to `feel`, which is told the adjoints of these here.
        nv = v_in.shape[1]
        zero = vec3(real(0.0), real(0.0), real(0.0))
        start = wp.tid() * block
        for w in range(start, wp.min(start + block, v_in.shape[0])):
            for t in range(trees.first.shape[0] - 1):
                move(trees, w, t, q_in, v_in, motion_out)
            for k in range(nv):
                spare_out.acceleration[w, k] = (after_in[w, k] - v_in[w, k]) / dt
                spare_out.a[w, k] = dt * adj_after_in[w, k]
            gather(
                trees, w, contacts, link_of, room, width, dt, gap_in, normal_in, point_in, position_in, velocity_in,
                omega_in, held_in, closing_in, law_in, motion_out, touch_out,
            )  # fmt: skip
            gather_loops(
                trees, w, limits, link_of, width, middle_in, position_in, velocity_in, omega_in, apart_in, askew_in,
                motion_out, touch_out,
            )  # fmt: skip
            pulled = tools.link.shape[0]
            lending = int(0)
            if wp.static(answers):
                lending = lend_any(lends, w, 0, lends.shape[0], lent_in)
            active = int(0)
            see_touched(w, nv, limits, width, touch_out)
            if pulled + lending > 0:
                assemble(trees, w, nv, inertial_in, easing_in, motion_out, touch_out)
            if wp.static(answers):
                if lending > 0:
                    burden(trees, lends, w, nv, lent_in, at_in, motion_out, touch_out)
            if pulled > 0:
                harden(trees, tools, w, nv, hard_in, spent_in, pull_in, soft_in, touch_out)
                active = see_active(
                    trees, w, dt, limits, width, q_in, dry_in, touch_out[0].pull, touch_out[0].soft, v_in, after_in,
                    touch_out,
                )  # fmt: skip
                for t in range(trees.first.shape[0] - 1):
                    if tools.block[t] >= 0:
                        for k in range(trees.v_start[trees.first[t]], trees.v_start[trees.first[t + 1]]):
                            touch_out[0].active[w, k] = 1
                            active = 1
            else:
                active = see_active(
                    trees, w, dt, limits, width, q_in, dry_in, pull_in, soft_in, v_in, after_in, touch_out
                )
                if active == 1 and lending == 0:
                    assemble(trees, w, nv, inertial_in, easing_in, motion_out, touch_out)
                if wp.static(answers):
                    if lending > 0:
                        rouse(trees, lends, w, lent_in, pull_in, soft_in, touch_out)
            if wp.static(answers):
                if pulled > 0 and lending > 0:
                    rouse(trees, lends, w, lent_in, touch_out[0].pull, touch_out[0].soft, touch_out)
            if active == 1 or lending > 0:
                unsettle(
                    w, nv, width, dt, limits, q_in, dry_in, v_in, v_in, after_in, spare_out.a, touch_out,
                    spare_out.rates,
                )  # fmt: skip
            for t in range(trees.first.shape[0] - 1):
                if touch_out[0].active[w, trees.v_start[trees.first[t]]] == 0:
                    unload(trees, w, t, spare_out.a, motion_out, factor_inout, articulated_out, spare_out.rates)
            # contact pushes links as well, at points in the world: all forces and torques, where velocities have their
            # place
            for i in range(force_in.shape[1]):
                spare_out.velocity[w, i] = force_in[w, i]
                spare_out.omega[w, i] = torque_in[w, i]
            for c in range(contacts.a.shape[0]):
                adj_impulse_inout[w, c] = zero
                adj_moment_inout[w, c] = zero
                adj_held_after_inout[w, c] = zero
                adj_closing_after_inout[w, c] = real(0.0)
                if gap_in[w, c] < far:
                    push = impulse_in[w, c] / dt
                    turn = moment_in[w, c] / dt
                    a = link_of[contacts.a[c]]
                    b = link_of[contacts.b[c]]
                    push_both(w, a, b, push, turn, point_in[w, c], at_in, spare_out)
            for r in range(limits[0].loop_hold.shape[0]):
                push = loop_pull_in[w, r] / dt
                turn = loop_twist_in[w, r] / dt
                a = link_of[limits[0].loop_a[r]]
                b = end_of(link_of, limits[0].loop_b[r])
                push_both(w, a, b, push, turn, middle_in[w, r], at_in, spare_out)
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
                if wp.static(answers):
                    burden_back(
                        trees, lends, w, t, q_in, lent_in, at_in, motion_out, swept_out, spare_out, touch_out,
                        adj_q_inout, adj_at_inout, adj_lent_inout,
                    )  # fmt: skip
                if tools.block[t] >= 0:
                    begin = trees.v_start[first]
                    size = trees.v_start[last] - begin
                    for k in range(begin, begin + size):
                        taken = resist(trees, tools, w, t, k, hard_in, spent_in, spare_out.rates)
                        spare_out.a[w, k] = spare_out.a[w, k] - taken
                        for j in range(begin, begin + size):
                            if spent_in[w, k] == real(0.0) and spent_in[w, j] == real(0.0):
                                cell = tools.block[t] + (k - begin) * size + j - begin
                                both = spare_out.rates[w, k] * spare_out.acceleration[w, j]
                                adj_hard_inout[w, cell] = adj_hard_inout[w, cell] - both
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
                    adj_moment_inout[w, c] = turning / dt
                    adj_point_inout[w, c] = adj_point_inout[w, c] + wp.cross(impulse_in[w, c], turning) / dt
            for r in range(limits[0].loop_hold.shape[0]):
                p = middle_in[w, r]
                told = zero
                turning = zero
                a = link_of[limits[0].loop_a[r]]
                b = end_of(link_of, limits[0].loop_b[r])
                if a >= 0:
                    told = virtual_velocity(trees, w, a, p, motion_out, swept_out)
                    turning = swept_out.w_spin[w, a]
                if b >= 0:
                    told = told - virtual_velocity(trees, w, b, p, motion_out, swept_out)
                    turning = turning - swept_out.w_spin[w, b]
                adj_loop_pull_inout[w, r] = told / dt
                adj_loop_twist_inout[w, r] = turning / dt
                adj_middle_inout[w, r] = adj_middle_inout[w, r] + wp.cross(loop_pull_in[w, r], turning) / dt
            for a in range(q_in.shape[1]):
                adj_q_inout[w, a] = adj_q_inout[w, a] + spare_out.q[w, a]
            for k in range(nv):
                through = -spare_out.a[w, k] / dt  # the acceleration's adjoint, by the rates before
                drawn = spare_out.rates[w, k] / dt
                at = limits[0].position[k]
                if at >= 0:
                    stiff = limits[0].stiffest[k]
                    low = normal_partials(
                        dt, q_in[w, at] - limits[0].lower[k], v_in[w, k], after_in[w, k], stiff, dt * stiff
                    )  # fmt: skip
                    high = normal_partials(
                        dt, limits[0].upper[k] - q_in[w, at], -v_in[w, k], -after_in[w, k], stiff, dt * stiff
                    )  # fmt: skip
                    adj_q_inout[w, at] = adj_q_inout[w, at] + drawn * (low[0] + high[0])
                    through = through + drawn * (low[1] + high[1])
                wanted = dt * pull_in[w, k] - soft_in[w, k] * (after_in[w, k] - v_in[w, k])
                # motors of impedances that can give what is asked have all of it in S and tau
                if wp.abs(wanted) > dt * limits[0].effort[k] and (
                    tools.is_motor[k] == 0 or spent_in[w, k] != real(0.0)
                ):
                    adj_pull_inout[w, k] = adj_pull_inout[w, k] - drawn * dt
                    adj_soft_inout[w, k] = adj_soft_inout[w, k] + drawn * (after_in[w, k] - v_in[w, k])
                    through = through - drawn * soft_in[w, k]
                adj_v_inout[w, k] = adj_v_inout[w, k] + spare_out.v[w, k] + through
                adj_tau_inout[w, k] = adj_tau_inout[w, k] + spare_out.rates[w, k]
                adj_easing_inout[w, k] = adj_easing_inout[w, k] + spare_out.easing[w, k]
                slip = wp.clamp(after_in[w, k] / still, real(-1.0), real(1.0))
                adj_dry_inout[w, k] = adj_dry_inout[w, k] - drawn * dt * slip
            unfollow(w, limits, spare_out.rates, adj_q_inout)

    return SimpleNamespace(kick_adjoint=kick_adjoint, Swept=Swept)
