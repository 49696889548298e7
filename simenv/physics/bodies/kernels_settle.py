# SPDX-License-Identifier: Apache-2.0
"""Warp kernels that kick trees of joints by all forces of a tick, contact, limits and dry friction among them
(kernels_touch has the functions, kernels_unsettle the adjoint).
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_burden import burden_functions
from simenv.physics.bodies.kernels_robots import robot_kernels
from simenv.physics.bodies.kernels_tools import tool_kernels
from simenv.physics.bodies.kernels_touch import touch_functions
from simenv.physics.bodies.kernels_tree_adjoint import tree_adjoint_functions
from simenv.physics.bodies.kernels_yield import yield_functions

__all__ = ["settle_kernels"]


@built_once
def settle_kernels(real, answers: bool = False) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`; `answers` says whether any pusher does, else `lends`
    and `lent` are not read.

    Returns:
        A namespace with the kernels `kick`, a thread of which has a block of worlds, and `see_failures`, which sets
        bits of the status where there was no room for all contacts or no solution was found, and the structs of
        `touch_functions`.
    """
    touch, back, robots = touch_functions(real), tree_adjoint_functions(real), robot_kernels(real)
    Trees, Motion, Articulated, Swept, Spare = touch.Trees, touch.Motion, touch.Articulated, back.Swept, robots.Spare
    Space, Bounds, Contacts, vec3, vec10 = touch.Space, touch.Bounds, touch.hit.Contacts, touch.vec3, touch.vec10
    move, accelerate, Factor = touch.move, touch.accelerate, touch.Factor
    gather_loops = touch.gather_loops
    clear, copy_row, ahead = touch.dense.clear, touch.dense.copy_row, touch.dense.ahead
    Rows, weigh, see_touched = robots.Rows, touch.weigh, touch.see_touched
    gather, assemble, settle, see_active = touch.gather, touch.assemble, touch.settle, touch.see_active
    tools_of, Tools = yield_functions(real), tool_kernels(real).Tools
    harden, slow, see_spent = tools_of.harden, tools_of.slow, tools_of.see_spent
    lent = burden_functions(real)
    carry, lend_any, mat66 = lent.carry, lent.lend_any, lent.mat66
    kind = "settle_answers" if answers else "settle"
    forward = {"module": f"simenv_bodies_{kind}_{real.__name__}", "enable_backward": False}

    @wp.func
    def show(
        trees: Trees, rows: Rows, w: int, v: wp.array2d(dtype=real), m: Motion, a: Articulated,
        velocity: wp.array2d(dtype=vec3), omega: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        # velocities of frames at other rates than those of the motion
        for i in range(trees.parent.shape[0]):
            up = trees.parent[i]
            spin = vec3(real(0.0), real(0.0), real(0.0))
            speed = vec3(real(0.0), real(0.0), real(0.0))
            if up >= 0:
                spin = a.gain_spin[w, up]
                speed = a.gain_speed[w, up]
            for k in range(trees.v_start[i], trees.v_start[i + 1]):
                spin = spin + v[w, k] * m.axis_spin[w, k]
                speed = speed + v[w, k] * m.axis_speed[w, k]
            a.gain_spin[w, i] = spin
            a.gain_speed[w, i] = speed
        for r in range(rows.row.shape[0]):
            i = rows.link[r]
            spin = a.gain_spin[w, i]
            at = m.reach[w, i] + wp.quat_rotate(m.turn[w, i], rows.place[r])
            velocity[w, rows.row[r]] = a.gain_speed[w, i] + wp.cross(spin, at)
            omega[w, rows.row[r]] = spin

    @wp.kernel(**forward)
    def kick(
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
        impulse_in: wp.array2d(dtype=vec3),  # read in the reverse sweep only, after these have been written
        moment_in: wp.array2d(dtype=vec3),
        held_after_in: wp.array2d(dtype=vec3),
        closing_after_in: wp.array2d(dtype=real),
        loop_pull_in: wp.array2d(dtype=vec3),
        loop_twist_in: wp.array2d(dtype=vec3),
        v_out: wp.array2d(dtype=real),
        spent_out: wp.array2d(dtype=real),
        factor_out: Factor,
        motion_out: Motion,
        articulated_out: Articulated,
        swept_out: Swept,
        spare_out: Spare,
        touch_out: Space,
        velocity_out: wp.array2d(dtype=vec3),
        omega_out: wp.array2d(dtype=vec3),
    ):
        nv = v_in.shape[1]
        from_world = wp.tid() * block
        for w in range(from_world, wp.min(from_world + block, v_in.shape[0])):
            if moved == 0:
                for t in range(trees.first.shape[0] - 1):
                    move(trees, w, t, q_in, v_in, motion_out)
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
            see_touched(w, nv, limits, width, touch_out)
            clear(w, nv, spare_out.acceleration)
            for t in range(trees.first.shape[0] - 1):
                start = trees.v_start[trees.first[t]]
                end = trees.v_start[trees.first[t + 1]]
                touched = int(0)
                if pulled + lending == 0 and touch_out[0].sizes[w, 0] > 0:
                    for k in range(start, end):
                        touched = wp.max(touched, touch_out[0].active[w, k])
                if touched == 1:  # all of it is solved for
                    weigh(
                        trees, w, t, dt, tau_in, gravity_in[w], force_in, torque_in, at_in, inertial_in, motion_out,
                        articulated_out, touch_out,
                    )  # fmt: skip
                else:
                    accelerate(
                        trees, w, t, tau_in, easing_in, gravity_in[w], force_in, torque_in, 1, at_in, inertial_in,
                        motion_out, articulated_out, factor_out, spare_out.acceleration,
                    )  # fmt: skip
            if pulled > 0:
                for k in range(nv):
                    spent_out[w, k] = real(0.0)
            more = int(1)
            while more == 1:  # again where motors of impedances would give more than they can
                ahead(w, nv, dt, v_in, spare_out.acceleration, spare_out.v)
                touch_out[0].sizes[w, 1] = 0
                active = int(0)
                if pulled + lending > 0:
                    assemble(trees, w, nv, inertial_in, easing_in, motion_out, touch_out)
                if wp.static(answers):
                    if lending > 0:
                        carry(
                            trees, lends, w, nv, dt, lent_in, at_in, v_in, spare_out.acceleration, motion_out,
                            touch_out, spare_out.v,
                        )  # fmt: skip
                        see_touched(w, nv, limits, width, touch_out)
                if pulled > 0:
                    harden(trees, tools, w, nv, hard_in, spent_out, pull_in, soft_in, touch_out)
                    slow(trees, tools, w, nv, hard_in, spent_out, v_in, touch_out, spare_out.v)
                    see_touched(w, nv, limits, width, touch_out)
                    active = see_active(
                        trees, w, dt, limits, width, q_in, dry_in, touch_out[0].pull, touch_out[0].soft, v_in,
                        spare_out.v, touch_out,
                    )  # fmt: skip
                else:
                    active = see_active(
                        trees, w, dt, limits, width, q_in, dry_in, pull_in, soft_in, v_in, spare_out.v, touch_out
                    )
                    if active == 1 and lending == 0:
                        assemble(trees, w, nv, inertial_in, easing_in, motion_out, touch_out)
                if active == 1:
                    touch_out[0].sizes[w, 1] = settle(
                        w, nv, width, dt, limits, q_in, dry_in, v_in, spare_out.v, touch_out
                    )
                    copy_row(w, nv, touch_out[0].v, v_out)
                else:
                    copy_row(w, nv, spare_out.v, v_out)
                more = 0
                if pulled > 0:
                    more = see_spent(
                        trees, tools, w, dt, limits, hard_in, pull_in, soft_in, v_in, v_out, touch_out, spent_out
                    )  # fmt: skip
            if shown == 1:
                show(trees, rows, w, v_out, motion_out, articulated_out, velocity_out, omega_out)

    @wp.kernel(**forward)
    def see_failures(no_room: int, unconverged: int, touch_in: Space, status_inout: wp.array(dtype=int)):
        w = wp.tid()
        if touch_in[0].sizes[w, 2] == 1:
            wp.atomic_or(status_inout, w, no_room)
        if touch_in[0].sizes[w, 4] == 1:
            wp.atomic_or(status_inout, w, unconverged)

    return SimpleNamespace(
        kick=kick, see_failures=see_failures, Touch=touch.Touch, Limits=touch.Limits, Contacts=Contacts, Tools=Tools,
        Spare=Spare, Swept=Swept, Motion=Motion, Articulated=Articulated, Factor=Factor,
    )  # fmt: skip
