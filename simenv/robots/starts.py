# SPDX-License-Identifier: Apache-2.0
"""Robots that start with links where they are asked to be."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from simenv.physics.bodies.tree import Tree
from simenv.robots.placed import posture_of
from simenv.robots.poses import Numbers, Pose
from simenv.robots.robot import Robot

__all__ = ["reaching"]

NEAR = 1e-6  # [m, rad], what a link may lack of its pose


def reaching(tree: Tree, poses: Mapping[str, tuple[Numbers, Numbers]]) -> Tree:
    """The tree in a posture that has links at poses, found by inverse kinematics from its own.

    Args:
        tree: the robot, where it stands.
        poses: world positions [m] and quaternions xyzw by link.

    Raises:
        AssetError: there is no such link.
        ValueError: a link does not get there.
    """
    for link in poses:
        tree.link(link)
    robot = Robot(tree, 1, dtype=torch.float64)
    wanted = {link: Pose.of(*pose) for link, pose in poses.items()}
    q = robot.posture
    for link, pose in wanted.items():
        q = robot.reach(torch.as_tensor([[*pose.place, *pose.quaternion]]), link, q)
    for link, pose in wanted.items():
        there = robot.pose(q, link)[0].numpy()
        lacks = Pose.of(there[:3], there[3:]).inverse() @ pose
        away = float(np.linalg.norm(lacks.place))
        turn = 2.0 * float(np.arctan2(np.linalg.norm(lacks.quaternion[:3]), abs(lacks.quaternion[3])))
        if away > NEAR or turn > NEAR:
            raise ValueError(
                f"robot {tree.name!r}: link {link!r} comes within {1e3 * away:.1f} mm and {np.degrees(turn):.1f} "
                f"degrees of where it should start, {[*pose.place.tolist(), *pose.quaternion.tolist()]}; place it or "
                "the base nearer, or give a posture to search from"
            )
    return tree.with_posture(posture_of(robot.table, q[0].numpy()))
