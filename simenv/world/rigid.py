# SPDX-License-Identifier: Apache-2.0
"""Rigid contact of a scene: which shapes are on which bodies, and how easily these yield."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from simenv.physics import checks
from simenv.physics.bodies.contacts import Geom, slots
from simenv.physics.bodies.forest import RobotMount
from simenv.physics.bodies.touching import Touching
from simenv.robots.ease import link_eases
from simenv.world.tied import loops_of

if TYPE_CHECKING:
    from simenv.world.scene import Scene

__all__ = ["touching"]


def touching(scene: Scene, mounts: list[RobotMount]) -> Touching:
    """Where the robots and rigid bodies of a scene may touch each other and what else has a shape.

    Args:
        scene: it.
        mounts: its robots and rigid bodies.
    """
    checks.whole("Scene", max_contacts=scene.max_contacts)
    geoms, groups, moving, folding = [], {}, [], set()
    for mount in mounts:
        for link in mount.tree.links:
            name = mount.bodies[link.name]
            groups[name] = mount.name
            if mount.table.frames[link.name].link >= 0:
                moving.append(name)
            geoms += [
                Geom(name, each.shape, each.position, each.quaternion, each.kind, each.meets)
                for each in link.collisions if each.kind or each.meets
            ]  # fmt: skip
        folding |= {frozenset(mount.bodies[link] for link in pair) for pair in mount.folding}
    known = set(groups)
    for name, body in scene.bodies.items():
        if body.shape is not None and (name in known or body.motion in ("fixed", "given")):
            geoms.append(Geom(name, body.shape))
    made = slots(geoms, moving, groups, folding, scene.passing, scene.rigid, scene.laws)
    eases: dict[str, float] = {}
    carriers = {geom.body for geom in geoms}
    for mount in mounts:
        if not mount.is_robot:
            eases[mount.name] = 2.0 / float(mount.table.inertial[0, 0])
    linked = link_eases([mount for mount in mounts if mount.is_robot], carriers)
    for geom in geoms:
        if geom.body in linked:
            eases[geom.body] = max(eases.get(geom.body, 0.0), _ease(linked[geom.body], geom))
    return Touching(
        made, eases, list(scene.bodies), _joint_eases(mounts), scene.max_contacts, loops_of(scene, mounts)
    )  # fmt: skip


def _ease(inverse: np.ndarray, geom: Geom) -> float:
    """How easily the surface of a shape on a link yields [1/kg], about the most: inverse inertia (6, 6) of the link."""
    centre, radius = geom.ball()
    arm = np.array([[0.0, -centre[2], centre[1]], [centre[2], 0.0, -centre[0]], [-centre[1], centre[0], 0.0]])
    there = np.hstack([np.eye(3), -arm])
    turning = float(np.linalg.eigvalsh(inverse[3:, 3:]).max())
    return float(np.linalg.eigvalsh(there @ inverse @ there.T).max()) + 0.25 * radius**2 * turning


def _joint_eases(mounts: list[RobotMount]) -> np.ndarray:
    from simenv.robots.robot import Robot

    rows = []
    for mount in mounts:
        if not mount.is_robot:
            rows.append(np.ones(len(mount.table.rates)))  # it has no limits
            continue
        links = (replace(link, joint=replace(link.joint, mimic=None)) for link in mount.tree.links)  # every rate counts
        robot = Robot(replace(mount.tree, links=tuple(links)), 1, dtype=torch.float64)
        rows.append(1.0 / torch.diagonal(robot.mass_matrix(robot.posture)[0]).numpy())
    return np.concatenate(rows)
