# SPDX-License-Identifier: Apache-2.0
"""Drag between gas and particles, as a solver: what it declares. Its state is that of the gas and the particles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from simenv.physics.drag.stepper import DragStepper
from simenv.physics.solver import Desk, Parameter, Solver, Step, Tensors

__all__ = ["DragSolver"]


class DragSolver(Solver):
    """The drag of N worlds.

    Args:
        diameters: of the grains, or drops, that particles stand for, by material [m].
        materials: of the particles, in their order.
        origin: of the gas [m].
    """

    name = "drag"

    def __init__(self, diameters: Mapping[str, float], materials: Sequence[str], origin: Sequence[float]):
        super().__init__()
        self._diameters, self._materials, self._origin = dict(diameters), list(materials), origin
        self.parameters = {f"{name}.diameter": Parameter(value, "m", 0.0) for name, value in diameters.items()}

    def pack(self, values: Mapping[str, torch.Tensor]) -> Tensors:
        """Diameters, zero where there is no drag, and densities of all materials."""
        none = torch.zeros_like(values[f"{self._materials[0]}.density"])
        diameters = [values.get(f"{name}.diameter", none) for name in self._materials]
        densities = [values[f"{name}.density"] for name in self._materials]
        return {"diameter": torch.stack(diameters, 1), "grain": torch.stack(densities, 1)}

    def before(self, step: Step, packed: Tensors) -> Tensors:
        """The inputs of a stepper."""
        return dict(packed)

    def after(self, state: Any, inputs: Tensors, out: Tensors) -> Tensors:
        """No fields of its own."""
        return {}

    def results(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """None of its own."""
        return {}

    def open(self, desk: Desk) -> DragStepper:
        """A stepper for the worlds of a desk."""
        return DragStepper(desk, len(self._materials), self._origin)
