# SPDX-License-Identifier: Apache-2.0
"""Warp kernels as differentiable torch functions.

An `Operation` is a kernel with its constant arguments; calling it with tensors gives tensors that torch differentiates
through the kernel's adjoint. Nothing here asks the device a question, so that a call can be captured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import warp as wp

from simenv.geometry.distance import pack_shapes
from simenv.geometry.shapes import Shape
from simenv.physics.device import stream_scope, warp_device
from simenv.physics.direct import warp_real
from simenv.physics.launch.capture import launch

__all__ = ["Operation", "PackedShape", "as_array", "constant_array", "warp_real"]


def as_array(tensor: torch.Tensor, dtype: type) -> wp.array:
    """The memory of a tensor as a Warp array; the last axes are those of a vector or matrix dtype."""
    return wp.from_torch(tensor.detach().contiguous(), dtype=dtype, requires_grad=False)


def constant_array(values: Any, dtype: type, torch_dtype: torch.dtype, device: torch.device) -> wp.array:
    """A constant NumPy array on a device as a Warp array."""
    tensor = torch.as_tensor(values, dtype=torch_dtype).to(device).contiguous()
    array = wp.from_torch(tensor, dtype=dtype, requires_grad=False)
    array._keep = tensor
    return array


class PackedShape:
    """A collision shape as the kernels read it.

    Args:
        shape: of `simenv.geometry.shapes`.
        dtype, device: of the sensor's tensors.
        spacing: of a mesh's distance volume [m]; `None` takes a 96th of its longest side.
    """

    def __init__(self, shape: Shape, dtype: torch.dtype, device: torch.device, spacing: float | None = None):
        from simenv.geometry.distance import distance_functions

        real = warp_real(dtype)
        self.shape = shape
        where = warp_device(device)
        structs, values = pack_shapes([shape], real, spacing)
        with stream_scope(device):
            self.shapes = wp.array(structs, dtype=distance_functions(real).Shape, device=where)
            self.values = wp.array(values, dtype=real, device=where)

    @property
    def arguments(self) -> list[wp.array]:
        """The first two arguments of every contact kernel."""
        return [self.shapes, self.values]


@dataclass(frozen=True)
class Operation:
    """A kernel over (worlds, items) with constant first arguments.

    Attributes:
        kernel: with arguments constants, inputs, outputs.
        constants: arrays and numbers that carry no gradient.
        inputs: Warp dtype of each tensor argument.
        outputs: Warp dtype and shape of each result, without the axis of worlds and without those of the dtype.
        items: threads of a world.
    """

    kernel: wp.Kernel
    constants: Sequence[Any]
    inputs: Sequence[type]
    outputs: Sequence[tuple[type, tuple[int, ...]]]
    items: int

    def __call__(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Apply to tensors whose first axis is the worlds; returns new tensors."""
        if len(tensors) != len(self.inputs):
            raise TypeError(f"{self.kernel.key} takes {len(self.inputs)} tensors, not {len(tensors)}")
        return _Apply.apply(self, *tensors)


def _inner(dtype: type) -> tuple[int, ...]:
    return tuple(getattr(dtype, "_shape_", ()))


class _Apply(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, operation: Operation, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        first = tensors[0]
        worlds = first.shape[0]
        inputs = [as_array(t, kind) for t, kind in zip(tensors, operation.inputs, strict=True)]
        results = [
            torch.zeros((worlds, *shape, *_inner(kind)), dtype=first.dtype, device=first.device)
            for kind, shape in operation.outputs
        ]
        outputs = [as_array(t, kind) for t, (kind, _) in zip(results, operation.outputs, strict=True)]
        with stream_scope(first.device):
            launch(
                operation.kernel,
                dim=(worlds, operation.items),
                inputs=[*operation.constants, *inputs],
                outputs=outputs,
                device=inputs[0].device,
            )
        ctx.operation = operation
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(True)
        return tuple(results)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        operation, tensors = ctx.operation, ctx.saved_tensors
        inputs = [as_array(t, kind) for t, kind in zip(tensors, operation.inputs, strict=True)]
        needed = ctx.needs_input_grad[1:]
        sums = [torch.zeros_like(t, memory_format=torch.contiguous_format) if n else None for t, n in
                zip(tensors, needed, strict=True)]  # fmt: skip
        adj_inputs = [None if s is None else as_array(s, kind) for s, kind in zip(sums, operation.inputs, strict=True)]
        scratch = [torch.zeros_like(g, memory_format=torch.contiguous_format) for g in grads]
        kinds = [kind for kind, _ in operation.outputs]
        seeds = [g.contiguous().clone() for g in grads]  # the sweep may clear them
        with stream_scope(tensors[0].device):
            launch(
                operation.kernel,
                dim=(tensors[0].shape[0], operation.items),
                inputs=[*operation.constants, *inputs],
                outputs=[as_array(t, kind) for t, kind in zip(scratch, kinds, strict=True)],
                adj_inputs=[*(None if isinstance(c, wp.array) else c for c in operation.constants), *adj_inputs],
                adj_outputs=[as_array(t, kind) for t, kind in zip(seeds, kinds, strict=True)],
                adjoint=True,
                device=inputs[0].device,
            )
        return (None, *sums)
