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
        of Newton steps, and whether there was no room), and the functions

        * `gather(trees, w, contacts, link_of, room, nv, gap, normal, point, position, law, before, motion, touch)`;
        * `assemble(trees, w, nv, inertial, easing, motion, touch)`: the inertia of all trees;
        * `settle(w, nv, width, dt, contacts, limits, q, gap, normal, held, law, dry, before, free, touch)`: Newton's
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
    exact = wp.constant(real(1.0e-26 if real is wp.float64 else 1.0e-12))
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
        lead: wp.array2d(dtype=int)
        slot: wp.array2d(dtype=int)
        count: wp.array2d(dtype=int)
        column: wp.array2d(dtype=int)
        j: wp.array2d(dtype=vec3)
        given: wp.array2d(dtype=vec3)
        was: wp.array2d(dtype=vec3)
        now: wp.array2d(dtype=vec3)
        step: wp.array2d(dtype=vec3)
        bound: wp.array2d(dtype=real)
        v: wp.array2d(dtype=real)
        g: wp.array2d(dtype=real)
        d: wp.array2d(dtype=real)
        start: wp.array2d(dtype=real)
        sizes: wp.array2d(dtype=int)

    @wp.func
    def add_side(
        trees: Trees, w: int, link: int, sign: real, p: vec3, base: int, count: int, shared: int, m: Motion, s: Touch
    ) -> int:
        # columns of a contact's Jacobian: what its point does per rate of the joints that carry a link
        t = int(0)
        while trees.first[t + 1] <= link:
            t += 1
        arm = p - m.place[w, trees.first[t]]
        i = link
        while i >= 0:
            for k in range(trees.v_start[i], trees.v_start[i + 1]):
                column = sign * (m.axis_speed[w, k] + wp.cross(m.axis_spin[w, k], arm))
                at = int(-1)
                for c in range(shared):  # a joint that carries both
                    if s.column[w, base + c] == k:
                        at = c
                if at >= 0:
                    s.j[w, base + at] = s.j[w, base + at] + column
                else:
                    s.column[w, base + count] = k
                    s.j[w, base + count] = column
                    count += 1
            i = trees.parent[i]
        return count

    @wp.func
    def times(w: int, base: int, count: int, v: wp.array2d(dtype=real), s: Touch) -> vec3:
        out = vec3(real(0.0), real(0.0), real(0.0))
        for c in range(count):
            out = out + v[w, s.column[w, base + c]] * s.j[w, base + c]
        return out

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
        before: wp.array2d(dtype=real),
        free: wp.array2d(dtype=real),
        m: Motion,
        s: Touch,
    ) -> int:
        # contacts that may act in this tick, by whichever rates bring them nearer
        found = int(0)
        s.sizes[w, 2] = 0
        for c in range(contacts.a.shape[0]):
            if gap[w, c] < far:
                a = contacts.a[c]
                b = contacts.b[c]
                if found < room:
                    base = found * width
                    p = point[w, c]
                    given = vec3(real(0.0), real(0.0), real(0.0))
                    count = int(0)
                    if link_of[a] >= 0:
                        count = add_side(trees, w, link_of[a], real(1.0), p, base, count, 0, m, s)
                    else:
                        given = velocity[w, a] + wp.cross(omega[w, a], p - position[w, a])
                    if link_of[b] >= 0:
                        count = add_side(trees, w, link_of[b], real(-1.0), p, base, count, count, m, s)
                    else:
                        given = given - velocity[w, b] - wp.cross(omega[w, b], p - position[w, b])
                    was = times(w, base, count, before, s) + given
                    then = times(w, base, count, free, s) + given
                    n = normal[w, c]
                    fastest = wp.max(wp.abs(wp.dot(n, was)), wp.abs(wp.dot(n, then)))
                    if gap[w, c] < dt * (real(2.0) * fastest + real(0.1)):
                        s.slot[w, found] = c
                        s.count[w, found] = count
                        s.was[w, found] = was
                        s.given[w, found] = given
                        found += 1
                else:
                    s.sizes[w, 2] = 1
        s.sizes[w, 0] = found
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
        if dry > real(0.0):
            if wp.abs(after) < still:
                out = out + vec2(-dt * dry * after / still, dt * dry / still)
            else:
                out = out + vec2(-dt * dry * wp.sign(after), real(0.0))
        return out

    @wp.func
    def numbers_of(contacts: Contacts, w: int, c: int, law: wp.array2d(dtype=vec5)) -> vec5:
        # stiffness, damping, dissipation, friction, stiffness along the surface
        given = law[w, contacts.law[c]]
        k = wp.min(given[0], contacts.stiffest[c])
        return vec5(k, k * given[1], given[2], given[3], given[4] * k)

    @wp.func
    def impulse_of(dt: real, x: vec5, gap: real, n: vec3, held: vec3, was: vec3, now: vec3, bound: real) -> vec3:
        push = normal_impulse(dt, gap, wp.dot(n, was), wp.dot(n, now), x[0], x[1], x[2])
        along = drag(dt, bound, x[4], dt * x[4], held - wp.dot(n, held) * n, now - wp.dot(n, now) * n)
        return push[0] * n + along

    @wp.func
    def stiffness_of(
        dt: real, x: vec5, gap: real, n: vec3, held: vec3, was: vec3, now: vec3, bound: real, coupled: int
    ) -> mat33:
        # minus the derivative of a contact's impulse by `now`; `coupled` to the normal impulse that bounds friction
        push = normal_impulse(dt, gap, wp.dot(n, was), wp.dot(n, now), x[0], x[1], x[2])
        out = push[1] * wp.outer(n, n)
        yields = real(2.0) * dt * dt * x[4]
        wanted = -dt * x[4] * (held - wp.dot(n, held) * n) - yields * (now - wp.dot(n, now) * n)
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
    def widen(w: int, base: int, count: int, s: Touch):
        # the envelope of H
        low = s.column[w, base]
        for c in range(count):
            low = wp.min(low, s.column[w, base + c])
            low = wp.min(low, s.lead[w, s.column[w, base + c]])
        for c in range(count):
            s.lead[w, s.column[w, base + c]] = low

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
        contacts: Contacts,
        limits: Limits,
        q: wp.array2d(dtype=real),
        gap: wp.array2d(dtype=real),
        normal: wp.array2d(dtype=vec3),
        held: wp.array2d(dtype=vec3),
        law: wp.array2d(dtype=vec5),
        dry: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        linear: real,
        square: real,
        s: Touch,
    ) -> real:
        # derivative along d of what is minimised, at v + share d
        out = linear + share * square
        for r in range(s.sizes[w, 0]):
            c = s.slot[w, r]
            x = numbers_of(contacts, w, c, law)
            now = s.now[w, r] + share * s.step[w, r]
            out = out - wp.dot(
                impulse_of(dt, x, gap[w, c], normal[w, c], held[w, c], s.was[w, r], now, s.bound[w, r]), s.step[w, r]
            )
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
        contacts: Contacts,
        limits: Limits,
        q: wp.array2d(dtype=real),
        gap: wp.array2d(dtype=real),
        normal: wp.array2d(dtype=vec3),
        held: wp.array2d(dtype=vec3),
        law: wp.array2d(dtype=vec5),
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
            for j in range(nv):
                total = total + s.a[w, k * nv + j] * (v[w, j] - free[w, j])
            joint = of_joint(dt, limits, w, k, q, dry[w, k], before[w, k], v[w, k])
            s.g[w, k] = total - joint[0]
            whole = whole + total * total / s.a[w, k * nv + k] + s.a[w, k * nv + k] * v[w, k] * v[w, k]
        for r in range(s.sizes[w, 0]):
            c = s.slot[w, r]
            base = r * width
            x = numbers_of(contacts, w, c, law)
            n = normal[w, c]
            now = times(w, base, s.count[w, r], v, s) + s.given[w, r]
            push = normal_impulse(dt, gap[w, c], wp.dot(n, s.was[w, r]), wp.dot(n, now), x[0], x[1], x[2])
            s.now[w, r] = now
            if renew == 1:
                s.bound[w, r] = x[3] * push[0]
            elif renew == 2:
                s.bound[w, r] = stuck
            if push[0] > real(0.0):
                pulled = impulse_of(dt, x, gap[w, c], n, held[w, c], s.was[w, r], now, s.bound[w, r])
                for e in range(s.count[w, r]):
                    k = s.column[w, base + e]
                    s.g[w, k] = s.g[w, k] - wp.dot(s.j[w, base + e], pulled)
        for k in range(nv):
            size = size + s.g[w, k] * s.g[w, k] / s.a[w, k * nv + k]
        return vec2(size, whole)

    @wp.func
    def stiffen(
        w: int,
        nv: int,
        width: int,
        dt: real,
        contacts: Contacts,
        limits: Limits,
        q: wp.array2d(dtype=real),
        gap: wp.array2d(dtype=real),
        normal: wp.array2d(dtype=vec3),
        held: wp.array2d(dtype=vec3),
        law: wp.array2d(dtype=vec5),
        dry: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        v: wp.array2d(dtype=real),
        coupled: int,
        s: Touch,
    ):
        # H = A + J^T G J at rates v, `now` and `bound` of `leave`
        for cell in range(nv * nv):
            s.h[w, cell] = s.a[w, cell]
        for k in range(nv):
            joint = of_joint(dt, limits, w, k, q, dry[w, k], before[w, k], v[w, k])
            s.h[w, k * nv + k] = s.h[w, k * nv + k] + joint[1]
        for r in range(s.sizes[w, 0]):
            c = s.slot[w, r]
            base = r * width
            if s.bound[w, r] >= real(0.0):
                x = numbers_of(contacts, w, c, law)
                stiff = stiffness_of(
                    dt, x, gap[w, c], normal[w, c], held[w, c], s.was[w, r], s.now[w, r], s.bound[w, r], coupled
                )  # fmt: skip
                for e in range(s.count[w, r]):
                    k = s.column[w, base + e]
                    pulled = s.j[w, base + e] * stiff  # the row J_k^T G
                    for f in range(s.count[w, r]):
                        j = s.column[w, base + f]
                        s.h[w, k * nv + j] = s.h[w, k * nv + j] + wp.dot(pulled, s.j[w, base + f])

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
        contacts: Contacts,
        limits: Limits,
        q: wp.array2d(dtype=real),
        gap: wp.array2d(dtype=real),
        normal: wp.array2d(dtype=vec3),
        held: wp.array2d(dtype=vec3),
        law: wp.array2d(dtype=vec5),
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
            for j in range(nv):
                total = total + s.a[w, k * nv + j] * s.d[w, j]
                away = away + s.a[w, k * nv + j] * (s.v[w, j] - free[w, j])
            square = square + total * s.d[w, k]
            linear = linear + away * s.d[w, k]
        for r in range(s.sizes[w, 0]):
            s.step[w, r] = times(w, r * width, s.count[w, r], s.d, s)
        share = real(1.0)
        rise = slope_at(
            w, nv, width, dt, share, contacts, limits, q, gap, normal, held, law, dry, before, linear, square, s
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
                w, nv, width, dt, share, contacts, limits, q, gap, normal, held, law, dry, before, linear, square, s
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
        contacts: Contacts,
        limits: Limits,
        q: wp.array2d(dtype=real),
        gap: wp.array2d(dtype=real),
        normal: wp.array2d(dtype=vec3),
        held: wp.array2d(dtype=vec3),
        law: wp.array2d(dtype=vec5),
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
        for r in range(found):
            widen(w, r * width, s.count[w, r], s)
        left = leave(w, nv, width, dt, contacts, limits, q, gap, normal, held, law, dry, before, free, s.v, 1, s)
        steps = int(0)
        rounds = int(0)
        bounded = int(1)
        while left[0] > exact * left[1] and steps < STEPS:
            if bounded == 1:
                if rounds == 1:  # from what would be if all stuck
                    for k in range(nv):
                        s.v[w, k] = before[w, k]
                    left = leave(
                        w, nv, width, dt, contacts, limits, q, gap, normal, held, law, dry, before, free, s.v, 2, s
                    )  # fmt: skip
                rounds += 1
                goal = near * left[0]
                inner = int(0)
                while inner < 12:
                    stiffen(w, nv, width, dt, contacts, limits, q, gap, normal, held, law, dry, before, s.v, 0, s)
                    descend(w, nv, s)
                    share = search(
                        w, nv, width, dt, contacts, limits, q, gap, normal, held, law, dry, before, free, s
                    )  # fmt: skip
                    for k in range(nv):
                        s.v[w, k] = s.v[w, k] + share * s.d[w, k]
                    left = leave(
                        w, nv, width, dt, contacts, limits, q, gap, normal, held, law, dry, before, free, s.v, 0, s
                    )  # fmt: skip
                    inner += 1
                    steps += 1
                    if left[0] <= wp.max(goal, exact * left[1]):
                        inner = 12
                left = leave(
                    w, nv, width, dt, contacts, limits, q, gap, normal, held, law, dry, before, free, s.v, 1, s
                )  # fmt: skip
                bounded = int(0)
            else:
                stiffen(w, nv, width, dt, contacts, limits, q, gap, normal, held, law, dry, before, s.v, 1, s)
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
                        w, nv, width, dt, contacts, limits, q, gap, normal, held, law, dry, before, free, s.v, 1, s
                    )  # fmt: skip
                    if less[0] < left[0]:
                        bounded = int(0)
                        left = less
                    share = real(0.5) * share
                if bounded == 1:
                    for k in range(nv):
                        s.v[w, k] = s.start[w, k]
                    left = leave(
                        w, nv, width, dt, contacts, limits, q, gap, normal, held, law, dry, before, free, s.v, 1, s
                    )  # fmt: skip
                steps += 1
        return steps

    @wp.func
    def unsettle(
        w: int,
        nv: int,
        width: int,
        dt: real,
        contacts: Contacts,
        limits: Limits,
        q: wp.array2d(dtype=real),
        gap: wp.array2d(dtype=real),
        normal: wp.array2d(dtype=vec3),
        held: wp.array2d(dtype=vec3),
        law: wp.array2d(dtype=vec5),
        dry: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        free: wp.array2d(dtype=real),
        after: wp.array2d(dtype=real),
        rhs: wp.array2d(dtype=real),
        s: Touch,
        x_out: wp.array2d(dtype=real),
    ):
        # x = H^-T rhs with the Jacobian of the equations that `after` solves
        leave(w, nv, width, dt, contacts, limits, q, gap, normal, held, law, dry, before, free, after, 1, s)
        stiffen(w, nv, width, dt, contacts, limits, q, gap, normal, held, law, dry, before, after, 1, s)
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
        Limits=Limits, Touch=Touch, gather=gather, assemble=assemble, times=times, of_joint=of_joint,
        numbers_of=numbers_of, impulse_of=impulse_of, stiffness_of=stiffness_of, settle=settle, unsettle=unsettle, hit=hit, normal_partials=normal_partials, vec2=vec2, vec5=vec5, **vars(aba),
    )  # fmt: skip
