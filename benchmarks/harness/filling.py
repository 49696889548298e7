# SPDX-License-Identifier: Apache-2.0
"""How much room particles of a liquid take in a box: what fills its cells, and how high it stands."""

import itertools
from collections.abc import Sequence

import numpy as np


def filled(x: np.ndarray, size: Sequence[float], dx: float, each: float) -> np.ndarray:
    """Shares of cells that particles fill, by quadratic B-splines whose mirror images lie beyond the walls.

    Args:
        x: of particles (P, 3) [m].
        size: of the box from the origin [m].
        dx: of cells [m].
        each: volume of a particle [m^3].

    Returns:
        Of cells (nx, ny, nz).
    """
    at = x / dx - 0.5
    first = np.floor(at - 0.5).astype(int)
    f = at - first
    weights = np.stack([0.5 * (1.5 - f) ** 2, 0.75 - (f - 1) ** 2, 0.5 * (f - 0.5) ** 2])
    grid = np.zeros([round(side / dx) + 2 for side in size])
    for a, b, c in itertools.product(range(3), repeat=3):
        share = weights[a, :, 0] * weights[b, :, 1] * weights[c, :, 2] * (each / dx**3)
        np.add.at(grid, (first[:, 0] + 1 + a, first[:, 1] + 1 + b, first[:, 2] + 1 + c), share)
    for axis in range(3):
        grid = np.moveaxis(grid, axis, 0)
        grid[1] += grid[0]
        grid[-2] += grid[-1]
        grid = np.moveaxis(grid[1:-1], 0, axis)
    return grid


def height(fill: np.ndarray) -> float:
    """Mean height of columns of cells [cells], up to where they are half full."""
    total, columns = 0.0, fill.reshape(-1, fill.shape[2])
    for column in columns:
        under = np.nonzero(column >= 0.5)[0]
        if len(under):
            top = under[-1]
            total += top + 0.5 + (column[top] - 0.5) / (column[top] - column[top + 1])
    return total / len(columns)
