# SPDX-License-Identifier: Apache-2.0
"""An elastomer lit by coloured lamps: a model of a sensor that nobody has calibrated.

Each point of the gel's surface has Lambert's and Phong's reflection of every lamp, with the inverse square of the
distance, and a soft shadow: a ray goes from the point to the lamp, and what it clears the gel by, over the way it went,
is compared with `penumbra`. The camera looks straight on. x runs along the image's columns, y along its rows, z towards
the camera; the origin is the middle of the undeformed surface.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from simenv.physics.bridge import Operation, constant_array, warp_real
from simenv.physics.device import resolve_device
from simenv.sensors.tactile.kernels_leds import STEPS, leds_kernels
from simenv.sensors.tactile.photometry import BINS, NormalTable, monomials

__all__ = ["Elastomer", "LedShader"]


@dataclass(frozen=True)
class Elastomer:
    """Lamps and reflection.

    Attributes:
        lamps: positions (x, y, z), z > 0, off the axis x = y = 0 [m].
        colours: red, green, blue of each, in grey levels of a surface that faces it from right above at distance z.
        ambient: red, green, blue everywhere [grey levels].
        diffuse, specular: shares of Lambert's and Phong's reflection.
        shininess: Phong's exponent, at least 1.
        penumbra: clearance over way at which a lamp is fully seen; below every lamp's elevation, so that a flat gel has
            no shadow.
        reach: how far rays look for what shades them [m].
    """

    lamps: tuple[tuple[float, float, float], ...]
    colours: tuple[tuple[float, float, float], ...]
    ambient: tuple[float, float, float]
    diffuse: float = 1.0
    specular: float = 0.0
    shininess: float = 8.0
    penumbra: float = 0.1
    reach: float = 4.0e-3

    def __post_init__(self) -> None:
        if len(self.lamps) != len(self.colours) or not self.lamps:
            raise ValueError(f"{len(self.lamps)} lamps and {len(self.colours)} colours; give one colour to each lamp")
        if any(not (lamp[2] > 0.0 and math.hypot(lamp[0], lamp[1]) > 0.0) for lamp in self.lamps):
            raise ValueError(f"lamps = {self.lamps} must have z > 0 and not lie on the axis of the camera [m]")
        if not (self.shininess >= 1.0 and self.penumbra > 0.0 and self.reach > 0.0):
            raise ValueError(
                f"shininess = {self.shininess!r} must be at least 1, penumbra = {self.penumbra!r} and "
                f"reach = {self.reach!r} m positive"
            )

    def colour(self, nx: np.ndarray, ny: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Colours (..., 3) of points (x, y, 0) [m] of slope n = g / sqrt(1 + |g|^2), without shadow."""
        normal = np.stack(np.broadcast_arrays(-nx, -ny, np.sqrt(np.maximum(1.0 - nx**2 - ny**2, 0.0))), -1)
        at = np.stack(np.broadcast_arrays(x, y, np.zeros_like(x)), -1)
        total = np.asarray(self.ambient, dtype=float)
        for lamp, colour in zip(self.lamps, self.colours, strict=True):
            away = np.asarray(lamp) - at
            far = np.linalg.norm(away, axis=-1, keepdims=True)
            towards = away / far
            cosine = (normal * towards).sum(-1)
            mirrored = np.maximum(2.0 * cosine * normal[..., 2] - towards[..., 2], 0.0)
            strength = self.diffuse * np.maximum(cosine, 0.0) + self.specular * mirrored**self.shininess
            total = total + (strength * (lamp[2] / far[..., 0]) ** 2)[..., None] * np.asarray(colour)
        return total

    def background(self, rows: int, columns: int, pixel: float) -> np.ndarray:
        """The image (H, W, 3) uint8 without contact."""
        x, y = _places(rows, columns, pixel)
        return np.clip(np.round(self.colour(np.zeros(1), np.zeros(1), x, y)), 0, 255).astype(np.uint8)

    def table(self, rows: int, columns: int, pixel: float, bins: int = BINS) -> NormalTable:
        """A table of this model: a least-squares quadratic in the position for every normal, without shadow."""
        u, v = (a.ravel() for a in np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 9)))
        x, y = (u - 0.5) * columns * pixel, (v - 0.5) * rows * pixel
        project = np.linalg.pinv(monomials(u, v))

        def response(nx: np.ndarray, ny: np.ndarray) -> np.ndarray:
            colours = self.colour(nx[..., None], ny[..., None], x, y) - self.colour(np.zeros(1), np.zeros(1), x, y)
            return np.einsum("kp,ijpc->ijck", project, colours)

        return NormalTable.sample(response, (1.0 / columns, 1.0 / rows), bins)


def _places(rows: int, columns: int, pixel: float) -> tuple[np.ndarray, np.ndarray]:
    r, c = np.mgrid[:rows, :columns]
    return (c - 0.5 * (columns - 1)) * pixel, (r - 0.5 * (rows - 1)) * pixel


class LedShader:
    """Colours by rays to the lamps, as the change that a contact makes to a background.

    Args:
        elastomer: lamps and reflection.
        background: (H, W, 3) numbers from 0 to 255.
        pixel: pitch [m].
        dtype: of the tensors.
        device: of the tensors.
    """

    def __init__(
        self,
        elastomer: Elastomer,
        background: np.ndarray,
        pixel: float,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ):
        device = resolve_device(device)
        k = leds_kernels(warp_real(dtype))
        rows, columns = background.shape[:2]
        e, items = elastomer, rows * columns
        constants = [
            constant_array(np.asarray(e.lamps), k.vec3, dtype, device),
            constant_array(np.asarray(e.colours), k.vec3, dtype, device),
            len(e.lamps),
            k.vec3(*e.ambient),
            *(e.diffuse, e.specular, e.shininess, e.penumbra, e.reach / pixel / STEPS, columns, rows, pixel),
        ]
        self._light = Operation(k.light, constants, [k.real], [(k.vec3, (items,))], items)
        self._background = torch.tensor(background, dtype=dtype).to(device)
        self._flat = self._light(torch.zeros((1, items), dtype=dtype, device=device))[0]

    def __call__(self, surface: torch.Tensor) -> torch.Tensor:
        """Colours (N, H, W, 3) of surfaces (N, H, W) [m]."""
        change = self._light(surface.flatten(1))[0] - self._flat
        return (self._background + change.reshape(*surface.shape, 3)).clamp(0.0, 255.0)
