# SPDX-License-Identifier: Apache-2.0
"""Warp functions and kernels of loops: links that are held together beside their tree, at a point or as one.

A loop is a spring, taken implicitly, that is near rigid: its impulse is -dt h (x + dt v'), with what is between the two
points in the middle of the tick x, and their relative velocity after it v', and likewise of the turn of a weld: what is
open has closed a tick later. It is one more term of the convex problem that contact is (kernels_touch), a group with
columns of its own. Both impulses act at one point, midway, so that momentum and its moment are exchanged exactly.

`span` and `bind` have generated adjoints; the others are used in both sweeps of a kick.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_gather import gather_functions

__all__ = ["loop_functions", "loop_kernels"]


@built_once
def loop_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`. Loop r is the group `room` + r, with the `Limits`'
    `loop_*`.

    Returns:
        A namespace with what `gather_functions` has, and the functions

        * `gather_loops(trees, w, limits, link_of, width, point, position, velocity, omega, apart, askew, motion,
          touch)`: the columns of all loops, and what they start from;
        * `leave_loops(w, width, dt, limits, v, touch)`: takes their impulses at rates v from `touch.g`;
        * `stiffen_loops(w, nv, width, dt, limits, coupled, touch)`: adds their part of H;
        * `slope_of_loops(w, width, dt, share, limits, touch) -> real`: of what is minimised along `touch.d`, at
          `touch.v` + share d;
        * `pull_group`, `stiffen_group`, `hold_group` and `move_group`, of any group.
    """
    base = gather_functions(real)
    Trees, Motion, Bounds, Space = base.Trees, base.Motion, base.Bounds, base.Space
    vec3, mat33, vec8, add_side = base.vec3, base.mat33, base.dense.vec8, base.add_side
    motion_of, pull_columns, stiffen_columns = base.dense.motion_of, base.dense.pull_columns, base.dense.stiffen_columns
    stiffen_speeds = base.dense.stiffen_speeds

    @wp.func
    def pull_group(w: int, width: int, group: int, n: vec3, f: vec3, s: Space):
        # a group's impulse and its moment about where the group is, taken from g
        pull_columns(w, group * width, s[0].count[w, group], s[0].column, s[0].jacobian, n, f, s[0].g)

    @wp.func
    def stiffen_group(
        w: int, nv: int, width: int, group: int, whole: int, nn: mat33, nf: mat33, fn: mat33, ff: mat33, s: Space
    ):
        # J^T K J of a group, in all of H or its lower half
        count = s[0].count[w, group]
        stiffen_columns(w, nv, group * width, count, whole, s[0].column, s[0].jacobian, nn, nf, fn, ff, s[0].h)

    @wp.func
    def hold_group(w: int, nv: int, width: int, group: int, whole: int, ff: mat33, s: Space):
        # the same of what acts where the group is
        stiffen_speeds(w, nv, group * width, s[0].count[w, group], whole, s[0].column, s[0].jacobian, ff, s[0].h)

    @wp.func
    def move_group(w: int, width: int, group: int, v: wp.array2d(dtype=real), s: Space) -> vec8:
        # a group's angular and linear velocity at rates v
        return motion_of(w, group * width, s[0].count[w, group], s[0].column, s[0].jacobian, v)

    @wp.func
    def gather_loops(
        trees: Trees,
        w: int,
        limits: Bounds,
        link_of: wp.array(dtype=int),
        width: int,
        point: wp.array2d(dtype=vec3),
        position: wp.array2d(dtype=vec3),
        velocity: wp.array2d(dtype=vec3),
        omega: wp.array2d(dtype=vec3),
        apart: wp.array2d(dtype=vec3),
        askew: wp.array2d(dtype=vec3),
        m: Motion,
        s: Space,
    ):
        for r in range(limits[0].loop_hold.shape[0]):
            group = limits[0].room + r
            p = point[w, r]
            a = limits[0].loop_a[r]
            b = limits[0].loop_b[r]
            given = vec3(real(0.0), real(0.0), real(0.0))
            given_spin = given
            count = int(0)
            if link_of[a] >= 0:
                count = add_side(trees, w, link_of[a], real(1.0), p, group * width, count, 0, m, s)
            else:
                given = velocity[w, a] + wp.cross(omega[w, a], p - position[w, a])
                given_spin = omega[w, a]
            if b >= 0:
                if link_of[b] >= 0:
                    count = add_side(trees, w, link_of[b], real(-1.0), p, group * width, count, count, m, s)
                else:
                    given = given - velocity[w, b] - wp.cross(omega[w, b], p - position[w, b])
                    given_spin = given_spin - omega[w, b]
            s[0].count[w, group] = count
            s[0].loop_given[w, r] = given
            s[0].loop_given_spin[w, r] = given_spin
            s[0].loop_apart[w, r] = apart[w, r]
            s[0].loop_askew[w, r] = askew[w, r]

    @wp.func
    def leave_loops(w: int, width: int, dt: real, limits: Bounds, v: wp.array2d(dtype=real), s: Space):
        for r in range(limits[0].loop_hold.shape[0]):
            group = limits[0].room + r
            moved = move_group(w, width, group, v, s)
            spin = s[0].loop_given_spin[w, r] + vec3(moved[0], moved[1], moved[2])
            speed = s[0].loop_given[w, r] + vec3(moved[3], moved[4], moved[5])
            f = -dt * limits[0].loop_hold[r] * (s[0].loop_apart[w, r] + dt * speed)
            n = -dt * limits[0].loop_turn[r] * (s[0].loop_askew[w, r] + dt * spin)
            s[0].loop_pull[w, r] = f
            s[0].loop_twist[w, r] = n
            pull_group(w, width, group, n, f, s)

    @wp.func
    def stiffen_loops(w: int, nv: int, width: int, dt: real, limits: Bounds, coupled: int, s: Space):
        for r in range(limits[0].loop_hold.shape[0]):
            one = wp.identity(n=3, dtype=real)
            ff = (dt * dt * limits[0].loop_hold[r]) * one
            nn = (dt * dt * limits[0].loop_turn[r]) * one
            stiffen_group(w, nv, width, limits[0].room + r, coupled, nn, mat33(), mat33(), ff, s)

    @wp.func
    def slope_of_loops(w: int, width: int, dt: real, share: real, limits: Bounds, s: Space) -> real:
        # after `leave_loops` at v
        out = real(0.0)
        for r in range(limits[0].loop_hold.shape[0]):
            group = limits[0].room + r
            moved = move_group(w, width, group, s[0].d, s)
            spin = vec3(moved[0], moved[1], moved[2])
            speed = vec3(moved[3], moved[4], moved[5])
            more = dt * dt * share
            out = out - wp.dot(s[0].loop_pull[w, r] - more * limits[0].loop_hold[r] * speed, speed)
            out = out - wp.dot(s[0].loop_twist[w, r] - more * limits[0].loop_turn[r] * spin, spin)
        return out

    return SimpleNamespace(
        pull_group=pull_group, stiffen_group=stiffen_group, hold_group=hold_group, move_group=move_group,
        gather_loops=gather_loops, leave_loops=leave_loops, stiffen_loops=stiffen_loops,
        slope_of_loops=slope_of_loops, **vars(base),
    )  # fmt: skip


@built_once
def loop_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the struct `Loops` (bodies `a` and `b`, -1 for the world, the `place` on each, the `turn` of b
        in a that a weld keeps, and the stiffness of both, the latter 0 of a point), and the kernels `span`, over worlds
        and loops, of what is open in the middle of a tick, and `bind` of the impulses on the first body after it.
    """
    vec3, quat = wp.types.vector(length=3, dtype=real), wp.types.quaternion(dtype=real)
    both = {"module": f"simenv_bodies_loops_{real.__name__}", "enable_backward": True}

    @wp.struct
    class Loops:
        a: wp.array(dtype=int)
        b: wp.array(dtype=int)
        place_a: wp.array(dtype=vec3)
        place_b: wp.array(dtype=vec3)
        turn: wp.array(dtype=quat)
        hold: wp.array(dtype=real)
        hold_turn: wp.array(dtype=real)

    @wp.kernel(**both)
    def span(
        loops: Loops,
        position_in: wp.array2d(dtype=vec3),
        quaternion_in: wp.array2d(dtype=quat),
        apart_out: wp.array2d(dtype=vec3),
        askew_out: wp.array2d(dtype=vec3),
        point_out: wp.array2d(dtype=vec3),
    ):
        w, r = wp.tid()
        a = loops.a[r]
        b = loops.b[r]
        at_a = position_in[w, a] + wp.quat_rotate(quaternion_in[w, a], loops.place_a[r])
        at_b = loops.place_b[r]
        wanted = wp.quat_inverse(loops.turn[r])
        if b >= 0:
            at_b = position_in[w, b] + wp.quat_rotate(quaternion_in[w, b], loops.place_b[r])
            wanted = quaternion_in[w, b] * wanted
        off = quaternion_in[w, a] * wp.quat_inverse(wanted)
        side = wp.where(off[3] < real(0.0), real(-2.0), real(2.0))  # the shorter way round
        apart_out[w, r] = at_a - at_b
        askew_out[w, r] = vec3(side * off[0], side * off[1], side * off[2])
        point_out[w, r] = real(0.5) * (at_a + at_b)

    @wp.kernel(**both)
    def bind(
        loops: Loops,
        dt: real,
        apart_in: wp.array2d(dtype=vec3),
        askew_in: wp.array2d(dtype=vec3),
        point_in: wp.array2d(dtype=vec3),
        position_in: wp.array2d(dtype=vec3),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        pull_out: wp.array2d(dtype=vec3),
        twist_out: wp.array2d(dtype=vec3),
    ):
        w, r = wp.tid()
        a = loops.a[r]
        b = loops.b[r]
        p = point_in[w, r]
        speed = velocity_in[w, a] + wp.cross(omega_in[w, a], p - position_in[w, a])
        spin = omega_in[w, a]
        if b >= 0:
            speed = speed - velocity_in[w, b] - wp.cross(omega_in[w, b], p - position_in[w, b])
            spin = spin - omega_in[w, b]
        pull_out[w, r] = -dt * loops.hold[r] * (apart_in[w, r] + dt * speed)
        twist_out[w, r] = -dt * loops.hold_turn[r] * (askew_in[w, r] + dt * spin)

    return SimpleNamespace(Loops=Loops, span=span, bind=bind, real=real, vec3=vec3, quat=quat)
