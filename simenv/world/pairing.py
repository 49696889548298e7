# SPDX-License-Identifier: Apache-2.0
"""Which bodies of a scene in touch collide: those that a gel or contact points pair, and no others."""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING

from simenv.errors import UnpairedBodiesWarning
from simenv.physics.bodies.model import FIXED

if TYPE_CHECKING:
    from simenv.world.touch_scene import TouchScene

__all__ = ["unpaired", "warn_of_unpaired"]


def unpaired(scene: TouchScene) -> list[tuple[str, str]]:
    """Pairs of bodies that would pass through each other, of which nobody said that they may.

    A body counts if it has a shape or carries a gel, a pair if at least one of the two moves. A hand without a gel has
    no extent.
    """
    names = list(scene.bodies)
    mounts = [gel.mount for gel in scene.gels.values()]
    paired = {frozenset((names[mount.sensor], names[mount.item])) for mount in mounts}
    paired |= {frozenset((points.body, points.against)) for points in scene.points}
    solid = [name for name in names if name in scene.shapes or any(names[mount.sensor] == name for mount in mounts)]
    return [
        pair
        for pair in itertools.combinations(solid, 2)
        if any(scene.bodies[name].kind != FIXED for name in pair)
        and frozenset(pair) not in paired | scene.passing.keys()
    ]


def warn_of_unpaired(scene: TouchScene) -> None:
    """Warn with `UnpairedBodiesWarning` if a scene has bodies that would pass through each other without a word."""
    pairs = unpaired(scene)
    if pairs:
        listed = ", ".join(f"{a!r} and {b!r}" for a, b in pairs)
        a, b = pairs[0]
        warnings.warn(
            f"nothing pairs the bodies {listed}, which pass through each other: let them touch with add_points (a "
            f"moving body on a fixed one) or add_gel, or say let_pass({a!r}, {b!r}, why) if they may, or never meet",
            UnpairedBodiesWarning,
            stacklevel=4,
        )
