# SPDX-License-Identifier: Apache-2.0
"""A controller of the peg tasks that knows the true state: it levels the peg above its place, then lowers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from simenv.envs.constants import constant
from simenv.physics import exact

if TYPE_CHECKING:
    from simenv.tasks.tactile.peg import PegTask
    from simenv.world import State, World

HOVER = 0.004  # of the lower end above the mouth while the peg is far from straight above its place [m]
TILT, ARM = 0.08, 0.02  # largest lean at which it goes in [rad]; less where the play is less than TILT ARM [m]
ASIDE, LEVEL, LOWER = 0.5, 0.12, 0.35  # gains: part of the error that each step's goal takes away
FASTEST = 0.005  # by which the goal is below the hand at most, so that it slides in [m]


def lower_into_place(
    task: PegTask, world: World, state: State, episode: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """How the hand should move: proportional, and continuous above the mouth, so that it can be imitated.

    The nearer the peg is to straight above its place, in units of the play that it has there, the lower it may hang.

    Args:
        task: The task.
        world: The worlds.
        state: The state.
        episode: What the episode drew.

    Returns:
        Of the goal from the hand, (N, 3) [m], and its turn, world axes (N, 3) [rad].
    """
    axis, offset = task.axis(world, state), task.offset(world, state, episode)
    upright = constant((0.0, 0.0, 1.0), axis.dtype, axis.device).expand_as(axis)
    lean = torch.linalg.cross(axis, upright)
    top, half = task.mouth()
    gap = world.bodies["peg"].centre(state)[:, 2] - half * axis[:, 2] - episode["socket"][:, 2] - top
    off, most = exact.norm(offset[:, :2]) / (task.play / 2), min(TILT, task.play / ARM)
    height = HOVER * (torch.maximum(off, exact.norm(lean) / most) - 1.0).clamp(-1.0, 1.0)
    height = torch.where(gap < -0.001, -1.0, height)  # once inside it goes on
    down = (LOWER * (height - gap)).clamp(min=-FASTEST)
    return torch.cat([-ASIDE * offset[:, :2], down[:, None]], -1), LEVEL * lean
