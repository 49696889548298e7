# SPDX-License-Identifier: Apache-2.0
"""The Warp kernel of a liquid's viscosity: stresses of twice the rate of deformation, explicit in time.

Normal stresses lie at centres of cells and shear stresses at their edges, as in Batty and Bridson 2008, Accurate
viscous free surfaces; each acts as far as there is liquid on all the faces that it is between, so that none acts at a
surface.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["viscosity_kernels"]

LEAST = 1e-6  # of a face's volume that particles fill, for viscosity to act on it


@built_once
def viscosity_kernels(real) -> SimpleNamespace:
    """The kernel `rub` for one scalar type, `wp.float32` or `wp.float64`."""
    vec3 = wp.types.vector(length=3, dtype=real)
    least = wp.constant(real(LEAST))
    options = {"module": f"simenv_liquid_viscosity_{real.__name__}", "enable_backward": True}

    @wp.func
    def corner(n: wp.vec3i, at: wp.vec3i) -> int:
        return (at[0] * (n[1] + 1) + at[1]) * (n[2] + 1) + at[2]

    @wp.func
    def unit(axis: int) -> wp.vec3i:
        return wp.vec3i(int(axis == 0), int(axis == 1), int(axis == 2))

    @wp.func
    def bulk(w: int, n: wp.vec3i, at: wp.vec3i, axis: int, mass: wp.array2d(dtype=vec3)) -> real:
        # what fills a face, of which a wall takes half
        own = mass[w, corner(n, at)][axis]
        if at[axis] == 0 or at[axis] == n[axis]:
            return real(2.0) * own
        return own

    @wp.func
    def stretch(
        w: int, n: wp.vec3i, at: wp.vec3i, axis: int, mass: wp.array2d(dtype=vec3), flow: wp.array2d(dtype=vec3)
    ) -> real:  # fmt: skip
        # of a cell along an axis
        next = at + unit(axis)
        share = wp.min(wp.min(bulk(w, n, at, axis, mass), bulk(w, n, next, axis, mass)), real(1.0))
        return share * (flow[w, corner(n, next)][axis] - flow[w, corner(n, at)][axis])

    @wp.func
    def shear(
        w: int, n: wp.vec3i, at: wp.vec3i, a: int, b: int, mass: wp.array2d(dtype=vec3), flow: wp.array2d(dtype=vec3)
    ) -> real:  # fmt: skip
        # of the lower edge of a cell across two axes
        if at[a] < 1 or at[b] < 1 or at[a] > n[a] - 1 or at[b] > n[b] - 1:
            return real(0.0)
        here = corner(n, at)
        below_a = corner(n, at - unit(a))
        below_b = corner(n, at - unit(b))
        share = wp.min(wp.min(mass[w, here][a], mass[w, below_b][a]), wp.min(mass[w, here][b], mass[w, below_a][b]))
        rate = flow[w, here][a] - flow[w, below_b][a] + flow[w, here][b] - flow[w, below_a][b]
        return wp.min(share, real(1.0)) * rate

    @wp.func
    def rubbed(
        w: int, n: wp.vec3i, at: wp.vec3i, a: int, low: wp.vec3i, high: wp.vec3i, mass: wp.array2d(dtype=vec3),
        flow: wp.array2d(dtype=vec3),
    ) -> real:  # fmt: skip
        # what stresses do to the component along an axis of an inner face; `low` and `high` walls hold what is there
        own = mass[w, corner(n, at)][a]
        if at[a] < 1 or at[a] > n[a] - 1 or own < least:
            return real(0.0)
        total = real(2.0) * (stretch(w, n, at, a, mass, flow) - stretch(w, n, at - unit(a), a, mass, flow))
        for turn in range(1, 3):
            b = (a + turn) % 3
            total = total + shear(w, n, at + unit(b), a, b, mass, flow) - shear(w, n, at, a, b, mass, flow)
            held = real(0.0)
            if at[b] == 0:
                held = held + real(2 * low[b])
            if at[b] == n[b] - 1:
                held = held + real(2 * high[b])
            total = total - held * wp.min(own, real(1.0)) * flow[w, corner(n, at)][a]
        return total / own

    @wp.kernel(**options)
    def rub(
        lanes: wp.vec2i,
        factor: real,
        sticks: wp.vec3i,
        cells: wp.vec3i,
        window_in: wp.array2d(dtype=wp.vec3i),
        viscosity_in: wp.array(dtype=real),
        mass_in: wp.array2d(dtype=vec3),
        old_in: wp.array2d(dtype=vec3),
        star_in: wp.array2d(dtype=vec3),
        star_out: wp.array2d(dtype=vec3),
    ):
        """`factor` is dt / dx^2; along which axes walls hold the liquid; cells of the box."""
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i > n[0]:
            return
        first = window_in[w, 0]
        low = wp.vec3i(0, 0, 0)
        high = wp.vec3i(0, 0, 0)
        if first[0] == 0:
            low = low + wp.vec3i(sticks[0], 0, 0)
        if first[1] == 0:
            low = low + wp.vec3i(0, sticks[1], 0)
        if first[2] == 0:
            low = low + wp.vec3i(0, 0, sticks[2])
        if first[0] + n[0] == cells[0]:
            high = high + wp.vec3i(sticks[0], 0, 0)
        if first[1] + n[1] == cells[1]:
            high = high + wp.vec3i(0, sticks[1], 0)
        if first[2] + n[2] == cells[2]:
            high = high + wp.vec3i(0, 0, sticks[2])
        share = factor * viscosity_in[w]
        for j in range(row, n[1] + 1, lanes[0]):
            for k in range(lane, n[2] + 1, lanes[1]):
                at = wp.vec3i(i, j, k)
                x = rubbed(w, n, at, 0, low, high, mass_in, old_in)
                y = rubbed(w, n, at, 1, low, high, mass_in, old_in)
                z = rubbed(w, n, at, 2, low, high, mass_in, old_in)
                star_out[w, corner(n, at)] = star_in[w, corner(n, at)] + share * vec3(x, y, z)

    return SimpleNamespace(rub=rub)
