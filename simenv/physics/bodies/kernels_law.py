# SPDX-License-Identifier: Apache-2.0
"""Warp functions of the law of rigid contact: the impulse of one contact in a tick, from velocities after it.

Along the normal a spring of stiffness k, whose force is averaged over the part of the tick in which there is
penetration, as if its rate were constant on each half of the leapfrog: work of that mean equals the change of the
spring's energy, so that an undamped contact gives back what it took at any tick (a discrete gradient; Gonzalez 1996).
Times 1 - d v' of Hunt and Crossley (1975), and less c v' / (1 + d |v'|) of Kelvin and Voigt, both with the velocity v'
after the tick, and never a pull. The second damper is for what rests: it comes in over a depth of 10 dt^2 m/s^2, so
that it does not begin with a jump, and d bounds what it does to what is fast. The impulse falls with v', so that
contact is a convex problem (Castro et al. 2022, 2023: SAP, irrotational contact fields).

With a coefficient of restitution e and the speed u at which a contact has been closing, nothing damps the spring until
it has given e u, and then it pushes no more. With a width w the spring is that of a gap that is off by anything
between -w and w, on the mean.

Along the surface a spring and a damper, taken implicitly, hold the point that stuck (an anchor), and Coulomb's law cuts
them. Turning against the surface, rolling about its tangents and spinning about its normal, is resisted by a moment
that is a length times the normal impulse.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.touching import PERIOD

__all__ = ["LAW", "law_functions"]

LAW = (
    "stiffness", "relaxation", "dissipation", "friction", "shear", "restitution", "rolling", "spinning", "sigma",
    "width",
)  # numbers of a law, in the order of the kernels  # fmt: skip
SHALLOW = 1.0  # [m/s^2], depth over the square of a tick at which the damper of what rests is half of what it can be
REST = 10.0  # [m/s^2], speed over a tick of a rebound below which what rests is damped
SHARP = 2.0e-3  # over which share of the speed of a rebound the spring ends
TURNING = 1.0e-4  # [rad/s], below which resistance to rolling grows with the rate


@built_once
def law_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `prepared(dt, numbers, stiffest, closing) -> vec11`: what the others take of the numbers `LAW` (vec10) of a
          contact that is at most so stiff [N/m] and has been closing at a speed [m/s]: k, c, d, friction, stiffness
          along the surface, d while it closes, speed of the rebound, lengths of rolling and spinning, how much is left
          of friction's stiffness, width;
        * `closing_speed(dt, stored, before) -> real`, and `closing_after(closing, before, after) -> real`, what to
          store of it;
        * `normal_impulse(dt, gap, before, after, k, c, d, d_in, rebound, width) -> vec2`: impulse [N s], and minus its
          derivative by `after`; of the gap midway [m], and the rates of the gap before and after the tick [m/s];
        * `normal_partials(dt, gap, before, after, k, c) -> vec2`: the derivatives of the impulse by `gap` and
          `before`, of a contact with neither d, rebound nor width;
        * `drag(dt, limit, k, left, held, slip) -> vec3`: impulse along the surface, at most `limit`, of the
          displacement held before the tick [m] and the velocity along the surface after it [m/s];
        * `resistance(press, rolling, spinning, n, spin) -> vec3`: moment against an angular velocity [rad/s] of a
          normal impulse [N s], and `resistance_slope`, minus its derivative by that;
        * types `vec2`, `vec3`, `vec10`, `vec11`, `mat33`.
    """
    shallow, rest, sharp = wp.constant(real(SHALLOW)), wp.constant(real(REST)), wp.constant(real(SHARP))
    turning, periods = wp.constant(real(TURNING)), wp.constant(real(2.0 * PERIOD**2))
    none = wp.constant(real(1.0e-12))
    vec2 = wp.types.vector(length=2, dtype=real)
    vec3 = wp.types.vector(length=3, dtype=real)
    vec10 = wp.types.vector(length=10, dtype=real)
    vec11 = wp.types.vector(length=11, dtype=real)
    mat33 = wp.types.matrix(shape=(3, 3), dtype=real)

    @wp.func
    def closing_speed(dt: real, stored: real, before: real) -> real:
        # that of a tick, of which nothing below dt m/s^2 counts, so that what rests stays at zero
        least = dt * shallow
        sped = wp.min(-before, real(2.0) * (-before - least))
        out = stored
        if sped > real(0.0):
            out = wp.max(stored, sped)
        return out

    @wp.func
    def closing_after(closing: real, before: real, after: real) -> real:
        # what closes again after it has been opening does so for the first time
        out = closing
        if before >= real(0.0) and after < real(0.0):
            out = real(0.0)
        return out

    @wp.func
    def prepared(dt: real, numbers: vec10, stiffest: real, closing: real) -> vec11:
        k = wp.min(numbers[0], stiffest)
        along = numbers[4] * k
        e = numbers[5]
        d = numbers[2]
        lost = wp.max(real(1.0) - e * e, real(0.0))
        fast = e * closing / (rest * dt)
        fast = fast * fast
        c = k * numbers[1] / (real(1.0) + fast * fast)
        d_in = d * lost / wp.max(lost + d * e * e * closing, none)
        rebound = wp.max(e, real(0.0)) * closing
        left = real(1.0) / (real(1.0) + periods * numbers[8] * along / stiffest)
        wide = wp.max(numbers[9], real(0.0))
        return vec11(k, c, d, numbers[3], along, d_in, rebound, numbers[6], numbers[7], left, wide)

    @wp.func
    def energy(depth: real, k: real, w: real) -> real:
        # of a spring pressed in by a depth, which is w where the surface is
        out = real(0.0)
        if depth > real(2.0) * w:
            out = k * (depth * (real(0.5) * depth - w) + w * w * real(2.0 / 3.0))
        elif depth > real(0.0):
            out = k * depth * depth * depth / (real(12.0) * w)
        return out

    @wp.func
    def force(depth: real, k: real, w: real) -> real:
        out = real(0.0)
        if depth > real(2.0) * w:
            out = k * (depth - w)
        elif depth > real(0.0):
            out = k * depth * depth / (real(4.0) * w)
        return out

    @wp.func
    def mean_force(first: real, last: real, k: real, w: real) -> vec3:
        # the mean of a spring's force on the way from one depth to another, and its derivatives by these
        zero = real(0.0)
        if first <= zero and last <= zero:
            return vec3(zero, zero, zero)
        if first > real(2.0) * w and last > real(2.0) * w:
            return vec3(k * (real(0.5) * (first + last) - w), real(0.5) * k, real(0.5) * k)
        if first > zero and last > zero and first <= real(2.0) * w and last <= real(2.0) * w:
            part = k / (real(12.0) * w)
            return vec3(
                part * (first * first + first * last + last * last), part * (real(2.0) * first + last),
                part * (first + real(2.0) * last),
            )  # fmt: skip
        way = last - first
        mean = (energy(last, k, w) - energy(first, k, w)) / way
        return vec3(mean, (mean - force(first, k, w)) / way, (force(last, k, w) - mean) / way)

    @wp.func
    def eased(after: real, d: real, d_in: real, rebound: real) -> vec2:
        # what damping that is proportional to the force leaves of it, and the derivative of that
        if after < real(0.0):
            return vec2(real(1.0) - d_in * after, -d_in)
        out = vec2(real(1.0) - d * after, -d)
        if out[0] <= real(0.0):
            out = vec2(real(0.0), real(0.0))
        if rebound > real(0.0):
            over = (after - rebound) / (sharp * rebound)
            if over <= real(0.0):
                out = vec2(real(1.0), real(0.0))
            elif real(1.0) - over > out[0]:
                out = vec2(real(1.0) - over, -real(1.0) / (sharp * rebound))
        return out

    @wp.func
    def normal_impulse(
        dt: real, gap: real, before: real, after: real, k: real, c: real, d: real, d_in: real, rebound: real, w: real
    ) -> vec2:
        zero = real(0.0)
        half = real(0.5) * dt
        mean = mean_force(w - (gap - half * before), w - (gap + half * after), k, w)
        if mean[0] <= zero:
            return vec2(zero, zero)
        more = eased(after, d, d_in, rebound)
        full = mean[0] + k * dt * dt * shallow  # of what damps as well as it can
        part = real(1.0) / full
        slow = real(1.0) / (real(1.0) + d * wp.abs(after))
        pushed = mean[0] * more[0] - c * (after * slow) * mean[0] * part
        if pushed <= zero:
            return vec2(zero, zero)
        by_mean = more[0] - c * (after * slow) * k * dt * dt * shallow * part * part
        fall = mean[0] * more[1] - half * mean[2] * by_mean - c * mean[0] * part * slow * slow
        return vec2(dt * pushed, wp.max(-dt * fall, zero))

    @wp.func
    def normal_partials(dt: real, gap: real, before: real, after: real, k: real, c: real) -> vec2:
        zero = real(0.0)
        half = real(0.5) * dt
        push = normal_impulse(dt, gap, before, after, k, c, zero, zero, zero, zero)
        if push[0] <= zero:
            return vec2(zero, zero)
        mean = mean_force(half * before - gap, -gap - half * after, k, zero)
        full = mean[0] + k * dt * dt * shallow
        by_mean = dt * (real(1.0) - c * after * k * dt * dt * shallow / (full * full))
        return vec2(-by_mean * (mean[1] + mean[2]), half * by_mean * mean[1])

    @wp.func
    def drag(dt: real, limit: real, k: real, left: real, held: vec3, slip: vec3) -> vec3:
        way = held + (real(2.0) * dt) * slip
        stiff = dt * k * left
        size2 = wp.dot(way, way)
        if size2 * stiff * stiff > limit * limit:
            return -(limit / wp.sqrt(size2)) * way
        return -stiff * way

    @wp.func
    def resistance(press: real, rolling: real, spinning: real, n: vec3, spin: vec3) -> vec3:
        about = wp.dot(n, spin)
        rolls = spin - about * n
        size2 = wp.dot(rolls, rolls)
        rate = turning
        if size2 > turning * turning:
            rate = wp.sqrt(size2)
        return -(press * rolling / rate) * rolls - (press * spinning / wp.max(wp.abs(about), turning)) * about * n

    @wp.func
    def resistance_slope(press: real, rolling: real, spinning: real, n: vec3, spin: vec3) -> mat33:
        about = wp.dot(n, spin)
        rolls = spin - about * n
        size2 = wp.dot(rolls, rolls)
        up = wp.outer(n, n)
        out = wp.identity(n=3, dtype=real) - up
        if size2 > turning * turning:
            out = (press * rolling / wp.sqrt(size2)) * (out - wp.outer(rolls, rolls) / size2)
        else:
            out = (press * rolling / turning) * out
        if wp.abs(about) < turning:
            out = out + (press * spinning / turning) * up
        return out

    return SimpleNamespace(
        prepared=prepared, closing_speed=closing_speed, closing_after=closing_after, normal_impulse=normal_impulse,
        normal_partials=normal_partials, drag=drag, resistance=resistance, resistance_slope=resistance_slope,
        vec2=vec2, vec3=vec3, vec10=vec10, vec11=vec11, mat33=mat33,
    )  # fmt: skip
