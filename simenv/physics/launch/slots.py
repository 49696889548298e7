# SPDX-License-Identifier: Apache-2.0
"""Arrays with adjoints, and launches that run forward and in reverse over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import warp as wp

from simenv.physics.device import warp_device
from simenv.physics.launch.capture import launch

__all__ = ["Array", "Launch", "Memory", "Slot"]

_LINE = 64  # bytes of a cache line, on which every array begins


class Slot:
    """An array (N, *shape) of a Warp dtype and its adjoint, each a torch tensor as well. Their memory comes from
    `Memory.allocate`, in one block for all, so that one call zeroes them.

    Args:
        size: shape of the tensor, (N, *shape) and the axes of the dtype.
        kind: Warp dtype.
        dtype: of the tensor.
        differentiable: whether it has an adjoint.
    """

    def __init__(self, size: tuple[int, ...], kind: type, dtype: torch.dtype, differentiable: bool = True):
        self.kind, self.size, self.dtype, self.differentiable = kind, size, dtype, differentiable
        self._tensors: list[torch.Tensor | None] = [None, None]
        self._arrays: list[wp.array | None] = [None, None]

    def bytes(self) -> int:
        """Of the array, whole cache lines."""
        return -(-math.prod(self.size) * self.dtype.itemsize // _LINE) * _LINE

    def has(self, adjoint: bool) -> bool:
        """Whether it has the memory that it needs."""
        return self._tensors[adjoint] is not None or (adjoint and not self.differentiable)

    def give(self, adjoint: bool, block: torch.Tensor) -> None:
        """Let it, or its adjoint, lie in a block of bytes."""
        count = math.prod(self.size) * self.dtype.itemsize
        tensor = block[:count].view(self.dtype).view(self.size)
        self._tensors[adjoint] = tensor
        self._arrays[adjoint] = wp.from_torch(tensor, dtype=self.kind, requires_grad=False)

    @property
    def tensor(self) -> torch.Tensor:
        """The tensor."""
        return self._of(self._tensors, False)

    @property
    def array(self) -> wp.array:
        """The Warp array."""
        return self._of(self._arrays, False)

    @property
    def adjoint(self) -> torch.Tensor:
        """The adjoint's tensor."""
        return self._of(self._tensors, True)

    @property
    def adjoint_array(self) -> wp.array:
        """The adjoint's Warp array."""
        return self._of(self._arrays, True)

    def _of(self, both: list, adjoint: bool) -> Any:
        if both[adjoint] is None:
            raise RuntimeError(f"a slot {self.size} has no memory yet; call Memory.allocate first")
        return both[adjoint]


@dataclass(frozen=True)
class Array:
    """A Warp array of somebody else's, and that of its adjoint, None until there is one, where a launch has a slot."""

    array: wp.array
    adjoint_array: wp.array | None = None


class Flat:
    """The memory of a slot, and of its adjoint, in one line, where a launch has a slot."""

    def __init__(self, slot: Slot):
        self._slot = slot

    def _line(self, tensor: torch.Tensor) -> wp.array:
        inner = tuple(getattr(self._slot.kind, "_shape_", ()))
        return wp.from_torch(tensor.view(-1, *inner), dtype=self._slot.kind, requires_grad=False)

    @property
    def array(self) -> wp.array:
        """The values."""
        return self._line(self._slot.tensor)

    @property
    def adjoint_array(self) -> wp.array:
        """The adjoints."""
        return self._line(self._slot.adjoint)


@dataclass(frozen=True)
class Launch:
    """A kernel over `dim`, with constants first, then inputs, then outputs.

    `reverse` is an adjoint written by hand, for a kernel without a generated one: it takes the same arguments, then the
    adjoints of the outputs, and adds to those of the inputs. `work` is what such a pair needs to work in, handed over
    last: arrays, structs, or functions that give these, once slots have memory. A launch that is not `differentiable`
    has no part in the reverse sweep.
    """

    kernel: wp.Kernel
    dim: tuple[int, ...]
    constants: Sequence[Any]
    inputs: Sequence[Slot | Array | Flat]
    outputs: Sequence[Slot | Array | Flat]
    reverse: wp.Kernel | None = None
    work: Sequence[Any] = ()
    differentiable: bool = True

    def forward(self, device: wp.Device) -> None:
        """Launch it."""
        inputs = [*self.constants, *(slot.array for slot in self.inputs)]
        launch(self.kernel, self.dim, inputs, [*(slot.array for slot in self.outputs), *self._space()], device=device)

    def backward(self, device: wp.Device) -> None:
        """Launch its adjoint, which adds to the adjoints of the inputs."""
        if not self.differentiable:
            return
        inputs = [*self.constants, *(slot.array for slot in self.inputs)]
        outputs = [slot.array for slot in self.outputs]
        to, of = [slot.adjoint_array for slot in self.inputs], [slot.adjoint_array for slot in self.outputs]
        if self.reverse is not None:
            launch(self.reverse, self.dim, [*inputs, *outputs, *of], [*to, *self._space()], device=device)
            return
        none = [None if isinstance(value, wp.array) else value for value in self.constants]
        launch(
            self.kernel, self.dim, inputs, outputs, adj_inputs=[*none, *to], adj_outputs=of, adjoint=True, device=device
        )  # fmt: skip

    def _space(self) -> list[Any]:
        return [each() if callable(each) else each for each in self.work]

    def kernels(self) -> list[wp.Kernel]:
        """Its kernels, both ways."""
        return [self.kernel] if self.reverse is None else [self.kernel, self.reverse]


def commands(launches: Sequence[Launch], device: wp.Device, reverse: bool = False) -> list[Callable[[], None]]:
    """What launches them in order, or their adjoints in the opposite order."""
    if reverse:
        return [partial(each.backward, device) for each in reversed(launches) if each.differentiable]
    return [partial(each.forward, device) for each in launches]


_PLAIN = {wp.int32: torch.int32, wp.float64: torch.float64}  # of these the same in any world


class Memory:
    """Makes slots for `worlds` worlds, allocates them, and zeroes their adjoints."""

    def __init__(self, worlds: int, dtype: torch.dtype, device: torch.device):
        self.worlds, self.dtype, self.device = worlds, dtype, device
        self._slots: list[Slot] = []
        self._adjoints: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []

    @property
    def wp_device(self) -> wp.Device:
        """Warp's device."""
        return warp_device(self.device)

    def slot(self, kind: type, *shape: int, differentiable: bool = True) -> Slot:
        """A new slot (N, *shape) of a Warp dtype, which gets its memory from the next `allocate`."""
        inner = tuple(getattr(kind, "_shape_", ()))
        dtype = _PLAIN.get(kind, self.dtype)
        made = Slot((self.worlds, *shape, *inner), kind, dtype, differentiable)
        self._slots.append(made)
        return made

    def missing(self, adjoint: bool) -> int:
        """Bytes of all slots, or with their adjoints, that are not allocated yet."""
        kinds = (False, True) if adjoint else (False,)
        return sum(slot.bytes() for slot in self._slots for kind in kinds if not slot.has(kind))

    @property
    def bytes(self) -> int:
        """Of all slots and adjoints that are allocated."""
        return sum(len(block) for block in (*self._values, *self._adjoints))

    def allocate(self, adjoint: bool = False) -> None:
        """Allocate all slots that have no memory, and their adjoints; zeros. A graph must not."""
        self._values += self._block(False)
        if adjoint:
            self._adjoints += self._block(True)

    def _block(self, adjoint: bool) -> list[torch.Tensor]:
        lacking = [slot for slot in self._slots if not slot.has(adjoint)]
        if not lacking:
            return []
        block = torch.zeros(sum(slot.bytes() for slot in lacking), dtype=torch.uint8, device=self.device)
        start = 0
        for slot in lacking:
            slot.give(adjoint, block[start : start + slot.bytes()])
            start += slot.bytes()
        return [block]

    def clear_adjoints(self) -> None:
        """Zero all adjoints."""
        for block in self._adjoints:
            block.zero_()
