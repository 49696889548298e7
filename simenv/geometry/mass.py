# SPDX-License-Identifier: Apache-2.0
"""Mass properties of solids of unit density, from closed forms and, for other shapes, from their closed meshes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simenv.geometry.shapes import Box, Capsule, Cylinder, Plane, Shape, Sphere

__all__ = ["MassProperties", "mass_properties"]


@dataclass(frozen=True)
class MassProperties:
    """Mass properties per unit density.

    Attributes:
        volume: [m^3].
        centre: centre of mass in the shape's frame [m], (3,).
        moments: principal moments of inertia about it [m^5], (3,).
        axes: principal axes in the shape's frame, columns of a rotation, (3, 3).
    """

    volume: float
    centre: np.ndarray
    moments: np.ndarray
    axes: np.ndarray


def mass_properties(shape: Shape) -> MassProperties:
    """Volume, centre of mass and principal moments of a solid of unit density.

    Boxes, balls, cylinders and capsules are exact; other shapes are integrated over their meshes, which is exact for
    the mesh.

    Args:
        shape: a bounded shape.

    Returns:
        Its properties.

    Raises:
        ValueError: the shape is unbounded.
    """
    if isinstance(shape, Plane):
        raise ValueError("a Plane has no finite mass; use a Box for a rigid body")
    moments = _closed_form(shape)
    if moments is not None:
        return MassProperties(shape.volume(), np.zeros(3), np.asarray(moments), np.eye(3))
    mesh = shape.to_mesh()
    mesh.density = 1.0
    values, vectors = np.linalg.eigh(np.asarray(mesh.moment_inertia))
    axes = vectors * np.sign(np.linalg.det(vectors))
    return MassProperties(float(mesh.volume), np.asarray(mesh.center_mass), values, axes)


def _closed_form(shape: Shape) -> tuple[float, float, float] | None:
    volume = shape.volume()
    if isinstance(shape, Box):
        x, y, z = (h * h for h in shape.half_extents)
        return volume / 3 * (y + z), volume / 3 * (z + x), volume / 3 * (x + y)
    if isinstance(shape, Sphere):
        return (0.4 * volume * shape.radius**2,) * 3
    if isinstance(shape, Cylinder):
        across = volume * (shape.radius**2 / 4 + shape.half_height**2 / 3)
        return across, across, volume * shape.radius**2 / 2
    if isinstance(shape, Capsule):
        r, h = shape.radius, shape.half_height
        middle, ends = 2 * math.pi * r * r * h, 4 / 3 * math.pi * r**3
        across = middle * (r * r / 4 + h * h / 3) + ends * (0.4 * r * r + h * h + 0.75 * r * h)
        return across, across, middle * r * r / 2 + 0.4 * ends * r * r
    return None
