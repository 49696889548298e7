# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of solids in a liquid's window: what is open of faces and of cells, and what flows there.

What solids leave open is made of distances less what shells are thickened by; how much particles can fill is made of
the distances as they are.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.flow.kernels_cut import cut_kernels
from simenv.physics.liquid.kernels_measure import measure_kernels
from simenv.physics.liquid.places import cell, corner, step

__all__ = ["solid_kernels"]

EMPTIEST = 0.05  # of what particles can fill of a cell, within a solid
ROOMY = 0.4  # of a cell that particles can fill, for it to look empty if they do not
NEAR = 1.8  # cells from a solid beyond which a cell is not cut
OPENING = 0.3  # of a face that is open, below which the change of its velocity is hardly its own


@built_once
def solid_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `cut`: open shares of faces, velocities of what closes them, and how far that lies across them; what particles
          can fill of cells, and what the flow can;
        * `relieve`: what fills cells, of what can, and how it looks; `look`: the emptiest that is seen around;
        * `shade`: how steep pressure is, by open shares; `flux`: through faces;
        * `bind`: what faces change by, and what makes room there, where solids hold them.
    """
    base, share = measure_kernels(real), cut_kernels(real).share
    Box, vec3, fine, at_fine, face_speeds = base.Box, base.vec3, base.fine, base.at_fine, base.face_speeds
    near, emptiest = wp.constant(real(NEAR)), wp.constant(real(EMPTIEST))
    roomy = wp.constant(real(1.0 / ROOMY))
    opening = wp.constant(real(1.0 / OPENING))
    options = {"module": f"simenv_liquid_solids_{real.__name__}", "enable_backward": True}

    @wp.func
    def below(depth: real) -> real:
        # what of a quadratic B-spline about a point lies on this side of a plane, at a distance in cells
        d = wp.clamp(depth, real(-1.5), real(1.5))
        if d > real(0.5):
            r = real(1.5) - d
            return real(1.0) - r * r * r / real(6.0)
        if d < real(-0.5):
            r1 = real(1.5) + d
            return r1 * r1 * r1 / real(6.0)
        return real(0.5) + d * (real(0.75) - d * d / real(3.0))

    @wp.func
    def onward(n: wp.vec3i, at: wp.vec3i, axis: int) -> int:
        # to the next fine point along an axis; beyond the ends of a window lies what is at them
        if at[axis] >= 2 * n[axis]:
            return 0
        if axis == 0:
            return (2 * n[1] + 1) * (2 * n[2] + 1)
        if axis == 1:
            return 2 * n[2] + 1
        return 1

    @wp.func
    def quarter(w: int, first: int, u: int, v: int, phi: wp.array2d(dtype=real)) -> real:
        part = share(phi[w, first], phi[w, first + u], phi[w, first + u + v], phi[w, first + v])
        return part[0]

    @wp.func
    def kind(w: int, first: int, u: int, v: int, phi: wp.array2d(dtype=real)) -> int:
        # of a face by the signs of nine points: 0 closed, 1 cut, 2 open
        a = vec3(phi[w, first], phi[w, first + u], phi[w, first + 2 * u])
        b = vec3(phi[w, first + v], phi[w, first + u + v], phi[w, first + 2 * u + v])
        c = vec3(phi[w, first + 2 * v], phi[w, first + u + 2 * v], phi[w, first + 2 * u + 2 * v])
        if wp.min(wp.min(wp.min(a), wp.min(b)), wp.min(c)) > real(0.0):
            return 2
        if wp.max(wp.max(wp.max(a), wp.max(b)), wp.max(c)) > real(0.0):
            return 1
        return 0

    @wp.func_grad(kind)
    def adj_kind(w: int, first: int, u: int, v: int, phi: wp.array2d(dtype=real), adj_ret: int):
        pass  # signs have no slope

    @wp.func
    def opened(w: int, n: wp.vec3i, at: wp.vec3i, axis: int, phi: wp.array2d(dtype=real)) -> real:
        # of the face across an axis whose lower corner is at a fine point
        u = onward(n, at, (axis + 1) % 3)
        v = onward(n, at, (axis + 2) % 3)
        first = fine(n, at[0], at[1], at[2])
        k = kind(w, first, u, v, phi)
        if k != 1:
            return real(k) * real(0.5)
        low = quarter(w, first, u, v, phi) + quarter(w, first + u, u, v, phi)
        return real(0.25) * (low + quarter(w, first + v, u, v, phi) + quarter(w, first + u + v, u, v, phi))

    @wp.func
    def middle(w: int, n: wp.vec3i, at: wp.vec3i, phi: wp.array2d(dtype=real)) -> real:
        # Mean of a cell's corners. With the curvature of what it is cut by it lies above the distance of its centre by
        # as much as the second moment of a quadratic B-spline makes of that.
        x = 2 * onward(n, at, 0)
        y = 2 * onward(n, at, 1)
        z = 2 * onward(n, at, 2)
        c = fine(n, at[0], at[1], at[2])
        low = phi[w, c] + phi[w, c + x] + phi[w, c + y] + phi[w, c + x + y]
        return real(0.125) * (low + phi[w, c + z] + phi[w, c + x + z] + phi[w, c + y + z] + phi[w, c + x + y + z])

    @wp.func
    def faced(
        w: int, n: wp.vec3i, at: wp.vec3i, axis: int, open: real, dx: real, phi: wp.array2d(dtype=real)
    ) -> real:  # fmt: skip
        # how far what closes a face lies across it
        if open >= real(1.0):
            return real(0.0)
        e = step(axis)
        c = at + step((axis + 1) % 3) + step((axis + 2) % 3)
        slope = (at_fine(w, n, c + e, phi) - at_fine(w, n, c - e, phi)) / dx
        return (real(1.0) - open) * wp.min(slope * slope, real(1.0))

    @wp.kernel(**options)
    def cut(
        whole: Box,
        count: int,
        ticks: int,
        tick: int,
        thick: wp.array(dtype=real),
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        phi_in: wp.array2d(dtype=real),
        owner_in: wp.array2d(dtype=int),
        position_in: wp.array(dtype=vec3),
        velocity_in: wp.array(dtype=vec3),
        omega_in: wp.array(dtype=vec3),
        open_out: wp.array2d(dtype=vec3),
        solid_out: wp.array2d(dtype=vec3),
        held_out: wp.array2d(dtype=vec3),
        can_out: wp.array2d(dtype=real),
        free_out: wp.array2d(dtype=real),
    ):
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i > n[0]:
            return
        for j in range(row, n[1] + 1, lanes[0]):
            for k in range(lane, n[2] + 1, lanes[1]):
                corner_at = corner(n, i, j, k)
                at = wp.vec3i(2 * i, 2 * j, 2 * k)
                open = vec3(real(1.0), real(1.0), real(1.0))
                can = real(1.0)
                free = real(1.0)
                solid = vec3()
                held = vec3()
                if phi_in[w, fine(n, 2 * i, 2 * j, 2 * k)] < near * whole.dx:
                    open = vec3(
                        opened(w, n, at, 0, phi_in), opened(w, n, at, 1, phi_in), opened(w, n, at, 2, phi_in)
                    )  # fmt: skip
                    m = wp.max(owner_in[w, fine(n, 2 * i, 2 * j, 2 * k)], 0)
                    if open[0] < real(1.0) or open[1] < real(1.0) or open[2] < real(1.0):
                        held = vec3(
                            faced(w, n, at, 0, open[0], whole.dx, phi_in),
                            faced(w, n, at, 1, open[1], whole.dx, phi_in),
                            faced(w, n, at, 2, open[2], whole.dx, phi_in),
                        )
                        pose = (w * ticks + tick) * count + m
                        first = window_in[w, 0]
                        solid = face_speeds(whole, first, i, j, k, position_in[pose], velocity_in[pose], omega_in[pose])
                    d = middle(w, n, at, phi_in) / whole.dx
                    can = wp.max(below(d + thick[m] / whole.dx), emptiest)
                    free = wp.clamp(real(0.5) + d, real(0.0), real(1.0))
                open_out[w, corner_at] = open
                solid_out[w, corner_at] = solid
                held_out[w, corner_at] = held
                if i < n[0] and j < n[1] and k < n[2]:
                    can_out[w, cell(n, i, j, k)] = can
                    free_out[w, cell(n, i, j, k)] = free

    @wp.kernel(**options)
    def relieve(
        window_in: wp.array2d(dtype=wp.vec3i),
        fill_in: wp.array2d(dtype=real),
        can_in: wp.array2d(dtype=real),
        fill_out: wp.array2d(dtype=real),
        sight_out: wp.array2d(dtype=real),
    ):
        """What fills cells, of what can; and the same as others see it, to whom what has little room is not empty."""
        w, i = wp.tid()
        n = window_in[w, 1]
        if i < n[0]:
            size = n[1] * n[2]
            for c in range(i * size, i * size + size):
                fill = fill_in[w, c] / can_in[w, c]
                little = wp.max(real(1.0) - roomy * can_in[w, c], real(0.0))
                fill_out[w, c] = fill
                sight_out[w, c] = fill + little * wp.max(real(1.0) - fill, real(0.0))

    @wp.func
    def seen(open: real, value: real) -> real:
        # what fills a cell, as one beside it sees it; behind what is closed there is no surface
        return value + (real(1.0) - open) * wp.max(real(1.0) - value, real(0.0))

    @wp.kernel(**options)
    def look(
        axis: int,
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        open_in: wp.array2d(dtype=vec3),
        fill_in: wp.array2d(dtype=real),
        least_out: wp.array2d(dtype=real),
    ):
        """The least of what fills a cell and those beside it along an axis."""
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i >= n[0]:
            return
        d = step(axis)
        for j in range(row, n[1], lanes[0]):
            for k in range(lane, n[2], lanes[1]):
                at = wp.vec3i(i, j, k)
                least = fill_in[w, cell(n, i, j, k)]
                if at[axis] > 0:
                    o = open_in[w, corner(n, i, j, k)][axis]
                    least = wp.min(least, seen(o, fill_in[w, cell(n, i - d[0], j - d[1], k - d[2])]))
                if at[axis] < n[axis] - 1:
                    q = open_in[w, corner(n, i + d[0], j + d[1], k + d[2])][axis]
                    least = wp.min(least, seen(q, fill_in[w, cell(n, i + d[0], j + d[1], k + d[2])]))
                least_out[w, cell(n, i, j, k)] = least

    @wp.func
    def ripeness(open: real, ripe: real) -> real:
        t = wp.min(open * opening, real(1.0))
        return ripe * t * t * (real(3.0) - real(2.0) * t)

    @wp.func
    def passes(open: real, steep: real) -> real:
        if open > real(0.0):
            return steep
        return real(0.0)

    @wp.kernel(**options)
    def shade(
        window_in: wp.array2d(dtype=wp.vec3i),
        open_in: wp.array2d(dtype=vec3),
        steep_in: wp.array2d(dtype=vec3),
        ripe_in: wp.array2d(dtype=vec3),
        steep_out: wp.array2d(dtype=vec3),
        joint_out: wp.array2d(dtype=vec3),
        ripe_out: wp.array2d(dtype=vec3),
    ):
        """How steep the pressure is where faces are open, the same by open shares, and how far faces are ripe."""
        w, i = wp.tid()
        n = window_in[w, 1]
        if i <= n[0]:
            size = (n[1] + 1) * (n[2] + 1)
            for c in range(i * size, i * size + size):
                o = open_in[w, c]
                s = steep_in[w, c]
                r = ripe_in[w, c]
                steep_out[w, c] = vec3(passes(o[0], s[0]), passes(o[1], s[1]), passes(o[2], s[2]))
                joint_out[w, c] = wp.cw_mul(o, s)
                ripe_out[w, c] = vec3(ripeness(o[0], r[0]), ripeness(o[1], r[1]), ripeness(o[2], r[2]))

    @wp.func
    def bound(ripe: real, held: real, own: real, told: real) -> real:
        # what is open of a face changes as pressure says, and what lies across it is held
        more = (real(1.0) - ripe) * held
        if more <= real(0.0):
            return own
        return (ripe * own + more * told) / (ripe + more)

    @wp.kernel(**options)
    def bind(
        window_in: wp.array2d(dtype=wp.vec3i),
        ripe_in: wp.array2d(dtype=vec3),
        held_in: wp.array2d(dtype=vec3),
        solid_in: wp.array2d(dtype=vec3),
        star_in: wp.array2d(dtype=vec3),
        change_in: wp.array2d(dtype=vec3),
        room_in: wp.array2d(dtype=vec3),
        ripe_out: wp.array2d(dtype=vec3),
        change_out: wp.array2d(dtype=vec3),
        room_out: wp.array2d(dtype=vec3),
    ):
        """Faces that solids close move as these do."""
        w, i = wp.tid()
        n = window_in[w, 1]
        if i <= n[0]:
            size = (n[1] + 1) * (n[2] + 1)
            for c in range(i * size, i * size + size):
                r = ripe_in[w, c]
                h = held_in[w, c]
                own = change_in[w, c]
                room = room_in[w, c]
                told = solid_in[w, c] - star_in[w, c]
                ripe_out[w, c] = r + wp.cw_mul(vec3(real(1.0), real(1.0), real(1.0)) - r, h)
                change_out[w, c] = vec3(
                    bound(r[0], h[0], own[0], told[0]), bound(r[1], h[1], own[1], told[1]),
                    bound(r[2], h[2], own[2], told[2]),
                )  # fmt: skip
                room_out[w, c] = vec3(
                    bound(r[0], h[0], room[0], real(0.0)), bound(r[1], h[1], room[1], real(0.0)),
                    bound(r[2], h[2], room[2], real(0.0)),
                )  # fmt: skip

    @wp.kernel(**options)
    def flux(
        window_in: wp.array2d(dtype=wp.vec3i),
        open_in: wp.array2d(dtype=vec3),
        solid_in: wp.array2d(dtype=vec3),
        flow_in: wp.array2d(dtype=vec3),
        flow_out: wp.array2d(dtype=vec3),
    ):
        w, i = wp.tid()
        n = window_in[w, 1]
        if i <= n[0]:
            size = (n[1] + 1) * (n[2] + 1)
            for c in range(i * size, i * size + size):
                o = open_in[w, c]
                solid = solid_in[w, c]
                flow_out[w, c] = solid + wp.cw_mul(o, flow_in[w, c] - solid)

    return SimpleNamespace(cut=cut, relieve=relieve, look=look, shade=shade, flux=flux, bind=bind)
