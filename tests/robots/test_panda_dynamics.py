# SPDX-License-Identifier: Apache-2.0
"""Dynamics of the Panda's file: numbers computed once with other programs, and Pinocchio's reading of the same file."""

import re

import numpy as np
import pinocchio as pin
import pytest
import torch

from simenv.assets import path
from simenv.robots import Robot, load

HOME = [0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4, 0.0, 0.0]  # fingers closed
# of the file at home, g 9.81 m/s^2, by Pinocchio and MuJoCo
WEIGHT = [0.0, -4.499617255, -0.6440003196, 22.808174991, 0.6338461855, 2.4249221301, 0.0]
INERTIA = [0.54607901, 1.57412798, 1.00324391, 0.99639773, 0.05026589, 0.06245816, 0.00670185]
PRECISIONS = [(torch.float64, 1e-12), (torch.float32, 5e-5)]
COUNT = 5


@pytest.fixture(scope="module")
def pinocchio():
    """Its model of the file, without what is drawn, some of whose shapes it does not know."""
    text = re.sub(r"<visual>.*?</visual>", "", path("robots/panda.urdf").read_text(), flags=re.DOTALL)
    model = pin.buildModelFromXML(text)
    assert list(model.names)[1:] == list(Robot(load("panda")).joints)
    return model


@pytest.fixture(scope="module")
def states():
    """Positions, rates, accelerations and torques (4, COUNT, 9), the arm's joints within 90 % of their limits."""
    rng = np.random.default_rng(11)
    limits = np.array([(joint.lower, joint.upper) for joint in load("panda").joints])
    middle, half = limits.mean(1), 0.45 * np.ptp(limits, axis=1)
    q = middle + half * rng.uniform(-1.0, 1.0, (COUNT, 9))
    return np.stack([q, *rng.normal(size=(3, COUNT, 9)) * np.array([1.0, 3.0, 10.0])[:, None, None]])


def relative(found, wanted) -> float:
    """Largest difference over the largest number."""
    return float(np.abs(np.asarray(found) - wanted).max() / np.abs(wanted).max())


def test_numbers_at_home():
    robot = Robot(load("panda"), 1, dtype=torch.float64)
    q = torch.tensor([HOME], dtype=torch.float64)
    weight, inertia = robot.bias(q, torch.zeros_like(q))[0, :7], robot.mass_matrix(q)[0].diagonal()[:7]
    assert weight.tolist() == pytest.approx(WEIGHT, abs=1e-9)
    assert inertia.tolist() == pytest.approx(INERTIA, abs=5e-9)  # as many digits as are written


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_pinocchio_agrees(pinocchio, states, dtype, tolerance):
    robot, data = Robot(load("panda"), COUNT, dtype=dtype), pinocchio.createData()
    q, qd, qdd, tau = torch.as_tensor(states, dtype=dtype)
    inertia, bias, forward = robot.mass_matrix(q), robot.bias(q, qd), robot.forward_dynamics(q, qd, tau)
    inverse, jacobian, poses = robot.inverse_dynamics(q, qd, qdd), robot.jacobian(q, "tool"), robot.link_poses(q)
    tool = pinocchio.getFrameId("tool")
    for n in range(COUNT):
        a, v, acceleration, torque = states[:, n]
        wanted = np.array(pin.crba(pinocchio, data, a))
        wanted = np.triu(wanted) + np.triu(wanted, 1).T
        assert relative(inertia[n], wanted) < tolerance
        assert relative(bias[n], pin.nonLinearEffects(pinocchio, data, a, v)) < tolerance
        assert relative(inverse[n], pin.rnea(pinocchio, data, a, v, acceleration)) < tolerance
        assert relative(forward[n], pin.aba(pinocchio, data, a, v, torque)) < tolerance
        frame = pin.computeFrameJacobian(pinocchio, data, a, tool, pin.ReferenceFrame.LOCAL_WORLD_ALIGNED)
        assert relative(jacobian[n], frame) < tolerance
        pin.framesForwardKinematics(pinocchio, data, a)
        for index, link in enumerate(robot.links):
            place = data.oMf[pinocchio.getFrameId(link)].translation
            assert np.abs(poses[n, index, :3].double().numpy() - place).max() < tolerance


def test_derivatives_are_pinocchio_s(pinocchio, states):
    """Of forward and inverse dynamics with respect to all that they are given, one row of a derivative a world."""
    robot, data = Robot(load("panda"), 9, dtype=torch.float64), pinocchio.createData()
    rows = torch.eye(9, dtype=torch.float64)
    for n in range(COUNT):
        a, v, acceleration, torque = states[:, n]
        pin.computeABADerivatives(pinocchio, data, a, v, torque)
        minverse = np.triu(data.Minv) + np.triu(data.Minv, 1).T
        wanted = [data.ddq_dq.copy(), data.ddq_dv.copy(), minverse]
        pin.computeRNEADerivatives(pinocchio, data, a, v, acceleration)
        matrix = np.triu(data.M) + np.triu(data.M, 1).T
        wanted += [data.dtau_dq.copy(), data.dtau_dv.copy(), matrix]
        found = []
        for method, last in ((robot.forward_dynamics, torque), (robot.inverse_dynamics, acceleration)):
            given = [torch.tensor(each).expand(9, 9).clone().requires_grad_() for each in (a, v, last)]
            found += torch.autograd.grad(method(*given), given, rows)
        for one, other in zip(found, wanted, strict=True):
            assert relative(one, other) < 1e-12
