# SPDX-License-Identifier: Apache-2.0
"""Particles that fill solids, regions, and the cavities of vessels: jittered lattices [m].

A lattice cell has the volume spacing^3, so that a sample of n points stands for n spacing^3 of material; the default
jitter over one cell keeps that count right on average, whatever the angle between the lattice and a wall.
"""

from collections.abc import Callable

import numpy as np

from simenv.geometry.shapes import Cup, MeshShape, Shape

__all__ = ["cavity_volume", "fill", "fill_cavity"]

MAX_POINTS = 50_000_000  # of a lattice, before points outside are dropped


def fill(
    shape: Shape | Callable[[np.ndarray], np.ndarray],
    spacing: float,
    jitter: float = 0.5,
    rng: np.random.Generator | int = 0,
    *,
    bounds: tuple[np.ndarray, np.ndarray] | None = None,
    clearance: float = 0.0,
) -> np.ndarray:
    """Fill a solid or a region with points.

    Args:
        shape: a shape, whose solid is filled, or a function from points (n, 3) [m] to booleans (n,).
        spacing: lattice spacing [m].
        jitter: largest displacement along each axis in either direction, in spacings, 0 to 0.5.
        rng: generator of the displacements, or its seed.
        bounds: lowest and highest corner of the region [m]; needed for a function or a shape without finite bounds.
        clearance: least distance from the surface of a shape [m].

    Returns:
        (n, 3) float64 points [m].

    Raises:
        ValueError: a number is out of range, bounds are missing, a function is given a clearance, or the lattice would
            have more than `MAX_POINTS` points.
    """
    _check(spacing, jitter, clearance)
    if not isinstance(shape, Shape) and not callable(shape):
        raise ValueError(f"fill needs a shape or a function of points, not {shape!r}")
    if bounds is None:
        bounds = shape.bounds() if isinstance(shape, Shape) else (np.full(3, -np.inf), np.full(3, np.inf))
    points = _lattice(*bounds, spacing, jitter, rng)
    if isinstance(shape, Shape):
        return points[shape.signed_distance(points) <= -clearance]
    if clearance != 0.0:
        raise ValueError(
            f"a clearance of {clearance} m needs a shape, since a function knows no distance; shrink the region instead"
        )
    return points[np.asarray(shape(points), dtype=bool)]


def fill_cavity(
    shape: Shape,
    level: float,
    spacing: float,
    jitter: float = 0.5,
    rng: np.random.Generator | int = 0,
    *,
    clearance: float = 0.0,
) -> np.ndarray:
    """Fill the open cavity of a vessel up to a level, as liquid would.

    The cavity of a mesh is what a flood up to the level, coming from outside, can't reach, but an open top can; a
    handle's loop or an enclosed void is none.

    Args:
        shape: a `Cup`, or a `MeshShape` that stands upright in its own frame.
        level: height of the surface in the shape's frame [m].
        spacing: lattice spacing [m].
        jitter: largest displacement along each axis in either direction, in spacings, 0 to 0.5.
        rng: generator of the displacements, or its seed.
        clearance: least distance from the walls [m].

    Returns:
        (n, 3) float64 points [m] with z <= level.

    Raises:
        ValueError: the shape has no cavity below the level, or holds no liquid up to it since it runs over; or a number
            is out of range.
        AssetError: a mesh can't be used.
    """
    _check(spacing, jitter, clearance)
    if isinstance(shape, Cup):
        if not shape.base < level <= shape.height:
            raise ValueError(
                f"a level of {level:g} m is outside the cavity of {shape}; choose one above {shape.base:g} m "
                f"and up to {shape.height:g} m"
            )
        r = shape.inner_radius
        points = _lattice(np.array([-r, -r, shape.base]), np.array([r, r, level]), spacing, jitter, rng)
        inside = np.hypot(points[:, 0], points[:, 1]) <= r
        points = points[inside & (points[:, 2] <= level)]
    elif isinstance(shape, MeshShape):
        cavity = _Cavity(shape, level)
        points = _lattice(*cavity.bounds, spacing, jitter, rng)
        points = points[cavity.contains(points)]
    else:
        raise ValueError(f"{shape} has no cavity to fill; use a Cup or a MeshShape")
    return points[shape.signed_distance(points) >= clearance]


def cavity_volume(shape: Cup | MeshShape, level: float) -> float:
    """Return the volume of liquid [m^3] that a vessel holds up to a level [m]; a mesh's to about one percent.

    Raises:
        ValueError: as `fill_cavity`.
        AssetError: a mesh can't be used.
    """
    if isinstance(shape, Cup):
        if not shape.base < level <= shape.height:
            raise ValueError(f"a level of {level:g} m is outside the cavity of {shape}")
        return float(np.pi * shape.inner_radius**2 * (level - shape.base))
    low, high = shape.bounds()
    spacing = float(np.prod(high - low)) ** (1 / 3) / 80.0
    return len(fill_cavity(shape, level, spacing)) * spacing**3


def _check(spacing: float, jitter: float, clearance: float) -> None:
    if not (np.isfinite(spacing) and spacing > 0.0):
        raise ValueError(f"spacing must be positive and finite [m], not {spacing!r}")
    if not 0.0 <= jitter <= 0.5:
        raise ValueError(f"jitter must be from 0 to 0.5 spacings, not {jitter!r}")
    if not (np.isfinite(clearance) and clearance >= 0.0):
        raise ValueError(f"clearance must be zero or positive and finite [m], not {clearance!r}")


def _lattice(
    low: np.ndarray, high: np.ndarray, spacing: float, jitter: float, rng: np.random.Generator | int
) -> np.ndarray:
    """Return jittered centres of the cells of a lattice that covers the box, centred on it."""
    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError("the region has no finite bounds; pass bounds=(low, high) in metres")
    counts = np.maximum(np.ceil((high - low) / spacing - 1e-9), 1.0)
    if counts.prod() > MAX_POINTS:
        raise ValueError(
            f"a spacing of {spacing:g} m makes {counts.prod():.3g} lattice points, the limit is {MAX_POINTS}; "
            f"use at least {spacing * (counts.prod() / MAX_POINTS) ** (1 / 3):.3g} m"
        )
    first = 0.5 * (low + high) - 0.5 * spacing * (counts - 1)
    axes = [first[d] + spacing * np.arange(int(counts[d])) for d in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    if jitter > 0.0:
        points += np.random.default_rng(rng).uniform(-jitter, jitter, points.shape) * spacing
    return points


class _Cavity:
    """Which values of a mesh's distance volume belong to the liquid of a vessel filled to a level."""

    def __init__(self, shape: MeshShape, level: float) -> None:
        grid = shape.sdf()
        self._grid, self._level = grid, level
        # Two neighbours more than half a spacing off the solid have no wall between them, however thin it is.
        free = grid.values > 0.5 * grid.spacing
        height = grid.origin[2] + grid.spacing * np.arange(grid.values.shape[2])
        wet = free & (height <= level)
        reached = _flood(wet, _border(wet))
        outside = _flood(free, _border(free))
        self._liquid = wet & outside & ~reached
        if not self._liquid.any():
            low, high = shape.bounds()
            raise ValueError(
                f"{shape} holds no liquid up to the level {level:g} m: it has no cavity there, or runs over; choose a "
                f"level between {low[2]:g} m and the lowest point of its rim (its highest point is {high[2]:g} m)"
            )
        found = np.argwhere(self._liquid)
        low = grid.origin + grid.spacing * (found.min(axis=0) - 1)
        high = np.minimum(grid.origin + grid.spacing * (found.max(axis=0) + 1), (np.inf, np.inf, level))
        self.bounds = (low, high)

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether points (n, 3) [m], if not in the solid, are in the liquid, (n,) bool."""
        grid = self._grid
        cell = np.floor((points - grid.origin) / grid.spacing).astype(np.int64)
        best = np.full(len(points), -np.inf)
        liquid = np.zeros(len(points), dtype=bool)
        # The corner of the cell whose free ball reaches furthest beyond the point lies on the point's side of any wall.
        for corner in np.ndindex(2, 2, 2):
            node = np.clip(cell + corner, 0, np.array(grid.values.shape) - 1)
            at = tuple(node.T)
            away = np.linalg.norm(points - grid.origin - grid.spacing * node, axis=-1)
            above = node[:, 2] * grid.spacing + grid.origin[2] > self._level
            reach = np.where(above, -np.inf, grid.values[at] - away)
            better = reach > best
            best = np.where(better, reach, best)
            liquid = np.where(better, self._liquid[at], liquid)
        return liquid & (points[:, 2] <= self._level)


def _border(free: np.ndarray) -> np.ndarray:
    border = np.ones_like(free)
    border[1:-1, 1:-1, 1:-1] = False
    return free & border


def _flood(free: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Return the cells that paths through free cells along the axes join to the seeds, all (nx, ny, nz) bool."""
    reached = seeds & free
    while True:
        before = int(reached.sum())
        for axis in range(3):
            flags, open_ = np.moveaxis(reached, axis, 0), np.moveaxis(free, axis, 0)
            for i in range(1, len(flags)):
                flags[i] |= flags[i - 1] & open_[i]
            for i in range(len(flags) - 2, -1, -1):
                flags[i] |= flags[i + 1] & open_[i]
        if int(reached.sum()) == before:
            return reached
