# SPDX-License-Identifier: Apache-2.0
"""Where a vessel's content is: the convex hull of its mesh, as planes whose distance is taken for every particle."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from simenv.envs.constants import constant
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
    return _HullDistance.apply(points, constant(planes, points.dtype, points.device))


class _HullDistance(torch.autograd.Function):
    """The distance's gradient is the normal of the plane it is taken to."""

    @staticmethod
    def forward(ctx: Any, points: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
        from simenv.envs.kernels_measures import measures_kernels  # importing environments does not load Warp
        from simenv.physics.direct import launch_on, warp_real

        distance = points.new_empty(points.shape[:-1])
        face = torch.empty(distance.shape, dtype=torch.int64, device=points.device)
        numbers = [distance.numel(), len(planes)]
        hull = measures_kernels(warp_real(points.dtype)).hull
        launch_on(hull, distance.numel(), numbers, [planes, points], [distance, face])
        ctx.save_for_backward(planes, face)
        return distance

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        planes, face = ctx.saved_tensors
        return grads[0].unsqueeze(-1) * planes[:, :3][face], None
