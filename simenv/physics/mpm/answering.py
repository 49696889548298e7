# SPDX-License-Identifier: Apache-2.0
"""Which colliders answer to how the bodies move that carry them (answers.py), and what fills these bodies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simenv.geometry.shapes import Shape
from simenv.physics.mpm.contact import AT_NODES, AT_WALL, ON_PATH
from simenv.physics.mpm.model import ColliderSpec

__all__ = ["answering", "filling", "is_thick"]

_LAYER = 2.6  # cells: as far as a node sees across a face, at any angle to the grid
_FINE = 4  # samples of a cell along each axis, by which thickness is judged
_CORE = 0.36  # cells: depth of what is half a cell deep, less half the diagonal of the samples' planes
_REACH = 0.9  # cells: how far from such a depth a thick solid goes on, but for edges and corners
_MOST = 0.9  # share of its volume that is not such an edge


def answering(
    colliders: Sequence[ColliderSpec], mounts: Sequence[int], able: Sequence[bool], dx: float
) -> tuple[tuple[ColliderSpec, ...], tuple[bool, ...]]:
    """Which colliders answer, and all of them, of which those act at nodes and on the path of particles.

    What has walls thinner than a cell acts on particles alone and does not answer, nor do those with skins or variants.

    Args:
        colliders: of a scene.
        mounts: as `MPMModel.mounts`.
        able: whether what moves their frames can answer, in ticks of a substep, on a dense grid.
        dx: spacing of the grid [m].
    """
    found = []
    for spec, mount, each in zip(colliders, mounts, able, strict=True):
        may = mount >= 0 and each and spec.skin is None and not spec.variants and spec.levels is not None
        found.append(may and (bool(spec.levels & AT_NODES) or (spec.levels == AT_WALL and is_thick(spec.shape, dx))))
    return tuple(
        replace(spec, levels=AT_NODES | (0 if spec.levels == AT_NODES else ON_PATH)) if answers else spec
        for spec, answers in zip(colliders, found, strict=True)
    ), tuple(found)


def _samples(shape: Shape, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (nx, ny, nz, 3) of a lattice about a shape, and their signed distances [m]."""
    lower, upper = shape.bounds()
    counts = np.ceil((upper - lower) / step - 1e-9).astype(int) + 2
    first = 0.5 * (lower + upper) - 0.5 * step * (counts - 1)
    axes = [start + step * np.arange(count) for start, count in zip(first, counts, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    return points, shape.signed_distance(points.reshape(-1, 3)).reshape(points.shape[:-1])


def is_thick(shape: Shape, dx: float) -> bool:
    """Whether a bounded solid is at least about a cell [m] thick, but for edges and corners."""
    _points, distance = _samples(shape, dx / _FINE)
    inside, core = distance < 0.0, distance <= -_CORE * dx
    reach, near = round(_FINE * _REACH), core.copy()
    steps = np.arange(-reach, reach + 1)
    shifts = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    padded = np.pad(core, reach)
    for i, j, k in shifts[(shifts**2).sum(1) <= (_FINE * _REACH) ** 2] + reach:
        near |= padded[i : i + core.shape[0], j : j + core.shape[1], k : k + core.shape[2]]
    return bool(core.any()) and bool((inside & near).sum() >= _MOST * inside.sum())


def filling(shape: Shape, dx: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) [m] of the layer of a solid that nodes outside can see on a grid of spacing `dx`, two to a cell
    along each axis, and the volume that each stands for (n,) [m^3]; all of a small solid add up to its volume.
    """
    step = 0.5 * dx
    points, distance = _samples(shape, step)
    points, distance = points.reshape(-1, 3), distance.reshape(-1)
    share = np.clip(0.5 - distance / step, 0.0, 1.0)
    volume = step**3 * share * (shape.volume() / (step**3 * share.sum()))
    seen = (share > 0) & (distance > -_LAYER * dx)
    return points[seen], volume[seen]
