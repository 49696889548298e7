# SPDX-License-Identifier: Apache-2.0
"""The launches that move robots in a tick, as trees of joints (kernels_robots.py).

With a gradient each tick keeps positions, rates, what pushed, and the factor of the inertia that the reverse sweep
solves with; without, two sets take turns. The reverse sweep computes links' motion again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import warp as wp

from simenv.physics.bodies.answers import Answers
from simenv.physics.bodies.forest import Forest, longest_path
from simenv.physics.bodies.kernels_collide import collide_kernels
from simenv.physics.bodies.kernels_drive import drive_kernels
from simenv.physics.bodies.kernels_loops import loop_kernels
from simenv.physics.bodies.kernels_robots import robot_kernels
from simenv.physics.bodies.kernels_settle import settle_kernels
from simenv.physics.bodies.kernels_unsettle import unsettle_kernels
from simenv.physics.bodies.midpoint import Midpoint, without
from simenv.physics.bodies.robot_slots import Numbered, Sunk, array_of, struct_of, tick_slots, tree_arrays
from simenv.physics.bodies.robot_space import WorkSpace, by_address
from simenv.physics.bodies.tool_launches import Orders, ToolLaunches, commands_of
from simenv.physics.bodies.touching import Touching, contact_arrays, limit_arrays, loop_arrays
from simenv.physics.direct import warp_real
from simenv.physics.launch.denormals import Flush
from simenv.physics.launch.programs import Phase
from simenv.physics.launch.slots import Launch, Slot
from simenv.physics.solver import Desk, Stepper, Tensors
from simenv.physics.status import TOO_MANY_CONTACTS, UNCONVERGED

__all__ = ["RobotStepper"]

TOLD = ("target", "rate", "feed")  # of commands, those of steps before too
PULLS = ("stiffness", "damping", "viscous", "armature")
PER_RATE = (*PULLS, "friction")


class RobotStepper(Stepper):
    """Moves the robots of a scene, and the free bodies that touch.

    Args:
        forest: the trees; touching: where they may touch; desk: what to work with.
        fixed: rows of the frames that stand still.
        alone: whether it passes these on, and looks for faults of all: no other solver of frames does after it.
        seen: whether any solver sees the frames of its links, or pushes them; else these have their places at the end.
        midpoint: whether forces that depend on rates are those of the middle of a tick.

    Attributes:
        joints: positions (N, nq) and rates (N, nv), by number.
        anchor: displacement that friction holds at each contact (N, C, 3) [m], and the speed at which it has been
            closing (N, C) [m/s], by number.
    """

    def __init__(
        self, forest: Forest, touching: Touching, desk: Desk, fixed: Sequence[int], alone: bool, seen: bool,
        midpoint: bool,
    ):  # fmt: skip
        self.forest, self.touching, self.desk, self.frames = forest, touching, desk, desk.frames
        real = warp_real(desk.dtype)
        self._answers = answers = Answers(forest, desk, real, self._array)
        self._alone, self._fixed, self._foresees, self._seen = alone, list(fixed), midpoint, seen or answers.any
        self._kernels, self._collide = robot_kernels(real), collide_kernels(real)
        self._settle, self._unsettle = settle_kernels(real, answers.any), unsettle_kernels(real, answers.any)
        self._drive, self._bind = drive_kernels(real), loop_kernels(real)
        k, slot, nv, links = self._kernels, desk.memory.slot, forest.rates, len(forest)
        self._points, self._loops = len(touching.slots), len(touching.loops)
        self._meets = bool(self._points or self._loops)
        self._inputs = {name: slot(k.real, nv) for name in PER_RATE}
        told = nv * (1 + commands_of(forest.delay, desk.dt, desk.ticks)[1])
        self._inputs |= {name: slot(k.real, told) for name in TOLD}
        self._inputs |= {"gravity": slot(k.vec3), "inertial": slot(k.real, links, 10)}
        self._law = slot(self._collide.vec10, max(len(touching.slots.laws), 1))
        if self._points:
            self._inputs["law"] = self._law
        self._felt = [slot(k.vec3, len(forest.rows)) for _ in range(2)]
        self._sink = slot(k.real, nv)
        self._flush = Flush(desk.dtype, desk.memory.wp_device)
        points, loops, frames = self._points, self._loops, len(touching.bodies) if self._meets else 0
        self.joints = Numbered(lambda: (slot(k.real, forest.positions), slot(k.real, nv)))
        self.anchor = Numbered(lambda: (slot(k.vec3, points), slot(k.real, points)))
        self._slots = Numbered(lambda: tick_slots(slot, k, forest, frames, points, loops))
        self._constants()

    def _array(self, values: Any, kind: type) -> wp.array:
        where = self.desk.memory.wp_device
        return wp.array(np.ascontiguousarray(values, dtype=np.int32 if kind is int else None), dtype=kind, device=where)

    def _constants(self) -> None:
        k, forest, touching = self._kernels, self.forest, self.touching
        self._trees, self._rows = tree_arrays(forest, k, self._array)
        self._position = self._array(forest.position, int)
        link_of = np.full(len(touching.bodies), -1)
        link_of[forest.rows] = forest.on
        self._link_of = self._array(link_of, int)
        others = np.flatnonzero(link_of < 0)
        self._others = self._array(others, int), self._array(~np.isin(others, self._fixed), int)
        self._still = self._array(self._fixed, int), self._array(np.zeros(len(self._fixed)), int)
        self._contacts, self._shapes, self._values = contact_arrays(touching, self.desk.dt, self._collide, self._array)
        self._room = max(min(self._points, touching.room), 1)
        kinds = SimpleNamespace(Limits=self._settle.Limits, real=k.real)
        limits = limit_arrays(touching, forest, self.desk.dt, kinds, self._array, self._room)
        self._tied = loop_arrays(touching, self.desk.dt, self._bind, self._array)
        self._width = 2 * longest_path(forest)
        worlds, where = self.desk.worlds, self.desk.memory.wp_device
        self._limits = by_address(limits, where)
        # on a CPU one thread has all worlds: each thread of a launch copies the kernel's arguments
        self._block = worlds if where.is_cpu else 1
        sizes = (len(forest), forest.positions, forest.rates, self._room, self._width, self._loops)
        space = WorkSpace(worlds, where.is_cpu, *sizes, where)
        # a kick has the motion that `publish` has left, where bodies meet
        self._work = [space.make(k.Motion, kept=self._meets), space.make(k.Articulated)]
        self._work += [space.make(self._unsettle.Swept), space.make(k.Spare, a=forest.rates)]
        self._touch = by_address(space.make(self._settle.Touch), where)
        self._orders = Orders(forest, self.desk, touching.joint_eases, self._drive, self._array)
        self._tools = ToolLaunches(forest, self.desk, k.real, self._array, space.make)
        self._inputs |= self._tools.inputs
        self._midpoint = Midpoint(forest, self.desk, k, k.real, len(forest.tools) > 0) if self._foresees else None
        if self._foresees:
            s = self._settle
            self._apart = without(self._contacts, s.Contacts), by_address(without(limits, s.Limits, "loop_"), where)

    # ------------------------------------------------------------------------------------------------ the launches

    def _blocks(self) -> tuple[int]:
        return (-(-self.desk.worlds // self._block),)

    def _publish(self, q: Any, v: Any, pose: Sequence[Slot]) -> Launch:
        k, fixed, work = self._kernels, [self._block, self._trees, self._rows], [self._work[0], *self._work[2:]]
        return Launch(k.publish, self._blocks(), fixed, [q, v], pose, k.publish_adjoint, work)

    def _pushed(self, tick: int, keep: bool) -> list[Launch]:
        """Drift to the middle of the tick, and what pulls and pushes there beside contact."""
        k, frames, desk, inputs = self._kernels, self.frames, self.desk, self._inputs
        before, work = frames.before(tick, keep), frames.scratch(tick, keep)
        v, now = self.joints(before)[1], self._slots(work)
        place = [frames.pose(before)[0], *frames.wrench(work)]
        d, motors = self._drive, self._tools.slots(work).motors
        pulls = [now.q, v, *(inputs[name] for name in TOLD), motors, *(inputs[name] for name in PULLS)]
        order = [self._block, desk.dt, self._orders.left(tick), self._position, self._orders.told(tick)]
        space = [self._work[0], *self._work[2:]]
        collect = [self._trees, self._rows, 1.0 / desk.ticks]
        launches = [
            self._drift(tick, keep),
            *self._tools.launches(tick, work, self._trees, (now.q, v), inputs, space),
            Launch(d.drive, self._blocks(), order, pulls, now.driven, d.drive_adjoint),
        ]
        if not self._seen:  # nothing pushes: what it would collect stays zero
            return launches
        felt = [*now.pushed, *self._felt]
        launches.append(Launch(k.collect, (desk.worlds,), collect, place, felt, k.collect_adjoint))
        return [*launches, *self._answers.collect(work, self._rows, place[0])]

    def _drift(self, tick: int, keep: bool) -> Launch:
        """To the middle of a tick: from where joints are at its beginning or, where nobody asked for that, from the
        middle of the tick before.
        """
        frames, desk = self.frames, self.desk
        (q, v), time = self.joints(frames.before(tick, keep)), 0.5 * desk.dt
        if tick and not self._is_shown(tick - 1):
            q, time = self._slots(frames.scratch(tick - 1, keep)).q, desk.dt
        to = self._slots(frames.scratch(tick, keep)).q
        return Launch(self._kernels.drift, (desk.worlds,), [self._trees, time], [q, v], [to])

    def _meet(self, tick: int, keep: bool) -> list[Launch]:
        """Where bodies touch in the middle of the tick."""
        k, frames, desk, points = self._collide, self.frames, self.desk, self._points
        before, work = frames.before(tick, keep), frames.scratch(tick, keep)
        now = self._slots(work)
        look, shapes = [self._contacts, desk.dt], [self._contacts, self._shapes, self._values]
        launches = [
            *self._elsewhere(frames.pose(before), now.was), self._publish(now.q, self.joints(before)[1], now.was),
        ]  # fmt: skip
        if points:
            seen, one = [*now.was, self._law], (desk.worlds,)
            launches.append(Launch(k.see_near, one, look, seen, [now.near], differentiable=False))
            launches.append(Launch(k.collide, one, shapes, [now.near, *now.was[:2]], now.met))
        if self._loops:
            launches.append(Launch(self._bind.span, (desk.worlds, self._loops), [self._tied], now.was[:2], now.open))
        return launches

    def _elsewhere(self, pose: Sequence[Slot], out: Sequence[Slot]) -> list[Launch]:
        """Frames that others move, in the middle of the tick."""
        return self._carried_on(self._others, 0.5 * self.desk.dt, pose, out)

    def _carried_on(
        self, rows: tuple[wp.array, wp.array], time: float, pose: Sequence[Slot], out: Sequence[Slot]
    ) -> list[Launch]:  # fmt: skip
        if not len(rows[0]):
            return []
        return [Launch(self._collide.midway, (self.desk.worlds, len(rows[0])), [time, *rows], pose, out)]

    def _kick(self, tick: int, keep: bool) -> list[Launch]:
        """By all forces; where these are those of the middle of the tick, after a kick that foresees rates there."""
        frames = self.frames
        work, v_after = frames.scratch(tick, keep), self.joints(frames.after(tick, keep))[1]
        now, v = self._slots(work), self.joints(frames.before(tick, keep))[1]
        if self._midpoint is None:
            return [self._kicked(tick, keep, now.driven, [v_after, now.spent], now.factor)]
        ahead, fixed = self._midpoint.slots(work), [self._block, self._trees]
        space = [self._work[0], *self._work[2:]]
        return [
            self._kicked(tick, keep, now.driven, [ahead.rates, ahead.spent], ahead.factor, True),
            self._midpoint.launch(
                ahead, self._blocks(), fixed, (now.q, v), now.driven[0], self._inputs["inertial"], space
            ),
            self._kicked(tick, keep, [ahead.torques, *now.driven[1:]], [v_after, now.spent], now.factor),
        ]

    def _kicked(
        self, tick: int, keep: bool, driven: list[Slot], out: list[Slot], factor: list[Slot], apart: bool = False
    ) -> Launch:
        """A kick; `apart` without contact and loops."""
        k, frames, desk, inputs = self._settle, self.frames, self.desk, self._inputs
        before, after, work = frames.before(tick, keep), frames.after(tick, keep), frames.scratch(tick, keep)
        now = self._slots(work)
        contacts, limits = self._apart if apart else (self._contacts, self._limits)
        fixed = [
            self._block, self._trees, self._rows, desk.dt, contacts, limits, self._tools.struct, self._answers.lends,
            self._link_of, self._room, self._width, int(self._meets and self._midpoint is None),
            int(self._meets and not apart),
        ]  # fmt: skip
        given = [now.q, self.joints(before)[1], *driven, self._tools.slots(work).hard]
        given += [inputs["gravity"], *now.pushed, self._answers.lent(work), inputs["inertial"]]
        touched = [*now.met, now.was[0], *now.was[2:], *self.anchor(before), self._law, inputs["friction"]]
        given += [*touched, *now.open, *now.felt, *self.anchor(after), *now.bound]
        work_space = [partial(struct_of, self._kernels.Factor, factor), *self._work, self._touch]
        work_space += [partial(array_of, slot) for slot in now.now[2:]]
        return Launch(k.kick, self._blocks(), fixed, given, out, self._unsettle.kick_adjoint, work_space)

    def _tell(self, tick: int, keep: bool) -> list[Launch]:
        """What the kick has changed, to pushers that answer."""
        frames = self.frames
        before, work = frames.before(tick, keep), frames.scratch(tick, keep)
        joints = [self._slots(work).q, self.joints(before)[1], self.joints(frames.after(tick, keep))[1]]
        fixed, space = [self._block, self._trees, self._rows], [self._work[0], *self._work[2:]]
        return self._answers.tell(work, self._blocks(), fixed, joints, frames.pose(before)[0], self._felt, space)

    def _feel(self, tick: int, keep: bool) -> list[Launch]:
        """What contacts and loops do."""
        frames, desk = self.frames, self.desk
        before, after, work = frames.before(tick, keep), frames.after(tick, keep), frames.scratch(tick, keep)
        now = self._slots(work)
        launches = []
        if self._points:
            given = [now.was[0], *now.was[2:], *now.now[2:], *now.met, *self.anchor(before), self._law]
            out, one = [*now.felt, *self.anchor(after)], (desk.worlds,)
            launches.append(Launch(self._collide.feel, one, [self._contacts, desk.dt], given, out))
        if self._loops:
            given, size = [*now.open, now.was[0], *now.now[2:]], (desk.worlds, self._loops)
            launches.append(Launch(self._bind.bind, size, [self._tied, desk.dt], given, now.bound))
        return launches

    def _moved(self, tick: int, keep: bool) -> list[Launch]:
        """Drift to the end of the tick, where somebody looks."""
        k, frames, desk = self._kernels, self.frames, self.desk
        after, now = frames.after(tick, keep), self._slots(frames.scratch(tick, keep))
        q, v = self.joints(after)
        shown = []
        if self._is_shown(tick):
            half = [self._trees, 0.5 * desk.dt]
            shown.append(Launch(k.drift, (desk.worlds,), half, [now.q, v], [q]))
            shown.append(self._publish(q, v, frames.pose(after)))
        before = frames.pose(frames.before(tick, keep))
        return [*shown, *(self._carried_on(self._still, 0.0, before, frames.pose(after)) if self._alone else [])]

    def _tick(self, tick: int, keep: bool) -> list[Launch]:
        frames, desk = self.frames, self.desk
        after, now = frames.after(tick, keep), self._slots(frames.scratch(tick, keep))
        launches = self._pushed(tick, keep)
        if self._meets:
            launches += self._meet(tick, keep)
        launches += [*self._kick(tick, keep), *self._tell(tick, keep)]
        see, one = [TOO_MANY_CONTACTS, UNCONVERGED, self._touch], (desk.worlds,)
        launches.append(Launch(self._settle.see_failures, one, see, [], [frames.status], differentiable=False))
        if self._meets:
            launches += [
                *self._elsewhere(frames.pose(frames.before(tick, keep)), now.now), *self._feel(tick, keep),
            ]  # fmt: skip
        launches += self._moved(tick, keep)
        return [*launches, *([frames.see_faults(after)] if self._alone and self._is_shown(tick) else [])]

    def _is_shown(self, tick: int) -> bool:
        """Whether frames have their places after a tick."""
        return self._seen or tick == self.desk.ticks - 1

    def _undone(self, tick: int) -> list[Launch]:
        """What the reverse sweep of a tick runs, in the order of the tick. `feel` comes twice: at first it says what
        the rates after the kick matter to what it gives; and when `kick` has solved for what its impulses matter, for
        these, through all but the rates, which have been solved for.
        """
        if not self._meets:
            return self._tick(tick, True)
        frames = self.frames
        now, v_after = self._slots(tick), self.joints(frames.after(tick, True))[1]
        return [
            *self._pushed(tick, True), *self._meet(tick, True), *self._elsewhere(frames.pose(tick), now.now),
            self._publish(now.q, Sunk(v_after, self._sink), now.now), *self._feel(tick, True), *self._kick(tick, True),
            *self._tell(tick, True), self._publish(now.q, v_after, now.now), *self._feel(tick, True),
            *self._moved(tick, True),
        ]  # fmt: skip

    def _opening(self) -> list[Launch]:
        return [self._publish(*self.joints(0), self.frames.pose(0))] if self._seen else []

    def enter(self, keep: bool) -> list[Phase]:
        """Links take their places, and the means over the control step begin at zero."""
        return [self.frames.phase([self.frames.clear(*self._felt), *self._opening()])]

    def forward(self, tick: int, keep: bool) -> list[Phase]:
        """Robots move by what the other solvers added to the wrenches of their links in this tick."""
        return [self._phase(self._tick(tick, keep))]

    def backward(self, tick: int) -> list[Phase]:
        """The adjoint of `forward`, which gives those of the wrenches."""
        return [self._phase(self._undone(tick), True)]

    def _phase(self, launches: list[Launch], reverse: bool = False) -> Phase:
        phase = self.frames.phase(launches, reverse)
        return [self._flush(phase[0]), *phase[1:]]

    def leave(self) -> list[Phase]:
        """The adjoint of `enter`."""
        return [self.frames.phase(self._opening(), True)]

    def kernels(self, backward: bool) -> Iterable[wp.Kernel]:
        """Those of its launches."""
        for each in (*self._opening(), *self._tick(0, True), *self._moved(self.desk.ticks - 1, True)):
            yield from each.kernels() if backward else [each.kernel]
        yield from self._flush.kernels

    # ----------------------------------------------------------------------------------------------------- numbers

    def _carried(self, number: int) -> dict[str, Slot]:
        named = dict(zip(("joint_q", "joint_qd"), self.joints(number), strict=True))
        held = zip(("anchor", "closing"), self.anchor(number), strict=True) if self._points else ()
        return named | dict(held)

    def _entries(self) -> dict[str, Slot]:
        return {**self._inputs, **self._carried(0)}

    def _leaving(self, number: int, last: int) -> dict[str, Slot]:
        named = self._carried(number) | dict(zip(("felt", "felt_turn"), self._felt, strict=True))
        return named | ({"impulse": self._slots(last).felt[0]} if self._points else {})

    def load(self, inputs: Mapping[str, torch.Tensor]) -> None:
        """``joint_q`` (N, nq), ``joint_qd``, and of every rate (N, nv) what `drive` reads; ``gravity``,
        ``inertial``.
        """
        for name, slot in self._entries().items():
            slot.tensor.copy_(inputs[name])

    def results(self, keep: bool) -> Tensors:
        """``joint_q`` and ``joint_qd`` at the end, and ``felt`` and ``felt_turn`` of the frames (N, R, 3)."""
        ticks, frames = self.desk.ticks, self.frames
        leaving = self._leaving(frames.before(ticks, keep), frames.scratch(ticks - 1, keep))
        return {name: slot.tensor for name, slot in leaving.items()}

    def seed(self, adjoints: Mapping[str, torch.Tensor]) -> None:
        """Adjoints of the results."""
        for name, slot in self._leaving(self.desk.ticks, self.desk.ticks - 1).items():
            if name in adjoints:
                slot.adjoint.copy_(adjoints[name])

    def adjoints(self) -> Tensors:
        """Adjoints of what was loaded."""
        return {name: slot.adjoint for name, slot in self._entries().items()}
