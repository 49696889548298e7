# SPDX-License-Identifier: Apache-2.0
"""Contact problems of small grids, one thread a world: the methods of `simenv.sensors.tactile.solve`, summed directly
over the taxels in touch.

On the CPU this spares a launch, or a torch operation, for every line of the method; a world ends when it has converged.
"""

from functools import cache
from types import SimpleNamespace

import warp as wp

__all__ = ["solve_kernels"]


@cache
def solve_kernels(real) -> SimpleNamespace:
    """Build `pressure` and `traction` for one scalar type (`wp.float32` or `wp.float64`); `vec2` is its vector."""
    options = {"module": f"simenv_tactile_solve_{real.__name__}", "enable_backward": False}
    vec2 = wp.types.vector(length=2, dtype=real)

    @wp.func
    def entry(tables: wp.array4d(dtype=real), t: int, part: int, columns: int, i: int, j: int) -> real:
        middle_row = tables.shape[2] // 2
        middle_column = tables.shape[3] // 2
        return tables[t, part, i // columns - j // columns + middle_row, i % columns - j % columns + middle_column]

    @wp.func
    def sum_scalars(
        tables: wp.array4d(dtype=real),
        t: int,
        columns: int,
        w: int,
        i: int,
        count: int,
        touched: wp.array2d(dtype=int),
        values: wp.array2d(dtype=real),
    ) -> real:
        total = real(0.0)
        for k in range(count):
            j = touched[w, k]
            total += entry(tables, t, 0, columns, i, j) * values[w, j]
        return total

    @wp.func
    def sum_vectors(
        tables: wp.array4d(dtype=real),
        t: int,
        columns: int,
        w: int,
        i: int,
        count: int,
        touched: wp.array2d(dtype=int),
        values: wp.array2d(dtype=vec2),
    ) -> vec2:
        x = real(0.0)
        y = real(0.0)
        for k in range(count):
            j = touched[w, k]
            v = values[w, j]
            cross = entry(tables, t, 1, columns, i, j)
            x += entry(tables, t, 0, columns, i, j) * v[0] + cross * v[1]
            y += cross * v[0] + entry(tables, t, 3, columns, i, j) * v[1]
        return vec2(x, y)

    @wp.kernel(**options)
    def pressure(
        columns: int,
        tolerance: real,
        iterations: int,
        tables: wp.array4d(dtype=real),
        depth_in: wp.array2d(dtype=real),
        touched_out: wp.array2d(dtype=int),
        gap_out: wp.array2d(dtype=real),
        way_out: wp.array2d(dtype=real),
        pressure_out: wp.array2d(dtype=real),
        done_out: wp.array(dtype=int),
    ):
        # conjugate gradients of Polonsky and Keer; all outputs start at zero
        w = wp.tid()
        t = wp.min(w, tables.shape[0] - 1)
        taxels = depth_in.shape[1]
        scale = real(0.0)
        count = int(0)
        for i in range(taxels):
            if depth_in[w, i] > real(0.0):
                scale = wp.max(scale, depth_in[w, i])
                gap_out[w, i] = real(1.0)
                touched_out[w, count] = i
                count += 1
        if count == 0:
            done_out[w] = 1
            return
        reach = real(0.0)
        for i in range(taxels):
            reach = wp.max(reach, sum_scalars(tables, t, columns, w, i, count, touched_out, gap_out))
        for i in range(taxels):
            pressure_out[w, i] = wp.max(depth_in[w, i], real(0.0)) / reach
        before = real(1.0)
        keep = real(0.0)
        for _it in range(iterations):
            count = int(0)
            for i in range(taxels):
                if pressure_out[w, i] > real(0.0):
                    touched_out[w, count] = i
                    count += 1
            error = real(0.0)
            size = real(0.0)
            for i in range(taxels):
                gap = sum_scalars(tables, t, columns, w, i, count, touched_out, pressure_out) - depth_in[w, i]
                gap_out[w, i] = gap
                if pressure_out[w, i] > real(0.0):
                    error = wp.max(error, wp.abs(gap))
                    size += gap * gap
                else:
                    error = wp.max(error, -gap)
                    way_out[w, i] = real(0.0)
            if error <= tolerance * scale:
                done_out[w] = 1
                break
            share = keep * size / before
            for k in range(count):
                i = touched_out[w, k]
                way_out[w, i] = gap_out[w, i] + share * way_out[w, i]
            above = real(0.0)
            below = real(0.0)
            for k in range(count):
                i = touched_out[w, k]
                image = sum_scalars(tables, t, columns, w, i, count, touched_out, way_out)
                above += gap_out[w, i] * way_out[w, i]
                below += image * way_out[w, i]
            step = real(0.0)
            if below > real(0.0):
                step = above / below
            keep = real(1.0)
            for i in range(taxels):
                old = pressure_out[w, i]
                new = real(0.0)
                if old > real(0.0):
                    new = wp.max(old - step * way_out[w, i], real(0.0))
                if new <= real(0.0) and gap_out[w, i] < real(0.0):
                    new = old - step * gap_out[w, i]
                    keep = real(0.0)
                pressure_out[w, i] = new
            before = size

    @wp.kernel(**options)
    def traction(
        columns: int,
        tolerance: real,
        iterations: int,
        tables: wp.array4d(dtype=real),
        bounds: wp.array4d(dtype=real),
        target_in: wp.array2d(dtype=vec2),
        limit_in: wp.array2d(dtype=real),
        touched_out: wp.array2d(dtype=int),
        new_out: wp.array2d(dtype=vec2),
        ahead_out: wp.array2d(dtype=vec2),
        traction_out: wp.array2d(dtype=vec2),
        done_out: wp.array(dtype=int),
    ):
        # accelerated projected gradients; all outputs start at zero
        w = wp.tid()
        t = wp.min(w, tables.shape[0] - 1)
        scale = real(0.0)
        count = int(0)
        for i in range(limit_in.shape[1]):
            if limit_in[w, i] > real(0.0):
                scale = wp.max(scale, wp.max(wp.abs(target_in[w, i][0]), wp.abs(target_in[w, i][1])))
                touched_out[w, count] = i
                new_out[w, i] = vec2(real(1.0), real(1.0))
                count += 1
        if scale <= real(0.0):
            done_out[w] = 1
            return
        stiffest = real(0.0)
        for k in range(count):
            row = sum_vectors(bounds, int(0), columns, w, touched_out[w, k], count, touched_out, new_out)
            stiffest = wp.max(stiffest, wp.max(row[0], row[1]))
        momentum = real(1.0)
        for _it in range(iterations):
            moved = real(0.0)
            turn = real(0.0)
            for k in range(count):
                i = touched_out[w, k]
                ahead = ahead_out[w, i]
                there = sum_vectors(tables, t, columns, w, i, count, touched_out, ahead_out)
                q = ahead + (target_in[w, i] - there) / stiffest
                square = wp.dot(q, q)
                limit = limit_in[w, i]
                if square > limit * limit:
                    q = (limit / wp.sqrt(square)) * q
                new_out[w, i] = q
                change = q - ahead
                moved = wp.max(moved, wp.max(wp.abs(change[0]), wp.abs(change[1])))
                turn += wp.dot(change, q - traction_out[w, i])
            grown = real(0.5) * (real(1.0) + wp.sqrt(real(1.0) + real(4.0) * momentum * momentum))
            share = (momentum - real(1.0)) / grown
            momentum = grown
            if turn < real(0.0):
                share = real(0.0)
                momentum = real(1.0)
            for k in range(count):
                i = touched_out[w, k]
                q = new_out[w, i]
                ahead_out[w, i] = q + share * (q - traction_out[w, i])
                traction_out[w, i] = q
            if moved * stiffest <= tolerance * scale:
                done_out[w] = 1
                break

    return SimpleNamespace(pressure=pressure, traction=traction, vec2=vec2)
