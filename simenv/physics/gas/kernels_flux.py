# SPDX-License-Identifier: Apache-2.0
"""Warp kernels that carry velocities and what is mixed into gas by their fluxes through faces of their cells.

What leaves a cell enters its neighbour, so that sums are kept. A face's value is Leonard's quadratic interpolation
upstream (1979, QUICK), of second order; for what is mixed in it is limited, so that no new extremes appear.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_walls import OPEN, PERIODIC, of_axis, wall_functions

__all__ = ["flux_kernels"]


@built_once
def flux_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `carry[axis]`, which moves the velocity along an axis by fluxes and explicit viscosity, and
        `carry_scalar`, which does so with a scalar of the cells; and what `wall_functions` has.
    """
    base = wall_functions(real)
    vec3, Kinds, wrap = base.vec3, base.Kinds, base.wrap
    OPEN_, PERIODIC_ = wp.constant(OPEN), wp.constant(PERIODIC)
    options = {"module": f"simenv_gas_flux_{real.__name__}", "enable_backward": True}

    @wp.func
    def upstream(before: real, low: real, high: real, after: real, speed: real) -> real:
        if speed > real(0.0):
            return real(0.125) * (real(3.0) * high + real(6.0) * low - before)
        return real(0.125) * (real(3.0) * low + real(6.0) * high - after)

    def exchange(axis: int, other: int):
        # what a cell around a face of velocity q, along `axis`, takes in through its two sides across `other`
        read = base.read[axis]
        X, Y, Z = (int(axis == each) for each in range(3))
        DX, DY, DZ = (int(other == each) for each in range(3))

        @wp.func
        def take_in(
            w: int, i: int, j: int, k: int, kinds: Kinds, per_dx: real, viscosity: real,
            profile: wp.array4d(dtype=real), speed: wp.array2d(dtype=vec3), along: wp.array4d(dtype=real),
            q: wp.array4d(dtype=real),
        ) -> real:  # fmt: skip
            own = q[w, i, j, k]
            below = read(w, i - wp.static(DX), j - wp.static(DY), k - wp.static(DZ), kinds, profile, speed, q)
            above = read(w, i + wp.static(DX), j + wp.static(DY), k + wp.static(DZ), kinds, profile, speed, q)
            low = real(0.0)  # speed of what flows across, on both sides
            high = real(0.0)
            if wp.static(axis == other):
                low = real(0.5) * (below + own)
                high = real(0.5) * (above + own)
            else:  # mean of the two cells that the face divides
                i0 = wrap(i - wp.static(X), along.shape[1], kinds[0])
                j0 = wrap(j - wp.static(Y), along.shape[2], kinds[2])
                k0 = wrap(k - wp.static(Z), along.shape[3], kinds[4])
                iu = wrap(i + wp.static(DX), along.shape[1], kinds[0])
                ju = wrap(j + wp.static(DY), along.shape[2], kinds[2])
                ku = wrap(k + wp.static(DZ), along.shape[3], kinds[4])
                low = real(0.5) * (along[w, i0, j0, k0] + along[w, i, j, k])
                iu0 = wrap(iu - wp.static(X), along.shape[1], kinds[0])
                ju0 = wrap(ju - wp.static(Y), along.shape[2], kinds[2])
                ku0 = wrap(ku - wp.static(Z), along.shape[3], kinds[4])
                high = real(0.5) * (along[w, iu0, ju0, ku0] + along[w, iu, ju, ku])
            farther = read(
                w, i - wp.static(2 * DX), j - wp.static(2 * DY), k - wp.static(2 * DZ), kinds, profile, speed, q
            )
            beyond = read(
                w, i + wp.static(2 * DX), j + wp.static(2 * DY), k + wp.static(2 * DZ), kinds, profile, speed, q
            )
            # where a side is in between, what makes the face's value the mean of its neighbours
            at = wp.static(DX) * i + wp.static(DY) * j + wp.static(DZ) * k
            if kinds[wp.static(2 * other)] != PERIODIC_:
                if at < wp.static(1 + int(axis == other)):
                    farther = real(2.0) * below - own
                if at > q.shape[wp.static(other + 1)] - wp.static(2 + int(axis == other)):
                    beyond = real(2.0) * above - own
            taken = low * upstream(farther, below, own, above, low) - high * upstream(below, own, above, beyond, high)
            return per_dx * (taken + per_dx * viscosity * (below - own - own + above))

        return take_in

    def carrying(axis: int):
        through = [exchange(axis, other) for other in range(3)]
        x, y, z = through
        X, Y, Z = (int(axis == each) for each in range(3))
        side_of_face, seated = base.side_of_face[axis], base.seated[axis]

        @wp.func
        def carried(
            w: int, i: int, j: int, k: int, kinds: Kinds, dt: real, per_dx: real, viscosity: real,
            profile: wp.array4d(dtype=real), speed: wp.array2d(dtype=vec3), u: wp.array4d(dtype=real),
            v: wp.array4d(dtype=real), t: wp.array4d(dtype=real), q: wp.array4d(dtype=real),
        ) -> real:  # fmt: skip
            side = side_of_face(i, j, k, q.shape[wp.static(axis + 1)], kinds)
            if side >= 0:
                own = seated(w, i, j, k, side, kinds, profile, speed, q)
                if kinds[side] == OPEN_:  # what flows out comes from inside; what flows in stays
                    inward = int(1)
                    if side == wp.static(2 * axis + 1):
                        inward = -1
                    out = -real(inward) * own
                    if out > real(0.0):
                        inside = q[w, i + inward * wp.static(X), j + inward * wp.static(Y), k + inward * wp.static(Z)]
                        own = own + dt * per_dx * out * (inside - own)
                return own
            total = x(w, i, j, k, kinds, per_dx, viscosity, profile, speed, u, q)
            total = total + y(w, i, j, k, kinds, per_dx, viscosity, profile, speed, v, q)
            total = total + z(w, i, j, k, kinds, per_dx, viscosity, profile, speed, t, q)
            return q[w, i, j, k] + dt * total

        @wp.kernel(**options)
        @of_axis(axis)
        def carry(
            kinds: Kinds,
            lanes: wp.vec2i,
            dt: real,
            per_dx: real,
            profile: wp.array4d(dtype=real),
            viscosity_in: wp.array(dtype=real),
            speed_in: wp.array2d(dtype=vec3),
            u_in: wp.array4d(dtype=real),
            v_in: wp.array4d(dtype=real),
            w_in: wp.array4d(dtype=real),
            q_in: wp.array4d(dtype=real),
            q_out: wp.array4d(dtype=real),
        ):
            w, i, row, lane = wp.tid()
            viscosity = viscosity_in[w]
            for j in range(row, q_out.shape[2], lanes[0]):
                for k in range(lane, q_out.shape[3], lanes[1]):
                    q_out[w, i, j, k] = carried(
                        w, i, j, k, kinds, dt, per_dx, viscosity, profile, speed_in, u_in, v_in, w_in, q_in
                    )

        return carry

    return SimpleNamespace(carry=[carrying(axis) for axis in range(3)], **vars(base))
