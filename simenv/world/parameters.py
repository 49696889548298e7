# SPDX-License-Identifier: Apache-2.0
"""Named physical parameters of a batch of worlds, each a tensor (N, ...) that may require a gradient."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import torch

from simenv.physics import status
from simenv.physics.device import on_cuda
from simenv.physics.limits import ROUNDING, Limit
from simenv.physics.solver import Parameter

_LEGAL = 0.25  # a value that every parameter can have


class Parameters(MutableMapping[str, torch.Tensor]):
    """Mapping of the names that solvers declare, and ``"gravity"``, to tensors (N, ...).

    Assigning broadcasts a number or a tensor to all worlds. Numbers, in a list or array as well, that are out of range
    or with which the substep is too long are refused; a tensor is used as it is, so that a leaf which requires a
    gradient receives one, and a world whose value is out of range stops with a status when it is stepped:
    `BAD_PARAMETER`, or that of the `simenv.physics.limits.Limit`. Values edited in place count, however that is done.

    Args:
        declared: what there is, by name.
        limits: what a tick bears; beside: what these depend on beside parameters, numbers by name.
        worlds: N; device, dtype: of the tensors.

    Raises:
        ValueError: the scene's own numbers break a limit.
    """

    def __init__(
        self, declared: Mapping[str, Parameter], limits: Sequence[Limit], beside: Mapping[str, float], worlds: int,
        device: torch.device, dtype: torch.dtype,
    ):  # fmt: skip
        self._worlds, self._device, self._dtype = worlds, device, dtype
        self.declared = dict(declared)
        self._values = {name: self._tensor(each.default) for name, each in declared.items()}
        self._beside = {name: self._tensor(value) for name, value in beside.items()}
        self._bounds: torch.Tensor | None = None
        self._limits = limits
        self._built = {name: float(value[0]) for name, value in self._scalars().items()}
        self._kept: tuple[torch.Tensor, Any] | None = None
        for limit in limits:
            if not limit.load(self._built) <= ROUNDING:
                name = limit.names[0]
                raise ValueError(limit.describe(self._built, name, limit.good))

    def _tensor(self, value: float | Sequence[float]) -> torch.Tensor:
        row = torch.tensor(value, device=self._device, dtype=self._dtype)
        return row.expand(self._worlds, *row.shape).clone()

    def _is_within(self, name: str, value: float) -> bool:
        return self.declared[name].lower < value < self.declared[name].upper

    def __getitem__(self, name: str) -> torch.Tensor:
        self._check(name)
        return self._values[name]

    def _check(self, name: str) -> None:
        if name not in self._values:
            close = difflib.get_close_matches(name, self._values, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise KeyError(f"no world parameter {name!r}; {hint}there are: {', '.join(self._values)}")

    def __setitem__(self, name: str, value: torch.Tensor | float) -> None:
        self._check(name)
        if not isinstance(value, torch.Tensor):
            value = np.asarray(value, dtype=np.float64)
            self.check(name, value)
        shape = self._values[name].shape
        tensor = torch.as_tensor(value, device=self._device, dtype=self._dtype)
        if not self.declared[name].differentiable and tensor.requires_grad:
            raise ValueError(f"parameter {name!r} has no derivative in this world; assign it detached")
        if tensor.shape != shape:
            if len(shape) > 1 and tensor.shape[-1:] != shape[1:]:
                raise ValueError(f"parameter {name!r} has shape {tuple(shape)}, not {tuple(tensor.shape)}")
            try:
                tensor = tensor.expand(shape)
            except RuntimeError:
                raise ValueError(f"parameter {name!r} has shape {tuple(shape)}, not {tuple(tensor.shape)}") from None
        self._values[name] = tensor

    def check(self, name: str, value: float | np.ndarray) -> None:
        """Raise ValueError if a parameter cannot have a number, or (N,) of them, beside what the others have now."""
        self._check(name)
        numbers = np.asarray(value, dtype=np.float64)
        for value in numbers.flat:
            if not self._is_within(name, value):
                lower, upper = self.declared[name].lower, self.declared[name].upper
                raise ValueError(f"parameter {name!r} = {value}; it must lie between {lower} and {upper} (SI units)")
        if self._values[name].dim() > 1 or (numbers.ndim and numbers.shape != (self._worlds,)):
            return
        given = {name: torch.as_tensor(numbers).expand(self._worlds)}
        for limit in self._limits:
            if name in limit.names:
                self._refuse_load(limit, name, given)

    def _refuse_load(self, limit: Limit, name: str, given: Mapping[str, torch.Tensor]) -> None:
        """Raise ValueError if the `given` values of a parameter break a limit, about the world where they do most."""
        every = {each: value.detach().cpu().double() for each, value in self._scalars().items()}
        every.update(given)
        load = torch.as_tensor(limit.load(every)).expand(self._worlds)
        row = int(torch.where(load > ROUNDING, load, 0.0).argmax())
        if not load[row] > ROUNDING:
            return
        values = {each: float(value[row]) for each, value in every.items()}
        present = float(self._values[name].detach()[row])
        raise ValueError(limit.describe(values, name, present if present != values[name] else self._built[name]))

    def _scalars(self) -> dict[str, torch.Tensor]:
        return {name: value for name, value in self._values.items() if value.dim() == 1} | self._beside

    def explain(self, bits: int, row: int = 0) -> str:
        """What a world's status means, as `status.describe`, and which of its present parameters are to blame.

        Args:
            bits: its status.
            row: its number.
        """
        said = [status.describe(bits)]
        values = {name: float(value.detach()[row]) for name, value in self._scalars().items()}
        known = {name: value for name, value in values.items() if name in self.declared}
        beyond = {name: self.declared[name] for name, value in known.items() if not self._is_within(name, value)}
        if bits & status.BAD_PARAMETER:
            for name, each in beyond.items():
                said.append(f"parameter {name!r} = {values[name]} must lie between {each.lower} and {each.upper}.")
        for limit in self._limits:
            if bits & limit.bit and not beyond.keys() & set(limit.names) and limit.load(values) > ROUNDING:
                changed = [name for name in limit.names if values[name] != self._built[name]]
                said += [f"{limit.describe(values, name, self._built[name])}." for name in changed]
        return " ".join(said)

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"world parameters can't be deleted; assign {name!r} a new value")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def packed(self, pack: Callable[[dict[str, torch.Tensor]], Any]) -> tuple[Any, torch.Tensor]:
        """What `pack` makes of values that a step can use, kept while no number changes, and a status (N,) int32.

        A world with a value that is NaN, infinite or out of range has the status `BAD_PARAMETER`, one with which the
        tick is too long that of the limit, and both have numbers that do no harm: nothing that they compute counts.
        """
        table = self._plain()
        if self._kept is not None and self._is_kept(table):
            return self._kept[1]
        values, bits = self._checked()
        made = pack(values), bits
        self._kept = None if table is None else (table, made)
        return made

    def _checked(self) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        names = [name for name, value in self._values.items() if value.dim() == 1]
        every = [self._values[name] for name in names]
        table = torch.stack(every, 1) if names else self._tensor(0.0)[:, None]
        if self._bounds is None:
            bounds = [(self.declared[name].lower, self.declared[name].upper) for name in names] or [(-1.0, 1.0)]
            self._bounds = torch.tensor(bounds, device=self._device, dtype=self._dtype).T
        lower, upper = self._bounds
        good = ((table > lower) & (table < upper)).all(1)
        vectors = {name: value for name, value in self._values.items() if value.dim() > 1}
        for value in vectors.values():
            good = good & torch.isfinite(value).flatten(1).all(1)
        heavy = self._overloads(self._scalars())
        bits = torch.where(good, heavy, status.BAD_PARAMETER).to(torch.int32)
        rows = (bits == 0)[:, None]
        values = dict(zip(names, torch.where(rows, table, _LEGAL).unbind(1), strict=False))
        values |= {name: torch.where(rows, value, 0.0) for name, value in vectors.items()}
        return values, bits

    @torch.no_grad()
    def overloads(self, beside: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Status (N,) of the limits that depend on what is `beside` parameters at present, (N,) by name."""
        return self._overloads({**self._scalars(), **beside})

    @torch.no_grad()
    def _overloads(self, values: Mapping[str, Any]) -> torch.Tensor:
        """Status (N,) of the limits that values, tensors (N,), break."""
        bits = torch.zeros(self._worlds, dtype=torch.int64, device=self._device)
        for limit in self._limits:
            bits = bits | torch.where(limit.load(values) > ROUNDING, limit.bit, 0)
        return bits

    def clone(self) -> dict[str, torch.Tensor]:
        """Detached copies of all values."""
        return {name: value.detach().clone() for name, value in self._values.items()}

    def _is_kept(self, table: torch.Tensor | None) -> bool:
        return table is not None and self._kept is not None and torch.equal(table, self._kept[0])

    def _plain(self) -> torch.Tensor | None:
        """A copy of all numbers, by which edits are seen however they are made; None where inputs are not kept.

        These are on CUDA, as the host would wait for the comparison, and with gradients: a graph can be used once.
        """
        values = self._values.values()
        if on_cuda(self._device) or any(value.requires_grad for value in values):
            return None
        return torch.cat([value.reshape(-1) for value in values])
