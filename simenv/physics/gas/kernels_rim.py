# SPDX-License-Identifier: Apache-2.0
"""Warp kernels for the velocities of gas at the sides of its box: of the faces in them, and of what is beyond."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_walls import PERIODIC, of_axis, wall_functions

__all__ = ["rim_kernels"]


@built_once
def rim_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `surround[axis]`, which fills the layers beyond sides of a wide array of the velocity along an
        axis, at the `places` (G, faces) and their numbers in a flat array of `cells` each, and `pass_sides[axis]`,
        which moves the velocity of the faces in both sides across an axis; and what `wall_functions` has.
    """
    base = wall_functions(real)
    vec3, Kinds = base.vec3, base.Kinds
    PERIODIC_ = wp.constant(PERIODIC)
    options = {"module": f"simenv_gas_rim_{real.__name__}", "enable_backward": True}

    def surrounding(axis: int):
        read = base.read[axis]

        @wp.func
        def linear(at: int, n: int, kind: int) -> int:
            # the side beyond which an index lies, farther than its neighbour: -1 below, 1 above
            if kind == PERIODIC_:
                return 0
            if at < -1:
                return -1
            if at > n:
                return 1
            return 0

        @wp.kernel(**options)
        @of_axis(axis)
        def surround(
            kinds: Kinds,
            cells: wp.int64,
            places: wp.array(dtype=wp.vec3i),
            numbers: wp.array(dtype=int),
            profile: wp.array4d(dtype=real),
            speed_in: wp.array2d(dtype=vec3),
            q_in: wp.array4d(dtype=real),
            wide_out: wp.array(dtype=real),
        ):
            w, each = wp.tid()
            at = places[each]
            i = at[0]
            j = at[1]
            k = at[2]
            value = real(0.0)
            kind = kinds[wp.static(2 * axis)]
            mine = at[wp.static(axis)]
            last = q_in.shape[wp.static(axis + 1)] - 1
            X = wp.static(int(axis == 0))
            Y = wp.static(int(axis == 1))
            Z = wp.static(int(axis == 2))
            if kind != PERIODIC_ and mine < 0:  # the side's own velocity is the mean of both neighbours
                value = real(2.0) * q_in[w, i + X, j + Y, k + Z] - q_in[w, i + 2 * X, j + 2 * Y, k + 2 * Z]
            elif kind != PERIODIC_ and mine > last:
                value = real(2.0) * q_in[w, i - X, j - Y, k - Z] - q_in[w, i - 2 * X, j - 2 * Y, k - 2 * Z]
            else:
                a = linear(i, q_in.shape[1], kinds[0])
                b = linear(j, q_in.shape[2], kinds[2])
                c = linear(k, q_in.shape[3], kinds[4])
                value = read(w, i - a, j - b, k - c, kinds, profile, speed_in, q_in)
                if a != 0 or b != 0 or c != 0:  # one farther, so that the value between is the mean of its neighbours
                    inside = read(w, i - 2 * a, j - 2 * b, k - 2 * c, kinds, profile, speed_in, q_in)
                    value = real(2.0) * value - inside
            wide_out[wp.int64(w) * cells + wp.int64(numbers[each])] = value

        return surround

    def passing(axis: int):
        passed = base.passed[axis]

        @wp.kernel(**options)
        @of_axis(axis)
        def pass_sides(
            kinds: Kinds,
            dt_per_dx: real,
            profile: wp.array4d(dtype=real),
            speed_in: wp.array2d(dtype=vec3),
            q_in: wp.array4d(dtype=real),
            q_out: wp.array4d(dtype=real),
        ):
            w, upper, a, b = wp.tid()
            side = upper + wp.static(2 * axis)
            at = upper * (q_out.shape[wp.static(axis + 1)] - 1)
            i = at
            j = a
            k = b
            if wp.static(axis == 1):
                i = a
                j = at
            if wp.static(axis == 2):
                i = a
                j = b
                k = at
            q_out[w, i, j, k] = passed(w, i, j, k, side, kinds, dt_per_dx, profile, speed_in, q_in)

        return pass_sides

    every = range(3)
    return SimpleNamespace(
        surround=[surrounding(axis) for axis in every], pass_sides=[passing(axis) for axis in every], **vars(base)
    )
