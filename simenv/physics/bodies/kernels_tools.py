# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of impedances of links, with their adjoints: where a link is and how motors move it, and the force that
pulls it (kernels_tool_torques has what motors make of that).

Arrays have the world N first, then impedances T, or their motors M. `pull_tool` has a generated adjoint, `reach` and
`weigh` those written here.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_robots import robot_kernels
from simenv.physics.bodies.kernels_tree_adjoint import tree_adjoint_functions

__all__ = ["tool_kernels"]


@built_once
def tool_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the struct `Tools` (what `ToolSet` has) and the kernels `reach`, `pull_tool` and `weigh`, and
        with `_adjoint` the reverses of the first and the last.
    """
    robots, back = robot_kernels(real), tree_adjoint_functions(real)
    Trees, Motion, Swept, Spare, move = robots.Trees, robots.Motion, robots.Swept, robots.Spare, robots.move
    vec3, quat, mat33, unit = robots.vec3, robots.quat, robots.mat33, robots.unit
    carry_back, differentiate = back.carry_back, back.differentiate
    first_moment = robots.first_moment
    both = {"module": f"simenv_bodies_tool_{real.__name__}", "enable_backward": True}
    once = {"module": f"simenv_bodies_tools_{real.__name__}", "enable_backward": False}

    @wp.struct
    class Tools:
        tree: wp.array(dtype=int)
        link: wp.array(dtype=int)
        place: wp.array(dtype=vec3)
        turn: wp.array(dtype=quat)
        first: wp.array(dtype=int)
        motor: wp.array(dtype=int)
        path_first: wp.array(dtype=int)
        path_rate: wp.array(dtype=int)
        path_motor: wp.array(dtype=int)
        path_ratio: wp.array(dtype=real)
        motor_of: wp.array(dtype=int)
        ratio_of: wp.array(dtype=real)
        is_motor: wp.array(dtype=int)
        borne: wp.array(dtype=int)
        block: wp.array(dtype=int)
        nulled: wp.array(dtype=int)

    @wp.kernel(**once)
    def reach(
        trees: Trees,
        tools: Tools,
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        place_out: wp.array2d(dtype=vec3),
        turn_out: wp.array2d(dtype=quat),
        velocity_out: wp.array2d(dtype=vec3),
        omega_out: wp.array2d(dtype=vec3),
        spin_out: wp.array2d(dtype=vec3),
        speed_out: wp.array2d(dtype=vec3),
        motion_out: Motion,
        swept_out: Swept,
        spare_out: Spare,
    ):
        # pose and motion of each link, and the motion that one of every motor's rate gives it
        w = wp.tid()
        zero = vec3(real(0.0), real(0.0), real(0.0))
        for n in range(tools.link.shape[0]):
            move(trees, w, tools.tree[n], q_in, v_in, motion_out)
            i = tools.link[n]
            arm = wp.quat_rotate(motion_out.turn[w, i], tools.place[n])
            far = motion_out.reach[w, i] + arm
            place_out[w, n] = motion_out.place[w, i] + arm
            turn_out[w, n] = motion_out.turn[w, i] * tools.turn[n]
            velocity_out[w, n] = motion_out.speed[w, i] + wp.cross(motion_out.spin[w, i], far)
            omega_out[w, n] = motion_out.spin[w, i]
            for m in range(tools.first[n], tools.first[n + 1]):
                spin_out[w, m] = zero
                speed_out[w, m] = zero
            for c in range(tools.path_first[n], tools.path_first[n + 1]):
                m = tools.path_motor[c]
                if m >= 0:
                    axis = tools.path_ratio[c] * motion_out.axis_spin[w, tools.path_rate[c]]
                    along = tools.path_ratio[c] * motion_out.axis_speed[w, tools.path_rate[c]]
                    spin_out[w, m] = spin_out[w, m] + axis
                    speed_out[w, m] = speed_out[w, m] + along + wp.cross(axis, far)

    @wp.func
    def back_from(
        trees: Trees,
        w: int,
        t: int,
        i: int,
        local: vec3,
        on: quat,
        q: wp.array2d(dtype=real),
        v: wp.array2d(dtype=real),
        place_adj: vec3,
        turn_adj: quat,
        velocity_adj: vec3,
        omega_adj: vec3,
        m: Motion,
        s: Swept,
        x: Spare,
        v_counts: int,
        q_adj: wp.array2d(dtype=real),
        v_adj: wp.array2d(dtype=real),
    ):
        # the adjoints of a frame on a link, with the motion at rates v, added to those of q, and of v if these count
        zero = vec3(real(0.0), real(0.0), real(0.0))
        first = trees.first[t]
        last = trees.first[t + 1]
        for j in range(first, last):
            x.place[w, j] = zero
            x.velocity[w, j] = zero
            x.omega[w, j] = zero
            x.turn[w, j] = quat(real(0.0), real(0.0), real(0.0), real(0.0))
        turn = m.turn[w, i]
        arm = wp.quat_rotate(turn, local)
        x.place[w, i] = place_adj
        x.velocity[w, i] = velocity_adj
        x.omega[w, i] = omega_adj + wp.cross(arm, velocity_adj)
        pushed = wp.cross(arm, place_adj + wp.cross(velocity_adj, m.spin[w, i]))
        half = quat(real(2.0) * pushed[0], real(2.0) * pushed[1], real(2.0) * pushed[2], real(0.0)) * turn
        x.turn[w, i] = turn_adj * wp.quat_inverse(on) + half
        carry_back(trees, w, t, q, v, x.place, x.turn, x.velocity, x.omega, m, s, x.q, x.v)
        for a in range(trees.q_start[first], trees.q_start[last]):
            q_adj[w, a] = q_adj[w, a] + x.q[w, a]
        if v_counts == 1:
            for k in range(trees.v_start[first], trees.v_start[last]):
                v_adj[w, k] = v_adj[w, k] + x.v[w, k]

    @wp.kernel(**once)
    def reach_adjoint(
        trees: Trees,
        tools: Tools,
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        place_in: wp.array2d(dtype=vec3),
        turn_in: wp.array2d(dtype=quat),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        spin_in: wp.array2d(dtype=vec3),
        speed_in: wp.array2d(dtype=vec3),
        adj_place_in: wp.array2d(dtype=vec3),
        adj_turn_in: wp.array2d(dtype=quat),
        adj_velocity_in: wp.array2d(dtype=vec3),
        adj_omega_in: wp.array2d(dtype=vec3),
        adj_spin_in: wp.array2d(dtype=vec3),
        adj_speed_in: wp.array2d(dtype=vec3),
        adj_q_inout: wp.array2d(dtype=real),
        adj_v_inout: wp.array2d(dtype=real),
        motion_out: Motion,
        swept_out: Swept,
        spare_out: Spare,
    ):
        # The motion per rate is linear in rates: its adjoint, axis by axis, is that of a velocity at rates which have
        # the adjoints of that axis
        w = wp.tid()
        zero = vec3(real(0.0), real(0.0), real(0.0))
        none = quat(real(0.0), real(0.0), real(0.0), real(0.0))
        for n in range(tools.link.shape[0]):
            t = tools.tree[n]
            i = tools.link[n]
            move(trees, w, t, q_in, v_in, motion_out)
            back_from(
                trees, w, t, i, tools.place[n], tools.turn[n], q_in, v_in, adj_place_in[w, n], adj_turn_in[w, n],
                adj_velocity_in[w, n], adj_omega_in[w, n], motion_out, swept_out, spare_out, 1, adj_q_inout,
                adj_v_inout,
            )  # fmt: skip
            for axis in range(6):
                for k in range(trees.v_start[trees.first[t]], trees.v_start[trees.first[t + 1]]):
                    spare_out.rates[w, k] = real(0.0)
                for c in range(tools.path_first[n], tools.path_first[n + 1]):
                    m = tools.path_motor[c]
                    if m >= 0:
                        found = adj_spin_in[w, m][wp.max(axis - 3, 0)]
                        if axis < 3:
                            found = adj_speed_in[w, m][axis]
                        spare_out.rates[w, tools.path_rate[c]] = tools.path_ratio[c] * found
                along = zero
                about = zero
                if axis < 3:
                    along = unit(axis)
                else:
                    about = unit(axis - 3)
                move(trees, w, t, q_in, spare_out.rates, motion_out)
                back_from(
                    trees, w, t, i, tools.place[n], tools.turn[n], q_in, spare_out.rates, zero, none, along, about,
                    motion_out, swept_out, spare_out, 0, adj_q_inout, adj_v_inout,
                )  # fmt: skip

    @wp.func
    def along_axes(turn: quat, gains: wp.array2d(dtype=real), w: int, start: int) -> mat33:
        axes = wp.quat_to_matrix(turn)
        return axes * wp.diag(vec3(gains[w, start], gains[w, start + 1], gains[w, start + 2])) * wp.transpose(axes)

    @wp.kernel(**both)
    def pull_tool(
        dt: real,
        back: wp.array(dtype=int),
        place_in: wp.array2d(dtype=vec3),
        turn_in: wp.array2d(dtype=quat),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        goal_in: wp.array2d(dtype=vec3),
        goal_turn_in: wp.array2d(dtype=quat),
        stiffness_in: wp.array2d(dtype=real),
        damping_in: wp.array2d(dtype=real),
        force_out: wp.array2d(dtype=vec3),
        torque_out: wp.array2d(dtype=vec3),
        yield_out: wp.array2d(dtype=mat33),
        yield_turn_out: wp.array2d(dtype=mat33),
    ):
        # Force and torque K (e - dt v) - D v at the velocity before the kick, and how much less they are per
        # acceleration, dt^2 K + dt D. Goals are those of `back` steps before.
        w, n = wp.tid()
        late = back[n] * place_in.shape[1] + n
        goal = wp.normalize(goal_turn_in[w, late])
        k = along_axes(goal, stiffness_in, w, 6 * n)
        k_turn = along_axes(goal, stiffness_in, w, 6 * n + 3)
        d = along_axes(goal, damping_in, w, 6 * n)
        d_turn = along_axes(goal, damping_in, w, 6 * n + 3)
        error = goal * wp.quat_inverse(turn_in[w, n])
        side = wp.where(error[3] < real(0.0), real(-2.0), real(2.0))  # the shorter way round; 2 sin(angle / 2)
        missing = side * vec3(error[0], error[1], error[2])
        v = velocity_in[w, n]
        spin = omega_in[w, n]
        force_out[w, n] = k * (goal_in[w, late] - place_in[w, n] - dt * v) - d * v
        torque_out[w, n] = k_turn * (missing - dt * spin) - d_turn * spin
        yield_out[w, n] = dt * dt * k + dt * d
        yield_turn_out[w, n] = dt * dt * k_turn + dt * d_turn

    @wp.kernel(**once)
    def weigh(
        trees: Trees,
        tools: Tools,
        q_in: wp.array2d(dtype=real),
        gravity_in: wp.array(dtype=vec3),
        inertial_in: wp.array3d(dtype=real),
        tau_out: wp.array2d(dtype=real),
        motion_out: Motion,
        swept_out: Swept,
        spare_out: Spare,
    ):
        # torques of motors that carry the weight of all links where they are
        w = wp.tid()
        for k in range(tau_out.shape[1]):
            tau_out[w, k] = real(0.0)
            spare_out.v[w, k] = real(0.0)
        g = gravity_in[w]
        for t in range(trees.first.shape[0] - 1):
            if tools.borne[t] == 1:
                move(trees, w, t, q_in, spare_out.v, motion_out)
                first = trees.first[t]
                last = trees.first[t + 1]
                for i in range(first, last):
                    turn = wp.quat_to_matrix(motion_out.turn[w, i])
                    h = first_moment(inertial_in, w, i, turn, motion_out.reach[w, i])
                    swept_out.w_n[w, i] = wp.cross(g, h)
                    swept_out.w_f[w, i] = -inertial_in[w, i, 0] * g
                for back in range(last - first):
                    i = last - 1 - back
                    up = trees.parent[i]
                    load_n = swept_out.w_n[w, i]
                    load_f = swept_out.w_f[w, i]
                    for k in range(trees.v_start[i], trees.v_start[i + 1]):
                        m = tools.motor_of[k]
                        if m >= 0:
                            load = wp.dot(motion_out.axis_spin[w, k], load_n) + wp.dot(
                                motion_out.axis_speed[w, k], load_f
                            )
                            tau_out[w, m] = tau_out[w, m] + tools.ratio_of[k] * load
                    if up >= 0:
                        swept_out.w_n[w, up] = swept_out.w_n[w, up] + load_n
                        swept_out.w_f[w, up] = swept_out.w_f[w, up] + load_f

    @wp.kernel(**once)
    def weigh_adjoint(
        trees: Trees,
        tools: Tools,
        q_in: wp.array2d(dtype=real),
        gravity_in: wp.array(dtype=vec3),
        inertial_in: wp.array3d(dtype=real),
        tau_in: wp.array2d(dtype=real),
        adj_tau_in: wp.array2d(dtype=real),
        adj_q_inout: wp.array2d(dtype=real),
        adj_gravity_inout: wp.array(dtype=vec3),
        adj_inertial_inout: wp.array3d(dtype=real),
        motion_out: Motion,
        swept_out: Swept,
        spare_out: Spare,
    ):
        w = wp.tid()
        zero = vec3(real(0.0), real(0.0), real(0.0))
        for k in range(tau_in.shape[1]):
            spare_out.acceleration[w, k] = real(0.0)
            spare_out.rates[w, k] = real(0.0)
            m = tools.motor_of[k]
            if m >= 0:
                spare_out.rates[w, k] = tools.ratio_of[k] * adj_tau_in[w, m]
        for i in range(inertial_in.shape[1]):
            spare_out.velocity[w, i] = zero
            spare_out.omega[w, i] = zero
        fallen = zero
        for t in range(trees.first.shape[0] - 1):
            if tools.borne[t] == 1:
                first = trees.first[t]
                last = trees.first[t + 1]
                move(trees, w, t, q_in, spare_out.acceleration, motion_out)
                fallen = fallen + differentiate(
                    trees, w, t, real(1.0), q_in, spare_out.acceleration, spare_out.acceleration, spare_out.rates,
                    gravity_in[w], spare_out.velocity, spare_out.omega, 0, spare_out.place, inertial_in,
                    spare_out.rates, motion_out, swept_out, spare_out.q, spare_out.v, spare_out.a, spare_out.force,
                    spare_out.torque, spare_out.inertial, spare_out.easing,
                )  # fmt: skip
                for a in range(trees.q_start[first], trees.q_start[last]):
                    adj_q_inout[w, a] = adj_q_inout[w, a] + spare_out.q[w, a]
                for i in range(first, last):
                    for n in range(10):
                        adj_inertial_inout[w, i, n] = adj_inertial_inout[w, i, n] + spare_out.inertial[w, i, n]
        adj_gravity_inout[w] = adj_gravity_inout[w] + fallen

    return SimpleNamespace(
        Tools=Tools, reach=reach, reach_adjoint=reach_adjoint, pull_tool=pull_tool, weigh=weigh,
        weigh_adjoint=weigh_adjoint, **vars(robots),
    )  # fmt: skip
