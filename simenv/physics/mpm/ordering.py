# SPDX-License-Identifier: Apache-2.0
"""Particles in the order of the grid: what is near in space is then near in memory, and lanes hardly overlap.

Only the solver sees this order. It follows from the positions that enter a control step, so that a step depends on its
entering state alone: a step that is repeated, or re-simulated for its gradient, has the same order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

SORT_FROM = 20_000  # particles; the grid of a smaller world stays in the caches in any order
_LARGEST = np.iinfo(np.uint16).max  # NumPy sorts keys of 16 bits by radix


@dataclass(frozen=True)
class Ordering:
    """A permutation of the P particles of one world.

    Attributes:
        forward: (P,) int64, the particle that comes at each place.
        inverse: (P,) int64, the place of each particle.
    """

    forward: torch.Tensor
    inverse: torch.Tensor

    @classmethod
    def by_row(
        cls, x: torch.Tensor, origin: tuple[float, float, float], dx: float, shape: tuple[int, int, int]
    ) -> Ordering:
        """Sort positions `x` (P, 3) [m] by their row of cells along z (in a very large grid, by bundles of rows).

        Args:
            x: on the CPU; what is not a number may come anywhere.
            origin: of the domain [m].
            dx: spacing of the grid [m].
            shape: its nodes.
        """
        cell = (x[:, :2] - x.new_tensor(origin[:2])).mul_(1.0 / dx).to(torch.int32)
        bundle = shape[0] * shape[1] // _LARGEST + 1
        row = (cell[:, 0] * shape[1] + cell[:, 1]).div_(bundle, rounding_mode="floor").clamp_(0, _LARGEST)
        forward = torch.from_numpy(np.argsort(row.numpy().astype(np.uint16), kind="stable"))
        inverse = torch.empty_like(forward)
        inverse[forward] = torch.arange(len(forward))
        return cls(forward, inverse)
