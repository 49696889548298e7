# SPDX-License-Identifier: Apache-2.0
"""Warp functions of the equations that rates solve after a tick with contact, limits and dry friction of joints: what
they leave, and how that changes with the rates.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_law import law_functions
from simenv.physics.bodies.kernels_loops import loop_functions

__all__ = ["STILL", "equation_functions"]

STILL = 1.0e-6  # [rad/s, m/s], below which dry friction of a joint grows with its rate


@built_once
def equation_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with what `loop_functions` has, and the functions

        * `of_joint(dt, limits, w, k, q, dry, pull, soft, before, after) -> vec2`: impulse of limits, of dry friction,
          and of what a motor lacks, at a rate, and
          minus its derivative;
        * `idle_rates(dt, limits, k, q, w, dry, pull, soft, before) -> vec2`: between which rates that is zero;
        * `leave(w, nv, width, dt, limits, q, dry, before, free, v, renew, touch) -> vec2`: A (v - v*) less all
          impulses, in `touch.g`, where A (v - v*) is A (v - free) less `touch.load`; where `renew` is 1, friction is
          bounded by the normal impulses at v, where it is 2, by none;
        * `stiffen(..., v, coupled, touch)`: its derivative H, after that; where `coupled` is 1, with that of the
          bounds;
        * `slope_at(..., share, linear, square, touch)`: the derivative along `touch.d` of what is minimised;
        * `move_points(w, width, d, touch)`: how velocities of all contacts change with a step.
    """
    base, law = loop_functions(real), law_functions(real)
    Bounds, Space, vec2, vec3, vec11, mat33 = base.Bounds, base.Space, base.vec2, base.vec3, base.vec11, base.mat33
    normal_impulse, drag = law.normal_impulse, law.drag
    resistance, resistance_slope = law.resistance, law.resistance_slope
    pull_group, stiffen_group, hold_group = base.pull_group, base.stiffen_group, base.hold_group
    leave_loops, stiffen_loops, slope_of_loops = base.leave_loops, base.stiffen_loops, base.slope_of_loops
    zero = wp.constant(real(0.0))
    still, stuck = wp.constant(real(STILL)), wp.constant(real(1.0e15))
    huge, boundless, close = wp.constant(real(1.0e35)), wp.constant(real(1.0e29)), wp.constant(real(1.0e-5))
    dense, move_group = base.dense, base.move_group
    times, add, square, leaving, copy_matrix = dense.times, dense.add, dense.square, dense.leaving, dense.copy_matrix

    @wp.func
    def of_joint(
        dt: real,
        limits: Bounds,
        w: int,
        k: int,
        q: wp.array2d(dtype=real),
        dry: real,
        pull: real,
        soft: real,
        before: real,
        after: real,
    ) -> vec2:
        # impulse of limits and dry friction at a rate, and minus its derivative
        out = vec2(real(0.0), real(0.0))
        stiff = limits[0].stiffest[k]
        at = limits[0].position[k]
        if at >= 0:
            push = normal_impulse(
                dt, q[w, at] - limits[0].lower[k], before, after, stiff, dt * stiff, zero, zero, zero, zero
            )  # fmt: skip
            back = normal_impulse(
                dt, limits[0].upper[k] - q[w, at], -before, -after, stiff, dt * stiff, zero, zero, zero, zero
            )  # fmt: skip
            out = vec2(push[0] - back[0], push[1] + back[1])
        if dry != real(0.0):
            if wp.abs(after) < still:
                out = out + vec2(-dt * dry * after / still, dt * dry / still)
            else:
                out = out + vec2(-dt * dry * wp.sign(after), real(0.0))
        # what the motor cannot give, which the inertia and the torque count as given
        wanted = dt * pull - soft * (after - before)
        most = dt * limits[0].effort[k]
        if wp.abs(wanted) > most:
            out = out + vec2(wp.sign(wanted) * most - wanted, -soft)
        beyond = wp.abs(after) - limits[0].fastest[k]
        if beyond > real(0.0):
            out = out + vec2(-dt * dt * stiff * wp.sign(after) * beyond, dt * dt * stiff)
        return out

    @wp.func
    def idle_rates(
        dt: real, limits: Bounds, k: int, q: wp.array2d(dtype=real), w: int, dry: real, pull: real, soft: real,
        before: real,
    ) -> vec2:  # fmt: skip
        # between which rates `of_joint` is zero; where that is nowhere, the second is below the first
        if dry != real(0.0):
            return vec2(real(1.0), real(-1.0))
        least = real(-huge)
        most = real(huge)
        at = limits[0].position[k]
        half = real(0.5) * dt
        if at >= 0:
            low = q[w, at] - limits[0].lower[k]
            high = limits[0].upper[k] - q[w, at]
            if half * before > low or -half * before > high:
                return vec2(real(1.0), real(-1.0))
            over = real(1.0) / half
            least = over * (close * wp.abs(low) - low)
            most = over * (high - close * wp.abs(high))
        if limits[0].effort[k] < boundless:
            wanted = dt * pull + soft * before
            can = dt * limits[0].effort[k]
            spare = close * (wp.abs(wanted) + can)
            if soft > real(0.0):
                least = wp.max(least, (wanted - can + spare) / soft)
                most = wp.min(most, (wanted + can - spare) / soft)
            elif wp.abs(wanted) > can:
                return vec2(real(1.0), real(-1.0))
        least = wp.max(least, -limits[0].fastest[k])
        most = wp.min(most, limits[0].fastest[k])
        return vec2(least, most)

    @wp.func
    def of_follower(
        dt: real, limits: Bounds, w: int, r: int, q: wp.array2d(dtype=real), v: wp.array2d(dtype=real)
    ) -> real:
        # impulse that makes a joint follow another
        off = q[w, limits[0].follower_at[r]] - limits[0].ratio[r] * q[w, limits[0].leader_at[r]] - limits[0].offset[r]
        rate = v[w, limits[0].follower[r]] - limits[0].ratio[r] * v[w, limits[0].leader[r]]
        return -dt * limits[0].hold[r] * (off + real(2.5) * dt * rate)

    @wp.func
    def stiffness_of(
        dt: real, x: vec11, push: vec2, n: vec3, held: vec3, now: vec3, bound: real, coupled: int
    ) -> mat33:
        # minus the derivative of a contact's impulse by `now`; `coupled` to the normal impulse that bounds friction
        out = push[1] * wp.outer(n, n)
        yields = real(2.0) * dt * dt * x[4] * x[9]
        wanted = -dt * x[4] * x[9] * held - yields * (now - wp.dot(n, now) * n)
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
    def stiffness_at(dt: real, r: int, w: int, coupled: int, s: Space) -> mat33:
        # of a contact, after `leave`
        return stiffness_of(
            dt, s[0].law[w, r], s[0].push[w, r], s[0].normal[w, r], s[0].held[w, r], s[0].now[w, r], s[0].bound[w, r],
            coupled,
        )  # fmt: skip

    @wp.func
    def move_points(w: int, width: int, d: wp.array2d(dtype=real), s: Space):
        # how velocities and angular velocities of all contacts change with a step of the rates
        group = int(-1)
        spin = vec3(real(0.0), real(0.0), real(0.0))
        speed = vec3(real(0.0), real(0.0), real(0.0))
        for r in range(s[0].sizes[w, 0]):
            if s[0].group[w, r] != group:
                group = s[0].group[w, r]
                moved = move_group(w, width, group, d, s)
                spin = vec3(moved[0], moved[1], moved[2])
                speed = vec3(moved[3], moved[4], moved[5])
            s[0].step[w, r] = speed + wp.cross(spin, s[0].arm[w, r])
            s[0].step_spin[w, r] = spin

    @wp.func
    def skew(x: vec3) -> mat33:
        zero = real(0.0)
        return mat33(zero, -x[2], x[1], x[2], zero, -x[0], -x[1], x[0], zero)

    @wp.func
    def leave(
        w: int,
        nv: int,
        width: int,
        dt: real,
        limits: Bounds,
        q: wp.array2d(dtype=real),
        dry: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        free: wp.array2d(dtype=real),
        v: wp.array2d(dtype=real),
        renew: int,
        s: Space,
    ) -> vec2:
        # What the equations leave at rates v, A (v - v*) less all impulses, in g; and its square over A's diagonal,
        # beside that of A (v - v*) and of A v, which rounding of stiff contact is in proportion to
        times(w, nv, s[0].a, s[0].low, s[0].high, v, free, 1, s[0].taken)
        add(w, nv, s[0].taken, real(-1.0), s[0].load, s[0].taken)
        add(w, nv, s[0].taken, zero, s[0].taken, s[0].g)
        whole = square(w, nv, s[0].taken, s[0].inverse) + square(w, nv, v, s[0].weight)
        k = leaving(w, nv, 0, 0, zero, s[0].active, v, v, s[0].least, s[0].most)
        while k < nv:
            joint = of_joint(dt, limits, w, k, q, dry[w, k], s[0].pull[w, k], s[0].soft[w, k], before[w, k], v[w, k])
            s[0].g[w, k] = s[0].g[w, k] - joint[0]
            k = leaving(w, nv, k + 1, 0, zero, s[0].active, v, v, s[0].least, s[0].most)
        for r in range(limits[0].follower.shape[0]):
            pulled_along = of_follower(dt, limits, w, r, q, v)
            first = limits[0].follower[r]
            other = limits[0].leader[r]
            s[0].g[w, first] = s[0].g[w, first] - pulled_along
            s[0].g[w, other] = s[0].g[w, other] + limits[0].ratio[r] * pulled_along
        leave_loops(w, width, dt, limits, v, s)
        group = int(-1)
        spin = vec3(real(0.0), real(0.0), real(0.0))
        speed = vec3(real(0.0), real(0.0), real(0.0))
        moment = vec3(real(0.0), real(0.0), real(0.0))
        force = vec3(real(0.0), real(0.0), real(0.0))
        for r in range(s[0].sizes[w, 0]):
            if s[0].group[w, r] != group:
                if group >= 0:
                    pull_group(w, width, group, moment, force, s)
                group = s[0].group[w, r]
                moment = vec3(real(0.0), real(0.0), real(0.0))
                force = vec3(real(0.0), real(0.0), real(0.0))
                moved = move_group(w, width, group, v, s)
                spin = vec3(moved[0], moved[1], moved[2])
                speed = vec3(moved[3], moved[4], moved[5])
            x = s[0].law[w, r]
            n = s[0].normal[w, r]
            arm = s[0].arm[w, r]
            now = speed + wp.cross(spin, arm) + s[0].given[w, r]
            s[0].now[w, r] = now
            rate = wp.dot(n, now)
            push = normal_impulse(dt, s[0].gap[w, r], s[0].was[w, r], rate, x[0], x[1], x[2], x[5], x[6], x[10])
            bound = s[0].bound[w, r]
            if renew == 1:
                bound = x[3] * push[0]
            elif renew == 2:
                bound = wp.where(push[0] > real(0.0), stuck, real(0.0))
            s[0].bound[w, r] = bound
            if renew != 0:
                s[0].press[w, r] = push[0]
            s[0].push[w, r] = push
            if push[0] > real(0.0) or bound > real(0.0):
                pulled = push[0] * n + drag(dt, bound, x[4], x[9], s[0].held[w, r], now - rate * n)
                force = force + pulled
                moment = moment + wp.cross(arm, pulled)
            if x[7] != zero or x[8] != zero:
                spun = spin + s[0].given_spin[w, r]
                s[0].spun[w, r] = spun
                moment = moment + resistance(s[0].press[w, r], x[7], x[8], n, spun)
        if group >= 0:
            pull_group(w, width, group, moment, force, s)
        return vec2(square(w, nv, s[0].g, s[0].inverse), whole)

    @wp.func
    def stiffen(
        w: int,
        nv: int,
        width: int,
        dt: real,
        limits: Bounds,
        q: wp.array2d(dtype=real),
        dry: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        v: wp.array2d(dtype=real),
        coupled: int,
        s: Space,
    ):
        # H = A + J^T G J at rates v, `now` and `bound` of `leave`; without coupling its lower half in the envelope
        pad = (nv + 7) // 8 * 8
        copy_matrix(w, nv, s[0].a, s[0].h)
        k = leaving(w, nv, 0, 0, zero, s[0].active, v, v, s[0].least, s[0].most)
        while k < nv:
            joint = of_joint(dt, limits, w, k, q, dry[w, k], s[0].pull[w, k], s[0].soft[w, k], before[w, k], v[w, k])
            s[0].h[w, k * pad + k] = s[0].h[w, k * pad + k] + joint[1]
            k = leaving(w, nv, k + 1, 0, zero, s[0].active, v, v, s[0].least, s[0].most)
        for r in range(limits[0].follower.shape[0]):
            first = limits[0].follower[r]
            other = limits[0].leader[r]
            held = real(2.5) * dt * dt * limits[0].hold[r]
            s[0].h[w, first * pad + first] = s[0].h[w, first * pad + first] + held
            across = limits[0].ratio[r] * held
            s[0].h[w, other * pad + other] = s[0].h[w, other * pad + other] + limits[0].ratio[r] * across
            high = wp.max(first, other)
            low = wp.min(first, other)
            s[0].h[w, high * pad + low] = s[0].h[w, high * pad + low] - across
            if coupled == 1:
                s[0].h[w, low * pad + high] = s[0].h[w, low * pad + high] - across
        stiffen_loops(w, nv, width, dt, limits, coupled, s)
        found = s[0].sizes[w, 0]
        r = int(0)
        while r < found:
            group = s[0].group[w, r]
            rolls = s[0].law[w, r][7]
            spins = s[0].law[w, r][8]
            plain = int(0)
            if rolls == zero and spins == zero:
                plain = 1
                if r + 1 < found:
                    if s[0].group[w, r + 1] == group:
                        plain = 0
            if plain == 1:  # the only one, where its group is
                hold_group(w, nv, width, group, coupled, stiffness_at(dt, r, w, coupled, s), s)
                r += 1
            else:
                nn = mat33()
                nf = mat33()
                fn = mat33()
                ff = mat33()
                more = int(1)
                while more == 1:
                    stiff = stiffness_at(dt, r, w, coupled, s)
                    arm = skew(s[0].arm[w, r])
                    turned = stiff * arm
                    ff = ff + stiff
                    fn = fn - turned
                    nf = nf + arm * stiff
                    nn = nn - arm * turned
                    rolls = s[0].law[w, r][7]
                    spins = s[0].law[w, r][8]
                    if rolls != zero or spins != zero:
                        nn = nn + resistance_slope(s[0].press[w, r], rolls, spins, s[0].normal[w, r], s[0].spun[w, r])
                        if coupled == 1:
                            one = resistance(real(1.0), rolls, spins, s[0].normal[w, r], s[0].spun[w, r])
                            tied = s[0].push[w, r][1] * wp.outer(one, s[0].normal[w, r])
                            nf = nf + tied
                            nn = nn - tied * arm
                    r += 1
                    more = 0
                    if r < found:
                        if s[0].group[w, r] == group:
                            more = 1
                stiffen_group(w, nv, width, group, coupled, nn, nf, fn, ff, s)

    @wp.func
    def slope_at(
        w: int,
        nv: int,
        width: int,
        dt: real,
        share: real,
        limits: Bounds,
        q: wp.array2d(dtype=real),
        dry: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        linear: real,
        square: real,
        s: Space,
    ) -> real:
        # derivative along d of what is minimised, at v + share d
        out = linear + share * square + slope_of_loops(w, width, dt, share, limits, s)
        for r in range(s[0].sizes[w, 0]):
            x = s[0].law[w, r]
            n = s[0].normal[w, r]
            now = s[0].now[w, r] + share * s[0].step[w, r]
            rate = wp.dot(n, now)
            push = normal_impulse(dt, s[0].gap[w, r], s[0].was[w, r], rate, x[0], x[1], x[2], x[5], x[6], x[10])
            along = drag(dt, s[0].bound[w, r], x[4], x[9], s[0].held[w, r], now - rate * n)
            out = out - wp.dot(push[0] * n + along, s[0].step[w, r])
            if x[7] != zero or x[8] != zero:
                spun = s[0].spun[w, r] + share * s[0].step_spin[w, r]
                out = out - wp.dot(resistance(s[0].press[w, r], x[7], x[8], n, spun), s[0].step_spin[w, r])
        k = leaving(w, nv, 0, 1, share, s[0].active, s[0].v, s[0].d, s[0].least, s[0].most)
        while k < nv:
            there = s[0].v[w, k] + share * s[0].d[w, k]
            pulled = of_joint(dt, limits, w, k, q, dry[w, k], s[0].pull[w, k], s[0].soft[w, k], before[w, k], there)
            out = out - pulled[0] * s[0].d[w, k]
            k = leaving(w, nv, k + 1, 1, share, s[0].active, s[0].v, s[0].d, s[0].least, s[0].most)
        for r in range(limits[0].follower.shape[0]):
            along_d = s[0].d[w, limits[0].follower[r]] - limits[0].ratio[r] * s[0].d[w, limits[0].leader[r]]
            so_far = of_follower(dt, limits, w, r, q, s[0].v)
            out = out - (so_far - real(2.5) * dt * dt * limits[0].hold[r] * share * along_d) * along_d
        return out

    return SimpleNamespace(
        of_joint=of_joint, idle_rates=idle_rates, of_follower=of_follower, leave=leave, stiffen=stiffen,
        slope_at=slope_at, move_points=move_points, normal_partials=law.normal_partials, **vars(base),
    )  # fmt: skip
