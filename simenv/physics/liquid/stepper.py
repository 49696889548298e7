# SPDX-License-Identifier: Apache-2.0
"""The launches of an incompressible liquid of some worlds in a control step.

With a gradient each tick keeps its particles and what it worked in; without, two sets of particles take turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import warp as wp

from simenv.physics.launch.programs import Phase
from simenv.physics.launch.slots import Slot, commands
from simenv.physics.liquid.launches import LiquidLaunches
from simenv.physics.liquid.model import LiquidModel
from simenv.physics.solver import Desk, Stepper, Tensors

__all__ = ["LiquidStepper"]

MOTION = ("x", "v", "C")


class LiquidStepper(Stepper):
    """Steps an incompressible liquid.

    Args:
        model: what it is; desk: what to work with.
    """

    def __init__(self, model: LiquidModel, desk: Desk):
        self.desk, self.model = desk, model
        self.liquid = LiquidLaunches(model, desk.dt, desk.ticks, desk.memory)
        self.liquid.state(0)

    def _phase(self, launches: list[Any], reverse: bool = False) -> Phase:
        return [commands(launches, self.desk.memory.wp_device, reverse), *([] for _ in range(self.desk.lanes - 1))]

    def _step(self, tick: int, keep: bool) -> list[Any]:
        before, after = (tick, tick + 1) if keep else (tick % 2, (tick + 1) % 2)
        liquid = self.liquid
        return liquid.step(tick, liquid.state(before), liquid.work(tick if keep else 0), liquid.state(after))

    def _last(self, keep: bool) -> int:
        return self.desk.ticks if keep else self.desk.ticks % 2

    def forward(self, tick: int, keep: bool) -> list[Phase]:
        """A tick."""
        return [self._phase(self._step(tick, keep))]

    def backward(self, tick: int) -> list[Phase]:
        """The adjoint of a tick."""
        return [self._phase(self._step(tick, True), True)]

    def begin(self) -> None:
        """Forget the faults of the control step before."""
        self.liquid.failed.tensor.zero_()
        self.liquid.status.tensor.zero_()
        for each in self._felt():
            each.tensor.zero_()

    def kernels(self, backward: bool) -> Iterable[wp.Kernel]:
        """Those of the launches."""
        for launch in self._step(0, True):
            yield from launch.kernels()

    def _felt(self) -> list[Slot]:
        """Forces and torques of colliders, summed over ticks."""
        solids = self.liquid.solids
        return [] if solids is None else [solids.force, solids.torque]

    def _entries(self) -> dict[str, Slot]:
        solids = self.liquid.solids
        return {**self.liquid.state(0), **self.liquid.inputs, **({} if solids is None else solids.inputs)}

    def load(self, inputs: Mapping[str, torch.Tensor]) -> None:
        """``x``, ``v``, ``C``, ``active``, ``volume``, parameters, and colliders' motion by name."""
        for name, slot in self._entries().items():
            if name in inputs:
                slot.tensor.copy_(inputs[name].reshape(slot.tensor.shape))

    def results(self, keep: bool) -> Tensors:
        """The state, mean ``force`` and ``torque`` of colliders, how many solves ``failed``, and the ``status``."""
        found = {name: slot.tensor for name, slot in self.liquid.state(self._last(keep)).items()}
        for name, slot in zip(("force", "torque"), self._felt(), strict=False):
            found[name] = slot.tensor / self.desk.ticks
        return {**found, "failed": self.liquid.failed.tensor, "status": self.liquid.status.tensor}

    def seed(self, adjoints: Mapping[str, torch.Tensor]) -> None:
        """Adjoints of the state at the end."""
        for name, slot in self.liquid.state(self.desk.ticks).items():
            if name in adjoints:
                slot.adjoint.copy_(adjoints[name])
        for name, slot in zip(("force", "torque"), self._felt(), strict=False):
            if name in adjoints:
                slot.adjoint.copy_(adjoints[name] / self.desk.ticks)

    def adjoints(self) -> Tensors:
        """Adjoints of what was loaded."""
        solids, ticks = self.liquid.solids, self.desk.ticks
        found = {name: slot.adjoint for name, slot in self._entries().items() if name != "active"}
        if solids is not None:
            moving = {name: found[name] for name in solids.motion}
            found |= {name: each.unflatten(1, (ticks, solids.count)) for name, each in moving.items()}
        return found
