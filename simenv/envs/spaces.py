# SPDX-License-Identifier: Apache-2.0
"""Spaces derived from a task's own tensors, and conversion between torch and NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from gymnasium import spaces

Observation: TypeAlias = torch.Tensor | dict[str, torch.Tensor]

_FLOATS: dict[torch.dtype, Any] = {torch.float32: np.float32, torch.float64: np.float64}
_INTEGERS: dict[torch.dtype, Any] = {torch.uint8: np.uint8, torch.int32: np.int32, torch.int64: np.int64}
# "Unbounded" as a finite number: Gymnasium's check_env warns about infinite bounds, and every observation is finite
# because a diverged world keeps its last good state. Used for float64 too, where the range of a wider Box would
# overflow in Box.sample.
UNBOUNDED = float(np.finfo(np.float32).max)


def action_space(limits: tuple[Any, Any], dtype: torch.dtype) -> spaces.Box:
    """The Box of one world's actions.

    Args:
        limits: ``(low, high)`` of A values each.
        dtype: dtype of the world.

    Returns:
        Box (A,).
    """
    low, high = (np.asarray(side, dtype=_FLOATS[dtype]) for side in limits)
    return spaces.Box(low, high, dtype=_FLOATS[dtype])


def observation_space(observation: Observation, limits: Any) -> spaces.Space:
    """The space of one world's observations, from one batch of them.

    Args:
        observation: (N, ...) tensor or flat dict of them.
        limits: ``Task.observation_limits``.

    Returns:
        A Box, or a Dict of Boxes.

    Raises:
        TypeError: If the observation is neither a tensor nor a flat dict of tensors of a supported dtype.
        ValueError: If limits are given for names that are not observed.
    """
    if isinstance(observation, Mapping):
        limits = limits or {}
        unknown = set(limits) - set(observation)
        if unknown:
            raise ValueError(
                f"observation_limits names {sorted(unknown)}, but observe() returns {sorted(observation)}."
            )
        return spaces.Dict({name: _box(value, limits.get(name), name) for name, value in observation.items()})
    return _box(observation, limits, "observation")


def _box(value: Any, limits: tuple[Any, Any] | None, name: str) -> spaces.Box:
    if not isinstance(value, torch.Tensor):
        raise TypeError(
            f"observe() must return a tensor or a flat dict of tensors; {name!r} is {type(value).__name__}."
        )
    shape = tuple(value.shape[1:])
    if value.dtype in _FLOATS:
        dtype, default = _FLOATS[value.dtype], (-UNBOUNDED, UNBOUNDED)
    elif value.dtype in _INTEGERS:
        dtype = _INTEGERS[value.dtype]
        default = (np.iinfo(dtype).min, np.iinfo(dtype).max)
    else:
        supported = ", ".join(str(kind) for kind in (*_FLOATS, *_INTEGERS))
        raise TypeError(
            f"Observation {name!r} has dtype {value.dtype}; supported are {supported}. Convert it in observe()."
        )
    low, high = (np.broadcast_to(np.asarray(side, dtype=dtype), shape) for side in (limits or default))
    return spaces.Box(low.copy(), high.copy(), dtype=dtype)


def map_tensors(function: Any, data: Any) -> Any:
    """Apply a function to every tensor of a nested dict.

    Args:
        function: Called with each tensor.
        data: A tensor or nested dict of tensors.

    Returns:
        The same nesting with the results.
    """
    if isinstance(data, Mapping):
        return {name: map_tensors(function, value) for name, value in data.items()}
    return function(data)


def to_numpy(data: Any, copy: bool = True) -> Any:
    """Tensors to NumPy arrays. Waits for the device.

    Args:
        data: A tensor or nested dict of tensors.
        copy: False lets arrays of a CPU device share the tensors' memory.

    Returns:
        The same nesting with arrays.
    """

    def convert(tensor: torch.Tensor) -> np.ndarray:
        array = tensor.detach().cpu().numpy()
        return np.array(array) if copy else array

    return map_tensors(convert, data)


def with_masks(info: Mapping[str, Any], mask: Any) -> dict[str, Any]:
    """Gymnasium's vector info: beside each key, ``_key`` says which worlds it holds for.

    Args:
        info: Arrays or tensors (N, ...), or nested dicts of them.
        mask: (N,) bool array or tensor; copied, so that no two entries share memory.

    Returns:
        A new dict with the masks added at every level.
    """
    result: dict[str, Any] = {}
    for name, value in info.items():
        result[name] = with_masks(value, mask) if isinstance(value, Mapping) else value
        result[f"_{name}"] = mask.copy() if isinstance(mask, np.ndarray) else mask.clone()
    return result
