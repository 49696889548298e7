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
DONE, START, ROUND, RENEW, TRY, BACK, STUCK, LAST = range(8)  # what rates are: see `settle`
NONE, BOUNDED, WHOLE = range(3)  # steps
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
    Trees, of_joint, idle_rates, vec2 = base.Trees, base.of_joint, base.idle_rates, base.vec2
    times, add, dot, transpose, solve = (
        base.dense.times, base.dense.add, base.dense.dot, base.dense.transpose, base.dense.solve
    )  # fmt: skip
    exact = wp.constant(real(1.0e-26 if real is wp.float64 else 1.0e-11))
    rounded = wp.constant(real(1.0e-20 if real is wp.float64 else 1.0e-8))
    near, failed = wp.constant(real(NEAR)), wp.constant(real(FAILED))

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
        start = dot(w, nv, s.g, s.d)
        times(w, nv, s.a, s.low, s.high, s.d, s.d, 0, s.taken_step)
        square = dot(w, nv, s.taken_step, s.d)
        linear = dot(w, nv, s.taken, s.d)
        move_points(w, width, s.d, 0, s, s.step, s.step_spin)
        share = real(1.0)
        low = real(0.0)
        high = real(1.0)
        low_rise = start
        high_rise = start
        tries = int(-1)
        while tries < 20:
            rise = slope_at(w, nv, width, dt, share, limits, q, dry, before, linear, square, s)
            if rise > real(0.0) or tries < 0:
                high = share
                high_rise = rise
            else:
                low = share
                low_rise = rise
            tries += 1
            if wp.abs(rise) <= -real(0.1) * start or high_rise <= -real(0.1) * start:
                tries = 20
            # between, by the secant, or the middle where that is slow
            if tries < 20:
                share = low - low_rise * (high - low) / (high_rise - low_rise)
                share = wp.clamp(share, low + real(0.1) * (high - low), low + real(0.9) * (high - low))
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
        pad = (nv + 7) // 8 * 8
        for k in range(nv):
            s.v[w, k] = free[w, k]
            s.inverse[w, k] = real(0.0)
            s.weight[w, k] = real(0.0)
            if s.active[w, k] == 1:
                heavy = s.a[w, k * pad + k]
                s.inverse[w, k] = real(1.0) / heavy
                if limits.told[k] == 0:  # else what holds it would hide all others
                    s.weight[w, k] = heavy
                if found > 0:
                    s.v[w, k] = before[w, k]
        task = int(START)  # what the rates are that `leave` is asked about
        bounds = int(1)
        steps = int(0)
        rounds = int(0)
        inner = int(0)
        goal = real(0.0)
        share = real(1.0)
        left = vec2(real(0.0), real(0.0))
        while task != DONE:
            now = leave(w, nv, width, dt, limits, q, dry, before, free, s.v, bounds, s)
            inner += 1
            kind = int(NONE)
            over = int(0)
            if task == TRY and not now[0] < left[0]:
                share = real(0.5) * share
                if inner == 4:
                    share = real(0.0)
                    task = BACK
            else:
                left = now
                if task == ROUND and inner < 12 and left[0] > wp.max(goal, exact * left[1]):
                    kind = BOUNDED
                elif task == ROUND:
                    task = RENEW
                    bounds = 1
                elif task == STUCK:
                    kind = BOUNDED
                elif task == LAST:
                    kind = BOUNDED
                    if inner > STEPS or left[0] <= exact * left[1]:
                        kind = NONE
                        task = DONE
                elif left[0] <= exact * left[1] or steps >= STEPS:
                    over = 1
                elif task == BACK and left[0] <= rounded * left[1]:  # no more can be had
                    over = 1
                elif task == RENEW or task == TRY:
                    kind = WHOLE
                else:
                    rounds += 1
                    kind = BOUNDED
                    if rounds == 2:  # from what would be if all stuck
                        kind = NONE
                        task = STUCK
                        bounds = 2
                        for k in range(nv):
                            if s.active[w, k] == 1:
                                s.v[w, k] = before[w, k]
            if over == 1:
                task = DONE
                if left[0] > failed * left[1]:
                    # no rest: that of the convex problem, whose friction is bounded by the last normal impulses
                    task = LAST
                    kind = BOUNDED
                    inner = 0
            if kind == BOUNDED:
                bounds = 0
                if task != LAST and task != ROUND:
                    task = ROUND
                    goal = near * left[0]
                    inner = 0
            if kind == WHOLE:
                task = TRY
                bounds = 1
                inner = 0
            if kind != NONE:
                stiffen(w, nv, width, dt, limits, q, dry, before, s.v, kind - 1, s)
                solve(w, nv, kind - 1, s.active, s.g, s.h, s.lead, s.row, s.rest, s.d)
                share = real(1.0)
                if kind == BOUNDED:
                    share = search(w, nv, width, dt, limits, q, dry, before, free, s)
                add(w, nv, s.v, real(0.0), s.d, s.start)
                steps += 1
            if kind != NONE or task == TRY or task == BACK:
                add(w, nv, s.start, share, s.d, s.v)
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
        transpose(w, nv, s.h)
        add(w, nv, rhs, real(-2.0), rhs, s.g)
        solve(w, nv, 1, s.active, s.g, s.h, s.lead, s.row, s.rest, x_out)

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
                least = real(-1.0e35)
                most = real(1.0e35)
                if limits.free[k] == 0 or dry[w, k] != real(0.0):
                    idle = idle_rates(dt, limits, k, q, w, dry[w, k], pull[w, k], soft[w, k], before[w, k])
                    least = idle[0]
                    most = idle[1]
                s.least[w, k] = least
                s.most[w, k] = most
                if not (after[w, k] >= least and after[w, k] <= most):
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
