# SPDX-License-Identifier: Apache-2.0
"""The elastic gel as one kernel, one thread a world, with an adjoint written by hand: what the dynamics launches in
each substep, where `elastic` and `solve` answer a reading with torch operations.

With everything per unit of Young's modulus: p from K p = depth under the contact, q from T q = stick + slide - S p
within |q| <= mu p, forces A E p and A E q, and the surface then at T q + S p. Solves start from the forces of the
substep before. The adjoint solves the same systems once more, restricted to the contact (see `solve`).
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gels.kernels_solve import solve_kernels

__all__ = ["elastic_kernels"]


@built_once
def elastic_kernels(real) -> SimpleNamespace:
    """Build `respond` and its adjoint `respond_adjoint` for one scalar type (`wp.float32` or `wp.float64`).

    Both take the constants and inputs; the adjoint then takes the outputs and their adjoints, and adds to the adjoints
    of the inputs. Work space comes last.
    """
    solve = solve_kernels(real)
    press, drag, place_of = solve.press, solve.drag, solve.place_of
    sum_scalars, sum_vectors = solve.sum_scalars, solve.sum_vectors
    vec2, vec3 = solve.vec2, wp.types.vector(length=3, dtype=real)
    options = {"module": f"simenv_tactile_elastic_{real.__name__}", "enable_backward": False}
    slack = wp.constant(real(1.0e-9 if real is wp.float64 else 1.0e-4))

    @wp.func
    def in_contact(pressure: wp.array2d(dtype=real), w: int, touched: wp.array2d(dtype=int)) -> int:
        count = int(0)
        for i in range(pressure.shape[1]):
            if pressure[w, i] > real(0.0):
                touched[w, count] = i
                count += 1
        return count

    @wp.kernel(**options)
    def respond(
        columns: int,
        tolerance: real,
        press_iterations: int,
        drag_iterations: int,
        areas: wp.array(dtype=real),
        by_pressure: wp.array3d(dtype=real),
        by_traction: wp.array3d(dtype=real),
        aside: wp.array3d(dtype=real),
        bounds: wp.array3d(dtype=real),
        depth_in: wp.array2d(dtype=real),
        slide_in: wp.array2d(dtype=vec2),
        stick_in: wp.array2d(dtype=vec2),
        before_in: wp.array2d(dtype=vec3),
        modulus_in: wp.array(dtype=real),
        mu_in: wp.array(dtype=real),
        force_out: wp.array2d(dtype=vec3),
        kept_out: wp.array2d(dtype=vec2),
        pressure_out: wp.array2d(dtype=real),
        traction_out: wp.array2d(dtype=vec2),
        failed_inout: wp.array(dtype=real),
        touched_out: wp.array2d(dtype=int),
        work_out: wp.array3d(dtype=real),
        work_vectors_out: wp.array3d(dtype=vec2),
    ):
        w = wp.tid()
        taxels = depth_in.shape[1]
        t = int(0)
        for i in range(taxels):
            unit = real(1.0) / (areas[i] * modulus_in[w])
            f = before_in[w, i]
            pressure_out[w, i] = unit * f[2]
            traction_out[w, i] = vec2(unit * f[0], unit * f[1])
        pressed = press(
            w,
            columns,
            tolerance,
            press_iterations,
            by_pressure,
            depth_in,
            touched_out,
            work_out[0],
            work_out[1],
            pressure_out,
        )
        count = in_contact(pressure_out, w, touched_out)
        for i in range(taxels):
            x = sum_scalars(aside, t, 0, columns, w, i, count, touched_out, pressure_out)
            y = sum_scalars(aside, t, 1, columns, w, i, count, touched_out, pressure_out)
            pushed = vec2(x, y)
            kept_out[w, i] = pushed
            work_vectors_out[0, w, i] = stick_in[w, i] + slide_in[w, i] - pushed
            work_out[2, w, i] = mu_in[w] * pressure_out[w, i]
        held = drag(
            w, columns, tolerance, drag_iterations, by_traction, bounds, work_vectors_out[0], work_out[2], touched_out,
            work_vectors_out[1], work_vectors_out[2], traction_out,
        )  # fmt: skip
        count = in_contact(pressure_out, w, touched_out)
        for i in range(taxels):
            moved = sum_vectors(by_traction, t, columns, w, i, count, touched_out, traction_out)
            kept_out[w, i] = kept_out[w, i] + moved
            q = traction_out[w, i]
            strength = areas[i] * modulus_in[w]
            force_out[w, i] = vec3(strength * q[0], strength * q[1], strength * pressure_out[w, i])
        failed_inout[w] = failed_inout[w] + real(2 - pressed - held)

    @wp.func
    def part_of(q: vec2, limit: real, x: vec2) -> vec2:
        # x where the taxel sticks, its part across q where it slips
        square = wp.dot(q, q)
        if square < limit * limit * (real(1.0) - slack):
            return x
        if square <= real(0.0):
            return vec2(real(0.0), real(0.0))
        across = vec2(-q[1], q[0]) / wp.sqrt(square)
        return wp.dot(across, x) * across

    @wp.func
    def press_adjoint(
        w: int,
        columns: int,
        tolerance: real,
        iterations: int,
        tables: wp.array3d(dtype=real),
        count: int,
        touched: wp.array2d(dtype=int),
        residual: wp.array2d(dtype=real),
        way: wp.array2d(dtype=real),
        image: wp.array2d(dtype=real),
        x: wp.array2d(dtype=real),
    ):
        # conjugate gradients for K x = residual on the taxels in touch
        size = real(0.0)
        for k in range(count):
            i = touched[w, k]
            x[w, i] = real(0.0)
            way[w, i] = residual[w, i]
            size += residual[w, i] * residual[w, i]
        goal = tolerance * tolerance * size
        for _it in range(iterations):
            if size <= goal:
                break
            below = real(0.0)
            for k in range(count):
                i = touched[w, k]
                image[w, i] = sum_scalars(tables, int(0), int(0), columns, w, i, count, touched, way)
                below += way[w, i] * image[w, i]
            if below <= real(0.0):
                break
            step = size / below
            now = real(0.0)
            for k in range(count):
                i = touched[w, k]
                x[w, i] = x[w, i] + step * way[w, i]
                residual[w, i] = residual[w, i] - step * image[w, i]
                now += residual[w, i] * residual[w, i]
            share = now / size
            for k in range(count):
                i = touched[w, k]
                way[w, i] = residual[w, i] + share * way[w, i]
            size = now

    @wp.func
    def drag_adjoint(
        w: int,
        columns: int,
        tolerance: real,
        iterations: int,
        tables: wp.array3d(dtype=real),
        count: int,
        touched: wp.array2d(dtype=int),
        traction: wp.array2d(dtype=vec2),
        limit: wp.array2d(dtype=real),
        stiffness: wp.array2d(dtype=real),
        residual: wp.array2d(dtype=vec2),
        way: wp.array2d(dtype=vec2),
        image: wp.array2d(dtype=vec2),
        x: wp.array2d(dtype=vec2),
    ):
        # conjugate gradients for (P T P + stiffness) x = P residual, with P the directions in which tractions can move
        size = real(0.0)
        for k in range(count):
            i = touched[w, k]
            r = part_of(traction[w, i], limit[w, i], residual[w, i])
            x[w, i] = vec2(real(0.0), real(0.0))
            residual[w, i] = r
            way[w, i] = r
            size += wp.dot(r, r)
        goal = tolerance * tolerance * size
        for _it in range(iterations):
            if size <= goal:
                break
            below = real(0.0)
            for k in range(count):
                i = touched[w, k]
                moved = sum_vectors(tables, int(0), columns, w, i, count, touched, way)
                image[w, i] = part_of(traction[w, i], limit[w, i], moved) + stiffness[w, i] * way[w, i]
                below += wp.dot(way[w, i], image[w, i])
            if below <= real(0.0):
                break
            step = size / below
            now = real(0.0)
            for k in range(count):
                i = touched[w, k]
                x[w, i] = x[w, i] + step * way[w, i]
                r = residual[w, i] - step * image[w, i]
                residual[w, i] = r
                now += wp.dot(r, r)
            share = now / size
            for k in range(count):
                i = touched[w, k]
                way[w, i] = residual[w, i] + share * way[w, i]
            size = now

    @wp.kernel(**options)
    def respond_adjoint(
        columns: int,
        tolerance: real,
        press_iterations: int,
        drag_iterations: int,
        areas: wp.array(dtype=real),
        by_pressure: wp.array3d(dtype=real),
        by_traction: wp.array3d(dtype=real),
        aside: wp.array3d(dtype=real),
        bounds: wp.array3d(dtype=real),
        depth_in: wp.array2d(dtype=real),
        slide_in: wp.array2d(dtype=vec2),
        stick_in: wp.array2d(dtype=vec2),
        before_in: wp.array2d(dtype=vec3),
        modulus_in: wp.array(dtype=real),
        mu_in: wp.array(dtype=real),
        force_in: wp.array2d(dtype=vec3),
        kept_in: wp.array2d(dtype=vec2),
        pressure_in: wp.array2d(dtype=real),
        traction_in: wp.array2d(dtype=vec2),
        failed_in: wp.array(dtype=real),
        adj_force_in: wp.array2d(dtype=vec3),
        adj_kept_in: wp.array2d(dtype=vec2),
        adj_pressure_in: wp.array2d(dtype=real),
        adj_traction_in: wp.array2d(dtype=vec2),
        adj_failed_in: wp.array(dtype=real),
        adj_depth_inout: wp.array2d(dtype=real),
        adj_slide_inout: wp.array2d(dtype=vec2),
        adj_stick_inout: wp.array2d(dtype=vec2),
        adj_before_inout: wp.array2d(dtype=vec3),
        adj_modulus_inout: wp.array(dtype=real),
        adj_mu_inout: wp.array(dtype=real),
        touched_out: wp.array2d(dtype=int),
        work_out: wp.array3d(dtype=real),
        work_vectors_out: wp.array3d(dtype=vec2),
    ):
        # work: 0 adjoint of p, 1 and 2 work space, 3 limit, 4 stiffness of slipping taxels, 5 solution;
        # vectors: 0 adjoint of q, 1 and 2 work space, 3 solution
        w = wp.tid()
        t = int(0)
        count = in_contact(pressure_in, w, touched_out)
        middle = aside.shape[2] // 2
        by_modulus = real(0.0)
        by_mu = real(0.0)
        for k in range(count):
            i = touched_out[w, k]
            p = pressure_in[w, i]
            q = traction_in[w, i]
            work_out[3, w, i] = mu_in[w] * p
            # how much further the object slid than the surface, where it slips
            there = sum_vectors(by_traction, t, columns, w, i, count, touched_out, traction_in)
            x = sum_scalars(aside, t, 0, columns, w, i, count, touched_out, pressure_in)
            y = sum_scalars(aside, t, 1, columns, w, i, count, touched_out, pressure_in)
            slip = stick_in[w, i] + slide_in[w, i] - vec2(x, y) - there
            square = wp.dot(q, q)
            work_out[4, w, i] = real(0.0)
            limit = work_out[3, w, i]
            if square > real(0.0) and square >= limit * limit * (real(1.0) - slack):
                work_out[4, w, i] = wp.max(wp.dot(slip, q), real(0.0)) / square
            f = adj_force_in[w, i]
            by_modulus += areas[i] * (f[0] * q[0] + f[1] * q[1] + f[2] * p)
            strength = areas[i] * modulus_in[w]
            work_out[0, w, i] = strength * f[2]
            work_vectors_out[0, w, i] = strength * vec2(f[0], f[1])
        # the surface T q + S p of all taxels, touched_out or not; T is symmetric, S the opposite of its transpose
        for k in range(count):
            i = touched_out[w, k]
            q_bar = work_vectors_out[0, w, i]
            p_bar = work_out[0, w, i]
            for j in range(adj_kept_in.shape[1]):
                g = adj_kept_in[w, j]
                at = middle + place_of(j, columns) - place_of(i, columns)
                cross = by_traction[t, 1, at]
                x = by_traction[t, 0, at] * g[0] + cross * g[1]
                y = cross * g[0] + by_traction[t, 3, at] * g[1]
                q_bar += vec2(x, y)
                p_bar += aside[t, 0, at] * g[0] + aside[t, 1, at] * g[1]
            work_vectors_out[0, w, i] = q_bar
            work_out[0, w, i] = p_bar
            work_vectors_out[4, w, i] = q_bar
        drag_adjoint(
            w, columns, tolerance, drag_iterations, by_traction, count, touched_out, traction_in, work_out[3],
            work_out[4], work_vectors_out[0], work_vectors_out[1], work_vectors_out[2], work_vectors_out[3],
        )  # fmt: skip
        for k in range(count):
            i = touched_out[w, k]
            by_target = work_vectors_out[3, w, i]
            adj_slide_inout[w, i] = adj_slide_inout[w, i] + by_target
            adj_stick_inout[w, i] = adj_stick_inout[w, i] + by_target
            q = traction_in[w, i]
            square = wp.dot(q, q)
            limit = work_out[3, w, i]
            if square > real(0.0) and square >= limit * limit * (real(1.0) - slack):
                there = sum_vectors(by_traction, t, columns, w, i, count, touched_out, work_vectors_out[3])
                by_limit = wp.dot(work_vectors_out[4, w, i] - there, q) / wp.sqrt(square)
                by_mu += by_limit * pressure_in[w, i]
                work_out[0, w, i] = work_out[0, w, i] + by_limit * mu_in[w]
        for k in range(count):
            i = touched_out[w, k]
            p_bar = work_out[0, w, i]
            for m in range(count):
                j = touched_out[w, m]
                g = work_vectors_out[3, w, j]
                at = middle + place_of(j, columns) - place_of(i, columns)
                p_bar = p_bar - (aside[t, 0, at] * g[0] + aside[t, 1, at] * g[1])
            work_out[5, w, i] = p_bar
        press_adjoint(
            w,
            columns,
            tolerance,
            press_iterations,
            by_pressure,
            count,
            touched_out,
            work_out[5],
            work_out[1],
            work_out[2],
            work_out[0],
        )
        for k in range(count):
            i = touched_out[w, k]
            adj_depth_inout[w, i] = adj_depth_inout[w, i] + work_out[0, w, i]
        adj_modulus_inout[w] = adj_modulus_inout[w] + by_modulus
        adj_mu_inout[w] = adj_mu_inout[w] + by_mu

    return SimpleNamespace(respond=respond, respond_adjoint=respond_adjoint, vec2=vec2, vec3=vec3)
