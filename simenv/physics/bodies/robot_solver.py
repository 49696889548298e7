# SPDX-License-Identifier: Apache-2.0
"""Robots as a solver: what they declare, and what torch does before and after the launches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from simenv.physics.bodies.forest import RobotMount, forest
from simenv.physics.bodies.robot_stepper import RobotStepper
from simenv.physics.constants import constant
from simenv.physics.solver import Desk, Field, Parameter, Solver, Step, Tensors

__all__ = ["RobotSolver"]

GAINS = {"stiffness": "N m/rad, N/m", "damping": "N m s/rad, N s/m"}
JOINTS = {"viscous": "N m s/rad, N s/m", "armature": "kg m^2, kg"}


class RobotSolver(Solver):
    """The robots of N worlds, trees of joints.

    Args:
        mounts: of the scene; bodies: all of it, in the order of the table of frames.
        alone: whether nothing else moves frames, after it.
        device, dtype: of the tensors.

    Attributes:
        forest: the robots as kernels read them.
        spans: slices of the positions and of the rates of each robot, by name.
    """

    name = "robots"

    def __init__(
        self, mounts: Sequence[RobotMount], bodies: Mapping[str, Any], alone: bool, device: torch.device,
        dtype: torch.dtype,
    ):  # fmt: skip
        super().__init__()
        self._alone = alone
        self.mounts, self._device, self._dtype = tuple(mounts), device, dtype
        self.forest = forest(mounts, bodies)
        ends = [np.cumsum([0, *(len(each) for each in values)]) for values in self._sizes()]
        self.spans = {
            mount.name: (slice(int(ends[0][i]), int(ends[0][i + 1])), slice(int(ends[1][i]), int(ends[1][i + 1])))
            for i, mount in enumerate(mounts)
        }
        self._held = torch.tensor(self.forest.position >= 0, device=device)
        self._position = torch.tensor(np.maximum(self.forest.position, 0), dtype=torch.int64, device=device)
        self._declare()

    def _sizes(self) -> tuple[list[Sequence[Any]], list[Sequence[Any]]]:
        return [m.table.posture for m in self.mounts], [m.table.rates for m in self.mounts]  # type: ignore[return-value]

    def _declare(self) -> None:
        nq, nv, rows = self.forest.positions, self.forest.rates, len(self.forest.rows)
        posture = np.concatenate([mount.table.posture for mount in self.mounts])
        about = "positions of the robots' joints, which place their links"
        rates = "rates of the robots' joints"
        felt = "force and torque of all contact on each frame of the robots, about its origin, mean over the last step"
        self.fields = {
            "joint_q": Field((nq,), "rad or m", about, posture, compared=True),
            "joint_qd": Field((nv,), "rad/s or m/s", rates, compared=True),
            "link_wrench": Field((rows, 6), "N, N m", felt, differentiable=False),
        }
        told = "; where they are when the step begins, if it is not given"
        start = posture[np.maximum(self.forest.position, 0)] * (self.forest.position >= 0)
        self.controls = {
            "joint_target": Field((nv,), "rad or m", "positions that the joints' drives pull to" + told, start),
            "joint_rate": Field((nv,), "rad/s or m/s", "rates that they pull to; zero, if it is not given"),
            "joint_torque": Field((nv,), "N m or N", "torques of the motors beside the drives; none, if not given"),
        }
        for mount in self.mounts:
            made = mount.table
            values = {"stiffness": mount.stiffness, "damping": mount.damping}
            values |= {"viscous": made.damping, "armature": made.armature}
            for key, unit in {**GAINS, **JOINTS}.items():
                self.parameters[f"{mount.name}.{key}"] = Parameter(tuple(values[key].tolist()), unit)
            self.parameters[f"{mount.name}.mass"] = Parameter(tuple(made.inertial[:, 0].tolist()), "kg", 0.0)
            numbers = tuple(made.inertial.ravel().tolist())
            self.parameters[f"{mount.name}.inertial"] = Parameter(numbers, "kg, kg m, kg m^2", -math.inf)

    def row(self, body: int) -> int:
        """The row of ``link_wrench`` of a body, by its number."""
        return list(self.forest.rows).index(body)

    # ---------------------------------------------------------------------------------------------- a control step

    def starts_from(self) -> list[str]:
        """Where the joints are and how they move."""
        return ["joint_q", "joint_qd"]

    def pack(self, values: Mapping[str, torch.Tensor]) -> Tensors:
        """Gains and friction of every rate (N, nv), ``inertial`` (N, L, 10) and ``gravity`` (N, 3)."""
        packed = {
            key: torch.cat([values[f"{mount.name}.{key}"] for mount in self.mounts], -1) for key in (*GAINS, *JOINTS)
        }
        inertial = []
        for mount in self.mounts:
            rows = values[f"{mount.name}.inertial"].unflatten(-1, (len(mount.table), 10))
            mass = constant(mount.table.inertial[:, 0], rows.dtype, rows.device)
            inertial.append(rows * (values[f"{mount.name}.mass"] / mass).unsqueeze(-1))
        return {**packed, "inertial": torch.cat(inertial, 1), "gravity": values["gravity"]}

    def before(self, step: Step, packed: Tensors) -> Tensors:
        """The inputs of a stepper."""
        state, control = step.state, step.control
        nothing = torch.zeros_like(state.joint_qd)
        target = control.joint_target
        if target is None:
            target = torch.where(self._held, state.joint_q.index_select(1, self._position), 0.0)
        given = {"rate": control.joint_rate, "feed": control.joint_torque}
        told = {name: nothing if value is None else value for name, value in given.items()}
        return {**packed, **told, "target": target, "joint_q": state.joint_q, "joint_qd": state.joint_qd}

    def after(self, state: Any, inputs: Tensors, out: Tensors) -> Tensors:
        """Fields of the state at the end."""
        felt = torch.cat([out["felt"], out["felt_turn"]], -1)
        return {"joint_q": out["joint_q"], "joint_qd": out["joint_qd"], "link_wrench": felt}

    def results(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """Joints, and what pushed the frames."""
        rows = len(self.forest.rows)
        shapes = {"joint_q": (self.forest.positions,), "joint_qd": (self.forest.rates,)}
        shapes |= {"felt": (rows, 3), "felt_turn": (rows, 3)}
        return {name: (shape, None) for name, shape in shapes.items()}

    def open(self, desk: Desk) -> RobotStepper:
        """A stepper for the worlds of a desk."""
        return RobotStepper(self.forest, desk, self._alone)
