# SPDX-License-Identifier: Apache-2.0
"""The arguments of ``reset`` as tensors."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from simenv.envs.random import to_int64


def world_seeds(seed: int | Sequence[int | None] | None, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Seeds of the worlds.

    Args:
        seed: World i gets ``seed + i``, or ``seed[i]`` from a list; None leaves a world its seed.
        like: (N,) tensor on the device wanted.

    Returns:
        (N,) int64 seeds, and (N,) bool whether each world is given one.

    Raises:
        TypeError: If a seed is not an integer.
        ValueError: If the list has another length than N, or a seed is negative.
    """
    worlds = like.shape[0]
    if seed is None:
        seeds: list[int | None] = [None] * worlds
    elif np.ndim(seed) == 0:  # type: ignore[arg-type]
        seeds = [_integer(seed) + i for i in range(worlds)]
    else:
        seeds = [None if each is None else _integer(each) for each in seed]
    if len(seeds) != worlds:
        raise ValueError(f"{len(seeds)} seeds were given for {worlds} worlds; give one each, or one integer.")
    if any(each is not None and each < 0 for each in seeds):
        raise ValueError(f"Seeds must not be negative, got {seed!r}.")
    values = torch.tensor([to_int64(each or 0) for each in seeds], dtype=torch.int64)
    given = torch.tensor([each is not None for each in seeds])
    return values.to(like.device), given.to(like.device)


def _integer(seed: Any) -> int:
    try:
        if isinstance(seed, (bool, np.bool_)):
            raise TypeError
        return operator.index(seed)
    except TypeError:
        raise TypeError(
            f"Seed {seed!r} is a {type(seed).__name__}; give one integer, or one integer or None for each world."
        ) from None


def reset_mask(options: dict[str, Any] | None, like: torch.Tensor) -> torch.Tensor:
    """The worlds that a reset applies to. Only reads the options: Gymnasium's wrappers look at them afterwards.

    Args:
        options: ``options`` of ``reset``.
        like: (N,) tensor on the device wanted.

    Returns:
        (N,) bool.

    Raises:
        TypeError: If there are other options, or the mask is not a boolean array or tensor.
        ValueError: If the mask has the wrong shape or is True nowhere.
    """
    unknown = set(options or {}) - {"reset_mask"}
    if unknown:
        raise TypeError(f"Unknown reset options {sorted(unknown)}; the only one is 'reset_mask'.")
    if not options:
        return torch.ones_like(like, dtype=torch.bool)
    mask = options["reset_mask"]
    if not isinstance(mask, (np.ndarray, torch.Tensor)) or mask.dtype not in (np.bool_, torch.bool):
        kind = getattr(mask, "dtype", type(mask).__name__)
        raise TypeError(f"options['reset_mask'] must be a boolean NumPy array or torch tensor, got {kind}.")
    if tuple(mask.shape) != tuple(like.shape):
        raise ValueError(f"options['reset_mask'] must have shape {tuple(like.shape)}, got {tuple(mask.shape)}.")
    mask = torch.as_tensor(mask).to(like.device)
    if not bool(mask.any()):
        raise ValueError("options['reset_mask'] must be True for at least one world.")
    return mask
