# SPDX-License-Identifier: Apache-2.0
"""Rays through the pixels of a picture, and how far what is opaque lets them go."""

from __future__ import annotations

import math

import numpy as np

from simenv.render.items import Camera

__all__ = ["free_length", "pixel_rays"]


def pixel_rays(camera: Camera, height: int, width: int) -> np.ndarray:
    """Unit directions of the rays through the middles of pixels, world axes, (H, W, 3)."""
    right, up, back = camera.axes().T
    tangent = math.tan(0.5 * camera.fov_y)
    y = tangent * (1.0 - 2.0 * (np.arange(height) + 0.5) / height)
    x = tangent * width / height * (2.0 * (np.arange(width) + 0.5) / width - 1.0)
    rays = x[None, :, None] * right + y[:, None, None] * up - back
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def free_length(depth: np.ndarray, height: int, width: int) -> np.ndarray:
    """Way to the nearest of what is opaque in each pixel [m], infinite where there is nothing, (H, W).

    Args:
        depth: distance along the ray of each sample [m], 0 where there is nothing; a multiple of H and W.
        height: rows of pixels.
        width: columns of pixels.
    """
    rows, columns = depth.shape[0] // height, depth.shape[1] // width
    return np.where(depth > 0.0, depth, np.inf).reshape(height, rows, width, columns).min((1, 3))
