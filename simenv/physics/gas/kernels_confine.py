# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of vorticity confinement: a force that spins up what a coarse grid has smoothed away."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_walls import PERIODIC, of_axis, wall_functions

__all__ = ["STILL", "confine_kernels"]

STILL = 1e-3  # vorticity [1/s] that is as good as none, which makes the force smooth where gas is at rest


@built_once
def confine_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `curl`, the vorticity in cells (N, nx, ny, nz) [1/s] by central differences, one-sided at
        sides; `confine`, the acceleration in cells [m/s^2], strength dx (n x vorticity), where n leads to where there
        is more of it; and `spin[axis]`, which adds to the velocity on inner faces what cells on both sides give in dt,
        and `unspin[axis]`, its adjoint.

    References:
        Fedkiw, Stam, Jensen 2001, Visual simulation of smoke, eq. 9 to 11; Steinhoff, Underhill 1994.
    """
    base = wall_functions(real)
    vec3, Kinds, wrap = base.vec3, base.Kinds, base.wrap
    cells, vectors = wp.array4d(dtype=real), wp.array4d(dtype=vec3)
    PERIODIC_, STILL_ = wp.constant(PERIODIC), wp.constant(real(STILL))
    smooth = {"module": f"simenv_gas_confine_{real.__name__}", "enable_backward": True}
    plainly = {"module": f"simenv_gas_spin_{real.__name__}", "enable_backward": False}

    @wp.func
    def per_step(i: int, n: int, kind: int) -> real:
        # 1 over the cells between the two neighbours that a difference is of
        if kind == PERIODIC_:
            return real(0.5)
        between = wp.min(i + 1, n - 1) - wp.max(i - 1, 0)
        if between == 0:
            return real(0.0)
        return real(1.0) / real(between)

    @wp.func
    def middle(w: int, i: int, j: int, k: int, kinds: Kinds, u: cells, v: cells, t: cells) -> vec3:
        return real(0.5) * vec3(
            u[w, i, j, k] + u[w, wrap(i + 1, u.shape[1], kinds[0]), j, k],
            v[w, i, j, k] + v[w, i, wrap(j + 1, v.shape[2], kinds[2]), k],
            t[w, i, j, k] + t[w, i, j, wrap(k + 1, t.shape[3], kinds[4])],
        )

    @wp.kernel(**smooth)
    def curl(kinds: Kinds, lanes: wp.vec2i, per_dx: real, u_in: cells, v_in: cells, w_in: cells, turn_out: vectors):
        w, i, row, lane = wp.tid()
        nx = turn_out.shape[1]
        ny = turn_out.shape[2]
        nz = turn_out.shape[3]
        low_x = wrap(i - 1, nx, kinds[0])
        high_x = wrap(i + 1, nx, kinds[0])
        for j in range(row, ny, lanes[0]):
            low_y = wrap(j - 1, ny, kinds[2])
            high_y = wrap(j + 1, ny, kinds[2])
            for k in range(lane, nz, lanes[1]):
                low_z = wrap(k - 1, nz, kinds[4])
                high_z = wrap(k + 1, nz, kinds[4])
                by_x = per_dx * per_step(i, nx, kinds[0]) * (
                    middle(w, high_x, j, k, kinds, u_in, v_in, w_in) - middle(w, low_x, j, k, kinds, u_in, v_in, w_in)
                )  # fmt: skip
                by_y = per_dx * per_step(j, ny, kinds[2]) * (
                    middle(w, i, high_y, k, kinds, u_in, v_in, w_in) - middle(w, i, low_y, k, kinds, u_in, v_in, w_in)
                )  # fmt: skip
                by_z = per_dx * per_step(k, nz, kinds[4]) * (
                    middle(w, i, j, high_z, kinds, u_in, v_in, w_in) - middle(w, i, j, low_z, kinds, u_in, v_in, w_in)
                )  # fmt: skip
                turn_out[w, i, j, k] = vec3(by_y[2] - by_z[1], by_z[0] - by_x[2], by_x[1] - by_y[0])

    @wp.func
    def size(turn: vec3) -> real:
        return wp.sqrt(wp.dot(turn, turn) + STILL_ * STILL_)

    @wp.kernel(**smooth)
    def confine(
        kinds: Kinds,
        lanes: wp.vec2i,
        dx: real,
        strength_in: wp.array(dtype=real),
        turn_in: vectors,
        force_out: vectors,
    ):
        w, i, row, lane = wp.tid()
        nx = turn_in.shape[1]
        ny = turn_in.shape[2]
        nz = turn_in.shape[3]
        for j in range(row, ny, lanes[0]):
            for k in range(lane, nz, lanes[1]):
                # what the vorticity grows by over a cell, along each axis
                more = vec3(
                    per_step(i, nx, kinds[0]) * (size(turn_in[w, wrap(i + 1, nx, kinds[0]), j, k])
                                                 - size(turn_in[w, wrap(i - 1, nx, kinds[0]), j, k])),
                    per_step(j, ny, kinds[2]) * (size(turn_in[w, i, wrap(j + 1, ny, kinds[2]), k])
                                                 - size(turn_in[w, i, wrap(j - 1, ny, kinds[2]), k])),
                    per_step(k, nz, kinds[4]) * (size(turn_in[w, i, j, wrap(k + 1, nz, kinds[4])])
                                                 - size(turn_in[w, i, j, wrap(k - 1, nz, kinds[4])])),
                )  # fmt: skip
                force_out[w, i, j, k] = strength_in[w] * dx / size(more) * wp.cross(more, turn_in[w, i, j, k])

    def spinning(axis: int):
        X, Y, Z = (int(axis == each) for each in range(3))

        @wp.kernel(**plainly)
        @of_axis(axis)
        def spin(kinds: Kinds, lanes: wp.vec2i, dt: real, force_in: vectors, q_inout: cells):
            w, i, row, lane = wp.tid()
            last = q_inout.shape[wp.static(axis + 1)] - 1
            for j in range(row, q_inout.shape[2], lanes[0]):
                for k in range(lane, q_inout.shape[3], lanes[1]):
                    at = wp.static(X) * i + wp.static(Y) * j + wp.static(Z) * k
                    if kinds[wp.static(2 * axis)] == PERIODIC_ or (at > 0 and at < last):
                        below = force_in[
                            w, wrap(i - wp.static(X), force_in.shape[1], kinds[0]),
                            wrap(j - wp.static(Y), force_in.shape[2], kinds[2]),
                            wrap(k - wp.static(Z), force_in.shape[3], kinds[4]),
                        ]  # fmt: skip
                        both = force_in[w, i, j, k][wp.static(axis)] + below[wp.static(axis)]
                        q_inout[w, i, j, k] = q_inout[w, i, j, k] + real(0.5) * dt * both

        @wp.func
        def beside(w: int, i: int, j: int, k: int, kinds: Kinds, g: cells) -> real:
            # of a face, none of one in a side
            at = wp.static(X) * i + wp.static(Y) * j + wp.static(Z) * k
            if kinds[wp.static(2 * axis)] != PERIODIC_ and (at == 0 or at == g.shape[wp.static(axis + 1)] - 1):
                return real(0.0)
            return g[w, i, j, k]

        @wp.kernel(**plainly)
        @of_axis(axis)
        def unspin(
            kinds: Kinds, lanes: wp.vec2i, dt: real, force_in: vectors, q_in: cells, g_in: cells,
            force_bar_inout: vectors,
        ):  # fmt: skip
            # what is added to keeps its adjoint
            w, i, row, lane = wp.tid()
            if i < force_in.shape[1]:
                for j in range(row, force_in.shape[2], lanes[0]):
                    for k in range(lane, force_in.shape[3], lanes[1]):
                        high_x = wrap(i + wp.static(X), g_in.shape[1], kinds[0])
                        high_y = wrap(j + wp.static(Y), g_in.shape[2], kinds[2])
                        high_z = wrap(k + wp.static(Z), g_in.shape[3], kinds[4])
                        both = beside(w, i, j, k, kinds, g_in) + beside(w, high_x, high_y, high_z, kinds, g_in)
                        along = real(0.5) * dt * both
                        force_bar_inout[w, i, j, k] = force_bar_inout[w, i, j, k] + vec3(
                            real(wp.static(X)) * along, real(wp.static(Y)) * along, real(wp.static(Z)) * along
                        )  # fmt: skip

        return spin, unspin

    pairs = [spinning(axis) for axis in range(3)]
    return SimpleNamespace(
        curl=curl, confine=confine, spin=[each[0] for each in pairs], unspin=[each[1] for each in pairs], vec3=vec3
    )
