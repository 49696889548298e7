# SPDX-License-Identifier: Apache-2.0
"""Warp kernels that carry the velocity of gas around obstacles.

What is carried is a velocity on all faces: that of the gas where a face is open, that of the solid where it is closed.
It is carried by the flux of both, open share times gas plus the rest times solid, which is free of divergence. Across
the wall viscosity acts between a face and the wall itself, implicitly, as that may be near: so that a velocity that
grows from that of the wall with the distance of the faces' open parts, where they have it, has the Laplacian that the
distance has. Where walls lie between faces' middles this is the method of Gibou et al. (2002).
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_walls import PERIODIC, of_axis, wall_functions

__all__ = ["gas_cut_kernels"]

NEAREST = 0.001  # least distance of a face from a wall, of a cell, that viscosity sees


@built_once
def gas_cut_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `mix[axis]`: the flux of gas and solids through faces;
        * `carry[axis]`: velocities after dt, and apart what of the change is exchanged with other faces only;
        * `press`: the pressure of a step;
        * what `wall_functions` has.

    References:
        Gibou, Fedkiw, Cheng, Kang 2002, A second-order-accurate symmetric discretization of the Poisson equation on
        irregular domains, JCP 176.
    """
    base = wall_functions(real)
    vec3, Kinds, wrap = base.vec3, base.Kinds, base.wrap
    PERIODIC_ = wp.constant(PERIODIC)
    nearest = wp.constant(real(NEAREST))
    options = {"module": f"simenv_gas_cut_{real.__name__}", "enable_backward": True}

    @wp.func
    def upstream(before: real, low: real, high: real, after: real, speed: real) -> real:
        if speed > real(0.0):
            return real(0.125) * (real(3.0) * high + real(6.0) * low - before)
        return real(0.125) * (real(3.0) * low + real(6.0) * high - after)

    def linking(axis: int, other: int):
        read = base.read[axis]
        X, Y, Z = (int(axis == each) for each in range(3))
        DX, DY, DZ = (int(other == each) for each in range(3))

        @wp.func
        def within(i: int, j: int, k: int, kinds: Kinds, q: wp.array4d(dtype=real)) -> bool:
            # whether there is such a face; on a periodic axis there always is
            at = wp.static(DX) * i + wp.static(DY) * j + wp.static(DZ) * k
            if kinds[wp.static(2 * other)] == PERIODIC_:
                return True
            return at >= 0 and at < q.shape[wp.static(other + 1)]

        @wp.func
        def viscous(
            w: int, i: int, j: int, k: int, i1: int, j1: int, k1: int, kinds: Kinds, beside: real,
            open: wp.array4d(dtype=real), solid: wp.array4d(dtype=real), away: wp.array4d(dtype=real),
            clear: wp.array4d(dtype=real), q: wp.array4d(dtype=real),
        ) -> vec3:  # fmt: skip
            # the link from a face to the next, whose value is `beside`: what it takes from it; what it lacks beside the
            # Laplacian of the distance, which a wall gives; and what it takes of the motion of a solid
            own = away[w, i, j, k]
            if not within(i1, j1, k1, kinds, q):
                return vec3(beside - q[w, i, j, k], real(0.0), real(0.0))
            a = wrap(i1, q.shape[1], kinds[0])
            b = wrap(j1, q.shape[2], kinds[2])
            c = wrap(k1, q.shape[3], kinds[4])
            next = away[w, a, b, c]
            if open[w, a, b, c] > real(0.0):
                return vec3(beside - q[w, i, j, k], clear[w, a, b, c] - next - clear[w, i, j, k] + own, real(0.0))
            return vec3(real(0.0), own - next, solid[w, a, b, c] - solid[w, i, j, k])

        @wp.func
        def linked(
            w: int, i: int, j: int, k: int, kinds: Kinds, spread: real, profile: wp.array4d(dtype=real),
            speed: wp.array2d(dtype=vec3), flux: wp.array4d(dtype=real), open: wp.array4d(dtype=real),
            solid: wp.array4d(dtype=real), away: wp.array4d(dtype=real), clear: wp.array4d(dtype=real),
            q: wp.array4d(dtype=real),
        ) -> vec3:  # fmt: skip
            own = q[w, i, j, k]
            below = read(w, i - wp.static(DX), j - wp.static(DY), k - wp.static(DZ), kinds, profile, speed, q)
            above = read(w, i + wp.static(DX), j + wp.static(DY), k + wp.static(DZ), kinds, profile, speed, q)
            # flux through both sides: mean of those of the two cells that the face divides
            i0 = wrap(i - wp.static(X), flux.shape[1], kinds[0])
            j0 = wrap(j - wp.static(Y), flux.shape[2], kinds[2])
            k0 = wrap(k - wp.static(Z), flux.shape[3], kinds[4])
            iu = wrap(i + wp.static(DX), flux.shape[1], kinds[0])
            ju = wrap(j + wp.static(DY), flux.shape[2], kinds[2])
            ku = wrap(k + wp.static(DZ), flux.shape[3], kinds[4])
            low = real(0.5) * (flux[w, i0, j0, k0] + flux[w, i, j, k])
            high = real(0.0)
            if wp.static(axis == other):
                high = real(0.5) * (flux[w, i, j, k] + flux[w, iu, ju, ku])
            else:
                iu0 = wrap(iu - wp.static(X), flux.shape[1], kinds[0])
                ju0 = wrap(ju - wp.static(Y), flux.shape[2], kinds[2])
                ku0 = wrap(ku - wp.static(Z), flux.shape[3], kinds[4])
                high = real(0.5) * (flux[w, iu0, ju0, ku0] + flux[w, iu, ju, ku])
            farther = read(
                w, i - wp.static(2 * DX), j - wp.static(2 * DY), k - wp.static(2 * DZ), kinds, profile, speed, q
            )
            beyond = read(
                w, i + wp.static(2 * DX), j + wp.static(2 * DY), k + wp.static(2 * DZ), kinds, profile, speed, q
            )
            at = wp.static(DX) * i + wp.static(DY) * j + wp.static(DZ) * k
            if kinds[wp.static(2 * other)] != PERIODIC_:
                if at < wp.static(1 + int(axis == other)):
                    farther = real(2.0) * below - own
                if at > q.shape[wp.static(other + 1)] - wp.static(2 + int(axis == other)):
                    beyond = real(2.0) * above - own
            taken = low * upstream(farther, below, own, above, low) - high * upstream(below, own, above, beyond, high)
            one = viscous(
                w, i, j, k, i - wp.static(DX), j - wp.static(DY), k - wp.static(DZ), kinds, below, open, solid, away,
                clear, q,
            )  # fmt: skip
            two = viscous(
                w, i, j, k, i + wp.static(DX), j + wp.static(DY), k + wp.static(DZ), kinds, above, open, solid, away,
                clear, q,
            )  # fmt: skip
            if open[w, i, j, k] > real(0.0):
                return vec3(taken, real(0.0), real(0.0)) + spread * (one + two)
            return vec3(taken, real(0.0), real(0.0))

        return linked

    def carrying(axis: int):
        x, y, z = (linking(axis, other) for other in range(3))
        side_of_face, passed = base.side_of_face[axis], base.passed[axis]

        @wp.kernel(**options)
        @of_axis(axis)
        def mix(
            lanes: wp.vec2i,
            open_in: wp.array4d(dtype=real),
            solid_in: wp.array4d(dtype=real),
            q_in: wp.array4d(dtype=real),
            flux_out: wp.array4d(dtype=real),
        ):
            w, i, row, lane = wp.tid()
            for j in range(row, q_in.shape[2], lanes[0]):
                for k in range(lane, q_in.shape[3], lanes[1]):
                    share = open_in[w, i, j, k]
                    flux_out[w, i, j, k] = share * q_in[w, i, j, k] + (real(1.0) - share) * solid_in[w, i, j, k]

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
            flux_x_in: wp.array4d(dtype=real),
            flux_y_in: wp.array4d(dtype=real),
            flux_z_in: wp.array4d(dtype=real),
            open_in: wp.array4d(dtype=real),
            solid_in: wp.array4d(dtype=real),
            away_in: wp.array4d(dtype=real),
            clear_in: wp.array4d(dtype=real),
            q_in: wp.array4d(dtype=real),
            taken_out: wp.array4d(dtype=real),
            q_out: wp.array4d(dtype=real),
        ):
            w, i, row, lane = wp.tid()
            spread = viscosity_in[w] * per_dx
            for j in range(row, q_out.shape[2], lanes[0]):
                for k in range(lane, q_out.shape[3], lanes[1]):
                    side = side_of_face(i, j, k, q_out.shape[wp.static(axis + 1)], kinds)
                    if side >= 0:
                        taken_out[w, i, j, k] = real(0.0)
                        q_out[w, i, j, k] = passed(w, i, j, k, side, kinds, dt * per_dx, profile, speed_in, q_in)
                    else:
                        link = x(
                            w, i, j, k, kinds, spread, profile, speed_in, flux_x_in, open_in, solid_in, away_in,
                            clear_in, q_in,
                        )  # fmt: skip
                        link = link + y(
                            w, i, j, k, kinds, spread, profile, speed_in, flux_y_in, open_in, solid_in, away_in,
                            clear_in, q_in,
                        )  # fmt: skip
                        link = link + z(
                            w, i, j, k, kinds, spread, profile, speed_in, flux_z_in, open_in, solid_in, away_in,
                            clear_in, q_in,
                        )  # fmt: skip
                        taken_out[w, i, j, k] = dt * per_dx * link[0]
                        if open_in[w, i, j, k] > real(0.0):
                            pull = real(0.0)
                            if link[1] > real(0.0):
                                pull = dt * per_dx * link[1] / wp.max(clear_in[w, i, j, k], nearest / per_dx)
                            total = q_in[w, i, j, k] + dt * per_dx * (link[0] + link[2]) + pull * solid_in[w, i, j, k]
                            q_out[w, i, j, k] = total / (real(1.0) + pull)
                        else:
                            q_out[w, i, j, k] = solid_in[w, i, j, k]

        return mix, carry

    carriers = [carrying(axis) for axis in range(3)]

    @wp.kernel(**options)
    def press(
        lanes: wp.vec2i,
        factor: real,
        density_in: wp.array(dtype=real),
        phi1_in: wp.array4d(dtype=real),
        phi2_in: wp.array4d(dtype=real),
        p_out: wp.array4d(dtype=real),
    ):
        """The mean pressure of a step, of which the first stage counts half."""
        w, i, row, lane = wp.tid()
        for j in range(row, p_out.shape[2], lanes[0]):
            for k in range(lane, p_out.shape[3], lanes[1]):
                phi = real(0.5) * phi1_in[w, i, j, k] + phi2_in[w, i, j, k]
                p_out[w, i, j, k] = factor * density_in[w] * phi

    return SimpleNamespace(
        mix=[each[0] for each in carriers], carry=[each[1] for each in carriers], press=press, **vars(base)
    )
