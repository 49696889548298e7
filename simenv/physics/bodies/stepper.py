# SPDX-License-Identifier: Apache-2.0
"""The launches that move bodies in a tick: they take what pushes them, gravity, their drives' pull and the impulses of
stiff contact.

With a gradient each tick keeps the poses, velocities and contact memory that it starts from, its wrenches, and the
velocities before contact; without, two sets take turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
import warp as wp

from simenv.geometry.distance import distance_functions, pack_shapes
from simenv.physics.bodies.kernels_motion import motion_kernels
from simenv.physics.bodies.kernels_points import point_kernels
from simenv.physics.bodies.model import DRIVEN, FREE, BodiesModel
from simenv.physics.direct import warp_real
from simenv.physics.launch.programs import Phase
from simenv.physics.launch.slots import Launch, Slot
from simenv.physics.solver import Desk, Stepper, Tensors

__all__ = ["BodiesStepper"]

SUMS = ("push", "push_turn", "drive", "drive_turn", "felt", "felt_turn")  # means over the control step (N, B, 3)


class BodiesStepper(Stepper):
    """Moves the bodies of a model.

    Args:
        model: the bodies; desk: what to work with.
    """

    def __init__(self, model: BodiesModel, desk: Desk):
        self.model, self.desk, self.frames = model, desk, desk.frames
        moved = np.flatnonzero(np.isin(model.kinds, (FREE, DRIVEN)))
        if answering := self.frames.settle_answers(moved.tolist()):
            raise ValueError(
                f"bodies number {answering} of the table of frames are to answer what pushes them, which hands and "
                "bodies with coupling='contact' cannot; use coupling='rigid', or a robot"
            )
        real, memory = warp_real(desk.dtype), desk.memory
        self._motion, self._points = motion_kernels(real), point_kernels(real)
        self._constants(real)
        k, bodies = self._motion, len(model.kinds)
        slot = memory.slot
        self._inputs = {
            "mass": slot(k.real, bodies), "gravity": slot(k.vec3), "gains": slot(k.vec4, bodies),
            "goal": slot(k.vec3, bodies), "goal_turn": slot(k.quat, bodies), "contact": slot(k.vec4),
        }  # fmt: skip
        if self.frames.fingers:
            self._inputs["effort"] = slot(k.real)
        self._sums = {name: slot(k.vec3, bodies) for name in SUMS}
        self._nears: list[Slot] = []
        self._held: list[Slot] = []
        self._work: list[list[Slot]] = []

    def _constants(self, real: type) -> None:
        model, k, device = self.model, self._motion, self.desk.memory.wp_device

        def array(values: np.ndarray, kind: type) -> wp.array:
            return wp.array(np.ascontiguousarray(values), dtype=kind, device=device)

        self._kinds = array(model.kinds, int)
        self._inertia = array(np.where(model.inertia > 0.0, model.inertia, 1.0), k.vec3)
        self._pairs = wp.array(model.pairs.reshape(-1, 3), dtype=int, device=device)
        self._offsets = array(model.offsets, k.vec3)
        self._radii, self._shares = array(model.radii, real), array(model.shares, real)
        first = np.unique(model.groups, return_index=True)[1]  # whose body and shape are those of their group
        self._groups, self._extents = array(model.groups, int), array(model.extents, real)
        self._grouped = wp.array(model.pairs[first].reshape(-1, 3), dtype=int, device=device)
        if model.shapes:
            structs, values = pack_shapes(list(model.shapes), real)
            self._shapes = wp.array(structs, dtype=distance_functions(real).Shape, device=device)
            self._values = wp.array(values, dtype=real, device=device)

    # ------------------------------------------------------------------------------------------------ the launches

    def held(self, number: int) -> Slot:
        """Displacement along the surface that friction holds at each point (N, C, 3) [m]."""
        while len(self._held) <= number:
            self._held.append(self.desk.memory.slot(self._motion.vec3, len(self.model.pairs)))
        return self._held[number]

    def _scratch(self, number: int) -> list[Slot]:
        """Velocities before contact, and the impulses of contact, (N, B, 3)."""
        while len(self._work) <= number:
            self._work.append([self.desk.memory.slot(self._motion.vec3, len(self.model.kinds)) for _ in range(4)])
        return self._work[number]

    def enter(self, keep: bool) -> list[Phase]:
        """The means over the control step begin at zero."""
        sums = list(self._sums.values())
        return [self.frames.phase([self.frames.clear(*sums[i : i + 2]) for i in range(0, len(sums), 2)])]

    def _tick(self, tick: int, keep: bool) -> list[Launch]:
        k, model, frames, desk, inputs = self._motion, self.model, self.frames, self.desk, self._inputs
        before, after, work = frames.before(tick, keep), frames.after(tick, keep), frames.scratch(tick, keep)
        pose, moved, wrench = frames.pose(before), frames.pose(after), frames.wrench(work)
        free, turning, impulse, twist = self._scratch(work)
        each, share = (desk.worlds, len(model.kinds)), 1.0 / desk.ticks
        fixed = [desk.dt, share, self._kinds, self._inertia]
        pull = [inputs[name] for name in ("mass", "gravity", "gains", "goal", "goal_turn")]
        sums = self._sums
        means = [sums[name] for name in ("drive", "drive_turn", "felt", "felt_turn")]
        launches = [
            frames.clear(impulse, twist),
            Launch(k.free_motion, each, fixed, [*pull, *pose, *wrench], [free, turning, *means]),
            *self._stiff((before, work, after), pose, [free, turning], [impulse, twist]),
            Launch(
                k.advance, each, fixed, [inputs["mass"], *pose[:2], free, turning, impulse, twist],
                [*moved, sums["push"], sums["push_turn"]],
            ),
        ]  # fmt: skip
        launches.append(frames.see_faults(after))
        if frames.fingers:
            gripper = model.gripper
            fixed = [desk.dt, gripper.mass, gripper.damping, gripper.widest]
            felt = [inputs["effort"], frames.squeeze(work), frames.grip(before)]
            launches.append(Launch(k.advance_grip, (desk.worlds,), fixed, felt, [frames.grip(after)]))
        return launches

    def _near(self, number: int) -> Slot:
        """Whether points of each group may touch (N, groups)."""
        while len(self._nears) <= number:
            self._nears.append(self.desk.memory.slot(wp.int32, len(self.model.extents)))
        return self._nears[number]

    def _stiff(
        self, numbers: tuple[int, int, int], pose: list[Slot], free: list[Slot], sums: list[Slot]
    ) -> list[Launch]:
        before, work, after = numbers
        k, count, worlds = self._points, len(self.model.pairs), self.desk.worlds
        if count == 0:
            return []
        law, shapes = self._inputs["contact"], [self.desk.dt, self._shapes, self._values]
        grouped, near = [*shapes, self._grouped, self._extents], self._near(work)
        fixed = [*shapes, self._pairs, self._offsets, self._radii, self._shares, self._groups, self._inertia]
        inputs = [self._inputs["mass"], law, *pose, *free, near, self.held(before)]
        groups = (worlds, len(self.model.extents))
        return [
            Launch(k.see_near, groups, grouped, [law, *pose[:2], *free], [near], differentiable=False),
            Launch(k.point_impulses, (worlds, count), fixed, inputs, [*sums, self.held(after)]),
        ]

    def forward(self, tick: int, keep: bool) -> list[Phase]:
        """Bodies move by what the other solvers added to their wrenches in this tick."""
        return [self.frames.phase(self._tick(tick, keep))]

    def backward(self, tick: int) -> list[Phase]:
        """The adjoint of `forward`, which gives those of the wrenches."""
        return [self.frames.phase(self._tick(tick, True), True)]

    def kernels(self, backward: bool) -> Iterable[wp.Kernel]:
        """Those of its launches."""
        yield from (each.kernel for each in self._tick(0, True))

    # ----------------------------------------------------------------------------------------------------- numbers

    def _entries(self) -> dict[str, Slot]:
        named = dict(self._inputs)
        if len(self.model.pairs):
            named["held"] = self.held(0)
        if self.frames.fingers:
            named["grip"] = self.frames.grip(0)
        return named

    def _leaving(self, number: int) -> dict[str, Slot]:
        named = dict(self._sums)
        if len(self.model.pairs):
            named["held"] = self.held(number)
        if self.frames.fingers:
            named["grip"] = self.frames.grip(number)
        return named

    def load(self, inputs: Mapping[str, torch.Tensor]) -> None:
        """``mass`` (N, B), ``gravity``, ``gains`` (N, B, 4), ``goal``, ``goal_turn``, ``contact`` (N, 4), and where
        there are points ``held``, with fingers ``grip`` and ``effort``.
        """
        for name, slot in self._entries().items():
            slot.tensor.copy_(inputs[name])

    def results(self, keep: bool) -> Tensors:
        """`SUMS`, and ``held`` and ``grip`` where there are any."""
        last = self.frames.before(self.desk.ticks, keep)
        return {name: slot.tensor for name, slot in self._leaving(last).items()}

    def seed(self, adjoints: Mapping[str, torch.Tensor]) -> None:
        """Adjoints of the results."""
        for name, slot in self._leaving(self.desk.ticks).items():
            if name in adjoints:
                slot.adjoint.copy_(adjoints[name])

    def adjoints(self) -> Tensors:
        """Adjoints of what was loaded."""
        return {name: slot.adjoint for name, slot in self._entries().items()}
