# SPDX-License-Identifier: Apache-2.0
"""Links of robots that are placed: joints bring them where they are put."""

import pytest
import torch

from simenv.world import World
from tests.world.test_bodies import DOUBLE, rows
from tests.world.zoo import SCENES


def test_a_robot_is_placed_where_its_joints_can_bring_it():
    """By the pose of a link: the joints that move it go there, at rest, and the fingers stay."""
    world = World(SCENES["robot"](), 2, dtype=DOUBLE)
    view, arm, start = world.bodies["arm/tool"], world.robots["arm"], world.initial_state()

    def tool_pose(state):
        return arm.model.pose(arm.positions(state), "tool")

    torch.testing.assert_close(view.pose(start), tool_pose(start), rtol=0, atol=1e-12)
    goal = view.near(start, rows(0.03, -0.05, 0.02).expand(2, 3), rows(0.0, 0.1, 0.2).expand(2, 3))
    state = view.place(start.replace(joint_qd=start.joint_qd + 1.0), goal)
    assert float((view.pose(state)[:, :3] - goal[:, :3]).norm(dim=-1).max()) < 1e-12
    assert float((view.pose(state)[:, 3:] * goal[:, 3:]).sum(-1).abs().min()) > 1 - 1e-14
    torch.testing.assert_close(view.pose(state), tool_pose(state), rtol=0, atol=1e-12)
    assert float(state.joint_qd.abs().max()) == 0.0 == float(state.body_twist.abs().max())
    assert torch.equal(arm.positions(state)[:, 7:], arm.positions(start)[:, 7:])
    assert torch.equal(arm.reach(start, "tool", goal), arm.positions(state))
    with pytest.raises(ValueError, match=r"'arm/tool' is a robot's link, whose twist follows from its joints"):
        view.place(start, goal, rows(0.1, 0.0, 0.0, 0.0, 0.0, 0.0).expand(2, 6))


def test_the_place_of_a_robot_s_link_has_a_derivative():
    """Of where the link is by where it is put: one."""
    world = World(SCENES["robot"](), 1, dtype=DOUBLE)
    view, start = world.bodies["arm/tool"], world.initial_state()
    move = torch.zeros(1, 3, dtype=DOUBLE, requires_grad=True)
    state = view.place(start, view.near(start, move, torch.zeros_like(move)))
    for axis in range(3):
        (slope,) = torch.autograd.grad(view.pose(state)[0, axis], move, retain_graph=True)
        torch.testing.assert_close(slope[0], torch.eye(3, dtype=DOUBLE)[axis], rtol=0, atol=1e-7)


# ---------------------------------------------------------------------------------------------------------- wrenches
