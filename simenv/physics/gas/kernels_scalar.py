# SPDX-License-Identifier: Apache-2.0
"""Warp kernels that carry what is mixed into gas by its flux through the faces of cells: heat, smoke, dye.

What leaves a cell enters its neighbour, so that sums are kept but for what sides let through.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_walls import PERIODIC, wall_functions

__all__ = ["scalar_kernels"]


@built_once
def scalar_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `carry_scalar`, which moves scalars of the cells by fluxes and diffusion, and what
        `wall_functions` has. Scalars lie one after another along x: (N, S nx, ny, nz). `held` (S, 6) says of each
        side whether it holds a value, `value` (N, 6 S) which.

    References:
        van Albada, van Leer, Roberts 1982 (the limiter); Leonard 1979 (QUICK).
    """
    base = wall_functions(real)
    Kinds, wrap = base.Kinds, base.wrap
    PERIODIC_ = wp.constant(PERIODIC)
    options = {"module": f"simenv_gas_scalar_{real.__name__}", "enable_backward": False}  # by hand

    @wp.func
    def upstream(before: real, low: real, high: real, limited: int) -> real:
        # value at the face between `low`, upstream, and `high`
        if limited == 0:
            return real(0.125) * (real(3.0) * high + real(6.0) * low - before)
        a = low - before
        b = high - low
        if a * b > real(0.0):
            return low + real(0.5) * a * b * (a + b) / (a * a + b * b)
        return low

    @wp.func
    def of_side(inside: real, outward: real, spread: real, held: int, value: real) -> real:
        # what leaves through a side, of a speed outward
        if held == 0:
            return outward * inside
        passed = value
        if outward > real(0.0):
            passed = inside
        return outward * passed + real(2.0) * spread * (inside - value)

    def flux(axis: int):
        DX, DY, DZ = (int(axis == each) for each in range(3))
        low_side, high_side = 2 * axis, 2 * axis + 1

        @wp.func
        def inner(
            w: int, start: int, nx: int, i: int, j: int, k: int, speed: real, kinds: Kinds, limited: int, spread: real,
            q: wp.array4d(dtype=real),
        ) -> real:  # fmt: skip
            # what passes upward from cell (i, j, k) to the next, of a speed upward
            n = nx
            if wp.static(axis > 0):
                n = q.shape[wp.static(axis + 1)]
            kind = kinds[wp.static(low_side)]
            at = wp.static(DX) * i + wp.static(DY) * j + wp.static(DZ) * k
            m = wrap(at - 1, n, kind)
            p = wrap(at + 1, n, kind)
            f = wrap(at + 2, n, kind)
            X = start + wp.static(1 - DX) * i
            Y = wp.static(1 - DY) * j
            Z = wp.static(1 - DZ) * k
            low = q[w, start + i, j, k]
            high = q[w, X + wp.static(DX) * p, Y + wp.static(DY) * p, Z + wp.static(DZ) * p]
            if speed > real(0.0):
                before = q[w, X + wp.static(DX) * m, Y + wp.static(DY) * m, Z + wp.static(DZ) * m]
                return speed * upstream(before, low, high, limited) - spread * (high - low)
            before = q[w, X + wp.static(DX) * f, Y + wp.static(DY) * f, Z + wp.static(DZ) * f]
            return speed * upstream(before, high, low, limited) - spread * (high - low)

        @wp.func
        def taken_in(
            w: int, s: int, nx: int, i: int, j: int, k: int, kinds: Kinds, held: wp.array2d(dtype=int), limited: int,
            spread: real, value: wp.array2d(dtype=real), along: wp.array4d(dtype=real), q: wp.array4d(dtype=real),
        ) -> real:  # fmt: skip
            start = s * nx
            own = q[w, start + i, j, k]
            n = nx
            if wp.static(axis > 0):
                n = q.shape[wp.static(axis + 1)]
            kind = kinds[wp.static(low_side)]
            at = wp.static(DX) * i + wp.static(DY) * j + wp.static(DZ) * k
            iu = wrap(i + wp.static(DX), along.shape[1], kinds[0])
            ju = wrap(j + wp.static(DY), along.shape[2], kinds[2])
            ku = wrap(k + wp.static(DZ), along.shape[3], kinds[4])
            low = along[w, i, j, k]
            high = along[w, iu, ju, ku]
            total = real(0.0)
            if at == 0 and kind != PERIODIC_:
                total = -of_side(own, -low, spread, held[s, wp.static(low_side)], value[w, 6 * s + wp.static(low_side)])
            else:
                m = wrap(at - 1, n, kind)
                a = wp.static(1 - DX) * i + wp.static(DX) * m
                b = wp.static(1 - DY) * j + wp.static(DY) * m
                c = wp.static(1 - DZ) * k + wp.static(DZ) * m
                total = inner(w, start, nx, a, b, c, low, kinds, limited, spread, q)
            if at == n - 1 and kind != PERIODIC_:
                total = total - of_side(
                    own, high, spread, held[s, wp.static(high_side)], value[w, 6 * s + wp.static(high_side)]
                )
            else:
                total = total - inner(w, start, nx, i, j, k, high, kinds, limited, spread, q)
            return total

        return taken_in

    through_x, through_y, through_z = (flux(axis) for axis in range(3))

    @wp.kernel(**options)
    def carry_scalar(
        kinds: Kinds,
        lanes: wp.vec2i,
        nx: int,
        limited: int,
        dt: real,
        per_dx: real,
        held: wp.array2d(dtype=int),
        diffusivity_in: wp.array2d(dtype=real),
        value_in: wp.array2d(dtype=real),
        u_in: wp.array4d(dtype=real),
        v_in: wp.array4d(dtype=real),
        w_in: wp.array4d(dtype=real),
        q_in: wp.array4d(dtype=real),
        q_out: wp.array4d(dtype=real),
    ):
        """Scalars after dt; `limited` 1 makes no new extremes, 0 is smooth."""
        w, row_x, row, lane = wp.tid()
        s = row_x // nx
        i = row_x - s * nx
        spread = diffusivity_in[w, s] * per_dx
        for j in range(row, q_out.shape[2], lanes[0]):
            for k in range(lane, q_out.shape[3], lanes[1]):
                total = through_x(w, s, nx, i, j, k, kinds, held, limited, spread, value_in, u_in, q_in)
                total = total + through_y(w, s, nx, i, j, k, kinds, held, limited, spread, value_in, v_in, q_in)
                total = total + through_z(w, s, nx, i, j, k, kinds, held, limited, spread, value_in, w_in, q_in)
                q_out[w, row_x, j, k] = q_in[w, row_x, j, k] + dt * per_dx * total

    return SimpleNamespace(carry_scalar=carry_scalar, **vars(base))
