# SPDX-License-Identifier: Apache-2.0
"""Worlds that enter a control step with numbers that are not finite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from simenv.physics.device import surely
from simenv.physics.status import NONFINITE
from simenv.world.engine import gathered, masked

if TYPE_CHECKING:
    from simenv.physics.bodies.robot_solver import RobotSolver
    from simenv.physics.gas.solver import GasSolver
    from simenv.world.state import Control, State

JOINT_CONTROLS = ("joint_target", "joint_rate", "joint_torque")
GOALS = ("goal", "tool_goal")
CONTROLS = ("twist", "effort", *GOALS, *JOINT_CONTROLS, "gas_drive", "gas_feed")


class Checked:
    """What a world does before a step so that such worlds stop alone."""

    num_worlds: int
    body_names: tuple[str, ...]
    robot_solver: RobotSolver | None
    gas_solver: GasSolver | None
    _entering: list[str]
    _initial: State
    zero_control: Callable[[State], Control]

    def _stopped(self, state: State, control: Control, status: torch.Tensor) -> tuple[State, Control, torch.Tensor]:
        """State and control with harmless bodies where these have numbers that are not finite, and the status of worlds
        that must not step: that of their parameters, or `NONFINITE` of those.
        """
        if not self.body_names and self.gas_solver is None:
            return state, control, status
        held = self.robot_solver.starts_from() if self.robot_solver is not None else []  # joints place what others meet
        told = {name: each for name in CONTROLS if (each := getattr(control, name)) is not None}
        given = [state.body_q, *told.values(), *(state[name] for name in self._entering)]
        flat = [each.detach().reshape(self.num_worlds, -1) for each in given]
        # numbers are finite if the largest and the least are, which take less time to find than those that are not
        ends = [end for each in flat if each.numel() for end in (each.amax(), each.amin())]
        if surely(torch.isfinite(torch.stack(ends))):
            state = state.replace(**{name: gathered(state[name]) for name in ("body_q", *held)})
            return state, replace(control, **{name: gathered(each) for name, each in told.items()}), status
        finite = torch.isfinite(torch.cat(flat, 1)).all(1)
        state = state.replace(**{name: masked(state[name], finite, self._initial[name]) for name in ("body_q", *held)})
        here = vars(self.zero_control(state))
        harmless = {n: masked(each, finite, here[n] if n in GOALS else None) for n, each in told.items()}
        stopped = status | torch.where(finite, 0, NONFINITE).to(torch.int32)
        return state, replace(control, **harmless), stopped
