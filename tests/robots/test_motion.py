# SPDX-License-Identifier: Apache-2.0
"""The Panda in motion: weight, stiffness of the impedance, energy, stops, motors' limits, and its spare joint."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from simenv.physics.rotation import quaternion_multiply, rotate
from simenv.robots import Arm, Drive, load
from tests.robots.panda import arm_chain, arm_turn, joints

DT = 1.0 / 960.0
GAINS = (600.0, 50.0, 120.0, 10.0)  # the slowest of the arm's motions under it dies out with 3.6 /s
LOOSE = Drive(rate=0.0, compensate=False)
FREE = replace(arm_chain(), lower=np.full(7, -np.inf), upper=np.full(7, np.inf))  # nothing stops it


def double(q):
    return torch.as_tensor(q, dtype=torch.float64)


def potential(arm, q):
    """- sum of m g . c (N,) [J], from the links' poses."""
    poses, chain = arm.link_poses(q), arm.chain
    centres = poses[..., :3] + rotate(poses[..., 3:], double(chain.centres))
    return 9.81 * (double(chain.mass) * centres[..., 2]).sum(-1)


def kinetic(arm, q, qd):
    return 0.5 * torch.einsum("ni,nij,nj->n", qd, arm.mass_matrix(q), qd)


def test_weight_is_the_slope_of_the_potential():
    q, h = double(joints(4)), 1e-5
    arm = Arm(FREE, 4, dtype=torch.float64)
    weight = arm.bias(q, 0 * q)
    for i in range(7):
        step = h * torch.eye(7, dtype=torch.float64)[i]
        slope = (potential(arm, q + step) - potential(arm, q - step)) / (2 * h)
        assert (weight[:, i] - slope).abs().max() < 1e-7


def test_motors_that_carry_the_weight_hold_the_arm_still():
    """Four seconds without impedance; loose, the arm sets off with M^-1 (-weight)."""
    q = double(joints(4))
    arm = Arm(FREE, 4, dtype=torch.float64, drive=Drive(rate=0.0))
    now, rate = q, 0 * q
    for _ in range(4 * 960):
        now, rate = arm.step(now, rate, DT)
    assert (now - q).abs().max() < 1e-9
    loose = Arm(FREE, 4, dtype=torch.float64, drive=LOOSE)
    _, rate = loose.step(q, 0 * q, DT)
    falls = -torch.linalg.solve(arm.mass_matrix(q), arm.bias(q, 0 * q))
    assert (rate / DT - falls).abs().max() < 1e-6 * falls.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_force_moves_the_tool_by_its_size_over_the_stiffness(dtype):
    """K^-1 F within 1 %, along and about each axis; of torques 2 sin(angle / 2) = T / k. Other directions stay."""
    wrench = torch.diag(torch.tensor([6.0, 6.0, 6.0, 0.5, 0.5, 0.5])).to(dtype)
    arm = Arm(load("panda"), 6, dtype=dtype)
    q = torch.as_tensor(arm.chain.posture, dtype=dtype).repeat(6, 1)
    goal, rate = arm.tool_pose(q), 0 * q
    for _ in range(3 * 960):
        q, rate = arm.step(q, rate, DT, goal, GAINS, wrench)
    pose = arm.tool_pose(q)
    turned = arm_turn(pose[:, 3:], goal[:, 3:])
    moved = torch.cat([pose[:, :3] - goal[:, :3], turned], -1)
    wanted = wrench / torch.tensor([600.0] * 3 + [50.0] * 3).to(dtype)
    assert ((moved - wanted).abs() < 0.01 * wanted.sum(-1, keepdim=True)).all()


def test_energy_of_free_motion():
    """Swinging under its weight from rest for half a second: the error of the semi-implicit steps is of first order,
    half of it at half the step, and a tenth of the kinetic energy, some joules, at a millisecond.
    """
    q = double(joints(4, seed=5, part=0.5))
    arm = Arm(FREE, 4, dtype=torch.float64, drive=LOOSE)
    errors = []
    for steps in (480, 960, 1920):
        now, rate, start = q, 0 * q, potential(arm, q)
        for _ in range(steps):
            now, rate = arm.step(now, rate, 0.5 / steps)
        moving = kinetic(arm, now, rate)
        errors.append((moving + potential(arm, now) - start) / moving)
    assert (moving > 1.0).all()
    assert errors[0].abs().max() < 0.1
    for coarse, fine in pairwise(errors):
        assert float(coarse.norm() / fine.norm()) == pytest.approx(2.0, rel=0.15)


def test_stops_hold_and_take_energy():
    """Loose arms fall on their stops: no joint passes its limit, the sum of energies only sinks, but for the steps'
    error of free motion.
    """
    q = double(joints(8, seed=6))
    arm = Arm(load("panda"), 8, dtype=torch.float64, drive=LOOSE)
    lower, upper = double(arm.chain.lower), double(arm.chain.upper)
    rate, stopped = 0 * q, torch.zeros(8, dtype=torch.bool)
    start = potential(arm, q)
    for _ in range(2 * 960):
        q, rate = arm.step(q, rate, DT)
        assert (q >= lower).all() and (q <= upper).all()
        stopped |= ((q == lower) | (q == upper)).any(-1)
    assert stopped.all()
    assert (kinetic(arm, q, rate) + potential(arm, q) < start).all()


def test_a_stop_is_an_impulse_on_its_joint():
    """The kinetic energy that a joint's stop takes is v^2 / (2 (M^-1)_ii), whatever the others do."""
    chain = replace(FREE, upper=np.array([np.inf] * 3 + [-1.5] + [np.inf] * 3))
    arm = Arm(chain, dtype=torch.float64, drive=LOOSE, gravity=(0.0, 0.0, 0.0))
    q, rate = double([[0.1, -0.4, 0.3, -1.5, 0.2, 1.8, 0.5]]), double([[0.3, 0.2, -0.4, 1.0, 0.3, -0.2, 0.5]])
    after, slowed = arm.step(q, rate, 1e-9)
    inertia = arm.mass_matrix(q)
    taken = 0.5 / float(torch.linalg.inv(inertia)[0, 3, 3])
    assert float(slowed[0, 3]) == pytest.approx(0.0, abs=1e-6) and float(after[0, 3]) <= -1.5
    lost = kinetic(arm, q, rate) - kinetic(arm, q, slowed)
    assert float(lost) == pytest.approx(taken, rel=1e-6)


def test_joints_lose_what_their_damping_takes():
    """M q'' = - h - D q' of loose arms, and a single joint that coasts to rest as exp(-D t / M)."""
    damping = np.array([0.5, 1.0, 1.5, 2.0, 0.3, 0.2, 0.1])
    arm = Arm(replace(FREE, damping=damping), 4, dtype=torch.float64, drive=LOOSE)
    q, rate = double(joints(4)), double(joints(4, seed=3))
    _, after = arm.step(q, rate, DT)
    push = (arm.mass_matrix(q) @ ((after - rate) / DT)[..., None])[..., 0] + arm.bias(q, rate)
    assert (push + double(damping) * rate).abs().max() < 1e-9


def test_motors_do_not_exceed_their_torque():
    """An arm with weak motors under a stiff impedance moves as one that these torques alone act on."""
    weak = replace(FREE, effort=np.array([5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.2]))
    arm = Arm(weak, dtype=torch.float64)
    q = double([[0.1, -0.4, 0.3, -1.5, 0.2, 1.8, 0.5]])
    goal = arm.tool_pose(q) + double([[-50.0, 30.0, 80.0, 0.0, 0.0, 0.0, 0.0]])
    goal[:, 3:] = quaternion_multiply(double([[0.3, 0.3, 0.3, np.sqrt(0.73)]]), goal[:, 3:])
    _, rate = arm.step(q, 0 * q, DT, goal, GAINS)
    torque = (arm.mass_matrix(q) @ (rate / DT)[..., None])[..., 0] + arm.bias(q, 0 * q)
    assert torque.abs()[0].tolist() == pytest.approx(weak.effort.tolist(), rel=1e-9)


def test_the_spare_joint_moves_without_moving_the_tool():
    """Seven joints, six directions: the arm swings by half a radian towards its posture. What the impedance has to hold
    is the curvature of the motion: speeds of 3 / e * 0.5 rad/s, squared, at 0.4 m, times the 5.7 kg felt at the tool,
    over 600 N/m, which is 1.1 mm; at the end, nothing.
    """
    chain = arm_chain()
    arm = Arm(chain, dtype=torch.float64)
    q = double(chain.posture)[None]
    goal = arm.tool_pose(q)
    elbow = np.linalg.svd(arm.jacobian(q)[0].numpy())[2][-1]  # the motion that the tool does not feel
    bent = Arm(chain.with_posture(chain.posture + 0.5 * elbow), dtype=torch.float64)
    now, rate, away = q, 0 * q, 0.0
    for _ in range(3 * 960):
        now, rate = bent.step(now, rate, DT, goal, GAINS)
        away = max(away, float((bent.tool_pose(now) - goal)[:, :3].norm()))
    assert abs(float((now - q)[0] @ double(elbow))) > 0.3
    assert away < 1.1e-3
    assert (bent.tool_pose(now) - goal)[:, :3].norm() < 1e-5
