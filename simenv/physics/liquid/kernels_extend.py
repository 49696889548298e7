# SPDX-License-Identifier: Apache-2.0
"""Warp kernels that continue beyond a liquid's surface what its pressure does, where particles just above it need it.

A face beyond the surface keeps the velocity that particles bring, and takes the change that pressure makes beside it:
so nothing is smoothed there, spray keeps its momentum, and what lies on the surface is carried by it.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["extend_kernels"]

FADING = 0.05  # of ripe neighbours, below which a face is hardly ripe itself


@built_once
def extend_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `extend`, one face farther.
    """
    vec3 = wp.types.vector(length=3, dtype=real)
    fading = wp.constant(real(FADING))
    options = {"module": f"simenv_liquid_extend_{real.__name__}", "enable_backward": True}

    @wp.func
    def shared(ripe: real, around: real, own: real, others: real) -> real:
        # what is ripe of its own, and the rest the mean of what is ripe around it, as far as anything is
        return ripe * own + (real(1.0) - ripe) * others / (around + fading)

    @wp.func
    def riper(ripe: real, around: real) -> real:
        return ripe + (real(1.0) - ripe) * around / (around + fading)

    @wp.func
    def within(at: int, last: int, value: real) -> real:
        # nothing at walls
        if at > 0 and at < last:
            return value
        return real(0.0)

    @wp.func
    def at_inner(i: int, j: int, k: int, n: wp.vec3i, value: vec3) -> vec3:
        return vec3(within(i, n[0], value[0]), within(j, n[1], value[1]), within(k, n[2], value[2]))

    @wp.kernel(**options)
    def extend(
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        ripe_in: wp.array2d(dtype=vec3),
        change_in: wp.array2d(dtype=vec3),
        room_in: wp.array2d(dtype=vec3),
        ripe_out: wp.array2d(dtype=vec3),
        change_out: wp.array2d(dtype=vec3),
        room_out: wp.array2d(dtype=vec3),
    ):
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i > n[0]:
            return
        for j in range(row, n[1] + 1, lanes[0]):
            for k in range(lane, n[2] + 1, lanes[1]):
                at = (i * (n[1] + 1) + j) * (n[2] + 1) + k
                r = ripe_in[w, at]
                own = change_in[w, at]
                room = room_in[w, at]
                if r[0] >= real(1.0) and r[1] >= real(1.0) and r[2] >= real(1.0):
                    ripe_out[w, at] = r
                    change_out[w, at] = own
                    room_out[w, at] = room
                else:
                    q = vec3()
                    c = vec3()
                    s = vec3()
                    for side in range(6):
                        a = i
                        b = j
                        d = k
                        if side < 2:
                            a = wp.clamp(i + 2 * side - 1, 0, n[0])
                        elif side < 4:
                            b = wp.clamp(j + 2 * side - 5, 0, n[1])
                        else:
                            d = wp.clamp(k + 2 * side - 9, 0, n[2])
                        next = (a * (n[1] + 1) + b) * (n[2] + 1) + d
                        beside = ripe_in[w, next]
                        q = q + beside
                        c = c + wp.cw_mul(beside, change_in[w, next])
                        s = s + wp.cw_mul(beside, room_in[w, next])
                    change = vec3(
                        shared(r[0], q[0], own[0], c[0]),
                        shared(r[1], q[1], own[1], c[1]),
                        shared(r[2], q[2], own[2], c[2]),
                    )
                    made = vec3(
                        shared(r[0], q[0], room[0], s[0]),
                        shared(r[1], q[1], room[1], s[1]),
                        shared(r[2], q[2], room[2], s[2]),
                    )
                    grown = vec3(riper(r[0], q[0]), riper(r[1], q[1]), riper(r[2], q[2]))
                    ripe_out[w, at] = at_inner(i, j, k, n, grown)
                    change_out[w, at] = at_inner(i, j, k, n, change)
                    room_out[w, at] = at_inner(i, j, k, n, made)

    return SimpleNamespace(extend=extend)
