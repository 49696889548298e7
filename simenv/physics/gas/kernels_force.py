# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of what acts on gas within its box: buoyancy, and sources of momentum, heat and smoke."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_walls import PERIODIC, of_axis, wall_functions

__all__ = ["force_kernels"]


@built_once
def force_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `lift[axis]`, which adds to a velocity what buoyancy and sources give in dt, and `feed`, which
        adds to scalars what sources give. Scalars lie one after another along x, (N, S nx, ny, nz), and so do the
        places of sources (R nx, ny, nz).
    """
    base = wall_functions(real)
    vec3, Kinds, wrap = base.vec3, base.Kinds, base.wrap
    PERIODIC_ = wp.constant(PERIODIC)
    options = {"module": f"simenv_gas_force_{real.__name__}", "enable_backward": False}  # by hand

    def lifting(axis: int):
        X, Y, Z = (int(axis == each) for each in range(3))

        @wp.func
        def gained(
            w: int, nx: int, i: int, j: int, k: int, kinds: Kinds, scalars: int, sources: int,
            place: wp.array3d(dtype=real), gravity: vec3, lightness: wp.array2d(dtype=real),
            rest: wp.array2d(dtype=real), drive: wp.array2d(dtype=vec3), scalar: wp.array4d(dtype=real),
        ) -> real:  # fmt: skip
            # acceleration at an inner face, of which the means of both cells are made
            below = wrap(i - wp.static(X), nx, kinds[0])
            j0 = wrap(j - wp.static(Y), scalar.shape[2], kinds[2])
            k0 = wrap(k - wp.static(Z), scalar.shape[3], kinds[4])
            total = real(0.0)
            for s in range(scalars):
                mean = real(0.5) * (scalar[w, s * nx + i, j, k] + scalar[w, s * nx + below, j0, k0])
                total = total - gravity[wp.static(axis)] * lightness[w, s] * (mean - rest[w, s])
            for r in range(sources):
                share = real(0.5) * (place[r * nx + i, j, k] + place[r * nx + below, j0, k0])
                total = total + share * drive[w, r][wp.static(axis)]
            return total

        @wp.kernel(**options)
        @of_axis(axis)
        def lift(
            kinds: Kinds,
            lanes: wp.vec2i,
            nx: int,
            scalars: int,
            sources: int,
            dt: real,
            place: wp.array3d(dtype=real),
            gravity_in: wp.array(dtype=vec3),
            lightness_in: wp.array2d(dtype=real),
            rest_in: wp.array2d(dtype=real),
            drive_in: wp.array2d(dtype=vec3),
            scalar_in: wp.array4d(dtype=real),
            q_in: wp.array4d(dtype=real),
            q_out: wp.array4d(dtype=real),
        ):
            w, i, row, lane = wp.tid()
            last = q_out.shape[wp.static(axis + 1)] - 1
            periodic = kinds[wp.static(2 * axis)] == PERIODIC_
            for j in range(row, q_out.shape[2], lanes[0]):
                for k in range(lane, q_out.shape[3], lanes[1]):
                    at = wp.static(X) * i + wp.static(Y) * j + wp.static(Z) * k
                    if periodic or (at > 0 and at < last):
                        more = gained(
                            w, nx, i, j, k, kinds, scalars, sources, place, gravity_in[w], lightness_in, rest_in,
                            drive_in, scalar_in,
                        )  # fmt: skip
                        q_out[w, i, j, k] = q_in[w, i, j, k] + dt * more
                    else:
                        q_out[w, i, j, k] = q_in[w, i, j, k]

        return lift

    @wp.kernel(**options)
    def feed(
        lanes: wp.vec2i,
        nx: int,
        sources: int,
        scalars: int,
        dt: real,
        place: wp.array3d(dtype=real),
        rate_in: wp.array2d(dtype=real),
        q_in: wp.array4d(dtype=real),
        q_out: wp.array4d(dtype=real),
    ):
        """Scalars after sources gave `rate` (N, R S) a second, where they are."""
        w, row_x, row, lane = wp.tid()
        s = row_x // nx
        i = row_x - s * nx
        for j in range(row, q_out.shape[2], lanes[0]):
            for k in range(lane, q_out.shape[3], lanes[1]):
                total = real(0.0)
                for r in range(sources):
                    total = total + place[r * nx + i, j, k] * rate_in[w, r * scalars + s]
                q_out[w, row_x, j, k] = q_in[w, row_x, j, k] + dt * total

    return SimpleNamespace(lift=[lifting(axis) for axis in range(3)], feed=feed, **vars(base))
