# SPDX-License-Identifier: Apache-2.0
"""Exact derivatives of the dynamics of random trees against Pinocchio's analytical ones."""

import numpy as np
import pytest
import torch

from simenv.physics.bodies.table import Table
from simenv.physics.bodies.tree import Tree
from simenv.physics.rotation import quaternion_multiply, rotate
from simenv.robots import Robot
from tests.robots.random_trees import Pinocchio, random_state, random_tree

CASES = [(seed, floating) for seed in range(6) for floating in (False, True)]
FREE, BALL, PLANAR = 4, 3, 2


def depth_first(tree: Tree) -> Tree:
    """The same tree, each branch by itself, as Pinocchio's derivatives want it."""

    def branch(parent: str | None) -> list:
        return [each for link in tree.links if link.parent == parent for each in (link, *branch(link.name))]

    return Tree(tree.name, tuple(branch(None)))


def shifted(t: Table, q: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Positions after small motions (N, nv) in Pinocchio's tangent, to first order: of turns in the links' axes."""

    def turned(turn: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        return quaternion_multiply(turn, torch.cat([0.5 * by, torch.ones_like(by[:, :1])], -1))

    parts = []
    for kind, a, k in zip(t.kind, t.q_start, t.v_start, strict=False):
        if kind == FREE:
            parts += [q[:, :3] + rotate(q[:, 3:7], x[:, :3]), turned(q[:, 3:7], x[:, 3:6])]
        elif kind == BALL:
            parts.append(turned(q[:, a : a + 4], x[:, k : k + 3]))
        else:
            count = 3 if kind == PLANAR else 1
            parts.append(q[:, a : a + count] + x[:, k : k + count])
    return torch.cat(parts, -1)


def in_the_world(t: Table, q: torch.Tensor, u: torch.Tensor, back: bool = False) -> torch.Tensor:
    """Rates or torques whose free joint has the link's axes, with the world's; or back."""
    if t.kind[0] != FREE:
        return u
    turn = q[:, 3:7] * torch.tensor([-1.0, -1.0, -1.0, 1.0]).to(q) if back else q[:, 3:7]
    return torch.cat([rotate(turn, u[:, :3]), rotate(turn, u[:, 3:6]), u[:, 6:]], -1)


def carried(t: Table, v: torch.Tensor) -> torch.Tensor:
    """What turns of the link's axes add to the acceleration of a free joint."""
    extra = torch.zeros_like(v)
    return torch.cat([torch.linalg.cross(v[:, 3:6], v[:, :3]), extra[:, 3:]], -1) if t.kind[0] == FREE else extra


@pytest.mark.parametrize(("seed", "floating"), CASES)
def test_derivatives_are_pinocchio_s(seed, floating):
    """One row of a derivative is one world. Forward dynamics solves with the inertia M, which rounding alone moves by
    nv eps cond(M): more than 1e-12 in one of these trees.
    """
    tree = depth_first(random_tree(seed + 40, 8, floating))
    oracle = Pinocchio(tree)
    nv = len(oracle.table.rates)
    robot, t = Robot(tree, nv, dtype=torch.float64), oracle.table
    s = random_state(t, np.random.default_rng(seed))
    q0, v0, a0, tau0 = (torch.tensor(each).expand(nv, -1) for each in (s.q, s.v, s.acceleration, s.tau))
    x, v, a, tau = (each.clone().requires_grad_() for each in (torch.zeros_like(v0), v0, a0, tau0))
    q = shifted(t, q0, x)
    qd = in_the_world(t, q, v)
    forward = robot.forward_dynamics(q, qd, in_the_world(t, q, tau)) - carried(t, qd)
    inverse = robot.inverse_dynamics(q, qd, in_the_world(t, q, a) + carried(t, qd))
    found = []
    for value, last in ((forward, tau), (inverse, a)):
        own = in_the_world(t, q, value, back=True)
        rows = torch.eye(nv, dtype=torch.float64)
        found += torch.autograd.grad(own, (x, v, last), rows, retain_graph=True)
    rounding = nv * np.finfo(np.float64).eps * np.linalg.cond(oracle.mass_matrix(s.q))
    limits = [max(1e-12, rounding)] * 3 + [1e-12] * 3
    for one, other, limit in zip(found, oracle.derivatives(s, s.acceleration), limits, strict=True):
        assert np.abs(one.numpy() - other).max() < limit * np.abs(other).max()


@pytest.mark.parametrize("seed", range(4))
def test_the_regressor_is_pinocchio_s(seed):
    """Torques are linear in the ten numbers of every link: their derivative, and that times the numbers."""
    tree = depth_first(random_tree(seed + 60, 7, False))
    oracle = Pinocchio(tree)
    nv, order = len(oracle.table.rates), [0, 1, 2, 3, 4, 7, 5, 8, 9, 6]  # xx, xy, yy, xz, yz, zz
    robot, s = Robot(tree, nv, dtype=torch.float64), random_state(oracle.table, np.random.default_rng(seed))
    robot.inertial = robot.inertial.clone().requires_grad_()
    q, v, a = (torch.tensor(each).expand(nv, -1) for each in (s.q, s.v, s.acceleration))
    tau = robot.inverse_dynamics(q, v, a)
    (found,) = torch.autograd.grad(tau, robot.inertial, torch.eye(nv, dtype=torch.float64))
    rows = found[..., order].flatten(1).numpy()
    wanted = oracle.regressor(s, s.acceleration)
    assert np.abs(rows - wanted).max() < 1e-12 * np.abs(wanted).max()
    numbers = robot.inertial[0, :, order].detach().flatten().numpy()
    without_motors = (tau - robot.armature * a)[0].detach()
    np.testing.assert_allclose(rows @ numbers, without_motors, atol=1e-12 * float(without_motors.abs().max()))
