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
        self.liquid = LiquidLaunches(model, desk.dt, desk.ticks, desk.memory, desk.frames)
        self.liquid.state(0)

    def _phase(self, launches: list[Any], reverse: bool = False) -> Phase:
        return [commands(launches, self.desk.memory.wp_device, reverse), *([] for _ in range(self.desk.lanes - 1))]

    def _number(self, tick: int, keep: bool) -> int:
        return tick if keep else tick % 2

    def _step(self, tick: int, keep: bool) -> list[Any]:
        before, work = self.liquid.state(self._number(tick, keep)), self.liquid.work(tick if keep else 0)
        made = self.liquid.step(tick, keep, before, work)
        return made if self.liquid.bodies else [*made, *self._rest(tick, keep)]

    def _rest(self, tick: int, keep: bool) -> list[Any]:
        before, after = (self.liquid.state(self._number(each, keep)) for each in (tick, tick + 1))
        return self.liquid.finish(tick, keep, before, self.liquid.work(tick if keep else 0), after)

    def _last(self, keep: bool) -> int:
        return self.desk.ticks if keep else self.desk.ticks % 2

    def forward(self, tick: int, keep: bool) -> list[Phase]:
        """A tick, until it is known how bodies move that the liquid does."""
        return [self._phase(self._step(tick, keep))]

    def finish(self, tick: int, keep: bool) -> list[Phase]:
        """The rest of a tick, once such bodies have moved."""
        return [self._phase(self._rest(tick, keep))] if self.liquid.bodies else []

    def unfinish(self, tick: int) -> list[Phase]:
        """The adjoint of `finish`."""
        return [self._phase(self._rest(tick, True), True)] if self.liquid.bodies else []

    def backward(self, tick: int) -> list[Phase]:
        """The adjoint of `forward`."""
        return [self._phase(self._step(tick, True), True)]

    def begin(self) -> None:
        """Forget the faults of the control step before."""
        self.liquid.failed.tensor.zero_()
        self.liquid.status.tensor.zero_()
        for each in self._felt():
            each.tensor.zero_()

    def kernels(self, backward: bool) -> Iterable[wp.Kernel]:
        """Those of the launches."""
        for launch in [*self._step(0, True), *(self._rest(0, True) if self.liquid.bodies else [])]:
            yield from launch.kernels()

    def _felt(self) -> list[Slot]:
        """Forces and torques of colliders, summed over ticks."""
        solids = self.liquid.solids
        return [] if solids is None else [solids.force, solids.torque]

    def _entries(self) -> dict[str, Slot]:
        solids = self.liquid.solids
        solid = {} if solids is None else solids.inputs
        return {**self.liquid.state(0), **self.liquid.inputs, **solid, **self._owed(0)}

    def _owed(self, number: int) -> dict[str, Slot]:
        """What bodies have yet to get, if there are any."""
        return {} if self.liquid.bodies is None else {"owed": self.liquid.bodies.owed(number)}

    def _state(self, number: int) -> dict[str, Slot]:
        """What a control step hands on."""
        return {**self.liquid.state(number), **self._owed(number)}

    def load(self, inputs: Mapping[str, torch.Tensor]) -> None:
        """``x``, ``v``, ``C``, ``active``, ``volume``, parameters, and colliders' motion by name."""
        for name, slot in self._entries().items():
            if name in inputs:
                slot.tensor.copy_(inputs[name].reshape(slot.tensor.shape))

    def results(self, keep: bool) -> Tensors:
        """The state, with what bodies are ``owed``; mean ``force`` and ``torque`` of colliders; how many solves
        ``failed``, and the ``status``.
        """
        found = {name: slot.tensor for name, slot in self._state(self._last(keep)).items()}
        for name, slot in zip(("force", "torque"), self._felt(), strict=False):
            found[name] = slot.tensor / self.desk.ticks
        return {**found, "failed": self.liquid.failed.tensor, "status": self.liquid.status.tensor}

    def seed(self, adjoints: Mapping[str, torch.Tensor]) -> None:
        """Adjoints of the state at the end."""
        for name, slot in self._state(self.desk.ticks).items():
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
