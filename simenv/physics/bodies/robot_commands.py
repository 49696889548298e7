# SPDX-License-Identifier: Apache-2.0
"""What robots are told in a control step, in torch: targets that integrate, commands that are late, goals of links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from simenv.physics.bodies.forest import Forest
from simenv.physics.bodies.tool_launches import GOALS, commands_of
from simenv.physics.bodies.tools import ToolMount
from simenv.physics.constants import constant
from simenv.physics.solver import Field, Parameter, Step, Tensors

__all__ = ["Commands"]

PARTS = ("target", "rate", "feed")
GAINS = {"stiffness": "N/m, N m/rad", "damping": "N s/m, N m s/rad"}
POSTURE = {"posture": "rad or m", "posture_stiffness": "N m/rad, N/m", "posture_damping": "N m s/rad, N s/m"}


class Commands:
    """What the robots of a scene are told.

    Args:
        forest: their trees, and those of free bodies; rates, posture: those of robots, which come first, (nv,), (nq,).
        bodies: all, by name, in the order of the table; tick: its duration [s]; ticks: of a control step.
        device, dtype: of the tensors.

    Attributes:
        tools: impedances of links, in the order of the control's goals.
        fields, controls, parameters: what is declared.
    """

    def __init__(
        self, forest: Forest, rates: int, posture: np.ndarray, bodies: Mapping[str, Any], tick: float, ticks: int,
        device: torch.device, dtype: torch.dtype,
    ):  # fmt: skip
        self.tools: tuple[ToolMount, ...] = forest.tools.mounts
        self._rates, self._all, self._step = rates, forest.rates, tick * ticks
        self._device, self._dtype = device, dtype
        position = forest.position[:rates]
        self._held = torch.tensor(position >= 0, device=device)
        self._position = torch.tensor(np.maximum(position, 0), dtype=torch.int64, device=device)
        self._past = commands_of(forest.delay, tick, ticks)[1]
        self._integrates = forest.integrates[:rates]
        self._lower, self._upper = (np.clip(each[:rates], -1e30, 1e30) for each in (forest.lower, forest.upper))
        self._past_goals = commands_of(forest.tools.delay, tick, ticks, GOALS)[1]
        names = list(bodies)
        self._numbers = [names.index(tool.name) for tool in self.tools]
        self._rows = torch.tensor(self._numbers, dtype=torch.int64, device=device)
        start = np.where(position >= 0, np.reshape(posture, -1)[np.maximum(position, 0)], 0.0) if rates else posture
        self.fields: dict[str, Field] = {}
        self.controls: dict[str, Field] = {}
        if rates:
            self._declare(start, [(*bodies[tool.name].position, *bodies[tool.name].quaternion) for tool in self.tools])
        self.parameters = {key: each for tool in self.tools for key, each in _parameters(tool).items()}

    def _declare(self, start: np.ndarray, poses: list[tuple[float, ...]]) -> None:
        nv = self._rates
        told = "; where they are when the step begins, if it is not given"
        rate = "rates that they pull to, and that move targets which integrate; zero, if it is not given"
        self.controls = {
            "joint_target": Field((nv,), "rad or m", "positions that the joints' drives pull to" + told, start),
            "joint_rate": Field((nv,), "rad/s or m/s", rate),
            "joint_torque": Field((nv,), "N m or N", "torques of the motors beside the drives; none, if not given"),
        }
        if self._integrates.any():
            about = "targets of the robots' drives, which rates move; of others their last ones"
            self.fields["joint_aim"] = Field((nv,), "rad or m", about, start)
        if self._past:
            about = "targets, rates and torques that drives were told in the last steps, the latest first"
            rows = np.broadcast_to(np.stack([start, 0.0 * start, 0.0 * start]), (self._past, 3, nv))
            self.fields["joint_past"] = Field((self._past, 3, nv), "rad or m, and so on", about, rows)
        if self.tools:
            about = "poses that links' impedances pull to; where they are when the step begins, if it is not given"
            self.controls["tool_goal"] = Field(
                (len(self.tools), 7), "m, 1", about, np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
            )
        if self._past_goals:
            shape = (self._past_goals, len(self.tools), 7)
            about = "goals that links' impedances were told in the last steps, the latest first"
            self.fields["tool_past"] = Field(shape, "m, 1", about, np.broadcast_to(poses, shape))

    def standing(self, state: Any) -> torch.Tensor:
        """Positions that the robots' rates have in a state, zero for balls and free joints, (N, nv)."""
        target = state.joint_q.index_select(1, self._position)
        return torch.where(self._held, target, torch.zeros_like(target))

    def pack(self, values: Mapping[str, torch.Tensor]) -> Tensors:
        """Gains of the impedances, (N, 6 T), and of their motors (N, M)."""
        if not self.tools:
            return {}
        like = values["gravity"]
        packed = {f"tool_{key}": torch.cat([values[f"{tool.name}.{key}"] for tool in self.tools], -1) for key in GAINS}
        for key in POSTURE:
            rows = [
                values[f"{tool.name}.{key}"] if tool.pulls_to_posture
                else constant(getattr(tool, key), like.dtype, like.device).expand(len(like), -1)
                for tool in self.tools
            ]  # fmt: skip
            packed[key] = torch.cat(rows, -1)
        return packed

    def before(self, step: Step) -> Tensors:
        """``target``, ``rate`` and ``feed`` of this and of late steps, (N, (1 + steps) all rates), and ``goal`` and
        ``goal_turn``, (N, (1 + steps) T, 3) and (N, (1 + steps) T, 4).
        """
        state, control = step.state, step.control
        inputs: Tensors = {}
        now = self._now(state, control) if self._rates else {}
        none = state.body_q.new_zeros((len(state.body_q), self._all - self._rates))
        for i, name in enumerate(PARTS):
            rows = (
                [now[name], *(state.joint_past[:, h, i] for h in range(self._past))] if self._rates else [none[:, :0]]
            )
            inputs[name] = torch.cat([part for row in rows for part in (row, none)], 1)
        if self.tools:
            here = state.body_q.index_select(1, self._rows)
            goal = here if control.tool_goal is None else control.tool_goal
            if self._past_goals:
                goal = torch.cat([goal, state.tool_past.flatten(1, 2)], 1)
            inputs |= {"goal": goal[..., :3], "goal_turn": goal[..., 3:]}
        return inputs

    def _now(self, state: Any, control: Any) -> Tensors:
        target = self.standing(state) if control.joint_target is None else control.joint_target
        if self._integrates.any() and control.joint_target is None:
            mine = constant(self._integrates.astype(float), target.dtype, target.device) > 0
            target = torch.where(mine, state.joint_aim, target)
        nothing = torch.zeros_like(target)
        rate = nothing if control.joint_rate is None else control.joint_rate
        return {
            "target": target, "rate": rate, "feed": nothing if control.joint_torque is None else control.joint_torque
        }  # fmt: skip

    def after(self, state: Any, inputs: Tensors) -> Tensors:
        """Fields of the state at the end."""
        nv, fields = self._rates, {}
        now = [inputs[name][:, :nv] for name in PARTS]
        if "joint_aim" in self.fields:
            moves = constant(self._step * self._integrates, self._dtype, self._device)
            low, high = (constant(each, self._dtype, self._device) for each in (self._lower, self._upper))
            aim = now[0] + moves * now[1]
            fields["joint_aim"] = torch.where(moves > 0, torch.minimum(torch.maximum(aim, low), high), aim)
        if self._past:
            fields["joint_past"] = torch.cat([torch.stack(now, 1)[:, None], state.joint_past[:, :-1]], 1)
        if self._past_goals:
            goal = torch.cat([inputs["goal"], inputs["goal_turn"]], -1)[:, : len(self.tools)]
            fields["tool_past"] = torch.cat([goal[:, None], state.tool_past[:, :-1]], 1)
        return fields

    def placed(self, state: Any, span: slice, robot: str) -> Any:
        """The state with drives of a robot, which has these rates, that have been told to stand where they now are."""
        standing = self.standing(state)
        if "joint_aim" in self.fields:
            aim = state.joint_aim.clone()
            aim[:, span] = standing[:, span]
            state = state.replace(joint_aim=aim)
        if self._past:
            past = state.joint_past.clone()
            past[:, :, :, span] = 0.0
            past[:, :, 0, span] = standing[:, None, span]
            state = state.replace(joint_past=past)
        mine = [i for i, tool in enumerate(self.tools) if tool.robot == robot]
        if self._past_goals and mine:
            goals = state.tool_past.clone()
            for i in mine:  # one by one: an index that is a list waits for the device
                goals[:, :, i] = state.body_q[:, None, self._numbers[i]]
            state = state.replace(tool_past=goals)
        return state


def _parameters(tool: ToolMount) -> dict[str, Parameter]:
    made = {f"{tool.name}.{key}": Parameter(tuple(getattr(tool, key).tolist()), unit) for key, unit in GAINS.items()}
    if tool.pulls_to_posture:
        for key, unit in POSTURE.items():
            lower = -np.inf if key == "posture" else -1e-2
            made[f"{tool.name}.{key}"] = Parameter(tuple(getattr(tool, key).tolist()), unit, lower)
    return made
