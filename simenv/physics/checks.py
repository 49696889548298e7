# SPDX-License-Identifier: Apache-2.0
"""Checks of what a scene is given: numbers that are finite and in range, vectors, rotations and shapes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from simenv.geometry.shapes import Shape


def vector(what: str, value: Any, size: int = 3) -> tuple[float, ...]:
    """`size` finite numbers as a tuple.

    Raises:
        ValueError: there are more, fewer, or one is NaN or infinite.
    """
    row = np.asarray(value, dtype=np.float64)
    if row.shape != (size,) or not np.isfinite(row).all():
        raise ValueError(f"{what} = {value!r}; it must be {size} finite numbers")
    return tuple(row.tolist())


def unit_quaternion(what: str, value: Any) -> tuple[float, ...]:
    """A quaternion xyzw scaled to length 1.

    Raises:
        ValueError: it is not four finite numbers, or zero, which is no rotation.
    """
    row = np.asarray(vector(what, value, 4))
    length = float(np.linalg.norm(row))
    if length == 0.0:
        raise ValueError(f"{what} = {value!r} has length 0 and is no rotation; use (0, 0, 0, 1) for none")
    return tuple((row / length).tolist())


def numbers(what: str, positive: bool = False, **values: float) -> None:
    """Raise ValueError unless all values are finite and not negative, or positive."""
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0.0) or (positive and value == 0.0):
            least = "positive" if positive else "not negative"
            raise ValueError(f"{what}: {name} = {value}; it must be finite and {least}")


def whole(what: str, **values: int) -> None:
    """Raise ValueError unless all values are whole numbers of at least 1."""
    for name, value in values.items():
        if not math.isfinite(value) or value != int(value) or value < 1:
            raise ValueError(f"{what}: {name} = {value}; it must be a whole number of at least 1")


def solid(what: str, shape: Any) -> Shape:
    """A shape of `simenv.geometry.shapes`.

    Raises:
        TypeError: it is something else.
        AssetError: it is a mesh that can't be used.
    """
    if not isinstance(shape, Shape):
        raise TypeError(f"{what}: shape = {shape!r} is no shape; use one such as Sphere(0.01)")
    shape.bounds()  # reads and checks a mesh, which would otherwise fail in the first step
    return shape


def precision(what: str, dtype: torch.dtype) -> None:
    """Raise ValueError unless `dtype` is one that the kernels have."""
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{what}: dtype = {dtype}; use torch.float32 or torch.float64")
