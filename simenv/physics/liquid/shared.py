# SPDX-License-Identifier: Apache-2.0
"""Arrays whose adjoints all ticks share, and launches on arrays in place, where a launch has a slot, or a launch is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import warp as wp

from simenv.physics.launch.slots import Launch, Slot

__all__ = ["Bar", "Flat", "InPlace", "Shared"]


@dataclass(frozen=True)
class Shared:
    """A slot, and one for its adjoint, which the reverse sweep of every tick uses anew."""

    value: Slot
    bar: Slot

    @property
    def tensor(self) -> torch.Tensor:
        """The values."""
        return self.value.tensor

    @property
    def array(self) -> wp.array:
        """The Warp array."""
        return self.value.array

    @property
    def adjoint(self) -> torch.Tensor:
        """The adjoint."""
        return self.bar.tensor

    @property
    def adjoint_array(self) -> wp.array:
        """The adjoint's Warp array."""
        return self.bar.array


@dataclass(frozen=True)
class Bar:
    """The adjoint of something, as an array of its own."""

    of: Any
    adjoint_array = None

    @property
    def array(self) -> wp.array:
        """The Warp array."""
        return self.of.adjoint_array


@dataclass(frozen=True)
class Flat:
    """Something (N, places) as one row."""

    of: Shared

    @property
    def array(self) -> wp.array:
        """The Warp array."""
        return wp.from_torch(self.of.tensor.flatten(0, 1), dtype=self.of.value.kind, requires_grad=False)

    @property
    def adjoint_array(self) -> wp.array:
        """That of its adjoint."""
        return wp.from_torch(self.of.adjoint.flatten(0, 1), dtype=self.of.value.kind, requires_grad=False)


@dataclass(frozen=True)
class InPlace:
    """Launches on arrays in place, and those on their adjoints in reverse."""

    ahead: Sequence[Launch]
    back: Sequence[Launch]
    differentiable: bool = True

    def forward(self, device: wp.Device) -> None:
        """Launch them."""
        for launch in self.ahead:
            launch.forward(device)

    def backward(self, device: wp.Device) -> None:
        """Launch those of the reverse."""
        for launch in self.back:
            launch.forward(device)

    def kernels(self) -> list[wp.Kernel]:
        """All that it launches."""
        return [kernel for launch in (*self.ahead, *self.back) for kernel in launch.kernels()]
