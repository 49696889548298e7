# SPDX-License-Identifier: Apache-2.0
"""The launches of a step of gas around obstacles.

Obstacles are where they will be at the end of the step, as far as their twists at its start say. Both stages make the
velocity free of divergence there; the second does so with the mean of where the step starts and where it leads, which
is the same as the mean of both where nothing moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import warp as wp

from simenv.physics.flow.obstacles import Cut, Obstacles
from simenv.physics.gas.kernels_cut import gas_cut_kernels
from simenv.physics.gas.kernels_gaps import gap_kernels
from simenv.physics.gas.kernels_react import react_kernels
from simenv.physics.gas.launches import ENTERING, FLOW, GasLaunches
from simenv.physics.gas.model import GasModel
from simenv.physics.launch.slots import Launch, Memory, Slot

__all__ = ["GasAround"]

# cells from obstacles, within which faces give these momentum: walls act over two, and move by one in a step
REACH = 3.0


class GasAround(GasLaunches):
    """The slots and launches of gas around obstacles in some worlds.

    Args:
        model: what the gas is; dt: of a step [s]; memory: makes slots; obstacles: what it goes around.
    """

    obstructed = True

    def __init__(self, model: GasModel, dt: float, memory: Memory, obstacles: Obstacles):
        super().__init__(model, dt, memory)
        self.obstacles = obstacles
        self._cut, self._react = gas_cut_kernels(self._real), react_kernels(self._real)
        self._gaps = gap_kernels(self._real)
        self._nothing = memory.slot(self._real, max(len(model.scalars), 1))  # no diffusion, where fluxes carry scalars
        self._firsts: list[dict[str, Slot]] = []
        self._more: list[dict[str, Slot]] = []

    def work(self, number: int) -> dict[str, Slot]:
        """What a step works in, beside that of `GasLaunches`: of stages 1 and 2, the flux of gas and solids, the
        velocity that is carried, and what faces took from each other; the mean of where the second leads and where the
        step starts, what solids gained, and, ``_late``, what they gain of being elsewhere than foreseen.
        """
        made = super().work(number)
        while len(self._more) <= number:
            more: dict[str, Slot] = {}
            for stage in "12":
                for suffix in ("_flow", "_calm", "_taken"):
                    more |= {name + suffix + stage: self._of_faces(axis) for axis, name in enumerate(FLOW)}
                more["scalar_spread" + stage] = self.memory.slot(self._real, *made["scalar1"].size[1:])
            for suffix in ("_mean", "_gained", *(("_late",) if self.obstacles.yields else ())):
                more |= {name + suffix: self._of_faces(axis) for axis, name in enumerate(FLOW)}
            self._more.append(more)
        return {**made, **self._more[number]}

    def _of_faces(self, axis: int) -> Slot:
        return self.memory.slot(self._real, *self.model.grid.faces(axis))

    def read(self, work: dict[str, Slot]) -> Launch:
        """The launch that reads the pressure off the last step."""
        constants = [wp.vec2i(*self.projection.lanes), self.model.dx / self._dt]
        inputs = [self.inputs["density"], work["phi1"], work["phi2"]]
        return Launch(self._cut.press, self.projection.dim(None), constants, inputs, [self.pressure])

    def around(
        self, before: dict[str, Slot], work: dict[str, Slot], after: dict[str, Slot], was: Cut, now: Cut
    ) -> list[Any]:  # fmt: skip
        """The launches of a step, from what is free of divergence around obstacles as they were to what is so now."""
        p = self.projection
        made = self._carried(before, work, "1", was)
        lifted, middle = ([work[name + suffix] for name in FLOW] for suffix in ("_lifted1", "1"))
        made += p.project(lifted, middle, work["b1"], work["phi1"], faces=now)
        made += self._carried({name: work[name + "1"] for name in before}, work, "2", now)
        made += [self._mean(work[name + "_calm1"], work[name + "_lifted2"], work[name + "_mean"]) for name in FLOW]
        mean, end = [work[name + "_mean"] for name in FLOW], [after[name] for name in FLOW]
        made += p.project(mean, end, work["b2"], work["phi2"], faces=now)
        if self.model.scalars:
            made.append(self._mean(before["scalar"], work["scalar2"], after["scalar"]))
        return made

    def _carried(self, q: dict[str, Slot], work: dict[str, Slot], stage: str, cut: Cut) -> list[Any]:
        p, model = self.projection, self.model
        lanes, flow = wp.vec2i(*p.lanes), [work[f"{name}_flow{stage}"] for name in FLOW]
        made: list[Any] = []
        for axis, name in enumerate(FLOW):
            inputs = [cut.open[axis], cut.solid[axis], q[name]]
            made.append(Launch(self._cut.mix[axis], p.dim(axis), [lanes], inputs, [flow[axis]]))
            calm = work[f"{name}_calm{stage}"]
            made.append(Launch(self._gaps.calm[axis], p.dim(axis), [p.kinds, lanes], inputs, [calm]))
        for axis, name in enumerate(FLOW):
            carried, taken = work[f"{name}_carried{stage}"], work[f"{name}_taken{stage}"]
            constants = [p.kinds, lanes, self._dt, 1.0 / model.dx, self._profile]
            inputs = [self.inputs["viscosity"], self.inputs["speed"], *flow]
            inputs += [cut.open[axis], cut.solid[axis], cut.distance[axis], cut.clear[axis]]
            inputs.append(work[f"{name}_calm{stage}"])
            made.append(Launch(self._cut.carry[axis], p.dim(axis), constants, inputs, [taken, carried]))
            made.append(self._lift(axis, q, carried, work[f"{name}_lifted{stage}"]))
        made += self._confine(flow, work, stage)
        if model.scalars:
            carried, spread = work[f"scalar_carried{stage}"], work[f"scalar_spread{stage}"]
            made.append(self._carry_scalar(flow, q["scalar"], self._nothing, carried))
            factor = self._dt / model.dx**2
            constants = [p.kinds, lanes, model.grid.shape[0], factor, self._held]
            inputs = [self.inputs["diffusivity"], self.inputs["value"], *cut.open, q["scalar"], carried]
            made.append(Launch(self._react.spread, self._of_scalars(), constants, inputs, [spread]))
            made.append(self._feed(spread, work["scalar" + stage]))
        return made

    def react(
        self, before: dict[str, Slot], work: dict[str, Slot], was: Cut, now: Cut, felt: Sequence[Slot]
    ) -> list[Any]:  # fmt: skip
        """The launches that add to forces [N] and torques [N m] on obstacles those of a step, mean over it."""
        p, dx, dt, made = self.projection, self.model.dx, self._dt, []
        gained = [work[name + "_gained"] for name in FLOW]
        for axis, name in enumerate(FLOW):
            inputs = [self.inputs["gravity"], was.open[axis], was.drift[axis], now.open[axis], now.distance[axis]]
            inputs.append(before[name])
            for stage, start in (("1", work[name + "_calm1"]), ("2", work[name + "1"])):
                inputs += [start, work[f"{name}_taken{stage}"], work[f"{name}_carried{stage}"], work["phi" + stage]]
            constants = [p.kinds, wp.vec2i(*p.lanes), REACH * dx, dt]
            made.append(Launch(self._react.react[axis], p.dim(axis), constants, inputs, [gained[axis]]))
        return made + self.obstacles.gather(now, dx**3 / dt, *self._of_gas(), gained, felt)

    def first(self, number: int) -> dict[str, Slot]:
        """What a step begins with, free of divergence around obstacles as it finds them: ``u``, ``v``, ``w``; how it
        became so, ``b`` and ``phi``; and what obstacles gained by it, ``u_struck`` and so on.
        """
        while len(self._firsts) <= number:
            made = {name + suffix: self._of_faces(axis) for suffix in ("", "_struck") for axis, name in enumerate(FLOW)}
            made |= {name: self.memory.slot(self._real, *self.model.shape) for name in ("b", "phi")}
            self._firsts.append(made)
        return self._firsts[number]

    def start(
        self, q: dict[str, Slot], was: Sequence[Slot] | None, first: dict[str, Slot], now: Cut, felt: Sequence[Slot]
    ) -> list[Any]:  # fmt: skip
        """The launches that make a state free of divergence, and that add what obstacles feel of it.

        Args:
            q: the state.
            was: velocities before somebody changed them; solids have their share of the change.
            first: `first`.
            now: obstacles.
            felt: to which is added.
        """
        p = self.projection
        before, after = [q[name] for name in FLOW], [first[name] for name in FLOW]
        made = p.project(before, after, first["b"], first["phi"], ENTERING, now)
        struck = [first[name + "_struck"] for name in FLOW]
        for axis in range(3):
            constants = [p.kinds, wp.vec2i(*p.lanes)]
            inputs = [now.open[axis], first["phi"]]
            made.append(Launch(self._react.press_on[axis], p.dim(axis), constants, inputs, [struck[axis]]))
            if was is not None:
                inputs = [now.open[axis], was[axis], before[axis]]
                made.append(Launch(self._react.hand_on[axis], p.dim(axis), constants[1:], inputs, [struck[axis]]))
        factor = self.model.dx**3 / self._dt
        return made + self.obstacles.gather(now, factor, *self._of_gas(), struck, felt, turns=False)

    def found(
        self, q: dict[str, Slot], number: int, seen: Cut, now: Cut, felt: Sequence[Slot]
    ) -> list[Any]:  # fmt: skip
        """The launches that say what obstacles feel [N, N m] of being elsewhere than a step has seen them.

        Args:
            q: where the step has led.
            number: of the step.
            seen: where it has seen them.
            now: where they are.
            felt: to which is added.
        """
        p, work = self.projection, self.work(number)
        late = [work[name + "_late"] for name in FLOW]
        made: list[Any] = []
        for axis, name in enumerate(FLOW):
            inputs = [seen.open[axis], seen.drift[axis], now.open[axis], q[name]]
            constants = [p.kinds, wp.vec2i(*p.lanes)]
            made.append(Launch(self._react.reopen[axis], p.dim(axis), constants, inputs, [late[axis]]))
        factor = self.model.dx**3 / self._dt
        return made + self.obstacles.gather(now, factor, *self._of_gas(), late, felt, turns=False)

    def _of_gas(self) -> tuple[Slot, Slot]:
        return self.inputs["density"], self.inputs["viscosity"]
