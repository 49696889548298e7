# SPDX-License-Identifier: Apache-2.0
"""Warp functions of the velocities that contact, joint limits and dry friction leave: a convex problem for every world.

With A the joint-space inertia and what is taken implicitly, and v* the rates without contact, v minimises
|v - v*|_A^2 / 2 + sum l(J v), where -l' is the impulse of a contact (kernels_law). Newton's method with a dense
Cholesky factor in its envelope and a line search along each step; the bound on friction is that of the last iterate's
normal impulse, so that what it converges to is Coulomb's law. The adjoint is one more solve with the transpose of the
Jacobian of the converged equations, which that bound makes unsymmetric.

One thread has one world.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_equations import equation_functions

__all__ = ["touch_functions"]

STEPS = 50  # of Newton's method
FAILED = 1.0e-4  # what they may leave at last, squared, over the momentum that there is: a hundredth
NEAR = 1.0e-4  # what a bounded problem may leave, over what it began with, before the whole is tried


@built_once
def touch_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with what `equation_functions` has, and the functions

        * `see_active(trees, w, dt, limits, width, q, dry, pull, soft, before, after, touch) -> int`: which trees' rates
          are to be solved for;
        * `settle(w, nv, width, dt, limits, q, dry, before, free, touch) -> int`: Newton's method, to rates `touch.v`;
        * `unsettle(w, nv, width, dt, limits, q, dry, before, free, after, rhs, touch, x)`: the adjoint's solve.
    """
    base = equation_functions(real)
    Limits, Touch = base.Limits, base.Touch
    leave, stiffen, slope_at, move_points = base.leave, base.stiffen, base.slope_at, base.move_points
    Trees, of_joint = base.Trees, base.of_joint
    exact = wp.constant(real(1.0e-26 if real is wp.float64 else 1.0e-11))
    rounded = wp.constant(real(1.0e-20 if real is wp.float64 else 1.0e-8))
    near, failed = wp.constant(real(NEAR)), wp.constant(real(FAILED))

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
        move_points(w, width, s.d, 0, s, s.step, s.step_spin)
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
            if found > 0 and s.active[w, k] == 1:
                s.v[w, k] = before[w, k]
        for r in range(limits.follower.shape[0]):
            both = wp.min(s.lead[w, limits.follower[r]], s.lead[w, limits.leader[r]])
            s.lead[w, limits.follower[r]] = both
            s.lead[w, limits.leader[r]] = both
        for r in range(s.sizes[w, 3]):
            widen(w, r * width, s.count[w, r], s)
        for r in range(limits.room, limits.room + limits.loop_hold.shape[0]):
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
                        if s.active[w, k] == 1:
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
                bounded = int(1)
                tries = int(0)
                while bounded == 1 and tries < 4:
                    share = wp.pow(real(0.5), real(tries))
                    for k in range(nv):
                        s.v[w, k] = s.start[w, k] + share * s.d[w, k]
                    less = leave(
                        w, nv, width, dt, limits, q, dry, before, free, s.v, 1, s
                    )  # fmt: skip
                    if less[0] < left[0]:
                        bounded = int(0)
                        left = less
                    tries += 1
                if bounded == 1:
                    if left[0] <= rounded * left[1]:  # no more can be had
                        stalled = int(1)
                    for k in range(nv):
                        s.v[w, k] = s.start[w, k]
                    left = leave(
                        w, nv, width, dt, limits, q, dry, before, free, s.v, 1, s
                    )  # fmt: skip
                steps += 1
        if left[0] > failed * left[1]:
            # no rest: that of the convex problem, whose friction is bounded by the normal impulses of the last iterate
            inner = int(0)
            while inner < STEPS and left[0] > exact * left[1]:
                stiffen(w, nv, width, dt, limits, q, dry, before, s.v, 0, s)
                descend(w, nv, s)
                share = search(w, nv, width, dt, limits, q, dry, before, free, s)
                for k in range(nv):
                    s.v[w, k] = s.v[w, k] + share * s.d[w, k]
                left = leave(w, nv, width, dt, limits, q, dry, before, free, s.v, 0, s)
                inner += 1
            steps += inner
            if left[0] > failed * left[1]:
                s.sizes[w, 4] = 1
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

    @wp.func
    def see_active(
        trees: Trees,
        w: int,
        dt: real,
        limits: Limits,
        width: int,
        q: wp.array2d(dtype=real),
        dry: wp.array2d(dtype=real),
        pull: wp.array2d(dtype=real),
        soft: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        after: wp.array2d(dtype=real),
        s: Touch,
    ) -> int:
        # Trees with contacts, or on which limits, dry friction or motors do anything at rates, or whose joints follow
        # others; and whether there are any. The rest move as if these were not there, bit for bit.
        any_active = int(0)
        for t in range(trees.first.shape[0] - 1):
            start = trees.v_start[trees.first[t]]
            end = trees.v_start[trees.first[t + 1]]
            active = int(0)
            for r in range(limits.follower.shape[0]):
                if limits.follower[r] >= start and limits.follower[r] < end:
                    active = 1
            for group in range(s.sizes[w, 3]):
                for e in range(group * width, group * width + s.count[w, group]):
                    if s.column[w, e] >= start and s.column[w, e] < end:
                        active = 1
            for group in range(limits.room, limits.room + limits.loop_hold.shape[0]):
                for e in range(group * width, group * width + s.count[w, group]):
                    if s.column[w, e] >= start and s.column[w, e] < end:
                        active = 1
            for k in range(start, end):
                if limits.free[k] == 0 or dry[w, k] != real(0.0):
                    pulled = of_joint(
                        dt, limits, w, k, q, dry[w, k], pull[w, k], soft[w, k], before[w, k], after[w, k]
                    )  # fmt: skip
                    if pulled[0] != real(0.0) or pulled[1] != real(0.0):
                        active = 1
            for k in range(start, end):
                s.active[w, k] = active
            any_active = wp.max(any_active, active)
        if any_active == 1:
            for k in range(pull.shape[1]):
                s.pull[w, k] = pull[w, k]
                s.soft[w, k] = soft[w, k]
        return any_active

    return SimpleNamespace(see_active=see_active, settle=settle, unsettle=unsettle, **vars(base))
