# SPDX-License-Identifier: Apache-2.0
"""The physical parameters that an identification seeks: their names, limits and scale."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from simenv.rollouts.errors import RolloutError

if TYPE_CHECKING:
    from simenv.world import World
    from simenv.world.parameters import Parameters

__all__ = ["Range", "numbers", "ranges"]


@dataclasses.dataclass(frozen=True)
class Range:
    """A number that is sought.

    Attributes:
        name: of it: that of a world parameter, with ``[i]`` where this has several numbers.
        low: lower limit, in the parameter's unit.
        high: upper limit.
    """

    name: str
    low: float
    high: float

    @property
    def parameter(self) -> str:
        """Name of the world parameter."""
        return _split(self.name)[0]

    @property
    def logarithmic(self) -> bool:
        """Whether equal steps are equal factors."""
        return self.low > 0.0

    def value(self, point: torch.Tensor) -> torch.Tensor:
        """Values of points in [0, 1]."""
        if self.logarithmic:
            return self.low * torch.exp(point * float(np.log(self.high / self.low)))
        return self.low + point * (self.high - self.low)

    def point(self, value: float) -> float:
        """The inverse of `value`."""
        if self.logarithmic:
            return float(np.log(value / self.low) / np.log(self.high / self.low))
        return (value - self.low) / (self.high - self.low)

    def put(self, parameters: Parameters, points: torch.Tensor) -> None:
        """Give the worlds its values at points (N,) in [0, 1]; other numbers of the parameter stay as they are."""
        (name, index), now = _split(self.name), parameters[self.parameter]
        value = self.value(points).to(now.dtype)
        if index is not None:
            value = torch.cat([now[:, :index], value[:, None], now[:, index + 1 :]], 1)
        parameters[name] = value


def _split(name: str) -> tuple[str, int | None]:
    """``"arm.mass"`` and 2 of ``"arm.mass[2]"``; a name without an index and None."""
    found = re.fullmatch(r"(.*)\[(\d+)\]", name)
    return (found[1], int(found[2])) if found else (name, None)


def numbers(values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Each number of parameters of one world, each one number or (n,), by the name by which it can be sought."""
    found: dict[str, float] = {}
    for name, value in values.items():
        flat = np.asarray(value).reshape(-1)
        found |= {name if flat.size == 1 else f"{name}[{i}]": float(each) for i, each in enumerate(flat)}
    return found


def ranges(world: World, limits: Mapping[str, Sequence[float]], by_gradient: bool = True) -> tuple[Range, ...]:
    """The parameters sought, checked against the world.

    Args:
        world: The worlds.
        limits: name -> (low, high).
        by_gradient: Whether they must have a derivative.

    Raises:
        RolloutError: An unknown parameter, one that is not a number or lacks the derivative that is needed, limits that
            are none, or with which the scene could not be simulated.
    """
    if not limits:
        raise RolloutError("no parameters to identify; give at least one, as name -> (low, high)")
    found = []
    for name, pair in limits.items():
        parameter = _known(world, name)
        if by_gradient and not world.parameters.declared[parameter].differentiable:
            raise RolloutError(
                f"no gradient here (parameter {name!r} has no derivative in this world); search without: method='cma' "
                "(`--method cma`)"
            )
        low, high = (float(side) for side in pair)
        if not (np.isfinite([low, high]).all() and low < high):
            raise RolloutError(f"parameter {name!r}: limits {low:g} .. {high:g}; they must be finite, and increase")
        for value in (low, high):
            try:
                world.parameters.check(parameter, value)
            except ValueError as error:
                raise RolloutError(f"parameter {name!r}: the limit {value:g} can't be simulated: {error}") from error
        found.append(Range(name, low, high))
    return tuple(found)


def _known(world: World, name: str) -> str:
    """The world parameter that a name, which may have an index, is of."""
    parameter, index = _split(name)
    try:
        shape = world.parameters[parameter].shape[1:]
    except KeyError as error:
        raise RolloutError(str(error.args[0])) from error
    if not shape and index is not None:
        raise RolloutError(f"parameter {parameter!r} is one number; leave out [{index}]")
    if shape:
        there = f"{parameter + '[0]'!r} to {f'{parameter}[{shape[0] - 1}]'!r}"
        if index is None:
            raise RolloutError(f"parameter {parameter!r} has {shape[0]} numbers; name one, {there}")
        if index >= shape[0]:
            raise RolloutError(f"parameter {name!r}: there are {there}")
    return parameter
