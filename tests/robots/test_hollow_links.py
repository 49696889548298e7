# SPDX-License-Identifier: Apache-2.0
"""Robots in a world whose bodies have several joints, with links without mass between them."""

from dataclasses import replace
from pathlib import Path

import gymnasium
import pytest
import torch

from simenv.robots import Inertial, JointDrive, Robot, load
from simenv.world import Scene

FILES = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
DT = 1e-3


def free(link):
    """A link whose joint has no limits."""
    return replace(link, joint=replace(link.joint, lower=-float("inf"), upper=float("inf")))


def world_of(tree, ticks=1):
    scene = Scene(substep_dt=DT, substeps=ticks)
    scene.add_robot("robot", tree, drive=JointDrive())
    return scene.make_world(1, dtype=torch.float64)


@pytest.mark.parametrize("name", ["hopper", "walker2d", "half_cheetah"])
@pytest.mark.filterwarnings("ignore:.* left out")
def test_a_world_has_the_accelerations_of_the_robot_alone(name):
    """Of a tick from rest, in which viscous friction is implicit, as `easing` is."""
    tree = load(FILES / f"{name}.xml")
    tree = replace(tree, links=tuple(free(link) for link in tree.links))
    assert any(link.hollow for link in tree.links)
    world, robot = world_of(tree), Robot(tree, 1, dtype=torch.float64)
    state = world.step(world.initial_state(), world.zero_control())
    q, rest = robot.posture, torch.zeros(1, len(robot.joints), dtype=torch.float64)
    easing = DT * torch.as_tensor(robot.table.damping)[None]
    wanted = robot.forward_dynamics(q, rest, rest, easing=easing)
    assert int(state.status) == 0
    assert (state.joint_qd / DT)[0].numpy() == pytest.approx(wanted[0].numpy(), rel=1e-10, abs=1e-12)


@pytest.mark.filterwarnings("ignore:.* left out")
def test_mass_that_is_given_to_one_is_at_its_origin():
    """It moves as the same robot with a ball there that is as heavy and has no size, and so is the derivative."""
    tree = load(FILES / "hopper.xml")
    hollow = next(i for i, link in enumerate(tree.links) if link.hollow)
    links = list(tree.links)
    links[hollow] = replace(links[hollow], inertial=Inertial(2.0))
    world, other = world_of(tree, 20), world_of(replace(tree, links=tuple(links)), 20)
    index = world.robots["robot"].spec.table.links.index(tree.links[hollow].name)
    start = world.initial_state()
    start = start.replace(joint_qd=torch.linspace(0.5, -0.5, 6, dtype=torch.float64)[None])

    def ends(which, mass=None):
        if mass is not None:
            which.parameters["robot.mass"] = mass
        return which.step(start, which.zero_control()).joint_q

    mass = world.parameters["robot.mass"].clone()
    assert float(mass[0, index]) == 0.0
    mass[0, index] = 2.0
    assert ends(world, mass)[0].numpy() == pytest.approx(ends(other)[0].numpy(), rel=1e-12, abs=1e-14)
    mass.requires_grad_()
    (slope,) = torch.autograd.grad(ends(world, mass).sum(), mass)
    step = torch.zeros_like(mass)
    step[0, index] = 1e-4
    with torch.no_grad():
        difference = (ends(world, mass + step) - ends(world, mass - step)).sum() / 2e-4
    assert float(slope[0, index]) == pytest.approx(float(difference), rel=1e-6)
