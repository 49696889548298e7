# SPDX-License-Identifier: Apache-2.0
"""Warp kernels for gaps between solids that cells do not resolve.

Solids that close on each other take volume from such a gap, and gas would be the faster, the less open the faces are by
which it must leave. So it leaves only in part, the less the more a gap has closed, and what is fast in a narrow face is
not carried on at that speed. Both are smooth in the open shares, and exactly nothing in cells of one rigid solid, whose
velocities do not diverge, and in faces that are not narrow.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_walls import OPEN, PERIODIC, of_axis, wall_functions

__all__ = ["gap_kernels"]

NARROW = 0.1  # open share of a face below which it is too narrow for a jet
ROOMY = 0.5  # mean open share of a cell's faces beside closing solids, below which gas gives way to these only in part


@built_once
def gap_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `let_be`: takes from what is to flow out of cells what may stay. Where solids close on each other along an
          axis, and the mean open share of the cell's four faces along it, by which gas must leave, is t `ROOMY`, t < 1,
          gas gives way to a share (t^2 (3 - 2 t))^2 of the volume that they take;
        * `calm[axis]`: the velocity that is carried. Beside the solid's it is t (2 - t) times as large in a face whose
          open share is t `NARROW`, t < 1, so at most 2 / `NARROW` times the flux.
    """
    base = wall_functions(real)
    Kinds, wrap, vec3 = base.Kinds, base.wrap, base.vec3
    OPEN_, PERIODIC_ = wp.constant(OPEN), wp.constant(PERIODIC)
    narrow, roomy = wp.constant(real(NARROW)), wp.constant(real(ROOMY))
    options = {"module": f"simenv_gas_gaps_{real.__name__}", "enable_backward": True}

    def closing(axis: int):
        DX, DY, DZ = (int(axis == each) for each in range(3))

        @wp.func
        def close(
            w: int, i: int, j: int, k: int, kinds: Kinds, open: wp.array4d(dtype=real), solid: wp.array4d(dtype=real)
        ) -> vec3:  # fmt: skip
            # of a cell's two faces across the axis: how fast their solids close on each other; of those that are in no
            # closed side, the open shares, and how many they are
            iu = wrap(i + wp.static(DX), open.shape[1], kinds[0])
            ju = wrap(j + wp.static(DY), open.shape[2], kinds[2])
            ku = wrap(k + wp.static(DZ), open.shape[3], kinds[4])
            at = wp.static(DX) * i + wp.static(DY) * j + wp.static(DZ) * k
            low = kinds[wp.static(2 * axis)]
            high = kinds[wp.static(2 * axis + 1)]
            room = real(0.0)
            count = real(0.0)
            if at > 0 or low == PERIODIC_ or low == OPEN_:  # noqa: SIM109
                room = room + open[w, i, j, k]
                count = count + real(1.0)
            if at < open.shape[wp.static(axis + 1)] - 2 or high == PERIODIC_ or high == OPEN_:  # noqa: SIM109
                room = room + open[w, iu, ju, ku]
                count = count + real(1.0)
            return vec3(solid[w, i, j, k] - solid[w, iu, ju, ku], room, count)

        return close

    close_x, close_y, close_z = (closing(axis) for axis in range(3))

    @wp.func
    def stays(closes: real, one: vec3, other: vec3) -> real:
        # of what solids that close along an axis take, what need not leave through the faces along it
        count = one[2] + other[2]
        if count == real(0.0):
            return closes
        t = (one[1] + other[1]) / (roomy * count)
        if t >= real(1.0):
            return real(0.0)
        s = t * t * (real(3.0) - real(2.0) * t)
        return closes * (real(1.0) - s * s)

    @wp.kernel(**options)
    def let_be(
        kinds: Kinds,
        lanes: wp.vec2i,
        open_x_in: wp.array4d(dtype=real),
        open_y_in: wp.array4d(dtype=real),
        open_z_in: wp.array4d(dtype=real),
        solid_x_in: wp.array4d(dtype=real),
        solid_y_in: wp.array4d(dtype=real),
        solid_z_in: wp.array4d(dtype=real),
        b_inout: wp.array4d(dtype=real),
    ):
        w, i, row, lane = wp.tid()
        for j in range(row, b_inout.shape[2], lanes[0]):
            for k in range(lane, b_inout.shape[3], lanes[1]):
                x = close_x(w, i, j, k, kinds, open_x_in, solid_x_in)
                y = close_y(w, i, j, k, kinds, open_y_in, solid_y_in)
                z = close_z(w, i, j, k, kinds, open_z_in, solid_z_in)
                kept = stays(x[0], y, z) + stays(y[0], x, z) + stays(z[0], x, y)
                if kept != real(0.0):
                    wp.atomic_add(b_inout, w, i, j, k, -kept)

    def calming(axis: int):
        side_of_face = base.side_of_face[axis]

        @wp.kernel(**options)
        @of_axis(axis)
        def calm(
            kinds: Kinds,
            lanes: wp.vec2i,
            open_in: wp.array4d(dtype=real),
            solid_in: wp.array4d(dtype=real),
            q_in: wp.array4d(dtype=real),
            q_out: wp.array4d(dtype=real),
        ):
            w, i, row, lane = wp.tid()
            for j in range(row, q_in.shape[2], lanes[0]):
                for k in range(lane, q_in.shape[3], lanes[1]):
                    own = q_in[w, i, j, k]
                    t = open_in[w, i, j, k] / narrow
                    if t < real(1.0) and side_of_face(i, j, k, q_in.shape[wp.static(axis + 1)], kinds) < 0:
                        along = solid_in[w, i, j, k]
                        own = along + t * (real(2.0) - t) * (own - along)
                    q_out[w, i, j, k] = own

        return calm

    return SimpleNamespace(let_be=let_be, calm=[calming(axis) for axis in range(3)])
