# SPDX-License-Identifier: Apache-2.0
"""Several observation modes of one task at once, each under a name: what the actor sees, what the critic sees.

Learning with privileged information needs two observations of one state (L. Pinto et al., "Asymmetric actor critic for
image-based robot learning", RSS 2018). A task knows its modes one at a time; here they are put side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import torch

from simenv.envs.modes import choose_mode
from simenv.envs.task import Limits, Task

if TYPE_CHECKING:
    from simenv.world import State, World

__all__ = ["choose_modes", "observation_limits", "observe", "select_view"]

BARE = "observation"
"""Name of an observation that is a tensor and not a dict, inside a view."""


def choose_modes(wanted: str | Mapping[str, str], modes: Sequence[str]) -> str | dict[str, str]:
    """The observation mode of a task: one of its modes, or several by name.

    Args:
        wanted: A mode, or view -> mode; blocks in any order.
        modes: The task's modes.

    Returns:
        The same, as the task names its modes.

    Raises:
        ValueError: If there is no view, a name is empty or holds a slash, or a mode is unknown.
    """
    if not isinstance(wanted, Mapping):
        return choose_mode("observation_mode", wanted, modes)
    named: dict[str, str] = {}
    for view, mode in wanted.items():
        if not isinstance(view, str) or not view or "/" in view:
            raise ValueError(f"observation_mode has a view named {view!r}; a name is a word without a slash.")
        named[view] = choose_mode(f"observation_mode[{view!r}]", mode, modes)
    if not named:
        raise ValueError("observation_mode is an empty dict; give at least one view, or the name of a mode.")
    return named


def observe(
    task: Task, world: World, state: State, episode: dict[str, torch.Tensor]
) -> torch.Tensor | dict[str, torch.Tensor]:
    """What a task observes in its mode, or in each of its modes.

    Args:
        task: The task.
        world: The worlds.
        state: The state to observe.
        episode: What the episode drew.

    Returns:
        What `Task.observe` returns; with several modes a flat dict with keys ``"<view>/<name>"``.
    """
    if isinstance(task.observation_mode, str):
        return task.observe(world, state, episode)
    seen: dict[str, torch.Tensor] = {}
    for view, mode in task.observation_mode.items():
        one = copy(task)  # which sees the worlds in one mode; the task itself is left as it is
        one.observation_mode = mode
        part = one.observe(world, state, episode)
        parts = part if isinstance(part, Mapping) else {BARE: part}
        seen |= {f"{view}/{name}": value for name, value in parts.items()}
    return seen


def observation_limits(task: Task) -> Limits | Mapping[str, Limits] | None:
    """Limits of what `observe` returns; several modes side by side have none."""
    return task.observation_limits if isinstance(task.observation_mode, str) else None


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
