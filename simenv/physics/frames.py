# SPDX-License-Identifier: Apache-2.0
"""The table of frames: where every body of a world is in every tick, and what pushes it.

Bodies that move by themselves are integrated by `simenv.physics.bodies`, given ones follow what the user told; each has
one owner, which writes its rows. Solvers read the rows and add to the wrenches, in the order of the program, so that
the sums have a fixed order. Frames lie at the bodies' centres of mass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import warp as wp

from simenv.physics import exact
from simenv.physics.centres import Centres
from simenv.physics.direct import warp_real
from simenv.physics.kernels_frames import frame_kernels
from simenv.physics.launch.programs import Phase
from simenv.physics.launch.slots import Launch, Memory, Slot, commands
from simenv.physics.parts import Body
from simenv.physics.rotation import quaternion_to_matrix
from simenv.physics.solver import Desk, Field, Solver, Step, Stepper, Tensors, of_chosen

__all__ = ["POSE", "FrameSolver", "Frames"]

POSE = ("position", "quaternion", "velocity", "omega")


class Frames(Stepper):
    """The frames of some worlds; a stepper that publishes given motion and clears the wrenches at the start of a tick.

    A tick k reads the poses number `before` and its owner writes number `after`: with a gradient there is one for each
    tick, without two take turns.

    Args:
        memory: makes the slots; count: frames B; given: numbers of those that move as told; ticks: T;
            fingers: whether there is a gripper.

    Attributes:
        fingers: whether there is a gripper, whose half opening and rate are `grip`.
        answering: rows whose pushers say how their wrench answers to a change of motion, in order.
    """

    def __init__(
        self, memory: Memory, count: int, given: Sequence[int], ticks: int, fingers: bool = False, lanes: int = 1
    ):
        self.memory, self.count, self.ticks, self._lanes = memory, count, ticks, lanes
        self.fingers = fingers
        real = warp_real(memory.dtype)
        self._kernels = k = frame_kernels(real)
        self.vec2 = wp.types.vector(length=2, dtype=real)
        self._poses: list[list[Slot]] = []
        self._wrenches: list[list[Slot]] = []
        self.answering: list[int] = []
        self._asked: wp.array | None = None
        self._is_settled = False
        self._responses: list[Slot] = []
        self._changes: list[list[Slot]] = []
        self._grips: list[Slot] = []
        self._squeezes: list[Slot] = []
        self._given = list(given)
        self._rows = wp.array(np.asarray(self._given, dtype=np.int32), dtype=int, device=memory.wp_device)
        shape = (ticks, len(given))
        kinds = (k.vec3, k.quat, k.vec3, k.vec3)
        self._told = (
            {f"given_{n}": memory.slot(kind, *shape) for n, kind in zip(POSE, kinds, strict=True)} if given else {}
        )
        self.status = memory.slot(wp.int32)

    # ------------------------------------------------------------------------------------------------- numbers

    def before(self, tick: int, keep: bool) -> int:
        """Number of what a tick starts from."""
        return tick if keep else tick % 2

    def after(self, tick: int, keep: bool) -> int:
        """Number of what it ends with."""
        return self.before(tick + 1, keep)

    def scratch(self, tick: int, keep: bool) -> int:
        """Number of what it works in."""
        return tick if keep else 0

    # --------------------------------------------------------------------------------------------------- slots

    def pose(self, number: int) -> list[Slot]:
        """Positions, quaternions, velocities and angular velocities (N, B, ...), world axes."""
        k, slot = self._kernels, self.memory.slot
        while len(self._poses) <= number:
            self._poses.append([slot(kind, self.count) for kind in (k.vec3, k.quat, k.vec3, k.vec3)])
        return self._poses[number]

    def wrench(self, number: int) -> list[Slot]:
        """Forces [N] and torques [N m] (N, B, 3), world axes, to which pushers add."""
        while len(self._wrenches) <= number:
            self._wrenches.append([self.memory.slot(self._kernels.vec3, self.count) for _ in range(2)])
        return self._wrenches[number]

    def answer(self, rows: Iterable[int]) -> None:
        """Ask that rows have responses. A pusher does so as it is made.

        Raises:
            RuntimeError: what moves bodies has been made already, which has to know.
        """
        if self._is_settled:
            raise RuntimeError("rows were asked to answer after a mover of bodies was made; let the pusher come before")
        self.answering = sorted({*self.answering, *rows})

    def settle_answers(self, rows: Iterable[int]) -> list[int]:
        """Which of its rows answer, for what moves these; from now on none can be added."""
        self._is_settled = True
        return [row for row in rows if row in self.answering]

    def response(self, number: int) -> Slot:
        """Responses Z (N, B) of 6 x 6 [kg, kg m, kg m^2], to which pushers of `answering` rows add: linear before
        angular, world axes, about the place where the wrench w0 is. Its symmetric part counts, which must be positive
        semidefinite. What acts for a tick dt is w0 - Z change / dt; so Z is inertia that a body carries along in that
        tick, without weight and without gyroscopic forces of its own. Given and fixed bodies do not answer.
        """
        while len(self._responses) <= number:
            self._responses.append(self.memory.slot(self._kernels.mat66, self.count))
        return self._responses[number]

    def change(self, number: int) -> list[Slot]:
        """What the kick of a tick has changed velocities [m/s] and angular velocities [rad/s] of `answering` rows by,
        (N, B, 3), for `Stepper.finish`: J (v' - v) with a Jacobian J of the middle of the tick and of the place where
        the wrench is, zero of given and fixed bodies. A body receives dt w0 - Z change, to rounding, about that place.
        """
        while len(self._changes) <= number:
            self._changes.append([self.memory.slot(self._kernels.vec3, self.count) for _ in range(2)])
        return self._changes[number]

    def grip(self, number: int) -> Slot:
        """Half opening of the gripper [m] and its rate [m/s], (N, 2); zero where there is none."""
        while len(self._grips) <= (number if self.fingers else 0):
            self._grips.append(self.memory.slot(self.vec2))
        return self._grips[number if self.fingers else 0]

    def squeeze(self, number: int) -> Slot:
        """Force that opens the gripper [N], (N,), to which pushers add."""
        while len(self._squeezes) <= number:
            self._squeezes.append(self.memory.slot(self._kernels.real))
        return self._squeezes[number]

    def clear(self, *pair: Slot) -> Launch:
        """The launch that zeroes two arrays (N, B, 3), of bodies or of what else has rows."""
        return Launch(self._kernels.clear, pair[0].size[:1], [], [], pair, differentiable=False)

    def see_faults(self, number: int) -> Launch:
        """The launch that adds to the worlds' status what the frames do."""
        dim = (self.memory.worlds, self.count)
        return Launch(self._kernels.see_faults, dim, [], self.pose(number), [self.status], differentiable=False)

    def _publish(self, tick: int, keep: bool) -> list[Launch]:
        now = self.before(tick, keep)
        launches = [self.clear(*self.wrench(self.scratch(tick, keep)))]
        if self.fingers:
            squeeze = self.squeeze(self.scratch(tick, keep))
            launches.append(
                Launch(self._kernels.release, (self.memory.worlds,), [], [], [squeeze], differentiable=False)
            )
        if self.answering:
            response, dim = self.response(self.scratch(tick, keep)), (self.memory.worlds, len(self.answering))
            rows = self._answering()
            launches.append(Launch(self._kernels.relax, dim, [rows], [], [response], differentiable=False))
        if self._given:
            dim = (self.memory.worlds, len(self._given))
            told = list(self._told.values())
            launches.append(Launch(self._kernels.place_given, dim, [tick, self._rows], told, self.pose(now)))
        return launches

    def _answering(self) -> wp.array:
        if self._asked is None or len(self._asked) != len(self.answering):
            where = self.memory.wp_device
            self._asked = wp.array(np.asarray(self.answering, dtype=np.int32), dtype=int, device=where)
        return self._asked

    # ------------------------------------------------------------------------------------------- as a stepper

    def phase(self, launches: Sequence[Launch], reverse: bool = False) -> Phase:
        """A phase of launches, which lane 0 runs."""
        return [commands(launches, self.memory.wp_device, reverse), *([] for _ in range(self._lanes - 1))]

    def begin(self) -> None:
        """Forget the faults of the control step before."""
        self.status.tensor.zero_()

    def forward(self, tick: int, keep: bool) -> list[Phase]:
        """Given frames take their places, and wrenches are zero."""
        return [self.phase(self._publish(tick, keep))]

    def backward(self, tick: int) -> list[Phase]:
        """The adjoint of `forward`."""
        return [self.phase(self._publish(tick, True), True)]

    def kernels(self, backward: bool) -> Iterable[wp.Kernel]:
        """Those of the table."""
        k = self._kernels
        every = [
            k.clear,
            k.see_faults,
            *([k.place_given] if self._given else []),
            *([k.relax] if self.answering else []),
        ]
        return [*every, k.release] if self.fingers else every

    def load(self, inputs: Mapping[str, torch.Tensor]) -> None:
        """Poses at the start, ``position`` ... ``omega`` (N, B, ...), and those of given frames in all ticks,
        ``given_position`` ... (N, T, G, ...).
        """
        for name, slot in self._entries().items():
            value = inputs[name]
            slot.tensor.copy_(value[:, : self.ticks] if name in self._told else value)

    def _entries(self) -> dict[str, Slot]:
        return {**dict(zip(POSE, self.pose(0), strict=True)), **self._told}

    def results(self, keep: bool) -> dict[str, torch.Tensor]:
        """Poses at the end and the ``status`` (N,); given frames' rows are those of the last tick."""
        last = self.pose(self.before(self.ticks, keep))
        return {name: slot.tensor for name, slot in zip(POSE, last, strict=True)} | {"status": self.status.tensor}

    def seed(self, adjoints: Mapping[str, torch.Tensor]) -> None:
        """Adjoints of the poses at the end."""
        for name, slot in zip(POSE, self.pose(self.ticks), strict=True):
            if name in adjoints:
                slot.adjoint.copy_(adjoints[name])

    def adjoints(self) -> dict[str, torch.Tensor]:
        """Adjoints of what was loaded."""
        return {name: slot.adjoint for name, slot in self._entries().items()}

    def store(self, name: str, value: torch.Tensor, target: torch.Tensor, chosen: torch.Tensor | None = None) -> None:
        """Copy to rows of the world's tensor, whose given motion has room for as many ticks as can be."""
        target = target[:, : self.ticks] if name in self._told else target
        target.copy_(of_chosen(value, target, chosen))


class FrameSolver(Solver):
    """The table of frames of N worlds: the fields ``body_q`` and ``body_twist`` of all bodies.

    Args:
        bodies: of the scene, by name; fingers: whether there is a gripper; device, dtype: of the tensors.

    Attributes:
        moving: numbers of the frames that the launches move; given: of those that move as told; told: of those whose
            motion is known before a control step, fixed ones included.
    """

    name = "frames"
    together = 1024

    def __init__(self, bodies: Mapping[str, Body], fingers: bool, device: torch.device, dtype: torch.dtype):
        super().__init__()
        self.bodies, self._fingers = bodies, fingers
        motions = [body.motion for body in bodies.values()]
        moving = [i for i, motion in enumerate(motions) if motion in ("free", "hand", "link")]
        self.moving = torch.tensor(moving, dtype=torch.int64, device=device)
        self.given = [i for i, motion in enumerate(motions) if motion == "given"]
        self.told = [i for i, body in enumerate(bodies.values()) if body.is_told]
        given_of_told = [self.told.index(i) for i in self.given]
        self._given_of_told = torch.tensor(given_of_told, dtype=torch.int64, device=device)
        elsewhere = [motion in ("given", "link") for motion in motions]  # gradients come from their motion
        self._elsewhere = torch.tensor(elsewhere, dtype=torch.bool, device=device).view(-1, 1)
        fixed = [i for i, motion in enumerate(motions) if motion == "fixed"]
        self._fixed = torch.tensor(fixed, dtype=torch.int64, device=device) if fixed else None
        self._centres = Centres([body.centre for body in bodies.values()], device, dtype)
        poses = np.reshape([(*body.position, *body.quaternion) for body in bodies.values()], (-1, 7))
        about = "poses of the frames of the bodies' shapes, quaternion xyzw, in the scene's order"
        moves = any(motion not in ("given", "fixed") for motion in motions)
        self.fields = {
            "body_q": Field((len(bodies), 7), "m, 1", about, poses, compared=moves, drawn=True),
            "body_twist": Field(
                (len(bodies), 6), "m/s, rad/s", "velocities of the frames' origins and angular velocities, world axes",
                self._start_twists(), differentiable=moves,
            ),
        }  # fmt: skip

        if self.given:
            about = "velocities of the origins of given bodies and their angular velocities, world axes"
            self.controls["twist"] = Field((len(self.given), 6), "m/s, rad/s", about)

    def _start_twists(self) -> np.ndarray:
        rows = []
        for body in self.bodies.values():
            turn = quaternion_to_matrix(torch.tensor(body.quaternion, dtype=torch.float64)).numpy()
            arm = turn @ np.asarray(body.centre)
            rows.append((*(np.asarray(body.velocity) - np.cross(body.angular_velocity, arm)), *body.angular_velocity))
        return np.reshape(rows, (-1, 6))

    def before(self, step: Step, packed: Tensors) -> Tensors:
        """Poses and twists of the centres of mass, and given motion."""
        state, told = step.state, step.told
        pose, twist = (
            torch.where(self._elsewhere, each.detach(), each) if each.requires_grad else each
            for each in (state.body_q, state.body_twist)
        )
        turn = pose[..., 3:]
        if self._fixed is not None:  # which nobody's launches bring back to length one
            still = turn.index_select(1, self._fixed)
            turn = turn.index_copy(1, self._fixed, still / exact.norm(still, keepdim=True))
        place, speed = self._centres.of_frames(pose[..., :3], turn, twist[..., :3], twist[..., 3:])
        inputs = dict(zip(POSE, (place, turn, speed, twist[..., 3:]), strict=True))
        if self.given:
            rows, ticks = self._given_of_told, told.position.shape[1]
            poses = [each.index_select(2, rows) for each in (told.position, told.quaternion)]
            rates = [each.index_select(1, rows).unsqueeze(1) for each in (told.velocity, told.omega)]
            motion = (*poses, *(each.expand(-1, ticks, -1, -1) for each in rates))
            inputs |= {f"given_{name}": value for name, value in zip(POSE, motion, strict=True)}
        return inputs

    def after(self, state: Any, inputs: Tensors, out: Tensors) -> Tensors:
        """The world gathers the rows of all owners."""
        return {}

    def frames_after(self, out: Tensors) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Rows that moved, and where they are."""
        place, speed = self._centres.frames_of(*(out[name] for name in POSE))
        pose, twist = torch.cat([place, out["quaternion"]], -1), torch.cat([speed, out["omega"]], -1)
        return self.moving, pose.index_select(1, self.moving), twist.index_select(1, self.moving)

    def results(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """Poses of all frames, and the status."""
        count = len(self.bodies)
        found: dict = {name: ((count, 4 if name == "quaternion" else 3), None) for name in POSE}
        return found | {"status": ((), torch.int32)}

    def open(self, desk: Desk) -> Frames:
        """The table for the worlds of a desk."""
        return Frames(desk.memory, len(self.bodies), self.given, desk.ticks, self._fingers, desk.lanes)
