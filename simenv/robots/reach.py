# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics of trees as a differentiable function: joint positions that bring a link to a pose."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from simenv.physics import exact
from simenv.physics.constants import constant
from simenv.physics.rotation import quaternion_multiply
from simenv.robots.robot import Robot

__all__ = ["reach"]

REACH = 0.3  # distance that counts as much as a radian [m]


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
    its Jacobian (Wampler 1986, Nakamura and Hanafusa 1986; no step is longer than |e| / (2 damping)), and clips them to
    the joints' limits. Along a singular value s of J it divides the error by 1 + (s / damping)^2, and bends it by its
    square. One iteration a control step follows a tool that moves little by little; ten find most poses within reach.

    All of it is differentiable, with respect to where it starts and to the pose: the derivative is that of the
    iterations as they are. Where there are more joints than the pose needs, the others stay as near as can be to where
    they start, so that the result depends on it. What it returns has the same bits for any number of robots.

    Args:
        robot: N robots; of a world `world.robots[name].model`.
        q: positions (N, ny) to start from.
        link: whose frame goes to the pose.
        pose: (N, 7): place [m], and a quaternion xyzw of length one.
        joints: that may move, as `Robot.joints` names them; None for all.
        damping: against long ways near singular postures; a distance of 0.3 m counts as much as a radian.
        iterations: how many.

    Returns:
        Positions (N, ny).

    Raises:
        KeyError: there is no such link or joint.
        ValueError: a joint has no position that is the integral of its rate, a number is out of range, or a tensor has
            the wrong shape, dtype or device.
    """
    if not damping > 0.0 or iterations < 1:
        raise ValueError(f"damping = {damping}, iterations = {iterations}: both must be positive")
    moves = _moving(robot, joints)
    leads = robot.table.lead_rates
    lower, upper = (constant(side[leads], q.dtype, q.device) for side in (robot.table.lower, robot.table.upper))
    weight = constant((1.0 / REACH,) * 3 + (1.0,) * 3, q.dtype, q.device)
    robot._check("pose", pose, 7)
    for _ in range(iterations):
        jacobian = weight[:, None] * robot.jacobian(q, link) * moves
        error = weight * _lacking(robot.pose(q, link), pose)
        square = exact.matmul(jacobian, jacobian.mT)
        pull = _solved(square, error, damping**2)
        step = exact.matmul(pull.unsqueeze(1), jacobian)[:, 0]
        q = torch.where(moves > 0.0, torch.minimum(torch.maximum(q + step, lower), upper), q)
    return q


def _moving(robot: Robot, joints: Sequence[str] | None) -> torch.Tensor:
    """1 for every rate (nu,) that may move, else 0."""
    if robot.table.positions != len(robot.table.rates):
        raise ValueError(
            f"robot {robot.tree.name!r} has ball or free joints, whose positions are no integrals of rates; fix its "
            "base, load(..., base='fixed'), or place it and give the rest as a tree of its own"
        )
    for name in joints or ():
        if name not in robot.joints:
            raise KeyError(f"robot {robot.tree.name!r} has no joint {name!r}; it has {', '.join(robot.joints)}")
    chosen = [float(joints is None or name in joints) for name in robot.joints]
    return constant(tuple(chosen), robot.dtype, robot.device)


def _lacking(here: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """What a pose (N, 7) lacks of another: way [m], and twice the sine of half the angle along the axis, (N, 6)."""
    back = here[:, 3:] * constant((-1.0, -1.0, -1.0, 1.0), here.dtype, here.device)
    turn = quaternion_multiply(there[:, 3:], back)
    return torch.cat([there[:, :3] - here[:, :3], 2.0 * torch.where(turn[:, 3:] < 0.0, -1.0, 1.0) * turn[:, :3]], -1)


def _solved(square: torch.Tensor, right: torch.Tensor, ease: float) -> torch.Tensor:
    """(A + ease)^-1 b of symmetric A (N, n, n) and b (N, n), by elimination, whose bits no other robot changes."""
    size = right.shape[-1]
    unit = constant(tuple(tuple(float(i == j) for j in range(size)) for i in range(size)), right.dtype, right.device)
    rows = torch.cat([square + ease * unit, right.unsqueeze(-1)], -1)
    for i in range(size):
        pivot = rows[:, i : i + 1] / rows[:, i : i + 1, i : i + 1]
        others = rows[:, :, i : i + 1] - unit[:, i : i + 1]  # of the pivot's own row what leaves it divided
        rows = rows - others * pivot
    return rows[..., -1]
