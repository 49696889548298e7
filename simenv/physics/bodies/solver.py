# SPDX-License-Identifier: Apache-2.0
"""Bodies that move by themselves, as a solver: what they declare, and what torch does before and after the launches.

Free bodies, and hands under an impedance. A state holds the frames of their shapes; the launches
move their centres of mass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from simenv.physics.bodies.parts import GAINS, BodyParts
from simenv.physics.bodies.stepper import SUMS, BodiesStepper
from simenv.physics.solver import Desk, Field, Parameter, Solver, Step, Tensors

__all__ = ["BodySolver"]

_MOVING = ("held", "grip")


class BodySolver(Solver):
    """The bodies of N worlds.

    Args:
        parts: of the scene; num_worlds: N; device, dtype: of the tensors.

    Attributes:
        hands: names of the bodies that `Control.goal` pulls, in its order.
    """

    name = "bodies"

    def __init__(self, parts: BodyParts, num_worlds: int, device: torch.device, dtype: torch.dtype):
        super().__init__()
        self.parts, self.model = parts, parts.model()
        self._worlds, self._device, self._dtype = num_worlds, device, dtype
        bodies = parts.bodies
        self.hands = tuple(name for name, body in bodies.items() if body.is_driven)
        self._hand_rows = torch.tensor(
            [list(bodies).index(name) for name in self.hands], dtype=torch.int64, device=device
        )
        self._declare()

    def _declare(self) -> None:
        parts, count = self.parts, len(self.parts.bodies)
        mean = "mean over the last control step, world axes, about the centre of mass"
        said = {
            "body_wrench": "force and torque of all contact on each body",
            "push": "the part of it that is contact of points",
            "drive": "force and torque of the impedance on each hand",
        }
        self.fields = {
            name: Field((count, 6), "N, N m", f"{about}, {mean}", differentiable=False) for name, about in said.items()
        }
        if len(self.model.pairs):
            about = "displacement along the surface that friction holds at each contact point, world axes"
            self.fields["held"] = Field((len(self.model.pairs), 3), "m", about)
        if parts.fingers:
            about = "half of the gripper's opening and its rate"
            self.fields["grip"] = Field((2,), "m, m/s", about, compared=True, drawn=True)
        if self.hands:
            about = "poses that the hands' impedances pull to; where they are when the step begins, if it is not given"
            goals = np.reshape([(*parts.bodies[n].position, *parts.bodies[n].quaternion) for n in self.hands], (-1, 7))
            self.controls["goal"] = Field((len(self.hands), 7), "m, 1", about, goals)
        if parts.fingers:
            about = "force that opens each finger, negative to close; none, if it is not given"
            self.controls["effort"] = Field((), "N", about)
        units = dict(zip(GAINS, ("N/m", "N m/rad", "N s/m", "N m s/rad"), strict=True))
        for name, body in parts.bodies.items():
            if body.motion in ("free", "hand"):
                self.parameters[f"{name}.mass"] = Parameter(body.mass, "kg", 0.0)
            if body.is_driven:
                for key, value in zip(GAINS, body.gains, strict=True):
                    self.parameters[f"{name}.{key}"] = Parameter(value, units[key])
        if len(self.model.pairs):
            units = {"stiffness": "N/m", "damping": "N s/m", "shear_stiffness": "N/m", "friction": "1"}
            for key, value in asdict(parts.contact).items():
                self.parameters[f"contact.{key}"] = Parameter(value, units[key])

    # ---------------------------------------------------------------------------------------------- a control step

    def starts_from(self) -> list[str]:
        """What contact and gripper remember: limits and stops would make a number of one that is none."""
        return [name for name in _MOVING if name in self.fields]

    def pack(self, values: Mapping[str, torch.Tensor]) -> Tensors:
        """``mass`` (N, B), ``gains`` (N, B, 4), ``gravity`` (N, 3) and ``contact`` (N, 4)."""
        gravity, names = values["gravity"], list(self.parts.bodies)
        one, nothing = torch.ones_like(gravity[:, 0]), torch.zeros_like(gravity[:, 0])
        masses = [values.get(f"{name}.mass", one) for name in names]
        pulled = {name: body.is_driven for name, body in self.parts.bodies.items()}  # links' impedances have these too
        gains = [
            torch.stack([values[f"{name}.{key}"] if pulled[name] else nothing for key in GAINS], -1) for name in names
        ]
        contact = [values.get(f"contact.{key}", nothing) for key in asdict(self.parts.contact)]
        return {
            "mass": torch.stack(masses, -1), "gains": torch.stack(gains, 1), "gravity": gravity,
            "contact": torch.stack(contact, -1),
        }  # fmt: skip

    def before(self, step: Step, packed: Tensors) -> Tensors:
        """The inputs of a stepper; hands without a goal stay where they are."""
        state, control = step.state, step.control
        goal = state.body_q.clone()
        if control.goal is not None and len(self.hands):
            goal = goal.index_copy(1, self._hand_rows, control.goal)
        inputs = {**packed, "goal": goal[..., :3], "goal_turn": goal[..., 3:]}
        inputs |= {name: state[name] for name in _MOVING if name in self.fields}
        if self.parts.fingers:
            inputs["effort"] = torch.zeros_like(state.time) if control.effort is None else control.effort
        return inputs

    def after(self, state: Any, inputs: Tensors, out: Tensors) -> Tensors:
        """Fields of the state at the end."""
        fields = {name: out[name] for name in _MOVING if name in self.fields}
        push = torch.cat([out["push"], out["push_turn"]], -1)
        fields["push"], fields["drive"] = push, torch.cat([out["drive"], out["drive_turn"]], -1)
        return {**fields, "body_wrench": push + torch.cat([out["felt"], out["felt_turn"]], -1)}

    def results(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """`SUMS`, and the fields that the launches change."""
        found: dict = {name: ((len(self.parts.bodies), 3), None) for name in SUMS}
        return found | {name: (self.fields[name].shape, None) for name in _MOVING if name in self.fields}

    def open(self, desk: Desk) -> BodiesStepper:
        """A stepper for the worlds of a desk."""
        return BodiesStepper(self.model, desk)
