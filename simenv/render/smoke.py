# SPDX-License-Identifier: Apache-2.0
"""What is mixed into gas, drawn over a picture: each ray is dimmed, and lit, by what it passes before it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from simenv.render.items import Camera
from simenv.render.rays import pixel_rays

__all__ = ["SmokeItem", "draw_smoke"]

_STEPS = 64  # of a ray through the box
_THIN = 1e-4  # share of the light that ends a picture's smoke


@dataclass(frozen=True)
class SmokeItem:
    """Smoke in the cells of a box.

    Attributes:
        values: of cells (nx, ny, nz); negative ones are none.
        lower: corner of the box [m]; dx: size of a cell [m].
        extinction: of light per unit of the values [1/m].
        color: RGB of the light that it scatters.
    """

    values: np.ndarray
    lower: np.ndarray
    dx: float
    extinction: float
    color: tuple[float, float, float]


def draw_smoke(image: np.ndarray, far: np.ndarray, camera: Camera, items: Sequence[SmokeItem]) -> np.ndarray:
    """A picture (H, W, 3) uint8 with smoke before what is opaque.

    Args:
        image: the picture without.
        far: way to what is opaque through each pixel [m] (H, W), `rays.free_length`.
        camera: the view.
        items: smoke; that of one box after another.
    """
    height, width = image.shape[:2]
    origin, rays = np.asarray(camera.position, dtype=float), pixel_rays(camera, height, width)
    out = image.astype(float) / 255.0
    for item in items:
        if not (item.values > 0.0).any():
            continue
        light, through = _march(origin, rays, far, item)
        out = out * through[..., None] + light[..., None] * np.asarray(item.color)
    return np.clip(np.round(255.0 * out), 0, 255).astype(np.uint8)


def _march(origin: np.ndarray, rays: np.ndarray, far: np.ndarray, item: SmokeItem) -> tuple[np.ndarray, np.ndarray]:
    """Light that smoke sends along each ray, and the share of what is behind that passes (H, W)."""
    size = item.dx * np.array(item.values.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        to_lower, to_upper = (item.lower - origin) / rays, (item.lower + size - origin) / rays
    enter = np.fmax.reduce(np.fmin(to_lower, to_upper), axis=-1).clip(min=0.0)
    leave = np.minimum(np.fmin.reduce(np.fmax(to_lower, to_upper), axis=-1), far)
    hit = leave > enter
    light, through = np.zeros(rays.shape[:2]), np.ones(rays.shape[:2])
    start, step, way = enter[hit], (leave - enter)[hit] / _STEPS, rays[hit]
    left, sent = np.ones(len(start)), np.zeros(len(start))
    for number in range(_STEPS):
        points = origin + (start + (number + 0.5) * step)[:, None] * way
        cells = (points - item.lower) / item.dx - 0.5
        values = map_coordinates(item.values, cells.T, order=1, mode="nearest").clip(min=0.0)
        passed = np.exp(-item.extinction * values * step)
        sent += left * (1.0 - passed)
        left *= passed
        if left.max(initial=0.0) < _THIN:
            break
    light[hit], through[hit] = sent, left
    return light, through
