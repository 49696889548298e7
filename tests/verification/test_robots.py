# SPDX-License-Identifier: Apache-2.0
"""Robots in a world: motion against accurate integration and closed forms, drives, and independence of all else.

A tick of dt is a leapfrog: q drifts by dt / 2, the rates v are kicked by all forces there, q drifts by dt / 2. Without
forces that depend on v it is of second order and symplectic (Hairer, Lubich and Wanner 2006, chapters II.1 and IX.3).
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

import simenv
from simenv._threads import get_num_threads
from simenv.robots import Inertial, Joint, JointDrive, Link, Tree, load
from simenv.robots.robot import Robot
from simenv.world import Scene, State, World
from tests.robots.random_trees import tree_of
from tests.robots.test_closed_forms import double_pendulum, rk4

DOUBLE, G = torch.float64, 9.81
MASS, LENGTH = 1.3, 0.35  # of the pendulum [kg], and how far its centre of mass hangs [m]
COMPACT = ((0.05, 0.0, 0.0), (0.0, 0.05, 0.0), (0.0, 0.0, 0.05))  # inertia about the centre of mass [kg m^2]


def pendulum() -> Tree:
    """One link that swings about y."""
    link = Link(
        "bob", None, Joint("swing", "revolute", axis=(0.0, 1.0, 0.0)), Inertial(MASS, (0.0, 0.0, -LENGTH), COMPACT)
    )
    return Tree("pendulum", (link,), {"swing": 2.5})


def unbound(tree: Tree) -> Tree:
    """The same with joints that nothing stops or brakes."""
    free = {"lower": -math.inf, "upper": math.inf, "effort": math.inf, "speed": math.inf, "friction": 0.0}
    links = (replace(link, joint=replace(link.joint, **free)) for link in tree.links)
    return replace(tree, links=tuple(links))


def slide(axis: tuple[float, float, float] = (0.0, 0.0, 1.0), mass: float = 1.5, viscous: float = 0.0) -> Tree:
    """One link that slides."""
    joint = Joint("slide", "prismatic", axis=axis, damping=viscous)
    return Tree("slide", (Link("block", None, joint, Inertial(mass, (0.2, 0.0, 0.0), COMPACT)),))


def alone(
    tree: Tree, dt: float, ticks: int, drive: JointDrive | None = None, gravity: tuple[float, ...] = (0.0, 0.0, -G),
    num_worlds: int = 1, dtype: torch.dtype = DOUBLE,
) -> World:  # fmt: skip
    """Worlds with one robot."""
    scene = Scene(substep_dt=dt, substeps=ticks, gravity=gravity)
    scene.add_robot("robot", tree, drive=drive or JointDrive())
    return World(scene, num_worlds, dtype=dtype)


def started(world: World, rates: list[float]) -> State:
    """The robot in its posture, with these rates."""
    state, robot = world.initial_state(), world.robots["robot"]
    moving = torch.tensor(rates, dtype=world.dtype).expand(world.num_worlds, -1)
    return robot.place(state, robot.positions(state), moving)


def joints(state: State) -> torch.Tensor:
    """Positions and rates (N, nq + nv)."""
    assert (state.status == 0).all()
    return torch.cat([state.joint_q, state.joint_qd], 1)


# --------------------------------------------------------------------------------------------------- order, energy

DOUBLED = double_pendulum(True).tree.with_posture({"first": 1.0, "second": -2.0})
SWINGS = {
    "pendulum": (pendulum(), [0.5], 1.0, 2),
    "double pendulum": (DOUBLED, [0.5, 1.0], 1.0, 1),
    "Panda": (unbound(load("panda")), [0.0] * 9, 0.2, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", SWINGS)
def test_the_error_of_a_free_motion_falls_with_the_tick(name):
    """With its square where no force depends on rates, else in proportion: the kick takes Coriolis and centrifugal
    forces at the rates before it. Against Runge and Kutta's fourth order with 400 steps, whose error is below 1e-7.
    """
    tree, rates, time, order = SWINGS[name]
    robot = Robot(tree, 1, dtype=DOUBLE)
    exact = torch.cat(rk4(robot, robot.posture, torch.tensor([rates], dtype=DOUBLE), time / 400, 400), 1)
    errors = []
    for dt in (4e-3, 2e-3, 1e-3):
        world = alone(tree, dt, 25)  # a step of many more takes seconds to build
        state = started(world, rates)
        for _ in range(round(time / world.dt)):
            state = world.step(state, world.zero_control())
        errors.append(float((joints(state) - exact).abs().max()))
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    print(f"\nmeasured, {name}: errors {errors}, slopes {slopes}")
    assert min(slopes) > order - 0.1


def test_energy_of_an_undamped_pendulum_stays_for_ten_thousand_ticks():
    """Backward error analysis by the formula of Baker, Campbell and Hausdorff: but for terms of dt^4, a tick keeps
    p^2 / (2 I) + V + dt^2 (V'^2 / (12 I) - (p / I)^2 V'' / 24).
    """
    robot, dt = Robot(pendulum(), 1, dtype=DOUBLE), 2e-3
    world = alone(pendulum(), dt, 20)
    state, inertia = started(world, [0.5]), 0.05 + MASS * LENGTH**2
    energies, seconds = [], []
    for _ in range(501):
        q, v = float(state.joint_q), float(state.joint_qd)
        energies.append(float(sum(robot.energy(state.joint_q, state.joint_qd))))
        slope, curvature = MASS * G * LENGTH * math.sin(q), MASS * G * LENGTH * math.cos(q)
        seconds.append(dt**2 * (slope**2 / (12 * inertia) - v**2 * curvature / 24))
        state = world.step(state, world.zero_control())
    energy, second = np.array(energies), np.array(seconds)
    off, left = np.ptp(energy), np.ptp(energy + second)
    print(f"\nmeasured: {off:.2e} J of {energy[0]:.2f} J, of which {left:.2e} J are not the formula's")
    assert off > 0.5 * np.ptp(second)
    assert left < 0.01 * np.ptp(second)


def momenta(robot: Robot, state: State) -> torch.Tensor:
    """Linear and angular momentum, about the world's origin, of a robot whose first joint is free, (6,)."""
    # of the free joint's rates these are the momenta about the first link's origin, in the world's axes
    push = (robot.mass_matrix(state.joint_q)[0] @ state.joint_qd[0])[:6]
    return torch.cat([push[:3], push[3:] + torch.linalg.cross(state.joint_q[0, :3], push[:3])])


def test_the_momentum_that_a_floating_robot_loses_falls_with_the_tick():
    """In proportion to it, for the same reason."""
    tree = tree_of("free", "revolute", "ball", seed=3)
    robot = Robot(tree, 1, dtype=DOUBLE, gravity=(0.0, 0.0, 0.0))
    rates = np.random.default_rng(0).normal(size=len(robot.joints)).tolist()
    errors = []
    for dt in (4e-3, 2e-3, 1e-3):
        world = alone(tree, dt, round(0.2 / dt), gravity=(0.0, 0.0, 0.0))
        start = started(world, rates)
        change = momenta(robot, world.step(start, world.zero_control())) - momenta(robot, start)
        errors.append(float(change.norm() / momenta(robot, start).norm()))
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    print(f"\nmeasured: {errors}, slopes {slopes}")
    assert min(slopes) > 0.9


def test_free_fall_of_a_floating_robot_is_exact():
    """z = z0 + v0 t - g t^2 / 2 and no joint moves, whatever it weighs: a leapfrog is exact for constant forces."""
    tree, dt, ticks = tree_of("free", "revolute", "ball", "prismatic", seed=3), 1e-3, 500
    world = alone(tree, dt, ticks)
    start = started(world, [0.3, -0.2, 1.0] + [0.0] * 8)
    end, time = world.step(start, world.zero_control()), dt * ticks
    fall = torch.tensor([[0.3 * time, -0.2 * time, time - 0.5 * G * time**2]], dtype=DOUBLE)
    speed = torch.tensor([[0.3, -0.2, 1.0 - G * time]], dtype=DOUBLE)
    off = (end.joint_q[:, :3] - start.joint_q[:, :3] - fall, end.joint_qd[:, :3] - speed)
    off += (end.joint_q[:, 3:] - start.joint_q[:, 3:], end.joint_qd[:, 3:])
    worst = max(float(each.abs().max()) for each in off)
    print(f"\nmeasured: {worst:.1e}")
    # each tick rounds an acceleration of 10 m/s^2, that goes through a matrix of condition 1e2, by about 1e-15
    assert worst < 1e-12


# --------------------------------------------------------------------------------------------------------- drives


def test_a_drive_of_1e8_is_stable_at_a_millisecond_and_droops_by_force_over_stiffness():
    stiffness, target = 1e8, 0.1
    world = alone(slide(), 1e-3, 1, JointDrive(stiffness, 10.0))
    state, robot = world.initial_state(), world.robots["robot"]
    state = robot.place(state, torch.tensor([[target + 0.02]], dtype=DOUBLE))
    control, farthest = world.control(joints={"robot": torch.tensor([[target]], dtype=DOUBLE)}), 0.0
    for tick in range(200):
        state = world.step(state, control)
        farthest = max(farthest, abs(float(state.joint_q) - target)) if tick else farthest
    droop = target - float(state.joint_q)
    print(f"\nmeasured: droop {droop:.9e} m, {droop - 1.5 * G / stiffness:.1e} m off; in 2 ticks {farthest:.1e} m away")
    assert (state.status == 0).all()
    # with m / (k dt^2) = 0 the step e' = e / 2 + dt v / 4, dt v' = -e - dt v / 2 is there after two ticks; here 0.015
    assert farthest < 2 * 1.5 / (stiffness * 1e-6) * 0.02
    assert droop == pytest.approx(1.5 * G / stiffness, abs=1e-9 * target)
    assert droop == pytest.approx(1.5 * G / stiffness, rel=1e-8)  # whose last digit is 1e-17 / 1.5e-7
    assert abs(float(state.joint_qd)) < 1e-12


def test_a_drive_without_stiffness_goes_at_the_rate_that_it_is_told():
    """Of m v' = d (r - v') - c v' after n ticks: v = r d / (d + c) (1 - (1 + dt (d + c) / m)^-n), backward Euler."""
    mass, damping, viscous, rate, dt, ticks = 1.5, 6.0, 2.0, 0.7, 1e-3, 300
    world = alone(slide((1.0, 0.0, 0.0), mass, viscous), dt, ticks, JointDrive(0.0, damping))
    state = world.step(world.initial_state(), simenv.world.Control(joint_rate=torch.tensor([[rate]], dtype=DOUBLE)))
    last, both = rate * damping / (damping + viscous), damping + viscous
    assert float(state.joint_qd) == pytest.approx(last * (1 - (1 + dt * both / mass) ** -ticks), rel=1e-12)
    # of first order against the exponential: |v - exact| <= dt (d + c) / (2 m) times x e^-x, which is at most 1 / e
    exact = last * (1 - math.exp(-both / mass * dt * ticks))
    assert abs(float(state.joint_qd) - exact) < 1.05 * last * 0.5 * dt * both / mass / math.e


def relaxed(mass: float, damping: float, stiffness: float, time: float) -> float:
    """Position at a time of m q'' + d q' + k q = 0, overdamped, from q = 1 at rest."""
    root = math.sqrt(damping**2 - 4 * mass * stiffness)
    slow, fast = (damping - root) / (2 * mass), (damping + root) / (2 * mass)
    return (fast * math.exp(-slow * time) - slow * math.exp(-fast * time)) / (fast - slow)


def test_a_damped_drive_relaxes_with_its_time_constant_to_first_order():
    """m a = k (q* - q_mid - dt v') - d v', where v' is dt / 2 later than q_mid, is to second order the motion with
    damping d + k dt and mass m + d dt / 2 + k dt^2 ...: the time constant d / k grows by dt.
    """
    mass, stiffness, damping, time = 1.5, 40.0, 25.0, 0.5  # time constants 0.56 s and 0.067 s
    off, left = [], []
    for dt in (4e-3, 2e-3, 1e-3):
        world = alone(slide((1.0, 0.0, 0.0), mass), dt, round(time / dt), JointDrive(stiffness, damping))
        state = world.robots["robot"].place(world.initial_state(), torch.ones(1, 1, dtype=DOUBLE))
        still = torch.zeros(1, 1, dtype=DOUBLE)
        state = world.step(state, world.control(joints={"robot": still}))
        off.append(abs(float(state.joint_q) - relaxed(mass, damping, stiffness, time)))
        shifted = relaxed(mass + 0.5 * damping * dt, damping + stiffness * dt, stiffness, time)
        left.append(abs(float(state.joint_q) - shifted))
    slopes = [[math.log2(a / b) for a, b in pairwise(each)] for each in (off, left)]
    print(f"\nmeasured: {off}, slopes {slopes[0]}; beyond first order {left}, slopes {slopes[1]}")
    assert min(slopes[0]) > 0.9 and min(slopes[1]) > 1.8
    slowest = stiffness / damping  # [1/s]: of the time constant d / k, dt is the share by which it grows
    assert off[-1] < 1.2 * 1e-3 * slowest * time * slowest


# -------------------------------------------------------------------------------------------------- independence


@pytest.fixture
def threads() -> Iterator[None]:
    before = get_num_threads()
    yield
    simenv.set_num_threads(before)


PAIR = {"arm": ("panda", (0.0, 0.3, 0.1)), "walker": (tree_of("free", "ball", "revolute", seed=5), (0.5, -0.2, 0.4))}
DRIVE = JointDrive(20.0, 2.0)


def ended(names: tuple[str, ...], seeds: list[int], dtype: torch.dtype = DOUBLE) -> dict[str, torch.Tensor]:
    """States and gradients by robot after control steps from random states, of worlds with these robots and seeds."""
    scene = Scene(substep_dt=1e-3, substeps=5)
    for name in names:
        tree, place = PAIR[name]
        scene.add_robot(name, tree, place, drive=DRIVE)
    world = World(scene, len(seeds), dtype=dtype)
    leaves = {}
    for name in names:
        robot = world.robots[name]
        held = len(robot.joints)
        near = [np.random.default_rng((seed, len(name))).normal(size=(2, held)) for seed in seeds]
        leaves[name] = torch.as_tensor(np.array(near)).to(dtype).requires_grad_()
    rates = torch.cat([leaves[name][:, 0] for name in names], 1)
    control = simenv.world.Control(joint_torque=torch.cat([leaves[name][:, 1] for name in names], 1))
    state = world.initial_state().replace(joint_qd=rates)
    for _ in range(4):
        state = world.step(state, control)
    assert (state.status == 0).all()
    found, total = {}, 0.0
    for name in names:
        robot = world.robots[name]
        found |= {f"{name} q": robot.positions(state), f"{name} v": robot.rates(state)}
        total = total + (robot.positions(state) ** 2).sum() + (robot.rates(state) ** 2).sum()
        for link in robot.links:
            found[f"{name} {link}"] = world.bodies[f"{name}/{link}"].pose(state)
    slopes = torch.autograd.grad(total, list(leaves.values()))
    found |= {f"{name} slope": slope for name, slope in zip(names, slopes, strict=True)}
    return {key: value.detach() for key, value in found.items()}


def test_two_robots_move_as_each_alone_bit_for_bit(threads):
    simenv.set_num_threads(1)
    both = ended(("arm", "walker"), [3])
    for name in PAIR:
        single = ended((name,), [3])
        assert single and [key for key in single if not torch.equal(single[key], both[key])] == []


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_a_world_of_many_is_the_world_alone_bit_for_bit(dtype, threads):
    simenv.set_num_threads(1)
    single = ended(("arm", "walker"), [3], dtype)
    for count in (1, 2):
        simenv.set_num_threads(count)
        many = ended(("arm", "walker"), [8, 3, 1, 4, 3], dtype)
        for row in (1, 4):
            wrong = [key for key in single if not torch.equal(single[key][0], many[key][row])]
            assert wrong == [], f"world {row} with {count} threads"
        assert not torch.equal(many["arm q"][0], many["arm q"][1])


def test_single_precision_is_near_double():
    """Each of 20 ticks rounds rates and positions by 2^-23 of the largest at most; ten times that through slopes."""
    double, single = ended(("arm", "walker"), [3, 4]), ended(("arm", "walker"), [3, 4], torch.float32)
    off = {key: float((double[key] - single[key]).abs().max() / double[key].abs().max()) for key in double}
    worst = {kind: max(off[key] for key in off if key.endswith(kind)) for kind in (" q", " v", "slope")}
    print(f"\nmeasured, of the largest: {worst}")
    assert worst[" v"] < 20 * 2**-23 and worst[" q"] < 20 * 2**-23 and worst["slope"] < 200 * 2**-23
