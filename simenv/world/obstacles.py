# SPDX-License-Identifier: Apache-2.0
"""What of a scene flow goes around: its bodies with a shape, the links of its robots, and its colliders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simenv.physics.flow.obstacles import Obstacle

if TYPE_CHECKING:
    from simenv.world.scene import Scene

__all__ = ["obstacles_of"]


def obstacles_of(scene: Scene, only: Sequence[str] | None = None) -> list[Obstacle]:
    """The obstacles of a scene: every body with a shape, every shape with which a link of a robot collides, and every
    collider.

    Args:
        scene: it.
        only: names of bodies, robots, links and colliders that count; None for all.

    Raises:
        ValueError: a collider has variants, or a name is of nothing that is solid.
    """
    made: dict[str, list[Obstacle]] = {}
    for name, body in scene.bodies.items():
        if body.shape is not None:
            made[name] = [_on(scene, name, name, body.shape, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), 1.0)]
    robots: dict[str, str] = {}
    for mount in scene.robots.values():
        for link in mount.tree.links:
            on = mount.bodies[link.name]
            robots[on] = mount.name
            shapes = [_on(scene, on, on, each.shape, each.position, each.quaternion, 1.0) for each in link.collisions]
            made |= {on: shapes} if shapes else {}
    for name, collider in scene.colliders.items():
        if collider.body != name and collider.spec.shape is not None:  # else it is that of the body's own shape
            where = (collider.position, collider.quaternion, collider.scale)
            made[name] = [*made.get(name, []), _on(scene, name, collider.body, collider.spec.shape, *where)]
    known = {*made, *(robots[name] for name in made if name in robots)}
    for name in only or ():
        if name not in known:
            raise ValueError(f"gas cannot go around {name!r}, which is nothing solid; there are: {', '.join(known)}")
    if only is not None:
        made = {name: each for name, each in made.items() if name in only or robots.get(name) in only}
    for name in made:
        if name in scene.colliders and scene.colliders[name].spec.variants:
            raise ValueError(
                f"collider {name!r} has variants, which flow cannot go around; give it one shape, or name the "
                "obstacles of the gas"
            )
    return [each for some in made.values() for each in some]


def _on(scene: Scene, name: str, body: str | None, shape, position, quaternion, scale: float) -> Obstacle:
    if body is None:
        return Obstacle(name, shape, -1, False, tuple(position), tuple(quaternion), scale)
    carrier = scene.bodies[body]
    place = tuple(np.subtract(position, carrier.centre).tolist())
    row = list(scene.bodies).index(body)
    how = {"moves": carrier.motion != "fixed", "told": carrier.motion == "given", "answers": carrier.motion == "link"}
    return Obstacle(name, shape, row, position=place, quaternion=tuple(quaternion), scale=scale, **how)
