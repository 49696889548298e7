# SPDX-License-Identifier: Apache-2.0
"""Which bodies of a scene collide: those that a gel, contact points or rigid contact pair, and no others."""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING

from simenv.errors import UnpairedBodiesWarning

if TYPE_CHECKING:
    from simenv.world.scene import Scene

__all__ = ["unpaired", "warn_of_unpaired"]


def unpaired(scene: Scene) -> list[tuple[str, str]]:
    """Pairs of bodies that would pass through each other, of which nobody said that they may.

    A body counts if it has a shape or carries a gel, a pair if at least one of the two moves. A hand without a gel has
    no extent.
    """
    paired = {frozenset((gel.on, gel.touches)) for gel in scene.gels.values() if gel.touches}
    paired |= {frozenset((points.body, points.against)) for points in scene.points}
    carriers = {gel.on for gel in scene.gels.values()}
    rigid = set(scene.touching)  # which meet all that is fixed, moves as told, or is rigid as well
    for robot in scene.robots.values():
        rigid |= {robot.bodies[link.name] for link in robot.tree.links if link.collisions}
    solid = [name for name, body in scene.bodies.items() if body.shape is not None or name in carriers]
    told = {name for name, body in scene.bodies.items() if body.is_told}

    def meets(pair: tuple[str, str]) -> bool:
        return bool(set(pair) & rigid) and set(pair) <= rigid | told

    pairs = [pair for pair in itertools.combinations(solid, 2) if not set(pair) <= told and not meets(pair)]
    robots = {body: robot.name for robot in scene.robots.values() for body in robot.bodies.values()}

    def may(a: str, b: str) -> bool:
        """Whether somebody said so, of the bodies or of the robots whose links they are."""
        said = itertools.product((a, robots.get(a, a)), (b, robots.get(b, b)))
        return any(frozenset(pair) in scene.passing for pair in said)

    return [pair for pair in pairs if frozenset(pair) not in paired and not may(*pair)]


def warn_of_unpaired(scene: Scene) -> None:
    """Warn with `UnpairedBodiesWarning` if a scene has bodies that would pass through each other without a word."""
    pairs = unpaired(scene)
    if pairs:
        listed = ", ".join(f"{a!r} and {b!r}" for a, b in pairs)
        a, b = pairs[0]
        warnings.warn(
            f"nothing pairs the bodies {listed}, which pass through each other: give free bodies coupling='rigid', so "
            "that they touch whatever they meet, or let two touch with add_gel or, a moving body on a fixed one, "
            f"add_points; or say let_pass({a!r}, {b!r}, why) if they may, or never meet",
            UnpairedBodiesWarning,
            stacklevel=4,
        )
