# SPDX-License-Identifier: Apache-2.0
"""The launches of one gel in a tick: it sees its object, answers with its force field, and pushes both bodies.

The kernels are those of `simenv.sensors.tactile.TactileField`, so that what a sensor reads is what the bodies feel.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import warp as wp

from simenv.physics.bridge import as_array, warp_real
from simenv.physics.frames import Frames
from simenv.physics.gels.contact import Contact
from simenv.physics.gels.convolution import Response
from simenv.physics.gels.elastic import ElasticLayerGel
from simenv.physics.gels.kernels_elastic import elastic_kernels
from simenv.physics.gels.kernels_mount import mount_kernels
from simenv.physics.gels.kernels_springs import springs_kernels
from simenv.physics.gels.model import GelMount
from simenv.physics.gels.winkler import WinklerGel
from simenv.physics.launch.slots import Launch, Slot

__all__ = ["GelLaunches", "gel_launches", "gel_parameters"]


class Touching(Protocol):
    """What the launches need of a sensor: the gel, its queries of the object, and what it computed in advance."""

    gel: Any
    contact: Contact
    prepared: Any


class GelLaunches:
    """What all laws share. Slots are numbered as those of the table of frames: by the state that a tick starts from or
    ends with, and by what it works in.

    Args:
        mount: where the gel sits and what it touches.
        sensor: its taxels, law, and the shape it touches.
        lead: how far ahead it sees its object [s].
        frames: the table of frames.

    Attributes:
        inputs: parameters by name, the same in all ticks.
    """

    parameters: ClassVar[tuple[str, ...]]

    def __init__(self, mount: GelMount, sensor: Touching, lead: float, frames: Frames):
        self.mount, self.contact, self.lead, self.frames = mount, sensor.contact, lead, frames
        self.memory = memory = frames.memory
        self.types = k = mount_kernels(warp_real(memory.dtype))
        self.taxels = sensor.contact.grid.count
        self.inputs = {name: memory.slot(k.real) for name in self.parameters}
        self._states: list[dict[str, Slot]] = []
        self._work: list[dict[str, Slot]] = []

    def state(self, number: int) -> dict[str, Slot]:
        """``stick`` (N, P, 2): displacement that friction holds [m]; ``rotation`` and ``offset``: pose of the object in
        the gel's frame; ``field`` (N, P, 3): force on each taxel [N].
        """
        k, slot = self.types, self.memory.slot
        while len(self._states) <= number:
            made = {"stick": slot(k.vec2, self.taxels), "rotation": slot(k.mat33), "offset": slot(k.vec3)}
            self._states.append({**made, "field": slot(k.vec3, self.taxels)})
        return self._states[number]

    def work(self, number: int) -> dict[str, Slot]:
        """What a tick works in: ``place`` and ``turn`` of the gel, ``depth`` of the taxels, and the ``total`` wrench
        (N, 2, 3) in the gel's frame.
        """
        k, slot = self.types, self.memory.slot
        while len(self._work) <= number:
            made = {"place": slot(k.vec3), "turn": slot(k.quat), "total": slot(k.vec3, 2)}
            self._work.append({**made, "depth": slot(k.real, self.taxels), **self.more()})
        return self._work[number]

    def more(self) -> dict[str, Slot]:
        """What else the law works in."""
        return {}

    def answer(self, before: dict[str, Slot], work: dict[str, Slot], after: dict[str, Slot]) -> list[Launch]:
        """The launches from what the gel sees to its force field, its new stick displacement and its total wrench."""
        raise NotImplementedError

    def tick(self, tick: int, keep: bool) -> list[Launch]:
        """The launches of a tick, which add to the wrenches of both bodies and to the gripper's squeeze."""
        k, frames, mount, one = self.types, self.frames, self.mount, (self.memory.worlds,)
        now, number = frames.before(tick, keep), frames.scratch(tick, keep)
        before, work, after = self.state(now), self.work(number), self.state(frames.after(tick, keep))
        pose, view = frames.pose(now), [after["rotation"], after["offset"]]
        arm = k.vec3(*mount.slide)
        fixed = [mount.sensor, mount.item, k.vec3(*mount.position), k.quat(*mount.quaternion), arm]
        fixed += [k.vec3(*mount.local), k.quat(*mount.local_turn), self.lead]
        place = [work["place"], work["turn"]]
        return [
            Launch(k.gel_view, one, fixed, [*pose, frames.grip(now)], [*view, *place, work["total"]]),
            *self.answer(before, work, after),
            Launch(
                k.gel_forces, one, [mount.sensor, mount.item, arm], [*pose[:2], *place, work["total"]],
                [*frames.wrench(number), frames.squeeze(number)],
            ),
        ]  # fmt: skip

    def entries(self) -> dict[str, Slot]:
        """What a control step starts from."""
        state = self.state(0)
        return {name: state[name] for name in ("stick", "rotation", "offset")} | self.inputs

    def results(self, keep: bool) -> dict[str, Slot]:
        """What it ends with; the readings are those of the last tick."""
        ticks, frames = self.frames.ticks, self.frames
        work = self.work(frames.scratch(ticks - 1, keep))
        return self.state(frames.before(ticks, keep)) | {name: work[name] for name in ("depth", "total")}


class SpringLaunches(GelLaunches):
    """A `WinklerGel`."""

    parameters = ("k_n", "k_t", "mu")

    def __init__(self, mount: GelMount, sensor: Touching, lead: float, frames: Frames):
        super().__init__(mount, sensor, lead, frames)
        self._kernel = springs_kernels(self.types.real).feel

    def answer(self, before: dict[str, Slot], work: dict[str, Slot], after: dict[str, Slot]) -> list[Launch]:
        contact = self.contact
        fixed = [*contact.packed.arguments, contact.points, contact.frames, contact.areas]
        fixed += [contact.max_depth, contact.reach]
        view = [each[name] for each in (after, before) for name in ("rotation", "offset")]
        outputs = [work["depth"], after["field"], after["stick"], work["total"]]
        inputs = [*view, before["stick"], *self.inputs.values()]
        return [Launch(self._kernel, (self.memory.worlds, self.taxels), fixed, inputs, outputs)]


class ElasticLaunches(GelLaunches):
    """An `ElasticLayerGel`. Each tick's solve starts from the forces of the one before.

    Attributes:
        failed: solves that ended at their last iteration, counted over the step (N,).
    """

    parameters = ("modulus", "mu")

    def __init__(self, mount: GelMount, sensor: Touching, lead: float, frames: Frames):
        super().__init__(mount, sensor, lead, frames)
        memory, k = self.memory, self.types
        real = k.real
        self._kernels = elastic_kernels(real)
        self.failed = memory.slot(real)
        self._still = memory.slot(k.vec3)  # no velocity enters: the lead damps
        prepared = sensor.prepared
        accuracy, responses = prepared.accuracy, (*prepared.own, prepared.bound)

        def table(response: Response) -> wp.array:
            return as_array(response.flat_table(), real)

        def scratch(kind: type, *shape: int) -> wp.array:
            return wp.zeros(shape, dtype=kind, device=memory.wp_device)

        worlds = (memory.worlds, self.taxels)
        limits = [accuracy.tolerance, accuracy.pressure_iterations, accuracy.traction_iterations]
        pressure, traction, sideways, bound = (table(r) for r in responses)
        self._constants = [
            prepared.own[0].convolution.columns, *limits, self.contact.areas, pressure, traction, sideways, bound,
        ]  # fmt: skip
        self._space = [scratch(int, *worlds), scratch(real, 6, *worlds), scratch(k.vec2, 5, *worlds)]

    def more(self) -> dict[str, Slot]:
        slot, k = self.memory.slot, self.types
        made = {"slide": slot(k.vec2, self.taxels), "rate": slot(k.real, self.taxels)}
        return {**made, "p": slot(k.real, self.taxels), "q": slot(k.vec2, self.taxels)}

    def answer(self, before: dict[str, Slot], work: dict[str, Slot], after: dict[str, Slot]) -> list[Launch]:
        columns, _, wrench = self.contact.operations
        each, still = (self.memory.worlds, self.taxels), self._still
        view = [each_[name] for each_ in (after, before) for name in ("rotation", "offset")]
        found = [work[name] for name in ("depth", "slide", "rate")]
        inputs = [*found[:2], before["stick"], before["field"], *self.inputs.values()]
        respond, reverse = self._kernels.respond, self._kernels.respond_adjoint
        outputs = [after["field"], after["stick"], work["p"], work["q"], self.failed]
        return [
            Launch(columns.kernel, each, columns.constants, [*view, still, still], found),
            Launch(respond, (self.memory.worlds,), self._constants, inputs, outputs, reverse, self._space),
            Launch(wrench.kernel, each, wrench.constants, [after["field"], work["depth"]], [work["total"]]),
        ]

    def entries(self) -> dict[str, Slot]:
        return {**super().entries(), "field": self.state(0)["field"]}

    def results(self, keep: bool) -> dict[str, Slot]:
        return {**super().results(keep), "failed": self.failed}


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


def gel_launches(mount: GelMount, sensor: Touching, lead: float, frames: Frames) -> GelLaunches:
    """The launches of a gel, by its law."""
    return LAWS[type(sensor.gel)](mount, sensor, lead, frames)
