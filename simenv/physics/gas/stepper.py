# SPDX-License-Identifier: Apache-2.0
"""The launches of the gas of some worlds in a control step.

With a gradient each tick keeps its velocities and scalars, what led to them, and the pressure; without, two sets take
turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
import warp as wp

from simenv.physics.gas.launches import FLOW, GasLaunches
from simenv.physics.gas.model import GasModel
from simenv.physics.launch.programs import Phase
from simenv.physics.launch.slots import Slot, commands
from simenv.physics.solver import Desk, Stepper, Tensors

__all__ = ["GasStepper"]


class GasStepper(Stepper):
    """Steps gas.

    Args:
        model: what it is; desk: what to work with.
    """

    def __init__(self, model: GasModel, desk: Desk):
        self.desk, self.model = desk, model
        self.gas = self._launches()
        self._entry = {**self.gas.entry, "scalar": self.gas.state(0)["scalar"]}

    def _launches(self) -> GasLaunches:
        return GasLaunches(self.model, self.desk.dt, self.desk.memory)

    def _phase(self, launches: list[Any], reverse: bool = False) -> Phase:
        return [commands(launches, self.desk.memory.wp_device, reverse), *([] for _ in range(self.desk.lanes - 1))]

    def _step(self, tick: int, keep: bool) -> list[Any]:
        before, after = (tick, tick + 1) if keep else (tick % 2, (tick + 1) % 2)
        gas = self.gas
        return gas.step(gas.state(before), gas.work(tick if keep else 0), gas.state(after))

    def begins(self, tick: int, keep: bool) -> dict[str, Slot]:
        """What a tick begins with, for whoever changes velocities before it."""
        return self.gas.state(tick if keep else tick % 2)

    def stir(self, before: Callable[[int, bool], Sequence[Slot] | None]) -> bool:
        """Know who changes velocities before ticks.

        Args:
            before: of a tick, and of whether it is kept, what velocities were before; None if they stay.

        Returns:
            Whether the tick makes these free of divergence, or else who changes them does.
        """
        return False

    def _last(self, keep: bool) -> int:
        return self.desk.ticks if keep else self.desk.ticks % 2

    def enter(self, keep: bool) -> list[Phase]:
        """The pressure's equation, which is that of all ticks, and the velocities of sides."""
        return [self._phase([*self.gas.projection.prepare(), *self.gas.enter()])]

    def leave(self) -> list[Phase]:
        """The adjoint of `enter`."""
        return [self._phase(self.gas.enter(), True)]

    def forward(self, tick: int, keep: bool) -> list[Phase]:
        """A step; the last is followed by a measurement of the divergence that is left."""
        made = self._step(tick, keep)
        if tick == self.desk.ticks - 1:
            state = self.gas.state(self._last(keep))
            made.append(self.gas.read(self.gas.work(tick if keep else 0)))
            made += self.gas.projection.see_spilled([state[name] for name in FLOW], self.gas.spare)
        return [self._phase(made)]

    def backward(self, tick: int) -> list[Phase]:
        """The adjoint of a step."""
        made = self._step(tick, True)
        if tick == self.desk.ticks - 1:
            made.append(self.gas.read(self.gas.work(tick)))
        return [self._phase(made, True)]

    def begin(self) -> None:
        """All faces are open, no solve has failed, and nothing was too fast."""
        self.gas.projection.reset()

    def kernels(self, backward: bool) -> Iterable[wp.Kernel]:
        """Those of the launches."""
        gas = self.gas
        spilled = gas.projection.see_spilled([gas.state(0)[name] for name in FLOW], gas.spare)
        every = [*gas.projection.prepare(), *gas.enter(), *self._step(0, True), gas.read(gas.work(0)), *spilled]
        for launch in every:
            yield from launch.kernels()

    def load(self, inputs: Mapping[str, torch.Tensor]) -> None:
        """``u``, ``v``, ``w``, ``scalar``, and the parameters and controls by name."""
        for name, slot in {**self._entry, **self.gas.inputs}.items():
            if name in inputs:
                slot.tensor.copy_(inputs[name].reshape(slot.tensor.shape))

    def results(self, keep: bool) -> Tensors:
        """The state, the ``pressure`` of the last step, what is ``spilled``, how many solves
        ``failed``, and in how many the gas ``rushed``.
        """
        state = self.gas.state(self._last(keep))
        projection = self.gas.projection
        found = {name: slot.tensor for name, slot in state.items() if name != "scalar" or self.model.scalars}
        return {
            **found, "pressure": self.gas.pressure.tensor, "spilled": projection.spilled.tensor,
            "failed": projection.failed.tensor, "rushed": projection.rushed.tensor,
        }  # fmt: skip

    def seed(self, adjoints: Mapping[str, torch.Tensor]) -> None:
        """Adjoints of the state and of the ``pressure``."""
        if "pressure" in adjoints:
            self.gas.pressure.adjoint.copy_(adjoints["pressure"])
        for name, slot in self.gas.state(self.desk.ticks).items():
            if name in adjoints:
                slot.adjoint.copy_(adjoints[name])

    def adjoints(self) -> Tensors:
        """Adjoints of what was loaded."""
        return {name: slot.adjoint for name, slot in {**self._entry, **self.gas.inputs}.items()}
