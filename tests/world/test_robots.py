# SPDX-License-Identifier: Apache-2.0
"""Robots of a world by name: what a scene refuses, where joints and links are, and who is told what."""

import pytest
import torch

from simenv.geometry.shapes import Sphere
from simenv.robots import Inertial, Joint, JointDrive, Link, Mimic, Tree
from simenv.world import Control, Scene, World
from tests.robots.random_trees import tree_of

DOUBLE = torch.float64
ROUND = ((0.01, 0.0, 0.0), (0.0, 0.01, 0.0), (0.0, 0.0, 0.01))


def slider(name: str, mimic: Mimic | None = None) -> Link:
    """A block of 1 kg that slides along z."""
    return Link(name, None, Joint(name, "prismatic", mimic=mimic), Inertial(1.0, (0.0, 0.0, 0.0), ROUND))


def scene_of(**trees: Tree | str) -> Scene:
    """A scene with robots beside each other."""
    scene = Scene(substep_dt=1e-3, substeps=10, gravity=(0.0, 0.0, -1.62))
    for number, (name, tree) in enumerate(trees.items()):
        scene.add_robot(name, tree, (0.5 * number, 0.0, 0.0), drive=JointDrive(50.0, 5.0))
    return scene


def test_joints_follow_others():
    """A driven finger and one that follows move as one mass of twice their own, against gravity on one of both."""
    tree = Tree("gripper", (slider("left"), slider("right", Mimic("left", -1.0, 0.1))))
    world = World(scene_of(hand=tree), 1, dtype=DOUBLE)
    state, view = world.initial_state(), world.robots["hand"]
    start = view.positions(state)
    torch.testing.assert_close(start, torch.tensor([[0.0, 0.1]], dtype=DOUBLE))
    push = torch.tensor([[3.0, 0.0]], dtype=DOUBLE)
    world.parameters["hand.stiffness"] = torch.zeros(1, 2, dtype=DOUBLE)
    world.parameters["hand.damping"] = torch.zeros(1, 2, dtype=DOUBLE)
    for _ in range(10):
        state = world.step(state, Control(joint_torque=push))
    left, right = view.positions(state)[0].tolist()
    assert right == pytest.approx(0.1 - left, abs=1e-6)  # 0.75 m/s^2 of 1 kg against 4 pi^2 / (2 dt^2) N/m
    assert left == pytest.approx(0.5 * 3.0 / 2.0 * 0.1**2, rel=1e-3)


def test_a_motor_gives_its_effort_and_turns_at_its_speed():
    """1 kg, 5 N, 0.3 m/s, told to go where it will not come to: 5 m/s^2 until it is as fast as it can be."""
    joint = Joint("slide", "prismatic", axis=(1.0, 0.0, 0.0), effort=5.0, speed=0.3)
    tree = Tree("slide", (Link("block", None, joint, Inertial(1.0, (0.0, 0.0, 0.0), ROUND)),))
    scene = Scene(substep_dt=1e-3, substeps=10)
    scene.add_robot("slide", tree, drive=JointDrive(1e8, 10.0))
    world = World(scene, 1, dtype=DOUBLE)
    state, rates = world.initial_state(), []
    for _ in range(10):
        state = world.step(state, world.control(joints={"slide": torch.ones(1, 1, dtype=DOUBLE)}))
        rates.append(float(state.joint_qd))
    assert rates[:6] == pytest.approx([0.05 * (i + 1) for i in range(6)], rel=1e-8)  # rounding of 1e8 N beside 5 N
    assert rates[6:] == pytest.approx([0.3] * 4, rel=1e-3)  # 5 N yield 5 dt / (4 pi^2) m/s


def test_a_motor_that_is_too_weak_lets_go():
    """1 kg on a motor of 5 N falls at g - 5 m/s^2; on one of 20 N it stays, a droop of weight over stiffness below."""
    for effort, expected in ((5.0, -0.5 * (9.81 - 5.0) * 0.1**2), (20.0, -9.81 / 1e8)):
        joint = Joint("lift", "prismatic", effort=effort)
        tree = Tree("lift", (Link("block", None, joint, Inertial(1.0, (0.0, 0.0, 0.0), ROUND)),))
        scene = Scene(substep_dt=1e-3, substeps=100)
        scene.add_robot("lift", tree, drive=JointDrive(1e8, 10.0))
        world = World(scene, 1, dtype=DOUBLE)
        state = world.step(world.initial_state(), world.zero_control())
        assert float(state.joint_q) == pytest.approx(expected, rel=1e-2, abs=1e-9)


def test_a_robot_and_a_body_cannot_share_a_name():
    """Both would have parameters ``name.mass``."""
    scene = scene_of(arm=Tree("one", (slider("block"),)))
    with pytest.raises(ValueError, match="body 'arm': a robot has the name"):
        scene.add_body("arm", Sphere(0.01), 1000.0, motion="free")
    with pytest.raises(ValueError, match="body 'arm/block' exists already"):
        scene.add_body("arm/block", Sphere(0.01))
    scene.add_body("ball", Sphere(0.01))
    for name in ("arm", "ball"):
        with pytest.raises(ValueError, match=f"robot '{name}': the name is taken"):
            scene.add_robot(name, Tree("one", (slider("block"),)), drive=JointDrive())


def test_a_view_places_joints_and_links():
    world = World(scene_of(arm="panda", crawler=tree_of("free", "ball", "revolute", seed=2)), 2, dtype=DOUBLE)
    state, view = world.initial_state(), world.robots["crawler"]
    assert view.joints[:2] == ("joint0.0", "joint0.1") and view.links == ("link0", "link1", "link2")
    positions = view.positions(state) + 0.1
    rates = torch.linspace(-1.0, 1.0, 10, dtype=DOUBLE).expand(2, -1)
    placed = view.place(state, positions, rates)
    torch.testing.assert_close(view.positions(placed), positions)
    torch.testing.assert_close(view.rates(placed), rates)
    assert torch.equal(world.robots["arm"].positions(placed), world.robots["arm"].positions(state))
    for link in view.links:
        body = world.bodies[f"crawler/{link}"]
        torch.testing.assert_close(body.pose(placed), view.model.pose(positions, link))
        torch.testing.assert_close(body.twist(placed), view.model.twist(positions, rates, link))
    for wrong in (positions[:1], positions[0], positions[:, 1:]):
        with pytest.raises(ValueError, match=r"need a tensor \(2, 12\)"):
            view.place(state, wrong)


def test_a_view_has_its_robot_alone_with_the_gravity_of_the_scene():
    world = World(scene_of(arm=Tree("one", (slider("block"),))), 1, dtype=DOUBLE)
    still = torch.zeros(1, 1, dtype=DOUBLE)
    assert float(world.robots["arm"].model.bias(still, still)) == pytest.approx(1.62)


def test_targets_are_told_by_name():
    world = World(scene_of(left=Tree("one", (slider("block"),)), right="panda"), 2, dtype=DOUBLE)
    targets = {"right": torch.full((2, 9), 0.3, dtype=DOUBLE), "left": torch.full((2, 1), 0.1, dtype=DOUBLE)}
    told = world.control(joints=targets).joint_target
    assert told.shape == (2, 10)
    for name, view in world.robots.items():
        assert torch.equal(told[:, view.span], targets[name])
    with pytest.raises(KeyError, match="no robot 'middle'"):
        world.control(joints={**targets, "middle": targets["left"]})
    with pytest.raises(KeyError, match="right"):
        world.control(joints={"left": targets["left"]})
    state = world.initial_state()
    held = world.step(state, world.zero_control())  # where they are, but for what they sag in 10 ms
    assert float((held.joint_q - state.joint_q).abs().max()) < 0.5 * 1.62 * 0.01**2 * 40
