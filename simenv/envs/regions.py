# SPDX-License-Identifier: Apache-2.0
"""Where a vessel's content is: the convex hull of its mesh, as planes that torch can evaluate for every particle."""

from __future__ import annotations

import numpy as np
import torch

from simenv.geometry.shapes import Shape

__all__ = ["hull_distance", "hull_planes"]

_AZIMUTHS = 16  # a round vessel's radius is met within 1 - cos(pi / 16) = 1.9 %
_ELEVATIONS = (0.0, -0.35, -0.8)  # [rad] of the side planes; negative ones follow a tapered bottom


def hull_planes(shape: Shape) -> np.ndarray:
    """Support planes of a vessel's convex hull: 48 sides and the top at the rim.

    The bottom is open, as liquid can't be there.

    Args:
        shape: the vessel, upright in its own frame.

    Returns:
        (49, 4): unit normals and offsets [m]; a point p is inside where n . p - d <= 0 for all.
    """
    vertices = np.asarray(shape.to_mesh().vertices)
    azimuth = 2 * np.pi * np.arange(_AZIMUTHS) / _AZIMUTHS
    normals = [
        np.stack([np.cos(azimuth) * np.cos(e), np.sin(azimuth) * np.cos(e), np.full(_AZIMUTHS, np.sin(e))], 1)
        for e in _ELEVATIONS
    ]
    stacked = np.concatenate([*normals, [[0.0, 0.0, 1.0]]])
    return np.concatenate([stacked, (vertices @ stacked.T).max(0)[:, None]], 1)


def hull_distance(points: torch.Tensor, planes: np.ndarray) -> torch.Tensor:
    """Largest signed distance to the planes: exact inside and beside a face, a lower bound beside an edge.

    Args:
        points: (N, P, 3) in the vessel's frame [m].
        planes: of `hull_planes`.

    Returns:
        (N, P) [m], negative inside.
    """
    table = torch.as_tensor(planes, dtype=points.dtype, device=points.device)
    return (points @ table[:, :3].T - table[:, 3]).amax(-1)
