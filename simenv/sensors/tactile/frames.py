# SPDX-License-Identifier: Apache-2.0
"""Where the object is, seen from the sensor: relative poses and twists, differentiable and independent of the batch.

Poses are (N, 7), position [m] and quaternion xyzw; twists are (N, 6), velocity [m/s] of the frame's origin and angular
velocity [rad/s]; both in the world frame. Everything is written with elementary operations, whose rounding does not
depend on the number of worlds, which the matrix products of BLAS do not promise.
"""

from __future__ import annotations

import torch

__all__ = ["IDENTITY", "check_pose", "check_twist", "relative_pose", "relative_twist", "rotation_matrix"]

IDENTITY = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def check_pose(name: str, pose: torch.Tensor) -> None:
    """Raise ValueError unless `pose` has the shape (N, 7)."""
    if pose.dim() != 2 or pose.shape[1] != 7:
        raise ValueError(f"{name} must be (N, 7), position and quaternion xyzw, not {tuple(pose.shape)}")


def check_twist(name: str, twist: torch.Tensor, worlds: int) -> None:
    """Raise ValueError unless `twist` has the shape (worlds, 6)."""
    if twist.shape != (worlds, 6):
        raise ValueError(f"{name} must be ({worlds}, 6), linear and angular velocity, not {tuple(twist.shape)}")


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    product = a * b
    return product[..., 0] + product[..., 1] + product[..., 2]


def _cross(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    a0, a1, a2 = a.unbind(-1)
    b0, b1, b2 = b.unbind(-1)
    return torch.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], -1)


def rotation_matrix(quaternion: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (N, 3, 3) of quaternions (N, 4), xyzw, which are normalised first."""
    x, y, z, w = quaternion.unbind(-1)
    two = 2.0 / (x * x + y * y + z * z + w * w)
    rows = [
        1 - two * (y * y + z * z), two * (x * y - z * w), two * (x * z + y * w),
        two * (x * y + z * w), 1 - two * (x * x + z * z), two * (y * z - x * w),
        two * (x * z - y * w), two * (y * z + x * w), 1 - two * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def _into(rotation: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """R^T v: a world vector (N, 3) in the frame with the axes `rotation` (N, 3, 3)."""
    return torch.stack([_dot(rotation[..., :, i], vector) for i in range(3)], -1)


def relative_pose(body: torch.Tensor, sensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pose of a body in the sensor's frame.

    Args:
        body: pose (N, 7) in the world frame.
        sensor: pose (N, 7) in the world frame.

    Returns:
        Rotation (N, 3, 3) from the body's axes to the sensor's, and position (N, 3) [m].
    """
    axes = rotation_matrix(sensor[:, 3:])
    turned = rotation_matrix(body[:, 3:])
    rotation = torch.stack([_into(axes, turned[..., :, i]) for i in range(3)], -1)
    return rotation, _into(axes, body[:, :3] - sensor[:, :3])


def relative_twist(
    body: torch.Tensor, sensor: torch.Tensor, body_twist: torch.Tensor | None, sensor_twist: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Velocity of a body as the sensor sees it.

    Args:
        body: pose (N, 7) in the world frame.
        sensor: pose (N, 7) in the world frame.
        body_twist: (N, 6) in the world frame, or `None` for rest.
        sensor_twist: (N, 6) in the world frame, or `None` for rest.

    Returns:
        Velocity (N, 3) [m/s] of the body's origin relative to the sensor, and relative angular velocity (N, 3) [rad/s],
        along the sensor's axes.
    """
    worlds = body.shape[0]
    for name, twist in (("body_twist", body_twist), ("sensor_twist", sensor_twist)):
        if twist is not None:
            check_twist(name, twist, worlds)
    rest = body.new_zeros((worlds, 6))
    moving = rest if body_twist is None else body_twist
    carrier = rest if sensor_twist is None else sensor_twist
    axes = rotation_matrix(sensor[:, 3:])
    arm = body[:, :3] - sensor[:, :3]
    linear = moving[:, :3] - carrier[:, :3] - _cross(carrier[:, 3:], arm)
    return _into(axes, linear), _into(axes, moving[:, 3:] - carrier[:, 3:])
