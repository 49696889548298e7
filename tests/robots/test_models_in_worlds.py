# SPDX-License-Identifier: Apache-2.0
"""The robots at hand in a world: they go where they are told, rest on what they touch, and are differentiable, through
contact as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Plane, Sphere
from simenv.physics.bodies.contacts import RigidContact
from simenv.physics.rotation import quaternion_to_matrix
from simenv.robots import JointDrive, Robot, Tree, load
from simenv.robots.poses import Pose
from simenv.world import Scene, State, World
from tests.robots.differences import slopes

DOUBLE, RADIUS = torch.float64, 0.02  # of the ball [m]
# which link of each lies on a ball that stands still
TIPS = {
    "panda_gripper": "left_finger", "fetch": "gripper_link", "fetch, planar": "r_gripper_finger_link",
    "psm": "jaw_left_link", "ecm": "roll_link", "lbr": "needle_driver", "hand": "tip1",
}  # fmt: skip
QUICK = 20.0  # rad/s, at which each joint by itself would swing by its drive


def tree_of(name: str) -> Tree:
    """Of a robot, or of a mobile one, without dry friction, which would hold joints anywhere."""
    posture = {"left_finger_joint": 0.03} if name == "panda_gripper" else None  # within its limits
    tree = load(name.split(",")[0], base="planar" if name.endswith("planar") else "fixed", posture=posture)
    links = (replace(link, joint=link.joint and replace(link.joint, friction=0.0)) for link in tree.links)
    return replace(tree, links=tuple(links))


def drive_of(tree: Tree) -> JointDrive:
    """Critically damped drives of all joints that lead, strong enough to pull each through its friction in 0.1 s."""
    robot = Robot(tree, 1, dtype=DOUBLE)
    own, leads = np.zeros(len(robot.table.rates)), list(robot.table.lead_rates)
    own[leads] = robot.mass_matrix(robot.posture)[0].diagonal().numpy()
    return JointDrive(
        own * QUICK**2 + 10.0 * robot.table.damping * (own > 0), 2.0 * own * QUICK, gravity_compensation=True
    )


def push_of(tree: Tree, link: str) -> tuple[int, float, np.ndarray, np.ndarray]:
    """A joint whose motor moves the last shape of a link well, how far for 5 mm, that way, and the centre of a ball
    that lies 0.2 mm before it there.
    """
    robot, shape = Robot(tree, 1, dtype=DOUBLE), tree.link(link).collisions[-1]
    at, jacobian = robot.pose(robot.posture, link)[0].numpy(), robot.jacobian(robot.posture, link)[0].numpy()
    pose = Pose.of(at[:3], at[3:]) @ Pose.of(shape.position, shape.quaternion)
    moves = jacobian[:3] + np.cross(jacobian[3:].T, pose.place - at[:3]).T
    turns = np.linalg.norm(jacobian[3:], axis=0) > 0.5
    joint = int(np.argmax(np.linalg.norm(moves, axis=0) * np.where(turns, 1.0, 0.1)))
    way = moves[:, joint] / np.linalg.norm(moves[:, joint])
    turn = quaternion_to_matrix(torch.as_tensor(pose.quaternion)).numpy()
    near, far = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (near + far)
        away = shape.shape.signed_distance((turn.T @ (middle * way))[None])[0]
        near, far = (middle, far) if away < RADIUS + 2e-4 else (near, middle)
    return joint, 5e-3 / float(np.linalg.norm(moves[:, joint])), way, pose.place + far * way


def against_a_ball(name: str) -> tuple[World, torch.Tensor, np.ndarray]:
    """A robot beside a smooth ball that stands still and that its tip alone touches, targets of its joints (1, nv) that
    push it there, and the ball's centre.
    """
    tree = tree_of(name)
    joint, far, _, centre = push_of(tree, TIPS[name])
    scene = Scene(substep_dt=1e-3, substeps=10)
    scene.add_robot("robot", tree, drive=drive_of(tree))
    scene.add_body("ball", Sphere(RADIUS), position=tuple(centre), motion="fixed")
    scene.set_contact("robot", "ball", RigidContact(friction=0.0))
    for link in tree.links:
        if link.name != TIPS[name] and link.collisions:
            scene.let_pass(f"robot/{link.name}", "ball", "the tip alone touches it")
    world = scene.make_world(1, dtype=DOUBLE)
    target = world.robots["robot"].positions(world.initial_state()).clone()
    target[:, world.robots["robot"].model.table.lead_rates[joint]] += far
    return world, target, centre


@pytest.mark.parametrize("name", TIPS)
def test_it_rests_against_what_it_pushes(name):
    """Motors carry its weight, so that at rest its drives press with k (target - q) = J^T F against a smooth ball, J at
    the ball's middle, where the force goes through.
    """
    world, target, centre = against_a_ball(name)
    state, robot, tip = world.initial_state(), world.robots["robot"], TIPS[name]
    for _ in range(300):
        state = world.step(state, world.control(joints={"robot": target}))
    assert (state.status == 0).all()
    force = -world.bodies[f"robot/{tip}"].contact_force(state, "ball")[0].numpy()
    model, leads = robot.model, list(robot.model.table.lead_rates)
    q = robot.positions(state)[:, model.table.lead_positions]
    at, jacobian = model.pose(q, tip)[0].numpy(), model.jacobian(q, tip)[0].numpy()
    through = jacobian[:3] + np.cross(jacobian[3:].T, centre - at[:3]).T
    pressed = world.parameters["robot.stiffness"][0, leads] * (target - state.joint_q)[0, leads]
    lacks = np.abs(pressed.numpy() - through.T @ force).max() / np.abs(pressed.numpy()).max()
    print(f"\nmeasured, {name}: {np.linalg.norm(force):.3f} N, off by {lacks:.1e}, {state.joint_qd.abs().max():.1e}")
    assert np.linalg.norm(force) > 0.01 and lacks < 1e-6 and float(state.joint_qd.abs().max()) < 1e-6


@pytest.mark.parametrize("name", ["panda", *TIPS])
def test_it_stays_where_it_is_and_goes_where_it_is_told(name):
    """Joints whose weight motors carry, for a second; then 0.02 rad or 10 mm on, within a thousandth. Joints that
    follow others hang on what holds them, which yields by some g dt^2.
    """
    tree, scene = tree_of(name), Scene(substep_dt=1e-3, substeps=10)
    scene.add_robot("robot", tree, drive=drive_of(tree))
    world = scene.make_world(1, dtype=DOUBLE)
    state, robot = world.initial_state(), world.robots["robot"]
    start = robot.positions(state)
    for _ in range(100):
        state = world.step(state, world.control(joints={"robot": start}))
    assert (state.status == 0).all() and float(state.joint_qd.abs().max()) < 1e-9
    assert float((robot.positions(state) - start).abs().max()) < 1e-5
    gear = robot.model.table.rate_gear
    on = np.where([joint.kind == "prismatic" for joint in tree.joints if joint.mimic is None], 0.01, 0.02)
    on = np.where(on == 0.01, -on, on) if name == "panda_gripper" else on
    on = on if len(on) == gear.shape[1] else np.concatenate([[0.01, 0.01, 0.02], on[1:]])  # a base that is planar
    target = start + torch.as_tensor(gear @ on)
    for _ in range(150):
        state = world.step(state, world.control(joints={"robot": target}))
    assert float((robot.positions(state) - target).abs().max()) < 2e-5, name


def moved(world: World, state: State, given: Mapping[str, torch.Tensor], names: Sequence[str]) -> State:
    """After three steps from rates, with targets, torques and parameters that are given."""
    for each in names:
        world.parameters[each] = given[each]
    end = state.replace(joint_qd=given["rates"])
    control = replace(world.control(joints={"robot": given["target"]}), joint_torque=given["torque"])
    for _ in range(3):
        end = world.step(end, control)
    assert (end.status == 0).all()
    return end


@pytest.mark.parametrize("name", TIPS)
def test_where_it_is_pushed_to_is_differentiable(name):
    """By targets, torques, rates, gains, masses and the law of contact, while it presses."""
    world, target, _ = against_a_ball(name)
    state = world.initial_state()
    for _ in range(60):
        state = world.step(state, world.control(joints={"robot": target}))
    names = ["robot.stiffness", "robot.damping", "robot.mass", "ball|robot.stiffness"]
    world.parameters["ball|robot.stiffness"] = torch.full((1,), 1e4, dtype=DOUBLE)
    leaves = {"target": target.clone(), "torque": torch.zeros_like(target), "rates": state.joint_qd.clone()}
    leaves |= {each: world.parameters[each].clone() for each in names}

    def end_of(given: Mapping[str, torch.Tensor]) -> torch.Tensor:
        end = moved(world, state, given, names)
        assert float(world.bodies[f"robot/{TIPS[name]}"].contact_force(end, "ball").detach().norm()) > 0.0
        return torch.cat([end.joint_q, end.joint_qd, end.body_q.flatten(1)], 1)

    for leaf, found, slope, size in slopes(leaves, end_of, 1e-4):
        assert abs(found - slope) < 1e-5 * max(size, 1e-3), (leaf, found, slope)


def test_how_a_quadruped_stands_is_differentiable():
    """On four feet that stick, by targets, torques, rates, gains, masses and the compliance of its floor."""
    scene = Scene(substep_dt=2e-3, substeps=10, rigid=RigidContact(1e4, 0.01, friction=0.8))
    scene.add_robot("robot", load("quadruped"), (0.0, 0.0, 0.01), drive=JointDrive(400.0, 20.0))
    scene.add_body("floor", Plane(), motion="fixed")
    world = scene.make_world(1, dtype=DOUBLE)
    state, robot = world.initial_state(), world.robots["robot"]
    target = torch.zeros_like(state.joint_qd)
    target[:, 6:] = robot.positions(state)[:, 7:]
    for _ in range(100):
        state = world.step(state, world.control(joints={"robot": target}))
    names = ["robot.stiffness", "robot.damping", "robot.mass", "rigid.stiffness", "rigid.relaxation"]
    leaves = {"target": target, "torque": torch.zeros_like(target), "rates": state.joint_qd.clone()}
    leaves |= {each: world.parameters[each].clone() for each in names}
    weight = float(world.parameters["robot.mass"].sum()) * 9.81

    def end_of(given: Mapping[str, torch.Tensor]) -> torch.Tensor:
        end = moved(world, state, given, names)
        assert float(world.bodies["floor"].contact_force(end)[0, 2].detach()) == pytest.approx(-weight, rel=0.1)
        return torch.cat([end.joint_q, end.joint_qd, end.body_q.flatten(1)], 1)

    for leaf, found, slope, size in slopes(leaves, end_of, 1e-5):
        assert abs(found - slope) < 1e-5 * max(size, 1e-3), (leaf, found, slope)
