# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of frames whose pushers answer to how they move: their responses as links have them, and what a kick
has changed (kernels_burden has what comes between).
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_burden import burden_functions
from simenv.physics.bodies.kernels_push import push_functions
from simenv.physics.bodies.kernels_robots import robot_kernels
from simenv.physics.bodies.kernels_tree_adjoint import tree_adjoint_functions

__all__ = ["answer_kernels"]


@built_once
def answer_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`. `asked` are numbers of `Rows` that answer.

    Returns:
        A namespace with the type `mat66` and the kernels `lend`, which has the responses of frames on their links, and
        `tell`, which says how a kick has changed the frames' motion, and takes from the mean wrenches what that has;
        and with `_adjoint` their reverses. Threads of `tell` and its reverse have a block of worlds.
    """
    lent, push = burden_functions(real), push_functions(real)
    robots, back = robot_kernels(real), tree_adjoint_functions(real)
    Trees, Rows, Motion, Swept, Spare = robots.Trees, robots.Rows, robots.Motion, robots.Swept, robots.Spare
    vec3, vec6, mat66, move, carry_back = robots.vec3, push.vec6, lent.mat66, robots.move, back.carry_back
    twist_at, push_back, forget, add_places = push.twist_at, push.push_back, push.forget, lent.add_places
    once = {"module": f"simenv_bodies_answer_{real.__name__}", "enable_backward": False}

    @wp.func
    def symmetric(z: mat66) -> mat66:
        return real(0.5) * (z + wp.transpose(z))

    @wp.func
    def shift(r: vec3) -> mat66:
        # the twist of what is at r, of a twist about the origin
        out = wp.identity(n=6, dtype=real)
        out[0, 4] = r[2]
        out[0, 5] = -r[1]
        out[1, 3] = -r[2]
        out[1, 5] = r[0]
        out[2, 3] = r[1]
        out[2, 4] = -r[0]
        return out

    @wp.kernel(**once)
    def lend(
        rows: Rows,
        asked: wp.array(dtype=int),
        position_in: wp.array2d(dtype=vec3),
        response_in: wp.array2d(dtype=mat66),
        lent_out: wp.array2d(dtype=mat66),
    ):
        w = wp.tid()
        for n in range(asked.shape[0]):
            lent_out[w, rows.link[asked[n]]] = mat66()
        for n in range(asked.shape[0]):
            row = rows.row[asked[n]]
            i = rows.link[asked[n]]
            x = shift(position_in[w, row] - position_in[w, rows.own[i]])
            lent_out[w, i] = lent_out[w, i] + wp.transpose(x) * symmetric(response_in[w, row]) * x

    @wp.kernel(**once)
    def lend_adjoint(
        rows: Rows,
        asked: wp.array(dtype=int),
        position_in: wp.array2d(dtype=vec3),
        response_in: wp.array2d(dtype=mat66),
        lent_in: wp.array2d(dtype=mat66),
        adj_lent_in: wp.array2d(dtype=mat66),
        adj_position_inout: wp.array2d(dtype=vec3),
        adj_response_inout: wp.array2d(dtype=mat66),
    ):
        w = wp.tid()
        for n in range(asked.shape[0]):
            row = rows.row[asked[n]]
            own = rows.own[rows.link[asked[n]]]
            x = shift(position_in[w, row] - position_in[w, own])
            both = symmetric(adj_lent_in[w, rows.link[asked[n]]])
            adj_response_inout[w, row] = adj_response_inout[w, row] + x * both * wp.transpose(x)
            by = real(2.0) * (symmetric(response_in[w, row]) * x * both)
            moved = vec3(by[1, 5] - by[2, 4], by[2, 3] - by[0, 5], by[0, 4] - by[1, 3])
            adj_position_inout[w, row] = adj_position_inout[w, row] + moved
            adj_position_inout[w, own] = adj_position_inout[w, own] - moved

    @wp.kernel(**once)
    def tell(
        block: int,
        trees: Trees,
        rows: Rows,
        asked: wp.array(dtype=int),
        rate: real,
        q_in: wp.array2d(dtype=real),
        before_in: wp.array2d(dtype=real),
        after_in: wp.array2d(dtype=real),
        position_in: wp.array2d(dtype=vec3),
        response_in: wp.array2d(dtype=mat66),
        change_out: wp.array2d(dtype=vec3),
        spun_out: wp.array2d(dtype=vec3),
        felt_out: wp.array2d(dtype=vec3),
        felt_turn_out: wp.array2d(dtype=vec3),
        motion_out: Motion,
        swept_out: Swept,
        spare_out: Spare,
    ):
        # `rate` is the share of a tick in the means over its duration
        start = wp.tid() * block
        for w in range(start, wp.min(start + block, after_in.shape[0])):
            for k in range(after_in.shape[1]):
                spare_out.a[w, k] = after_in[w, k] - before_in[w, k]
            for t in range(trees.first.shape[0] - 1):
                move(trees, w, t, q_in, spare_out.a, motion_out)
            for n in range(asked.shape[0]):
                r = asked[n]
                row = rows.row[r]
                change = twist_at(w, rows.link[r], position_in[w, row], motion_out)
                taken = rate * (symmetric(response_in[w, row]) * change)
                change_out[w, row] = vec3(change[0], change[1], change[2])
                spun_out[w, row] = vec3(change[3], change[4], change[5])
                felt_out[w, r] = felt_out[w, r] - vec3(taken[0], taken[1], taken[2])
                felt_turn_out[w, r] = felt_turn_out[w, r] - vec3(taken[3], taken[4], taken[5])

    @wp.kernel(**once)
    def tell_adjoint(
        block: int,
        trees: Trees,
        rows: Rows,
        asked: wp.array(dtype=int),
        rate: real,
        q_in: wp.array2d(dtype=real),
        before_in: wp.array2d(dtype=real),
        after_in: wp.array2d(dtype=real),
        position_in: wp.array2d(dtype=vec3),
        response_in: wp.array2d(dtype=mat66),
        change_in: wp.array2d(dtype=vec3),
        spun_in: wp.array2d(dtype=vec3),
        felt_in: wp.array2d(dtype=vec3),
        felt_turn_in: wp.array2d(dtype=vec3),
        adj_change_in: wp.array2d(dtype=vec3),
        adj_spun_in: wp.array2d(dtype=vec3),
        adj_felt_in: wp.array2d(dtype=vec3),
        adj_felt_turn_in: wp.array2d(dtype=vec3),
        adj_q_inout: wp.array2d(dtype=real),
        adj_before_inout: wp.array2d(dtype=real),
        adj_after_inout: wp.array2d(dtype=real),
        adj_position_inout: wp.array2d(dtype=vec3),
        adj_response_inout: wp.array2d(dtype=mat66),
        motion_out: Motion,
        swept_out: Swept,
        spare_out: Spare,
    ):
        start = wp.tid() * block
        for w in range(start, wp.min(start + block, after_in.shape[0])):
            for k in range(after_in.shape[1]):
                spare_out.a[w, k] = after_in[w, k] - before_in[w, k]
            for t in range(trees.first.shape[0] - 1):
                move(trees, w, t, q_in, spare_out.a, motion_out)
                forget(trees, w, t, spare_out)
            for n in range(asked.shape[0]):
                r = asked[n]
                row = rows.row[r]
                i = rows.link[r]
                x = position_in[w, row]
                change = twist_at(w, i, x, motion_out)
                f = adj_felt_in[w, r]
                m = adj_felt_turn_in[w, r]
                drawn = rate * vec6(f[0], f[1], f[2], m[0], m[1], m[2])
                both = real(0.5) * (wp.outer(drawn, change) + wp.outer(change, drawn))
                adj_response_inout[w, row] = adj_response_inout[w, row] - both
                v = adj_change_in[w, row]
                o = adj_spun_in[w, row]
                pushed = vec6(v[0], v[1], v[2], o[0], o[1], o[2]) - symmetric(response_in[w, row]) * drawn
                push_back(w, i, x, change, pushed, motion_out, spare_out)
                adj_position_inout[w, row] = adj_position_inout[w, row] + wp.cross(
                    vec3(pushed[0], pushed[1], pushed[2]), vec3(change[3], change[4], change[5])
                )
            for t in range(trees.first.shape[0] - 1):
                carry_back(
                    trees, w, t, q_in, spare_out.a, spare_out.place, spare_out.turn, spare_out.velocity,
                    spare_out.omega, motion_out, swept_out, spare_out.q, spare_out.v,
                )  # fmt: skip
                add_places(trees, w, t, spare_out.q, adj_q_inout)
            for k in range(after_in.shape[1]):
                adj_after_inout[w, k] = adj_after_inout[w, k] + spare_out.v[w, k]
                adj_before_inout[w, k] = adj_before_inout[w, k] - spare_out.v[w, k]

    return SimpleNamespace(mat66=mat66, lend=lend, lend_adjoint=lend_adjoint, tell=tell, tell_adjoint=tell_adjoint)
