# SPDX-License-Identifier: Apache-2.0
"""Several observation modes of one task at once, each under a name: what the actor sees, what the critic sees.

Learning with privileged information needs two observations of one state (L. Pinto et al., "Asymmetric actor critic for
image-based robot learning", RSS 2018). A task knows its modes one at a time; here they are put side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from simenv.envs.modes import choose_mode
from simenv.envs.task import Task

__all__ = ["add_views", "select_view"]

BARE = "observation"
"""Name of an observation that is a tensor and not a dict, inside a view."""


class _Views:
    """Observes a task in several modes; an object, not a function, so that the task can be copied and pickled."""

    def __init__(self, task: Task, modes: dict[str, str]):
        self._task, self._modes = task, modes

    def __call__(self, world: Any, state: Any, episode: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        seen: dict[str, torch.Tensor] = {}
        for view, mode in self._modes.items():
            self._task.observation_mode = mode
            part = type(self._task).observe(self._task, world, state, episode)
            parts = part if isinstance(part, Mapping) else {BARE: part}
            seen |= {f"{view}/{name}": value for name, value in parts.items()}
        return seen


def add_views(task: Task, modes: Mapping[str, str]) -> Task:
    """Makes a task observe several modes.

    Args:
        task: The task, changed in place.
        modes: View -> one of the task's observation modes.

    Returns:
        The task; its observations are a flat dict with keys ``"<view>/<name>"``, without bounds.

    Raises:
        ValueError: If there is no view, a name is empty or holds a slash, or a mode is unknown.
    """
    named: dict[str, str] = {}
    for view, mode in modes.items():
        if not isinstance(view, str) or not view or "/" in view:
            raise ValueError(f"observation_mode has a view named {view!r}; a name is a word without a slash.")
        named[view] = choose_mode(f"observation_mode[{view!r}]", mode, type(task).observation_modes)
    if not modes:
        raise ValueError("observation_mode is an empty dict; give at least one view, or the name of a mode.")
    task.observe = _Views(task, named)  # type: ignore[method-assign]
    task.observation_limits = None  # type: ignore[misc]
    task.view_modes = named  # type: ignore[attr-defined]
    return task


def select_view(observation: Any, view: str, keys: tuple[str, ...] = ()) -> dict[str, torch.Tensor]:
    """One view of an observation.

    Args:
        observation: (N, ...) tensor or flat dict of them.
        view: Name of the view; an observation without views is the same to everyone.
        keys: Names to select instead, as they are.

    Returns:
        Name -> (N, ...) tensor, without the view's name.

    Raises:
        KeyError: If the observation lacks the view or a key.
    """
    if not isinstance(observation, Mapping):
        return {BARE: observation}
    present = ", ".join(sorted(observation))
    if keys:
        missing = [key for key in keys if key not in observation]
        if missing:
            raise KeyError(f"observations {present} lack {', '.join(missing)}; name keys that are there")
        return {key: observation[key] for key in keys}
    if not any("/" in name for name in observation):
        return dict(observation)
    part = {name.split("/", 1)[1]: value for name, value in observation.items() if name.startswith(f"{view}/")}
    if not part:
        raise KeyError(f"observations {present} have no view {view!r}; make the environment with it")
    return part
