# SPDX-License-Identifier: Apache-2.0
"""Warp functions of the velocities that contact, joint limits and dry friction leave: a convex problem for every world.

With A the joint-space inertia and what is taken implicitly, and v* the rates without contact, v minimises
|v - v*|_A^2 / 2 + sum l(J v), where -l' is the impulse of a contact (kernels_law). Newton's method with a dense Cholesky
factor in its envelope and a line search along each step; the bound on friction is that of the last iterate's normal
impulse, so that what it converges to is Coulomb's law. The adjoint is one more solve with the transpose of the Jacobian of
the converged equations, which that bound makes unsymmetric.

One thread has one world. Contacts that may act are gathered first, at most as many as there is room for.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_aba import aba_functions
from simenv.physics.bodies.kernels_collide import collide_kernels
from simenv.physics.bodies.kernels_law import law_functions

__all__ = ["STILL", "touch_functions"]

STEPS = 50  # of Newton's method
NEAR = 1.0e-4  # what a bounded problem may leave, over what it began with, before the whole is tried
STILL = 1.0e-6  # [rad/s, m/s], below which dry friction of a joint grows with its rate


@built_once
def touch_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the structs `Limits` (of rates: the `position` that each is the derivative of or -1, its bounds
        `lower` and `upper`, and the `stiffest` spring of these) and `Touch` (work space; `sizes`: number of contacts,
        of Newton steps, whether there was no room, and number of groups), and the functions

        * `gather(trees, w, contacts, link_of, room, width, dt, gap, normal, point, position, velocity, omega, motion,
          touch)`: contacts that may act;
        * `assemble(trees, w, nv, inertial, easing, motion, touch)`: the inertia of all trees;
        * `settle(w, nv, width, dt, limits, q, dry, before, free, touch)`: Newton's
          method, to rates `touch.v`;
        * `unsettle(..., before, free, after, rhs, touch, x)`: the adjoint's solve;
        * `of_joint`, the impulse of limits and dry friction at a rate, and `normal_partials` of kernels_law.
    """
    aba, hit = aba_functions(real), collide_kernels(real)
    Trees, Motion, Contacts, vec3, vec5 = aba.Trees, aba.Motion, hit.Contacts, aba.vec3, hit.vec5
    mat33, vec2 = aba.mat33, wp.types.vector(length=2, dtype=real)
    first_moment, second_moment = aba.first_moment, aba.second_moment
    normal_impulse, drag, far = hit.normal_impulse, hit.drag, hit.far
    normal_partials = law_functions(real).normal_partials
    exact = wp.constant(real(1.0e-26 if real is wp.float64 else 1.0e-11))
    rounded = wp.constant(real(1.0e-20 if real is wp.float64 else 1.0e-8))
    still, near, stuck = wp.constant(real(STILL)), wp.constant(real(NEAR)), wp.constant(real(1.0e15))

    @wp.struct
    class Limits:
        position: wp.array(dtype=int)
        lower: wp.array(dtype=real)
        upper: wp.array(dtype=real)
        stiffest: wp.array(dtype=real)

    @wp.struct
    class Touch:
        about: wp.array2d(dtype=mat33)
        first: wp.array2d(dtype=vec3)
        mass: wp.array2d(dtype=real)
        a: wp.array2d(dtype=real)
        h: wp.array2d(dtype=real)
        low: wp.array2d(dtype=int)
        high: wp.array2d(dtype=int)
        lead: wp.array2d(dtype=int)
        law: wp.array2d(dtype=vec5)
        gap: wp.array2d(dtype=real)
        normal: wp.array2d(dtype=vec3)
        held: wp.array2d(dtype=vec3)
        group: wp.array2d(dtype=int)
        arm: wp.array2d(dtype=vec3)
        given: wp.array2d(dtype=vec3)
        was: wp.array2d(dtype=real)
        now: wp.array2d(dtype=vec3)
        step: wp.array2d(dtype=vec3)
        bound: wp.array2d(dtype=real)
        push: wp.array2d(dtype=vec2)
        count: wp.array2d(dtype=int)
        column: wp.array2d(dtype=int)
        j_spin: wp.array2d(dtype=vec3)
        j_speed: wp.array2d(dtype=vec3)
        v: wp.array2d(dtype=real)
        g: wp.array2d(dtype=real)
        d: wp.array2d(dtype=real)
        start: wp.array2d(dtype=real)
        sizes: wp.array2d(dtype=int)

    @wp.func
    def add_side(
        trees: Trees, w: int, link: int, sign: real, o: vec3, base: int, count: int, shared: int, m: Motion, s: Touch
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
                    if s.column[w, base + c] == k:
                        at = c
                if at >= 0:
                    s.j_spin[w, base + at] = s.j_spin[w, base + at] + spin
                    s.j_speed[w, base + at] = s.j_speed[w, base + at] + speed
                else:
                    s.column[w, base + count] = k
                    s.j_spin[w, base + count] = spin
                    s.j_speed[w, base + count] = speed
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
        law: wp.array2d(dtype=vec5),
        m: Motion,
        s: Touch,
    ) -> int:
        # Contacts that may act in this tick, in groups of those between the same two bodies
        found = int(0)
        groups = int(0)
        last_a = int(-1)
        last_b = int(-1)
        o = vec3(real(0.0), real(0.0), real(0.0))
        s.sizes[w, 2] = 0
        for c in range(contacts.a.shape[0]):
            if gap[w, c] < far:
                a = contacts.a[c]
                b = contacts.b[c]
                p = point[w, c]
                of_a = velocity[w, a] + wp.cross(omega[w, a], p - position[w, a])
                of_b = velocity[w, b] + wp.cross(omega[w, b], p - position[w, b])
                was = of_a - of_b
                # a kick changes no rate by more than 1 m/s, or what is met is met in the next tick
                if gap[w, c] < dt * (real(2.0) * wp.abs(wp.dot(normal[w, c], was)) + real(1.0)):
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
                            s.count[w, groups] = count
                            groups += 1
                        given = vec3(real(0.0), real(0.0), real(0.0))
                        if link_of[a] < 0:
                            given = of_a
                        if link_of[b] < 0:
                            given = given - of_b
                        s.group[w, found] = groups - 1
                        s.arm[w, found] = p - o
                        n = normal[w, c]
                        numbers = law[w, contacts.law[c]]
                        k = wp.min(numbers[0], contacts.stiffest[c])
                        s.law[w, found] = vec5(k, k * numbers[1], numbers[2], numbers[3], numbers[4] * k)
                        s.gap[w, found] = gap[w, c]
                        s.normal[w, found] = n
                        s.held[w, found] = held[w, c] - wp.dot(n, held[w, c]) * n
                        s.was[w, found] = wp.dot(n, was)
                        s.given[w, found] = given
                        found += 1
                    else:
                        s.sizes[w, 2] = 1
        s.sizes[w, 0] = found
        s.sizes[w, 3] = groups
        return found

    @wp.func
    def assemble(
        trees: Trees,
        w: int,
        nv: int,
        inertial: wp.array3d(dtype=real),
        easing: wp.array2d(dtype=real),
        m: Motion,
        s: Touch,
    ):
        # composite rigid bodies, in world axes about each tree's point
        for cell in range(nv * nv):
            s.a[w, cell] = real(0.0)
        for t in range(trees.first.shape[0] - 1):
            first = trees.first[t]
            last = trees.first[t + 1]
            for i in range(first, last):
                turn = wp.quat_to_matrix(m.turn[w, i])
                s.about[w, i] = second_moment(inertial, w, i, turn, m.reach[w, i])
                s.first[w, i] = first_moment(inertial, w, i, turn, m.reach[w, i])
                s.mass[w, i] = inertial[w, i, 0]
                for k in range(trees.v_start[i], trees.v_start[i + 1]):
                    s.lead[w, k] = trees.v_start[first]
                    s.low[w, k] = trees.v_start[first]
                    s.high[w, k] = trees.v_start[last]
            for back in range(last - first):
                i = last - 1 - back
                up = trees.parent[i]
                if up >= 0:
                    s.about[w, up] = s.about[w, up] + s.about[w, i]
                    s.first[w, up] = s.first[w, up] + s.first[w, i]
                    s.mass[w, up] = s.mass[w, up] + s.mass[w, i]
                for k in range(trees.v_start[i], trees.v_start[i + 1]):
                    spin = m.axis_spin[w, k]
                    speed = m.axis_speed[w, k]
                    n = s.about[w, i] * spin + wp.cross(s.first[w, i], speed)
                    f = s.mass[w, i] * speed - wp.cross(s.first[w, i], spin)
                    for j in range(trees.v_start[i], k + 1):
                        both = wp.dot(m.axis_spin[w, j], n) + wp.dot(m.axis_speed[w, j], f)
                        s.a[w, k * nv + j] = both
                        s.a[w, j * nv + k] = both
                    s.a[w, k * nv + k] = s.a[w, k * nv + k] + easing[w, k]
                    u = up
                    while u >= 0:
                        for j in range(trees.v_start[u], trees.v_start[u + 1]):
                            both = wp.dot(m.axis_spin[w, j], n) + wp.dot(m.axis_speed[w, j], f)
                            s.a[w, k * nv + j] = both
                            s.a[w, j * nv + k] = both
                        u = trees.parent[u]

    @wp.func
    def of_joint(
        dt: real, limits: Limits, w: int, k: int, q: wp.array2d(dtype=real), dry: real, before: real, after: real
    ) -> vec2:
        # impulse of limits and dry friction at a rate, and minus its derivative
        out = vec2(real(0.0), real(0.0))
        at = limits.position[k]
        if at >= 0:
            stiff = limits.stiffest[k]
            push = normal_impulse(
                dt, q[w, at] - limits.lower[k], before, after, stiff, dt * stiff, real(0.0)
            )  # fmt: skip
            back = normal_impulse(
                dt, limits.upper[k] - q[w, at], -before, -after, stiff, dt * stiff, real(0.0)
            )  # fmt: skip
            out = vec2(push[0] - back[0], push[1] + back[1])
        if dry != real(0.0):
            if wp.abs(after) < still:
                out = out + vec2(-dt * dry * after / still, dt * dry / still)
            else:
                out = out + vec2(-dt * dry * wp.sign(after), real(0.0))
        return out

    @wp.func
    def stiffness_of(dt: real, x: vec5, push: vec2, n: vec3, held: vec3, now: vec3, bound: real, coupled: int) -> mat33:
        # minus the derivative of a contact's impulse by `now`; `coupled` to the normal impulse that bounds friction
        out = push[1] * wp.outer(n, n)
        yields = real(2.0) * dt * dt * x[4]
        wanted = -dt * x[4] * held - yields * (now - wp.dot(n, now) * n)
        size2 = wp.dot(wanted, wanted)
        flat = wp.identity(n=3, dtype=real) - wp.outer(n, n)
        if size2 <= bound * bound:
            if bound > real(0.0):
                out = out + yields * flat
        else:
            size = wp.sqrt(size2)
            way = wanted / size
            out = out + (yields * bound / size) * (flat - wp.outer(way, way))
            if coupled == 1:
                out = out + (x[3] * push[1]) * wp.outer(way, n)
        return out

    @wp.func
    def move_points(w: int, width: int, v: wp.array2d(dtype=real), given: int, s: Touch, out: wp.array2d(dtype=vec3)):
        # relative velocities of all contacts at rates v
        group = int(-1)
        spin = vec3(real(0.0), real(0.0), real(0.0))
        speed = vec3(real(0.0), real(0.0), real(0.0))
        for r in range(s.sizes[w, 0]):
            if s.group[w, r] != group:
                group = s.group[w, r]
                spin = vec3(real(0.0), real(0.0), real(0.0))
                speed = vec3(real(0.0), real(0.0), real(0.0))
                for e in range(group * width, group * width + s.count[w, group]):
                    rate = v[w, s.column[w, e]]
                    spin = spin + rate * s.j_spin[w, e]
                    speed = speed + rate * s.j_speed[w, e]
            now = speed + wp.cross(spin, s.arm[w, r])
            if given == 1:
                now = now + s.given[w, r]
            out[w, r] = now

    @wp.func
    def widen(w: int, base: int, count: int, s: Touch):
        # the envelope of H
        low = s.column[w, base]
        for c in range(count):
            low = wp.min(low, s.column[w, base + c])
            low = wp.min(low, s.lead[w, s.column[w, base + c]])
        for c in range(count):
            s.lead[w, s.column[w, base + c]] = low

    @wp.func
    def skew(x: vec3) -> mat33:
        zero = real(0.0)
        return mat33(zero, -x[2], x[1], x[2], zero, -x[0], -x[1], x[0], zero)

    @wp.func
    def pull_group(w: int, width: int, group: int, n: vec3, f: vec3, s: Touch):
        # a group's impulse and its moment about where the group is, taken from g
        for e in range(group * width, group * width + s.count[w, group]):
            k = s.column[w, e]
            s.g[w, k] = s.g[w, k] - wp.dot(s.j_spin[w, e], n) - wp.dot(s.j_speed[w, e], f)

    @wp.func
    def stiffen_group(
        w: int, nv: int, width: int, group: int, whole: int, nn: mat33, nf: mat33, fn: mat33, ff: mat33, s: Touch
    ):
        # J^T K J of a group, in all of H or its lower half
        for e in range(group * width, group * width + s.count[w, group]):
            k = s.column[w, e]
            by_spin = s.j_spin[w, e] * nn + s.j_speed[w, e] * fn
            by_speed = s.j_spin[w, e] * nf + s.j_speed[w, e] * ff
            for f in range(group * width, group * width + s.count[w, group]):
                j = s.column[w, f]
                if whole == 1 or j <= k:
                    both = wp.dot(by_spin, s.j_spin[w, f]) + wp.dot(by_speed, s.j_speed[w, f])
                    s.h[w, k * nv + j] = s.h[w, k * nv + j] + both

    @wp.func
    def descend(w: int, nv: int, s: Touch):
        # d = -H^-1 g by Cholesky's factor in the envelope
        for k in range(nv):
            low = s.lead[w, k]
            for j in range(low, k + 1):
                total = s.h[w, k * nv + j]
                for i in range(wp.max(low, s.lead[w, j]), j):
                    total = total - s.h[w, k * nv + i] * s.h[w, j * nv + i]
                if j < k:
                    s.h[w, k * nv + j] = total / s.h[w, j * nv + j]
                else:
                    s.h[w, k * nv + k] = wp.sqrt(total)
        for k in range(nv):
            total = -s.g[w, k]
            for i in range(s.lead[w, k], k):
                total = total - s.h[w, k * nv + i] * s.d[w, i]
            s.d[w, k] = total / s.h[w, k * nv + k]
        for back in range(nv):
            k = nv - 1 - back
            s.d[w, k] = s.d[w, k] / s.h[w, k * nv + k]
            for i in range(s.lead[w, k], k):
                s.d[w, i] = s.d[w, i] - s.h[w, k * nv + i] * s.d[w, k]

    @wp.func
    def slope_at(
        w: int,
        nv: int,
        width: int,
        dt: real,
        share: real,
        limits: Limits,
        q: wp.array2d(dtype=real),
        dry: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        linear: real,
        square: real,
        s: Touch,
    ) -> real:
        # derivative along d of what is minimised, at v + share d
        out = linear + share * square
        for r in range(s.sizes[w, 0]):
            x = s.law[w, r]
            n = s.normal[w, r]
            now = s.now[w, r] + share * s.step[w, r]
            rate = wp.dot(n, now)
            push = normal_impulse(dt, s.gap[w, r], s.was[w, r], rate, x[0], x[1], x[2])
            along = drag(dt, s.bound[w, r], x[4], dt * x[4], s.held[w, r], now - rate * n)
            out = out - wp.dot(push[0] * n + along, s.step[w, r])
        for k in range(nv):
            pulled = of_joint(dt, limits, w, k, q, dry[w, k], before[w, k], s.v[w, k] + share * s.d[w, k])
            out = out - pulled[0] * s.d[w, k]
        return out

    @wp.func
    def leave(
        w: int,
        nv: int,
        width: int,
        dt: real,
        limits: Limits,
        q: wp.array2d(dtype=real),
        dry: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        free: wp.array2d(dtype=real),
        v: wp.array2d(dtype=real),
        renew: int,
        s: Touch,
    ) -> vec2:
        # What the equations leave at rates v, A (v - v*) less all impulses, in g; and its square over A's diagonal, beside
        # that of A (v - v*) and of A v, which rounding of stiff contact is in proportion to
        size = real(0.0)
        whole = real(0.0)
        for k in range(nv):
            total = real(0.0)
            for j in range(s.low[w, k], s.high[w, k]):
                total = total + s.a[w, k * nv + j] * (v[w, j] - free[w, j])
            joint = of_joint(dt, limits, w, k, q, dry[w, k], before[w, k], v[w, k])
            s.g[w, k] = total - joint[0]
            whole = whole + total * total / s.a[w, k * nv + k] + s.a[w, k * nv + k] * v[w, k] * v[w, k]
        move_points(w, width, v, 1, s, s.now)
        group = int(-1)
        moment = vec3(real(0.0), real(0.0), real(0.0))
        force = vec3(real(0.0), real(0.0), real(0.0))
        for r in range(s.sizes[w, 0]):
            if s.group[w, r] != group:
                if group >= 0:
                    pull_group(w, width, group, moment, force, s)
                group = s.group[w, r]
                moment = vec3(real(0.0), real(0.0), real(0.0))
                force = vec3(real(0.0), real(0.0), real(0.0))
            x = s.law[w, r]
            n = s.normal[w, r]
            now = s.now[w, r]
            rate = wp.dot(n, now)
            push = normal_impulse(dt, s.gap[w, r], s.was[w, r], rate, x[0], x[1], x[2])
            bound = s.bound[w, r]
            if renew == 1:
                bound = x[3] * push[0]
            elif renew == 2:
                bound = stuck
            s.bound[w, r] = bound
            s.push[w, r] = push
            if push[0] > real(0.0):
                pulled = push[0] * n + drag(dt, bound, x[4], dt * x[4], s.held[w, r], now - rate * n)
                force = force + pulled
                moment = moment + wp.cross(s.arm[w, r], pulled)
        if group >= 0:
            pull_group(w, width, group, moment, force, s)
        for k in range(nv):
            size = size + s.g[w, k] * s.g[w, k] / s.a[w, k * nv + k]
        return vec2(size, whole)

    @wp.func
    def stiffen(
        w: int,
        nv: int,
        width: int,
        dt: real,
        limits: Limits,
        q: wp.array2d(dtype=real),
        dry: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        v: wp.array2d(dtype=real),
        coupled: int,
        s: Touch,
    ):
        # H = A + J^T G J at rates v, `now` and `bound` of `leave`; without coupling its lower half in the envelope
        for k in range(nv):
            start = s.lead[w, k]
            end = k + 1
            if coupled == 1:
                start = 0
                end = nv
            for j in range(start, end):
                s.h[w, k * nv + j] = s.a[w, k * nv + j]
            joint = of_joint(dt, limits, w, k, q, dry[w, k], before[w, k], v[w, k])
            s.h[w, k * nv + k] = s.h[w, k * nv + k] + joint[1]
        group = int(-1)
        nn = mat33()
        nf = mat33()
        fn = mat33()
        ff = mat33()
        for r in range(s.sizes[w, 0]):
            if s.group[w, r] != group:
                if group >= 0:
                    stiffen_group(w, nv, width, group, coupled, nn, nf, fn, ff, s)
                group = s.group[w, r]
                nn = mat33()
                nf = mat33()
                fn = mat33()
                ff = mat33()
            stiff = stiffness_of(
                dt, s.law[w, r], s.push[w, r], s.normal[w, r], s.held[w, r], s.now[w, r], s.bound[w, r], coupled
            )  # fmt: skip
            arm = skew(s.arm[w, r])
            turned = stiff * arm
            ff = ff + stiff
            fn = fn - turned
            nf = nf + arm * stiff
            nn = nn - arm * turned
        if group >= 0:
            stiffen_group(w, nv, width, group, coupled, nn, nf, fn, ff, s)

    @wp.func
    def eliminate_all(w: int, nv: int, s: Touch):
        # H = L U, with ones on the diagonal of L
        for k in range(nv):
            for i in range(k + 1, nv):
                part = s.h[w, i * nv + k] / s.h[w, k * nv + k]
                s.h[w, i * nv + k] = part
                if part != real(0.0):
                    for j in range(k + 1, nv):
                        s.h[w, i * nv + j] = s.h[w, i * nv + j] - part * s.h[w, k * nv + j]

    @wp.func
    def search(
        w: int,
        nv: int,
        width: int,
        dt: real,
        limits: Limits,
        q: wp.array2d(dtype=real),
        dry: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        free: wp.array2d(dtype=real),
        s: Touch,
    ) -> real:
        # how far to go along d of the convex problem, whose slope along it rises
        start = real(0.0)
        linear = real(0.0)
        square = real(0.0)
        for k in range(nv):
            start = start + s.g[w, k] * s.d[w, k]
            total = real(0.0)
            away = real(0.0)
            for j in range(s.low[w, k], s.high[w, k]):
                total = total + s.a[w, k * nv + j] * s.d[w, j]
                away = away + s.a[w, k * nv + j] * (s.v[w, j] - free[w, j])
            square = square + total * s.d[w, k]
            linear = linear + away * s.d[w, k]
        move_points(w, width, s.d, 0, s, s.step)
        share = real(1.0)
        rise = slope_at(
            w, nv, width, dt, share, limits, q, dry, before, linear, square, s
        )  # fmt: skip
        low = real(0.0)
        high = real(1.0)
        low_rise = start
        high_rise = rise
        tries = int(0)
        while high_rise > -real(0.1) * start and tries < 20:
            # between, by the secant, or the middle where that is slow
            share = low - low_rise * (high - low) / (high_rise - low_rise)
            share = wp.clamp(share, low + real(0.1) * (high - low), low + real(0.9) * (high - low))
            rise = slope_at(
                w, nv, width, dt, share, limits, q, dry, before, linear, square, s
            )  # fmt: skip
            if rise > real(0.0):
                high = share
                high_rise = rise
            else:
                low = share
                low_rise = rise
            tries += 1
            if wp.abs(rise) <= -real(0.1) * start:
                tries = 20
        return share

    @wp.func
    def settle(
        w: int,
        nv: int,
        width: int,
        dt: real,
        limits: Limits,
        q: wp.array2d(dtype=real),
        dry: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        free: wp.array2d(dtype=real),
        s: Touch,
    ) -> int:
        # From the rates before the tick, or without contact those without impulses. In turn the convex problem whose
        # friction is bounded by the last normal impulses, and Newton's method on the whole equations, which converges
        # squarely, as long as that leaves less. Returns the number of steps.
        found = s.sizes[w, 0]
        for k in range(nv):
            s.v[w, k] = free[w, k]
            if found > 0:
                s.v[w, k] = before[w, k]
        for r in range(s.sizes[w, 3]):
            widen(w, r * width, s.count[w, r], s)
        left = leave(w, nv, width, dt, limits, q, dry, before, free, s.v, 1, s)
        steps = int(0)
        rounds = int(0)
        bounded = int(1)
        stalled = int(0)
        while left[0] > exact * left[1] and steps < STEPS and stalled == 0:
            if bounded == 1:
                if rounds == 1:  # from what would be if all stuck
                    for k in range(nv):
                        s.v[w, k] = before[w, k]
                    left = leave(
                        w, nv, width, dt, limits, q, dry, before, free, s.v, 2, s
                    )  # fmt: skip
                rounds += 1
                goal = near * left[0]
                inner = int(0)
                while inner < 12:
                    stiffen(w, nv, width, dt, limits, q, dry, before, s.v, 0, s)
                    descend(w, nv, s)
                    share = search(
                        w, nv, width, dt, limits, q, dry, before, free, s
                    )  # fmt: skip
                    for k in range(nv):
                        s.v[w, k] = s.v[w, k] + share * s.d[w, k]
                    left = leave(
                        w, nv, width, dt, limits, q, dry, before, free, s.v, 0, s
                    )  # fmt: skip
                    inner += 1
                    steps += 1
                    if left[0] <= wp.max(goal, exact * left[1]):
                        inner = 12
                left = leave(
                    w, nv, width, dt, limits, q, dry, before, free, s.v, 1, s
                )  # fmt: skip
                bounded = int(0)
            else:
                stiffen(w, nv, width, dt, limits, q, dry, before, s.v, 1, s)
                eliminate_all(w, nv, s)
                for k in range(nv):
                    total = -s.g[w, k]
                    for i in range(k):
                        total = total - s.h[w, k * nv + i] * s.d[w, i]
                    s.d[w, k] = total
                for back in range(nv):
                    k = nv - 1 - back
                    total = s.d[w, k]
                    for i in range(k + 1, nv):
                        total = total - s.h[w, k * nv + i] * s.d[w, i]
                    s.d[w, k] = total / s.h[w, k * nv + k]
                for k in range(nv):
                    s.start[w, k] = s.v[w, k]
                share = real(1.0)
                bounded = int(1)
                while bounded == 1 and share > real(0.1):
                    for k in range(nv):
                        s.v[w, k] = s.start[w, k] + share * s.d[w, k]
                    less = leave(
                        w, nv, width, dt, limits, q, dry, before, free, s.v, 1, s
                    )  # fmt: skip
                    if less[0] < left[0]:
                        bounded = int(0)
                        left = less
                    share = real(0.5) * share
                if bounded == 1:
                    if left[0] <= rounded * left[1]:  # no more can be had
                        stalled = int(1)
                    for k in range(nv):
                        s.v[w, k] = s.start[w, k]
                    left = leave(
                        w, nv, width, dt, limits, q, dry, before, free, s.v, 1, s
                    )  # fmt: skip
                steps += 1
        return steps

    @wp.func
    def unsettle(
        w: int,
        nv: int,
        width: int,
        dt: real,
        limits: Limits,
        q: wp.array2d(dtype=real),
        dry: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        free: wp.array2d(dtype=real),
        after: wp.array2d(dtype=real),
        rhs: wp.array2d(dtype=real),
        s: Touch,
        x_out: wp.array2d(dtype=real),
    ):
        # x = H^-T rhs with the Jacobian of the equations that `after` solves
        leave(w, nv, width, dt, limits, q, dry, before, free, after, 1, s)
        stiffen(w, nv, width, dt, limits, q, dry, before, after, 1, s)
        eliminate_all(w, nv, s)
        for k in range(nv):  # U^T y = rhs
            total = rhs[w, k]
            for i in range(k):
                total = total - s.h[w, i * nv + k] * x_out[w, i]
            x_out[w, k] = total / s.h[w, k * nv + k]
        for back in range(nv):  # L^T x = y
            k = nv - 1 - back
            total = x_out[w, k]
            for i in range(k + 1, nv):
                total = total - s.h[w, i * nv + k] * x_out[w, i]
            x_out[w, k] = total

    return SimpleNamespace(
        Limits=Limits, Touch=Touch, gather=gather, assemble=assemble, of_joint=of_joint,
        stiffness_of=stiffness_of, settle=settle, unsettle=unsettle, hit=hit, normal_partials=normal_partials, vec2=vec2, vec5=vec5, **vars(aba),
    )  # fmt: skip
