# SPDX-License-Identifier: Apache-2.0
"""The launches that move robots in a tick, as trees of joints (kernels_robots.py).

With a gradient each tick keeps positions, rates, and what pushed; without, two sets take turns. The reverse sweep
computes links' motion and inertia again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
import warp as wp

from simenv.physics.bodies.forest import Forest
from simenv.physics.bodies.kernels_robots import robot_kernels
from simenv.physics.direct import warp_real
from simenv.physics.launch.programs import Phase
from simenv.physics.launch.slots import Launch, Slot
from simenv.physics.solver import Desk, Stepper, Tensors

__all__ = ["RobotStepper"]

PER_RATE = ("target", "rate", "feed", "stiffness", "damping", "viscous", "armature")


class RobotStepper(Stepper):
    """Moves the robots of a scene.

    Args:
        forest: the robots; desk: what to work with.
        alone: whether nothing else moves frames, and looks for faults of all, after it.
    """

    def __init__(self, forest: Forest, desk: Desk, alone: bool):
        self.forest, self.desk, self.frames, self._alone = forest, desk, desk.frames, alone
        self._kernels = k = robot_kernels(warp_real(desk.dtype))
        slot, nv, links = desk.memory.slot, forest.rates, len(forest)
        self._inputs = {name: slot(k.real, nv) for name in PER_RATE}
        self._inputs |= {"gravity": slot(k.vec3), "inertial": slot(k.real, links, 10)}
        self._felt = [slot(k.vec3, len(forest.rows)) for _ in range(2)]
        self._joints: list[tuple[Slot, Slot]] = []
        self._midway: list[Slot] = []
        self._driven: list[list[Slot]] = []
        self._pushed: list[list[Slot]] = []
        self._constants()

    def _array(self, values: Any, kind: type) -> wp.array:
        where = self.desk.memory.wp_device
        return wp.array(np.ascontiguousarray(values, dtype=np.int32 if kind is int else None), dtype=kind, device=where)

    def _constants(self) -> None:
        k, forest = self._kernels, self.forest
        self._trees, self._rows = k.Trees(), k.Rows()
        for name in ("first", "parent", "kind", "q_start", "v_start"):
            setattr(self._trees, name, self._array(getattr(forest, name), int))
        for name, kind in {"place": k.vec3, "turn": k.quat, "axis": k.vec3}.items():
            setattr(self._trees, name, self._array(getattr(forest, name), kind))
        rows = {"own": forest.own, "row": forest.rows, "link": forest.on}
        for name, values in rows.items():
            setattr(self._rows, name, self._array(values, int))
        self._rows.place = self._array(forest.frame_place, k.vec3)
        self._rows.turn = self._array(forest.frame_turn, k.quat)
        self._position = self._array(forest.position, int)
        nv, links = forest.rates, len(forest)
        rates = ("axis_spin", "axis_speed", "pull_moment", "pull_force", "weight", "rest")
        rates += ("acceleration", "rates", "v", "a", "easing")
        self._work = []
        for struct in (k.Motion, k.Articulated, k.Swept, k.Spare):
            made = struct()
            for name, var in struct.vars.items():
                count = nv if name in rates else forest.positions if name == "q" else links
                shape = (self.desk.worlds, count, 10) if var.type.ndim == 3 else (self.desk.worlds, count)
                setattr(made, name, wp.zeros(shape, dtype=var.type.dtype, device=self.desk.memory.wp_device))
            self._work.append(made)

    # --------------------------------------------------------------------------------------------------- slots

    def joints(self, number: int) -> tuple[Slot, Slot]:
        """Positions (N, nq) and rates (N, nv)."""
        slot, real = self.desk.memory.slot, self._kernels.real
        while len(self._joints) <= number:
            self._joints.append((slot(real, self.forest.positions), slot(real, self.forest.rates)))
        return self._joints[number]

    def _tick_slots(self, number: int) -> tuple[Slot, list[Slot], list[Slot]]:
        """Positions midway; torque and easing of drives; forces, torques and their places, of links."""
        k, slot, forest = self._kernels, self.desk.memory.slot, self.forest
        while len(self._midway) <= number:
            self._midway.append(slot(k.real, forest.positions))
            self._driven.append([slot(k.real, forest.rates) for _ in range(2)])
            self._pushed.append([slot(k.vec3, len(forest)) for _ in range(3)])
        return self._midway[number], self._driven[number], self._pushed[number]

    # ------------------------------------------------------------------------------------------------ the launches

    def _publish(self, number: int) -> Launch:
        k, one = self._kernels, (self.desk.worlds,)
        work = [self._work[0], *self._work[2:]]
        pose, joints = self.frames.pose(number), self.joints(number)
        return Launch(k.publish, one, [self._trees, self._rows], joints, pose, k.publish_adjoint, work)

    def _tick(self, tick: int, keep: bool) -> list[Launch]:
        k, frames, desk, inputs, forest = self._kernels, self.frames, self.desk, self._inputs, self.forest
        before, after, work = frames.before(tick, keep), frames.after(tick, keep), frames.scratch(tick, keep)
        (q, v), (q_after, v_after) = self.joints(before), self.joints(after)
        midway, driven, pushed = self._tick_slots(work)
        each_link, each_rate, one = (desk.worlds, len(forest)), (desk.worlds, forest.rates), (desk.worlds,)
        trees, half = self._trees, 0.5 * desk.dt
        felt = [self._rows, 1.0 / desk.ticks]
        place = [frames.pose(before)[0], *frames.wrench(work)]
        pulls = [midway, v, *(inputs[name] for name in PER_RATE)]
        moved = [midway, v, *driven, inputs["gravity"], *pushed, inputs["inertial"]]
        return [
            Launch(k.drift, each_link, [trees, half], [q, v], [midway]),
            Launch(k.drive, each_rate, [desk.dt, self._position], pulls, driven),
            Launch(k.collect, one, [trees, *felt], place, [*pushed, *self._felt], k.collect_adjoint),
            Launch(k.advance, one, [trees, desk.dt], moved, [v_after], k.advance_adjoint, self._work),
            Launch(k.drift, each_link, [trees, half], [midway, v_after], [q_after]),
            self._publish(after),
            *([frames.see_faults(after)] if self._alone else []),
        ]  # fmt: skip

    def _opening(self) -> list[Launch]:
        return [self._publish(0)]

    def enter(self, keep: bool) -> list[Phase]:
        """Links take their places, and the means over the control step begin at zero."""
        return [self.frames.phase([self.frames.clear(*self._felt), *self._opening()])]

    def forward(self, tick: int, keep: bool) -> list[Phase]:
        """Robots move by what the other solvers added to the wrenches of their links in this tick."""
        return [self.frames.phase(self._tick(tick, keep))]

    def backward(self, tick: int) -> list[Phase]:
        """The adjoint of `forward`, which gives those of the wrenches."""
        return [self.frames.phase(self._tick(tick, True), True)]

    def leave(self) -> list[Phase]:
        """The adjoint of `enter`."""
        return [self.frames.phase(self._opening(), True)]

    def kernels(self, backward: bool) -> Iterable[wp.Kernel]:
        """Those of its launches."""
        for each in (*self._opening(), *self._tick(0, True)):
            yield from each.kernels() if backward else [each.kernel]

    # ----------------------------------------------------------------------------------------------------- numbers

    def _entries(self) -> dict[str, Slot]:
        return {**self._inputs, **dict(zip(("joint_q", "joint_qd"), self.joints(0), strict=True))}

    def _leaving(self, number: int) -> dict[str, Slot]:
        return dict(zip(("joint_q", "joint_qd", "felt", "felt_turn"), (*self.joints(number), *self._felt), strict=True))

    def load(self, inputs: Mapping[str, torch.Tensor]) -> None:
        """``joint_q`` (N, nq), ``joint_qd``, and of every rate (N, nv) what `drive` reads; ``gravity``, ``inertial``."""
        for name, slot in self._entries().items():
            slot.tensor.copy_(inputs[name])

    def results(self, keep: bool) -> Tensors:
        """``joint_q`` and ``joint_qd`` at the end, and ``felt`` and ``felt_turn`` of the frames (N, R, 3)."""
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


