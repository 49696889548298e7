# SPDX-License-Identifier: Apache-2.0
"""Warp kernels that give faces in the sides of a box of gas these sides' velocities, whatever a state says."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_walls import of_axis, wall_functions

__all__ = ["seat_kernels"]


@built_once
def seat_kernels(real) -> SimpleNamespace:
    """The kernels `seat[axis]` for one scalar type, `wp.float32` or `wp.float64`."""
    base = wall_functions(real)
    vec3, Kinds = base.vec3, base.Kinds

    def seating(axis: int):
        side_of_face, seated = base.side_of_face[axis], base.seated[axis]

        @wp.func
        def placed(
            w: int, i: int, j: int, k: int, kinds: Kinds, profile: wp.array4d(dtype=real),
            speed: wp.array2d(dtype=vec3), q: wp.array4d(dtype=real),
        ) -> real:  # fmt: skip
            side = side_of_face(i, j, k, q.shape[wp.static(axis + 1)], kinds)
            if side < 0:
                return q[w, i, j, k]
            return seated(w, i, j, k, side, kinds, profile, speed, q)

        @wp.kernel(module=f"simenv_gas_seat_{real.__name__}", enable_backward=True)
        @of_axis(axis)
        def seat(
            kinds: Kinds,
            lanes: wp.vec2i,
            profile: wp.array4d(dtype=real),
            speed_in: wp.array2d(dtype=vec3),
            q_in: wp.array4d(dtype=real),
            q_out: wp.array4d(dtype=real),
        ):
            w, i, row, lane = wp.tid()
            for j in range(row, q_out.shape[2], lanes[0]):
                for k in range(lane, q_out.shape[3], lanes[1]):
                    q_out[w, i, j, k] = placed(w, i, j, k, kinds, profile, speed_in, q_in)

        return seat

    return SimpleNamespace(seat=[seating(axis) for axis in range(3)])
