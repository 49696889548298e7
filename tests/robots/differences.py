# SPDX-License-Identifier: Apache-2.0
"""Gradients of worlds of robots beside differences of fourth order."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch

Leaves = Mapping[str, torch.Tensor]


def slopes(leaves: Leaves, end_of: Callable[[Leaves], torch.Tensor], step: float) -> Iterator[tuple]:
    """Name, slope by the gradient, slope by differences, and norm of the products that the first is the sum of, by
    every leaf in a random direction.

    Args:
        leaves: what is varied.
        end_of: numbers of the state at the end, which are weighted at random.
        step: of the differences, in the direction's unit.
    """
    leaves = {name: value.requires_grad_() for name, value in leaves.items()}
    end = end_of(leaves)
    weight = torch.as_tensor(np.random.default_rng(2).normal(size=tuple(end.shape)))
    (weight * end).sum().backward()
    rng = np.random.default_rng(3)
    for name, leaf in leaves.items():
        assert leaf.grad is not None, name
        direction = torch.as_tensor(rng.normal(size=tuple(leaf.shape))) * leaf.detach().abs().clamp(min=0.05)
        slope = 0.0
        for order, factor in ((1, 8.0), (2, -1.0)):
            ends = []
            for sign in (1, -1):
                shifted = {n: value.detach() for n, value in leaves.items()}
                shifted[name] = shifted[name] + sign * order * step * direction
                ends.append(float((weight * end_of(shifted)).sum()))
            slope += factor * (ends[0] - ends[1]) / (12.0 * step)
        each = leaf.grad * direction
        yield name, float(each.sum()), slope, float(each.norm())
