# SPDX-License-Identifier: Apache-2.0
"""Warp functions of rotations, for kernels of every solver."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["rotation_functions"]


@built_once
def rotation_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `turned(q, rotation)`: the quaternion after a rotation vector [rad], smooth at zero.
    """
    vec3 = wp.types.vector(length=3, dtype=real)
    quat = wp.types.quaternion(dtype=real)

    @wp.func
    def turned(q: quat, rotation: vec3) -> quat:
        half = real(0.5) * rotation
        square = wp.dot(half, half)
        sinc = real(1.0) - square / real(6.0) + square * square / real(120.0)
        cosine = real(1.0) - square / real(2.0) + square * square / real(24.0)
        if square > real(1.0e-4):
            angle = wp.sqrt(square)
            sinc = wp.sin(angle) / angle
            cosine = wp.cos(angle)
        return wp.normalize(quat(sinc * half[0], sinc * half[1], sinc * half[2], cosine) * q)

    return SimpleNamespace(turned=turned)
