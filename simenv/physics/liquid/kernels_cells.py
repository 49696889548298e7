# SPDX-License-Identifier: Apache-2.0
"""Warp kernels on the staggered grid of a liquid: where it is, what its pressure's equation is, and what pressure does.

Three components of a face quantity lie in one array, at the number of the cell above the face; such arrays are one
longer than there are cells along each axis of the window (kernels_window.py).

A cell is liquid if particles fill more than `SURFACE` of it. Pressure is zero where what fills falls to that
between the centres of a liquid cell and one that is not (Gibou et al. 2002, ghost fluid): nothing jumps where a cell
becomes liquid, but the velocity of its outer faces, which fades in (`ripe`).
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.liquid.places import cell, corner

__all__ = ["HALF", "SURFACE", "cell_kernels"]

SURFACE = 0.2  # of a cell that is filled, at the surface
HALF = 0.5  # the same where it has tension, whose waves a surface that lies farther out would slow
STEEPEST = 50.0  # of the pressure at the surface, as though it were not nearer than this part of a cell to a centre
RIPENING = 0.2  # how much more must fill a cell until its faces' velocities are its own
FULL, FAR = 0.1, 0.7  # what fills the emptiest neighbour of a cell that is in a surface, and of one far from it
LACKING = 0.25  # how much less than full cells are between these two, where a surface is flat
NOISE = 0.1  # of a cell near a surface that may be too much without being undone
DRAWN = 0.4  # of a cell that particles can fill, up to which none are drawn into it
WORST = 0.5  # of what a cell holds too much that a tick heeds


@built_once
def cell_kernels(real, at: float = SURFACE) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`, with the surface where cells are filled so far.

    Returns:
        A namespace with

        * `settle`: of faces, how steep the pressure is between the cells beside them, and how far they are ripe;
        * `weigh`, `hold`: weights and shift of the pressure's equation;
        * `diverge`: what flows out of cells, negative; `crowd`, `crowd_within`: how much they hold too much;
        * `fastest`: the largest speed of a world;
        * `push`: what pressures add to velocities, and to places; `blame`: adjoint of how steep it is;
        * `depth`: below a flat surface, by what fills a cell; `smooth`: a step.
    """
    vec3 = wp.types.vector(length=3, dtype=real)
    surface, steepest = wp.constant(real(at)), wp.constant(real(STEEPEST))
    ripening, worst = wp.constant(real(1.0 / RIPENING)), wp.constant(real(WORST))
    drawn = wp.constant(real(DRAWN))
    noise, lacking = wp.constant(real(NOISE)), wp.constant(real(LACKING))
    full, per_far = wp.constant(real(FULL)), wp.constant(real(1.0 / (FAR - FULL)))
    of = real.__name__ if at == SURFACE else f"{real.__name__}_tense"
    options = {"module": f"simenv_liquid_cells_{of}", "enable_backward": True}
    plain = {"module": f"simenv_liquid_weights_{of}", "enable_backward": False}

    @wp.func
    def smooth(x: real) -> real:
        t = wp.clamp(x, real(0.0), real(1.0))
        return t * t * (real(3.0) - real(2.0) * t)

    @wp.func
    def depth(fill: real) -> real:
        # How far below a flat surface, in cells, the centre of a cell is that is filled so far: the inverse of the
        # integral of the B-spline to 2 %, and beyond one cell a straight line.
        u = fill - real(0.5)
        most = real(0.4792)
        s = wp.clamp(u, -most, most)
        t = s * s
        curve = s * (real(1.3333) + t * (real(1.0535) + t * (real(-1.28) + t * real(47.8))))
        return curve + real(5.77) * (u - s)

    @wp.func
    def steepness(liquid: real, other: real) -> real:
        near = depth(liquid) - depth(surface)
        return wp.min((depth(liquid) - depth(other)) / near, steepest)

    @wp.func
    def between(low: real, high: real):
        # how steep pressure is between two cells, per pressure of what is liquid; how far the face is ripe
        if low > surface:
            if high > surface:
                return real(1.0), smooth(ripening * (wp.max(low, high) - surface))
            return steepness(low, high), smooth(ripening * (low - surface))
        if high > surface:
            return steepness(high, low), smooth(ripening * (high - surface))
        return real(0.0), real(0.0)

    @wp.kernel(**options)
    def settle(
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        fill_in: wp.array2d(dtype=real),
        steep_out: wp.array2d(dtype=vec3),
        ripe_out: wp.array2d(dtype=vec3),
    ):
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i > n[0]:
            return
        for j in range(row, n[1] + 1, lanes[0]):
            for k in range(lane, n[2] + 1, lanes[1]):
                sx = real(0.0)
                sy = real(0.0)
                sz = real(0.0)
                rx = real(0.0)
                ry = real(0.0)
                rz = real(0.0)
                if i < n[0] and j < n[1] and k < n[2]:
                    own = fill_in[w, cell(n, i, j, k)]
                    if i > 0:
                        sx, rx = between(fill_in[w, cell(n, i - 1, j, k)], own)
                    if j > 0:
                        sy, ry = between(fill_in[w, cell(n, i, j - 1, k)], own)
                    if k > 0:
                        sz, rz = between(fill_in[w, cell(n, i, j, k - 1)], own)
                at = corner(n, i, j, k)
                steep_out[w, at] = vec3(sx, sy, sz)
                ripe_out[w, at] = vec3(rx, ry, rz)

    @wp.func
    def joins(w: int, steep: real, low: int, high: int, fill: wp.array2d(dtype=real)) -> real:
        # of a face between two liquid cells
        if steep > real(0.0):
            if wp.min(fill[w, low], fill[w, high]) > surface:
                return steep
        return real(0.0)

    @wp.kernel(**plain)
    def weigh(
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        fill_in: wp.array2d(dtype=real),
        steep_in: wp.array2d(dtype=vec3),
        x_out: wp.array2d(dtype=real),
        y_out: wp.array2d(dtype=real),
        z_out: wp.array2d(dtype=real),
    ):
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i > n[0]:
            return
        for j in range(row, n[1] + 1, lanes[0]):
            for k in range(lane, n[2] + 1, lanes[1]):
                steep = steep_in[w, corner(n, i, j, k)]
                own = cell(n, i, j, k)
                if j < n[1] and k < n[2]:
                    x_out[w, (i * n[1] + j) * n[2] + k] = joins(w, steep[0], cell(n, i - 1, j, k), own, fill_in)
                if i < n[0] and k < n[2]:
                    y_out[w, (i * (n[1] + 1) + j) * n[2] + k] = joins(w, steep[1], cell(n, i, j - 1, k), own, fill_in)
                if i < n[0] and j < n[1]:
                    z_out[w, (i * n[1] + j) * (n[2] + 1) + k] = joins(w, steep[2], cell(n, i, j, k - 1), own, fill_in)

    @wp.func
    def held(low: real, steep: real) -> real:
        if low > surface:
            return real(0.0)
        return steep

    @wp.kernel(**plain)
    def hold(
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        fill_in: wp.array2d(dtype=real),
        steep_in: wp.array2d(dtype=vec3),
        shift_out: wp.array2d(dtype=real),
    ):
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i >= n[0]:
            return
        for j in range(row, n[1], lanes[0]):
            for k in range(lane, n[2], lanes[1]):
                total = real(0.0)
                if fill_in[w, cell(n, i, j, k)] > surface:
                    own = steep_in[w, corner(n, i, j, k)]
                    if i > 0:
                        total = total + held(fill_in[w, cell(n, i - 1, j, k)], own[0])
                    if j > 0:
                        total = total + held(fill_in[w, cell(n, i, j - 1, k)], own[1])
                    if k > 0:
                        total = total + held(fill_in[w, cell(n, i, j, k - 1)], own[2])
                    if i < n[0] - 1:
                        total = total + held(fill_in[w, cell(n, i + 1, j, k)], steep_in[w, corner(n, i + 1, j, k)][0])
                    if j < n[1] - 1:
                        total = total + held(fill_in[w, cell(n, i, j + 1, k)], steep_in[w, corner(n, i, j + 1, k)][1])
                    if k < n[2] - 1:
                        total = total + held(fill_in[w, cell(n, i, j, k + 1)], steep_in[w, corner(n, i, j, k + 1)][2])
                shift_out[w, cell(n, i, j, k)] = total

    @wp.kernel(**plain)
    def fastest(window_in: wp.array2d(dtype=wp.vec3i), flow_in: wp.array2d(dtype=vec3), most_out: wp.array(dtype=real)):
        """Largest speed of a world's faces, or what is no number."""
        w = wp.tid()
        n = window_in[w, 1]
        most = real(0.0)
        for c in range((n[0] + 1) * (n[1] + 1) * (n[2] + 1)):
            flow = flow_in[w, c]
            for axis in range(3):
                if not (wp.abs(flow[axis]) <= most):
                    most = wp.abs(flow[axis])
        most_out[w] = most

    @wp.kernel(**options)
    def diverge(
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        flow_in: wp.array2d(dtype=vec3),
        b_out: wp.array2d(dtype=real),
    ):
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i >= n[0]:
            return
        for j in range(row, n[1], lanes[0]):
            for k in range(lane, n[2], lanes[1]):
                own = flow_in[w, corner(n, i, j, k)]
                b_out[w, cell(n, i, j, k)] = (
                    own[0]
                    + own[1]
                    + own[2]
                    - flow_in[w, corner(n, i + 1, j, k)][0]
                    - flow_in[w, corner(n, i, j + 1, k)][1]
                    - flow_in[w, corner(n, i, j, k + 1)][2]
                )

    @wp.func
    def least_around(w: int, i: int, j: int, k: int, n: wp.vec3i, fill: wp.array2d(dtype=real)) -> real:
        # what fills the emptiest of 27 cells; beyond walls is the mirror image
        # (unrolled, as the adjoint of a running least in a loop of unknown length is not right)
        least = fill[w, cell(n, i, j, k)]
        for a in range(3):
            for b in range(3):
                for c in range(3):
                    x = wp.clamp(i + a - 1, 0, n[0] - 1)
                    y = wp.clamp(j + b - 1, 0, n[1] - 1)
                    z = wp.clamp(k + c - 1, 0, n[2] - 1)
                    least = wp.min(least, fill[w, cell(n, x, y, z)])
        return least

    @wp.func
    def crowding(own: real, least: real) -> real:
        # what a cell holds too much, from what fills it and the emptiest cell around
        if own <= surface:
            return real(0.0)
        t = wp.clamp(per_far * (least - full), real(0.0), real(1.0))
        far = smooth(t)
        less = lacking * (real(1.0) - t) * (real(1.0) - t) * (real(1.0) - t)
        over = wp.min(own - real(1.0), worst)
        return far * (over + less) + (real(1.0) - far) * wp.max(over - noise, real(0.0))

    @wp.kernel(**options)
    def crowd(
        lanes: wp.vec2i,
        relaxing: real,
        window_in: wp.array2d(dtype=wp.vec3i),
        fill_in: wp.array2d(dtype=real),
        b_out: wp.array2d(dtype=real),
    ):
        """`relaxing` of what liquid cells hold more than they can, or less where no surface is near."""
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i >= n[0]:
            return
        for j in range(row, n[1], lanes[0]):
            for k in range(lane, n[2], lanes[1]):
                own = fill_in[w, cell(n, i, j, k)]
                least = real(0.0)
                if own > surface:
                    least = least_around(w, i, j, k, n, fill_in)
                b_out[w, cell(n, i, j, k)] = relaxing * crowding(own, least)

    @wp.kernel(**options)
    def crowd_within(
        relaxing: real,
        window_in: wp.array2d(dtype=wp.vec3i),
        fill_in: wp.array2d(dtype=real),
        least_in: wp.array2d(dtype=real),
        can_in: wp.array2d(dtype=real),
        free_in: wp.array2d(dtype=real),
        b_out: wp.array2d(dtype=real),
    ):
        """The same among solids, of what is `free` of cells. Where particles can fill less of a cell, hardly any are
        drawn in: next to a wall there are none.
        """
        w, i = wp.tid()
        n = window_in[w, 1]
        if i < n[0]:
            size = n[1] * n[2]
            for c in range(i * size, i * size + size):
                value = crowding(fill_in[w, c], least_in[w, c])
                if value < real(0.0):
                    value = value * smooth((can_in[w, c] - drawn) / (real(1.0) - drawn))
                known = smooth(ripening * (fill_in[w, c] - surface))
                b_out[w, c] = relaxing * known * free_in[w, c] * value

    @wp.func
    def pressed(w: int, i: int, j: int, k: int, n: wp.vec3i, steep: vec3, p: wp.array2d(dtype=real)) -> vec3:
        # of faces that are steep: the difference of pressure, which is zero in cells that are not liquid
        x = real(0.0)
        y = real(0.0)
        z = real(0.0)
        if steep[0] > real(0.0):
            x = p[w, cell(n, i, j, k)] - p[w, cell(n, i - 1, j, k)]
        if steep[1] > real(0.0):
            y = p[w, cell(n, i, j, k)] - p[w, cell(n, i, j - 1, k)]
        if steep[2] > real(0.0):
            z = p[w, cell(n, i, j, k)] - p[w, cell(n, i, j, k - 1)]
        return vec3(x, y, z)

    @wp.kernel(**options)
    def push(
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        steep_in: wp.array2d(dtype=vec3),
        p_in: wp.array2d(dtype=real),
        crowded_in: wp.array2d(dtype=real),
        change_out: wp.array2d(dtype=vec3),
        room_out: wp.array2d(dtype=vec3),
    ):
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i > n[0]:
            return
        for j in range(row, n[1] + 1, lanes[0]):
            for k in range(lane, n[2] + 1, lanes[1]):
                at = corner(n, i, j, k)
                s = steep_in[w, at]
                change_out[w, at] = -wp.cw_mul(s, pressed(w, i, j, k, n, s, p_in))
                room_out[w, at] = -wp.cw_mul(s, pressed(w, i, j, k, n, s, crowded_in))

    @wp.kernel(**plain)
    def blame(
        lanes: wp.vec2i,
        window_in: wp.array2d(dtype=wp.vec3i),
        steep_in: wp.array2d(dtype=vec3),
        p_in: wp.array2d(dtype=real),
        adjoint_in: wp.array2d(dtype=real),
        steep_bar_inout: wp.array2d(dtype=vec3),
    ):
        """Add what the solution's dependence on how steep faces are gives; `adjoint` solves the adjoint equation."""
        w, i, row, lane = wp.tid()
        n = window_in[w, 1]
        if i > n[0]:
            return
        for j in range(row, n[1] + 1, lanes[0]):
            for k in range(lane, n[2] + 1, lanes[1]):
                at = corner(n, i, j, k)
                s = steep_in[w, at]
                more = wp.cw_mul(pressed(w, i, j, k, n, s, p_in), pressed(w, i, j, k, n, s, adjoint_in))
                steep_bar_inout[w, at] = steep_bar_inout[w, at] - more

    @wp.kernel(**plain)
    def add(
        window_in: wp.array2d(dtype=wp.vec3i), a_in: wp.array2d(dtype=real), q_inout: wp.array2d(dtype=real)
    ):  # fmt: skip
        w, i = wp.tid()
        n = window_in[w, 1]
        if i < n[0]:
            size = n[1] * n[2]
            for c in range(i * size, i * size + size):
                q_inout[w, c] = q_inout[w, c] + a_in[w, c]

    return SimpleNamespace(
        settle=settle, weigh=weigh, hold=hold, fastest=fastest, diverge=diverge, crowd=crowd,
        crowd_within=crowd_within, push=push, blame=blame, add=add, depth=depth, smooth=smooth,
    )  # fmt: skip
