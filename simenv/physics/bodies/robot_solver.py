# SPDX-License-Identifier: Apache-2.0
"""Robots as a solver: what they declare, and what torch does before and after the launches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from simenv.physics import exact
from simenv.physics.bodies.forest import RobotMount, forest
from simenv.physics.bodies.kernels_law import LAW
from simenv.physics.bodies.robot_commands import Commands
from simenv.physics.bodies.robot_stepper import RobotStepper
from simenv.physics.bodies.touching import Touching
from simenv.physics.constants import constant
from simenv.physics.solver import Desk, Field, Parameter, Solver, Step, Tensors

__all__ = ["RobotSolver"]

UNITS = {
    "stiffness": "N m/rad, N/m", "damping": "N m s/rad, N s/m", "viscous": "N m s/rad, N s/m",
    "armature": "kg m^2, kg", "friction": "N m, N",
}  # fmt: skip
LAW_UNITS = {
    "stiffness": "N/m", "relaxation": "s", "dissipation": "s/m", "friction": "1", "shear": "1", "restitution": "1",
    "rolling": "m", "spinning": "m", "sigma": "1", "width": "m",
}  # fmt: skip
HELD = ("anchor", "closing")  # what a contact remembers
FEW = 32  # places where bodies may touch


class RobotSolver(Solver):
    """The robots of N worlds, trees of joints, and the free bodies that touch them.

    Args:
        mounts: of the scene, robots first; bodies: all of it, in the order of the table of frames.
        touching: where they may touch; tick: duration of a tick [s]; ticks: of a control step.
        alone: whether nothing else moves frames, after it; seen: whether any solver sees the frames of links.
        midpoint: whether forces that depend on rates are those of the middle of a tick.
        device, dtype: of the tensors.

    Attributes:
        forest: the trees as kernels read them.
        commands: what robots are told.
        spans: slices of the positions and of the rates of each, by name; of a robot, in the state and the controls.
    """

    name = "robots"

    def __init__(
        self, mounts: Sequence[RobotMount], bodies: Mapping[str, Any], touching: Touching, tick: float, ticks: int,
        alone: bool, seen: bool, midpoint: bool, device: torch.device, dtype: torch.dtype,
    ):  # fmt: skip
        super().__init__()
        self.mounts, self.touching, self._tick = tuple(mounts), touching, tick
        self._alone, self._seen, self._midpoint, self._device, self._dtype = alone, seen, midpoint, device, dtype
        if not seen:  # the fewer places there are to touch, the smaller a world is
            self.together = 256 if not len(touching.slots) else 64 if len(touching.slots) <= FEW else self.together
        self.forest = forest(mounts, bodies)
        self._still = [row for row, body in enumerate(bodies.values()) if body.motion == "fixed"]
        ends = [np.cumsum([0, *counts]) for counts in zip(*(_sizes(mount) for mount in mounts), strict=True)]
        self.spans = {
            mount.name: (slice(int(ends[0][i]), int(ends[0][i + 1])), slice(int(ends[1][i]), int(ends[1][i + 1])))
            for i, mount in enumerate(mounts)
        }
        robots = [mount for mount in mounts if mount.is_robot]
        self._own = [sum(counts) for counts in zip((0, 0), *(_sizes(mount) for mount in robots), strict=True)]
        names = list(bodies)
        free = [names.index(mount.bodies["body"]) for mount in mounts if not mount.is_robot]
        self._free = torch.tensor(free, dtype=torch.int64, device=device)
        posture = np.concatenate([np.zeros(0), *(mount.table.posture for mount in robots)])
        self.commands = Commands(self.forest, self._own[1], posture, bodies, tick, ticks, device, dtype)
        self._declare(robots, posture)

    def _declare(self, robots: Sequence[RobotMount], posture: np.ndarray) -> None:
        (nq, nv), rows = self._own, len(self.forest.rows)
        felt = "force and torque of particles and gels on each frame of robots and rigid bodies, about its origin"
        wrench = Field((rows, 6), "N, N m", felt + ", mean over the last control step", differentiable=False)
        self.fields = {"link_wrench": wrench}
        if len(self.touching.slots):
            about = "displacement along the surface that friction holds at each point of contact, world axes"
            self.fields["anchor"] = Field((len(self.touching.slots), 3), "m", about)
            about = "largest speed at which each point of contact has been closing since it last began to"
            self.fields["closing"] = Field((len(self.touching.slots),), "m/s", about)
            impulse = "impulse of contact at each point on the first body of its pair, in the last tick, world axes"
            self.fields["contact_impulse"] = Field((len(self.touching.slots), 3), "N s", impulse, differentiable=False)
        if robots:
            about = "positions of the robots' joints, which place their links"
            self.fields["joint_q"] = Field((nq,), "rad or m", about, posture, compared=True)
            self.fields["joint_qd"] = Field((nv,), "rad/s or m/s", "rates of the robots' joints", compared=True)
        self.fields |= self.commands.fields
        self.controls = self.commands.controls
        self.parameters |= self.commands.parameters
        for mount in self.mounts:
            made = mount.table
            self.parameters[f"{mount.name}.mass"] = _of(made.inertial[:, 0], "kg", 0.0, mount.is_robot)
            if mount.is_robot:
                values = {"stiffness": mount.stiffness, "damping": mount.damping, "viscous": made.damping}
                values |= {"armature": made.armature, "friction": made.friction}
                for key, unit in UNITS.items():
                    self.parameters[f"{mount.name}.{key}"] = _of(values[key], unit)
                numbers = _of(made.inertial.ravel(), "kg, kg m, kg m^2", -math.inf)
                self.parameters[f"{mount.name}.inertial"] = numbers
        if len(self.touching.slots):
            for name, law in self.touching.slots.laws.items():
                for key, value in law.numbers(self._tick).items():
                    most = 1.01 if key == "restitution" else math.inf
                    self.parameters[f"{name}.{key}"] = Parameter(value, LAW_UNITS[key], upper=most)

    def row(self, body: int) -> int:
        """The row of ``link_wrench`` of a body, by its number."""
        return list(self.forest.rows).index(body)

    def touch(self, state: Any, one: str, other: str | None) -> torch.Tensor:
        """Force on a body of rigid contact with another, or with all, in the last tick, world axes (N, 3) [N]."""
        total = torch.zeros_like(state.body_q[:, 0, :3])
        if "contact_impulse" not in self.fields:
            return total
        slots = self.touching.slots
        signs = [
            (first == one and other in (None, second)) - (second == one and other in (None, first))
            for first, second in zip(slots.a, slots.b, strict=True)
        ]
        share = constant([sign / self._tick for sign in signs], total.dtype, total.device)
        return exact.total(state.contact_impulse * share.unsqueeze(-1), 1)

    def let_go(self, state: Any, body: str) -> Any:
        """The state with nothing that contact remembers at a body, which has been placed by hand."""
        if "anchor" not in self.fields:
            return state
        slots = self.touching.slots
        stays = [float(body not in pair) for pair in zip(slots.a, slots.b, strict=True)]
        stay = constant(stays, self._dtype, self._device)
        return state.replace(anchor=state.anchor * stay.unsqueeze(-1), closing=state.closing * stay)

    # ---------------------------------------------------------------------------------------------- a control step

    def starts_from(self) -> list[str]:
        """Where the joints are and how they move, and what contact holds."""
        moving = ("joint_q", "joint_qd", "joint_aim", "joint_past", "tool_past", *HELD)
        return [name for name in moving if name in self.fields]

    def pack(self, values: Mapping[str, torch.Tensor]) -> Tensors:
        """Gains and friction of every rate (N, nv), ``inertial`` (N, L, 10), ``gravity`` (N, 3) and ``law`` (N, laws,
        10).
        """
        gravity = values["gravity"]
        nothing = gravity.new_zeros((len(gravity), 6))
        packed = {
            key: torch.cat([values[f"{m.name}.{key}"] if m.is_robot else nothing for m in self.mounts], -1)
            for key in UNITS
        }
        inertial = []
        for mount in self.mounts:
            usual = constant(mount.table.inertial, gravity.dtype, gravity.device).expand(len(gravity), -1, -1)
            mass = values[f"{mount.name}.mass"].view(len(gravity), -1)
            rows = values[f"{mount.name}.inertial"].unflatten(-1, (-1, 10)) if mount.is_robot else usual
            inertial.append(_of_mass(rows, mass, usual[..., 0]))
        packed |= {"inertial": torch.cat(inertial, 1), "gravity": gravity}
        packed |= self.commands.pack(values)
        if len(self.touching.slots):
            laws = [torch.stack([values[f"{name}.{key}"] for key in LAW], -1) for name in self.touching.slots.laws]
            packed["law"] = torch.stack(laws, 1)
        return packed

    def before(self, step: Step, packed: Tensors) -> Tensors:
        """The inputs of a stepper."""
        state = step.state
        q, qd, robots = [], [], "joint_q" in self.fields
        if robots:
            q.append(state.joint_q)
            qd.append(state.joint_qd)
        if len(self._free):
            q.append(state.body_q.index_select(1, self._free).flatten(1))
            qd.append(state.body_twist.index_select(1, self._free).flatten(1))
        inputs = {**packed, "joint_q": torch.cat(q, 1), "joint_qd": torch.cat(qd, 1)}
        inputs |= self.commands.before(step)
        return inputs | {name: state[name] for name in HELD if name in self.fields}

    def after(self, state: Any, inputs: Tensors, out: Tensors) -> Tensors:
        """Fields of the state at the end; the table of frames has where free bodies are."""
        fields = {"link_wrench": torch.cat([out["felt"], out["felt_turn"]], -1)}
        if "joint_q" in self.fields:
            fields["joint_q"] = out["joint_q"][:, : self._own[0]]
            fields["joint_qd"] = out["joint_qd"][:, : self._own[1]]
            fields |= self.commands.after(state, inputs)
        if "anchor" in self.fields:
            fields |= {name: out[name] for name in HELD} | {"contact_impulse": out["impulse"]}
        return fields

    def results(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """Joints, and what pushed the frames."""
        rows, points = len(self.forest.rows), len(self.touching.slots)
        shapes: dict[str, tuple[int, ...]] = {"joint_q": (self.forest.positions,), "joint_qd": (self.forest.rates,)}
        shapes |= {"felt": (rows, 3), "felt_turn": (rows, 3)}
        shapes |= {"anchor": (points, 3), "closing": (points,), "impulse": (points, 3)} if points else {}
        return {name: (shape, None) for name, shape in shapes.items()}

    def open(self, desk: Desk) -> RobotStepper:
        """A stepper for the worlds of a desk."""
        return RobotStepper(self.forest, self.touching, desk, self._still, self._alone, self._seen, self._midpoint)


def _of_mass(rows: torch.Tensor, mass: torch.Tensor, usual: torch.Tensor) -> torch.Tensor:
    """Inertial numbers (N, L, 10) of links whose mass (N, L) is another than usual [kg], spread as it was. One that had
    none, a place between two joints, has what it is given at the origin of its frame.
    """
    hollow = usual == 0.0
    factor = torch.where(hollow, torch.ones_like(mass), mass / torch.where(hollow, torch.ones_like(usual), usual))
    added = torch.where(hollow, mass, torch.zeros_like(mass)).unsqueeze(-1)
    scaled = rows * factor.unsqueeze(-1)
    return torch.cat([scaled[..., :1] + added, scaled[..., 1:]], -1)


def _sizes(mount: RobotMount) -> tuple[int, int]:
    return mount.table.positions, len(mount.table.rates)


def _of(values: np.ndarray, unit: str, lower: float = -1e-2, many: bool = True) -> Parameter:
    return Parameter(tuple(values.tolist()) if many else float(values[0]), unit, lower)
