# SPDX-License-Identifier: Apache-2.0
"""What a scene gives the solver of gels, as plain records."""

from __future__ import annotations

from dataclasses import dataclass

from simenv.geometry.shapes import Shape
from simenv.physics.gels.elastic import ElasticLayerGel
from simenv.physics.gels.grid import TaxelGrid
from simenv.physics.gels.winkler import WinklerGel

__all__ = ["Gel"]

Vector = tuple[float, ...]


@dataclass(frozen=True)
class Gel:
    """A tactile gel of a scene.

    Attributes:
        on: body that carries it; touches: body that it touches, or None; shape: of that body, what it touches.
        grid: its taxels; gel: its law.
        collider: by which it feels particles, on the same body, or None.
        position: of its frame on the body that carries it [m]; quaternion: of that frame, xyzw.
        slide: direction on the body along which it moves with the gripper's half opening.
        shape_position: of the touched shape in the frame of the touched body [m].
        max_depth, reach: where the search for the object starts below the gel and ends above it [m].
    """

    on: str
    touches: str | None
    grid: TaxelGrid
    gel: WinklerGel | ElasticLayerGel
    shape: Shape | None
    position: Vector
    quaternion: Vector
    slide: Vector
    shape_position: Vector
    max_depth: float
    reach: float
    collider: str | None = None
