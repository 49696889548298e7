# SPDX-License-Identifier: Apache-2.0
"""How easily links of robots yield, which limits what may press on them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch

from simenv.physics import exact
from simenv.physics.rotation import quaternion_to_matrix

if TYPE_CHECKING:
    from simenv.physics.bodies.forest import RobotMount

__all__ = ["link_eases"]


def link_eases(mounts: Iterable[RobotMount], bodies: Iterable[str]) -> dict[str, np.ndarray]:
    """Inverse inertia (6, 6) of those of the bodies that are links: the twist about the origin of
    the link's frame, in its axes, per impulse there, at the robot's posture and without its drives.

    Args:
        mounts: robots of a scene.
        bodies: names.
    """
    from simenv.robots.robot import Robot

    wanted, out = set(bodies), {}
    for mount in mounts:
        links = [link for link in mount.table.frames if mount.bodies[link] in wanted]
        if not links:
            continue
        robot = Robot(mount.tree, 1, dtype=torch.float64)
        inverse = torch.linalg.inv(robot.mass_matrix(robot.posture)[0])
        for link in links:
            turn = torch.block_diag(*[quaternion_to_matrix(robot.pose(robot.posture, link)[0, 3:])] * 2)
            jacobian = exact.matmul(turn.T, robot.jacobian(robot.posture, link)[0])
            out[mount.bodies[link]] = exact.matmul(exact.matmul(jacobian, inverse), jacobian.T).numpy()
    return out
