# SPDX-License-Identifier: Apache-2.0
"""Named physical parameters of a batch of worlds, each a tensor (N, ...) that may require a gradient."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import torch

from simenv.physics import status
from simenv.physics.device import on_cuda
from simenv.physics.mpm.materials import PARAMETER_COUNT
from simenv.world.limits import ROUNDING, Limit, material_limits
from simenv.world.scene import Scene

# Bounds that a parameter's value must lie between, by the last part of its name; all others must not be negative. A
# hair below zero is let through, so that central differences at zero are possible.
_SLACK = 1e-2
_BOUNDS = {
    "density": (0.0, math.inf), "mass": (0.0, math.inf), "scale": (0.0, math.inf), "exponent": (0.0, math.inf),
    "modulus": (0.0, math.inf), "gravity": (-math.inf, math.inf),
    "poisson_ratio": (-_SLACK, 0.5), "friction_angle": (0.0, math.pi / 2), "critical_compression": (-_SLACK, 1.0),
}  # fmt: skip
_LEGAL = 0.25  # a value that every parameter can have


def _bounds(name: str) -> tuple[float, float]:
    return _BOUNDS.get(name.rpartition(".")[2], (-_SLACK, math.inf))


def _is_within(name: str, value: float) -> bool:
    lower, upper = _bounds(name)
    return bool(lower < value < upper)


class NamedTensors(MutableMapping[str, torch.Tensor]):
    """Mapping of a fixed set of names to tensors (N, ...).

    Assigning broadcasts a number or a tensor to all worlds. Numbers, in a list or array as well, that are out of range
    or with which the substep is too long are refused; a tensor is used as it is, so that a leaf which requires a
    gradient receives one, and a world whose value is out of range stops with a status when it is stepped:
    `BAD_PARAMETER`, or that of the `simenv.world.limits.Limit`. Values edited in place count, however that is done.

    Args:
        worlds: N; device, dtype: of the tensors.
    """

    _constant_suffix: tuple[str, ...] = ()  # of names whose values have no derivative

    def __init__(self, worlds: int, device: torch.device, dtype: torch.dtype):
        self._worlds, self._device, self._dtype = worlds, device, dtype
        self._values: dict[str, torch.Tensor] = {}
        self._bounds: torch.Tensor | None = None
        self._limits: Sequence[Limit] = ()
        self._built: dict[str, float] = {}  # the scene's own numbers
        self._beside: dict[str, torch.Tensor] = {}  # what limits depend on beside parameters, (N,)

    def _full(self, value: float) -> torch.Tensor:
        return torch.full((self._worlds,), value, device=self._device, dtype=self._dtype)

    def _vector(self, values: Sequence[float]) -> torch.Tensor:
        row = torch.tensor(tuple(values), device=self._device, dtype=self._dtype)
        return row.expand(self._worlds, len(row)).clone()

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
        if name.endswith(self._constant_suffix) and tensor.requires_grad:
            raise ValueError(
                f"parameter {name!r} has no derivative; assign it detached, or differentiate a pose or friction"
            )
        if tensor.shape != shape:
            if len(shape) > 1 and tensor.shape[-1:] != shape[1:]:
                raise ValueError(f"parameter {name!r} has shape {tuple(shape)}, not {tuple(tensor.shape)}")
            try:
                tensor = tensor.expand(shape)
            except RuntimeError:
                raise ValueError(f"parameter {name!r} has shape {tuple(shape)}, not {tuple(tensor.shape)}") from None
        self._values[name] = tensor

    def _limit(self, limits: Sequence[Limit]) -> None:
        """Hold the parameters to limits of the substep from now on.

        Raises:
            ValueError: the present values break one.
        """
        self._limits = limits
        self._built = {name: float(value[0]) for name, value in self._scalars().items()}
        for limit in limits:
            if not limit.load(self._built) <= ROUNDING:
                name = limit.names[0]
                raise ValueError(limit.describe(self._built, name, 0.0))

    def check(self, name: str, value: float | np.ndarray) -> None:
        """Raise ValueError if a parameter cannot have a number, or (N,) of them, beside what the others have now."""
        self._check(name)
        numbers = np.asarray(value, dtype=np.float64)
        for value in numbers.flat:
            if not _is_within(name, value):
                lower, upper = _bounds(name)
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
        beyond = {name: _bounds(name) for name, value in values.items() if not _is_within(name, value)}
        if bits & status.BAD_PARAMETER:
            for name, (lower, upper) in beyond.items():
                said.append(f"parameter {name!r} = {values[name]} must lie between {lower} and {upper}.")
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

    def checked(self, beside: Mapping[str, torch.Tensor] | None = None) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """The values that a step can use, and a status (N,) int32; `beside` is what else limits depend on at present.

        A world with a value that is NaN, infinite or out of range has the status `BAD_PARAMETER`, one with which the
        substep is too long that of the limit, and both have numbers that do no harm: nothing that they compute counts.
        """
        names = [name for name, value in self._values.items() if value.dim() == 1]
        table = torch.stack([self._values[name] for name in names], 1) if names else self._full(0.0)[:, None]
        if self._bounds is None:
            self._bounds = torch.tensor(
                [_bounds(name) for name in names] or [(-1.0, 1.0)], device=self._device, dtype=self._dtype
            ).T
        lower, upper = self._bounds
        good = ((table > lower) & (table < upper)).all(1)
        vectors = {name: value for name, value in self._values.items() if value.dim() > 1}
        for value in vectors.values():
            good = good & torch.isfinite(value).flatten(1).all(1)
        heavy = self._overloads({**self._scalars(), **(beside or {})})
        bits = torch.where(good, heavy, status.BAD_PARAMETER).to(torch.int32)
        rows = (bits == 0)[:, None]
        values = dict(zip(names, torch.where(rows, table, _LEGAL).unbind(1), strict=False))
        values |= {name: torch.where(rows, value, 0.0) for name, value in vectors.items()}
        return values, bits

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


class Parameters(NamedTensors):
    """Mapping of names to tensors (N, ...): ``"<material>.<field>"``, ``"<collider>.friction"``,
    ``"<collider>.scale"``, ``"gravity"``.

    Args:
        scene: gives names and values; worlds: N; device, dtype: of the tensors.
    """

    _constant_suffix = (".scale",)

    def __init__(self, scene: Scene, worlds: int, device: torch.device, dtype: torch.dtype):
        super().__init__(worlds, device, dtype)
        self._scene = scene
        self._cache: tuple[torch.Tensor, dict[str, torch.Tensor]] | None = None
        for name, material in scene.materials.items():
            for parameter in material.parameter_names():
                self._values[f"{name}.{parameter}"] = self._full(getattr(material, parameter))
        for name, collider in scene.colliders.items():
            self._values[f"{name}.friction"] = self._full(collider.friction)
            self._values[f"{name}.scale"] = self._full(collider.scale)
        self._values["gravity"] = self._vector(scene.gravity)
        dt, dx = scene.shortest_substep, scene.dx
        self._limit([each for pair in scene.materials.items() for each in material_limits(*pair, dt, dx)])

    def kernel_inputs(self) -> dict[str, torch.Tensor]:
        """The solver's inputs: ``parameters`` (N, M, 8), ``gravity`` (N, 3), ``friction`` and ``scale`` (N, Cl), and
        the ``status`` (N,) of `checked`.
        """
        table = self._plain()
        if self._cache is not None and self._is_kept(table):
            return self._cache[1]
        sound, bad = self.checked()
        inputs = {"gravity": sound["gravity"], "parameters": self._material_vectors(sound), "status": bad}
        for kind in ("friction", "scale"):
            columns = [sound[f"{name}.{kind}"] for name in self._scene.colliders]
            inputs[kind] = torch.stack(columns, 1) if columns else self._full(0.0).unsqueeze(1)[:, :0]
        self._cache = None if table is None else (table, inputs)
        return inputs

    def _is_kept(self, table: torch.Tensor | None) -> bool:
        return table is not None and self._cache is not None and torch.equal(table, self._cache[0])

    def _plain(self) -> torch.Tensor | None:
        """A copy of all numbers, by which edits are seen however they are made; None where inputs are not kept.

        These are on CUDA, as the host would wait for the comparison, and with gradients: a graph can be used once.
        """
        values = self._values.values()
        if on_cuda(self._device) or any(value.requires_grad for value in values):
            return None
        return torch.cat([value.reshape(-1) for value in values])

    def _material_vectors(self, sound: dict[str, torch.Tensor]) -> torch.Tensor:
        vectors = []
        for name, material in self._scene.materials.items():
            values = {parameter: sound[f"{name}.{parameter}"] for parameter in material.parameter_names()}
            columns = material.kernel_parameters(values)
            columns += [torch.zeros_like(columns[0])] * (PARAMETER_COUNT - len(columns))
            vectors.append(torch.stack(columns, 1))
        return torch.stack(vectors, 1)
