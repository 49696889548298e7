# SPDX-License-Identifier: Apache-2.0
"""Warp kernels around the pressure equation: its weights, its right-hand side, and what the solution does to velocity.

The pressure p is solved for as phi = dt p / (rho dx), a velocity.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_walls import OPEN, PERIODIC, of_axis, wall_functions
from simenv.physics.pressure.kernels_krylov import krylov_functions

__all__ = ["project_kernels"]


@built_once
def project_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `weigh[axis]`: weights of the pressure equation: open shares of inner faces, zero at sides;
        * `hold`: its shift, where a side is open, half a cell away from which the pressure is zero;
        * `diverge`: its right-hand side, what flows out of each cell, negative;
        * `push[axis]`: velocities after the pressure has acted;
        * `blame[axis]`: adjoints of open shares; the function `jump[axis]`, of phi across a face;
        * `fastest`, `fastest_flux`, `spill` and `scale_of`: the largest speed of a world, that of the flux of gas and
          solids, and what flows out of a cell.
    """
    base = wall_functions(real)
    Kinds, wrap, greater = base.Kinds, base.wrap, krylov_functions(real).greater
    OPEN_, PERIODIC_ = wp.constant(OPEN), wp.constant(PERIODIC)
    options = {"module": f"simenv_gas_project_{real.__name__}", "enable_backward": False}  # by hand
    weights = {"module": f"simenv_gas_weights_{real.__name__}", "enable_backward": False}

    def weighing(axis: int):
        X, Y, Z = (int(axis == each) for each in range(3))

        @wp.kernel(**weights)
        @of_axis(axis)
        def weigh(kinds: Kinds, lanes: wp.vec2i, open_in: wp.array4d(dtype=real), weight_out: wp.array4d(dtype=real)):
            w, i, row, lane = wp.tid()
            periodic = kinds[wp.static(2 * axis)] == PERIODIC_
            last = weight_out.shape[wp.static(axis + 1)] - 1
            for j in range(row, weight_out.shape[2], lanes[0]):
                for k in range(lane, weight_out.shape[3], lanes[1]):
                    at = wp.static(X) * i + wp.static(Y) * j + wp.static(Z) * k
                    value = real(0.0)
                    if periodic or (at > 0 and at < last):
                        value = open_in[w, i, j, k]
                    weight_out[w, i, j, k] = value

        return weigh

    @wp.kernel(**weights)
    def hold(
        kinds: Kinds,
        lanes: wp.vec2i,
        open_x_in: wp.array4d(dtype=real),
        open_y_in: wp.array4d(dtype=real),
        open_z_in: wp.array4d(dtype=real),
        shift_out: wp.array4d(dtype=real),
    ):
        w, i, row, lane = wp.tid()
        nx = shift_out.shape[1]
        ny = shift_out.shape[2]
        nz = shift_out.shape[3]
        for j in range(row, ny, lanes[0]):
            for k in range(lane, nz, lanes[1]):
                total = real(0.0)
                if i == 0 and kinds[0] == OPEN_:
                    total = total + open_x_in[w, i, j, k]
                if i == nx - 1 and kinds[1] == OPEN_:
                    total = total + open_x_in[w, i + 1, j, k]
                if j == 0 and kinds[2] == OPEN_:
                    total = total + open_y_in[w, i, j, k]
                if j == ny - 1 and kinds[3] == OPEN_:
                    total = total + open_y_in[w, i, j + 1, k]
                if k == 0 and kinds[4] == OPEN_:
                    total = total + open_z_in[w, i, j, k]
                if k == nz - 1 and kinds[5] == OPEN_:
                    total = total + open_z_in[w, i, j, k + 1]
                shift_out[w, i, j, k] = real(2.0) * total

    @wp.func
    def flows(share: real, gas: real, solid: real) -> real:
        return share * gas + (real(1.0) - share) * solid

    @wp.kernel(**options)
    def diverge(
        kinds: Kinds,
        lanes: wp.vec2i,
        open_x_in: wp.array4d(dtype=real),
        open_y_in: wp.array4d(dtype=real),
        open_z_in: wp.array4d(dtype=real),
        solid_x_in: wp.array4d(dtype=real),
        solid_y_in: wp.array4d(dtype=real),
        solid_z_in: wp.array4d(dtype=real),
        u_in: wp.array4d(dtype=real),
        v_in: wp.array4d(dtype=real),
        w_in: wp.array4d(dtype=real),
        b_out: wp.array4d(dtype=real),
    ):
        """Minus what flows out of each cell, of gas through open shares of faces and of what solids displace."""
        w, i, row, lane = wp.tid()
        iu = wrap(i + 1, u_in.shape[1], kinds[0])
        for j in range(row, b_out.shape[2], lanes[0]):
            ju = wrap(j + 1, v_in.shape[2], kinds[2])
            for k in range(lane, b_out.shape[3], lanes[1]):
                ku = wrap(k + 1, w_in.shape[3], kinds[4])
                b_out[w, i, j, k] = (
                    flows(open_x_in[w, i, j, k], u_in[w, i, j, k], solid_x_in[w, i, j, k])
                    - flows(open_x_in[w, iu, j, k], u_in[w, iu, j, k], solid_x_in[w, iu, j, k])
                    + flows(open_y_in[w, i, j, k], v_in[w, i, j, k], solid_y_in[w, i, j, k])
                    - flows(open_y_in[w, i, ju, k], v_in[w, i, ju, k], solid_y_in[w, i, ju, k])
                    + flows(open_z_in[w, i, j, k], w_in[w, i, j, k], solid_z_in[w, i, j, k])
                    - flows(open_z_in[w, i, j, ku], w_in[w, i, j, ku], solid_z_in[w, i, j, ku])
                )

    def pushing(axis: int):
        X, Y, Z = (int(axis == each) for each in range(3))
        side_ = base.side_of_face[axis]

        @wp.func
        def jump(w: int, i: int, j: int, k: int, side: int, kinds: Kinds, phi: wp.array4d(dtype=real)) -> real:
            # of phi across a face, upward; over half a cell from an open side, none at the others
            nx = phi.shape[1]
            ny = phi.shape[2]
            nz = phi.shape[3]
            if side < 0:
                low = phi[
                    w, wrap(i - wp.static(X), nx, kinds[0]), wrap(j - wp.static(Y), ny, kinds[2]),
                    wrap(k - wp.static(Z), nz, kinds[4]),
                ]  # fmt: skip
                return phi[w, i, j, k] - low
            if kinds[side] == OPEN_:
                if side == wp.static(2 * axis):
                    return real(2.0) * phi[w, i, j, k]
                return -real(2.0) * phi[w, i - wp.static(X), j - wp.static(Y), k - wp.static(Z)]
            return real(0.0)

        @wp.kernel(**options)
        @of_axis(axis)
        def push(
            kinds: Kinds,
            lanes: wp.vec2i,
            open_in: wp.array4d(dtype=real),
            solid_in: wp.array4d(dtype=real),
            phi_in: wp.array4d(dtype=real),
            q_in: wp.array4d(dtype=real),
            q_out: wp.array4d(dtype=real),
        ):
            w, i, row, lane = wp.tid()
            for j in range(row, q_out.shape[2], lanes[0]):
                for k in range(lane, q_out.shape[3], lanes[1]):
                    side = side_(i, j, k, q_out.shape[wp.static(axis + 1)], kinds)
                    if open_in[w, i, j, k] > real(0.0):
                        q_out[w, i, j, k] = q_in[w, i, j, k] - jump(w, i, j, k, side, kinds, phi_in)
                    else:
                        q_out[w, i, j, k] = solid_in[w, i, j, k]

        @wp.kernel(**weights)
        @of_axis(axis)
        def blame(
            kinds: Kinds,
            lanes: wp.vec2i,
            phi_in: wp.array4d(dtype=real),
            adjoint_in: wp.array4d(dtype=real),
            open_bar_inout: wp.array4d(dtype=real),
        ):
            """Add what the solution's dependence on open shares gives to their adjoints; `adjoint` solves the adjoint
            equation.
            """
            w, i, row, lane = wp.tid()
            for j in range(row, open_bar_inout.shape[2], lanes[0]):
                for k in range(lane, open_bar_inout.shape[3], lanes[1]):
                    side = side_(i, j, k, open_bar_inout.shape[wp.static(axis + 1)], kinds)
                    first = jump(w, i, j, k, side, kinds, phi_in)
                    second = jump(w, i, j, k, side, kinds, adjoint_in)
                    if side >= 0:  # of twice the value over half a cell, which the shift has once
                        second = real(0.5) * second
                    open_bar_inout[w, i, j, k] = open_bar_inout[w, i, j, k] - first * second

        return push, blame, jump

    pairs = [pushing(axis) for axis in range(3)]

    @wp.kernel(**weights)
    def fastest(q_in: wp.array4d(dtype=real), most_inout: wp.array2d(dtype=real)):
        """Largest speed of slabs (N, nx + 1), beside what is there."""
        w, i = wp.tid()
        most = most_inout[w, i]
        for j in range(q_in.shape[2]):
            for k in range(q_in.shape[3]):
                most = greater(most, wp.abs(q_in[w, i, j, k]))
        most_inout[w, i] = most

    @wp.kernel(**weights)
    def fastest_flux(
        open_in: wp.array4d(dtype=real),
        solid_in: wp.array4d(dtype=real),
        q_in: wp.array4d(dtype=real),
        most_inout: wp.array2d(dtype=real),
    ):
        """The same of the flux of gas and solids, which is what carries: gas in a face that is open by a thousandth
        may be fast.
        """
        w, i = wp.tid()
        most = most_inout[w, i]
        for j in range(q_in.shape[2]):
            for k in range(q_in.shape[3]):
                most = greater(most, wp.abs(flows(open_in[w, i, j, k], q_in[w, i, j, k], solid_in[w, i, j, k])))
        most_inout[w, i] = most

    @wp.kernel(**weights)
    def scale_of(most_inout: wp.array2d(dtype=real), scale_out: wp.array(dtype=real)):
        """Largest of slabs, which are zeroed."""
        w = wp.tid()
        most = real(0.0)
        for i in range(most_inout.shape[1]):
            most = greater(most, most_inout[w, i])
            most_inout[w, i] = real(0.0)
        scale_out[w] = most

    @wp.kernel(**weights)
    def spill(b_in: wp.array4d(dtype=real), inverse_in: wp.array4d(dtype=real), most_inout: wp.array2d(dtype=real)):
        """Largest of what flows out of the cells of slabs that have an equation."""
        w, i = wp.tid()
        most = most_inout[w, i]
        for j in range(b_in.shape[2]):
            for k in range(b_in.shape[3]):
                if inverse_in[w, i, j, k] > real(0.0):
                    most = greater(most, wp.abs(b_in[w, i, j, k]))
        most_inout[w, i] = most

    return SimpleNamespace(
        weigh=[weighing(axis) for axis in range(3)], hold=hold, diverge=diverge, push=[each[0] for each in pairs],
        blame=[each[1] for each in pairs], jump=[each[2] for each in pairs], fastest=fastest,
        fastest_flux=fastest_flux, scale_of=scale_of, spill=spill, **vars(base),
    )  # fmt: skip
