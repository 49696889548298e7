# SPDX-License-Identifier: Apache-2.0
"""Photometric tables: the colour that a slope of the gel adds to the image without contact.

As in Taxim (Si, Yuan 2022, "Taxim: an example-based simulation model for GelSight tactile sensors"), a colour is
I = background + T(slope) . [x^2, y^2, x y, x, y, 1] with (x, y) the position in the image. Taxim's tables go by angle
and direction of the slope and are read at the bin below, which has no derivative, and at zero slope no direction.

`NormalTable` goes by the first two components of the surface's unit normal, g / sqrt(1 + |g|^2) with g the slope (along
columns, along rows). These are smooth functions of the slope, also at zero, and a full turn of the direction is a
circle in them, so that bilinear interpolation is continuous and periodic. Zero slope is the middle of a cell, where the
interpolation is smooth, and the table is zero there: without contact the image is the background, exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simenv.errors import AssetError

__all__ = ["BINS", "Camera", "NormalTable", "TaximTable", "centred", "load_taxim", "monomials"]

BINS = 64  # of a normal table: even, so that zero slope is the middle of a cell
PITCH_TOLERANCE = 0.02


def monomials(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[x^2, y^2, x y, x, y, 1] in a new last axis."""
    return np.stack([x * x, y * y, x * y, x, y, np.ones_like(x)], -1)


def centred(values: np.ndarray) -> np.ndarray:
    """Values (B, B, ...) of a normal table less their mean in the cell of zero slope."""
    h = values.shape[0] // 2
    return values - values[h - 1 : h + 1, h - 1 : h + 1].mean((0, 1))


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks at the gel from behind.

    Attributes:
        distance: from the optical centre to the gel [m].
        hfov: horizontal field of view [rad].
    """

    distance: float
    hfov: float

    def pitch(self, columns: int) -> float:
        """Distance on the gel between neighbouring pixels [m]."""
        return 2.0 * self.distance * math.tan(0.5 * self.hfov) / columns

    def check(self, pixel: float, columns: int) -> None:
        """Raise AssetError if `pixel` [m] is more than 2 % away from what the camera sees."""
        seen = self.pitch(columns)
        if not abs(pixel / seen - 1.0) <= PITCH_TOLERANCE:
            raise AssetError(
                f"a pixel is said to be {pixel * 1e3:.4g} mm wide, but a camera {self.distance * 1e3:.4g} mm from "
                f"the gel with {math.degrees(self.hfov):.4g} degrees sees {seen * 1e3:.4g} mm per pixel of {columns} "
                "columns: "
                f"{abs(pixel / seen - 1.0):.0%} apart, at most {PITCH_TOLERANCE:.0%} is accepted, since slopes would "
                "be wrong by as much; correct one of them"
            )


@dataclass(frozen=True)
class NormalTable:
    """Colours by the surface's normal.

    Attributes:
        values: (B, B, 3, 6): by the normal's component along rows, that along columns (both from -1 to 1), colour (red,
            green, blue), and coefficient of `monomials`; zero in the middle.
        scale: (2,) position per pixel, along x and y: x = column * scale[0].
    """

    values: np.ndarray
    scale: tuple[float, float]

    def __post_init__(self) -> None:
        shape = self.values.shape
        if len(shape) != 4 or shape[0] != shape[1] or shape[2:] != (3, 6) or shape[0] % 2 or shape[0] < 4:
            raise AssetError(f"a normal table must be (B, B, 3, 6) with an even B of at least 4, not {shape}")
        if not np.isfinite(self.values).all():
            raise AssetError("the table has values that are not finite; fit it again with more regularisation")

    @property
    def bins(self) -> int:
        """B."""
        return self.values.shape[0]

    @classmethod
    def sample(cls, response, scale: tuple[float, float], bins: int = BINS) -> NormalTable:
        """Tabulate a function of the normal.

        Args:
            response: of n_x and n_y (B, B), with n_x^2 + n_y^2 <= 1, gives (B, B, 3, 6).
            scale: position per pixel.
            bins: B, even.
        """
        n = np.linspace(-1.0, 1.0, bins)
        ny, nx = np.meshgrid(n, n, indexing="ij")
        size = np.maximum(np.hypot(nx, ny), 1e-12)
        inside = np.minimum(1.0, 1.0 / size)  # corners outside the disc take the value at its rim
        return cls(centred(np.asarray(response(nx * inside, ny * inside), dtype=np.float64)), scale)


@dataclass(frozen=True)
class TaximTable:
    """Colours by angle and direction of the slope, as Taxim stores them.

    Attributes:
        values: (B, B, 3, 6): by angle 0..pi/2, direction -pi..pi (atan2 of the slope along rows and along columns),
            colour (red, green, blue), and coefficient of `monomials` of (column, row).
        scale: (2,) position per pixel.
    """

    values: np.ndarray
    scale: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if self.values.ndim != 4 or self.values.shape[0] != self.values.shape[1] or self.values.shape[2:] != (3, 6):
            raise AssetError(f"a Taxim table must be (B, B, 3, 6), not {self.values.shape}")

    @property
    def bins(self) -> int:
        """B."""
        return self.values.shape[0]

    def interpolate(self, angle: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Bilinear between bins, periodic in the direction: (...) [rad] to (..., 3, 6).

        Taxim's bins are B - 1 steps of 2 pi / (B - 1), of which the first and the last entry are the same direction.
        """
        steps = self.bins - 1
        a = np.clip(angle / (0.5 * np.pi) * steps, 0.0, steps)
        b = (direction + np.pi) / (2.0 * np.pi) * steps
        a0 = np.minimum(np.floor(a).astype(int), steps - 1)
        b0 = np.floor(b).astype(int)
        s, t = (a - a0)[..., None, None], (b - b0)[..., None, None]
        left, right = b0 % steps, (b0 + 1) % steps
        v = self.values
        low = (1 - t) * v[a0, left] + t * v[a0, right]
        high = (1 - t) * v[a0 + 1, left] + t * v[a0 + 1, right]
        return (1 - s) * low + s * high

    def to_normals(self, bins: int = 2 * BINS) -> NormalTable:
        """The same table by normals, less its response to zero slope, which in shipped tables is not zero."""
        flat = self.values[0, :-1].mean(0)

        def response(nx: np.ndarray, ny: np.ndarray) -> np.ndarray:
            angle = np.arcsin(np.minimum(np.hypot(nx, ny), 1.0))
            return self.interpolate(angle, np.arctan2(ny, nx)) - flat

        return NormalTable.sample(response, self.scale, bins)


def load_taxim(
    path: str | Path, pixel: float, columns: int, bins: int | None = None, camera: Camera | None = None
) -> TaximTable:
    """Read `polycalib.npz` in Taxim's format.

    The files name colours after OpenCV's order, so that grad_r is blue and grad_b red.

    Args:
        path: of the file, with bins, grad_r, grad_g and grad_b.
        pixel: pitch that slopes will be computed with [m].
        columns: of the image that the table was made for.
        bins: what the caller will index with; `None` for the file's own.
        camera: to check the pitch against.

    Raises:
        AssetError: an array is missing, has other bins than the file says or the caller wants, or the pitch does not
            fit the camera.
    """
    with np.load(path) as data:
        missing = {"bins", "grad_r", "grad_g", "grad_b"} - set(data.files)
        if missing:
            raise AssetError(f"{path} has no {sorted(missing)}; it is not a table in Taxim's format (polycalib.npz)")
        stated = int(data["bins"])
        tables = [np.asarray(data[name], dtype=np.float64) for name in ("grad_b", "grad_g", "grad_r")]
    for table in tables:
        if table.shape != (stated, stated, 6):
            raise AssetError(
                f"{path} says {stated} bins, but holds a table {table.shape}; it must be ({stated},)*2 + (6,)"
            )
    if bins is not None and bins != stated:
        raise AssetError(
            f"{path} has {stated} bins, not {bins}: other slopes would be read; use bins={stated}, or "
            "None for the file's"
        )
    if camera is not None:
        camera.check(pixel, columns)
    return TaximTable(np.stack(tables, 2))
