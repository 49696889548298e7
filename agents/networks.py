# SPDX-License-Identifier: Apache-2.0
"""Networks of the torch agents: running statistics, image encoder, actor and critic over dicts of observations.

Sizes are those of TacSL (I. Akinola et al., "TacSL: a library for visuotactile sensor simulation and learning",
arXiv:2408.06506): an MLP 256-128-64 with ELU, and for images three convolutions and a spatial soft-argmax.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

Shapes = dict[str, tuple[int, ...]]

KERNELS, STRIDES, CHANNELS = (8, 4, 3), (2, 1, 1), (32, 32, 64)
SMALLEST_IMAGE = 18  # pixels a side, so that the three convolutions leave something


class RunningStatistics(nn.Module):
    """Mean and variance of all samples seen, merged batch by batch (T. Chan, G. Golub, R. LeVeque, 1979).

    Args:
        size: Numbers in a sample.
        limit: Largest magnitude of a normalised number.
    """

    mean: torch.Tensor
    variance: torch.Tensor
    count: torch.Tensor

    def __init__(self, size: int, limit: float = 10.0) -> None:
        super().__init__()
        self.limit = limit
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, samples: torch.Tensor) -> None:
        """Adds (B, size) samples."""
        samples = samples.to(torch.float64)
        number, mean, variance = len(samples), samples.mean(0), samples.var(0, unbiased=False)
        total = self.count + number
        delta = mean - self.mean
        square = self.variance * self.count + variance * number + delta**2 * self.count * number / total
        self.mean.add_(delta * number / total)
        self.variance.copy_(square / total)
        self.count.copy_(total)

    @property
    def scale(self) -> torch.Tensor:
        """Standard deviation (size,); 1 for numbers that never varied but by rounding, which are centred only."""
        return torch.where(self.variance > 1e-12, self.variance, 1.0).sqrt()

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Samples (..., size) with mean 0 and variance 1, clipped."""
        return ((samples - self.mean) / self.scale).clamp(-self.limit, self.limit).to(torch.float32)


def spatial_soft_argmax(features: torch.Tensor) -> torch.Tensor:
    """Expected image position of each channel under the softmax of its activations (C. Finn et al., "Deep spatial
    autoencoders for visuomotor learning", ICRA 2016).

    Args:
        features: (B, C, H, W).

    Returns:
        (B, 2 C): the C positions across, then the C positions down, both in [-1, 1].
    """
    height, width = features.shape[-2:]
    weight = features.flatten(2).softmax(-1).unflatten(2, (height, width))
    across = torch.linspace(-1.0, 1.0, width, device=features.device, dtype=features.dtype)
    down = torch.linspace(-1.0, 1.0, height, device=features.device, dtype=features.dtype)
    return torch.cat([(weight.sum(2) * across).sum(-1), (weight.sum(3) * down).sum(-1)], dim=1)


def shapes_of(observation: Mapping[str, torch.Tensor]) -> Shapes:
    """What networks make of a batch of observations: (H, W, C) for images, (size,) for everything else.

    Images are uint8 and large enough for convolutions; a force field of any size is a vector.
    """
    shapes: Shapes = {}
    for name, value in observation.items():
        shape = tuple(value.shape[1:])
        image = value.dtype == torch.uint8 and len(shape) == 3 and min(shape[:2]) >= SMALLEST_IMAGE
        shapes[name] = shape if image else (math.prod(shape),)
    return shapes


class ImageEncoder(nn.Module):
    """(B, H, W, C) images, uint8 or, once augmented, float in [0, 1], to (B, 128) positions of features."""

    size = 2 * CHANNELS[-1]

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (channels, *CHANNELS)
        layers: list[nn.Module] = []
        for i, (kernel, stride) in enumerate(zip(KERNELS, STRIDES, strict=True)):
            layers += [nn.Conv2d(widths[i], widths[i + 1], kernel, stride), nn.ELU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Encodes a batch."""
        scaled = images.to(torch.float32) / 255.0 if images.dtype == torch.uint8 else images.to(torch.float32)
        return spatial_soft_argmax(self.layers(scaled.movedim(-1, 1) - 0.5))


class Trunk(nn.Module):
    """A dict of observations to one vector: images through convolutions, the rest normalised by running statistics,
    then an MLP.

    Args:
        shapes: Name -> shape of one observation, as `shapes_of` gives it.
        hidden: Widths of the MLP.
        outputs: Numbers that come out.
        gain: Scale of the last layer's orthogonal weights.
    """

    def __init__(self, shapes: Shapes, hidden: Sequence[int], outputs: int, gain: float) -> None:
        super().__init__()
        self.shapes = dict(shapes)
        self.images = [name for name, shape in shapes.items() if len(shape) == 3]
        self.vectors = [name for name in shapes if name not in self.images]
        size = sum(math.prod(shapes[name]) for name in self.vectors)
        self.statistics = RunningStatistics(size)
        self.encoders = nn.ModuleList(ImageEncoder(shapes[name][-1]) for name in self.images)
        widths = (size + ImageEncoder.size * len(self.images), *hidden)
        layers: list[nn.Module] = []
        for narrow, wide in itertools.pairwise(widths):
            layers += [_orthogonal(nn.Linear(narrow, wide), math.sqrt(2.0)), nn.ELU()]
        self.mlp = nn.Sequential(*layers, _orthogonal(nn.Linear(widths[-1], outputs), gain))

    def _joined(self, observation: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return torch.cat([observation[name].flatten(1).to(torch.float32) for name in self.vectors], dim=1)

    def update(self, observation: Mapping[str, torch.Tensor]) -> None:
        """Adds a batch (B, ...) to the running statistics."""
        if self.vectors:
            self.statistics.update(self._joined(observation))

    def forward(self, observation: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """(B, outputs)."""
        parts = [self.statistics(self._joined(observation))] if self.vectors else []
        parts += [encode(observation[name]) for name, encode in zip(self.images, self.encoders, strict=True)]
        return self.mlp(torch.cat(parts, dim=1))


def _orthogonal(layer: nn.Linear, gain: float) -> nn.Linear:
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class Actor(nn.Module):
    """A Gaussian policy with a free standard deviation per action component, in units of half the action range.

    Args:
        shapes: What it sees.
        hidden: Widths of the MLP.
        low: (A,) lower limits of the actions.
        high: (A,) upper limits.
        std: First standard deviation.
    """

    low: torch.Tensor
    high: torch.Tensor

    def __init__(
        self, shapes: Shapes, hidden: Sequence[int], low: torch.Tensor, high: torch.Tensor, std: float = 0.6
    ) -> None:
        super().__init__()
        self.trunk = Trunk(shapes, hidden, len(low), 0.01)
        self.log_std = nn.Parameter(torch.full((len(low),), math.log(std)))
        self.register_buffer("low", low.detach().clone())
        self.register_buffer("high", high.detach().clone())

    def forward(self, observation: Mapping[str, torch.Tensor]) -> torch.distributions.Normal:
        """The distribution of normalised actions (B, A)."""
        mean = self.trunk(observation)
        return torch.distributions.Normal(mean, self.log_std.exp().expand_as(mean), validate_args=False)

    def to_actions(self, normalized: torch.Tensor) -> torch.Tensor:
        """Actions in the environment's units, inside its limits."""
        middle, half = (self.high + self.low) / 2, (self.high - self.low) / 2
        return torch.clamp(middle + half * normalized.clamp(-1.0, 1.0).to(middle.dtype), self.low, self.high)

    def to_normalized(self, actions: torch.Tensor) -> torch.Tensor:
        """Inverse of `to_actions`."""
        return ((2 * actions - self.high - self.low) / (self.high - self.low)).to(torch.float32)


class Critic(nn.Module):
    """A state value in units of its running standard deviation.

    Args:
        shapes: What it sees.
        hidden: Widths of the MLP.
    """

    def __init__(self, shapes: Shapes, hidden: Sequence[int]) -> None:
        super().__init__()
        self.trunk = Trunk(shapes, hidden, 1, 1.0)
        self.returns = RunningStatistics(1, limit=math.inf)

    def forward(self, observation: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Normalised values (B,)."""
        return self.trunk(observation).squeeze(-1)

    def value(self, observation: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Values (B,) in the reward's units."""
        return (self(observation) * self.returns.scale + self.returns.mean).to(torch.float32)
