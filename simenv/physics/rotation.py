# SPDX-License-Identifier: Apache-2.0
"""Rotations on torch tensors: unit quaternions (x, y, z, w), rotation vectors and matrices. All functions broadcast."""

from __future__ import annotations

import torch

from simenv.physics import exact


def quaternion_multiply(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Product a b of quaternions (..., 4): the rotation b followed by a."""
    av, aw, bv, bw = a[..., :3], a[..., 3:], b[..., :3], b[..., 3:]
    av, bv = torch.broadcast_tensors(av, bv)
    vector = aw * bv + bw * av + torch.linalg.cross(av, bv)
    return torch.cat([vector, aw * bw - exact.dot(av, bv, keepdim=True)], -1)


def quaternion_from_rotation_vector(rotation: torch.Tensor) -> torch.Tensor:
    """Quaternion of a rotation vector (..., 3) [rad], smooth at zero."""
    half = 0.5 * rotation
    square = exact.dot(half, half, keepdim=True)
    small = square < 1e-6
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    sine, cosine = exact.sincos(angle)
    sinc = torch.where(small, 1 - square / 6 + square**2 / 120, sine / angle)
    cosine = torch.where(small, 1 - square / 2 + square**2 / 24, cosine)
    return torch.cat([sinc * half, cosine], -1)


def quaternion_to_matrix(q: torch.Tensor) -> torch.Tensor:
    """Rotation matrix (..., 3, 3) of a unit quaternion (..., 4)."""
    x, y, z, w = q.unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def rotate(q: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Vector (..., 3) rotated by a unit quaternion (..., 4)."""
    u, w = q[..., :3], q[..., 3:]
    u, v = torch.broadcast_tensors(u, v)
    t = 2 * torch.linalg.cross(u, v)
    return v + w * t + torch.linalg.cross(u, t)
