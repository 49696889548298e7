# SPDX-License-Identifier: Apache-2.0
"""What the renderer draws, as plain arrays: meshes with poses, particle groups, a camera and a studio.

Nothing here needs Warp, torch or a world, so that a picture can be made of any data at hand.
Metres, world frame, z up; quaternions are xyzw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

RGBA = tuple[float, float, float, float]

_WATER: RGBA = (0.42, 0.72, 0.93, 0.12)
_GLASS: RGBA = (0.90, 0.97, 0.95, 0.15)


def rgba(color: tuple[float, ...] | np.ndarray | None, default: RGBA = _GLASS) -> RGBA:
    """Returns ``color`` as four floats in [0, 1]; three floats are opaque, None is ``default``.

    Raises:
        ValueError: The colour has another length or a component outside [0, 1].
    """
    if color is None:
        return default
    values: tuple[float, ...] = tuple(float(c) for c in np.asarray(color, dtype=np.float64).reshape(-1))
    if len(values) == 3:
        values = (*values, 1.0)
    if len(values) != 4 or not all(0.0 <= c <= 1.0 for c in values):
        raise ValueError(f"colour {color!r} is not 3 or 4 numbers in [0, 1]; give (r, g, b) or (r, g, b, a)")
    return values


@dataclass(frozen=True)
class MeshItem:
    """A rigid triangle mesh at a pose.

    Attributes:
        vertices: (V, 3) [m], own frame.
        faces: (F, 3) vertex indices, counter-clockwise seen from outside.
        color: (r, g, b, a), sRGB. ``a < 1`` makes it clear glass of that tint; otherwise it is opaque.
        pose: (7,) position [m] and quaternion xyzw.
        name: For error messages.
        wall: Whether liquid that lies at it is drawn into contact with it; a mark is none.
    """

    vertices: np.ndarray
    faces: np.ndarray
    color: RGBA = _GLASS
    pose: np.ndarray = field(default_factory=lambda: np.array([0.0, 0, 0, 0, 0, 0, 1.0]))
    name: str = "mesh"
    wall: bool = True

    @property
    def transparent(self) -> bool:
        """Whether it is drawn as glass."""
        return self.color[3] < 1.0


@dataclass(frozen=True)
class ParticleItem:
    """A group of particles that is drawn as one body of liquid or as one solid.

    Attributes:
        positions: (P, 3) [m]; only the particles to draw.
        color: (r, g, b, a), sRGB. For a liquid, (r, g, b) is the colour that a `Studio.reference_depth` of it shows
            and ``a`` is the fraction of light it scatters over that depth: 0.1 is water, 1 is milk.
        spacing: Mean distance between neighbouring particles [m].
        liquid: Liquids are merged into one surface and refract; solids get a surface each and are opaque.
        name: For error messages.
    """

    positions: np.ndarray
    color: RGBA = _WATER
    spacing: float = 0.004
    liquid: bool = True
    name: str = "particles"


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        position: [m].
        target: The point at the middle of the picture [m].
        fov_y: Full vertical field of view [rad].
        up: Need not be orthogonal to the view.
    """

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    fov_y: float = math.radians(32.0)
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)

    def axes(self) -> np.ndarray:
        """Returns the camera's right, up and backward axes as the columns of a (3, 3) rotation.

        Raises:
            ValueError: The camera is at its target, looks along ``up``, or has an impossible field of view.
        """
        back = np.asarray(self.position, dtype=np.float64) - np.asarray(self.target, dtype=np.float64)
        distance = float(np.linalg.norm(back))
        right = np.cross(np.asarray(self.up, dtype=np.float64), back)
        if distance <= 0.0 or np.linalg.norm(right) <= 1e-9 * distance * max(float(np.linalg.norm(self.up)), 1e-30):
            raise ValueError(
                f"camera at {self.position} cannot look at {self.target} with up {self.up}: "
                "move it off its target, or choose an up that is not along the view"
            )
        if not 0.0 < self.fov_y < math.pi:
            raise ValueError(f"camera fov_y is {self.fov_y} rad; it must be inside (0, pi)")
        back /= distance
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(back, right), back], axis=1)


@dataclass(frozen=True)
class Studio:
    """Table, light and lens: everything in the picture that is not simulated.

    Attributes:
        ground: Height of the table top [m]; None draws no table.
        tile: Edge of the table's tiles [m]; 0 leaves it plain.
        center: (x, y) around which the table is lit and fades into the background [m].
        radius: Distance over which it fades [m].
        sun: Direction towards the key light; need not be a unit vector.
        reference_depth: Thickness at which a liquid shows its colour [m].
        refraction: False draws glass and liquid without bending light (faster, plainer).
    """

    ground: float | None = 0.0
    tile: float = 0.02
    center: tuple[float, float] = (0.0, 0.0)
    radius: float = 0.5
    sun: tuple[float, float, float] = (-0.45, -0.35, 1.0)
    reference_depth: float = 0.05
    refraction: bool = True
