# SPDX-License-Identifier: Apache-2.0
"""Warp kernels between particles and the staggered grid, and their adjoints.

Faces across each axis, and centres of cells, have a grid of their own of four channels, with one more place beyond each
end (`kernels_walls`). The first place of the stencil of something at x, in cells, is the integer below x - 1/2, or
below x - 1 among centres.

References: Jiang et al. 2015 (APIC), Fei et al. 2021, Revisiting integration in the material point method (AFLIP).
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.liquid.kernels_window import window_kernels
from simenv.physics.mpm.stencil import stencil_functions
from simenv.physics.status import LEFT_GRID, NONFINITE, TOO_FAST

__all__ = ["CELLS", "particle_kernels"]

CELLS = 2.0  # that a particle may cross in a tick
NEAR = 1e-3  # of a cell: how near to a wall particles may come


@built_once
def particle_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `scatter`: of centres what fills them (channel 3), in volumes of a cell; of faces the same (3) and its
          momentum (0);
        * `gather`: velocities, their gradients and places of particles after a tick, from velocities of faces (0),
          those before it (1), and how far what crowds cells has to move, in cells (2);
        * `unscatter`, `ungather`: their adjoints; `kept`: a coordinate in the box.
    """
    st, base = stencil_functions(real), window_kernels(real)
    Box, is_inside = base.Box, base.is_inside
    vec3, vec4, vec16, mat33 = st.vec3, st.vec4, st.vec16, st.mat33
    throw, catch, sweep = st.scatter, st.gather, st.sweep
    too_fast, nonfinite, left = wp.constant(TOO_FAST), wp.constant(NONFINITE), wp.constant(LEFT_GRID)
    near, most = wp.constant(real(NEAR)), wp.constant(real(CELLS))
    options = {"module": f"simenv_liquid_particles_{real.__name__}", "enable_backward": False}

    @wp.struct
    class Span:  # a world's window, as particles see it
        n: wp.vec3i
        start: int
        origin: vec3
        dx: real

    @wp.func
    def span_of(w: int, box: Box, places: int, window: wp.array2d(dtype=wp.vec3i)) -> Span:
        s = Span()
        s.n = window[w, 1]
        s.start = w * places
        first = window[w, 0]
        s.origin = box.origin + box.dx * vec3(real(first[0]), real(first[1]), real(first[2]))
        s.dx = box.dx
        return s

    @wp.func
    def to_cells(box: Span, x: vec3) -> vec3:
        return (x - box.origin) / box.dx

    @wp.func
    def moved(place: vec3, axis: int) -> vec3:
        # places of faces across an axis, or of centres (3), from those of cells' lower corners
        at = place - vec3(real(0.5), real(0.5), real(0.5))
        if axis < 3:
            at[axis] = place[axis]
        return at

    @wp.func
    def row(box: Span) -> int:
        return box.n[2] + 3

    @wp.func
    def plane(box: Span) -> int:
        return (box.n[1] + 3) * (box.n[2] + 3)

    @wp.func
    def index_of(box: Span, at: vec3) -> int:
        i = int(wp.floor(at[0] - real(0.5))) + 1
        j = int(wp.floor(at[1] - real(0.5))) + 1
        k = int(wp.floor(at[2] - real(0.5))) + 1
        return box.start + i * plane(box) + j * row(box) + k

    @wp.func
    def offset(at: vec3) -> vec3:
        half = real(0.5)
        return vec3(at[0] - wp.floor(at[0] - half), at[1] - wp.floor(at[1] - half), at[2] - wp.floor(at[2] - half))

    @wp.func
    def of_row(c: mat33, axis: int) -> mat33:
        # the gradient of one component in the first row, that of channel 0
        return mat33(
            c[axis, 0], c[axis, 1], c[axis, 2],
            real(0.0), real(0.0), real(0.0), real(0.0), real(0.0), real(0.0),
        )  # fmt: skip

    @wp.func
    def throw_face(box: Span, place: vec3, axis: int, s: real, v: vec3, c: mat33, grid: wp.array(dtype=vec4)):
        at = moved(place, axis)
        q = vec4(s * v[axis], real(0.0), real(0.0), s)
        throw(grid, index_of(box, at), plane(box), row(box), offset(at), q, s * of_row(c, axis))

    @wp.kernel(**options)
    def scatter(
        whole: Box,
        places: int,
        share: real,
        window_in: wp.array2d(dtype=wp.vec3i),
        active_in: wp.array2d(dtype=int),
        volume_in: wp.array2d(dtype=real),
        x_in: wp.array2d(dtype=vec3),
        v_in: wp.array2d(dtype=vec3),
        c_in: wp.array2d(dtype=mat33),
        fill_out: wp.array(dtype=vec4),
        x_out: wp.array(dtype=vec4),
        y_out: wp.array(dtype=vec4),
        z_out: wp.array(dtype=vec4),
    ):
        """`share` is one over a cell's volume."""
        w, p = wp.tid()
        if active_in[w, p] == 0 or not is_inside(whole, x_in[w, p]):
            return
        box = span_of(w, whole, places, window_in)
        place = to_cells(box, x_in[w, p])
        s = share * volume_in[w, p]
        v = v_in[w, p]
        c = box.dx * c_in[w, p]
        at = moved(place, 3)
        q = vec4(real(0.0), real(0.0), real(0.0), s)
        throw(fill_out, index_of(box, at), plane(box), row(box), offset(at), q, mat33())
        throw_face(box, place, 0, s, v, c, x_out)
        throw_face(box, place, 1, s, v, c, y_out)
        throw_face(box, place, 2, s, v, c, z_out)

    @wp.func
    def unthrow_face(
        box: Span, place: vec3, axis: int, s: real, v: vec3, c: mat33, grid_bar: wp.array(dtype=vec4)
    ):  # fmt: skip
        # adjoints of the place in cells, of the component of the velocity, and of its gradient
        at = moved(place, axis)
        f = offset(at)
        start = index_of(box, at)
        g = catch(grid_bar, start, plane(box), row(box), f)
        q = vec4(s * v[axis], real(0.0), real(0.0), s)
        total = vec4(g[0], g[1], g[2], g[3])
        place_bar = sweep(grid_bar, start, plane(box), row(box), f, q, s * of_row(c, axis), total)
        return place_bar, s * g[0], s * vec3(g[4], g[8], g[12])

    @wp.kernel(**options)
    def unscatter(
        whole: Box,
        places: int,
        share: real,
        window_in: wp.array2d(dtype=wp.vec3i),
        active_in: wp.array2d(dtype=int),
        volume_in: wp.array2d(dtype=real),
        x_in: wp.array2d(dtype=vec3),
        v_in: wp.array2d(dtype=vec3),
        c_in: wp.array2d(dtype=mat33),
        fill_in: wp.array(dtype=vec4),
        fx_in: wp.array(dtype=vec4),
        fy_in: wp.array(dtype=vec4),
        fz_in: wp.array(dtype=vec4),
        fill_bar_in: wp.array(dtype=vec4),
        fx_bar_in: wp.array(dtype=vec4),
        fy_bar_in: wp.array(dtype=vec4),
        fz_bar_in: wp.array(dtype=vec4),
        window_bar_inout: wp.array2d(dtype=wp.vec3i),
        active_bar_inout: wp.array2d(dtype=int),
        volume_bar_inout: wp.array2d(dtype=real),
        x_bar_inout: wp.array2d(dtype=vec3),
        v_bar_inout: wp.array2d(dtype=vec3),
        c_bar_inout: wp.array2d(dtype=mat33),
    ):
        w, p = wp.tid()
        if active_in[w, p] == 0 or not is_inside(whole, x_in[w, p]):
            return
        box = span_of(w, whole, places, window_in)
        place = to_cells(box, x_in[w, p])
        s = share * volume_in[w, p]
        v = v_in[w, p]
        c = box.dx * c_in[w, p]
        at = moved(place, 3)
        q = vec4(real(0.0), real(0.0), real(0.0), s)
        total = sweep(
            fill_bar_in, index_of(box, at), plane(box), row(box), offset(at), q, mat33(), vec4()
        )  # fmt: skip
        ax, qx, gx = unthrow_face(box, place, 0, s, v, c, fx_bar_in)
        ay, qy, gy = unthrow_face(box, place, 1, s, v, c, fy_bar_in)
        az, qz, gz = unthrow_face(box, place, 2, s, v, c, fz_bar_in)
        x_bar_inout[w, p] = x_bar_inout[w, p] + (total + ax + ay + az) / box.dx
        v_bar_inout[w, p] = v_bar_inout[w, p] + vec3(qx, qy, qz)
        c_bar_inout[w, p] = c_bar_inout[w, p] + box.dx * mat33(
            gx[0], gx[1], gx[2], gy[0], gy[1], gy[2], gz[0], gz[1], gz[2]
        )

    @wp.func
    def catch_face(box: Span, place: vec3, axis: int, grid: wp.array(dtype=vec4)) -> vec16:
        at = moved(place, axis)
        return catch(grid, index_of(box, at), plane(box), row(box), offset(at))

    @wp.func
    def gradient_of(box: Span, gx: vec16, gy: vec16, gz: vec16) -> mat33:
        return (real(4.0) / box.dx) * mat33(
            gx[4], gx[8], gx[12], gy[4], gy[8], gy[12], gz[4], gz[8], gz[12]
        )  # fmt: skip

    @wp.func
    def kept(whole: Box, axis: int, x: real) -> real:
        low = whole.origin[axis] + near * whole.dx
        high = whole.origin[axis] + (real(whole.n[axis]) - near) * whole.dx
        return wp.min(wp.max(x, low), high)

    @wp.func
    def led(box: Span, dt: real, x: vec3, u: vec3, c: mat33, room: vec3) -> vec3:
        # along the flow, with a velocity that is linear in space, and by what makes room in crowded cells
        return x + dt * u + (real(0.5) * dt * dt) * (c * u) + box.dx * room

    @wp.kernel(**options)
    def gather(
        whole: Box,
        places: int,
        dt: real,
        keeping: real,
        window_in: wp.array2d(dtype=wp.vec3i),
        active_in: wp.array2d(dtype=int),
        x_in: wp.array2d(dtype=vec3),
        v_in: wp.array2d(dtype=vec3),
        fx_in: wp.array(dtype=vec4),
        fy_in: wp.array(dtype=vec4),
        fz_in: wp.array(dtype=vec4),
        x_out: wp.array2d(dtype=vec3),
        v_out: wp.array2d(dtype=vec3),
        c_out: wp.array2d(dtype=mat33),
        status_out: wp.array(dtype=int),
    ):
        """`keeping` is the share that a particle keeps of how its velocity differed from that of the grid."""
        w, p = wp.tid()
        x = x_in[w, p]
        v = v_in[w, p]
        if active_in[w, p] == 0 or not is_inside(whole, x_in[w, p]):
            x_out[w, p] = x
            v_out[w, p] = v
            c_out[w, p] = mat33()
            if active_in[w, p] != 0:
                if not wp.isfinite(x[0] + x[1] + x[2]):
                    wp.atomic_or(status_out, w, nonfinite)
                else:
                    wp.atomic_or(status_out, w, left)
            return
        box = span_of(w, whole, places, window_in)
        place = to_cells(box, x)
        gx = catch_face(box, place, 0, fx_in)
        gy = catch_face(box, place, 1, fy_in)
        gz = catch_face(box, place, 2, fz_in)
        u = vec3(gx[0], gy[0], gz[0])
        c = gradient_of(box, gx, gy, gz)
        after = led(box, dt, x, u, c, vec3(gx[2], gy[2], gz[2]))
        v_out[w, p] = u + keeping * (v - vec3(gx[1], gy[1], gz[1]))
        c_out[w, p] = c
        x_out[w, p] = vec3(kept(whole, 0, after[0]), kept(whole, 1, after[1]), kept(whole, 2, after[2]))
        speed = wp.max(wp.max(wp.abs(u[0]), wp.abs(u[1])), wp.abs(u[2]))
        if not (speed < real(1.0e30)):
            wp.atomic_or(status_out, w, nonfinite)
        elif speed * dt > most * box.dx:
            wp.atomic_or(status_out, w, too_fast)

    @wp.func
    def free(whole: Box, axis: int, x: real, bar: real) -> real:
        # adjoint of a place before it was kept in the box
        if kept(whole, axis, x) == x:
            return bar
        return real(0.0)

    @wp.func
    def uncatch_face(
        box: Span, place: vec3, axis: int, u_bar: vec3, old_bar: vec3, room_bar: vec3, c_bar: mat33, g: vec16,
        grid: wp.array(dtype=vec4), grid_bar: wp.array(dtype=vec4),
    ) -> vec3:  # fmt: skip
        # adds to the grid's adjoint; returns that of the place in cells
        at = moved(place, axis)
        f = offset(at)
        start = index_of(box, at)
        q = vec4(u_bar[axis], old_bar[axis], room_bar[axis], real(0.0))
        a = of_row(c_bar, axis)
        throw(grid_bar, start, plane(box), row(box), f, q, a)
        return sweep(grid, start, plane(box), row(box), f, q, a, vec4(g[0], g[1], g[2], g[3]))

    @wp.kernel(**options)
    def ungather(
        whole: Box,
        places: int,
        dt: real,
        keeping: real,
        window_in: wp.array2d(dtype=wp.vec3i),
        active_in: wp.array2d(dtype=int),
        x_in: wp.array2d(dtype=vec3),
        v_in: wp.array2d(dtype=vec3),
        fx_in: wp.array(dtype=vec4),
        fy_in: wp.array(dtype=vec4),
        fz_in: wp.array(dtype=vec4),
        x_after_in: wp.array2d(dtype=vec3),
        v_after_in: wp.array2d(dtype=vec3),
        c_after_in: wp.array2d(dtype=mat33),
        status_in: wp.array(dtype=int),
        x_after_bar_in: wp.array2d(dtype=vec3),
        v_after_bar_in: wp.array2d(dtype=vec3),
        c_after_bar_in: wp.array2d(dtype=mat33),
        status_bar_in: wp.array(dtype=int),
        window_bar_inout: wp.array2d(dtype=wp.vec3i),
        active_bar_inout: wp.array2d(dtype=int),
        x_bar_inout: wp.array2d(dtype=vec3),
        v_bar_inout: wp.array2d(dtype=vec3),
        fx_bar_inout: wp.array(dtype=vec4),
        fy_bar_inout: wp.array(dtype=vec4),
        fz_bar_inout: wp.array(dtype=vec4),
    ):
        w, p = wp.tid()
        v_bar = v_after_bar_in[w, p]
        x_bar = x_after_bar_in[w, p]
        if active_in[w, p] == 0 or not is_inside(whole, x_in[w, p]):
            x_bar_inout[w, p] = x_bar_inout[w, p] + x_bar
            v_bar_inout[w, p] = v_bar_inout[w, p] + v_bar
            return
        x = x_in[w, p]
        box = span_of(w, whole, places, window_in)
        place = to_cells(box, x)
        gx = catch_face(box, place, 0, fx_in)
        gy = catch_face(box, place, 1, fy_in)
        gz = catch_face(box, place, 2, fz_in)
        u = vec3(gx[0], gy[0], gz[0])
        c = gradient_of(box, gx, gy, gz)
        after = led(box, dt, x, u, c, vec3(gx[2], gy[2], gz[2]))
        x_bar = vec3(
            free(whole, 0, after[0], x_bar[0]), free(whole, 1, after[1], x_bar[1]), free(whole, 2, after[2], x_bar[2])
        )
        bent = real(0.5) * dt * dt
        u_bar = v_bar + dt * x_bar + bent * (wp.transpose(c) * x_bar)
        c_bar = (real(4.0) / box.dx) * (c_after_bar_in[w, p] + bent * wp.outer(x_bar, u))
        old_bar = -keeping * v_bar
        room_bar = box.dx * x_bar
        at = uncatch_face(box, place, 0, u_bar, old_bar, room_bar, c_bar, gx, fx_in, fx_bar_inout)
        at = at + uncatch_face(box, place, 1, u_bar, old_bar, room_bar, c_bar, gy, fy_in, fy_bar_inout)
        at = at + uncatch_face(box, place, 2, u_bar, old_bar, room_bar, c_bar, gz, fz_in, fz_bar_inout)
        x_bar_inout[w, p] = x_bar_inout[w, p] + x_bar + at / box.dx
        v_bar_inout[w, p] = v_bar_inout[w, p] + keeping * v_bar

    return SimpleNamespace(
        scatter=scatter, unscatter=unscatter, gather=gather, ungather=ungather, kept=kept, Box=Box, vec3=vec3,
        vec4=vec4, mat33=mat33,
    )  # fmt: skip
