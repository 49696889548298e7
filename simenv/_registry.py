# SPDX-License-Identifier: Apache-2.0
"""The table of registered tasks, and their registration with Gymnasium.

Light on purpose: importing this module loads neither torch nor Warp. Entry points stay strings until an environment is
made.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import TYPE_CHECKING

import gymnasium

if TYPE_CHECKING:
    from simenv.envs.task import Task

_SINGLE = "simenv.envs.registration:make_env"
_VECTOR = "simenv.envs.registration:make_vector_env"


@dataclasses.dataclass(frozen=True)
class TaskEntry:
    """One registered task.

    Attributes:
        entry_point: Where the task class lives, ``"module:ClassName"``.
        max_episode_steps: Control steps after which an episode is truncated.
        cls: The task class once its module has been imported, else None.
    """

    entry_point: str
    max_episode_steps: int
    cls: type[Task] | None = None


TASKS: dict[str, TaskEntry] = {}


def register(task_id: str, entry_point: str, max_episode_steps: int, cls: type[Task] | None = None) -> None:
    """Add a task to :data:`TASKS` and to Gymnasium's registry, for ``gym.make`` and ``gym.make_vec``.

    ``simenv/__init__.py`` calls it with a string only, the ``register_task`` decorator with the class as well. Defining
    the same class again (a re-run notebook cell, ``importlib.reload``) replaces the entry.

    Args:
        task_id: Gymnasium id, ``"Namespace/Name-vN"``.
        entry_point: ``"module:ClassName"`` of the task class.
        max_episode_steps: Control steps after which an episode is truncated, at least 1.
        cls: The task class, if it exists already.

    Raises:
        ValueError: If the id belongs to another class, if the decorator contradicts the built-in table, or if
            ``max_episode_steps`` is less than 1.
    """
    if max_episode_steps < 1:
        raise ValueError(f"{task_id}: max_episode_steps is {max_episode_steps}; the minimum is 1.")
    known = TASKS.get(task_id)
    if known is not None:
        if known.entry_point != entry_point:
            raise ValueError(
                f"{task_id} belongs to {known.entry_point} already, so {entry_point} cannot have it; use another id."
            )
        if known.cls is None and known.max_episode_steps != max_episode_steps:
            raise ValueError(
                f"{task_id}: its decorator says max_episode_steps={max_episode_steps}, the table in "
                f"simenv/__init__.py says {known.max_episode_steps}; make them equal."
            )
    TASKS[task_id] = TaskEntry(entry_point, max_episode_steps, cls or (known.cls if known else None))
    if known is not None and known.max_episode_steps == max_episode_steps:
        return  # Gymnasium holds this very spec already.
    gymnasium.registry.pop(task_id, None)
    gymnasium.register(
        id=task_id,
        entry_point=_SINGLE,
        vector_entry_point=_VECTOR,
        max_episode_steps=max_episode_steps,
        kwargs={"task_id": task_id},
    )


def load_task(task_id: str) -> type[Task]:
    """Return the task class of ``task_id``, importing its module if needed.

    Args:
        task_id: A registered id, such as ``"SimEnv/Pouring-v0"``.

    Returns:
        The class, a subclass of ``simenv.envs.Task``.

    Raises:
        KeyError: If the id is not registered; the message lists those that are.
    """
    if task_id not in TASKS:
        raise KeyError(f"Unknown task {task_id!r}. Registered tasks: {', '.join(list_tasks())}.")
    entry = TASKS[task_id]
    if entry.cls is None:
        module_name, _, class_name = entry.entry_point.partition(":")
        cls = getattr(importlib.import_module(module_name), class_name)
        if TASKS[task_id].cls is None:  # The module has no decorator; keep what was found.
            TASKS[task_id] = dataclasses.replace(entry, cls=cls)
        return cls
    return entry.cls


def list_tasks() -> list[str]:
    """Ids of all registered tasks, sorted."""
    return sorted(TASKS)
