# SPDX-License-Identifier: Apache-2.0
"""How light a body may be that carries colliders.

A tick gives the material beside a collider the collider's velocity, and the body the opposite momentum in the next: the
body's velocity relative to the material is multiplied by about -m_contact / m_body, which dies out only while the
material beside it is lighter than the body. That mass is at most that of all particles, and about that of a layer of
half a cell over the collider's surface.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from simenv.geometry.shapes import Plane
from simenv.physics.limits import Limit
from simenv.physics.mpm.particles import ParticleParts
from simenv.physics.status import LIGHT_BODY

__all__ = ["exchange_limits"]

LAYER = 0.5  # thickness of the material that a collider moves at once, in cells


def exchange_limits(parts: ParticleParts) -> list[Limit]:
    """The limits on the masses of bodies that feel what their colliders receive."""
    limits = []
    for name, body in parts.bodies.items():
        colliders = [c for c in parts.colliders.values() if c.body == name]
        if body.motion in ("free", "hand") and colliders:
            area = sum(max(map(_area, c.spec.shapes)) * c.scale**2 for c in colliders)
            limits.append(_limit(parts, name, LAYER * parts.model.dx * area))
    return limits


def _area(shape: Any) -> float:
    return np.inf if isinstance(shape, Plane) else float(shape.to_mesh().area)


def _limit(parts: ParticleParts, name: str, layer: float) -> Limit:
    volumes: dict[str, float] = {}
    for group in parts.groups.values():
        volumes[group.material] = volumes.get(group.material, 0.0) + group.volume * len(group.positions)
    names = (f"{name}.mass", *(f"{material}.density" for material in volumes))

    def load(values: Mapping[str, Any]) -> Any:
        # of each material at most what there is of it, and in all at most a layer of the heaviest
        most = sum(values[f"{material}.density"] * min(volume, layer) for material, volume in volumes.items())
        return most / values[f"{name}.mass"]

    step = f"body {name!r} at dx = {parts.model.dx:g} m"
    why = "what its colliders move at once must be lighter than it"
    remedy = "make it heavier, use a finer grid, or coupling='grid', which bears any mass"
    return Limit(LIGHT_BODY, names, load, step, why, remedy)
