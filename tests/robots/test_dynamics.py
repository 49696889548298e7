# SPDX-License-Identifier: Apache-2.0
"""Dynamics of random trees against Pinocchio, and their exact adjoints against differences and Pinocchio's."""

import numpy as np
import pytest
import torch

from simenv.physics.bodies.dynamics import Dynamics
from simenv.physics.bodies.table import table
from simenv.robots import Robot
from simenv.robots.poses import matrix
from tests.robots.random_trees import Pinocchio, random_state, random_tree, tree_of

pytest.importorskip("pinocchio")
CPU = torch.device("cpu")
GRAVITY = (0.3, -0.7, -9.81)
CASES = [(seed, floating) for seed in range(6) for floating in (False, True)]


def tensors(values, dtype=torch.float64) -> list[torch.Tensor]:
    """Arrays as tensors of one world."""
    return [torch.as_tensor(np.asarray(value), dtype=dtype)[None].contiguous() for value in values]


def relative(found, wanted) -> float:
    """Largest difference over the largest number."""
    return float(np.abs(np.asarray(found) - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 5e-5)])
@pytest.mark.parametrize(("seed", "floating"), CASES)
def test_pinocchio_agrees(seed, floating, dtype, tolerance):
    tree = random_tree(seed, 8, floating)
    t = table(tree)
    s, oracle, d = random_state(t, np.random.default_rng(seed)), Pinocchio(tree, GRAVITY), Dynamics(t, CPU, dtype)
    q, v, a, tau, wrench, gravity, inertial, armature = tensors(
        (s.q, s.v, s.acceleration, s.tau, s.wrench, GRAVITY, t.inertial, t.armature), dtype
    )
    rest = (gravity, wrench, inertial, armature)
    assert relative(d.inverse(q, v, a, *rest)[0], oracle.inverse(s, s.acceleration)) < tolerance
    # M is ill-conditioned in single precision: what comes back through it is compared as torques
    found = d.forward(q, v, tau, *rest)[0].double().numpy()
    assert relative(oracle.inverse(s, found), s.tau) < tolerance * (1 if dtype == torch.float64 else 20)
    if dtype == torch.float64:
        assert relative(found, oracle.forward(s)) < tolerance * 10
    poses, _ = d.kinematics(q, v)
    places, turns = oracle.poses(s.q)
    assert relative(poses[0, :, :3], places) < tolerance
    assert relative([matrix(each) for each in poses[0, :, 3:].double().numpy()], turns) < tolerance


@pytest.mark.parametrize("seed", range(4))
def test_robot_agrees_with_pinocchio(seed):
    tree = random_tree(seed + 20, 7, seed % 2 == 1)
    robot, oracle = Robot(tree, 1, dtype=torch.float64), Pinocchio(tree)
    s = random_state(robot.table, np.random.default_rng(seed))
    (q,) = tensors([s.q])
    assert relative(robot.mass_matrix(q)[0], oracle.mass_matrix(s.q)) < 1e-12
    for index, link in enumerate(robot.table.links):
        assert relative(robot.jacobian(q, link)[0], oracle.jacobian(s.q, index)) < 1e-12


@pytest.mark.parametrize("seed", range(6))
def test_joints_that_follow_others(seed):
    """Virtual work: with q = G y + g, M_y = G^T M G, and torques G^T tau, of the tree where none follows."""
    tree = random_tree(seed + 60, 9, seed % 2 == 1, mimic=True)
    robot, oracle = Robot(tree, 2, dtype=torch.float64), Pinocchio(tree)
    t = robot.table
    assert any(joint.mimic for joint in tree.joints) and len(robot.joints) < len(t.rates)
    s = random_state(t, np.random.default_rng(seed))
    G = np.zeros((len(t.rates), len(robot.joints)))
    lead = {name: column for column, name in enumerate(robot.joints)}
    for index, name in enumerate(t.rates):
        joint = next(each for each in tree.joints if each.name == name.split(".")[0])
        if joint.mimic is None:
            G[index, lead[name]] = 1.0
            continue
        G[index, lead[joint.mimic.leader]] = joint.mimic.ratio
        leader = t.q_start[t.joints.index(joint.mimic.leader)]
        s.q[t.q_start[t.joints.index(name)]] = joint.mimic.ratio * s.q[leader] + joint.mimic.offset
    u, du, tau = np.random.default_rng(seed).normal(size=(3, len(robot.joints)))
    s.v = G @ u
    own = np.delete(s.q, [t.q_start[t.joints.index(j.name)] for j in tree.joints if j.mimic])
    q, qd, qdd, push = (torch.as_tensor(each).expand(2, *each.shape) for each in (own, u, du, s.wrench))
    wrench = {link: push[:, index] for index, link in enumerate(t.links)}
    inertia = G.T @ oracle.mass_matrix(s.q) @ G
    bias = G.T @ oracle.inverse(s, np.zeros(len(t.rates)))
    assert relative(robot.mass_matrix(q)[1], inertia) < 1e-12
    assert relative(robot.bias(q, qd, wrench)[1], bias) < 1e-12
    assert relative(robot.inverse_dynamics(q, qd, qdd, wrench)[1], inertia @ du + bias) < 1e-12
    found = robot.forward_dynamics(q, qd, torch.as_tensor(tau).expand(2, -1), wrench)[1]
    assert relative(found, np.linalg.solve(inertia, tau - bias)) < 1e-11
    for index, link in enumerate(t.links):
        assert relative(robot.jacobian(q, link)[1], oracle.jacobian(s.q, index) @ G) < 1e-12
    last = t.links[-1]
    assert relative(robot.twist(q, qd, last)[1], oracle.jacobian(s.q, len(t) - 1) @ s.v) < 1e-12


NAMES = ("q", "v", "input", "gravity", "wrench", "inertial", "armature")
CHAINS = [
    ("revolute", "revolute", "revolute"), ("prismatic", "revolute", "prismatic"), ("ball", "revolute", "ball"),
    ("planar", "revolute", "planar"), ("free", "revolute", "ball"), ("free", "planar", "prismatic"),
]  # fmt: skip


def moved(t, q: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Positions shifted as numbers: quaternions leave length one, which counts for nothing."""
    return q + shift


@pytest.mark.parametrize("which", ["inverse", "forward"])
@pytest.mark.parametrize("kinds", CHAINS, ids="-".join)
def test_adjoint_is_that_of_differences(kinds, which):
    tree = tree_of(*kinds, seed=3)
    t = table(tree)
    rng = np.random.default_rng(1)
    s, d = random_state(t, rng), Dynamics(t, CPU, torch.float64)
    given = tensors((s.q, s.v, s.tau, GRAVITY, s.wrench, t.inertial, t.armature + 0.1))
    given = [each.requires_grad_() for each in given]
    weight = torch.as_tensor(rng.normal(size=(1, len(t.rates))))
    function = d.inverse if which == "inverse" else d.forward

    def value(*args):
        return (weight * function(*args)).sum()

    value(*given).backward()
    for index, name in enumerate(NAMES):
        for _ in range(3):
            direction = torch.as_tensor(rng.normal(size=given[index].shape))
            slope = 0.0
            for order, factor in ((1, 8.0), (2, -1.0)):  # fourth order
                step = 1e-3 * order * direction * (1e-1 if name == "inertial" else 1.0)
                ends = []
                for sign in (1, -1):
                    args = [each.detach() for each in given]
                    args[index] = args[index] + sign * step
                    ends.append(float(value(*args)))
                slope += factor * (ends[0] - ends[1]) / 12.0
            slope /= 1e-3 * (1e-1 if name == "inertial" else 1.0)
            found = float((given[index].grad * direction).sum())
            size = float(given[index].grad.norm() * direction.norm()) + 1e-12
            assert abs(found - slope) < 1e-8 * size, (name, found, slope)


@pytest.mark.parametrize("kinds", CHAINS, ids="-".join)
def test_adjoint_of_kinematics_is_that_of_differences(kinds):
    t = table(tree_of(*kinds, seed=5))
    rng = np.random.default_rng(2)
    s, d = random_state(t, rng), Dynamics(t, CPU, torch.float64)
    q, v = (each.requires_grad_() for each in tensors((s.q, s.v)))
    weights = [torch.as_tensor(rng.normal(size=(1, len(t), n))) for n in (7, 6)]

    def value(q, v):
        return sum((w * out).sum() for w, out in zip(weights, d.kinematics(q, v), strict=True))

    value(q, v).backward()
    for tensor in (q, v):
        for _ in range(4):
            direction = torch.as_tensor(rng.normal(size=tensor.shape))
            slope = 0.0
            for order, factor in ((1, 8.0), (2, -1.0)):
                ends = []
                for sign in (1, -1):
                    args = [e.detach() + (sign * order * 1e-3 * direction if e is tensor else 0.0) for e in (q, v)]
                    ends.append(float(value(*args)))
                slope += factor * (ends[0] - ends[1]) / 12e-3
            found = float((tensor.grad * direction).sum())
            assert abs(found - slope) < 1e-8 * float(tensor.grad.norm() * direction.norm())
