# SPDX-License-Identifier: Apache-2.0
"""Warp kernels between the grids of particles, of four channels each, and what is known of faces and cells."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["pack_kernels"]

LEAST = 1e-9  # of a face's volume that particles fill, for it to have a velocity


@built_once
def pack_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `unpack`: of what particles gave, what fills cells and faces, and velocities of these before
        and after gravity, zero at walls and where no particle is near; and `pack`, for what they will take.
    """
    vec3, vec4 = wp.types.vector(length=3, dtype=real), wp.types.vector(length=4, dtype=real)
    least = wp.constant(real(LEAST))
    options = {"module": f"simenv_liquid_pack_{real.__name__}", "enable_backward": True}

    @wp.func
    def is_moved(given: vec4, at: int, last: int) -> bool:
        return at > 0 and at < last and given[3] > least

    @wp.func
    def quotient(given: vec4, at: int, last: int) -> real:
        if is_moved(given, at, last):
            return given[0] / given[3]
        return real(0.0)

    @wp.func
    def gained(given: vec4, at: int, last: int, more: real) -> real:
        if is_moved(given, at, last):
            return more
        return real(0.0)

    @wp.kernel(**options)
    def unpack(
        lanes: wp.vec2i,
        dt: real,
        window_in: wp.array2d(dtype=wp.vec3i),
        gravity_in: wp.array(dtype=vec3),
        fill_in: wp.array2d(dtype=vec4),
        x_in: wp.array2d(dtype=vec4),
        y_in: wp.array2d(dtype=vec4),
        z_in: wp.array2d(dtype=vec4),
        fill_out: wp.array2d(dtype=real),
        mass_out: wp.array2d(dtype=vec3),
        old_out: wp.array2d(dtype=vec3),
        star_out: wp.array2d(dtype=vec3),
    ):
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i > n[0]:
            return
        more = dt * gravity_in[w]
        for j in range(row, n[1] + 1, lanes[0]):
            for k in range(lane, n[2] + 1, lanes[1]):
                at = ((i + 1) * (n[1] + 3) + j + 1) * (n[2] + 3) + k + 1
                to = (i * (n[1] + 1) + j) * (n[2] + 1) + k
                x = x_in[w, at]
                y = y_in[w, at]
                z = z_in[w, at]
                old = vec3(quotient(x, i, n[0]), quotient(y, j, n[1]), quotient(z, k, n[2]))
                mass_out[w, to] = vec3(x[3], y[3], z[3])
                old_out[w, to] = old
                star_out[w, to] = old + vec3(
                    gained(x, i, n[0], more[0]), gained(y, j, n[1], more[1]), gained(z, k, n[2], more[2])
                )
                if i < n[0] and j < n[1] and k < n[2]:
                    fill_out[w, (i * n[1] + j) * n[2] + k] = fill_in[w, at][3]

    @wp.kernel(**options)
    def pack(
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        star_in: wp.array2d(dtype=vec3),
        change_in: wp.array2d(dtype=vec3),
        old_in: wp.array2d(dtype=vec3),
        room_in: wp.array2d(dtype=vec3),
        x_out: wp.array2d(dtype=vec4),
        y_out: wp.array2d(dtype=vec4),
        z_out: wp.array2d(dtype=vec4),
    ):
        """Velocities, those before the tick, and how far what crowds cells has to move."""
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i > n[0]:
            return
        for j in range(row, n[1] + 1, lanes[0]):
            for k in range(lane, n[2] + 1, lanes[1]):
                to = ((i + 1) * (n[1] + 3) + j + 1) * (n[2] + 3) + k + 1
                at = (i * (n[1] + 1) + j) * (n[2] + 1) + k
                flow = star_in[w, at] + change_in[w, at]
                old = old_in[w, at]
                room = room_in[w, at]
                x_out[w, to] = vec4(flow[0], old[0], room[0], real(0.0))
                y_out[w, to] = vec4(flow[1], old[1], room[1], real(0.0))
                z_out[w, to] = vec4(flow[2], old[2], room[2], real(0.0))

    return SimpleNamespace(unpack=unpack, pack=pack)
