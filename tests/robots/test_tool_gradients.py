# SPDX-License-Identifier: Apache-2.0
"""Impedances of links, weight that motors carry, late and integrating commands, joints that move as told: gradients of
control steps with respect to everything declared, against central differences.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from simenv.geometry import Box, Sphere
from simenv.robots import Fitted, Inertial, Joint, JointDrive, Link, ToolDrive, Tree, load
from simenv.world import Scene, World
from simenv.world.state import Control
from tests.robots.differences import slopes
from tests.robots.random_trees import tree_of

STEPS, TICKS = 5, 10
COMPACT = ((0.05, 0.0, 0.0), (0.0, 0.05, 0.0), (0.0, 0.0, 0.05))  # inertia about the centre of mass [kg m^2]
PAST = ("joint_aim", "joint_past", "tool_past")
JOINT = ("joint_target", "joint_rate", "joint_torque")


def leaves_of(world: World, seed: int) -> dict[str, torch.Tensor]:
    """State, control and parameters, away from where the scene has them."""
    rng = np.random.default_rng(seed)
    state = world.initial_state()

    def near(value: torch.Tensor, size: float) -> torch.Tensor:
        return value + size * torch.as_tensor(rng.normal(size=tuple(value.shape)))

    leaves = {"joint_q": near(state.joint_q, 0.1), "joint_qd": near(state.joint_qd, 0.5)}
    for name in PAST:
        if name in world.fields:
            leaves[name] = near(state[name], 0.1 if name == "tool_past" else 0.2)
    for name in JOINT:
        leaves[name] = near(torch.zeros_like(state.joint_qd), 0.3)
    if "joint_aim" in world.fields:
        del leaves["joint_target"]
    if world.tool_names:
        leaves["tool_goal"] = near(torch.stack([world.bodies[name].pose(state) for name in world.tool_names], 1), 0.1)
    for name, value in world.parameters.items():
        leaves[name] = value.clone() * torch.as_tensor(1.0 + 0.1 * rng.random(tuple(value.shape)))
        if name.endswith((".viscous", ".armature")):
            leaves[name] = leaves[name] + 0.05
    return leaves


def end_of(world: World, leaves: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Numbers of the state after steps."""
    for name in world.parameters:
        world.parameters[name] = leaves[name]
    fields = {name: leaves[name] for name in ("joint_q", "joint_qd", *PAST) if name in leaves}
    state = world.initial_state().replace(**fields)
    given = {name: leaves[name] for name in (*JOINT, "tool_goal") if name in leaves}
    for _ in range(STEPS):
        state = world.step(state, replace(Control(), **given))
    assert (state.status == 0).all()
    return torch.cat([state.joint_q, state.joint_qd, state.body_q.flatten(1), state.body_twist.flatten(1)], 1)


def compare(world: World, seed: int = 1, limit: float = 1e-7, step: float = 1e-3) -> None:
    """Gradients by every leaf in a random direction, with differences of fourth order."""
    for name, found, slope, size in slopes(leaves_of(world, seed), partial(end_of, world), step):
        assert abs(found - slope) < limit * max(size, 1e-3), (name, found, slope)


def scene_of(drive: JointDrive, *robots: tuple, midpoint: bool = False) -> World:
    """Robots with impedances of links, in one world."""
    scene = Scene(substep_dt=1e-3, substeps=TICKS, gravity=(0.3, -0.2, -9.81), midpoint=midpoint)
    for number, (tree, tools) in enumerate(robots):
        place = (0.4 * number, 0.1, 0.2)
        scene.add_robot(f"robot{number}", tree, place, (0.1, 0.2, -0.1, 0.96), drive=drive, tools=tools)
    return scene.make_world(1, dtype=torch.float64)


SIX = ToolDrive((40.0, 30.0, 60.0, 3.0, 2.0, 4.0), (2.0, 3.0, 1.0, 0.2, 0.1, 0.3))
POSED = ToolDrive((80.0, 5.0), (4.0, 0.3), posture_stiffness=2.0, posture_damping=0.1)


@pytest.mark.parametrize("kind", ["an arm", "two links of two robots", "a hand on a floating base"])
def test_goals_gains_and_postures(kind: str):
    """Of one link with a posture in the joints that it leaves free, of several, and through joints without motors."""
    arm = tree_of("revolute", "prismatic", "revolute", "revolute", "revolute", "revolute", "revolute", seed=5)
    names = [link.name for link in arm.links]
    floating = tree_of("free", "ball", "revolute", "planar", "revolute", seed=6)
    ends = [link.name for link in floating.links]
    robots = {
        "an arm": [(arm, {names[-1]: POSED})],
        "two links of two robots": [(arm, {names[-1]: POSED, names[2]: SIX}), (floating, {ends[-1]: SIX})],
        "a hand on a floating base": [(floating, {ends[-1]: SIX, ends[2]: SIX})],
    }[kind]
    compare(scene_of(JointDrive(3.0, 0.2, gravity_compensation=True), *robots))


def test_commands_that_are_late_integrate_or_are_obeyed():
    """Each of the joints in a way of its own; one late by a tick, one by a whole step, one by more; and two of
    three impedances.
    """
    arm = tree_of("revolute", "prismatic", "revolute", "revolute", "prismatic", seed=8)
    drive = JointDrive(
        [3.0, 4.0, 5.0, 3.0, 2.0], 0.2, integrate=[True, False, True, False, False],
        kinematic=[False, False, True, True, False], delay=[0.001, 0.01, 0.0, 0.013, 0.024],
    )  # fmt: skip
    tools = {"link4": SIX, "link2": replace(POSED, delay=0.004), "link3": replace(SIX, delay=0.017)}
    compare(scene_of(drive, (arm, tools)), limit=1e-6)


@pytest.mark.parametrize(
    ("name", "link", "gains"),
    [("panda", "tool", ToolDrive((3e4, 900.0), (900.0, 40.0))), ("psm", "tool", ToolDrive((300.0, 0.1), (9.0, 0.01)))],
)
def test_joints_that_follow_others_and_motors_at_their_limits(name: str, link: str, gains: ToolDrive):
    """The Panda's motors cannot give what is asked; on the PSM links hang on joints that follow. Steps are small: at
    limits the slope changes.
    """
    drive, arm = JointDrive(5.0, 1.0, gravity_compensation=True), (load(name), {link: gains})
    world = scene_of(drive, arm, midpoint=name == "panda")
    compare(world, limit=1e-5, step=1e-5)


def test_a_link_that_an_impedance_pushes_against_others():
    """Through contact of a ball at its tip with a box that slides on a table."""
    scene = Scene(substep_dt=2e-3, substeps=TICKS)
    scene.add_body("table", Box((0.5, 0.5, 0.05)), position=(0.0, 0.0, -0.05), motion="fixed", coupling="rigid")
    scene.add_body(
        "box", Box((0.1, 0.1, 0.05)), 200.0, (0.0, 0.0, 0.0498), motion="free", coupling="rigid"
    )  # fmt: skip
    axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    links = []
    for i, axis in enumerate(axes):
        joint = Joint(f"slide{i}", "prismatic", axis=axis, position=(0.0, 0.0, 0.0))
        links.append(Link(f"link{i}", f"link{i - 1}" if i else None, joint, Inertial(0.5, (0.0, 0.0, 0.0), COMPACT)))
    links[-1] = replace(links[-1], collisions=(Fitted(Sphere(0.03)),))
    tools = {"link2": ToolDrive((500.0, 0.0), (20.0, 0.0))}
    scene.add_robot("arm", Tree("arm", tuple(links)), (0.0, 0.0, 0.129), drive=JointDrive(), tools=tools)
    world = scene.make_world(1, dtype=torch.float64)
    start = world.bodies["arm/link2"].pose(world.initial_state())
    move = torch.tensor([[0.02, 0.01, -0.02]], dtype=torch.float64, requires_grad=True)
    stiffness = world.parameters["arm/link2.stiffness"].clone().requires_grad_()

    def end(move: torch.Tensor, stiffness: torch.Tensor) -> torch.Tensor:
        world.parameters["arm/link2.stiffness"], state = stiffness, world.initial_state()
        goal = torch.cat([start[:, :3] + move, start[:, 3:]], 1)
        for _ in range(STEPS):
            state = world.step(state, world.control(goal={"arm/link2": goal}))
        assert world.bodies["box"].contact_force(state, "arm/link2")[0, 2] < -1.0  # [N]
        return world.bodies["box"].pose(state)[0, :3].sum() + state.joint_qd.sum()

    grads = torch.autograd.grad(end(move, stiffness), (move, stiffness))
    rng = np.random.default_rng(4)
    for i, (value, grad) in enumerate(zip((move, stiffness), grads, strict=True)):
        direction = torch.as_tensor(rng.normal(size=tuple(value.shape))) * (1.0, 300.0)[i]
        ends = [
            end(*(v.detach() + (s * 1e-6 * direction if v is value else 0.0) for v in (move, stiffness)))
            for s in (1, -1)
        ]
        slope, found = float(ends[0] - ends[1]) / 2e-6, float((grad * direction).sum())
        assert abs(slope - found) < 1e-5 * abs(found), (i, slope, found)
