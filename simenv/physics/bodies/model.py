# SPDX-License-Identifier: Apache-2.0
"""A scene of rigid bodies as the solver sees it: plain arrays, one world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simenv.geometry.mass import mass_properties
from simenv.geometry.shapes import Shape

__all__ = ["DRIVEN", "FIXED", "FREE", "GIVEN", "BodiesModel", "Gripper", "body_properties"]

FIXED, FREE, DRIVEN, GIVEN = 0, 1, 2, 3
Vector = tuple[float, ...]  # of three numbers
Quaternion = tuple[float, ...]  # of four


@dataclass(frozen=True)
class Gripper:
    """Two coupled fingers: mass of each [kg], damping of each [N s/m], largest half opening [m]."""

    mass: float = 0.1
    damping: float = 40.0
    widest: float = 0.04


@dataclass(frozen=True)
class BodiesModel:
    """Bodies B, pairs C of a contact point and a shape.

    Attributes:
        kinds: `FIXED`, `FREE`, `DRIVEN` or `GIVEN`, (B,) int32.
        inertia: principal moments per mass [m^2], (B, 3).
        shapes: of the pairs.
        pairs: body, shape, and the shape's body of each pair, (C, 3) int32.
        offsets: of the points on their bodies [m], (C, 3); radii: of the balls about them [m], (C,).
        shares: by how many simultaneous contacts a body's mass is shared in stiff contact, (C,).
        groups: number of the (body, shape) that each point belongs to, (C,) int32; extents: radius of the ball about
            the body's centre of mass that holds the points of each, (groups,) [m].
        gripper: the fingers.
    """

    kinds: np.ndarray
    inertia: np.ndarray
    shapes: tuple[Shape, ...]
    pairs: np.ndarray
    offsets: np.ndarray
    radii: np.ndarray
    shares: np.ndarray
    groups: np.ndarray
    extents: np.ndarray
    gripper: Gripper


def body_properties(name: str, shape: Shape) -> tuple[float, np.ndarray, np.ndarray]:
    """Volume [m^3], centre of mass in the shape's frame (3,) [m] and principal moments per mass (3,) [m^2] of a solid.

    Raises:
        ValueError: its principal axes are not those of its frame.
    """
    properties = mass_properties(shape)
    tensor = (properties.axes * properties.moments) @ properties.axes.T / properties.volume
    moments = np.diag(tensor)
    if np.abs(tensor - np.diag(moments)).max() > 1e-3 * moments.max():
        raise ValueError(
            f"body {name!r}: its shape's principal axes are not the axes of its frame; turn the mesh so that they are"
        )
    return properties.volume, properties.centre, moments
