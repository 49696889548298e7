# SPDX-License-Identifier: Apache-2.0
"""What of a scene flow goes around: its bodies with a shape, the links of its robots, and its colliders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simenv.physics.flow.obstacles import Obstacle

if TYPE_CHECKING:
    from simenv.world.scene import Scene

__all__ = ["obstacles_of"]


def obstacles_of(scene: Scene) -> list[Obstacle]:
    """The obstacles of a scene: every body with a shape, every shape with which a link of a robot collides, and every
    collider; not what the grid of particles moves.

    Args:
        scene: it.

    Raises:
        ValueError: a collider has variants.
    """
    names, made = list(scene.bodies), []
    for name, body in scene.bodies.items():
        if body.shape is not None and body.motion != "grid":
            made.append(_on(scene, name, name, body.shape, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), 1.0))
    for mount in scene.robots.values():
        for link in mount.tree.links:
            on = mount.bodies[link.name]
            for each in link.collisions:
                made.append(_on(scene, on, on, each.shape, each.position, each.quaternion, 1.0))
    for name, collider in scene.colliders.items():
        if name in names and collider.body == name:  # that of the body's own shape
            continue
        if collider.spec.variants:
            raise ValueError(
                f"collider {name!r} has variants, which flow cannot go around; give it one shape, or put it into a "
                "scene without gas"
            )
        if collider.spec.shape is not None:
            where = (collider.position, collider.quaternion, collider.scale)
            made.append(_on(scene, name, collider.body, collider.spec.shape, *where))
    return made


def _on(scene: Scene, name: str, body: str | None, shape, position, quaternion, scale: float) -> Obstacle:
    if body is None:
        return Obstacle(name, shape, -1, False, tuple(position), tuple(quaternion), scale)
    carrier = scene.bodies[body]
    place = tuple(np.subtract(position, carrier.centre).tolist())
    row = list(scene.bodies).index(body)
    return Obstacle(name, shape, row, carrier.motion != "fixed", place, tuple(quaternion), scale)
