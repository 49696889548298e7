# SPDX-License-Identifier: Apache-2.0
"""Which particles a solver holds, and in which order.

Particles that take no part in a step, such as those still in an emitter, are left out, so that they cost nothing. In a
large world the others come in the order of the grid: what is near in space is then near in memory, and lanes hardly
overlap.

Only the solver sees this order. It follows from the positions and the activity that enter a control step, so that a
step depends on its entering state alone: a step that is repeated, or re-simulated for its gradient, has the same order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

HALVINGS = 4  # programs for all particles, for half of them, and so on
SORT_FROM = 20_000  # particles; the grid of a smaller world stays in the caches in any order
_LARGEST = np.iinfo(np.uint16).max  # NumPy sorts keys of 16 bits by radix


@dataclass(frozen=True)
class Ordering:
    """The n of a world's P particles that a solver holds.

    Attributes:
        forward: (n,) int64, the particle that comes at each place.
    """

    forward: torch.Tensor

    def __len__(self) -> int:
        return len(self.forward)

    @classmethod
    def of_active(cls, active: torch.Tensor) -> Ordering:
        """The active of P particles, `active` (P,), in their order.

        Args:
            active: whether they take part, on the CPU.
        """
        return cls(active.nonzero()[:, 0])

    def rounded(self, total: int) -> int:
        """For how many of `total` particles launches are recorded when these are held: one of a few numbers, as each
        has a program of its own.
        """
        return min(count for count in (-(-total // 2**power) for power in range(HALVINGS + 1)) if count >= len(self))

    def take(self, value: torch.Tensor, target: torch.Tensor) -> None:
        """Copy the particles of `value` (S, P, ...) to the first n of `target` (S, at least n, ...)."""
        torch.index_select(value.to(target.dtype), 1, self.forward, out=target[:, : len(self)])

    def put(self, value: torch.Tensor, target: torch.Tensor) -> None:
        """Copy the first n of `value` (S, at least n, ...) to their places in `target` (S, P, ...)."""
        target.index_copy_(1, self.forward, value[:, : len(self)])

    def then(self, other: Ordering) -> Ordering:
        """This choice of particles in an order `other` of theirs."""
        return Ordering(self.forward[other.forward])

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
        return cls(torch.from_numpy(np.argsort(row.numpy().astype(np.uint16), kind="stable")))
