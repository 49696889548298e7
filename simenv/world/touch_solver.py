# SPDX-License-Identifier: Apache-2.0
"""One control step of rigid bodies in touch: K substeps of launches, forward and in reverse.

Each substep: every gel sees its object and answers with its force field (`touch_gels`); bodies take these forces,
gravity and their drives' impedance; stiff contact adds its impulses; bodies and gripper move. All values of all
substeps are kept, since the reverse sweep reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
import warp as wp

from simenv.geometry.distance import distance_functions, pack_shapes
from simenv.physics.bodies.arm import ArmLaunches
from simenv.physics.bodies.kernels_motion import motion_kernels
from simenv.physics.bodies.kernels_points import point_kernels
from simenv.physics.bodies.model import RigidModel
from simenv.physics.device import launch_graph, warp_device
from simenv.physics.gels.launches import gel_launches
from simenv.physics.launch.capture import record
from simenv.physics.launch.memory import require_memory
from simenv.physics.launch.slots import Launch, Memory, Slot
from simenv.sensors.tactile import TactileField

__all__ = ["BODY_FIELDS", "TouchSolver"]

BODY_FIELDS = ("position", "quaternion", "velocity", "omega")


class TouchSolver:
    """Steps N copies of a model by one control step at a time, and differentiates it.

    Args:
        model: the bodies.
        sensors: the gels, in the order of the model's mounts.
        worlds: N.
        dtype, device: of all tensors.
    """

    def __init__(
        self, model: RigidModel, sensors: Sequence[TactileField], worlds: int, dtype: torch.dtype, device: torch.device
    ):
        self.model, self.worlds = model, worlds
        self.dtype, self.device = dtype, device
        self.wp_device = warp_device(device)
        real = wp.float32 if dtype == torch.float32 else wp.float64
        self._motion, self._points = motion_kernels(real), point_kernels(real)
        self._memory = Memory(worlds, dtype, device)
        self._constants(real)
        self._gels = [
            gel_launches(mount, sensor, model.lead, self._memory)
            for mount, sensor in zip(model.mounts, sensors, strict=True)
        ]
        self._inputs = self._make_inputs()
        self._grip = [self._memory.slot(self._motion.vec2)]
        self._bodies = [self._body_slots()]
        self._held = [self._memory.slot(self._motion.vec3, len(model.pairs))]
        self._impulses: list[tuple[Slot, Slot]] = []
        arm = model.arm
        self._arm = None if arm is None else ArmLaunches(arm.chain, arm.drive, arm.hand, self._memory)
        self._program = [] if self._arm is None else [self._arm.motion(self._bodies[0])]
        self._program += [launch for _ in range(model.substeps) for launch in self._substep()]
        self._graphs: dict[bool, object] = {}
        self._require(gradient=False)
        self._memory.allocate()

    # ------------------------------------------------------------------------------------------- what never changes

    def _constants(self, real: type) -> None:
        model, k = self.model, self._motion
        self._kinds = self._array(model.kinds, int)
        self._inertia = self._array(np.where(model.inertia > 0.0, model.inertia, 1.0), k.vec3)
        self._pairs = wp.array(model.pairs.reshape(-1, 3), dtype=int, device=self.wp_device)
        self._offsets = self._array(model.offsets, k.vec3)
        self._radii, self._shares = self._array(model.radii, real), self._array(model.shares, real)
        if model.shapes:
            structs, values = pack_shapes(list(model.shapes), real)
            self._shapes = wp.array(structs, dtype=distance_functions(real).Shape, device=self.wp_device)
            self._values = wp.array(values, dtype=real, device=self.wp_device)

    def _array(self, values: np.ndarray, kind: type) -> wp.array:
        return wp.array(np.ascontiguousarray(values), dtype=kind, device=self.wp_device)

    def _make_inputs(self) -> dict[str, Slot]:
        """Parameters and control, the same in all substeps."""
        k, slot, bodies = self._motion, self._memory.slot, len(self.model.kinds)
        return {
            "mass": slot(k.real, bodies), "gravity": slot(k.vec3), "gains": slot(k.vec4, bodies),
            "goal": slot(k.vec3, bodies), "goal_turn": slot(k.quat, bodies), "effort": slot(k.real),
            "contact": slot(k.vec4),
        }  # fmt: skip

    def _body_slots(self) -> dict[str, Slot]:
        k, bodies = self._motion, len(self.model.kinds)
        kinds = (k.vec3, k.quat, k.vec3, k.vec3)
        return {name: self._memory.slot(kind, bodies) for name, kind in zip(BODY_FIELDS, kinds, strict=True)}

    # -------------------------------------------------------------------------------------------------- the program

    def _substep(self) -> list[Launch]:
        """The launches of one more substep."""
        k, slot, model, bodies = self._motion, self._memory.slot, self.model, len(self.model.kinds)
        force, torque = (slot(k.vec3, bodies, sums=True) for _ in range(2))
        squeeze = slot(k.real, sums=True)
        now, grip, inputs = self._bodies[-1], self._grip[-1], self._inputs
        pose = [now[name] for name in BODY_FIELDS]
        launches: list[Launch] = []
        for gel in self._gels:
            launches += gel.substep(pose, grip, (force, torque, squeeze))
        free, turning = slot(k.vec3, bodies), slot(k.vec3, bodies)
        drive = [inputs[name] for name in ("mass", "gravity", "gains", "goal", "goal_turn")]
        constants = [model.dt, self._kinds, self._inertia]
        launches.append(Launch(
            k.free_motion, (self.worlds, bodies), constants, [*drive, *pose, force, torque], [free, turning]
        ))  # fmt: skip
        push, twist = (slot(k.vec3, bodies, sums=True) for _ in range(2))
        launches += self._stiff(pose, free, turning, push, twist)
        after = self._body_slots()
        launches.append(Launch(
            k.advance, (self.worlds, bodies), constants,
            [inputs["mass"], now["position"], now["quaternion"], free, turning, push, twist],
            [after[name] for name in BODY_FIELDS],
        ))  # fmt: skip
        if self._arm is not None:
            launches += self._arm.step(model.dt, inputs, now, force, torque, after)
        gripper, moved = model.gripper, slot(k.vec2)
        constants = [model.dt, gripper.mass, gripper.damping, gripper.widest]
        launches.append(Launch(
            k.advance_grip, (self.worlds,), constants, [inputs["effort"], squeeze, grip], [moved]
        ))  # fmt: skip
        self._bodies.append(after)
        self._grip.append(moved)
        self._impulses.append((push, twist))
        return launches

    def _stiff(self, pose: list[Slot], free: Slot, turning: Slot, push: Slot, twist: Slot) -> list[Launch]:
        count = len(self.model.pairs)
        held = self._memory.slot(self._motion.vec3, count)
        before = self._held[-1]
        self._held.append(held)
        if count == 0:
            return []
        constants = [self.model.dt, self._shapes, self._values, self._pairs, self._offsets, self._radii, self._shares]
        inputs = [self._inputs["mass"], self._inputs["contact"], *pose, free, turning, before]
        outputs = [push, twist, held]
        kernel = self._points.point_impulses
        return [Launch(kernel, (self.worlds, count), [*constants, self._inertia], inputs, outputs)]

    def _require(self, gradient: bool) -> None:
        """Raise OutOfMemoryError if what a step, or its gradient, still lacks does not fit."""
        what = "the gradient of a control step" if gradient else "a control step"
        remedies = ["no gradient", "fewer substeps in a control step"] if gradient else ["fewer taxels"]
        require_memory(what, self.worlds, self._memory.missing(gradient), self.device, remedies)

    def record(self, gradient: bool) -> None:
        """Compile and record what the first step would, on the thread that calls."""
        for reverse in (False, True) if gradient else (False,):
            self._graph(reverse)

    def _graph(self, reverse: bool) -> object:
        if reverse not in self._graphs:
            kernels = {launch.kernel for launch in self._program}
            kernels |= {launch.reverse for launch in self._program if launch.reverse is not None}
            if reverse:
                self._require(gradient=True)
                self._memory.clear_adjoints()  # allocates
            self._graphs[reverse] = record(kernels, partial(self._launch_all, reverse), self.wp_device)
        return self._graphs[reverse]

    def _launch_all(self, reverse: bool) -> None:
        for launch in reversed(self._program) if reverse else self._program:
            launch.backward(self.wp_device) if reverse else launch.forward(self.wp_device)

    def _run(self, reverse: bool) -> None:
        launch_graph(self._graph(reverse), self.device)

    # ---------------------------------------------------------------------------------------------------------- use

    def _joints(self, step: int) -> dict[str, Slot]:
        arm = self._arm
        return {} if arm is None else {"joint_q": arm.positions[step], "joint_qd": arm.speeds[step]}

    def entries(self) -> dict[str, Slot]:
        """What a control step starts from, by name: bodies, gripper, memories, parameters and control."""
        named = {**self._bodies[0], "grip": self._grip[0], "held": self._held[0], **self._joints(0)}
        for g, gel in enumerate(self._gels):
            named |= {f"{name}{g}": slot for name, slot in gel.entries().items()}
        return {**named, **self._inputs}

    def results(self) -> dict[str, Slot]:
        """What it ends with; the readings are those of the last substep."""
        named = {**self._bodies[-1], "grip": self._grip[-1], "held": self._held[-1], **self._joints(-1)}
        for g, gel in enumerate(self._gels):
            named |= {f"{name}{g}": slot for name, slot in gel.results().items()}
        return named

    def forward(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """One control step from `inputs`, which are copied; returns views of the results, and ``push`` and ``twist``
        (N, B, 3): mean force [N] and torque [N m] of stiff contact over the step.
        """
        entries = self.entries()
        for name, value in inputs.items():
            entries[name].tensor.copy_(value)
        self._memory.clear_sums()
        self._run(reverse=False)
        out = {name: slot.tensor for name, slot in self.results().items()}
        for index, name in enumerate(("push", "twist")):
            total = sum(pair[index].tensor for pair in self._impulses)
            out[name] = total / (self.model.dt * self.model.substeps)
        return out

    def backward(self, adjoints: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Adjoints of `entries` from those of the results, after `forward` of the same step; views."""
        self.record(gradient=True)  # before the adjoints get their values: recording clears them
        self._memory.clear_adjoints()
        results = self.results()
        for name, value in adjoints.items():
            if name in ("push", "twist"):
                for pair in self._impulses:
                    adjoint = pair[int(name == "twist")].adjoint
                    adjoint += value / (self.model.dt * self.model.substeps)
            else:
                results[name].adjoint.copy_(value)
        self._run(reverse=True)
        return {name: slot.adjoint for name, slot in self.entries().items()}
