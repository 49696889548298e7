# SPDX-License-Identifier: Apache-2.0
"""What tasks commonly reward and judge. Batched; smooth ones are differentiable, hard counts are for success and
reports.

Regions are given by signed distances [m] of particles, negative inside. An average over no active particle is 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from simenv.envs.constants import constant
from simenv.physics import exact
from simenv.physics.rotation import rotate

__all__ = [
    "active_mean",
    "box_distance",
    "centre_of_mass",
    "chamfer",
    "count_inside",
    "cylinder_distance",
    "density_iou",
    "density_l1",
    "fraction_inside",
    "spilled_fraction",
    "to_frame",
]


def box_distance(
    points: torch.Tensor, low: Sequence[float] | torch.Tensor, high: Sequence[float] | torch.Tensor
) -> torch.Tensor:
    """Signed distance to an axis-aligned box.

    Args:
        points: (N, K, 3) [m].
        low: (3,) or (N, 1, 3) lower corner [m].
        high: (3,) or (N, 1, 3) upper corner [m].

    Returns:
        (N, K) [m].
    """
    low_, high_ = (constant(corner, points.dtype, points.device) for corner in (low, high))
    excess = (points - (low_ + high_) / 2).abs() - (high_ - low_) / 2
    return _outside_norm(excess) + excess.amax(dim=-1).clamp(max=0.0)


def cylinder_distance(points: torch.Tensor, base: torch.Tensor, radius: float, height: float) -> torch.Tensor:
    """Signed distance to an upright cylinder, such as the cavity of a cup.

    Args:
        points: (N, K, 3) [m].
        base: (3,) or (N, 1, 3) centre of the bottom disc [m].
        radius: [m].
        height: [m].

    Returns:
        (N, K) [m].
    """
    base = constant(base, points.dtype, points.device)
    offset = points - base
    radial = exact.norm(offset[..., :2]) - radius
    axial = (offset[..., 2] - height / 2).abs() - height / 2
    excess = torch.stack([radial, axial], dim=-1)
    return _outside_norm(excess) + excess.amax(dim=-1).clamp(max=0.0)


def to_frame(points: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """Points expressed in a moving frame, for regions fixed to a body.

    Args:
        points: (N, K, 3) in the world [m].
        pose: (N, 7) of the frame: position [m] and unit quaternion xyzw.

    Returns:
        (N, K, 3) [m].
    """
    back = torch.cat([-pose[:, None, 3:6], pose[:, None, 6:7]], -1)  # the inverse rotation
    return rotate(back, points - pose[:, None, :3])


def fraction_inside(distance: torch.Tensor, active: torch.Tensor, width: float) -> torch.Tensor:
    """Share of the active particles inside a region, smooth: each counts ``sigmoid(-distance / width)``.

    Args:
        distance: (N, K) signed distance to the region [m].
        active: (N, K) bool.
        width: Length over which the count changes [m]; about a particle spacing.

    Returns:
        (N,) in [0, 1].

    Raises:
        ValueError: If the width is not positive.
    """
    if width <= 0.0:
        raise ValueError(f"width={width} m must be positive; use count_inside for a hard count.")
    return active_mean(exact.sigmoid(-distance / width), active)


def count_inside(distance: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
    """Share of the active particles strictly inside a region, by counting. Has no gradient.

    Args:
        distance: (N, K) signed distance to the region [m].
        active: (N, K) bool.

    Returns:
        (N,) in [0, 1].
    """
    return active_mean((distance < 0.0).to(distance.dtype), active)


def spilled_fraction(distances: Sequence[torch.Tensor], active: torch.Tensor, width: float) -> torch.Tensor:
    """Share of the active particles outside all the given regions, smooth.

    Args:
        distances: (N, K) signed distances to each region where liquid may be [m].
        active: (N, K) bool.
        width: As in `fraction_inside` [m].

    Returns:
        (N,) in [0, 1].
    """
    nearest = torch.stack(list(distances)).amin(dim=0)
    return fraction_inside(-nearest, active, width)


def centre_of_mass(positions: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Weighted mean of positions.

    Args:
        positions: (N, K, 3) [m].
        weight: (N, K) masses [kg], or a bool mask.

    Returns:
        (N, 3) [m].
    """
    mass = _count(weight, positions.dtype) if weight.dtype == torch.bool else exact.total(weight, 1)
    moment = exact.total(positions * weight.to(positions.dtype).unsqueeze(-1), 1)
    return moment / torch.where(mass > 0, mass, 1.0).unsqueeze(-1)


def chamfer(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Symmetric Chamfer distance: mean distance to the nearest point of the other set, averaged over both directions.

    Args:
        a: (N, K, 3) [m].
        b: (N, M, 3) [m].

    Returns:
        (N,) [m].
    """
    square = exact.total((a.unsqueeze(2) - b.unsqueeze(1)) ** 2)
    return 0.5 * (exact.mean(exact.root(square.amin(dim=2))) + exact.mean(exact.root(square.amin(dim=1))))


def density_l1(density: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of two density grids.

    Args:
        density: (N, ...) [kg/m^3].
        target: (...) or (N, ...) [kg/m^3].

    Returns:
        (N,) [kg/m^3].
    """
    return exact.mean((density - target).abs().flatten(1))


def density_iou(density: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Soft intersection over union of two non-negative grids: sum of minima over sum of maxima.

    Args:
        density: (N, ...) [kg/m^3].
        target: (...) or (N, ...) [kg/m^3].

    Returns:
        (N,) in [0, 1]; 1 where both are empty.
    """
    target = target.expand_as(density)
    shared = exact.total(torch.minimum(density, target).flatten(1))
    union = exact.total(torch.maximum(density, target).flatten(1))
    return torch.where(union > 0, shared / torch.where(union > 0, union, 1.0), 1.0)


def active_mean(values: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
    """Mean of (N, K) `values` over the active particles, (N,); 0 where none is active."""
    return exact.total(values * active.to(values.dtype), 1) / _count(active, values.dtype).clamp(min=1.0)


def _count(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """How many of (N, K) are true (N,), as a whole number, which is exact in any order."""
    return mask.sum(dim=1).to(dtype)


def _outside_norm(excess: torch.Tensor) -> torch.Tensor:
    return exact.norm(excess.clamp(min=0.0))
