# SPDX-License-Identifier: Apache-2.0
"""Motion of small trees against closed forms of mechanics; formulas are those of Goldstein, Classical Mechanics."""

import math

import numpy as np
import pytest
import torch

from simenv.physics.bodies.table import KIND_NUMBERS
from simenv.physics.bodies.tree import Inertial, Joint, Link, Tree
from simenv.physics.rotation import quaternion_multiply
from simenv.robots import Robot

G = 9.81


def double_pendulum(rods: bool, length: float = 0.7, mass: float = 1.3) -> Robot:
    """Two equal links that swing about y; points at their ends, or uniform thin rods."""
    moment = mass * length**2 / 12 if rods else 0.0
    thin = ((moment, 0.0, 0.0), (0.0, moment, 0.0), (0.0, 0.0, 0.0))
    inertial = Inertial(mass, (0.0, 0.0, -length / 2 if rods else -length), thin)
    first = Joint("first", "revolute", axis=(0.0, 1.0, 0.0))
    second = Joint("second", "revolute", position=(0.0, 0.0, -length), axis=(0.0, 1.0, 0.0))
    tree = Tree("pendulum", (Link("upper", None, first, inertial), Link("lower", "upper", second, inertial)))
    return Robot(tree, 1, dtype=torch.float64)


def flow(robot: Robot, q: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Derivatives of positions; of a quaternion as four numbers."""
    t, parts = robot.table, []
    for kind, a, k in zip(t.kind, t.q_start, t.v_start, strict=False):
        if kind == KIND_NUMBERS["ball"]:
            omega = torch.nn.functional.pad(v[:, k : k + 3], (0, 1))
            parts.append(0.5 * quaternion_multiply(q[:, a : a + 4], omega))
        elif kind == KIND_NUMBERS["free"]:
            omega = torch.nn.functional.pad(v[:, k + 3 : k + 6], (0, 1))
            parts += [v[:, k : k + 3], 0.5 * quaternion_multiply(omega, q[:, a + 3 : a + 7])]
        else:
            parts.append(v[:, k : k + 1])
    return torch.cat(parts, -1)


def rk4(robot: Robot, q: torch.Tensor, v: torch.Tensor, dt: float, steps: int):
    """Positions and rates after steps of the classical Runge-Kutta method, without torques."""

    def slope(q: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return flow(robot, q, v), robot.forward_dynamics(q, v, torch.zeros_like(v))

    for _ in range(steps):
        q1, v1 = slope(q, v)
        q2, v2 = slope(q + 0.5 * dt * q1, v + 0.5 * dt * v1)
        q3, v3 = slope(q + 0.5 * dt * q2, v + 0.5 * dt * v2)
        q4, v4 = slope(q + dt * q3, v + dt * v3)
        q, v = q + dt * (q1 + 2 * q2 + 2 * q3 + q4) / 6, v + dt * (v1 + 2 * v2 + 2 * v3 + v4) / 6
    return q, v


@pytest.mark.parametrize(
    ("rods", "squares"),
    [(False, (2 - math.sqrt(2), 2 + math.sqrt(2))), (True, (3 - 6 / math.sqrt(7), 3 + 6 / math.sqrt(7)))],
)
def test_small_modes_of_a_double_pendulum(rods, squares):
    """omega^2 of the linearised motion, from the exact derivative of the dynamics at rest."""
    robot = double_pendulum(rods)
    q = torch.zeros((1, 2), dtype=torch.float64, requires_grad=True)
    still = torch.zeros((1, 2), dtype=torch.float64)
    acceleration = robot.forward_dynamics(q, still, still)
    rows = [torch.autograd.grad(acceleration[0, k], q, retain_graph=True)[0][0] for k in range(2)]
    found = np.sort(np.linalg.eigvals(-torch.stack(rows).numpy()))
    np.testing.assert_allclose(found, np.array(squares) * G / 0.7, rtol=1e-12)


def test_energy_is_kept_to_fourth_order():
    """The drift of a swinging double pendulum's energy falls with dt^4 or faster."""
    robot = double_pendulum(True)
    q0 = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    v0 = torch.tensor([[0.5, 1.0]], dtype=torch.float64)
    start = float(sum(robot.energy(q0, v0)))
    drifts = []
    for steps in (100, 200):
        drifts.append(abs(float(sum(robot.energy(*rk4(robot, q0, v0, 1.0 / steps, steps)))) - start))
    assert drifts[1] < 1e-4 * abs(start) and math.log2(drifts[0] / drifts[1]) > 3.7


def top(height: float = 0.08, radius: float = 0.05, thickness: float = 0.01, mass: float = 0.5) -> Robot:
    """A disc on a light stick, on a ball joint at its foot."""
    axial, across = mass * radius**2 / 2, mass * (3 * radius**2 + thickness**2) / 12
    inertia = ((across, 0.0, 0.0), (0.0, across, 0.0), (0.0, 0.0, axial))
    disc = Link("disc", None, Joint("foot", "ball"), Inertial(mass, (0.0, 0.0, height), inertia))
    return Robot(Tree("top", (disc,)), 1, dtype=torch.float64)


def test_lagranges_top_precesses():
    """The slow steady precession: Omega = [I3 w3 - sqrt(I3^2 w3^2 - 4 I1 m g l cos a)] / (2 I1 cos a)."""
    robot, tilt, spin = top(), math.radians(30.0), 300.0
    I3, I1 = 0.5 * 0.05**2 / 2, 0.5 * (3 * 0.05**2 + 0.01**2) / 12 + 0.5 * 0.08**2
    root = math.sqrt((I3 * spin) ** 2 - 4 * I1 * 0.5 * G * 0.08 * math.cos(tilt))
    omega = (I3 * spin - root) / (2 * I1 * math.cos(tilt))
    assert omega == pytest.approx(2.16923, rel=1e-5)
    q = torch.tensor([[0.0, math.sin(tilt / 2), 0.0, math.cos(tilt / 2)]], dtype=torch.float64)  # leans along x
    # steady: Omega about the world's z, in the disc's axes, and the spin about its own axis
    v = torch.tensor([[-omega * math.sin(tilt), 0.0, spin]], dtype=torch.float64)
    dt, steps = 2e-4, 1000
    q, v = rk4(robot, q, v, dt, steps)
    axis = robot.pose(q, "disc")[0, 3:]
    x, y, z, w = axis.tolist()
    lean = np.array([2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)])
    assert math.acos(lean[2]) == pytest.approx(tilt, abs=1e-6)
    assert math.atan2(lean[1], lean[0]) / (dt * steps) == pytest.approx(omega, rel=1e-5)


def test_a_free_body_precesses_and_keeps_its_angular_momentum():
    """In the body of a symmetric one, w turns about its axis at (I3 - I1) w3 / I1; L stays."""
    I1, I3 = 0.02, 0.035
    inertia = ((I1, 0.0, 0.0), (0.0, I1, 0.0), (0.0, 0.0, I3))
    body = Link("body", None, Joint("free", "free"), Inertial(2.0, (0.0, 0.0, 0.0), inertia))
    robot = Robot(Tree("free", (body,)), 1, dtype=torch.float64, gravity=(0.0, 0.0, 0.0))
    q = torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    v = torch.tensor([[0.1, 0.2, -0.3, 1.0, 0.0, 6.0]], dtype=torch.float64)
    before = robot.mass_matrix(q)[0] @ v[0]
    dt, steps = 1e-3, 1000
    q1, v1 = rk4(robot, q, v, dt, steps)
    after = robot.mass_matrix(q1)[0] @ v1[0]
    np.testing.assert_allclose(after[3:], before[3:], atol=1e-9 * float(before[3:].norm()))
    np.testing.assert_allclose(q1[0, :3], dt * steps * v[0, :3], rtol=1e-12)
    x, y, z, w = q1[0, 3:].tolist()
    turn = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    local = turn.T @ v1[0, 3:].numpy()
    angle = (I3 - I1) * 6.0 / I1 * dt * steps
    np.testing.assert_allclose(local, [math.cos(angle), math.sin(angle), 6.0], atol=1e-8)


def test_a_stiff_drive_taken_implicitly_is_stable_and_droops_by_the_force_over_the_stiffness():
    """kp = 1e8 at 1 ms: (M + dt D + dt^2 K) a = kp (q* - q - dt v) - d v + weight."""
    inertial = Inertial(1.5, (0.2, 0.0, 0.0), ((0.01, 0.0, 0.0), (0.0, 0.02, 0.0), (0.0, 0.0, 0.02)))
    slide = Joint("slide", "prismatic", axis=(0.0, 0.0, 1.0))
    robot = Robot(Tree("slide", (Link("block", None, slide, inertial),)), 1, dtype=torch.float64)
    kp, kd, dt = 1e8, 10.0, 1e-3
    q, v = (torch.full((1, 1), value, dtype=torch.float64) for value in (0.3, 0.0))
    easing = torch.full((1, 1), dt * kd + dt * dt * kp, dtype=torch.float64)
    for _ in range(200):
        v = v + dt * robot.forward_dynamics(q, v, kp * (0.1 - q - dt * v) - kd * v, easing=easing)
        q = q + dt * v
    assert float(q) == pytest.approx(0.1 - 1.5 * G / kp, abs=1e-12) and abs(float(v)) < 1e-9


def test_gradient_of_a_rollout_of_fifty_steps():
    """Semi-implicit steps of a floating tree, with respect to all that is declared, against central differences."""
    from tests.robots.random_trees import random_state, tree_of

    tree = tree_of("free", "revolute", "ball", "prismatic", seed=7)
    robot = Robot(tree, 1, dtype=torch.float64)
    s = random_state(robot.table, np.random.default_rng(3))
    push = {"link2": torch.as_tensor(0.3 * s.wrench[2:3])}
    leaves = {"q": torch.as_tensor(s.q)[None], "v": 0.3 * torch.as_tensor(s.v)[None]}
    leaves |= {"tau": torch.as_tensor(s.tau)[None]}
    leaves |= {"inertial": robot.inertial.clone(), "armature": robot.armature + 0.05, "gravity": robot.gravity.clone()}
    leaves |= {"push": push["link2"]}
    weight = torch.as_tensor(np.random.default_rng(4).normal(size=(1, robot.table.positions)))

    def end(given: dict[str, torch.Tensor]) -> torch.Tensor:
        robot.inertial, robot.armature, robot.gravity = given["inertial"], given["armature"], given["gravity"]
        q, v, dt = given["q"], given["v"], 2e-3
        for _ in range(50):
            v = v + dt * robot.forward_dynamics(q, v, given["tau"], {"link2": given["push"]})
            q = robot.integrate(q, v, dt)
        return (weight * q).sum()

    leaves = {name: value.requires_grad_() for name, value in leaves.items()}
    end(leaves).backward()
    rng = np.random.default_rng(5)
    for name, leaf in leaves.items():
        direction = torch.as_tensor(rng.normal(size=leaf.shape)) * leaf.detach().abs().max().clamp(min=0.1)
        slope = 0.0
        for order, factor in ((1, 8.0), (2, -1.0)):
            ends = []
            for sign in (1, -1):
                shifted = {n: value.detach() for n, value in leaves.items()}
                shifted[name] = shifted[name] + sign * order * 1e-3 * direction
                ends.append(float(end(shifted)))
            slope += factor * (ends[0] - ends[1]) / 12e-3
        found = float((leaf.grad * direction).sum())
        assert abs(found - slope) < 1e-7 * float(leaf.grad.norm() * direction.norm()), (name, found, slope)
