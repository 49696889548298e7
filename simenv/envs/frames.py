# SPDX-License-Identifier: Apache-2.0
"""Frames of a task: of its worlds, with its goals, and from where it is seen best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from simenv.envs.task import Task
from simenv.render.frames import Renderer
from simenv.render.items import Camera

if TYPE_CHECKING:
    from simenv.world import State, World


class TaskRenderer:
    """Draws the worlds of a task.

    Args:
        task: Says where marks are and what to look at.
        world: Its worlds.
        width: Width of a frame [px].
        height: Height of a frame [px].
        camera: Another view than the task's.
    """

    def __init__(self, task: Task, world: World, width: int, height: int, camera: Camera | None = None) -> None:
        self._task, self._renderer = task, Renderer(world, width, height, camera)

    @torch.no_grad()
    def render(
        self, state: State, episode: dict[str, torch.Tensor], worlds: Sequence[int] | None = None
    ) -> list[np.ndarray]:
        """Frames (height, width, 3) uint8 of a state in an episode, of the worlds asked for or all."""
        marks = self._task.marks(self._renderer.world, state, episode)
        return self._renderer.render(state, worlds, marks, self._task.view(episode))
