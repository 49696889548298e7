# SPDX-License-Identifier: Apache-2.0
"""The launches of a step of gas: what carries it, lifts it, and makes it free of divergence.

A step has two stages of Heun's method, each with a projection, so that it is of second order in time: the mean of
where it starts and where two steps one after the other lead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import warp as wp

from simenv.physics.direct import warp_real
from simenv.physics.gas.confinement import Confinement
from simenv.physics.gas.kernels_average import average_kernels
from simenv.physics.gas.kernels_force import force_kernels
from simenv.physics.gas.kernels_force_adjoint import force_adjoint_kernels
from simenv.physics.gas.kernels_scalar import scalar_kernels
from simenv.physics.gas.kernels_scalar_adjoint import scalar_adjoint_kernels
from simenv.physics.gas.kernels_seat import seat_kernels
from simenv.physics.gas.model import GasModel
from simenv.physics.gas.projection import Projection
from simenv.physics.gas.transport import Transport
from simenv.physics.launch.slots import Launch, Memory, Slot

__all__ = ["FLOW", "GasLaunches"]

FLOW = ("u", "v", "w")
ENTERING = 4.0  # times the tolerance: what a step has left may enter the next as it is


class GasLaunches:
    """The slots and launches of gas in some worlds.

    Args:
        model: what the gas is; dt: of a step [s]; memory: makes slots.

    Attributes:
        inputs: parameters and controls by name, the same in all steps of a control step.
        projection: makes velocities free of divergence; spare: cells to work in.
        entry: the state that a control step is given; seated: with the velocities of sides; pressure: at its end [Pa].
    """

    obstructed = False  # whether anything stands in the box

    def __init__(self, model: GasModel, dt: float, memory: Memory):
        self.model, self.memory, self._dt = model, memory, dt
        real = warp_real(memory.dtype)
        self._scalar, self._force = scalar_kernels(real), force_kernels(real)
        self._unscalar, self._unforce = scalar_adjoint_kernels(real), force_adjoint_kernels(real)
        self._sums, self._seat, vec3 = average_kernels(real), seat_kernels(real), self._force.vec3
        self.projection = Projection(
            model.grid, model.kinds, model.accuracy, model.dx / dt, memory, self.obstructed
        )  # fmt: skip
        self._real, slot = real, memory.slot
        scalars, sources = len(model.scalars), len(model.places)
        self.inputs: dict[str, Slot] = {
            "density": slot(real), "viscosity": slot(real), "gravity": slot(vec3), "speed": slot(vec3, 6),
            "diffusivity": slot(real, max(scalars, 1)), "lightness": slot(real, max(scalars, 1)),
            "rest": slot(real, max(scalars, 1)), "value": slot(real, 6 * max(scalars, 1)),
            "drive": slot(vec3, max(sources, 1)), "rate": slot(real, max(scalars * sources, 1)),
        }  # fmt: skip
        self._confinement = Confinement(model, dt, memory, self.projection) if model.confinement else None
        if self._confinement:
            self.inputs["confinement"] = slot(real)
        device = memory.wp_device
        self._profile = wp.array(model.profile, dtype=real, device=device)
        self._transport = None if self.obstructed else Transport(model, dt, memory, self._profile)
        self._held = wp.array(model.held, dtype=int, device=device)
        places = np.concatenate(model.places) if sources else np.zeros((1, 1, 1))
        self._place = wp.array(places, dtype=real, device=device)
        self.pressure = slot(real, *model.shape)
        self.spare = slot(real, *model.shape, differentiable=False)
        self.entry = self._fields()
        self.seated = {**self._fields(), "b": slot(real, *model.shape), "phi": slot(real, *model.shape)}
        self._states: list[dict[str, Slot]] = []
        self._work: list[dict[str, Slot]] = []

    def _fields(self, suffix: str = "") -> dict[str, Slot]:
        grid, slot, real = self.model.grid, self.memory.slot, self._real
        nx, ny, nz = grid.shape
        made = {name + suffix: slot(real, *grid.faces(axis)) for axis, name in enumerate(FLOW)}
        scalars = len(self.model.scalars)
        return {**made, "scalar" + suffix: slot(real, scalars * nx, ny, nz) if scalars else slot(real, 1, 1, 1)}

    def state(self, number: int) -> dict[str, Slot]:
        """``u``, ``v``, ``w`` on faces [m/s], and ``scalar`` (N, S nx, ny, nz) of cells."""
        while len(self._states) <= number:
            self._states.append(self._fields())
        return self._states[number]

    def work(self, number: int) -> dict[str, Slot]:
        """What a step works in: of stages 1 and 2, velocities as carried and as lifted, scalars as carried, what flows
        out of cells, the pressure's ``phi``, and where the stage ends.
        """
        slot, real, shape = self.memory.slot, self._real, self.model.grid.shape
        while len(self._work) <= number:
            made: dict[str, Slot] = {}
            for stage in "12":
                made |= {**self._fields("_carried" + stage), **self._fields("_lifted" + stage), **self._fields(stage)}
                made |= {"b" + stage: slot(real, *shape), "phi" + stage: slot(real, *shape)}
                made |= self._confinement.slots(stage) if self._confinement else {}
            self._work.append(made)
        return self._work[number]

    def enter(self) -> list[Any]:
        """The launches from the entry, what a control step is given, to the first state: sides have velocities of their
        own, and what diverges, as gas that somebody set in motion may, is made free of it.
        """
        seated, first = ([each[name] for name in FLOW] for each in (self.seated, self.state(0)))
        entering = self.projection.project(seated, first, self.seated["b"], self.seated["phi"], ENTERING)
        return self.sit() + entering

    def sit(self) -> list[Any]:
        """The launches that give sides' faces of the entry these sides' velocities."""
        p, lanes = self.projection, wp.vec2i(*self.projection.lanes)
        return [
            Launch(
                self._seat.seat[axis], p.dim(axis), [p.kinds, lanes, self._profile],
                [self.inputs["speed"], self.entry[name]], [self.seated[name]],
            )
            for axis, name in enumerate(FLOW)
        ]  # fmt: skip

    def read(self, work: dict[str, Slot]) -> Launch:
        """The launch that reads the pressure off the last step."""
        constants = [wp.vec2i(*self.projection.lanes), self.model.dx / self._dt]
        inputs = [self.inputs["density"], work["phi2"]]
        return Launch(self._sums.press, self.projection.dim(None), constants, inputs, [self.pressure])

    def step(self, before: dict[str, Slot], work: dict[str, Slot], after: dict[str, Slot]) -> list[Any]:
        """The launches of a step."""
        made = self._stage(before, work, "1")
        middle, end = ({name: work[name + stage] for name in before} for stage in "12")
        made += self._stage(middle, work, "2")
        made += [self._mean(first, end[name], after[name]) for name, first in before.items() if self._has(name)]
        return made

    def _has(self, name: str) -> bool:
        return name != "scalar" or bool(self.model.scalars)

    def _mean(self, one: Slot, other: Slot, to: Slot) -> Launch:
        dim, lanes = (self.memory.worlds, one.size[1], *self.projection.lanes), wp.vec2i(*self.projection.lanes)
        return Launch(self._sums.average, dim, [lanes], [one, other], [to], self._sums.unaverage)

    def _stage(self, q: dict[str, Slot], work: dict[str, Slot], stage: str) -> list[Any]:
        assert self._transport is not None
        p, i = self.projection, self.inputs
        flow, moved = [q[name] for name in FLOW], [work[f"{name}_carried{stage}"] for name in FLOW]
        made: list[Any] = [self._transport.stage(flow, moved, i["viscosity"], i["speed"])]
        made += [self._lift(axis, q, moved[axis], work[f"{name}_lifted{stage}"]) for axis, name in enumerate(FLOW)]
        made += self._confine(flow, work, stage)
        if self.model.scalars:
            carried = work[f"scalar_carried{stage}"]
            made.append(self._carry_scalar(flow, q["scalar"], i["diffusivity"], carried))
            made.append(self._feed(carried, work["scalar" + stage]))
        lifted_flow = [work[f"{name}_lifted{stage}"] for name in FLOW]
        ends = [work[name + stage] for name in FLOW]
        return [*made, *p.project(lifted_flow, ends, work["b" + stage], work["phi" + stage])]

    def _lift(self, axis: int, q: dict[str, Slot], carried: Slot, lifted: Slot) -> Launch:
        """Buoyancy and sources act."""
        p, i, model = self.projection, self.inputs, self.model
        counts = [model.grid.shape[0], len(model.scalars), len(model.places)]
        constants = [p.kinds, wp.vec2i(*p.lanes), *counts, self._dt, self._place]
        inputs = [i["gravity"], i["lightness"], i["rest"], i["drive"], q["scalar"], carried]
        return Launch(self._force.lift[axis], p.dim(axis), constants, inputs, [lifted], self._unforce.lift[axis])

    def _confine(self, flow: Sequence[Slot], work: dict[str, Slot], stage: str) -> list[Launch]:
        """What turns is spun up, if the gas has confinement."""
        if not self._confinement:
            return []
        lifted = [work[f"{name}_lifted{stage}"] for name in FLOW]
        return self._confinement.act(
            flow, self.inputs["confinement"], work["turn" + stage], work["spun" + stage], lifted
        )  # fmt: skip

    def _of_scalars(self) -> tuple[int, ...]:
        return (self.memory.worlds, len(self.model.scalars) * self.model.grid.shape[0], *self.projection.lanes)

    def _carry_scalar(self, flow: Sequence[Slot], scalar: Slot, diffusivity: Slot, carried: Slot) -> Launch:
        model, p = self.model, self.projection
        nx, lanes = model.grid.shape[0], wp.vec2i(*p.lanes)
        constants = [p.kinds, lanes, nx, int(model.limited), self._dt, 1.0 / model.dx, self._held]
        inputs = [diffusivity, self.inputs["value"], *flow, scalar]
        k, back = self._scalar.carry_scalar, self._unscalar.carry_adjoint
        return Launch(k, self._of_scalars(), constants, inputs, [carried], back)

    def _feed(self, carried: Slot, fed: Slot) -> Launch:
        """Sources give scalars."""
        model, lanes = self.model, wp.vec2i(*self.projection.lanes)
        counts = [model.grid.shape[0], len(model.places), len(model.scalars)]
        constants = [lanes, *counts, self._dt, self._place]
        inputs = [self.inputs["rate"], carried]
        return Launch(self._force.feed, self._of_scalars(), constants, inputs, [fed], self._unforce.feed)
