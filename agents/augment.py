# SPDX-License-Identifier: Apache-2.0
"""Random changes of images, batched on torch: colour jitter, channel swap, crop, as TacSL trains with
(arXiv:2408.06506, appendix C).

Each world draws a change at the start of its episode and keeps it to the end; every step adds a smaller jitter of its
own. The drawn numbers are a tensor, so that a checkpoint can hold them.
"""

from __future__ import annotations

import dataclasses
import math

import torch

NUMBERS = 9  # brightness, contrast, saturation, hue, permutation, area, aspect, place across, place down
PERMUTATIONS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """Ranges of the changes; zeros (and scale and aspect of one) leave images as they are."""

    brightness: float = 0.5
    """Factor of the brightness, from [1 - b, 1 + b]."""
    contrast: float = 0.5
    """Factor of the distance to the mean grey."""
    saturation: float = 0.5
    """Factor of the distance to each pixel's own grey."""
    hue: float = 0.3
    """Rotation of the hue, from [-h, h] turns."""
    swap: bool = True
    """Whether the three channels are permuted."""
    crop: tuple[float, float] = (0.75, 1.0)
    """Share of the area that is kept, then stretched to the whole image."""
    aspect: tuple[float, float] = (0.9, 1.1)
    """Ratio by which the crop is wider than the image."""
    step: float = 0.1
    """Size of each step's own colour jitter, as a share of the episode's ranges."""

    def __post_init__(self) -> None:
        if not 0 < self.crop[0] <= self.crop[1] <= 1:
            raise ValueError(f"crop = {self.crop}: shares of the area must lie in (0, 1], smaller first")
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise ValueError(f"aspect = {self.aspect}: ratios must be positive, smaller first")
        if min(self.brightness, self.contrast, self.saturation, self.hue, self.step) < 0:
            raise ValueError("brightness, contrast, saturation, hue and step must not be negative")


def jitter(
    images: torch.Tensor,
    brightness: torch.Tensor,
    contrast: torch.Tensor,
    saturation: torch.Tensor,
    turns: torch.Tensor,
) -> torch.Tensor:
    """Colour jitter, each image with its own numbers; clipped to [0, 1] at the end.

    The hue is rotated in YIQ (a rotation of the two chroma axes keeps the luma): linear and free of branches, where HSV
    has six cases.

    Args:
        images: (B, H, W, 3) in [0, 1].
        brightness: (B,) factors.
        contrast: (B,) factors of the distance to the image's mean luma.
        saturation: (B,) factors of the distance to each pixel's luma.
        turns: (B,) rotations of the hue [turn].

    Returns:
        (B, H, W, 3).
    """
    to_yiq = images.new_tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    yiq = images @ to_yiq.T

    def shaped(value: torch.Tensor) -> torch.Tensor:
        return value[:, None, None]

    luma = yiq[..., 0] * shaped(brightness)
    mean = luma.mean((1, 2), keepdim=True)
    luma = mean + (luma - mean) * shaped(contrast)
    chroma = shaped(brightness * contrast * saturation)
    cos, sin = shaped(torch.cos(2 * math.pi * turns)), shaped(torch.sin(2 * math.pi * turns))
    first, second = yiq[..., 1], yiq[..., 2]
    turned = torch.stack([luma, chroma * (cos * first - sin * second), chroma * (sin * first + cos * second)], -1)
    return (turned @ torch.linalg.inv(to_yiq).T).clamp(0.0, 1.0)


def crop(
    images: torch.Tensor, area: torch.Tensor, aspect: torch.Tensor, across: torch.Tensor, down: torch.Tensor
) -> torch.Tensor:
    """A part of each image stretched to its whole size, bilinear.

    Args:
        images: (B, H, W, C) in [0, 1].
        area: (B,) share of the area kept.
        aspect: (B,) by how much the part is wider than the image; the part never leaves the image.
        across: (B,) place of the part in [-1, 1], left to right.
        down: (B,) place in [-1, 1], top to bottom.

    Returns:
        (B, H, W, C).
    """
    wide = (area * aspect).sqrt().clamp(max=1.0)
    high = (area / aspect).sqrt().clamp(max=1.0)
    zero = torch.zeros_like(wide)
    rows = [torch.stack([wide, zero, across * (1 - wide)], -1), torch.stack([zero, high, down * (1 - high)], -1)]
    planes = images.movedim(-1, 1)
    grid = torch.nn.functional.affine_grid(torch.stack(rows, 1), list(planes.shape), align_corners=False)
    moved = torch.nn.functional.grid_sample(planes, grid, padding_mode="border", align_corners=False)
    return moved.movedim(1, -1)


class Augmentation:
    """Changes of the images of N worlds.

    Args:
        config: Ranges.
        num_envs: Worlds.
        generator: Source of random numbers; its device is the images'.
    """

    def __init__(self, config: AugmentConfig, num_envs: int, generator: torch.Generator) -> None:
        self.config, self.generator = config, generator
        self.numbers = self._draw(num_envs)

    def _draw(self, count: int) -> torch.Tensor:
        return torch.rand(count, NUMBERS, generator=self.generator, device=self.generator.device)

    def begin(self, mask: torch.Tensor) -> None:
        """New numbers for the worlds (N,) whose episode has ended."""
        self.numbers = torch.where(mask[:, None], self._draw(len(mask)), self.numbers)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Changed images.

        Args:
            images: (N, H, W, 3), uint8 or float in [0, 1].

        Returns:
            The same shape and dtype.
        """
        c, episode, step = self.config, 2 * self.numbers - 1, 2 * self._draw(len(images)) - 1
        whole = images.dtype == torch.uint8
        pixels = images.to(torch.float32) / 255.0 if whole else images
        colour = episode[:, :4] + c.step * step[:, :4]
        spans = torch.tensor([c.brightness, c.contrast, c.saturation, c.hue], device=images.device)
        brightness, contrast, saturation, turns = (colour * spans).unbind(1)
        lighter, sharper, fuller = ((1.0 + value).clamp(min=0.0) for value in (brightness, contrast, saturation))
        pixels = jitter(pixels, lighter, sharper, fuller, turns)
        if c.swap:
            table = torch.tensor(PERMUTATIONS, device=images.device)
            order = table[(self.numbers[:, 4] * len(PERMUTATIONS)).long().clamp(max=len(PERMUTATIONS) - 1)]
            pixels = pixels.gather(-1, order[:, None, None].expand_as(pixels))
        area = c.crop[0] + (c.crop[1] - c.crop[0]) * self.numbers[:, 5]
        aspect = c.aspect[0] + (c.aspect[1] - c.aspect[0]) * self.numbers[:, 6]
        pixels = crop(pixels, area, aspect, episode[:, 7], episode[:, 8]).clamp(0.0, 1.0)
        return (255.0 * pixels).round().to(torch.uint8) if whole else pixels
