# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of what gas and obstacles exchange: momentum at faces, and nothing of what is mixed in."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_project import project_kernels
from simenv.physics.gas.kernels_walls import PERIODIC, of_axis

__all__ = ["react_kernels"]


@built_once
def react_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `react[axis]`: what solids gain at faces across an axis in a step of two stages, over the density and the
          volume of a cell [m/s]. Faces exchange momentum as if they were whole; what a face takes in this way goes to
          the gas by its open share, and the rest to the solid; what gas gains from walls, they lose. What a face
          holds when it opens or closes counts beside what it would hold if it went along with the solid.
        * `press_on[axis]`: what solids gain by phi alone; `hand_on[axis]` adds their share of a change of velocities;
        * `reopen[axis]`: what solids gain where faces open or close as these are elsewhere than foreseen;
        * `spread`: scalars after diffusion through open shares of faces; `held` (S, 6) says of each side whether it
          holds a value, `value` (N, 6 S) which.
    """
    base = project_kernels(real)
    vec3, Kinds, wrap = base.vec3, base.Kinds, base.wrap
    PERIODIC_ = wp.constant(PERIODIC)
    options = {"module": f"simenv_gas_react_{real.__name__}", "enable_backward": True}

    def reacting(axis: int):
        side_of_face, jump = base.side_of_face[axis], base.jump[axis]
        X, Y, Z = (int(axis == each) for each in range(3))

        @wp.func
        def pressed(w: int, i: int, j: int, k: int, side: int, kinds: Kinds, phi: wp.array4d(dtype=real)) -> real:
            # the jump of phi across a face; beyond a side there is none
            if side == wp.static(2 * axis):
                return phi[w, i, j, k]
            if side == wp.static(2 * axis + 1):
                return -phi[w, i - wp.static(X), j - wp.static(Y), k - wp.static(Z)]
            return jump(w, i, j, k, side, kinds, phi)

        @wp.kernel(**options)
        @of_axis(axis)
        def react(
            kinds: Kinds,
            lanes: wp.vec2i,
            reach: real,
            dt: real,
            gravity_in: wp.array(dtype=vec3),
            open_before_in: wp.array4d(dtype=real),
            drift_before_in: wp.array4d(dtype=real),
            open_in: wp.array4d(dtype=real),
            away_in: wp.array4d(dtype=real),
            before_in: wp.array4d(dtype=real),
            first_in: wp.array4d(dtype=real),
            first_taken_in: wp.array4d(dtype=real),
            first_carried_in: wp.array4d(dtype=real),
            first_phi_in: wp.array4d(dtype=real),
            second_in: wp.array4d(dtype=real),
            second_taken_in: wp.array4d(dtype=real),
            second_carried_in: wp.array4d(dtype=real),
            second_phi_in: wp.array4d(dtype=real),
            gained_out: wp.array4d(dtype=real),
        ):
            w, i, row, lane = wp.tid()
            for j in range(row, gained_out.shape[2], lanes[0]):
                for k in range(lane, gained_out.shape[3], lanes[1]):
                    total = real(0.0)
                    if away_in[w, i, j, k] < reach:
                        share = open_in[w, i, j, k]
                        side = side_of_face(i, j, k, gained_out.shape[wp.static(axis + 1)], kinds)
                        first = pressed(w, i, j, k, side, kinds, first_phi_in)
                        second = pressed(w, i, j, k, side, kinds, second_phi_in)
                        taken = -(real(0.5) * first + second)
                        if side < 0:
                            one = first_taken_in[w, i, j, k]
                            two = second_taken_in[w, i, j, k]
                            taken = taken + real(0.5) * (one + two) - dt * gravity_in[w][wp.static(axis)]
                            own = before_in[w, i, j, k]
                            calmed = first_in[w, i, j, k] - own
                            pulled = calmed + first_carried_in[w, i, j, k] - own - one
                            pulled = pulled + second_carried_in[w, i, j, k] - second_in[w, i, j, k] - two
                            before = open_before_in[w, i, j, k]
                            grown = (share - before) * (own - drift_before_in[w, i, j, k])
                            total = (real(1.0) - share) * taken - share * real(0.5) * pulled - grown
                        else:
                            total = (real(1.0) - share) * taken
                    gained_out[w, i, j, k] = total

        @wp.kernel(**options)
        @of_axis(axis)
        def press_on(
            kinds: Kinds,
            lanes: wp.vec2i,
            open_in: wp.array4d(dtype=real),
            phi_in: wp.array4d(dtype=real),
            gained_out: wp.array4d(dtype=real),
        ):
            w, i, row, lane = wp.tid()
            for j in range(row, gained_out.shape[2], lanes[0]):
                for k in range(lane, gained_out.shape[3], lanes[1]):
                    side = side_of_face(i, j, k, gained_out.shape[wp.static(axis + 1)], kinds)
                    share = real(1.0) - open_in[w, i, j, k]
                    gained_out[w, i, j, k] = -share * pressed(w, i, j, k, side, kinds, phi_in)

        @wp.kernel(**options)
        @of_axis(axis)
        def hand_on(
            lanes: wp.vec2i,
            open_in: wp.array4d(dtype=real),
            was_in: wp.array4d(dtype=real),
            q_in: wp.array4d(dtype=real),
            gained_inout: wp.array4d(dtype=real),
        ):
            w, i, row, lane = wp.tid()
            for j in range(row, gained_inout.shape[2], lanes[0]):
                for k in range(lane, gained_inout.shape[3], lanes[1]):
                    share = real(1.0) - open_in[w, i, j, k]
                    if share > real(0.0):
                        wp.atomic_add(gained_inout, w, i, j, k, share * (q_in[w, i, j, k] - was_in[w, i, j, k]))

        @wp.kernel(**options)
        @of_axis(axis)
        def reopen(
            kinds: Kinds,
            lanes: wp.vec2i,
            seen_in: wp.array4d(dtype=real),
            drift_in: wp.array4d(dtype=real),
            open_in: wp.array4d(dtype=real),
            q_in: wp.array4d(dtype=real),
            gained_out: wp.array4d(dtype=real),
        ):
            w, i, row, lane = wp.tid()
            for j in range(row, gained_out.shape[2], lanes[0]):
                for k in range(lane, gained_out.shape[3], lanes[1]):
                    total = real(0.0)
                    if side_of_face(i, j, k, gained_out.shape[wp.static(axis + 1)], kinds) < 0:
                        grown = open_in[w, i, j, k] - seen_in[w, i, j, k]
                        total = grown * (drift_in[w, i, j, k] - q_in[w, i, j, k])
                    gained_out[w, i, j, k] = total

        return react, press_on, hand_on, reopen

    reactions = [reacting(axis) for axis in range(3)]

    def spreading(axis: int):
        DX, DY, DZ = (int(axis == each) for each in range(3))

        @wp.func
        def taken_in(
            w: int, s: int, nx: int, i: int, j: int, k: int, kinds: Kinds, held: wp.array2d(dtype=int),
            value: wp.array2d(dtype=real), open: wp.array4d(dtype=real), q: wp.array4d(dtype=real),
        ) -> real:  # fmt: skip
            # what a cell takes in through its two sides across the axis, over the diffusivity
            n = nx
            if wp.static(axis > 0):
                n = q.shape[wp.static(axis + 1)]
            at = wp.static(DX) * i + wp.static(DY) * j + wp.static(DZ) * k
            kind = kinds[wp.static(2 * axis)]
            start = s * nx
            own = q[w, start + i, j, k]
            m = wrap(at - 1, n, kind)
            p = wrap(at + 1, n, kind)
            X = start + wp.static(1 - DX) * i
            Y = wp.static(1 - DY) * j
            Z = wp.static(1 - DZ) * k
            low = q[w, X + wp.static(DX) * m, Y + wp.static(DY) * m, Z + wp.static(DZ) * m] - own
            high = q[w, X + wp.static(DX) * p, Y + wp.static(DY) * p, Z + wp.static(DZ) * p] - own
            if kind != PERIODIC_:
                if at == 0 and held[s, wp.static(2 * axis)] != 0:
                    low = real(2.0) * (value[w, 6 * s + wp.static(2 * axis)] - own)
                if at == n - 1 and held[s, wp.static(2 * axis + 1)] != 0:
                    high = real(2.0) * (value[w, 6 * s + wp.static(2 * axis + 1)] - own)
            iu = wrap(i + wp.static(DX), open.shape[1], kinds[0])
            ju = wrap(j + wp.static(DY), open.shape[2], kinds[2])
            ku = wrap(k + wp.static(DZ), open.shape[3], kinds[4])
            return open[w, i, j, k] * low + open[w, iu, ju, ku] * high

        return taken_in

    through_x, through_y, through_z = (spreading(axis) for axis in range(3))

    @wp.kernel(**options)
    def spread(
        kinds: Kinds,
        lanes: wp.vec2i,
        nx: int,
        factor: real,
        held: wp.array2d(dtype=int),
        diffusivity_in: wp.array2d(dtype=real),
        value_in: wp.array2d(dtype=real),
        open_x_in: wp.array4d(dtype=real),
        open_y_in: wp.array4d(dtype=real),
        open_z_in: wp.array4d(dtype=real),
        q_in: wp.array4d(dtype=real),
        carried_in: wp.array4d(dtype=real),
        q_out: wp.array4d(dtype=real),
    ):
        """Scalars as carried, and what they take in of those before."""
        w, row_x, row, lane = wp.tid()
        s = row_x // nx
        i = row_x - s * nx
        amount = factor * diffusivity_in[w, s]
        for j in range(row, q_out.shape[2], lanes[0]):
            for k in range(lane, q_out.shape[3], lanes[1]):
                total = through_x(w, s, nx, i, j, k, kinds, held, value_in, open_x_in, q_in)
                total = total + through_y(w, s, nx, i, j, k, kinds, held, value_in, open_y_in, q_in)
                total = total + through_z(w, s, nx, i, j, k, kinds, held, value_in, open_z_in, q_in)
                q_out[w, row_x, j, k] = carried_in[w, row_x, j, k] + amount * total

    return SimpleNamespace(
        react=[each[0] for each in reactions], press_on=[each[1] for each in reactions],
        hand_on=[each[2] for each in reactions], reopen=[each[3] for each in reactions], spread=spread, **vars(base),
    )  # fmt: skip
