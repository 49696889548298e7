# SPDX-License-Identifier: Apache-2.0
"""What is published about the Panda, typed in again here, and random joint positions."""

import numpy as np
import torch

from simenv.physics.rotation import quaternion_multiply
from simenv.robots import chain, load

# Franka, "Robot and interface specifications": a [m], d [m], alpha [rad] in Craig's convention, and the flange
CRAIG = (
    (0.0, 0.333, 0.0), (0.0, 0.0, -np.pi / 2), (0.0, 0.316, np.pi / 2), (0.0825, 0.0, np.pi / 2),
    (-0.0825, 0.384, -np.pi / 2), (0.0, 0.0, np.pi / 2), (0.088, 0.0, np.pi / 2), (0.0, 0.107, 0.0),
)  # fmt: skip
LOWER = np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973])
UPPER = np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973])


def closed_chain():
    """The file's chain, its fingers closed."""
    return chain(load("panda", posture={"left_finger_joint": 0.0, "right_finger_joint": 0.0}))


def craig(a, d, alpha, theta):
    """Craig 1986, equation 3.6."""
    ca, sa, ct, st = np.cos(alpha), np.sin(alpha), np.cos(theta), np.sin(theta)
    return np.array([[ct, -st, 0, a], [st * ca, ct * ca, -sa, -sa * d], [st * sa, ct * sa, ca, ca * d], [0, 0, 0, 1]])


def tool(q):
    """Pose of the tool as a matrix: the hand is turned by -45 degrees on the flange, its fingers reach 103.4 mm."""
    pose = np.eye(4)
    for (a, d, alpha), theta in zip(CRAIG, [*q, 0.0], strict=True):
        pose = pose @ craig(a, d, alpha, theta)
    return pose @ craig(0.0, 0.1034, 0.0, -np.pi / 4)


def joints(count, seed=0, part=0.9):
    """Random joint positions within a part of the limits (count, 7)."""
    middle, half = (UPPER + LOWER) / 2, part * (UPPER - LOWER) / 2
    return middle + half * np.random.default_rng(seed).uniform(-1.0, 1.0, (count, 7))


def arm_turn(q, from_q):
    """2 sin(angle / 2) about its axis (N, 3)."""
    turned = quaternion_multiply(q, from_q * torch.tensor([-1.0, -1.0, -1.0, 1.0]).to(q))
    return 2 * turned[:, :3] * turned[:, 3:].sign()
