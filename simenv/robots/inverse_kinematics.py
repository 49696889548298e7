# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics of trees by damped least squares (Wampler 1986, Nakamura and Hanafusa 1986): a few iterations as a
differentiable function, and poses found from far away, with the derivative of the solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from simenv.physics import exact
from simenv.physics.bodies.table import positions_of_rates
from simenv.physics.constants import constant
from simenv.physics.rotation import quaternion_multiply

if TYPE_CHECKING:
    from simenv.robots.robot import Robot

__all__ = ["find", "reach"]

REACH = 0.3  # distance that counts as much as a radian [m]
STEPS = 60  # of a search
FARTHEST, SHARE = 0.6, 1e-3  # of the error that a step of a search takes away [rad]; of its square, damping


def reach(
    robot: Robot,
    q: torch.Tensor,
    link: str,
    pose: torch.Tensor,
    *,
    joints: Sequence[str] | None = None,
    damping: float = 1e-2,
    iterations: int = 1,
) -> torch.Tensor:
    """Joint positions that bring a link to a pose, or as near as their limits let it, by damped least squares.

    Each iteration adds J^T (J J^T + damping^2)^-1 e to the positions, where e is what the link lacks of the pose and J
    its Jacobian (no step is longer than |e| / (2 damping)), and clips them to the joints' limits. Along a singular
    value s of J it divides the error by 1 + (s / damping)^2, and bends it by its square. One iteration a control step
    follows a tool that moves little by little; ten find most poses within reach; `Robot.reach` looks farther.

    All of it is differentiable, with respect to where it starts and to the pose: the derivative is that of the
    iterations as they are. Where there are more joints than the pose needs, the others stay as near as can be to where
    they start, so that the result depends on it. What it returns has the same bits for any number of robots.

    Args:
        robot: N robots; of a world `world.robots[name].model`.
        q: positions (N, ny) to start from.
        link: whose frame goes to the pose.
        pose: (N, 7): place [m], and a quaternion xyzw of length one.
        joints: that may move, as `Robot.joints` names them, of those that turn or slide; None for all.
        damping: against long ways near singular postures; a distance of 0.3 m counts as much as a radian.
        iterations: how many.

    Returns:
        Positions (N, ny). Balls, planar and free joints stay as they are.

    Raises:
        KeyError: there is no such link or joint.
        ValueError: a number is out of range, or a tensor has the wrong shape, dtype or device.
    """
    if not damping > 0.0 or iterations < 1:
        raise ValueError(f"damping = {damping}, iterations = {iterations}: both must be positive")
    moving = _moving(robot, joints)
    robot._check("pose", pose, 7)
    for _ in range(iterations):
        error = _lacking(robot.pose(q, link), pose)
        q = moving.step(q, _pulled(_weighed(robot, q, link, moving), error, damping**2))
    return q


def find(robot: Robot, pose: torch.Tensor, link: str, start: torch.Tensor) -> torch.Tensor:
    """Positions (N, ny) that bring a link of N robots to poses (N, 7), as near as is found from `start` (N, ny): what
    `reach` does, with damping that goes down with the error, until rounding. The derivative by the poses is that of the
    solution, J^T (J J^T)^-1: joints that the pose leaves free stay still.
    """
    moving, q = _moving(robot, None), start.detach()
    with torch.no_grad():
        for _ in range(STEPS):
            error = _lacking(robot.pose(q, link), pose)
            part = FARTHEST / torch.clamp(exact.norm(error, keepdim=True), min=FARTHEST)
            ease = SHARE * exact.dot(error, error) + _least(q)
            q = moving.step(q, _pulled(_weighed(robot, q, link, moving), part * error, ease))
    if not pose.requires_grad:
        return q
    jacobian = _weighed(robot, q, link, moving).detach()
    change = _pulled(jacobian, _lacking(robot.pose(q, link).detach(), pose), _least(q))
    return q.index_add(1, moving.columns, (change - change.detach()).index_select(1, moving.rows))


@dataclass(frozen=True)
class _Moving:
    """Joints that may move: `columns` of their positions, `rows` of their rates, 1 for these rates in `moves` (nu,),
    and limits of their positions.
    """

    columns: torch.Tensor
    rows: torch.Tensor
    moves: torch.Tensor
    lower: torch.Tensor
    upper: torch.Tensor

    def step(self, q: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """Positions after a step (N, nu) of the rates, within the limits."""
        there = q.index_select(1, self.columns) + step.index_select(1, self.rows)
        return q.index_copy(1, self.columns, torch.minimum(torch.maximum(there, self.lower), self.upper))


def _moving(robot: Robot, joints: Sequence[str] | None) -> _Moving:
    for name in joints or ():
        if name not in robot.joints:
            raise KeyError(f"robot {robot.tree.name!r} has no joint {name!r}; it has {', '.join(robot.joints)}")
    made, dtype, device = robot.table, robot.dtype, robot.device
    position = positions_of_rates(made)[made.lead_rates]
    chosen = [joints is None or name in joints for name in robot.joints]
    rows = [i for i, (at, may) in enumerate(zip(position, chosen, strict=True)) if at >= 0 and may]
    columns = [int(np.flatnonzero(made.lead_positions == position[row])[0]) for row in rows]
    lower, upper = (
        constant(tuple(np.clip(bound[made.lead_rates][rows], -1e30, 1e30).tolist()), dtype, device)
        for bound in (made.lower, made.upper)
    )
    moves = constant(tuple(float(i in rows) for i in range(len(position))), dtype, device)
    numbers = [constant(tuple(each), torch.int64, device) for each in (columns, rows)]
    return _Moving(numbers[0], numbers[1], moves, lower, upper)


def _weight(like: torch.Tensor) -> torch.Tensor:
    return constant((1.0 / REACH,) * 3 + (1.0,) * 3, like.dtype, like.device)


def _weighed(robot: Robot, q: torch.Tensor, link: str, moving: _Moving) -> torch.Tensor:
    """The Jacobian (N, 6, nu) of the joints that may move, its distances over `REACH`."""
    return _weight(q)[:, None] * robot.jacobian(q, link) * moving.moves


def _lacking(here: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """What a pose (N, 7) lacks of another, (N, 6): way over `REACH`, and twice the sine of half the angle along the
    axis of the shorter turn.
    """
    back = here[:, 3:] * constant((-1.0, -1.0, -1.0, 1.0), here.dtype, here.device)
    turn = quaternion_multiply(there[:, 3:], back)
    side = 2.0 * torch.where(turn[:, 3:] < 0.0, -1.0, 1.0)
    return _weight(here) * torch.cat([there[:, :3] - here[:, :3], side * turn[:, :3]], -1)


def _least(like: torch.Tensor) -> torch.Tensor:
    """Damping that is always there (N,), far below what J J^T is where it can be inverted."""
    return torch.full_like(like[:, 0], 1e-9 if like.dtype == torch.float64 else 1e-6)


def _pulled(jacobian: torch.Tensor, error: torch.Tensor, ease: float | torch.Tensor) -> torch.Tensor:
    """J^T (J J^T + ease)^-1 e, (N, nu), of e (N, 6) and ease, a number or (N,); by elimination, whose bits no other
    robot changes.
    """
    size = error.shape[-1]
    unit = constant(tuple(tuple(float(i == j) for j in range(size)) for i in range(size)), error.dtype, error.device)
    added = ease.view(-1, 1, 1) if isinstance(ease, torch.Tensor) else ease
    damped = exact.matmul(jacobian, jacobian.mT) + added * unit
    rows = torch.cat([damped, error.unsqueeze(-1)], -1)
    for i in range(size):
        pivot = rows[:, i : i + 1] / rows[:, i : i + 1, i : i + 1]
        others = rows[:, :, i : i + 1] - unit[:, i : i + 1]  # of the pivot's own row what leaves it divided
        rows = rows - others * pivot
    return exact.matmul(rows[..., -1].unsqueeze(1), jacobian)[:, 0]
