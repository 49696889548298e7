# SPDX-License-Identifier: Apache-2.0
"""Loops of a scene, those of its robots and those between bodies, as the solver of robots takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simenv.physics.bodies.forest import RobotMount
from simenv.physics.bodies.touching import Tied
from simenv.physics.bodies.tree import Loop
from simenv.robots.ease import link_eases

if TYPE_CHECKING:
    from simenv.world.scene import Scene

__all__ = ["loops_of"]


def loops_of(scene: Scene, mounts: list[RobotMount]) -> list[Tied]:
    """All loops.

    Args:
        scene: it.
        mounts: its robots and rigid bodies.

    Raises:
        ValueError: neither of a loop's bodies moves at the point that it holds.
    """
    found: list[tuple[Loop, str, str | None]] = []
    for mount in mounts:
        for loop in mount.tree.loops:
            found.append((loop, mount.bodies[loop.a], None if loop.b is None else mount.bodies[loop.b]))
    found += [(loop, loop.a, loop.b) for loop in scene.tied.values()]
    inverse = link_eases(mounts, [body for _, a, b in found for body in (a, b) if body is not None])
    return [_tied(loop, a, b, inverse) for loop, a, b in found]


def _tied(loop: Loop, a: str, b: str | None, inverse: dict[str, np.ndarray]) -> Tied:
    yields = [_ease(inverse[body], at) for body, at in ((a, loop.position), (b, loop.at)) if body in inverse]
    total = np.sum(yields, 0) if yields else np.zeros(2)
    if not total[0] > 0.0 or (loop.turn is not None and not total[1] > 0.0):
        raise ValueError(f"loop {loop.name!r}: neither {a!r} nor {b!r} moves there; take it out")
    turn = None if loop.turn is None else np.array(loop.turn)
    return Tied(a, b, np.array(loop.position), np.array(loop.at), turn, float(total[0]), float(total[1]))


def _ease(inverse: np.ndarray, at: tuple[float, ...]) -> np.ndarray:
    """How easily a point of a link yields, the most, and how easily the link turns, of its inverse inertia (6, 6)."""
    x, y, z = at
    arm = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    there = np.hstack([np.eye(3), -arm])
    return np.array([np.linalg.eigvalsh(each).max() for each in (there @ inverse @ there.T, inverse[3:, 3:])])
