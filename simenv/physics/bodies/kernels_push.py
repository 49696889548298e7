# SPDX-License-Identifier: Apache-2.0
"""Warp functions of places in the world that links are pushed at: how they move there, and the adjoint of that."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_robots import robot_kernels
from simenv.physics.bodies.kernels_tree_adjoint import tree_adjoint_functions

__all__ = ["push_functions"]


@built_once
def push_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the type `vec6`, of twists and wrenches, linear before angular, and the functions

        * `twist_at(w, i, x, motion) -> vec6`: of a link at a place in the world;
        * `forget(trees, w, t, spare)` and `push_back(w, i, x, twist, pushed, motion, spare)`: its adjoint, for
          `carry_back`;
        * `virtual_velocity(trees, w, link, p, motion, swept) -> vec3`: at a place, of the motion that is swept;
        * `push_both(w, a, b, f, n, p, at, spare)`: adds a force at a place and a moment to those about `at` of one
          link, and the opposite to those of another; either may be none, -1;
        * `end_of(link_of, body) -> int`: the link that a loop's body is.
    """
    robots, back = robot_kernels(real), tree_adjoint_functions(real)
    Trees, Motion, Swept, Spare, vec3, quat = (
        robots.Trees, robots.Motion, back.Swept, robots.Spare, robots.vec3, robots.quat
    )  # fmt: skip
    vec6 = wp.types.vector(length=6, dtype=real)

    @wp.func
    def twist_at(w: int, i: int, x: vec3, m: Motion) -> vec6:
        spin = m.spin[w, i]
        speed = m.speed[w, i] + wp.cross(spin, m.reach[w, i] + x - m.place[w, i])
        return vec6(speed[0], speed[1], speed[2], spin[0], spin[1], spin[2])

    @wp.func
    def push_back(w: int, i: int, x: vec3, twist: vec6, pushed: vec6, m: Motion, spare: Spare):
        # the place stays in the world when the link moves
        f = vec3(pushed[0], pushed[1], pushed[2])
        spare.velocity[w, i] = spare.velocity[w, i] + f
        turning = vec3(pushed[3], pushed[4], pushed[5]) + wp.cross(x - m.place[w, i], f)
        spare.omega[w, i] = spare.omega[w, i] + turning
        spare.place[w, i] = spare.place[w, i] + wp.cross(vec3(twist[3], twist[4], twist[5]), f)

    @wp.func
    def forget(trees: Trees, w: int, t: int, spare: Spare):
        zero = vec3(real(0.0), real(0.0), real(0.0))
        for i in range(trees.first[t], trees.first[t + 1]):
            spare.place[w, i] = zero
            spare.velocity[w, i] = zero
            spare.omega[w, i] = zero
            spare.turn[w, i] = quat(real(0.0), real(0.0), real(0.0), real(0.0))

    @wp.func
    def virtual_velocity(trees: Trees, w: int, link: int, p: vec3, m: Motion, s: Swept) -> vec3:
        t = int(0)
        while trees.first[t + 1] <= link:
            t += 1
        return s.w_speed[w, link] + wp.cross(s.w_spin[w, link], p - m.place[w, trees.first[t]])

    @wp.func
    def push_at(w: int, link: int, f: vec3, n: vec3, p: vec3, at: wp.array2d(dtype=vec3), s: Spare):
        # a force at a point and a moment on a link; all of these are where velocities have their place
        s.velocity[w, link] = s.velocity[w, link] + f
        s.omega[w, link] = s.omega[w, link] + wp.cross(p - at[w, link], f) + n

    @wp.func
    def push_both(
        w: int, a: int, b: int, f: vec3, n: vec3, p: vec3, at: wp.array2d(dtype=vec3), s: Spare
    ):  # fmt: skip
        if a >= 0:
            push_at(w, a, f, n, p, at, s)
        if b >= 0:
            push_at(w, b, -f, -n, p, at, s)

    @wp.func
    def end_of(link_of: wp.array(dtype=int), body: int) -> int:
        # the link that a loop's body is, -1 for what no joint moves
        if body < 0:
            return -1
        return link_of[body]

    return SimpleNamespace(
        vec6=vec6, twist_at=twist_at, push_back=push_back, forget=forget, virtual_velocity=virtual_velocity,
        push_both=push_both, end_of=end_of,
    )  # fmt: skip
