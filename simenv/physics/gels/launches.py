# SPDX-License-Identifier: Apache-2.0
"""The launches of one gel in a control step: it sees its object, answers with its force field, and pushes both bodies.

The kernels are those of `simenv.sensors.tactile.TactileField`, so that what a sensor reads is what the bodies feel.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import warp as wp

from simenv.physics.bodies.kernels_motion import motion_kernels
from simenv.physics.bodies.model import GelMount
from simenv.physics.bridge import as_array, warp_real
from simenv.physics.device import warp_device
from simenv.physics.gels.contact import Contact
from simenv.physics.gels.convolution import Response
from simenv.physics.gels.elastic import ElasticLayerGel
from simenv.physics.gels.kernels_elastic import elastic_kernels
from simenv.physics.gels.winkler import WinklerGel
from simenv.physics.launch.slots import Launch, Memory, Slot

__all__ = ["GelLaunches", "gel_launches", "gel_parameters"]


class Touching(Protocol):
    """What the launches need of a sensor: the gel, its queries of the object, and what it computed in advance."""

    gel: Any
    contact: Contact
    prepared: Any


class GelLaunches:
    """What all laws share. Lists have one entry for the start of a control step and one for the end of each substep.

    Args:
        mount: where the gel sits and what it touches.
        sensor: its taxels, law, and the shape it touches.
        lead: how far ahead it sees its object [s].
        memory: makes the arrays.

    Attributes:
        inputs: parameters by name, the same in all substeps.
        stick: displacement of the gel that friction holds (N, P, 2).
        view: pose of the object in the gel's frame.
        readings: force field (N, P, 3), depth (N, P) and wrench (N, 2, 3), of substeps only.
    """

    parameters: ClassVar[tuple[str, ...]]

    def __init__(self, mount: GelMount, sensor: Touching, lead: float, memory: Memory):
        self.mount, self.contact, self.lead, self.memory = mount, sensor.contact, lead, memory
        self.motion = k = motion_kernels(warp_real(memory.dtype))
        self.taxels = sensor.contact.grid.count
        self.inputs = {name: memory.slot(k.real) for name in self.parameters}
        self.stick = [memory.slot(k.vec2, self.taxels)]
        self.view = [(memory.slot(k.mat33), memory.slot(k.vec3))]
        self.readings: list[tuple[Slot, Slot, Slot]] = []
        self._still = memory.slot(k.vec3)  # the gels' own damping is off: their lead damps

    def answer(self, depth: Slot, slide: Slot, rate: Slot, field: Slot, kept: Slot) -> Launch:
        """The launch that turns depths and slides into forces and the new stick displacement."""
        raise NotImplementedError

    def substep(self, pose: list[Slot], grip: Slot, sums: tuple[Slot, Slot, Slot]) -> list[Launch]:
        """The launches of one more substep, which add to the bodies' forces and torques and to the gripper's squeeze.

        Args:
            pose: places, quaternions, velocities and angular velocities of the bodies.
            grip: opening of the gripper and its rate.
            sums: forces, torques, squeeze.
        """
        k, slot, mount, one = self.motion, self.memory.slot, self.mount, (self.memory.worlds,)
        rotation, offset, place, turn = slot(k.mat33), slot(k.vec3), slot(k.vec3), slot(k.quat)
        depth, slide, rate = slot(k.real, self.taxels), slot(k.vec2, self.taxels), slot(k.real, self.taxels)
        field, kept, total = slot(k.vec3, self.taxels), slot(k.vec2, self.taxels), slot(k.vec3, 2, sums=True)
        columns, _, wrench = self.contact.operations
        arm, each, still = k.vec3(*mount.slide), (self.memory.worlds, self.taxels), self._still
        frame = [mount.sensor, mount.item, k.vec3(*mount.position), k.quat(*mount.quaternion), arm]
        frame += [k.vec3(*mount.local), k.quat(*mount.local_turn), self.lead]
        answer = self.answer(depth, slide, rate, field, kept)
        before = self.view[-1]
        self.view.append((rotation, offset))
        self.stick.append(kept)
        self.readings.append((field, depth, total))
        back = [pose[0], pose[1], place, turn, total]
        return [
            Launch(k.gel_view, one, frame, [*pose, grip], [rotation, offset, place, turn]),
            Launch(columns.kernel, each, columns.constants, [rotation, offset, *before, still, still],
                   [depth, slide, rate]),
            answer,
            Launch(wrench.kernel, each, wrench.constants, [field, depth], [total]),
            Launch(k.gel_forces, one, [mount.sensor, mount.item, arm], back, list(sums)),
        ]  # fmt: skip

    def entries(self) -> dict[str, Slot]:
        """What a control step starts from."""
        rotation, offset = self.view[0]
        return {"stick": self.stick[0], "rotation": rotation, "offset": offset, **self.inputs}

    def results(self) -> dict[str, Slot]:
        """What it ends with; the readings are those of the last substep."""
        (rotation, offset), (field, depth, total) = self.view[-1], self.readings[-1]
        result = {"stick": self.stick[-1], "rotation": rotation, "offset": offset}
        return {**result, "field": field, "depth": depth, "total": total}


class SpringLaunches(GelLaunches):
    """A `WinklerGel`."""

    parameters = ("k_n", "k_t", "mu")

    def __init__(self, mount: GelMount, sensor: Touching, lead: float, memory: Memory):
        super().__init__(mount, sensor, lead, memory)
        self._undamped = memory.slot(self.motion.real)

    def answer(self, depth: Slot, slide: Slot, rate: Slot, field: Slot, kept: Slot) -> Launch:
        _, springs, _ = self.contact.operations
        gel = [*self.inputs.values(), self._undamped]
        inputs = [depth, rate, slide, self.stick[-1], *gel]
        each = (self.memory.worlds, self.taxels)
        return Launch(springs.kernel, each, springs.constants, inputs, [field, kept])


class ElasticLaunches(GelLaunches):
    """An `ElasticLayerGel`. Each substep's solve starts from the forces of the one before.

    Attributes:
        before: the force field that a control step starts from.
        failed: solves that ended at their last iteration, counted over the step (N,).
    """

    parameters = ("modulus", "mu")

    def __init__(self, mount: GelMount, sensor: Touching, lead: float, memory: Memory):
        super().__init__(mount, sensor, lead, memory)
        real, k = warp_real(memory.dtype), self.motion
        self._kernels = elastic_kernels(real)
        self.before, self.failed = memory.slot(k.vec3, self.taxels), memory.slot(k.real, sums=True)
        prepared = sensor.prepared
        accuracy, responses = prepared.accuracy, (*prepared.own, prepared.bound)

        def table(response: Response) -> wp.array:
            return as_array(response.flat_table(), real)

        def scratch(kind: type, *shape: int) -> wp.array:
            return wp.zeros(shape, dtype=kind, device=warp_device(memory.device))

        worlds = (memory.worlds, self.taxels)
        limits = [accuracy.tolerance, accuracy.pressure_iterations, accuracy.traction_iterations]
        pressure, traction, sideways, bound = (table(r) for r in responses)
        self._constants = [
            prepared.own[0].convolution.columns, *limits, self.contact.areas, pressure, traction, sideways, bound,
        ]  # fmt: skip
        self._work = [scratch(int, *worlds), scratch(k.real, 6, *worlds), scratch(k.vec2, 5, *worlds)]

    def answer(self, depth: Slot, slide: Slot, rate: Slot, field: Slot, kept: Slot) -> Launch:
        before = self.readings[-1][0] if self.readings else self.before
        p, q = self.memory.slot(self.motion.real, self.taxels), self.memory.slot(self.motion.vec2, self.taxels)
        inputs = [depth, slide, self.stick[-1], before, *self.inputs.values()]
        respond, reverse = self._kernels.respond, self._kernels.respond_adjoint
        outputs = [field, kept, p, q, self.failed]
        return Launch(respond, (self.memory.worlds,), self._constants, inputs, outputs, reverse, self._work)

    def entries(self) -> dict[str, Slot]:
        return {**super().entries(), "before": self.before}

    def results(self) -> dict[str, Slot]:
        return {**super().results(), "failed": self.failed}


LAWS: dict[type, type[GelLaunches]] = {WinklerGel: SpringLaunches, ElasticLayerGel: ElasticLaunches}


def gel_parameters(gel: object) -> tuple[str, ...]:
    """Names of the numbers of a gel's law that become parameters of a world.

    Raises:
        TypeError: the law says nothing about the bodies' motion.
    """
    if type(gel) not in LAWS:
        known = " or ".join(law.__name__ for law in LAWS)
        raise TypeError(f"bodies need a gel whose forces are in newtons, {known}, not {type(gel).__name__}")
    return LAWS[type(gel)].parameters


def gel_launches(mount: GelMount, sensor: Touching, lead: float, memory: Memory) -> GelLaunches:
    """The launches of a gel, by its law."""
    return LAWS[type(sensor.gel)](mount, sensor, lead, memory)
