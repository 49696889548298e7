# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on tensors whose bits follow from the operands alone: not from how many worlds there are, where in memory
they lie, or how many threads torch has.

torch's ``+ - * /``, ``sqrt``, comparisons, ``where``, minima, maxima and rounding are like that: IEEE 754 says what
they give. Its ``exp``, ``sin`` and their like are not: it computes eight or sixteen numbers at once, and the rest of an
array one by one, by other code that rounds otherwise. Nor are its sums, norms and products of matrices, whose order of
additions depends on shape, strides and threads. What an environment returns is computed with these functions instead
(`tests/contract/test_exact_operations.py` refuses any other). All are differentiable, on any device, and never wait for
it.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["atan2", "dot", "exp", "log", "matmul", "mean", "norm", "power", "root", "sigmoid", "sincos", "total"]

_FEW = 4  # terms that are added one after the other


def exp(x: torch.Tensor) -> torch.Tensor:
    """e^x of every element."""
    return _Elementwise.apply("exp", x)


def log(x: torch.Tensor) -> torch.Tensor:
    """Natural logarithm of every element."""
    return _Elementwise.apply("log", x)


def sigmoid(x: torch.Tensor) -> torch.Tensor:
    """1 / (1 + e^-x) of every element."""
    return _Elementwise.apply("sigmoid", x)


def sincos(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sine and cosine of every element [rad]."""
    sine, cosine = _SinCos.apply(x).unbind(0)
    return sine, cosine


def atan2(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Angle of the point (x, y) [rad]; the operands broadcast."""
    return _Elementwise.apply("atan2", *torch.broadcast_tensors(y, x))


def power(base: torch.Tensor, exponent: float) -> torch.Tensor:
    """base^exponent for positive bases; write squares and cubes as products, which are exact."""
    return exp(exponent * log(base))


def total(x: torch.Tensor, dim: int = -1, keepdim: bool = False) -> torch.Tensor:
    """Sum along one axis, in order; in double precision where there are more than four terms."""
    if x.shape[dim] > _FEW:
        result = _Total.apply(x, dim)
        return result if keepdim else result.squeeze(dim)
    if x.shape[dim] == 0:
        return x.sum(dim, keepdim)  # zeros
    result = functools.reduce(operator.add, x.unbind(dim))
    return result.unsqueeze(dim) if keepdim else result


def mean(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """Mean along one axis."""
    return total(x, dim) / x.shape[dim]


def dot(a: torch.Tensor, b: torch.Tensor, keepdim: bool = False) -> torch.Tensor:
    """Inner product along the last axis."""
    return total(a * b, -1, keepdim)


def root(square: torch.Tensor) -> torch.Tensor:
    """Square root with gradient 0 at 0, where the derivative is infinite."""
    zero = square == 0
    return torch.where(zero, 0.0, torch.sqrt(torch.where(zero, 1.0, square)))


def norm(x: torch.Tensor, dim: int = -1, keepdim: bool = False) -> torch.Tensor:
    """Euclidean norm along one axis; gradient 0 at 0."""
    return root(total(x * x, dim, keepdim))


def matmul(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Product (..., m, n) of small matrices (..., m, k) and (..., k, n); it holds all m k n products at once."""
    return total(a.unsqueeze(-1) * b.unsqueeze(-3), -2)


_SLOPES: dict[str, Callable[..., tuple[torch.Tensor, ...]]] = {
    "exp": lambda x: (exp(x),),
    "log": lambda x: (1.0 / x,),
    "sigmoid": lambda x: (sigmoid(x) * sigmoid(-x),),
    "atan2": lambda y, x: (x / (x * x + y * y), -y / (x * x + y * y)),
}  # derivatives with respect to each operand


class _Elementwise(torch.autograd.Function):
    """A kernel of `kernels_exact` on every element of one or more tensors of one shape."""

    @staticmethod
    def forward(ctx: Any, name: str, *operands: torch.Tensor) -> torch.Tensor:
        ctx.name = name
        ctx.save_for_backward(*operands)
        return _compute(name, operands, operands[0].shape)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return None, *(grads[0] * slope for slope in _SLOPES[ctx.name](*ctx.saved_tensors))


class _SinCos(torch.autograd.Function):
    """Sines and cosines (2, ...)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return _compute("sincos", (x,), (2, *x.shape))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        sine, cosine = sincos(*ctx.saved_tensors)
        return grads[0][0] * cosine - grads[0][1] * sine


class _Total(torch.autograd.Function):
    """Sum along an axis, which stays with length 1."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, dim: int) -> torch.Tensor:
        ctx.shape, dim = x.shape, dim % x.dim()
        result = x.new_empty((*x.shape[:dim], 1, *x.shape[dim + 1 :]))
        numbers = [result.numel(), x.shape[dim], math.prod(x.shape[dim + 1 :])]
        _launch("total", result.numel(), numbers, (x,), result)
        return result

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        return grads[0].expand(ctx.shape), None


def _compute(name: str, operands: tuple[torch.Tensor, ...], shape: tuple[int, ...]) -> torch.Tensor:
    """Results, of a shape, of a kernel over the elements of the operands."""
    first = operands[0]
    result = first.new_empty(shape)
    _launch(name, first.numel(), [first.numel()], operands, result)
    return result


def _launch(
    name: str, threads: int, numbers: list[int], operands: tuple[torch.Tensor, ...], result: torch.Tensor
) -> None:
    from simenv.physics.direct import launch_on, warp_real  # Warp is loaded by what computes, not by imports
    from simenv.physics.kernels_exact import exact_kernels

    launch_on(getattr(exact_kernels(warp_real(result.dtype)), name), threads, numbers, operands, [result])
