# SPDX-License-Identifier: Apache-2.0
"""Named physical parameters of a batch of worlds, each a tensor (N, ...) that may require a gradient."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, MutableMapping, Sequence

import torch

from simenv.physics.mpm.materials import PARAMETER_COUNT
from simenv.world import status
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


class NamedTensors(MutableMapping[str, torch.Tensor]):
    """Mapping of a fixed set of names to tensors (N, ...).

    Assigning broadcasts a number or a tensor to all worlds. A number out of range is refused; a tensor is used as it
    is, so that a leaf which requires a gradient receives one, and a world whose value is out of range stops with the
    status `BAD_PARAMETER` when it is stepped.

    Args:
        worlds: N; device, dtype: of the tensors.
    """

    _constant_suffix: tuple[str, ...] = ()  # of names whose values have no derivative

    def __init__(self, worlds: int, device: torch.device, dtype: torch.dtype):
        self._worlds, self._device, self._dtype = worlds, device, dtype
        self._values: dict[str, torch.Tensor] = {}
        self._bounds: torch.Tensor | None = None

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
        if isinstance(value, int | float):
            lower, upper = _bounds(name)
            if not lower < value < upper:
                raise ValueError(f"parameter {name!r} = {value}; it must lie between {lower} and {upper} (SI units)")
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

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"world parameters can't be deleted; assign {name!r} a new value")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def checked(self) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """The values that a step can use, and a status (N,) int32.

        A world with a value that is NaN, infinite or out of range has the status `BAD_PARAMETER`, and numbers that do
        no harm: nothing that it computes counts.
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
        rows = good[:, None]
        values = dict(zip(names, torch.where(rows, table, _LEGAL).unbind(1), strict=False))
        values |= {name: torch.where(rows, value, 0.0) for name, value in vectors.items()}
        return values, torch.where(good, 0, status.BAD_PARAMETER).to(torch.int32)

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
        self._cache: tuple[list, dict[str, torch.Tensor]] | None = None
        for name, material in scene.materials.items():
            for parameter in material.parameter_names():
                self._values[f"{name}.{parameter}"] = self._full(getattr(material, parameter))
        for name, collider in scene.colliders.items():
            self._values[f"{name}.friction"] = self._full(collider.friction)
            self._values[f"{name}.scale"] = self._full(collider.scale)
        self._values["gravity"] = self._vector(scene.gravity)

    def kernel_inputs(self) -> dict[str, torch.Tensor]:
        """The solver's inputs: ``parameters`` (N, M, 8), ``gravity`` (N, 3), ``friction`` and ``scale`` (N, Cl), and
        the ``status`` (N,) of `checked`.
        """
        values = [(value, value._version) for value in self._values.values()]
        if self._cache is not None:
            kept, inputs = self._cache
            # by identity, on tensors that the cache keeps alive: a freed tensor's id can come back
            if all(a is b and version == old for (a, version), (b, old) in zip(values, kept, strict=True)):
                return inputs
        sound, bad = self.checked()
        inputs = {"gravity": sound["gravity"], "parameters": self._material_vectors(sound), "status": bad}
        for kind in ("friction", "scale"):
            columns = [sound[f"{name}.{kind}"] for name in self._scene.colliders]
            inputs[kind] = torch.stack(columns, 1) if columns else self._full(0.0).unsqueeze(1)[:, :0]
        # a graph can be used once, and gradients may be switched on later: only plain values are kept
        differentiable = any(value.requires_grad for value, _ in values)
        self._cache = None if differentiable else (values, inputs)
        return inputs

    def _material_vectors(self, sound: dict[str, torch.Tensor]) -> torch.Tensor:
        vectors = []
        for name, material in self._scene.materials.items():
            values = {parameter: sound[f"{name}.{parameter}"] for parameter in material.parameter_names()}
            columns = material.kernel_parameters(values)
            columns += [torch.zeros_like(columns[0])] * (PARAMETER_COUNT - len(columns))
            vectors.append(torch.stack(columns, 1))
        return torch.stack(vectors, 1)
