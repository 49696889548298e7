# SPDX-License-Identifier: Apache-2.0
"""Warp kernels of the table of frames: given motion enters it, forces are gathered on it, and faults are seen.

Arrays have the world N first, then bodies B. The adjoint of given motion is generated; the others have none.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.status import NONFINITE, TOO_FAST

__all__ = ["frame_kernels"]

FASTEST, QUICKEST = 100.0, 1000.0  # [m/s], [rad/s]; nothing that touches moves faster and is still simulated


@built_once
def frame_kernels(real) -> SimpleNamespace:
    """Build the kernels for one scalar type.

    Args:
        real: `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the kernels `clear`, `release`, `relax`, `place_given` and `see_faults`, and the types
        `vec3`, `quat` and `mat66`.
    """
    vec3 = wp.types.vector(length=3, dtype=real)
    quat = wp.types.quaternion(dtype=real)
    mat66 = wp.types.matrix(shape=(6, 6), dtype=real)
    once = {"module": f"simenv_bodies_frames_{real.__name__}", "enable_backward": False}
    both = {"module": f"simenv_bodies_given_{real.__name__}", "enable_backward": True}
    fastest, quickest = wp.constant(real(FASTEST)), wp.constant(real(QUICKEST))

    @wp.kernel(**once)
    def clear(first_out: wp.array2d(dtype=vec3), second_out: wp.array2d(dtype=vec3)):
        w = wp.tid()
        for b in range(first_out.shape[1]):
            first_out[w, b] = vec3(real(0.0), real(0.0), real(0.0))
            second_out[w, b] = vec3(real(0.0), real(0.0), real(0.0))

    @wp.kernel(**once)
    def release(squeeze_out: wp.array(dtype=real)):
        squeeze_out[wp.tid()] = real(0.0)

    @wp.kernel(**once)
    def relax(rows: wp.array(dtype=int), response_out: wp.array2d(dtype=mat66)):
        w, r = wp.tid()
        for m in range(6):
            for n in range(6):
                response_out[w, rows[r]][m, n] = real(0.0)

    @wp.kernel(**both)
    def place_given(
        tick: int,
        bodies: wp.array(dtype=int),
        given_position_in: wp.array3d(dtype=vec3),
        given_quaternion_in: wp.array3d(dtype=quat),
        given_velocity_in: wp.array3d(dtype=vec3),
        given_omega_in: wp.array3d(dtype=vec3),
        position_out: wp.array2d(dtype=vec3),
        quaternion_out: wp.array2d(dtype=quat),
        velocity_out: wp.array2d(dtype=vec3),
        omega_out: wp.array2d(dtype=vec3),
    ):
        w, g = wp.tid()
        b = bodies[g]
        position_out[w, b] = given_position_in[w, tick, g]
        quaternion_out[w, b] = given_quaternion_in[w, tick, g]
        velocity_out[w, b] = given_velocity_in[w, tick, g]
        omega_out[w, b] = given_omega_in[w, tick, g]

    @wp.kernel(**once)
    def see_faults(
        position_in: wp.array2d(dtype=vec3),
        quaternion_in: wp.array2d(dtype=quat),
        velocity_in: wp.array2d(dtype=vec3),
        omega_in: wp.array2d(dtype=vec3),
        status_inout: wp.array(dtype=int),
    ):
        w, b = wp.tid()
        v = velocity_in[w, b]
        o = omega_in[w, b]
        q = quaternion_in[w, b]
        x = position_in[w, b]
        finite = wp.isfinite(q[3])
        most = real(0.0)
        for i in range(3):
            finite = finite and wp.isfinite(v[i]) and wp.isfinite(o[i]) and wp.isfinite(x[i]) and wp.isfinite(q[i])
            most = wp.max(most, wp.max(wp.abs(v[i]) / fastest, wp.abs(o[i]) / quickest))
        if not finite:
            wp.atomic_or(status_inout, w, NONFINITE)
        elif most >= real(1.0):
            wp.atomic_or(status_inout, w, TOO_FAST)

    return SimpleNamespace(
        clear=clear, release=release, relax=relax, place_given=place_given, see_faults=see_faults, vec3=vec3, quat=quat,
        mat66=mat66, real=real,
    )  # fmt: skip
