# SPDX-License-Identifier: Apache-2.0
"""Warp functions that gather what may touch in a tick, and the joint-space inertia of a world's trees, for
kernels_settle.

Contacts are in groups of those between the same two bodies, in the order of their slots: a group's Jacobian has the
motion of the first at a place of the group, relative to the second, per rate of the joints that carry either.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_aba import aba_functions
from simenv.physics.bodies.kernels_collide import collide_kernels
from simenv.physics.bodies.kernels_dense import dense_functions

__all__ = ["gather_functions"]


@built_once
def gather_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the structs `Limits` (of rates: the `position` that each is the derivative of or -1, its bounds
        `lower` and `upper` and the `stiffest` spring of these, the largest `effort` of motors and the `fastest` rate,
        whether it is `free` of all that, and whether it moves as `told`; of joints that follow others both rates and
        positions, `ratio`, `offset`, and the stiffness that `hold`s them; of loops bodies and stiffness, and the `room`
        for contacts before them) and `Touch` (work space: inertia of links and all they carry; A and H; of contacts
        what `prepared` gives, gap, normal, displacement held, group, place in it, velocity of what no joint moves, rate
        of the gap before, velocity now and per step, the same of angular velocities, bounds of friction and of rolling,
        normal impulse and minus its derivative; of groups their columns, `jacobian` of angular and linear velocity in
        one; of rates iterates, A (v* - v) of the rates before as `load`, A (v - v*) and A d as `taken` and
        `taken_step`, between which rates joints are idle, A's inverse diagonal, and what `solve` works in; of trees
        whether they are `weighed`; `sizes`: number of contacts, of Newton steps, whether there was no room, number of
        groups, and whether Newton's method failed), and the functions

        * `gather(trees, w, contacts, link_of, room, width, dt, gap, normal, point, position, velocity, omega, held,
          closing, law, motion, touch)`: contacts that may act;
        * `weigh(trees, w, t, dt, tau, gravity, force, torque, at, inertial, motion, articulated, touch)`: of a tree
          A (v* - v), with the rates v* without contact, in `load`;
        * `assemble(trees, w, nv, inertial, easing, motion, touch)`: the inertia A of all trees.
    """
    aba, hit, dense = aba_functions(real), collide_kernels(real), dense_functions(real)
    Trees, Motion, Contacts, vec3, vec10 = aba.Trees, aba.Motion, hit.Contacts, aba.vec3, hit.vec10
    mat33, vec2, vec11, prepared, closing_speed = (
        aba.mat33, hit.law.vec2, hit.law.vec11, hit.law.prepared, hit.law.closing_speed
    )  # fmt: skip
    first_moment, second_moment, far = aba.first_moment, aba.second_moment, hit.far
    Articulated = aba.Articulated
    matrix_of, vec8, compose = aba.matrix_of, dense.vec8, dense.compose

    @wp.struct
    class Limits:
        position: wp.array(dtype=int)
        free: wp.array(dtype=int)
        told: wp.array(dtype=int)
        lower: wp.array(dtype=real)
        upper: wp.array(dtype=real)
        stiffest: wp.array(dtype=real)
        effort: wp.array(dtype=real)
        fastest: wp.array(dtype=real)
        follower: wp.array(dtype=int)
        leader: wp.array(dtype=int)
        follower_at: wp.array(dtype=int)
        leader_at: wp.array(dtype=int)
        ratio: wp.array(dtype=real)
        offset: wp.array(dtype=real)
        hold: wp.array(dtype=real)
        room: int
        loop_a: wp.array(dtype=int)
        loop_b: wp.array(dtype=int)
        loop_hold: wp.array(dtype=real)
        loop_turn: wp.array(dtype=real)

    @wp.struct
    class Touch:
        about: wp.array2d(dtype=mat33)
        first: wp.array2d(dtype=vec3)
        mass: wp.array2d(dtype=real)
        a: wp.array2d(dtype=real)
        h: wp.array2d(dtype=real)
        active: wp.array2d(dtype=int)
        low: wp.array2d(dtype=int)
        high: wp.array2d(dtype=int)
        lead: wp.array2d(dtype=int)
        law: wp.array2d(dtype=vec11)
        gap: wp.array2d(dtype=real)
        normal: wp.array2d(dtype=vec3)
        held: wp.array2d(dtype=vec3)
        group: wp.array2d(dtype=int)
        arm: wp.array2d(dtype=vec3)
        given: wp.array2d(dtype=vec3)
        was: wp.array2d(dtype=real)
        now: wp.array2d(dtype=vec3)
        step: wp.array2d(dtype=vec3)
        given_spin: wp.array2d(dtype=vec3)
        spun: wp.array2d(dtype=vec3)
        step_spin: wp.array2d(dtype=vec3)
        bound: wp.array2d(dtype=real)
        press: wp.array2d(dtype=real)
        push: wp.array2d(dtype=vec2)
        count: wp.array2d(dtype=int)
        column: wp.array2d(dtype=int)
        jacobian: wp.array2d(dtype=vec8)
        v: wp.array2d(dtype=real)
        g: wp.array2d(dtype=real)
        d: wp.array2d(dtype=real)
        start: wp.array2d(dtype=real)
        rest: wp.array2d(dtype=real)
        row: wp.array2d(dtype=real)
        load: wp.array2d(dtype=real)
        weighed: wp.array2d(dtype=int)
        taken: wp.array2d(dtype=real)
        taken_step: wp.array2d(dtype=real)
        inverse: wp.array2d(dtype=real)
        weight: wp.array2d(dtype=real)
        least: wp.array2d(dtype=real)
        most: wp.array2d(dtype=real)
        pull: wp.array2d(dtype=real)
        soft: wp.array2d(dtype=real)
        loop_apart: wp.array2d(dtype=vec3)
        loop_askew: wp.array2d(dtype=vec3)
        loop_given: wp.array2d(dtype=vec3)
        loop_given_spin: wp.array2d(dtype=vec3)
        loop_pull: wp.array2d(dtype=vec3)
        loop_twist: wp.array2d(dtype=vec3)
        sizes: wp.array2d(dtype=int)

    # by an address: what is passed by value is copied in each call
    Bounds, Space = wp.array(dtype=Limits), wp.array(dtype=Touch)

    @wp.func
    def add_side(
        trees: Trees, w: int, link: int, sign: real, o: vec3, base: int, count: int, shared: int, m: Motion, s: Space
    ) -> int:
        # columns of a group's Jacobian: the motion at o per rate of the joints that carry a link
        t = int(0)
        while trees.first[t + 1] <= link:
            t += 1
        arm = o - m.place[w, trees.first[t]]
        i = link
        while i >= 0:
            for k in range(trees.v_start[i], trees.v_start[i + 1]):
                spin = sign * m.axis_spin[w, k]
                speed = sign * (m.axis_speed[w, k] + wp.cross(m.axis_spin[w, k], arm))
                at = int(-1)
                for c in range(shared):  # a joint that carries both
                    if s[0].column[w, base + c] == k:
                        at = c
                zero = real(0.0)
                both = vec8(spin[0], spin[1], spin[2], speed[0], speed[1], speed[2], zero, zero)
                if at >= 0:
                    s[0].jacobian[w, base + at] = s[0].jacobian[w, base + at] + both
                else:
                    s[0].column[w, base + count] = k
                    s[0].jacobian[w, base + count] = both
                    count += 1
            i = trees.parent[i]
        return count

    @wp.func
    def gather(
        trees: Trees,
        w: int,
        contacts: Contacts,
        link_of: wp.array(dtype=int),
        room: int,
        width: int,
        dt: real,
        gap: wp.array2d(dtype=real),
        normal: wp.array2d(dtype=vec3),
        point: wp.array2d(dtype=vec3),
        position: wp.array2d(dtype=vec3),
        velocity: wp.array2d(dtype=vec3),
        omega: wp.array2d(dtype=vec3),
        held: wp.array2d(dtype=vec3),
        closing: wp.array2d(dtype=real),
        law: wp.array2d(dtype=vec10),
        m: Motion,
        s: Space,
    ) -> int:
        # Contacts that may act in this tick, in groups of those between the same two bodies
        found = int(0)
        groups = int(0)
        last_a = int(-1)
        last_b = int(-1)
        o = vec3(real(0.0), real(0.0), real(0.0))
        s[0].sizes[w, 2] = 0
        s[0].sizes[w, 4] = 0
        for t in range(trees.first.shape[0] - 1):
            s[0].weighed[w, t] = 0
        for c in range(contacts.a.shape[0]):
            if gap[w, c] < far:
                a = contacts.a[c]
                b = contacts.b[c]
                p = point[w, c]
                of_a = velocity[w, a] + wp.cross(omega[w, a], p - position[w, a])
                of_b = velocity[w, b] + wp.cross(omega[w, b], p - position[w, b])
                was = of_a - of_b
                # a kick changes no rate by more than 1 m/s, or what is met is met in the next tick
                wide = law[w, contacts.law[c]][9]
                if gap[w, c] < wide + dt * (real(2.0) * wp.abs(wp.dot(normal[w, c], was)) + real(1.0)):
                    if found < room:
                        if a != last_a or b != last_b:
                            last_a = a
                            last_b = b
                            o = p
                            count = int(0)
                            base = groups * width
                            if link_of[a] >= 0:
                                count = add_side(trees, w, link_of[a], real(1.0), o, base, count, 0, m, s)
                            if link_of[b] >= 0:
                                count = add_side(trees, w, link_of[b], real(-1.0), o, base, count, count, m, s)
                            s[0].count[w, groups] = count
                            groups += 1
                        given = vec3(real(0.0), real(0.0), real(0.0))
                        given_spin = vec3(real(0.0), real(0.0), real(0.0))
                        if link_of[a] < 0:
                            given = of_a
                            given_spin = omega[w, a]
                        if link_of[b] < 0:
                            given = given - of_b
                            given_spin = given_spin - omega[w, b]
                        s[0].group[w, found] = groups - 1
                        s[0].arm[w, found] = p - o
                        n = normal[w, c]
                        sped = closing_speed(dt, closing[w, c], wp.dot(n, was))
                        s[0].law[w, found] = prepared(dt, law[w, contacts.law[c]], contacts.stiffest[c], sped)
                        s[0].gap[w, found] = gap[w, c]
                        s[0].normal[w, found] = n
                        s[0].held[w, found] = held[w, c] - wp.dot(n, held[w, c]) * n
                        s[0].was[w, found] = wp.dot(n, was)
                        s[0].given[w, found] = given
                        s[0].given_spin[w, found] = given_spin
                        found += 1
                    else:
                        s[0].sizes[w, 2] = 1
        s[0].sizes[w, 0] = found
        s[0].sizes[w, 3] = groups
        return found

    @wp.func
    def weigh(
        trees: Trees,
        w: int,
        t: int,
        dt: real,
        tau: wp.array2d(dtype=real),
        gravity: vec3,
        force: wp.array2d(dtype=vec3),
        torque: wp.array2d(dtype=vec3),
        at: wp.array2d(dtype=vec3),
        inertial: wp.array3d(dtype=real),
        m: Motion,
        a: Articulated,
        s: Space,
    ):
        # inverse dynamics without joint accelerations, and what `assemble` begins with
        first = trees.first[t]
        last = trees.first[t + 1]
        s[0].weighed[w, t] = 1
        for i in range(first, last):
            up = trees.parent[i]
            spin_gain = m.drift_spin[w, i]
            speed_gain = m.drift_speed[w, i]
            if up >= 0:
                spin_gain = spin_gain + a.gain_spin[w, up]
                speed_gain = speed_gain + a.gain_speed[w, up]
            else:
                speed_gain = speed_gain - gravity
            a.gain_spin[w, i] = spin_gain
            a.gain_speed[w, i] = speed_gain
            turn = matrix_of(m.turn[w, i])
            reach = m.reach[w, i]
            spin = m.spin[w, i]
            speed = m.speed[w, i]
            mass = inertial[w, i, 0]
            h = first_moment(inertial, w, i, turn, reach)
            about = second_moment(inertial, w, i, turn, reach)
            s[0].about[w, i] = about
            s[0].first[w, i] = h
            s[0].mass[w, i] = mass
            n = about * spin + wp.cross(h, speed)
            f = mass * speed - wp.cross(h, spin)
            arm = at[w, i] - m.place[w, first]
            moment = about * spin_gain + wp.cross(h, speed_gain) + wp.cross(spin, n) + wp.cross(speed, f)
            a.load_moment[w, i] = moment - torque[w, i] - wp.cross(arm, force[w, i])
            a.load_force[w, i] = mass * speed_gain - wp.cross(h, spin_gain) + wp.cross(spin, f) - force[w, i]
        for back in range(last - first):
            i = last - 1 - back
            up = trees.parent[i]
            n = a.load_moment[w, i]
            f = a.load_force[w, i]
            for k in range(trees.v_start[i], trees.v_start[i + 1]):
                held = wp.dot(m.axis_spin[w, k], n) + wp.dot(m.axis_speed[w, k], f)
                s[0].load[w, k] = dt * (tau[w, k] - held)
            if up >= 0:
                a.load_moment[w, up] = a.load_moment[w, up] + n
                a.load_force[w, up] = a.load_force[w, up] + f

    @wp.func
    def assemble(
        trees: Trees,
        w: int,
        nv: int,
        inertial: wp.array3d(dtype=real),
        easing: wp.array2d(dtype=real),
        m: Motion,
        s: Space,
    ):
        # composite rigid bodies, in world axes about each tree's point
        for t in range(trees.first.shape[0] - 1):
            first = trees.first[t]
            last = trees.first[t + 1]
            for k in range(trees.v_start[first], trees.v_start[last]):
                s[0].low[w, k] = trees.v_start[first]
                s[0].high[w, k] = trees.v_start[last]
            begin = first
            if s[0].weighed[w, t] == 1:
                begin = last
            for i in range(begin, last):
                turn = matrix_of(m.turn[w, i])
                s[0].about[w, i] = second_moment(inertial, w, i, turn, m.reach[w, i])
                s[0].first[w, i] = first_moment(inertial, w, i, turn, m.reach[w, i])
                s[0].mass[w, i] = inertial[w, i, 0]
        compose(
            w, nv, trees.parent.shape[0], trees.parent, trees.v_start, m.axis_spin, m.axis_speed, easing, s[0].about,
            s[0].first, s[0].mass, s[0].a,
        )  # fmt: skip

    return SimpleNamespace(
        Limits=Limits,
        Bounds=Bounds,
        Space=Space,
        Touch=Touch,
        add_side=add_side,
        gather=gather,
        assemble=assemble,
        weigh=weigh,
        hit=hit,
        dense=dense,
        vec2=vec2,
        vec10=vec10,
        vec11=vec11,
        **vars(aba),
    )
