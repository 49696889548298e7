# SPDX-License-Identifier: Apache-2.0
"""Arrays with adjoints, and programs of launches that run forward and in reverse as one captured graph each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import warp as wp

from simenv.physics.launch.capture import launch

__all__ = ["Launch", "Memory", "Slot"]


class Slot:
    """An array (N, *shape) of a Warp dtype and its adjoint, each a torch tensor as well, and made when asked for.

    Args:
        size: shape of the tensor, (N, *shape) and the axes of the dtype.
        kind: Warp dtype.
        dtype, device: of the tensor.
    """

    def __init__(self, size: tuple[int, ...], kind: type, dtype: torch.dtype, device: torch.device):
        self.kind, self._size = kind, size
        self._new = {"dtype": dtype, "device": device}
        self._tensor: torch.Tensor | None = None
        self._array: wp.array | None = None
        self._adjoint: torch.Tensor | None = None
        self._adjoint_array: wp.array | None = None

    def missing(self, adjoint: bool) -> int:
        """Bytes of the array, or with its adjoint, that are not allocated yet."""
        arrays = (self._tensor, self._adjoint) if adjoint else (self._tensor,)
        return sum(each is None for each in arrays) * math.prod(self._size) * self._new["dtype"].itemsize

    @property
    def tensor(self) -> torch.Tensor:
        """The tensor; zeros at first."""
        if self._tensor is None:
            self._tensor = torch.zeros(math.prod(self._size), **self._new).view(self._size)
            self._array = wp.from_torch(self._tensor, dtype=self.kind, requires_grad=False)
        return self._tensor

    @property
    def array(self) -> wp.array:
        """The Warp array."""
        _ = self.tensor
        return self._array

    @property
    def adjoint(self) -> torch.Tensor:
        """The adjoint's tensor."""
        if self._adjoint is None:
            self._adjoint = torch.zeros_like(self.tensor)
            self._adjoint_array = wp.from_torch(self._adjoint, dtype=self.kind, requires_grad=False)
        return self._adjoint

    @property
    def adjoint_array(self) -> wp.array:
        """The adjoint's Warp array."""
        _ = self.adjoint
        return self._adjoint_array


@dataclass(frozen=True)
class Launch:
    """A kernel over `dim`, with constants first, then inputs, then outputs.

    `reverse` is an adjoint written by hand, for a kernel without a generated one: it takes the same arguments, then the
    adjoints of the outputs, and adds to those of the inputs. `work` is what such a pair needs to work in, handed over
    last.
    """

    kernel: wp.Kernel
    dim: tuple[int, ...]
    constants: Sequence[Any]
    inputs: Sequence[Slot]
    outputs: Sequence[Slot]
    reverse: wp.Kernel | None = None
    work: Sequence[wp.array] = ()

    def forward(self, device: wp.Device) -> None:
        """Launch it."""
        inputs = [*self.constants, *(slot.array for slot in self.inputs)]
        launch(self.kernel, self.dim, inputs, [*(slot.array for slot in self.outputs), *self.work], device=device)

    def backward(self, device: wp.Device) -> None:
        """Launch its adjoint, which adds to the adjoints of the inputs."""
        inputs = [*self.constants, *(slot.array for slot in self.inputs)]
        outputs = [slot.array for slot in self.outputs]
        to, of = [slot.adjoint_array for slot in self.inputs], [slot.adjoint_array for slot in self.outputs]
        if self.reverse is not None:
            launch(self.reverse, self.dim, [*inputs, *outputs, *of], [*to, *self.work], device=device)
            return
        none = [None if isinstance(value, wp.array) else value for value in self.constants]
        launch(
            self.kernel, self.dim, inputs, outputs, adj_inputs=[*none, *to], adj_outputs=of, adjoint=True, device=device
        )  # fmt: skip


class Memory:
    """Makes slots for `worlds` worlds, and clears them."""

    def __init__(self, worlds: int, dtype: torch.dtype, device: torch.device):
        self.worlds, self.dtype, self.device = worlds, dtype, device
        self._slots: list[Slot] = []
        self._sums: list[Slot] = []

    def slot(self, kind: type, *shape: int, sums: bool = False) -> Slot:
        """A new slot (N, *shape) of a Warp dtype; `sums` says that kernels add to it, so that it starts at zero."""
        inner = tuple(getattr(kind, "_shape_", ()))
        size = (self.worlds, *shape, *inner)
        made = Slot(size, kind, self.dtype, self.device)
        self._slots.append(made)
        if sums:
            self._sums.append(made)
        return made

    def missing(self, adjoint: bool) -> int:
        """Bytes of all slots, or with their adjoints, that are not allocated yet."""
        return sum(slot.missing(adjoint) for slot in self._slots)

    def allocate(self) -> None:
        """Allocate all slots, without their adjoints; a graph must not."""
        for slot in self._slots:
            _ = slot.tensor

    def clear_sums(self) -> None:
        """Zero what kernels add to."""
        for slot in self._sums:
            slot.tensor.zero_()

    def clear_adjoints(self) -> None:
        """Zero all adjoints."""
        for slot in self._slots:
            slot.adjoint.zero_()
