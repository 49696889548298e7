# SPDX-License-Identifier: Apache-2.0
"""Adjoints of the kernels of what acts on gas, row by row: no two threads add to the same number of a field."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_faces import face_functions
from simenv.physics.gas.kernels_rows import row_functions
from simenv.physics.gas.kernels_walls import PERIODIC, of_axis, wall_functions

__all__ = ["force_adjoint_kernels"]


@built_once
def force_adjoint_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `lift[axis]` and `feed`, the adjoints of those of `force_kernels`.
    """
    base, rows, every = wall_functions(real), row_functions(real), face_functions(real).of_faces
    vec3, Kinds, wrap = base.vec3, base.Kinds, base.wrap
    cells, vec3i, table, vectors = wp.array4d(dtype=real), wp.vec3i, wp.array2d(dtype=real), wp.array2d(dtype=vec3)
    PERIODIC_ = wp.constant(PERIODIC)
    options = {"module": f"simenv_gas_force_adjoint_{real.__name__}", "enable_backward": False}

    def lifting(axis: int):
        of_faces = every[axis]
        X, Y, Z = (int(axis == each) for each in range(3))

        @wp.func
        def inner(i: int, j: int, ny: int, nx: int, periodic: int, faces: int) -> int:
            # whether a row has faces between cells
            p = wp.static(X) * i + wp.static(Y) * j
            if wp.static(axis < 2) and periodic == 0 and (p == 0 or p == faces - 1):
                return 0
            if i < nx and j < ny:
                return 1
            return 0

        @wp.func
        def weighed(
            w: int, i: int, j: int, first: int, nx: int, ny: int, nz: int, kinds: Kinds, lane: int, lanes: int,
            rest: real, g: cells, q: cells,
        ) -> real:  # fmt: skip
            # sum over the inner faces of a row of g times what the mean beside them is above rest
            low = vec3i(first + wrap(i - wp.static(X), nx, kinds[0]), wrap(j - wp.static(Y), ny, kinds[2]), 0)
            high = vec3i(first + i, j, 0)
            if wp.static(axis < 2):
                return rows.total_along(w, vec3i(i, j, 0), low, high, lane, lanes, nz, rest, g, q)
            total = rows.total_along(w, vec3i(i, j, 1), high, vec3i(first + i, j, 1), lane, lanes, nz - 1, rest, g, q)
            if kinds[4] == PERIODIC_:
                end = vec3i(first + i, j, nz - 1)
                total = total + rows.total_along(w, vec3i(i, j, 0), end, high, lane, lanes, 1, rest, g, q)
            return total

        @wp.func
        def shared(
            w: int, i: int, j: int, first: int, nx: int, ny: int, nz: int, kinds: Kinds, lane: int, lanes: int,
            g: cells, place: wp.array3d(dtype=real),
        ) -> real:  # fmt: skip
            low = vec3i(first + wrap(i - wp.static(X), nx, kinds[0]), wrap(j - wp.static(Y), ny, kinds[2]), 0)
            high = vec3i(first + i, j, 0)
            if wp.static(axis < 2):
                return rows.total_shared(w, vec3i(i, j, 0), low, high, lane, lanes, nz, g, place)
            total = rows.total_shared(w, vec3i(i, j, 1), high, vec3i(first + i, j, 1), lane, lanes, nz - 1, g, place)
            if kinds[4] == PERIODIC_:
                end = vec3i(first + i, j, nz - 1)
                total = total + rows.total_shared(w, vec3i(i, j, 0), end, high, lane, lanes, 1, g, place)
            return total

        @wp.func
        def summed(w: int, i: int, j: int, nz: int, kinds: Kinds, lane: int, lanes: int, g: cells) -> real:
            if wp.static(axis == 2) and kinds[4] != PERIODIC_:
                return rows.total_row(w, vec3i(i, j, 1), lane, lanes, nz - 1, g)
            return rows.total_row(w, vec3i(i, j, 0), lane, lanes, nz, g)

        @wp.func
        def along(value: real) -> vec3:
            return vec3(real(wp.static(X)) * value, real(wp.static(Y)) * value, real(wp.static(Z)) * value)

        @wp.kernel(**options)
        @of_axis(axis)
        def lift_adjoint(
            kinds: Kinds, lanes: wp.vec2i, nx: int, scalars: int, sources: int, dt: real,
            place: wp.array3d(dtype=real), gravity_in: wp.array(dtype=vec3), lightness_in: table, rest_in: table,
            drive_in: vectors, scalar_in: cells, q_in: cells, after_in: cells, g_in: cells,
            gravity_bar_inout: wp.array(dtype=vec3), lightness_bar_inout: table, rest_bar_inout: table,
            drive_bar_inout: vectors, scalar_bar_inout: cells, q_bar_inout: cells,
        ):  # fmt: skip
            w, i, row, lane = wp.tid()
            nz = g_in.shape[3]
            if wp.static(axis == 2) and kinds[4] != PERIODIC_:
                nz = nz - 1
            ny = g_in.shape[2]
            if wp.static(axis == 1) and kinds[2] != PERIODIC_:
                ny = ny - 1
            periodic = int(kinds[wp.static(2 * axis)] == PERIODIC_)
            faces = g_in.shape[wp.static(axis + 1)]
            pull = gravity_in[w][wp.static(axis)]
            for j in range(row, g_in.shape[2], lanes[0]):
                rows.add_row(w, i, j, lane, lanes[1], g_in.shape[3], real(1.0), g_in, q_bar_inout)
            gravity_bar = real(0.0)
            for s in range(scalars):
                above = real(0.0)
                total = real(0.0)
                light = lightness_in[w, s]
                rest = rest_in[w, s]
                half = real(-0.5) * dt * pull * light
                for j in range(row, g_in.shape[2], lanes[0]):
                    if inner(i, j, ny, nx, periodic, faces) == 1:
                        above += weighed(w, i, j, s * nx, nx, ny, nz, kinds, lane, lanes[1], rest, g_in, scalar_in)
                        total += summed(w, i, j, nz, kinds, lane, lanes[1], g_in)
                    if i < nx and j < ny and half != real(0.0):
                        of_faces(w, i, j, s * nx + i, lane, lanes[1], kinds, real(0.0), half, half, g_in,
                                 scalar_bar_inout)  # fmt: skip
                gravity_bar -= dt * light * above
                wp.atomic_add(lightness_bar_inout, w, s, -dt * pull * above)
                wp.atomic_add(rest_bar_inout, w, s, dt * pull * light * total)
            for r in range(sources):
                total = real(0.0)
                for j in range(row, g_in.shape[2], lanes[0]):
                    if inner(i, j, ny, nx, periodic, faces) == 1:
                        total += shared(w, i, j, r * nx, nx, ny, nz, kinds, lane, lanes[1], g_in, place)
                wp.atomic_add(drive_bar_inout, w, r, along(dt * total))
            if scalars > 0:
                wp.atomic_add(gravity_bar_inout, w, along(gravity_bar))

        return lift_adjoint

    @wp.kernel(**options)
    def feed_adjoint(
        lanes: wp.vec2i, nx: int, sources: int, scalars: int, dt: real, place: wp.array3d(dtype=real), rate_in: table,
        q_in: cells, after_in: cells, g_in: cells, rate_bar_inout: table, q_bar_inout: cells,
    ):  # fmt: skip
        w, row_x, row, lane = wp.tid()
        s = row_x // nx
        i = row_x - s * nx
        n = g_in.shape[3]
        for j in range(row, g_in.shape[2], lanes[0]):
            rows.add_row(w, row_x, j, lane, lanes[1], n, real(1.0), g_in, q_bar_inout)
        for r in range(sources):
            total = real(0.0)
            x = r * nx + i
            for j in range(row, g_in.shape[2], lanes[0]):
                here = vec3i(x, j, 0)
                total += rows.total_shared(w, vec3i(row_x, j, 0), here, here, lane, lanes[1], n, g_in, place)
            wp.atomic_add(rate_bar_inout, w, r * scalars + s, dt * total)

    return SimpleNamespace(lift=[lifting(axis) for axis in range(3)], feed=feed_adjoint)
