# SPDX-License-Identifier: Apache-2.0
"""Warp functions of the velocities that contact, joint limits and dry friction leave: a convex problem for every world.

With A the joint-space inertia and what is taken implicitly, and v* the rates without contact, v minimises
|v - v*|_A^2 / 2 + sum l(J v), where -l' is the impulse of a contact (kernels_law), with friction bounded by the normal
impulse, so that what is found is Coulomb's law. Newton's method on these whole equations converges squarely; where it
does not leave less, it takes in turn the convex problem whose friction is bounded by the last iterate's normal
impulses, with a line search along each step. The adjoint is one more solve with the transpose of the Jacobian of the
converged equations, which that bound makes unsymmetric. kernels_dense and kernels_rows have the algebra.

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
          are to be solved for, after `see_touched(w, nv, limits, width, touch)`;
        * `settle(w, nv, width, dt, limits, q, dry, before, free, touch) -> int`: Newton's method, to rates `touch.v`;
        * `unsettle(w, nv, width, dt, limits, q, dry, before, free, after, rhs, touch, x)`: the adjoint's solve;
        * `unfollow(w, limits, x, q_adj)`: what joints that follow others add to adjoints of positions.
    """
    base = equation_functions(real)
    Bounds, Space = base.Bounds, base.Space
    leave, stiffen, slope_at, move_points = base.leave, base.stiffen, base.slope_at, base.move_points
    Trees, of_joint, idle_rates, vec2 = base.Trees, base.of_joint, base.idle_rates, base.vec2
    dense = base.dense
    times, add, dot, transpose, solve, mark = (
        dense.times, dense.add, dense.dot, dense.transpose, dense.solve, dense.mark
    )  # fmt: skip
    begin, clear, clear_marks, copy_row = dense.begin, dense.clear, dense.clear_marks, dense.copy_row
    exact = wp.constant(real(1.0e-26 if real is wp.float64 else 1.0e-11))
    rounded = wp.constant(real(1.0e-20 if real is wp.float64 else 1.0e-8))
    near, failed = wp.constant(real(NEAR)), wp.constant(real(FAILED))

    @wp.func
    def search(
        w: int,
        nv: int,
        width: int,
        dt: real,
        limits: Bounds,
        q: wp.array2d(dtype=real),
        dry: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        free: wp.array2d(dtype=real),
        s: Space,
    ) -> real:
        # how far to go along d of the convex problem, whose slope along it rises
        start = dot(w, nv, s[0].g, s[0].d)
        times(w, nv, s[0].a, s[0].low, s[0].high, s[0].d, s[0].d, 0, s[0].taken_step)
        square = dot(w, nv, s[0].taken_step, s[0].d)
        linear = dot(w, nv, s[0].taken, s[0].d)
        move_points(w, width, s[0].d, s)
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
        limits: Bounds,
        q: wp.array2d(dtype=real),
        dry: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        free: wp.array2d(dtype=real),
        s: Space,
    ) -> int:
        # From the rates before the tick, or without contact those without impulses; `free` are rates v* without
        # impulses, or, where a tree has a `load`, those before the tick. Newton's method on the whole
        # equations as long as that leaves less, and then a round on the problem whose friction is bounded by the last
        # normal impulses. One loop, so that each part is compiled once. Returns the number of steps.
        found = s[0].sizes[w, 0]
        again = int(0)
        if found > 0:
            again = 1
        begin(
            w, nv, s[0].a, s[0].active, limits[0].told, again, free, before, s[0].v, s[0].inverse, s[0].weight
        )  # fmt: skip
        task = int(START)  # what the rates are that `leave` is asked about
        bounds = int(1)
        steps = int(0)
        rounds = int(0)
        inner = int(0)
        goal = real(0.0)
        share = real(1.0)
        left = vec2(real(0.0), real(0.0))
        while task != DONE:
            now = leave(w, nv, width, dt, limits, q, dry, before, free, s[0].v, bounds, s)
            inner += 1
            kind = int(NONE)
            over = int(0)
            if task == TRY and not now[0] < left[0]:
                share = wp.pow(real(0.5), real(inner))
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
                elif left[0] <= exact * left[1] or steps >= STEPS or (task == BACK and left[0] <= rounded * left[1]):
                    over = 1  # or no more can be had
                elif task == START or task == RENEW or task == TRY:  # noqa: SIM109  Warp has no `in`
                    kind = WHOLE
                else:
                    rounds += 1
                    kind = BOUNDED
                    if rounds == 2:  # from what would be if all stuck
                        kind = NONE
                        task = STUCK
                        bounds = 2
                        for k in range(nv):
                            if s[0].active[w, k] == 1:
                                s[0].v[w, k] = before[w, k]
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
                stiffen(w, nv, width, dt, limits, q, dry, before, s[0].v, kind - 1, s)
                solve(w, nv, kind - 1, s[0].active, s[0].g, s[0].h, s[0].lead, s[0].row, s[0].rest, s[0].d)
                share = real(1.0)
                if kind == BOUNDED:
                    share = search(w, nv, width, dt, limits, q, dry, before, free, s)
                add(w, nv, s[0].v, real(0.0), s[0].d, s[0].start)
                steps += 1
            if kind != NONE or task == TRY or task == BACK:  # noqa: SIM109
                add(w, nv, s[0].start, share, s[0].d, s[0].v)
        if left[0] > failed * left[1]:
            s[0].sizes[w, 4] = 1
        return steps

    @wp.func
    def unsettle(
        w: int,
        nv: int,
        width: int,
        dt: real,
        limits: Bounds,
        q: wp.array2d(dtype=real),
        dry: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        free: wp.array2d(dtype=real),
        after: wp.array2d(dtype=real),
        rhs: wp.array2d(dtype=real),
        s: Space,
        x_out: wp.array2d(dtype=real),
    ):
        # x = H^-T rhs with the Jacobian of the equations that `after` solves
        for k in range(nv):
            s[0].v[w, k] = after[w, k]
        leave(w, nv, width, dt, limits, q, dry, before, free, s[0].v, 1, s)
        stiffen(w, nv, width, dt, limits, q, dry, before, s[0].v, 1, s)
        transpose(w, nv, s[0].h)
        for k in range(nv):
            s[0].g[w, k] = -rhs[w, k]
        solve(w, nv, 1, s[0].active, s[0].g, s[0].h, s[0].lead, s[0].row, s[0].rest, x_out)

    @wp.func
    def unfollow(w: int, limits: Bounds, x: wp.array2d(dtype=real), q_adj: wp.array2d(dtype=real)):
        # what joints that follow others add to adjoints of positions, of the adjoint's solution
        for r in range(limits[0].follower.shape[0]):
            held = -limits[0].hold[r] * (
                x[w, limits[0].follower[r]] - limits[0].ratio[r] * x[w, limits[0].leader[r]]
            )  # fmt: skip
            a = limits[0].follower_at[r]
            b = limits[0].leader_at[r]
            q_adj[w, a] = q_adj[w, a] + held
            q_adj[w, b] = q_adj[w, b] - limits[0].ratio[r] * held

    @wp.func
    def see_touched(w: int, nv: int, limits: Bounds, width: int, s: Space):
        # rates of joints that carry contacts or follow others, as active
        clear_marks(w, nv, s[0].active)
        clear(w, nv, s[0].load)
        for r in range(limits[0].follower.shape[0]):
            s[0].active[w, limits[0].follower[r]] = 1
        for group in range(s[0].sizes[w, 3]):
            mark(w, group * width, s[0].count[w, group], s[0].column, s[0].active)
        for group in range(limits[0].room, limits[0].room + limits[0].loop_hold.shape[0]):
            mark(w, group * width, s[0].count[w, group], s[0].column, s[0].active)

    @wp.func
    def see_active(
        trees: Trees,
        w: int,
        dt: real,
        limits: Bounds,
        width: int,
        q: wp.array2d(dtype=real),
        dry: wp.array2d(dtype=real),
        pull: wp.array2d(dtype=real),
        soft: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        after: wp.array2d(dtype=real),
        s: Space,
    ) -> int:
        # Trees that are touched, or on which limits, dry friction or motors do anything at rates; and whether there
        # are any. The rest move as if these were not there, bit for bit.
        nv = pull.shape[1]
        any_active = int(0)
        for t in range(trees.first.shape[0] - 1):
            start = trees.v_start[trees.first[t]]
            end = trees.v_start[trees.first[t + 1]]
            active = int(0)
            for k in range(start, end):
                active = wp.max(active, s[0].active[w, k])
            for k in range(start, end):
                least = real(-1.0e35)
                most = real(1.0e35)
                if limits[0].free[k] == 0 or dry[w, k] != real(0.0):
                    idle = idle_rates(dt, limits, k, q, w, dry[w, k], pull[w, k], soft[w, k], before[w, k])
                    least = idle[0]
                    most = idle[1]
                s[0].least[w, k] = least
                s[0].most[w, k] = most
                if not (after[w, k] >= least and after[w, k] <= most):
                    pulled = of_joint(
                        dt, limits, w, k, q, dry[w, k], pull[w, k], soft[w, k], before[w, k], after[w, k]
                    )  # fmt: skip
                    if pulled[0] != real(0.0) or pulled[1] != real(0.0):
                        active = 1
            for k in range(start, end):
                s[0].active[w, k] = active
            any_active = wp.max(any_active, active)
        if any_active == 1:
            copy_row(w, nv, pull, s[0].pull)
            copy_row(w, nv, soft, s[0].soft)
        return any_active

    return SimpleNamespace(
        see_touched=see_touched,
        see_active=see_active,
        settle=settle,
        unsettle=unsettle,
        unfollow=unfollow,
        **vars(base),
    )
