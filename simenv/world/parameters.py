# SPDX-License-Identifier: Apache-2.0
"""Named physical parameters of a batch of worlds, each a tensor (N, ...) that may require a gradient."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, MutableMapping, Sequence

import torch

from simenv.physics.mpm.materials import PARAMETER_COUNT
from simenv.world.scene import Scene

POSITIVE, NOT_NEGATIVE = ("density", "mass", "scale", "modulus"), ("bulk_modulus", "shear_modulus", "youngs_modulus")


class NamedTensors(MutableMapping[str, torch.Tensor]):
    """Mapping of a fixed set of names to tensors (N, ...).

    Assigning broadcasts a number or a tensor to all worlds and checks its shape and values. The assigned tensor is used
    as it is, so that a leaf which requires a gradient receives one.

    Args:
        worlds: N; device, dtype: of the tensors.
    """

    _constant_suffix: tuple[str, ...] = ()  # of names whose values have no derivative

    def __init__(self, worlds: int, device: torch.device, dtype: torch.dtype):
        self._worlds, self._device, self._dtype = worlds, device, dtype
        self._values: dict[str, torch.Tensor] = {}

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
        before = self[name]
        self.put(name, value)
        # unlike a state, a parameter that is NaN need not spread: a contact force of NaN is no force
        values, kind = self._values[name].detach(), name.rpartition(".")[2]
        bad, limit = ~torch.isfinite(values), ""
        if kind in POSITIVE:
            bad, limit = bad | (values <= 0.0), " and above zero"
        elif kind in NOT_NEGATIVE:
            bad, limit = bad | (values < 0.0), " and not negative"
        if bool(bad.any()):
            self._values[name] = before
            world = int(bad.nonzero()[0, 0])
            raise ValueError(
                f"parameter {name!r} of world {world} is {values[world].tolist()}; it must be finite{limit} (SI units)"
            )

    def put(self, name: str, value: torch.Tensor | float) -> None:
        """Assign without a look at the values, for which the host would wait: inside a step."""
        self._check(name)
        shape = self._values[name].shape
        tensor = torch.as_tensor(value, device=self._device, dtype=self._dtype)
        if name.endswith(self._constant_suffix) and tensor.requires_grad:
            raise ValueError(
                f"parameter {name!r} has no derivative; assign it detached, or differentiate a pose or friction"
            )
        if tensor.shape != shape:
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
        """The solver's inputs: ``parameters`` (N, M, 8), ``gravity`` (N, 3), ``friction`` and ``scale`` (N, Cl)."""
        values = [(value, value._version) for value in self._values.values()]
        if self._cache is not None:
            kept, inputs = self._cache
            # by identity, on tensors that the cache keeps alive: a freed tensor's id can come back
            if all(a is b and version == old for (a, version), (b, old) in zip(values, kept, strict=True)):
                return inputs
        inputs = {"gravity": self._values["gravity"], "parameters": self._material_vectors()}
        for kind in ("friction", "scale"):
            columns = [self._values[f"{name}.{kind}"] for name in self._scene.colliders]
            inputs[kind] = torch.stack(columns, 1) if columns else self._full(0.0).unsqueeze(1)[:, :0]
        # a graph can be used once, and gradients may be switched on later: only plain values are kept
        differentiable = any(value.requires_grad for value, _ in values)
        self._cache = None if differentiable else (values, inputs)
        return inputs

    def _material_vectors(self) -> torch.Tensor:
        vectors = []
        for name, material in self._scene.materials.items():
            values = {parameter: self._values[f"{name}.{parameter}"] for parameter in material.parameter_names()}
            columns = material.kernel_parameters(values)
            columns += [torch.zeros_like(columns[0])] * (PARAMETER_COUNT - len(columns))
            vectors.append(torch.stack(columns, 1))
        return torch.stack(vectors, 1)
