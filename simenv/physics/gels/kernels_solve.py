# SPDX-License-Identifier: Apache-2.0
"""Contact problems of small grids, one thread a world: the methods of `simenv.physics.gels.solve`, summed directly
over the taxels in touch.

On the CPU this spares a launch, or a torch operation, for every line of the method; a world ends when it has converged.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["solve_kernels"]


@built_once
def solve_kernels(real) -> SimpleNamespace:
    """Build the kernels `pressure` and `traction` for one scalar type (`wp.float32` or `wp.float64`).

    The namespace has the methods as functions, `press` and `drag`, the sums they are made of, and the type `vec2`.
    """
    options = {"module": f"simenv_tactile_solve_{real.__name__}", "enable_backward": False}
    vec2 = wp.types.vector(length=2, dtype=real)

    @wp.func
    def place_of(i: int, columns: int) -> int:
        # a table of a response is (2 rows - 1, 2 columns - 1), flat; the response of i to j stands at its middle
        # + place_of(i) - place_of(j)
        return i + (i // columns) * (columns - 1)

    @wp.func
    def sum_scalars(
        tables: wp.array3d(dtype=real),
        t: int,
        part: int,
        columns: int,
        w: int,
        i: int,
        count: int,
        touched: wp.array2d(dtype=int),
        values: wp.array2d(dtype=real),
    ) -> real:
        # one displacement at i by loads on the taxels in touch, which are in ascending order: rows need no division
        here = tables.shape[2] // 2 + place_of(i, columns)
        row_end = columns
        total = real(0.0)
        for k in range(count):
            j = touched[w, k]
            while j >= row_end:
                row_end += columns
                here -= columns - 1
            total += tables[t, part, here - j] * values[w, j]
        return total

    @wp.func
    def sum_vectors(
        tables: wp.array3d(dtype=real),
        t: int,
        columns: int,
        w: int,
        i: int,
        count: int,
        touched: wp.array2d(dtype=int),
        values: wp.array2d(dtype=vec2),
    ) -> vec2:
        here = tables.shape[2] // 2 + place_of(i, columns)
        row_end = columns
        x = real(0.0)
        y = real(0.0)
        for k in range(count):
            j = touched[w, k]
            while j >= row_end:
                row_end += columns
                here -= columns - 1
            v = values[w, j]
            cross = tables[t, 1, here - j]
            x += tables[t, 0, here - j] * v[0] + cross * v[1]
            y += cross * v[0] + tables[t, 3, here - j] * v[1]
        return vec2(x, y)

    @wp.func
    def press(
        w: int,
        columns: int,
        tolerance: real,
        iterations: int,
        tables: wp.array3d(dtype=real),
        depth: wp.array2d(dtype=real),
        touched: wp.array2d(dtype=int),
        gap: wp.array2d(dtype=real),
        way: wp.array2d(dtype=real),
        pressure: wp.array2d(dtype=real),
    ) -> int:
        # conjugate gradients of Polonsky and Keer from the pressures given, or, where none is positive, from a guess;
        # the rest is work space. Returns 1 if accurate.
        t = wp.min(w, tables.shape[0] - 1)
        taxels = depth.shape[1]
        scale = real(0.0)
        count = int(0)
        warm = int(0)
        for i in range(taxels):
            way[w, i] = real(0.0)
            if depth[w, i] > real(0.0):
                scale = wp.max(scale, depth[w, i])
                gap[w, i] = real(1.0)
                touched[w, count] = i
                count += 1
                if pressure[w, i] > real(0.0):
                    warm = 1
                else:
                    pressure[w, i] = real(0.0)
            else:
                pressure[w, i] = real(0.0)
        if count == 0:
            return 1
        if warm == 0:
            reach = real(0.0)
            for i in range(taxels):
                reach = wp.max(reach, sum_scalars(tables, t, 0, columns, w, i, count, touched, gap))
            for k in range(count):
                pressure[w, touched[w, k]] = depth[w, touched[w, k]] / reach
        before = real(1.0)
        keep = real(0.0)
        done = int(0)
        for _it in range(iterations):
            count = int(0)
            for i in range(taxels):
                if pressure[w, i] > real(0.0):
                    touched[w, count] = i
                    count += 1
            error = real(0.0)
            size = real(0.0)
            for i in range(taxels):
                above_it = sum_scalars(tables, t, 0, columns, w, i, count, touched, pressure) - depth[w, i]
                gap[w, i] = above_it
                if pressure[w, i] > real(0.0):
                    error = wp.max(error, wp.abs(above_it))
                    size += above_it * above_it
                else:
                    error = wp.max(error, -above_it)
                    way[w, i] = real(0.0)
            if error <= tolerance * scale:
                done = 1
                break
            share = keep * size / before
            for k in range(count):
                i = touched[w, k]
                way[w, i] = gap[w, i] + share * way[w, i]
            above = real(0.0)
            below = real(0.0)
            for k in range(count):
                i = touched[w, k]
                image = sum_scalars(tables, t, 0, columns, w, i, count, touched, way)
                above += gap[w, i] * way[w, i]
                below += image * way[w, i]
            step = real(0.0)
            if below > real(0.0):
                step = above / below
            keep = real(1.0)
            for i in range(taxels):
                old = pressure[w, i]
                new = real(0.0)
                if old > real(0.0):
                    new = wp.max(old - step * way[w, i], real(0.0))
                if new <= real(0.0) and gap[w, i] < real(0.0):
                    new = old - step * gap[w, i]
                    keep = real(0.0)
                pressure[w, i] = new
            before = size
        return done

    @wp.func
    def drag(
        w: int,
        columns: int,
        tolerance: real,
        iterations: int,
        tables: wp.array3d(dtype=real),
        bounds: wp.array3d(dtype=real),
        target: wp.array2d(dtype=vec2),
        limit: wp.array2d(dtype=real),
        touched: wp.array2d(dtype=int),
        new: wp.array2d(dtype=vec2),
        ahead: wp.array2d(dtype=vec2),
        traction: wp.array2d(dtype=vec2),
    ) -> int:
        # accelerated projected gradients from the tractions given; the rest is work space. Returns 1 if accurate.
        t = wp.min(w, tables.shape[0] - 1)
        scale = real(0.0)
        count = int(0)
        for i in range(limit.shape[1]):
            if limit[w, i] > real(0.0):
                scale = wp.max(scale, wp.max(wp.abs(target[w, i][0]), wp.abs(target[w, i][1])))
                touched[w, count] = i
                new[w, i] = vec2(real(1.0), real(1.0))
                ahead[w, i] = traction[w, i]
                count += 1
            else:
                traction[w, i] = vec2(real(0.0), real(0.0))
        if scale <= real(0.0):
            for k in range(count):
                traction[w, touched[w, k]] = vec2(real(0.0), real(0.0))
            return 1
        stiffest = real(0.0)
        for k in range(count):
            row = sum_vectors(bounds, int(0), columns, w, touched[w, k], count, touched, new)
            stiffest = wp.max(stiffest, wp.max(row[0], row[1]))
        momentum = real(1.0)
        done = int(0)
        for _it in range(iterations):
            moved = real(0.0)
            turn = real(0.0)
            for k in range(count):
                i = touched[w, k]
                there = sum_vectors(tables, t, columns, w, i, count, touched, ahead)
                q = ahead[w, i] + (target[w, i] - there) / stiffest
                square = wp.dot(q, q)
                most = limit[w, i]
                if square > most * most:
                    q = (most / wp.sqrt(square)) * q
                new[w, i] = q
                change = q - ahead[w, i]
                moved = wp.max(moved, wp.max(wp.abs(change[0]), wp.abs(change[1])))
                turn += wp.dot(change, q - traction[w, i])
            grown = real(0.5) * (real(1.0) + wp.sqrt(real(1.0) + real(4.0) * momentum * momentum))
            share = (momentum - real(1.0)) / grown
            momentum = grown
            if turn < real(0.0):
                share = real(0.0)
                momentum = real(1.0)
            for k in range(count):
                i = touched[w, k]
                q = new[w, i]
                ahead[w, i] = q + share * (q - traction[w, i])
                traction[w, i] = q
            if moved * stiffest <= tolerance * scale:
                done = 1
                break
        return done

    @wp.kernel(**options)
    def pressure(
        columns: int,
        tolerance: real,
        iterations: int,
        tables: wp.array3d(dtype=real),
        depth_in: wp.array2d(dtype=real),
        touched_out: wp.array2d(dtype=int),
        gap_out: wp.array2d(dtype=real),
        way_out: wp.array2d(dtype=real),
        pressure_out: wp.array2d(dtype=real),
        done_out: wp.array(dtype=int),
    ):
        # the pressures start at zero
        w = wp.tid()
        done_out[w] = press(
            w, columns, tolerance, iterations, tables, depth_in, touched_out, gap_out, way_out, pressure_out
        )

    @wp.kernel(**options)
    def traction(
        columns: int,
        tolerance: real,
        iterations: int,
        tables: wp.array3d(dtype=real),
        bounds: wp.array3d(dtype=real),
        target_in: wp.array2d(dtype=vec2),
        limit_in: wp.array2d(dtype=real),
        touched_out: wp.array2d(dtype=int),
        new_out: wp.array2d(dtype=vec2),
        ahead_out: wp.array2d(dtype=vec2),
        traction_out: wp.array2d(dtype=vec2),
        done_out: wp.array(dtype=int),
    ):
        # the tractions start at zero
        w = wp.tid()
        done_out[w] = drag(
            w, columns, tolerance, iterations, tables, bounds, target_in, limit_in, touched_out, new_out, ahead_out,
            traction_out,
        )  # fmt: skip

    return SimpleNamespace(
        pressure=pressure, traction=traction, press=press, drag=drag, place_of=place_of,
        sum_scalars=sum_scalars, sum_vectors=sum_vectors, vec2=vec2,
    )  # fmt: skip
