# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics of trees: damped least squares (Wampler 1986), alike in every batch, with the derivative of the
solution by the pose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from simenv.physics import exact
from simenv.physics.bodies.table import positions_of_rates
from simenv.physics.constants import constant
from simenv.physics.rotation import quaternion_multiply

if TYPE_CHECKING:
    from simenv.robots.robot import Robot

__all__ = ["reach"]

STEPS = 60
FARTHEST, DAMPING = 0.2, 1e-3  # of the error that a step takes away [m, rad]; of the squares, times their own size
FLIP = (-1.0, -1.0, -1.0, 1.0)


def reach(robot: Robot, pose: torch.Tensor, link: str, start: torch.Tensor) -> torch.Tensor:
    """Positions (N, ny) that bring a link of N robots to poses (N, 7), as near as is found from `start` (N, ny)."""
    made = robot.table
    lead = np.asarray(made.lead_rates)
    position = positions_of_rates(made)[lead]
    moves = constant((position >= 0).astype(float), pose.dtype, pose.device)
    columns = [int(np.flatnonzero(made.lead_positions == at)[0]) for at in position[position >= 0]]
    rows = [int(row) for row in np.flatnonzero(position >= 0)]
    low, high = (
        constant(np.clip(bound[lead][position >= 0], -1e30, 1e30), pose.dtype, pose.device)
        for bound in (made.lower, made.upper)
    )
    q = start.detach()
    with torch.no_grad():
        for _ in range(STEPS):
            missing = _error(pose, robot.pose(q, link))
            share = FARTHEST / torch.clamp(exact.norm(missing, keepdim=True), min=FARTHEST)
            step = _least(robot.jacobian(q, link) * moves, share * missing, DAMPING * exact.dot(missing, missing))
            q = q.clone()
            q[:, columns] = torch.minimum(torch.maximum(q[:, columns] + step[:, rows], low), high)
    if not pose.requires_grad:
        return q
    jacobian = robot.jacobian(q, link).detach() * moves
    step = _least(jacobian, _error(pose, robot.pose(q, link).detach()), torch.zeros_like(pose[:, 0]))
    return q.index_add(1, torch.tensor(columns, device=q.device), (step - step.detach())[:, rows])


def _error(pose: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """What is missing of poses, (N, 6): [m], and 2 sin(angle / 2) about the axis of the shorter turn."""
    turn = quaternion_multiply(pose[:, 3:], now[:, 3:] * constant(FLIP, pose.dtype, pose.device))
    side = torch.where(turn[:, 3:] < 0.0, -2.0, 2.0)
    return torch.cat([pose[:, :3] - now[:, :3], side * turn[:, :3]], -1)


def _least(jacobian: torch.Tensor, wanted: torch.Tensor, damping: torch.Tensor) -> torch.Tensor:
    """J^T (J J^T + damping)^-1 wanted, (N, nu), by elimination."""
    square = exact.matmul(jacobian, jacobian.mT)
    least = 1e-9 if wanted.dtype == torch.float64 else 1e-6
    eye = torch.eye(6, dtype=wanted.dtype, device=wanted.device)
    left, right = square + (damping + least)[:, None, None] * eye, wanted
    for k in range(6):
        part = left[:, k + 1 :, k] / left[:, k, k, None]
        left = torch.cat([left[:, : k + 1], left[:, k + 1 :] - part[..., None] * left[:, k, None, :]], 1)
        right = torch.cat([right[:, : k + 1], right[:, k + 1 :] - part * right[:, k, None]], 1)
    found: list[torch.Tensor] = []
    for k in reversed(range(6)):
        rest = right[:, k]
        for i, value in zip(range(5, k, -1), found, strict=True):
            rest = rest - left[:, k, i] * value
        found.append(rest / left[:, k, k])
    return exact.matmul(torch.stack(found[::-1], -1)[:, None], jacobian)[:, 0]
