# SPDX-License-Identifier: Apache-2.0
"""Robots whose Coriolis', centrifugal and gyroscopic forces are those of the middle of a tick, `Scene(midpoint=True)`:
free motion is of second order.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, Plane
from simenv.robots import Inertial, Joint, JointDrive, Link, Robot, ToolDrive, Tree, load
from simenv.world import Scene, State, World
from tests.robots.linkages import parallelogram
from tests.robots.random_trees import tree_of
from tests.robots.test_closed_forms import rk4, top
from tests.verification.test_robots import DOUBLE, DOUBLED, G, joints, momenta, started, unbound

STILL = (0.0, 0.0, 0.0)
UNEVEN = ((0.01, 0.0, 0.0), (0.0, 0.02, 0.0), (0.0, 0.0, 0.028))


def alone(tree: Tree, dt: float, gravity: tuple = (0.0, 0.0, -G), midpoint: bool = True) -> World:
    """One robot."""
    scene = Scene(substep_dt=dt, substeps=20, gravity=gravity, midpoint=midpoint)
    scene.add_robot("robot", tree, drive=JointDrive())
    return World(scene, 1, dtype=DOUBLE)


def after(world: World, state: State, time: float) -> State:
    """The state so much later."""
    for _ in range(round(time / world.dt)):
        state = world.step(state, world.zero_control())
    return state


def body() -> Tree:
    """A free one of three different moments."""
    return Tree("body", (Link("body", None, Joint("free", "free"), Inertial(2.0, STILL, UNEVEN)),))


SWINGS = {
    "double pendulum": (DOUBLED, [0.5, 1.0], 1.0),
    "Panda": (unbound(load("panda")), [0.0] * 9, 0.2),
    "top": (top().tree.with_posture({"foot": (0.0, math.sin(0.26), 0.0, math.cos(0.26))}), [0.0, 0.0, 100.0], 0.2),
    "body, about its middle axis": (body(), [0.1, 0.2, 0.3, 0.01, 6.0, 0.02], 1.0),
    "floating tree": (tree_of("free", "revolute", "ball", seed=3), list(np.linspace(-1.0, 1.5, 10)), 0.4),
}  # fmt: skip


@pytest.mark.parametrize("name", SWINGS)
def test_the_error_of_a_free_motion_falls_with_the_square_of_the_tick(name):
    """Against Runge and Kutta's of fourth order, whose own error is below a thousandth of these."""
    tree, rates, time = SWINGS[name]
    robot = Robot(tree, 1, dtype=DOUBLE)
    exact = torch.cat(rk4(robot, robot.posture, torch.tensor([rates], dtype=DOUBLE), time / 400, 400), 1)
    errors = []
    for dt in (2e-3, 1e-3, 5e-4):
        world = alone(tree, dt)
        end = joints(after(world, started(world, rates), time))
        errors.append(float((end - exact).abs().max()))
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    print(f"\nmeasured, {name}: errors {errors}, slopes {slopes}")
    assert slopes[-1] > 1.9


def test_momentum_and_energy_of_what_floats_stay_to_second_order():
    """Of a tree without gravity, for half a second: falls with the square of the tick."""
    tree = tree_of("free", "revolute", "ball", seed=3)
    robot = Robot(tree, 1, dtype=DOUBLE, gravity=STILL)
    rates = np.random.default_rng(0).normal(size=len(robot.joints)).tolist()
    lost = []
    for dt in (4e-3, 2e-3, 1e-3):
        world = alone(tree, dt, STILL)
        start = started(world, rates)
        end = after(world, start, 0.48)
        change = float((momenta(robot, end) - momenta(robot, start)).norm() / momenta(robot, start).norm())
        energies = [float(sum(robot.energy(each.joint_q, each.joint_qd))) for each in (start, end)]
        lost.append([change, abs(energies[1] / energies[0] - 1.0)])
    slopes = np.log2(np.array(lost)[:-1] / np.array(lost)[1:])
    print(f"\nmeasured: {lost}, slopes {slopes.tolist()}")
    assert slopes.min() > 1.9 and max(lost[-1]) < 1e-5


def test_a_double_pendulum_keeps_its_energy():
    """Two rods of 1.3 kg that swing through whole turns for 10 s at 1 ms: to a thousandth; by the rates before each
    tick they lose 1.6 J.
    """
    robot, lost = Robot(DOUBLED, 1, dtype=DOUBLE), {}
    for midpoint in (True, False):
        world = alone(DOUBLED, 1e-3, midpoint=midpoint)
        start = started(world, [5.0, 8.0])
        state = after(world, start, 10.0)
        energies = [float(sum(robot.energy(each.joint_q, each.joint_qd))) for each in (start, state)]
        kinetic = float(robot.energy(start.joint_q, start.joint_qd)[0])
        lost[midpoint] = abs(energies[1] - energies[0]) / kinetic
    print(f"\nmeasured: {lost} of its kinetic energy")
    assert lost[True] < 1e-3 and lost[False] > 20 * lost[True]


def test_lagranges_top_precesses_in_a_world():
    """m 0.5, a disc of radius 0.05 and 0.01 m thick at 0.08 m, 30 degrees, 300 rad/s: 2.16923 rad/s, to 1e-4. At
    25 us the spin turns it by w dt = 0.0075 a tick, of which the square counts, 6e-5.
    """
    spin, tilt, mgl = 300.0, math.radians(30.0), 0.5 * G * 0.08
    I3, I1 = 0.5 * 0.05**2 / 2, 0.5 * (3 * 0.05**2 + 0.01**2) / 12 + 0.5 * 0.08**2
    omega = (I3 * spin - math.sqrt((I3 * spin) ** 2 - 4 * I1 * mgl * math.cos(tilt))) / (2 * I1 * math.cos(tilt))
    assert omega == pytest.approx(2.16923, rel=1e-5)
    tree = top().tree.with_posture({"foot": (0.0, math.sin(tilt / 2), 0.0, math.cos(tilt / 2))})
    world = alone(tree, 2.5e-5)
    state, robot = started(world, [-omega * math.sin(tilt), 0.0, spin]), world.robots["robot"]
    angles = []
    for _ in range(40):
        state = after(world, state, 1e-2)
        x, y, z, w = robot.positions(state)[0].tolist()
        angles.append(math.atan2(2 * (y * z - x * w), 2 * (x * z + y * w)))
        leans = math.acos(1 - 2 * (x * x + y * y))
        assert leans == pytest.approx(tilt, abs=1e-3)
    found = np.polyfit(1e-2 * np.arange(1, 41), np.unwrap(angles), 1)[0]
    print(f"\nmeasured: {found:.5f} rad/s of {omega:.5f}")
    assert found == pytest.approx(omega, rel=1e-4)


def test_a_free_body_precesses_in_a_world():
    """A symmetric one: in its own axes its spin turns at (I3 - I1) w3 / I1; to (w dt)^2 of the angle."""
    I1, I3, spin, dt = 0.02, 0.035, 6.0, 1e-3
    link = Link("b", None, Joint("free", "free"), Inertial(2.0, STILL, ((I1, 0, 0), (0, I1, 0), (0, 0, I3))))
    world = alone(Tree("b", (link,)), dt, STILL)
    state = after(world, started(world, [0.1, 0.2, -0.3, 1.0, 0.0, spin]), 1.0)
    x, y, z, w = state.joint_q[0, 3:].tolist()
    turn = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    local, angle = turn.T @ state.joint_qd[0, 3:].numpy(), (I3 - I1) * spin / I1
    error = np.abs(local - [math.cos(angle), math.sin(angle), spin]).max()
    print(f"\nmeasured: {error:.1e}")
    assert error < angle * (7.0 * dt) ** 2


def test_what_rests_and_what_is_pulled_is_as_it_is_without():
    """A box on a floor, a Panda that an impedance of 1e8 N/m holds, loops: at rest the same. What the first kick
    does not know of, loops and contact, it lets fall at g dt: forces of these rates are g dt^2 / (4 l) of the weight.
    """
    ends = []
    for midpoint in (False, True):
        scene = Scene(substep_dt=1e-3, substeps=10, midpoint=midpoint)
        scene.add_body("floor", Plane(), motion="fixed")
        scene.add_body("box", Box((0.05, 0.04, 0.03)), 600.0, (1.0, 0.0, 0.03), motion="free", coupling="rigid")
        fingers = JointDrive([0.0] * 7 + [2000.0] * 2, [0.0] * 7 + [20.0] * 2, gravity_compensation=True)
        tool = ToolDrive((1e8, 1e6), (1e6, 1e4), posture_stiffness=10.0, posture_damping=5.0)
        scene.add_robot("arm", unbound(load("panda")), drive=fingers, tools={"tool": tool})
        scene.add_robot("bars", parallelogram(0.3, 0.25, (0.3, 1.2), 0.1), (0.0, 2.0, 1.0), drive=JointDrive(0.0, 0.3))
        world = scene.make_world(1, dtype=DOUBLE)
        state = world.initial_state()
        goal = world.bodies["arm/tool"].pose(state).clone()
        goal[:, 0] += 0.02
        for _ in range(400):
            state = world.step(state, world.control(goal={"arm/tool": goal}))
        assert (state.status == 0).all()
        assert float((world.bodies["arm/tool"].pose(state) - goal).abs().max()) < 1e-6
        force = float(world.bodies["box"].contact_force(state, "floor")[0, 2])
        assert force == pytest.approx(600.0 * 8 * 0.05 * 0.04 * 0.03 * G, rel=1e-9)
        ends.append(state)
    rows = world.bodies["box"].index
    assert float((ends[0].body_q[:, rows] - ends[1].body_q[:, rows]).abs().max()) < 1e-12
    assert float((ends[0].joint_q[:, -3:] - ends[1].joint_q[:, -3:]).abs().max()) < 2 * G * 1e-3**2 / (4 * 0.3)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE], ids=str)
def test_a_world_of_many_is_the_world_alone_bit_for_bit(dtype):
    """Beside one that moves otherwise; and single precision is near double."""
    tree = tree_of("free", "revolute", "ball", seed=3)
    scene = Scene(substep_dt=1e-3, substeps=10, midpoint=True)
    scene.add_robot("robot", tree, drive=JointDrive())
    one, many = (World(scene, worlds, dtype=dtype) for worlds in (1, 3))
    start = many.initial_state()
    rates = torch.as_tensor(np.random.default_rng(1).normal(size=tuple(start.joint_qd.shape))).to(dtype)
    start = many.robots["robot"].place(start, many.robots["robot"].positions(start), rates)
    ends = many.step(start, many.zero_control())
    for world in range(3):
        alone_start = one.robots["robot"].place(one.initial_state(), start.joint_q[:1], rates[world : world + 1])
        end = one.step(alone_start, one.zero_control())
        assert torch.equal(end.joint_q[0], ends.joint_q[world]) and torch.equal(end.joint_qd[0], ends.joint_qd[world])
