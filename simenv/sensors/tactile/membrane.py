# SPDX-License-Identifier: Apache-2.0
"""The gel's surface under a rigid imprint, as a linear, differentiable filter of the imprint's depth.

A gel is drawn in around a contact (a halo) and rounds its edges. Here the surface is a weighted sum of Gaussian blurs
of the depth, s = sum_k w_k G(sigma_k) * max(d, 0), whose widths and weights a calibration finds. A Gaussian is three
extended box filters (Gwosdek, Grewenig, Bruhn, Weickert 2011, "Theoretical foundations of Gaussian convolution by
extended box filtering"), which take the same time at any width. At the border each blur is divided by its response to
ones, so that a depth that is constant up to the border stays so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from simenv.physics.bridge import warp_real
from simenv.physics.device import on_cuda, resolve_device
from simenv.physics.launch.worlds import launch_worlds
from simenv.sensors.tactile.kernels_image import WIDE, image_kernels

__all__ = ["Membrane", "MembraneFilter", "extended_box"]

PASSES = 3


@dataclass(frozen=True)
class Membrane:
    """Widths and weights of the blurs.

    Attributes:
        sigmas: standard deviations [m], zero or more.
        weights: of each, not negative; their sum is one, so that a wide flat press keeps its depth.
    """

    sigmas: tuple[float, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.sigmas) != len(self.weights) or not self.sigmas:
            raise ValueError(f"{len(self.sigmas)} sigmas and {len(self.weights)} weights; give one weight to each")
        if not all(math.isfinite(s) and s >= 0.0 for s in self.sigmas):
            raise ValueError(f"sigmas = {self.sigmas} must be finite and zero or more [m]")
        if not all(math.isfinite(w) and w >= 0.0 for w in self.weights) or abs(sum(self.weights) - 1.0) > 1e-6:
            raise ValueError(f"weights = {self.weights} must be zero or more with the sum 1; divide them by their sum")


def extended_box(sigma: float) -> tuple[int, float, float]:
    """The extended box whose `PASSES`-fold convolution has the standard deviation `sigma`, in pixels.

    Args:
        sigma: positive [pixels].

    Returns:
        Radius r, the weight of the 2 r + 1 samples within it, and that of the two at r + 1.
    """
    variance = sigma * sigma / PASSES
    radius = int((math.sqrt(12.0 * variance + 1.0) - 1.0) / 2.0)
    # inner = 1, outer = a: variance (S + 2 a (r+1)^2) / (2 r + 1 + 2 a) with S the sum of squares within r
    count, square = 2 * radius + 1, radius * (radius + 1) * (2 * radius + 1) / 3.0
    outer = (variance * count - square) / (2.0 * ((radius + 1) ** 2 - variance))
    total = count + 2.0 * outer
    return radius, 1.0 / total, outer / total


class MembraneFilter:
    """A membrane on one grid of pixels.

    Args:
        membrane: widths and weights.
        rows: of the image.
        columns: of the image.
        pixel: pitch [m].
        dtype: of the tensors.
        device: of the tensors.
    """

    def __init__(
        self,
        membrane: Membrane,
        rows: int,
        columns: int,
        pixel: float,
        dtype: torch.dtype,
        device: torch.device | str,
    ):
        device = resolve_device(device)
        self.rows, self.columns = rows, columns
        self.kernels = image_kernels(warp_real(dtype))
        self.parts: list[tuple[float, tuple[int, float, float] | None, torch.Tensor | None]] = []
        ones = torch.ones((1, rows, columns), dtype=dtype, device=device)
        for sigma, weight in zip(membrane.sigmas, membrane.weights, strict=True):
            if sigma == 0.0:
                self.parts.append((weight, None, None))
            elif weight > 0.0:
                box = extended_box(sigma / pixel)
                self.parts.append((weight, box, weight / self._blur(ones, box)))

    def _blur(self, field: torch.Tensor, box: tuple[int, float, float]) -> torch.Tensor:
        """Three boxes along rows and columns with zeros outside; equal to its own adjoint."""
        rows, columns, k = self.rows, self.columns, self.kernels
        here = field.reshape(field.shape[0], -1)
        buffers = (torch.empty_like(here), torch.empty_like(here))
        # along rows; then along columns, on the CPU several at once, which reads memory in order
        several = WIDE if not on_cuda(here.device) and columns % WIDE == 0 else 1
        across = columns // several
        down = (k.box, k.real) if several == 1 else (k.wide_box, k.wide)
        passes = [(k.box, k.real, rows, columns, 1, columns)] * PASSES + [(*down, across, 1, across, rows)] * PASSES
        for number, (kernel, kind, lines, *strides) in enumerate(passes):
            to = buffers[number % 2]
            source, target = (a.unflatten(1, (-1, several)) if kind is k.wide else a for a in (here, to))
            launch_worlds(kernel, lines, [*strides, *box], [(source, kind)], [(target, kind)])
            here = to
        return here.reshape(field.shape)

    def __call__(self, depth: torch.Tensor) -> torch.Tensor:
        """The surface (N, H, W) [m] under depths (N, H, W) [m], of which only the positive ones press."""
        pressed = depth.clamp(min=0.0)
        surface = torch.zeros_like(pressed)
        for weight, box, scale in self.parts:
            surface = surface + (weight * pressed if box is None else scale * _Blur.apply(self, box, pressed))
        return surface


class _Blur(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, owner: MembraneFilter, box: tuple[int, float, float], field: torch.Tensor) -> torch.Tensor:
        ctx.owner, ctx.box = owner, box
        return owner._blur(field.contiguous(), box)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[None, None, torch.Tensor]:
        return None, None, ctx.owner._blur(grads[0].contiguous(), ctx.box)
