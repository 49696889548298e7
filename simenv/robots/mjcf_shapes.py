# SPDX-License-Identifier: Apache-2.0
"""Shapes of bodies that Newton has read from a file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simenv.geometry.shapes import Box, Capsule, Cylinder, Shape, Sphere
from simenv.physics.bodies.tree import Fitted
from simenv.robots.meshes import stored_mesh
from simenv.robots.mjcf_contact import masks
from simenv.robots.snap import Snap

if TYPE_CHECKING:
    import newton

__all__ = ["shapes_of"]

Shapes = tuple[tuple[Fitted, ...], tuple[Fitted, ...]]


def shapes_of(builder: newton.ModelBuilder, snap: Snap, names: Sequence[str], file: str) -> dict[int, Shapes]:
    """What is drawn and what collides, of each body by number; with a warning for what is no shape here.

    Args:
        builder: what Newton has read.
        snap: numbers of the file.
        names: of the bodies.
        file: its name.
    """
    from newton import ShapeFlags

    out: dict[int, Shapes] = {}
    for i, body in enumerate(builder.shape_body):
        flags = builder.shape_flags[i]
        if body < 0 or flags & ShapeFlags.SITE:
            continue
        shape = _shape(builder, snap, i)
        if shape is None:
            kind = _kind(builder, i)
            warnings.warn(f"{file}: the shape {kind!r} of body {names[body]!r} is left out", stacklevel=2)
            continue
        values = np.array(builder.shape_transform[i], dtype=np.float64)
        place = tuple((snap.place(values[:3]) + 0.0).tolist())
        quaternion = tuple((snap.quaternion(values[3:]) + 0.0).tolist())
        red, green, blue = (snap.number(value) for value in builder.shape_color[i])
        opacity = builder.shape_opacity[i]
        looks, collisions = out.get(body, ((), ()))
        if flags & ShapeFlags.VISIBLE:
            color = (red, green, blue, 1.0 if opacity is None else snap.number(opacity))
            looks = (*looks, Fitted(shape, place, quaternion, color))
        if flags & ShapeFlags.COLLIDE_SHAPES:
            collisions = (*collisions, Fitted(shape, place, quaternion, None, *masks(builder, i)))
        out[body] = (looks, collisions)
    return out


def _kind(builder: newton.ModelBuilder, i: int) -> str:
    from newton import GeoType

    return GeoType(builder.shape_type[i]).name.lower()


def _shape(builder: newton.ModelBuilder, snap: Snap, i: int) -> Shape | None:
    kind = _kind(builder, i)
    x, y, z = (snap.number(value) for value in builder.shape_scale[i])
    if kind == "box":
        return Box((x, y, z))
    if kind == "sphere":
        return Sphere(x)
    if kind in ("capsule", "cylinder"):
        return (Capsule if kind == "capsule" else Cylinder)(x, y)
    if kind in ("mesh", "convex_mesh"):
        mesh = builder.shape_source[i]
        return stored_mesh(np.asarray(mesh.vertices) * (x, y, z), np.asarray(mesh.indices).reshape(-1, 3))
    return None
