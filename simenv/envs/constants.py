# SPDX-License-Identifier: Apache-2.0
"""Constant tensors, made once per device: copying a list to a GPU in every step would make the host wait for it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch

__all__ = ["constant"]


def constant(values: Any, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """A tensor of fixed numbers.

    Args:
        values: A number, a nested sequence of numbers, or an array. A tensor is converted, and keeps its graph.
        dtype: dtype wanted.
        device: Device wanted.

    Returns:
        The tensor. It is shared by all callers who ask for the same numbers: do not change it in place.
    """
    if isinstance(values, torch.Tensor):
        return values.to(device, dtype)
    return _cached(_frozen(values), dtype, device)


def _frozen(values: Any) -> Any:
    if hasattr(values, "tolist"):  # NumPy arrays and numbers
        values = values.tolist()
    if isinstance(values, Sequence):
        return tuple(_frozen(each) for each in values)
    return float(values)


@functools.lru_cache(maxsize=1024)
def _cached(values: Any, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    with torch.no_grad():
        return torch.tensor(values, dtype=dtype, device=device)
