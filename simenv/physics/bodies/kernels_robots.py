# SPDX-License-Identifier: Apache-2.0
"""Warp kernels that move trees of joints by a tick, with their adjoints.

A tick is a leapfrog: joints drift for half of it, are kicked by all forces where they then are, and drift for the other
half. A free fall is exact; of forces that depend on rates, Coriolis' among them, those before the kick count, which is
of first order. What pushes a link acts at the place in the world where it was felt, so that momentum and its moment are
exchanged exactly. Drives and damping are taken implicitly, by what they add to the inertia at their joint, so that no
gain is too high.

Arrays have the world N first, then rates, links, or frames of the robots. `drift` has a generated adjoint, the
others the ones written here, which recompute what they need.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_aba import aba_functions
from simenv.physics.bodies.kernels_tree_adjoint import tree_adjoint_functions
from simenv.physics.kernels_rotation import rotation_functions

__all__ = ["robot_kernels"]


@built_once
def robot_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the structs `Rows` (which frames of the table are on which link, and where) and `Spare` (what
        adjoints are written to before they are added), and the kernels `drift`, `collect`, `publish`, and with
        `_adjoint` the reverses of the last two. Threads of `publish` and its reverse have a block of worlds.
    """
    aba, back, rotation = aba_functions(real), tree_adjoint_functions(real), rotation_functions(real)
    Trees, Motion, Swept, move = aba.Trees, aba.Motion, back.Swept, aba.move
    vec3, quat = aba.vec3, aba.quat
    carry_back, turned = back.carry_back, rotation.turned
    both = {"module": f"simenv_bodies_joints_{real.__name__}", "enable_backward": True}
    once = {"module": f"simenv_bodies_robots_{real.__name__}", "enable_backward": False}
    onward = {"module": f"simenv_bodies_robots_forward_{real.__name__}", "enable_backward": False}

    @wp.struct
    class Rows:
        own: wp.array(dtype=int)
        row: wp.array(dtype=int)
        link: wp.array(dtype=int)
        place: wp.array(dtype=vec3)
        turn: wp.array(dtype=quat)

    @wp.struct
    class Spare:
        acceleration: wp.array2d(dtype=real)
        rates: wp.array2d(dtype=real)
        q: wp.array2d(dtype=real)
        v: wp.array2d(dtype=real)
        a: wp.array2d(dtype=real)
        easing: wp.array2d(dtype=real)
        force: wp.array2d(dtype=vec3)
        torque: wp.array2d(dtype=vec3)
        inertial: wp.array3d(dtype=real)
        place: wp.array2d(dtype=vec3)
        turn: wp.array2d(dtype=quat)
        velocity: wp.array2d(dtype=vec3)
        omega: wp.array2d(dtype=vec3)

    @wp.kernel(**both)
    def drift(
        trees: Trees,
        dt: real,
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        q_out: wp.array2d(dtype=real),
    ):
        w = wp.tid()
        for i in range(trees.parent.shape[0]):
            a = trees.q_start[i]
            k = trees.v_start[i]
            kind = trees.kind[i]
            if kind <= 1:
                q_out[w, a] = q_in[w, a] + dt * v_in[w, k]
            elif kind == 2:
                q_out[w, a] = q_in[w, a] + dt * v_in[w, k]
                q_out[w, a + 1] = q_in[w, a + 1] + dt * v_in[w, k + 1]
                q_out[w, a + 2] = q_in[w, a + 2] + dt * v_in[w, k + 2]
            elif kind == 3:
                here = wp.normalize(quat(q_in[w, a], q_in[w, a + 1], q_in[w, a + 2], q_in[w, a + 3]))
                local = vec3(dt * v_in[w, k], dt * v_in[w, k + 1], dt * v_in[w, k + 2])
                there = turned(here, wp.quat_rotate(here, local))
                q_out[w, a] = there[0]
                q_out[w, a + 1] = there[1]
                q_out[w, a + 2] = there[2]
                q_out[w, a + 3] = there[3]
            else:
                q_out[w, a] = q_in[w, a] + dt * v_in[w, k]
                q_out[w, a + 1] = q_in[w, a + 1] + dt * v_in[w, k + 1]
                q_out[w, a + 2] = q_in[w, a + 2] + dt * v_in[w, k + 2]
                here = wp.normalize(quat(q_in[w, a + 3], q_in[w, a + 4], q_in[w, a + 5], q_in[w, a + 6]))
                there = turned(here, vec3(dt * v_in[w, k + 3], dt * v_in[w, k + 4], dt * v_in[w, k + 5]))
                q_out[w, a + 3] = there[0]
                q_out[w, a + 4] = there[1]
                q_out[w, a + 5] = there[2]
                q_out[w, a + 6] = there[3]

    @wp.kernel(**onward)
    def collect(
        trees: Trees,
        rows: Rows,
        share: real,
        position_in: wp.array2d(dtype=vec3),
        wrench_force_in: wp.array2d(dtype=vec3),
        wrench_torque_in: wp.array2d(dtype=vec3),
        force_out: wp.array2d(dtype=vec3),
        torque_out: wp.array2d(dtype=vec3),
        at_out: wp.array2d(dtype=vec3),
        felt_out: wp.array2d(dtype=vec3),
        felt_turn_out: wp.array2d(dtype=vec3),
    ):
        # What pushes the frames, as forces on the links, with torques about where these are; and its means
        w = wp.tid()
        zero = vec3(real(0.0), real(0.0), real(0.0))
        for i in range(force_out.shape[1]):
            force_out[w, i] = zero
            torque_out[w, i] = zero
            at_out[w, i] = position_in[w, rows.own[i]]
        for r in range(rows.row.shape[0]):
            i = rows.link[r]
            row = rows.row[r]
            x = position_in[w, row]
            f = wrench_force_in[w, row]
            n = wrench_torque_in[w, row]
            felt_out[w, r] = felt_out[w, r] + share * f
            felt_turn_out[w, r] = felt_turn_out[w, r] + share * n
            force_out[w, i] = force_out[w, i] + f
            torque_out[w, i] = torque_out[w, i] + n + wp.cross(x - at_out[w, i], f)

    @wp.kernel(**once)
    def collect_adjoint(
        trees: Trees,
        rows: Rows,
        share: real,
        position_in: wp.array2d(dtype=vec3),
        wrench_force_in: wp.array2d(dtype=vec3),
        wrench_torque_in: wp.array2d(dtype=vec3),
        force_in: wp.array2d(dtype=vec3),
        torque_in: wp.array2d(dtype=vec3),
        at_in: wp.array2d(dtype=vec3),
        felt_in: wp.array2d(dtype=vec3),
        felt_turn_in: wp.array2d(dtype=vec3),
        adj_force_in: wp.array2d(dtype=vec3),
        adj_torque_in: wp.array2d(dtype=vec3),
        adj_at_in: wp.array2d(dtype=vec3),
        adj_felt_in: wp.array2d(dtype=vec3),
        adj_felt_turn_in: wp.array2d(dtype=vec3),
        adj_position_inout: wp.array2d(dtype=vec3),
        adj_wrench_force_inout: wp.array2d(dtype=vec3),
        adj_wrench_torque_inout: wp.array2d(dtype=vec3),
    ):
        w = wp.tid()
        for r in range(rows.row.shape[0]):
            i = rows.link[r]
            row = rows.row[r]
            f = wrench_force_in[w, row]
            n_adj = adj_torque_in[w, i]
            arm = position_in[w, row] - at_in[w, i]
            f_adj = adj_force_in[w, i] + wp.cross(n_adj, arm) + share * adj_felt_in[w, r]
            adj_wrench_force_inout[w, row] = adj_wrench_force_inout[w, row] + f_adj
            adj_wrench_torque_inout[w, row] = adj_wrench_torque_inout[w, row] + n_adj + share * adj_felt_turn_in[w, r]
            moved = wp.cross(f, n_adj)
            adj_position_inout[w, row] = adj_position_inout[w, row] + moved
            adj_position_inout[w, rows.own[i]] = adj_position_inout[w, rows.own[i]] - moved
        for i in range(force_in.shape[1]):
            adj_position_inout[w, rows.own[i]] = adj_position_inout[w, rows.own[i]] + adj_at_in[w, i]

    @wp.kernel(**onward)
    def publish(
        block: int,
        trees: Trees,
        rows: Rows,
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        position_out: wp.array2d(dtype=vec3),
        quaternion_out: wp.array2d(dtype=quat),
        velocity_out: wp.array2d(dtype=vec3),
        omega_out: wp.array2d(dtype=vec3),
        motion_out: Motion,
        swept_out: Swept,
        spare_out: Spare,
    ):
        start = wp.tid() * block
        for w in range(start, wp.min(start + block, v_in.shape[0])):
            for t in range(trees.first.shape[0] - 1):
                move(trees, w, t, q_in, v_in, motion_out)
            for r in range(rows.row.shape[0]):
                i = rows.link[r]
                row = rows.row[r]
                arm = wp.quat_rotate(motion_out.turn[w, i], rows.place[r])
                spin = motion_out.spin[w, i]
                position_out[w, row] = motion_out.place[w, i] + arm
                quaternion_out[w, row] = motion_out.turn[w, i] * rows.turn[r]
                velocity_out[w, row] = motion_out.speed[w, i] + wp.cross(spin, motion_out.reach[w, i] + arm)
                omega_out[w, row] = spin

    @wp.kernel(**once)
    def publish_adjoint(
        block: int,
        trees: Trees,
        rows: Rows,
        q_in: wp.array2d(dtype=real),
        v_in: wp.array2d(dtype=real),
        position_in: wp.array2d(dtype=vec3),
        quaternion_in: wp.array2d(dtype=quat),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        adj_position_inout: wp.array2d(dtype=vec3),
        adj_quaternion_inout: wp.array2d(dtype=quat),
        adj_velocity_inout: wp.array2d(dtype=vec3),
        adj_omega_inout: wp.array2d(dtype=vec3),
        adj_q_inout: wp.array2d(dtype=real),
        adj_v_inout: wp.array2d(dtype=real),
        motion_out: Motion,
        swept_out: Swept,
        spare_out: Spare,
    ):
        zero = vec3(real(0.0), real(0.0), real(0.0))
        start = wp.tid() * block
        for w in range(start, wp.min(start + block, v_in.shape[0])):
            for i in range(motion_out.place.shape[1]):
                spare_out.place[w, i] = zero
                spare_out.velocity[w, i] = zero
                spare_out.omega[w, i] = zero
                spare_out.turn[w, i] = quat(real(0.0), real(0.0), real(0.0), real(0.0))
            for t in range(trees.first.shape[0] - 1):
                move(trees, w, t, q_in, v_in, motion_out)
            for r in range(rows.row.shape[0]):
                i = rows.link[r]
                row = rows.row[r]
                turn = motion_out.turn[w, i]
                spin = motion_out.spin[w, i]
                arm = wp.quat_rotate(turn, rows.place[r])
                x_adj = adj_position_inout[w, row]
                v_row = adj_velocity_inout[w, row]
                spare_out.place[w, i] = spare_out.place[w, i] + x_adj
                spare_out.velocity[w, i] = spare_out.velocity[w, i] + v_row
                spare_out.omega[w, i] = spare_out.omega[w, i] + adj_omega_inout[w, row] + wp.cross(arm, v_row)
                # the arm turns with the link: as a small rotation before its quaternion, of which that has half
                pushed = wp.cross(arm, x_adj + wp.cross(v_row, spin))
                half = quat(real(2.0) * pushed[0], real(2.0) * pushed[1], real(2.0) * pushed[2], real(0.0)) * turn
                spare_out.turn[w, i] = (
                    spare_out.turn[w, i] + adj_quaternion_inout[w, row] * wp.quat_inverse(rows.turn[r]) + half
                )
                # what was there before has been written over, by who else passes rows on as well
                adj_position_inout[w, row] = zero
                adj_quaternion_inout[w, row] = quat(real(0.0), real(0.0), real(0.0), real(0.0))
                adj_velocity_inout[w, row] = zero
                adj_omega_inout[w, row] = zero
            for t in range(trees.first.shape[0] - 1):
                carry_back(
                    trees, w, t, q_in, v_in, spare_out.place, spare_out.turn, spare_out.velocity, spare_out.omega,
                    motion_out, swept_out, spare_out.q, spare_out.v,
                )  # fmt: skip
            for a in range(q_in.shape[1]):
                adj_q_inout[w, a] = adj_q_inout[w, a] + spare_out.q[w, a]
            for k in range(v_in.shape[1]):
                adj_v_inout[w, k] = adj_v_inout[w, k] + spare_out.v[w, k]

    return SimpleNamespace(
        Rows=Rows, Spare=Spare, Swept=Swept, drift=drift, collect=collect, collect_adjoint=collect_adjoint,
        publish=publish,
        publish_adjoint=publish_adjoint, **vars(aba),
    )  # fmt: skip
