# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics of trees: poses are reached, alike in every batch, and the derivative is that of the solution."""

import pytest
import torch

from simenv.robots import Robot, load

POSTURE = {"joint1": 0.0, "joint2": 0.2, "joint4": -2.2, "joint6": 2.4}


def poses(count: int, dtype: torch.dtype) -> torch.Tensor:
    """Down, turned about the vertical, in the peg tasks' room."""
    random = torch.rand((count, 4), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    place = torch.stack([0.4 + 0.2 * random[:, 0], 0.2 * random[:, 1] - 0.1, 0.1 + 0.1 * random[:, 2]], -1)
    half = random[:, 3] - 0.5
    turn = torch.stack([torch.cos(half), torch.sin(half), 0.0 * half, 0.0 * half], -1)
    return torch.cat([place, turn], -1).to(dtype)


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_poses_are_reached(dtype: torch.dtype, limit: float):
    robot = Robot(load("panda", posture=POSTURE), num_worlds=64, dtype=dtype)
    wanted = poses(64, dtype)
    q = robot.reach(wanted, "tool")
    found = robot.pose(q, "tool")
    assert (found - wanted)[:, :3].abs().max() < limit
    assert (1.0 - (found[:, 3:] * wanted[:, 3:]).sum(-1).abs()).max() < limit
    assert torch.equal(q[:, 7:], robot.posture[:, 7:])  # fingers do not move the tool
    lower, upper = robot.table.lower[:7], robot.table.upper[:7]
    assert (q[:, :7] >= torch.as_tensor(lower).to(dtype)).all() and (q[:, :7] <= torch.as_tensor(upper).to(dtype)).all()
    alone = Robot(load("panda", posture=POSTURE), num_worlds=1, dtype=dtype)
    assert torch.equal(alone.reach(wanted[5:6], "tool")[0], q[5])


def test_the_derivative_of_the_solution():
    """The tool follows the pose: d pose(reach(p)) / dp is the identity, of places."""
    robot = Robot(load("panda", posture=POSTURE), num_worlds=2, dtype=torch.float64)
    wanted = poses(2, torch.float64).requires_grad_()
    found = robot.pose(robot.reach(wanted, "tool"), "tool")
    for axis in range(3):
        (grad,) = torch.autograd.grad(found[:, axis].sum(), wanted, retain_graph=True)
        assert (grad[:, :3] - torch.eye(3, dtype=torch.float64)[axis]).abs().max() < 1e-6
        assert grad[:, 3:].abs().max() < 1e-6
    direction = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)
    (grad,) = torch.autograd.grad((robot.reach(wanted, "tool")[:, :7] ** 2).sum(), wanted)
    ends = []
    with torch.no_grad():
        for sign in (1.0, -1.0):  # from the solution itself, so that free joints stay as still as the derivative says
            moved = wanted.detach().clone()
            moved[:, :3] += sign * 1e-6 * direction
            start = robot.reach(wanted.detach(), "tool")
            ends.append(float((robot.reach(moved, "tool", start)[:, :7] ** 2).sum()))
    assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(float((grad[:, :3] * direction).sum()), rel=1e-6)
