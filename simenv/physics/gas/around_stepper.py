# SPDX-License-Identifier: Apache-2.0
"""The launches of gas around obstacles in a control step.

With a gradient each tick keeps, beside what gas alone does, what obstacles make of the grid, the flux of gas and
solids, what these gain, and what bodies are owed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import warp as wp

from simenv.physics.flow.obstacles import Cut, Obstacle, Obstacles
from simenv.physics.gas.around import GasAround
from simenv.physics.gas.launches import FLOW
from simenv.physics.gas.model import GasModel
from simenv.physics.gas.owing import Owing
from simenv.physics.gas.stepper import GasStepper
from simenv.physics.launch.programs import Phase
from simenv.physics.launch.slots import Launch, Slot
from simenv.physics.solver import Desk, Tensors

__all__ = ["GasAroundStepper"]


class _Again:
    """Launches that only the reverse sweep runs, and which it runs first: they prepare an equation anew."""

    differentiable = True

    def __init__(self, launches: Sequence[Launch]):
        self._launches = launches

    def forward(self, device: wp.Device) -> None:
        """Nothing."""

    def backward(self, device: wp.Device) -> None:
        for launch in self._launches:
            launch.forward(device)

    def kernels(self) -> list[wp.Kernel]:
        return [kernel for launch in self._launches for kernel in launch.kernels()]


class GasAroundStepper(GasStepper):
    """Steps gas around obstacles.

    Args:
        model: what the gas is; origin: of its box [m]; obstacles: at least one; desk: what to work with.
        carried: what bodies take along, `carried_along`, by row of the table of frames.
    """

    gas: GasAround

    def __init__(
        self, model: GasModel, origin: Sequence[float], obstacles: Sequence[Obstacle], desk: Desk,
        carried: Mapping[int, np.ndarray] | None = None,
    ):  # fmt: skip
        self._obstacles = Obstacles(obstacles, model.grid, origin, model.dx, desk.memory, desk.frames)
        super().__init__(model, desk)
        self._rows = wp.array(np.arange(len(obstacles), dtype=np.int32), dtype=int, device=desk.memory.wp_device)
        self._drag = self._obstacles.new_felt()
        self._stirred: Callable[[int, bool], Sequence[Slot] | None] | None = None
        thrown = sorted({each.frame for each in obstacles if each.moves and not each.told})
        self._owing = Owing(thrown, carried or {}, desk) if thrown else None
        if self._owing is not None:
            self._entry["owed"] = self._owing.owed(0)

    def _launches(self) -> GasAround:
        return GasAround(self.model, self.desk.dt, self.desk.memory, self._obstacles)

    def _cuts(self, tick: int, keep: bool) -> tuple[Cut, Cut]:
        """What a tick finds, and what it foresees: the same where nothing moves; where all that moves does so as told,
        each tick finds what the one before foresaw, else what `finish` of the one before has left.
        """
        found, seen = 0, 0
        if self._obstacles.yields:
            found = 2 * tick if keep else 0
            seen = found + 1
        elif self._obstacles.moves:
            found, seen = (tick, tick + 1) if keep else (tick % 2, (tick + 1) % 2)
        return self._obstacles.cut(found), self._obstacles.cut(seen)

    def launches(self, tick: int, keep: bool) -> list[Any]:
        """Those of a tick, the first with what comes before."""
        return [*(self.gas.sit() if tick == 0 else []), *self._step(tick, keep)]

    def _step(self, tick: int, keep: bool) -> list[Any]:
        now, after = (tick, tick + 1) if keep else (tick % 2, (tick + 1) % 2)
        gas, number, frames = self.gas, tick if keep else 0, self.desk.frames
        obstacles, felt, prepare = self._obstacles, self._obstacles.felt(2 * number), self.gas.projection.prepare
        found, seen = self._cuts(tick, keep)
        pose = [] if frames is None else frames.pose(now)
        if frames is not None:
            frames.pose(after)  # which nobody else may ask for, where all bodies move as told
        made: list[Any] = [obstacles.clear(felt)]
        before, was = self.begins(tick, keep), None if self._stirred is None else self._stirred(tick, keep)
        if tick == 0:
            made += obstacles.place(pose, found)
        if tick == 0 or obstacles.yields:
            made += prepare(found)
        if tick == 0 or obstacles.yields or was is not None:
            first = gas.first(number)
            made += [*gas.start(before, was, first, found, felt), _Again(prepare(found))]
            before = {**before, **{name: first[name] for name in FLOW}}
        if obstacles.moves:
            made += [*obstacles.place(pose, seen, self.desk.dt), *prepare(seen)]
        work = gas.work(number)
        made += gas.around(before, work, gas.state(after), found, seen)
        made += gas.react(before, work, found, seen, felt)
        if obstacles.moves:
            made.append(obstacles.add_up(felt, frames.wrench(frames.scratch(tick, keep))))
        if self._owing is not None:
            made.append(self._owing.lend(tick, keep, gas.inputs["density"]))
        made.append(obstacles.add_up(felt, self._drag, self._rows, 1.0 / self.desk.ticks))
        return [*made, _Again(prepare(seen))] if obstacles.moves else made

    def enter(self, keep: bool) -> list[Phase]:
        """The velocities of sides; where obstacles are, the first tick sees."""
        return [self._phase(self.gas.sit())]

    def leave(self) -> list[Phase]:
        """The adjoint of `enter`."""
        return [self._phase(self.gas.sit(), True)]

    def begins(self, tick: int, keep: bool) -> dict[str, Slot]:
        """The first tick begins with what a control step is given."""
        begins = super().begins(tick, keep)
        return {**begins, **{name: self.gas.seated[name] for name in FLOW}} if tick == 0 else begins

    def stir(self, before: Callable[[int, bool], Sequence[Slot] | None]) -> bool:
        """The tick sees to the divergence, and to what obstacles feel of the change."""
        self._stirred = before
        return True

    def forward(self, tick: int, keep: bool) -> list[Phase]:
        """A step; the last is followed by a measurement of the divergence that is left."""
        made = self._step(tick, keep)
        if tick == self.desk.ticks - 1:
            state = self.gas.state(self._last(keep))
            made.append(self.gas.read(self.gas.work(tick if keep else 0)))
            flow = [state[name] for name in FLOW]
            made += self.gas.projection.see_spilled(flow, self.gas.spare, self._cuts(tick, keep)[1])
        return [self._phase(made)]

    def _owe(self, tick: int, keep: bool) -> list[Any]:
        if self._owing is None:
            return []
        number, frames, obstacles, gas = tick if keep else 0, self.desk.frames, self._obstacles, self.gas
        before, after = frames.pose(frames.before(tick, keep)), frames.pose(frames.after(tick, keep))
        felt, seen, now = obstacles.felt(2 * number + 1), self._cuts(tick, keep)[1], self._cuts(tick + 1, keep)[0]
        made = [obstacles.clear(felt), *obstacles.place(before, now, self.desk.dt, after)]
        made += gas.found(gas.state(frames.after(tick, keep)), number, seen, now, felt)
        made.append(obstacles.add_up(felt, self._drag, self._rows, 1.0 / self.desk.ticks))
        return [*made, self._owing.owe(tick, keep, gas.inputs["density"], obstacles.rows, felt)]

    def finish(self, tick: int, keep: bool) -> list[Phase]:
        """Bodies are where they have moved, and the next tick owes them what their responses have taken off their push,
        and what they gain of being elsewhere than foreseen.
        """
        return [self._phase(self._owe(tick, keep))]

    def unfinish(self, tick: int) -> list[Phase]:
        """The adjoint of `finish`."""
        return [self._phase(self._owe(tick, True), True)]

    def begin(self) -> None:
        """No solve has failed, nothing was too fast, and obstacles have felt nothing."""
        self.gas.projection.reset()
        for slot in self._drag:
            slot.tensor.zero_()

    def kernels(self, backward: bool) -> Iterable[wp.Kernel]:
        """Those of the launches."""
        gas = self.gas
        spilled = gas.projection.see_spilled([gas.state(0)[name] for name in FLOW], gas.spare, self._cuts(0, True)[1])
        for launch in [*gas.sit(), *self._step(0, True), *self._owe(0, True), gas.read(gas.work(0)), *spilled]:
            yield from launch.kernels()

    def results(self, keep: bool) -> Tensors:
        """Beside those of gas alone, the mean ``force`` and ``torque`` on each obstacle, and what is ``owed``."""
        force, torque = self._drag
        owed = {} if self._owing is None else {"owed": self._owing.owed(self._last(keep)).tensor}
        return {**super().results(keep), "force": force.tensor, "torque": torque.tensor, **owed}

    def seed(self, adjoints: Mapping[str, torch.Tensor]) -> None:
        """Beside those of gas alone, adjoints of the ``force``, the ``torque`` and what is ``owed``."""
        super().seed(adjoints)
        if "owed" in adjoints and self._owing is not None:
            self._owing.owed(self.desk.ticks).adjoint.copy_(adjoints["owed"])
        for name, slot in zip(("force", "torque"), self._drag, strict=True):
            if name in adjoints:
                slot.adjoint.copy_(adjoints[name])
