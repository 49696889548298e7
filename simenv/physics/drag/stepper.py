# SPDX-License-Identifier: Apache-2.0
"""The launches of the drag between gas and particles in some worlds.

In a tick it comes after the particles, so that spheres which fall steadily do so at the speed at which drag is their
weight, and before the gas, which begins with what it has gained, made free of divergence, by the gas itself where it
goes around obstacles. Velocities of both change in place, in the memory of their steppers: those before are kept beside
it, and the reverse sweep puts them back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import warp as wp

from simenv.physics.direct import warp_real
from simenv.physics.drag.kernels_drag import drag_kernels
from simenv.physics.gas.launches import FLOW
from simenv.physics.gas.stepper import GasStepper
from simenv.physics.launch.programs import Phase
from simenv.physics.launch.slots import Array, Flat, Launch, Slot, commands
from simenv.physics.mpm.solver import MPMStepper
from simenv.physics.pressure.levels import plain
from simenv.physics.solver import Desk, Stepper, Tensors

__all__ = ["DragStepper"]


class _Kept:
    """A copy of what is then overwritten: in reverse the original is what it was, and its adjoint that of the copy."""

    differentiable = True

    def __init__(self, kernel: wp.Kernel, original: Array | Flat, copy: Flat, count: int):
        self._kernel, self._original, self._copy, self._count = kernel, original, copy, count

    def forward(self, device: wp.Device) -> None:
        plain(self._kernel, (self._count,), [], [self._original], [self._copy]).forward(device)

    def backward(self, device: wp.Device) -> None:
        bars = [Array(each.adjoint_array) for each in (self._copy, self._original)]
        plain(self._kernel, (self._count,), [], bars[:1], bars[1:]).forward(device)
        plain(self._kernel, (self._count,), [], [self._copy], [self._original]).forward(device)

    def kernels(self) -> list[wp.Kernel]:
        return [self._kernel]


class DragStepper(Stepper):
    """Exchanges momentum between gas and particles.

    Args:
        desk: what to work with; materials: how many the particles have; origin: of the gas [m].
    """

    def __init__(self, desk: Desk, materials: int, origin: Sequence[float]):
        self.desk, self._origin = desk, tuple(origin)
        self._real = warp_real(desk.dtype)
        self._kernels = drag_kernels(self._real)
        self._diameter, self._grain = (desk.memory.slot(self._real, materials) for _ in range(2))
        self._ticks: list[dict[str, Slot]] = []
        self._gas: GasStepper
        self._particles: MPMStepper

    def meet(self, steppers: Mapping[str, Stepper]) -> None:
        """Know those of the gas and of the particles."""
        gas, particles = steppers["gas"], steppers["particles"]
        assert isinstance(gas, GasStepper)
        assert isinstance(particles, MPMStepper)
        self._gas, self._particles = gas, particles
        self._goes_on = gas.stir(self._before)

    def _before(self, tick: int, keep: bool) -> list[Slot] | None:
        """Velocities of the gas before the exchange of a tick; None where there is none."""
        now = self._slots(tick if keep else 0)
        return [now[f"{name}_was"] for name in FLOW] if len(self._particles.substeps_of(tick)) else None

    def _slots(self, number: int) -> dict[str, Slot]:
        """Of a tick: velocities before, of particles ``v`` and gas; how much particles yield, and what they bring; the
        gas that was dragged along, and what makes it free of divergence.
        """
        slot, real, grid = self.desk.memory.slot, self._real, self._gas.model.grid
        count = self._particles.model.particle_count
        while len(self._ticks) <= number:
            made = {name: slot(real, count) for name in ("share", "weight")}
            made["v"] = slot(self._kernels.vec3, count)
            for axis, name in enumerate(FLOW):
                parts = ("_was", "_mass", "_momentum", "_dragged")
                made |= {name + kind: slot(real, *grid.faces(axis)) for kind in parts}
            made |= {name: slot(real, *grid.shape) for name in ("b", "phi")}
            self._ticks.append(made)
        return self._ticks[number]

    def _launches(self, tick: int, keep: bool) -> list[Any]:
        """Those of a tick in which particles take a substep."""
        particles, substeps = self._particles, self._particles.substeps_of(tick)
        if not len(substeps):
            return []
        k, gas = self._kernels, self._gas.gas
        state, now = self._gas.begins(tick, keep), self._slots(tick if keep else 0)
        x, v = (particles.state_of(name, substeps[-1] + 1 if keep else 0) for name in ("x", "v"))
        worlds, count = self.desk.worlds, particles.model.particle_count
        was, flow = [now[f"{name}_was"] for name in FLOW], [state[name] for name in FLOW]
        dragged = flow if self._goes_on else [now[f"{name}_dragged"] for name in FLOW]
        made: list[Any] = [_Kept(k.keep_vectors, v, Flat(now["v"]), worlds * count)]
        for before, after in zip(was, flow, strict=True):
            made.append(_Kept(k.keep, Flat(after), Flat(before), math.prod(after.size)))
        kinds, cells, per_dx, origin = self._box()
        each, dt = (worlds, count), self.desk.dt * max(self.desk.ticks // particles.model.substeps, 1)
        constants = [kinds, cells, per_dx, origin, dt, count, *particles.marks()]
        inputs = [self._diameter, self._grain, gas.inputs["density"], gas.inputs["viscosity"], particles.volumes(), x]
        inputs += [Flat(now["v"]), *was]
        shares = [Flat(now["share"]), Flat(now["weight"])]
        made.append(Launch(k.yields, each, constants, inputs, shares))
        for axis, name in enumerate(FLOW):
            brought = [now[name + "_mass"], now[name + "_momentum"]]
            made += [plain(k.wipe, (math.prod(slot.size),), [], [], [Flat(slot)]) for slot in brought]
            constants = [kinds, cells, per_dx, origin, count]
            made.append(Launch(k.gather[axis], each, constants, [x, Flat(now["v"]), shares[1]], brought))
            constants = [kinds, wp.vec2i(*gas.projection.lanes), self._gas.model.dx**3]
            inputs = [gas.inputs["density"], *brought, was[axis]]
            made.append(Launch(k.meet[axis], gas.projection.dim(axis), constants, inputs, [dragged[axis]]))
        constants = [kinds, per_dx, origin, count]
        made.append(Launch(k.pull, each, constants, [shares[0], x, Flat(now["v"]), *dragged], [v]))
        return made if self._goes_on else made + gas.projection.project(dragged, flow, now["b"], now["phi"])

    def _box(self) -> list[Any]:
        model, k = self._gas.model, self._kernels
        return [k.Kinds(*model.kinds), wp.vec3i(*model.shape), 1.0 / model.dx, k.vec3(*self._origin)]

    def _phase(self, launches: Sequence[Any], reverse: bool = False) -> list[Phase]:
        if not launches:
            return []
        device, lanes = self.desk.memory.wp_device, self.desk.lanes
        return [[commands(launches, device, reverse), *([] for _ in range(lanes - 1))]]

    def forward(self, tick: int, keep: bool) -> list[Phase]:
        """The exchange of a tick."""
        return self._phase(self._launches(tick, keep))

    def backward(self, tick: int) -> list[Phase]:
        """Its adjoint."""
        return self._phase(self._launches(tick, True), True)

    def kernels(self, backward: bool) -> Iterable[wp.Kernel]:
        """Those of the launches."""
        for launch in self._launches(0, True):
            yield from launch.kernels()

    def load(self, inputs: Mapping[str, torch.Tensor]) -> None:
        """``diameter`` and ``grain`` (N, materials)."""
        self._diameter.tensor.copy_(inputs["diameter"])
        self._grain.tensor.copy_(inputs["grain"])

    def results(self, keep: bool) -> Tensors:
        """None: they are those of the gas and of the particles."""
        return {}

    def seed(self, adjoints: Mapping[str, torch.Tensor]) -> None:
        """Nothing: it has no results."""

    def adjoints(self) -> Tensors:
        """Adjoints of what was loaded."""
        return {"diameter": self._diameter.adjoint, "grain": self._grain.adjoint}
