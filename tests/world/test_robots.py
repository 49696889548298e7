# SPDX-License-Identifier: Apache-2.0
"""Robots of a world by name: what a scene refuses, where joints and links are, and who is told what."""

import pytest
import torch

from simenv.geometry.shapes import Sphere
from simenv.robots import Inertial, Joint, JointDrive, Link, Mimic, Tree
from simenv.world import Scene, World
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


def test_joints_that_follow_others_are_refused():
    tree = Tree("gripper", (slider("left"), slider("right", Mimic("left", -1.0))))
    with pytest.raises(
        ValueError, match="robot 'hand': right follow other joints, which a world does not make them do"
    ):
        scene_of(hand=tree)


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
    with pytest.raises(ValueError, match=r"'crawler/link1' is a robot's link; use world\.robots"):
        world.bodies["crawler/link1"].place(state, body.pose(state))


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
