# SPDX-License-Identifier: Apache-2.0
"""Warp functions of trees whose pushers answer to how they move (`Frames.response`).

A response Z of a link is inertia that it carries along in a tick: with J the Jacobian of the place where the push was
felt, J^T Z J is added to the joint-space inertia A, and forces that A alone takes are left as they are. So rates change
by (A + J^T Z J)^-1 A times what they would change by without, and contact, limits and drives see the sum.

Adjoints are by hand, through kinematics (kernels_tree_adjoint).
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_gather import gather_functions
from simenv.physics.bodies.kernels_push import push_functions
from simenv.physics.bodies.kernels_robots import robot_kernels
from simenv.physics.bodies.kernels_tree_adjoint import tree_adjoint_functions

__all__ = ["burden_functions"]


@built_once
def burden_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`. `lends` says of every link whether it has a
    response, and is empty where none has; `lent` are responses about places `at` in the world.

    Returns:
        A namespace with the type `mat66`, and the functions

        * `lend_any(lends, w, first, last, lent) -> int`: whether links from the first to before the last have a
          response that is not zero; else they move as if they had none, bit for bit;
        * `carry(trees, lends, w, nv, dt, lent, at, before, acceleration, motion, touch, v)`: rates v without contact of
          trees that answer, and their inertia in A, after `assemble`;
        * `burden(trees, lends, w, nv, lent, at, motion, touch)`: that inertia alone;
        * `rouse(trees, lends, w, lent, pull, soft, touch)`: these trees' rates are to be solved for;
        * `burden_back(trees, lends, w, t, q, lent, at, motion, swept, spare, touch, q_adj, at_adj, lent_adj)`: the
          adjoint, after `differentiate` with its sign -1;
        * `add_places(trees, w, t, more, q_adj)`: adds to adjoints of a tree's positions.
    """
    gathered, back, robots = gather_functions(real), tree_adjoint_functions(real), robot_kernels(real)
    Trees, Motion, Space, Swept, Spare = gathered.Trees, gathered.Motion, gathered.Space, back.Swept, robots.Spare
    vec3, move, carry_back, push = gathered.vec3, gathered.move, back.carry_back, push_functions(real)
    vec6, twist_at, push_back, forget = push.vec6, push.twist_at, push.push_back, push.forget
    times, copy_matrix, solve = gathered.dense.times, gathered.dense.copy_matrix, gathered.dense.solve
    mat66 = wp.types.matrix(shape=(6, 6), dtype=real)

    @wp.func
    def lend_any(lends: wp.array(dtype=int), w: int, first: int, last: int, lent: wp.array2d(dtype=mat66)) -> int:
        # the diagonal of what is not negative has it all
        out = int(0)
        for i in range(first, last):
            if lends[i] == 1:
                for n in range(6):
                    if lent[w, i][n, n] != real(0.0):
                        out = 1
        return out

    @wp.func
    def burden(
        trees: Trees, lends: wp.array(dtype=int), w: int, nv: int, lent: wp.array2d(dtype=mat66),
        at: wp.array2d(dtype=vec3), m: Motion, s: Space,
    ):  # fmt: skip
        pad = (nv + 7) // 8 * 8
        for t in range(trees.first.shape[0] - 1):
            for i in range(trees.first[t], trees.first[t + 1]):
                if lends[i] == 1:
                    arm = at[w, i] - m.place[w, trees.first[t]]
                    response = lent[w, i]
                    up = int(i)
                    while up >= 0:
                        for k in range(trees.v_start[up], trees.v_start[up + 1]):
                            spin = m.axis_spin[w, k]
                            speed = m.axis_speed[w, k] + wp.cross(spin, arm)
                            push = response * vec6(speed[0], speed[1], speed[2], spin[0], spin[1], spin[2])
                            turn = vec3(push[3], push[4], push[5]) + wp.cross(arm, vec3(push[0], push[1], push[2]))
                            force = vec3(push[0], push[1], push[2])
                            other = int(i)
                            while other >= 0:
                                for j in range(trees.v_start[other], trees.v_start[other + 1]):
                                    more = wp.dot(m.axis_spin[w, j], turn) + wp.dot(m.axis_speed[w, j], force)
                                    s[0].a[w, j * pad + k] = s[0].a[w, j * pad + k] + more
                                other = trees.parent[other]
                        up = trees.parent[up]

    @wp.func
    def carry(
        trees: Trees,
        lends: wp.array(dtype=int),
        w: int,
        nv: int,
        dt: real,
        lent: wp.array2d(dtype=mat66),
        at: wp.array2d(dtype=vec3),
        before: wp.array2d(dtype=real),
        acceleration: wp.array2d(dtype=real),
        m: Motion,
        s: Space,
        v: wp.array2d(dtype=real),
    ):
        # by momenta, which what is light and carries much keeps its digits in
        times(w, nv, s[0].a, s[0].low, s[0].high, acceleration, acceleration, 0, s[0].taken)
        burden(trees, lends, w, nv, lent, at, m, s)
        for t in range(trees.first.shape[0] - 1):
            answers = lend_any(lends, w, trees.first[t], trees.first[t + 1], lent)
            for k in range(trees.v_start[trees.first[t]], trees.v_start[trees.first[t + 1]]):
                s[0].active[w, k] = answers
                s[0].g[w, k] = -dt * s[0].taken[w, k]
        copy_matrix(w, nv, s[0].a, s[0].h)
        solve(w, nv, 0, s[0].active, s[0].g, s[0].h, s[0].lead, s[0].row, s[0].rest, s[0].d)
        for k in range(nv):
            if s[0].active[w, k] == 1:
                v[w, k] = before[w, k] + s[0].d[w, k]

    @wp.func
    def rouse(
        trees: Trees, lends: wp.array(dtype=int), w: int, lent: wp.array2d(dtype=mat66),
        pull: wp.array2d(dtype=real), soft: wp.array2d(dtype=real), s: Space,
    ):  # fmt: skip
        for k in range(pull.shape[1]):
            s[0].pull[w, k] = pull[w, k]
            s[0].soft[w, k] = soft[w, k]
        for t in range(trees.first.shape[0] - 1):
            if lend_any(lends, w, trees.first[t], trees.first[t + 1], lent) == 1:
                for k in range(trees.v_start[trees.first[t]], trees.v_start[trees.first[t + 1]]):
                    s[0].active[w, k] = 1

    @wp.func
    def add_places(trees: Trees, w: int, t: int, more: wp.array2d(dtype=real), q_adj: wp.array2d(dtype=real)):
        for a in range(trees.q_start[trees.first[t]], trees.q_start[trees.first[t + 1]]):
            q_adj[w, a] = q_adj[w, a] + more[w, a]

    @wp.func
    def burden_back(
        trees: Trees,
        lends: wp.array(dtype=int),
        w: int,
        t: int,
        q: wp.array2d(dtype=real),
        lent: wp.array2d(dtype=mat66),
        at: wp.array2d(dtype=vec3),
        m: Motion,
        swept: Swept,
        spare: Spare,
        s: Space,
        q_adj: wp.array2d(dtype=real),
        at_adj: wp.array2d(dtype=vec3),
        lent_adj: wp.array2d(dtype=mat66),
    ):
        # Minus the derivatives of W . Z F at rates and accelerations: W is the motion at these rates, F at these
        # accelerations, both at the place. Those of differentiate are kept meanwhile.
        first = trees.first[t]
        last = trees.first[t + 1]
        answers = int(0)
        for i in range(first, last):
            answers = wp.max(answers, lends[i])
        if answers == 0:
            return
        add_places(trees, w, t, spare.q, q_adj)
        for k in range(trees.v_start[first], trees.v_start[last]):
            s[0].d[w, k] = spare.v[w, k]
        move(trees, w, t, q, spare.acceleration, m)
        forget(trees, w, t, spare)
        for i in range(first, last):
            if lends[i] == 1:
                x = at[w, i]
                gained = twist_at(w, i, x, m)
                spin = swept.w_spin[w, i]
                speed = swept.w_speed[w, i] + wp.cross(spin, x - m.place[w, first])
                virtual = vec6(speed[0], speed[1], speed[2], spin[0], spin[1], spin[2])
                push = lent[w, i] * gained
                other = wp.transpose(lent[w, i]) * virtual
                lent_adj[w, i] = lent_adj[w, i] - wp.outer(virtual, gained)
                at_adj[w, i] = (
                    at_adj[w, i]
                    - wp.cross(vec3(push[0], push[1], push[2]), spin)
                    - wp.cross(vec3(other[0], other[1], other[2]), vec3(gained[3], gained[4], gained[5]))
                )
                push_back(w, i, x, gained, -other, m, spare)
                spare.force[w, i] = vec3(push[0], push[1], push[2])
                spare.torque[w, i] = vec3(push[3], push[4], push[5])
        carry_back(
            trees, w, t, q, spare.acceleration, spare.place, spare.turn, spare.velocity, spare.omega, m, swept,
            spare.q, spare.v,
        )  # fmt: skip
        add_places(trees, w, t, spare.q, q_adj)
        for k in range(trees.v_start[first], trees.v_start[last]):
            spare.a[w, k] = spare.a[w, k] + spare.v[w, k]
        move(trees, w, t, q, spare.rates, m)
        forget(trees, w, t, spare)
        for i in range(first, last):
            if lends[i] == 1:
                f = spare.force[w, i]
                n = spare.torque[w, i]
                push_back(w, i, at[w, i], twist_at(w, i, at[w, i], m), -vec6(f[0], f[1], f[2], n[0], n[1], n[2]), m,
                          spare)  # fmt: skip
        carry_back(
            trees, w, t, q, spare.rates, spare.place, spare.turn, spare.velocity, spare.omega, m, swept, spare.q,
            spare.v,
        )  # fmt: skip
        for k in range(trees.v_start[first], trees.v_start[last]):
            spare.v[w, k] = s[0].d[w, k]

    return SimpleNamespace(
        mat66=mat66, lend_any=lend_any, carry=carry, burden=burden, rouse=rouse, add_places=add_places,
        burden_back=burden_back,
    )  # fmt: skip
