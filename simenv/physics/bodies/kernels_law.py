# SPDX-License-Identifier: Apache-2.0
"""Warp functions of the law of rigid contact: the impulse of one contact in a tick, from velocities after it.

Along the normal a spring of stiffness k, whose force is averaged over the part of the tick in which there is
penetration, as if its rate were constant on each half of the leapfrog: work of that mean equals the change of the
spring's energy, so that an undamped contact gives back what it took at any tick (a discrete gradient; Gonzalez 1996).
Times 1 - d v' of Hunt and Crossley (1975), and less c v' / (1 + d |v'|) of Kelvin and Voigt, both with the velocity v'
after the tick, and never a pull. The second damper is for what rests: it comes in over a depth of 10 dt^2 m/s^2, so
that it does not begin with a jump, and d bounds what it does to what is fast. The impulse falls with v', so that
contact is a convex problem (Castro et al. 2022, 2023: SAP, irrotational contact fields).

Along the surface a spring and a damper, taken implicitly, hold the point that stuck (an anchor), and Coulomb's law cuts
them.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["law_functions"]

SHALLOW = 1.0  # [m/s^2], depth over the square of a tick at which the damper of what rests is half of what it can be


@built_once
def law_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `normal_impulse(dt, gap, before, after, k, c, d) -> vec2`: impulse [N s], and minus its derivative by `after`;
          of the gap midway [m], and the rates of the gap before and after the tick [m/s];
        * `normal_partials(dt, gap, before, after, k, c, d) -> vec2`: the derivatives of the impulse by `gap` and
          `before`;
        * `drag(dt, limit, k, c, held, slip) -> vec3`: impulse along the surface, at most `limit`, of the displacement
          held before the tick [m] and the velocity along the surface after it [m/s];
        * types `vec2`, `vec3`.
    """
    shallow = wp.constant(real(SHALLOW))
    vec2 = wp.types.vector(length=2, dtype=real)
    vec3 = wp.types.vector(length=3, dtype=real)

    @wp.func
    def normal_impulse(dt: real, gap: real, before: real, after: real, k: real, c: real, d: real) -> vec2:
        zero = real(0.0)
        half = real(0.5) * dt
        first = gap - half * before
        last = gap + half * after
        if first >= zero and last >= zero:
            return vec2(zero, zero)
        mean = -real(0.5) * k * (first + last)
        slope = -real(0.5) * k
        if first >= zero:  # it enters
            way = first - last
            mean = real(0.5) * k * last * last / way
            slope = real(0.5) * k * last * (real(2.0) * first - last) / (way * way)
        elif last >= zero:  # it leaves
            way = last - first
            mean = real(0.5) * k * first * first / way
            slope = -mean / way
        more = wp.max(real(1.0) - d * after, zero)
        full = mean + k * dt * dt * shallow  # of what damps as well as it can
        slow = after / (real(1.0) + d * wp.abs(after))
        force = mean * more - c * slow * mean / full
        if force <= zero:
            return vec2(zero, zero)
        eases = (real(1.0) + d * wp.abs(after)) * (real(1.0) + d * wp.abs(after))
        by_mean = more - c * slow * k * dt * dt * shallow / (full * full)
        fall = half * slope * by_mean - c * mean / (full * eases)
        if more > zero:
            fall = fall - mean * d
        return vec2(dt * force, wp.max(-dt * fall, zero))

    @wp.func
    def normal_partials(dt: real, gap: real, before: real, after: real, k: real, c: real, d: real) -> vec2:
        zero = real(0.0)
        half = real(0.5) * dt
        push = normal_impulse(dt, gap, before, after, k, c, d)
        if push[0] <= zero:
            return vec2(zero, zero)
        first = gap - half * before
        last = gap + half * after
        mean = -real(0.5) * k * (first + last)
        by_first = -real(0.5) * k
        by_last = by_first
        if first >= zero:
            way = first - last
            mean = real(0.5) * k * last * last / way
            by_first = -mean / way
            by_last = real(0.5) * k * last * (real(2.0) * first - last) / (way * way)
        elif last >= zero:
            way = last - first
            mean = real(0.5) * k * first * first / way
            by_first = real(0.5) * k * first * (real(2.0) * last - first) / (way * way)
            by_last = -mean / way
        more = wp.max(real(1.0) - d * after, zero)
        full = mean + k * dt * dt * shallow
        slow = after / (real(1.0) + d * wp.abs(after))
        by_mean = dt * (more - c * slow * k * dt * dt * shallow / (full * full))
        return vec2(by_mean * (by_first + by_last), -half * by_mean * by_first)

    @wp.func
    def drag(dt: real, limit: real, k: real, c: real, held: vec3, slip: vec3) -> vec3:
        wanted = -dt * (k * held + (dt * k + c) * slip)
        size2 = wp.dot(wanted, wanted)
        if size2 > limit * limit:
            wanted = (limit / wp.sqrt(size2)) * wanted
        return wanted

    return SimpleNamespace(
        normal_impulse=normal_impulse, normal_partials=normal_partials, drag=drag, vec2=vec2, vec3=vec3
    )
