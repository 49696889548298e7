# SPDX-License-Identifier: Apache-2.0
"""Gradients of a number that a task ends with, beside central differences."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

__all__ = ["check_gradients"]


def check_gradients(
    value: Callable[..., torch.Tensor], leaves: Sequence[torch.Tensor], sizes: Sequence[float],
    rng: np.random.Generator, steps: Sequence[float], limit: float = 1e-6,
) -> None:  # fmt: skip
    """The gradient of `value` by each leaf along a random direction, a large change of it being of its size, against
    the best of the differences of some widths.
    """
    grads = torch.autograd.grad(value(*(leaf.requires_grad_() for leaf in leaves)), leaves)
    for i, (grad, size) in enumerate(zip(grads, sizes, strict=True)):
        direction = size * torch.as_tensor(rng.normal(size=tuple(grad.shape)))
        found, errors = float((grad * direction).sum()), []
        for step in steps:
            ends = []
            for sign in (1.0, -1.0):
                moved = [leaf.detach().clone() for leaf in leaves]
                moved[i] += sign * step * direction
                with torch.no_grad():
                    ends.append(float(value(*moved)))
            errors.append(abs((ends[0] - ends[1]) / (2.0 * step) - found))
        assert min(errors) < limit * float((grad * direction).norm()), (i, found, errors)
