# SPDX-License-Identifier: Apache-2.0
"""How easily a robot's tool yields, which limits what may press on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch

from simenv.physics import exact
from simenv.physics.rotation import quaternion_to_matrix
from simenv.robots.arm import Arm

if TYPE_CHECKING:
    from simenv.physics.bodies.forest import RobotMount

__all__ = ["arm_ease", "link_eases"]


def arm_ease(arm: Arm | None, dt: float) -> tuple[float, float]:
    """Inverse mass and inverse inertia of an arm's tool in the direction in which it yields most, at the posture.

    Raises:
        ValueError: a substep [s] is too long for the damping of the joints.
    """
    if arm is None:
        return 0.0, 0.0
    posture = torch.as_tensor(arm.chain.posture, dtype=arm.dtype, device=arm.device).expand(arm.num_worlds, -1)
    inverse = torch.linalg.inv(arm.mass_matrix(posture)[0].double())
    jacobian = arm.jacobian(posture)[0].double()
    root = torch.as_tensor(arm.chain.damping, dtype=torch.float64, device=arm.device).sqrt()
    load = 0.5 * dt * float(torch.linalg.eigvalsh(root[:, None] * inverse * root).max())
    if load > 1.0:
        raise ValueError(
            f"the damping of the arm's joints, {arm.chain.damping.tolist()} N m s, needs a substep of at most "
            f"{dt / load:.2e} s beside its inertia, not {dt:.2e} s; shorten it or lower the damping"
        )
    task = jacobian @ inverse @ jacobian.T
    return tuple(float(torch.linalg.eigvalsh(block).max()) for block in (task[:3, :3], task[3:, 3:]))  # type: ignore[return-value]


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
