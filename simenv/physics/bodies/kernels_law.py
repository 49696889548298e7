# SPDX-License-Identifier: Apache-2.0
"""Warp functions of the law of rigid contact: the impulse of one contact in a tick, from velocities after it.

Along the normal a spring of stiffness k, whose force is averaged over the part of the tick in which there is
penetration, as if its rate were constant on each half of the leapfrog: work of that mean equals the change of the
spring's energy, so that an undamped contact gives back what it took at any tick (a discrete gradient; Gonzalez 1996).
Times 1 - d v' of Hunt and Crossley (1975), and less c v' of Kelvin and Voigt, both with the velocity v' after the tick,
and never a pull. It falls with v', so that contact is a convex problem (Castro et al. 2022, 2023: SAP, irrotational
contact fields).

Along the surface a spring and a damper, taken implicitly, hold the point that stuck (an anchor), and Coulomb's law cuts
them.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["law_functions"]


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
        part = real(1.0)
        part_slope = zero
        if first >= zero:  # it enters
            way = first - last
            mean = real(0.5) * k * last * last / way
            slope = real(0.5) * k * last * (real(2.0) * first - last) / (way * way)
            part = -last / way
            part_slope = -first / (way * way)
        elif last >= zero:  # it leaves
            way = last - first
            mean = real(0.5) * k * first * first / way
            slope = -mean / way
            part = -first / way
            part_slope = first / (way * way)
        more = wp.max(real(1.0) - d * after, zero)
        force = mean * more - c * after * part
        if force <= zero:
            return vec2(zero, zero)
        fall = half * (slope * more - c * after * part_slope) - c * part
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
        by_first = -real(0.5) * k
        by_last = by_first
        part_first = zero
        part_last = zero
        if first >= zero:
            way = first - last
            by_first = -real(0.5) * k * last * last / (way * way)
            by_last = real(0.5) * k * last * (real(2.0) * first - last) / (way * way)
            part_first = last / (way * way)
            part_last = -first / (way * way)
        elif last >= zero:
            way = last - first
            by_first = real(0.5) * k * first * (real(2.0) * last - first) / (way * way)
            by_last = -real(0.5) * k * first * first / (way * way)
            part_first = -last / (way * way)
            part_last = first / (way * way)
        more = wp.max(real(1.0) - d * after, zero)
        by_first = dt * (by_first * more - c * after * part_first)
        by_last = dt * (by_last * more - c * after * part_last)
        return vec2(by_first + by_last, -half * by_first)

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
