# SPDX-License-Identifier: Apache-2.0
"""Warp kernels that kick trees of joints by all forces of a tick, contact, limits and dry friction among them, and the
adjoint by the implicit function theorem (kernels_touch has the functions).
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_robots import robot_kernels
from simenv.physics.bodies.kernels_touch import STILL, touch_functions
from simenv.physics.bodies.kernels_tree_adjoint import tree_adjoint_functions

__all__ = ["settle_kernels"]


@built_once
def settle_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the kernels `kick` and `kick_adjoint`, `see_room`, which sets a bit of the status where there was
        no room for all contacts, and the structs of `touch_functions`.
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
    def joints_act(
        dt: real,
        limits: Limits,
        w: int,
        q: wp.array2d(dtype=real),
        dry: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        after: wp.array2d(dtype=real),
    ) -> int:
        # whether limits or dry friction do anything at rates
        for k in range(before.shape[1]):
            pulled = of_joint(dt, limits, w, k, q, dry[w, k], before[w, k], after[w, k])
            if pulled[1] > real(0.0) or pulled[0] != real(0.0):
                return 1
        return 0

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
        motion: Motion,
        articulated: Articulated,
        swept: Swept,
        spare: Spare,
        s: Touch,
    ):
        w = wp.tid()
        nv = v_in.shape[1]
        for t in range(trees.first.shape[0] - 1):
            move(trees, w, t, q_in, v_in, motion)
            accelerate(
                trees, w, t, tau_in, easing_in, gravity_in[w], force_in, torque_in, 1, at_in, inertial_in, motion,
                articulated, spare.acceleration,
            )  # fmt: skip
        for k in range(nv):
            spare.v[w, k] = v_in[w, k] + dt * spare.acceleration[w, k]
        found = gather(
            trees, w, contacts, link_of, room, width, dt, gap_in, normal_in, point_in, position_in, velocity_in,
            omega_in, held_in, law_in, motion, s,
        )  # fmt: skip
        s.sizes[w, 1] = 0
        if found > 0 or joints_act(dt, limits, w, q_in, dry_in, v_in, spare.v) == 1:
            assemble(trees, w, nv, inertial_in, easing_in, motion, s)
            s.sizes[w, 1] = settle(
                w, nv, width, dt, limits, q_in, dry_in, v_in, spare.v, s
            )
            for k in range(nv):
                v_out[w, k] = s.v[w, k]
        else:
            for k in range(nv):
                v_out[w, k] = spare.v[w, k]

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
        v_out: wp.array2d(dtype=real),
        v_out_adj: wp.array2d(dtype=real),
        q_adj: wp.array2d(dtype=real),
        v_adj: wp.array2d(dtype=real),
        tau_adj: wp.array2d(dtype=real),
        easing_adj: wp.array2d(dtype=real),
        gravity_adj: wp.array(dtype=vec3),
        force_adj: wp.array2d(dtype=vec3),
        torque_adj: wp.array2d(dtype=vec3),
        at_adj: wp.array2d(dtype=vec3),
        inertial_adj: wp.array3d(dtype=real),
        gap_adj: wp.array2d(dtype=real),
        normal_adj: wp.array2d(dtype=vec3),
        point_adj: wp.array2d(dtype=vec3),
        position_adj: wp.array2d(dtype=vec3),
        velocity_adj: wp.array2d(dtype=vec3),
        omega_adj: wp.array2d(dtype=vec3),
        held_adj: wp.array2d(dtype=vec3),
        law_adj: wp.array2d(dtype=vec5),
        dry_adj: wp.array2d(dtype=real),
        impulse_adj: wp.array2d(dtype=vec3),
        held_after_adj: wp.array2d(dtype=vec3),
        motion: Motion,
        articulated: Articulated,
        swept: Swept,
        spare: Spare,
        s: Touch,
    ):
        # The residual is ID(q, v, (v' - v) / dt) + easing (v' - v) / dt - tau - J^T impulse / dt. What it does by the
        # impulses' own dependences is left to `feel`, which is told the adjoints of these here.
        w = wp.tid()
        nv = v_in.shape[1]
        zero = vec3(real(0.0), real(0.0), real(0.0))
        for t in range(trees.first.shape[0] - 1):
            move(trees, w, t, q_in, v_in, motion)
        for k in range(nv):
            spare.acceleration[w, k] = (v_out[w, k] - v_in[w, k]) / dt
            spare.a[w, k] = dt * v_out_adj[w, k]
        found = gather(
            trees, w, contacts, link_of, room, width, dt, gap_in, normal_in, point_in, position_in, velocity_in,
            omega_in, held_in, law_in, motion, s,
        )  # fmt: skip
        if found > 0 or joints_act(dt, limits, w, q_in, dry_in, v_in, v_out) == 1:
            assemble(trees, w, nv, inertial_in, easing_in, motion, s)
            unsettle(
                w, nv, width, dt, limits, q_in, dry_in, v_in, v_in, v_out, spare.a, s, spare.rates,
            )  # fmt: skip
        else:
            for t in range(trees.first.shape[0] - 1):
                accelerate(
                    trees, w, t, tau_in, easing_in, gravity_in[w], force_in, torque_in, 1, at_in, inertial_in, motion,
                    articulated, spare.acceleration,
                )  # fmt: skip
                unload(trees, w, t, spare.a, motion, articulated, spare.rates)
        # contact pushes links as well, at points in the world
        for i in range(force_in.shape[1]):
            spare.velocity[w, i] = force_in[w, i]
            spare.omega[w, i] = torque_in[w, i]
        for c in range(contacts.a.shape[0]):
            impulse_adj[w, c] = zero
            held_after_adj[w, c] = zero
            if gap_in[w, c] < far:
                push = impulse_in[w, c] / dt
                a = link_of[contacts.a[c]]
                b = link_of[contacts.b[c]]
                if a >= 0:
                    spare.velocity[w, a] = spare.velocity[w, a] + push
                    spare.omega[w, a] = spare.omega[w, a] + wp.cross(point_in[w, c] - at_in[w, a], push)
                if b >= 0:
                    spare.velocity[w, b] = spare.velocity[w, b] - push
                    spare.omega[w, b] = spare.omega[w, b] - wp.cross(point_in[w, c] - at_in[w, b], push)
        fallen = zero
        for t in range(trees.first.shape[0] - 1):
            first = trees.first[t]
            last = trees.first[t + 1]
            fallen = fallen + differentiate(
                trees, w, t, real(-1.0), q_in, v_in, spare.acceleration, spare.rates, gravity_in[w], spare.velocity,
                spare.omega, 1, at_in, inertial_in, easing_in, motion, swept, spare.q, spare.v, spare.a, spare.force,
                spare.torque, spare.inertial, spare.easing,
            )  # fmt: skip
            for i in range(first, last):
                force_adj[w, i] = force_adj[w, i] + spare.force[w, i]
                torque_adj[w, i] = torque_adj[w, i] + spare.torque[w, i]
                at_adj[w, i] = at_adj[w, i] + wp.cross(force_in[w, i], spare.torque[w, i])
                for n in range(10):
                    inertial_adj[w, i, n] = inertial_adj[w, i, n] + spare.inertial[w, i, n]
        gravity_adj[w] = gravity_adj[w] + fallen
        for c in range(contacts.a.shape[0]):
            if gap_in[w, c] < far:
                p = point_in[w, c]
                told = zero
                turning = zero
                a = link_of[contacts.a[c]]
                b = link_of[contacts.b[c]]
                if a >= 0:
                    told = told + virtual_velocity(trees, w, a, p, motion, swept)
                    turning = turning + swept.w_spin[w, a]
                if b >= 0:
                    told = told - virtual_velocity(trees, w, b, p, motion, swept)
                    turning = turning - swept.w_spin[w, b]
                impulse_adj[w, c] = told / dt
                point_adj[w, c] = point_adj[w, c] + wp.cross(impulse_in[w, c], turning) / dt
        for a in range(q_in.shape[1]):
            q_adj[w, a] = q_adj[w, a] + spare.q[w, a]
        for k in range(nv):
            through = -spare.a[w, k] / dt  # the acceleration's adjoint, by the rates before
            drawn = spare.rates[w, k] / dt
            at = limits.position[k]
            if at >= 0:
                stiff = limits.stiffest[k]
                low = normal_partials(
                    dt, q_in[w, at] - limits.lower[k], v_in[w, k], v_out[w, k], stiff, dt * stiff, real(0.0)
                )  # fmt: skip
                high = normal_partials(
                    dt, limits.upper[k] - q_in[w, at], -v_in[w, k], -v_out[w, k], stiff, dt * stiff, real(0.0)
                )  # fmt: skip
                q_adj[w, at] = q_adj[w, at] + drawn * (low[0] + high[0])
                through = through + drawn * (low[1] + high[1])
            v_adj[w, k] = v_adj[w, k] + spare.v[w, k] + through
            tau_adj[w, k] = tau_adj[w, k] + spare.rates[w, k]
            easing_adj[w, k] = easing_adj[w, k] + spare.easing[w, k]
            slip = wp.clamp(v_out[w, k] / still, real(-1.0), real(1.0))
            dry_adj[w, k] = dry_adj[w, k] - drawn * dt * slip

    @wp.kernel(**forward)
    def see_room(bit: int, s: Touch, status_inout: wp.array(dtype=int)):
        w = wp.tid()
        if s.sizes[w, 2] == 1:
            wp.atomic_or(status_inout, w, bit)

    return SimpleNamespace(
        kick=kick, kick_adjoint=kick_adjoint, see_room=see_room, Touch=Touch, Limits=Limits, Contacts=Contacts,
        Spare=Spare, Swept=Swept, Motion=Motion, Articulated=Articulated,
    )  # fmt: skip
