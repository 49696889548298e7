# SPDX-License-Identifier: Apache-2.0
"""Taxels: the points of a gel at which forces are read, in the sensor's frame.

The sensor's frame has z out of the gel, towards the object, and x along the columns; its origin lies at the middle of
the undeformed surface. Taxel (r, c) has the index r * columns + c, with y growing along the rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["GRIDS", "TaxelGrid", "curved_grid", "flat_grid"]

# (rows, columns) of the grids that TacSL uses: its speed test, its generator, its policies, its large speed test.
GRIDS = {"10x10": (10, 10), "20x25": (20, 25), "14x10": (14, 10), "100x100": (100, 100)}


@dataclass(frozen=True)
class TaxelGrid:
    """Taxels on a rectangular or curved gel.

    Attributes:
        rows, columns: their numbers.
        spacing: distance of neighbours along the surface, (along x, along y) [m].
        points: (P, 3) float64 [m].
        frames: (P, 3, 3) float64; the columns are the two tangents and the outward normal of each taxel.
        areas: (P,) float64 [m^2].
        is_flat: all normals are equal.
        radii: of curvature in the x-z and the y-z plane [m], infinite where it is flat.
    """

    rows: int
    columns: int
    spacing: tuple[float, float]
    points: np.ndarray
    frames: np.ndarray
    areas: np.ndarray
    is_flat: bool
    radii: tuple[float, float] = (math.inf, math.inf)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the gel along its surface [m]."""
        return self.columns * self.spacing[0], self.rows * self.spacing[1]

    def resampled(self, rows: int, columns: int) -> TaxelGrid:
        """The same gel with another number of taxels."""
        return curved_grid(rows, columns, *self.size, *self.radii)

    @property
    def count(self) -> int:
        """Number of taxels P."""
        return self.rows * self.columns

    @property
    def normals(self) -> np.ndarray:
        """Outward normals (P, 3)."""
        return self.frames[:, :, 2]


def _check(rows: int, columns: int, width: float, height: float) -> None:
    if rows < 2 or columns < 2:
        raise ValueError(f"a taxel grid needs at least 2 x 2 taxels, not {rows} x {columns}; use 10 x 10, for example")
    for name, value in (("width", width), ("height", height)):
        if not (math.isfinite(value) and value > 0.0):
            raise ValueError(f"{name} of a gel must be positive and finite [m], not {value!r}")


def _plane(rows: int, columns: int, width: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Middles of equal cells that fill the rectangle: x and y, (P,) each [m]."""
    x = (np.arange(columns) - 0.5 * (columns - 1)) * (width / columns)
    y = (np.arange(rows) - 0.5 * (rows - 1)) * (height / rows)
    return np.tile(x, rows), np.repeat(y, columns)


def flat_grid(rows: int, columns: int, width: float, height: float) -> TaxelGrid:
    """Taxels at the middles of rows x columns equal cells of a flat gel, in the plane z = 0.

    Args:
        rows: at least 2; `GRIDS` has usual numbers.
        columns: at least 2.
        width: of the gel, along x [m].
        height: of the gel, along y [m].

    Raises:
        ValueError: a number is out of range.
    """
    _check(rows, columns, width, height)
    x, y = _plane(rows, columns, width, height)
    points = np.stack([x, y, np.zeros_like(x)], -1)
    frames = np.broadcast_to(np.eye(3), (points.shape[0], 3, 3)).copy()
    spacing = (width / columns, height / rows)
    return TaxelGrid(rows, columns, spacing, points, frames, np.full(len(points), spacing[0] * spacing[1]), True)


def curved_grid(
    rows: int, columns: int, width: float, height: float, radius_x: float = math.inf, radius_y: float = math.inf
) -> TaxelGrid:
    """Taxels on a gel that bulges outwards: its middle at the origin, its rim behind (z < 0).

    Equal steps along x and y are equal arcs of the circles of radius `radius_x` in the x-z plane and `radius_y` in the
    y-z plane. One infinite radius gives a cylinder; with both finite it is a surface of translation, whose taxels keep
    their area to the second order of width / radius, and the exact area of each is in `areas`.

    Args:
        rows: at least 2.
        columns: at least 2.
        width: arc length along x [m].
        height: arc length along y [m].
        radius_x: radius of curvature in the x-z plane [m], infinite for flat.
        radius_y: radius of curvature in the y-z plane [m], infinite for flat.

    Raises:
        ValueError: a number is out of range, or the gel wraps around more than half a circle.
    """
    _check(rows, columns, width, height)
    u, v = _plane(rows, columns, width, height)
    z, slopes, arcs = np.zeros_like(u), [], []
    for name, length, radius, at in (("radius_x", width, radius_x, u), ("radius_y", height, radius_y, v)):
        if math.isnan(radius) or radius <= length / math.pi:
            raise ValueError(
                f"{name} = {radius!r} m must exceed {length / math.pi:g} m, so that {length:g} m of gel span less than "
                "half a circle; use a larger radius or a smaller gel"
            )
        angle = np.zeros_like(at) if math.isinf(radius) else at / radius
        arcs.append(at if math.isinf(radius) else radius * np.sin(angle))
        z = z - (np.zeros_like(at) if math.isinf(radius) else radius * (1.0 - np.cos(angle)))
        slopes.append(-np.tan(angle))
    points = np.stack([arcs[0], arcs[1], z], -1)
    normals = np.stack([-slopes[0], -slopes[1], np.ones_like(u)], -1)
    stretch = np.linalg.norm(normals, axis=-1)
    normals /= stretch[:, None]
    first = np.stack([np.ones_like(u), np.zeros_like(u), slopes[0]], -1)
    first /= np.linalg.norm(first, axis=-1, keepdims=True)
    second = np.cross(normals, first)
    spacing = (width / columns, height / rows)
    # dx = cos(angle) du, and the area of a graph z(x, y) is sqrt(1 + z_x^2 + z_y^2) dx dy
    cosines = 1.0 / np.sqrt((1.0 + slopes[0] ** 2) * (1.0 + slopes[1] ** 2))
    areas = stretch * cosines * spacing[0] * spacing[1]
    flat = math.isinf(radius_x) and math.isinf(radius_y)
    return TaxelGrid(
        rows, columns, spacing, points, np.stack([first, second, normals], -1), areas, flat, (radius_x, radius_y)
    )
