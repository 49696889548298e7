# SPDX-License-Identifier: Apache-2.0
"""The time limit that a caller of ``gymnasium.make`` gave: the task must know it before its world is built."""

from __future__ import annotations

import sys

import gymnasium
from gymnasium.envs.registration import EnvSpec


def limit_from_make(task_id: str) -> int | None:
    """The ``max_episode_steps`` of the ``gymnasium.make`` that is making a task now.

    Gymnasium keeps the limit for its wrapper, which it puts around the finished environment, and tells the entry point
    nothing. So this looks at the call: at its parameters ``id`` and ``max_episode_steps``, which are public.

    Args:
        task_id: The id of the task that is being made.

    Returns:
        The caller's limit, else that of the specification; None where there is none, or nobody called
        ``gymnasium.make`` for this task.
    """
    frame = sys._getframe(1)
    while frame is not None and frame.f_code is not gymnasium.make.__code__:
        frame = frame.f_back  # type: ignore[assignment]
    if frame is None:
        return None
    wanted, limit = frame.f_locals["id"], frame.f_locals["max_episode_steps"]
    name = str(wanted).rpartition(":")[2]  # "module:id" imports the module first
    spec = wanted if isinstance(wanted, EnvSpec) else gymnasium.registry.get(name)
    # Without a version Gymnasium takes the latest; an environment of another kind may make a task inside its own.
    if spec is None and task_id.startswith(f"{name}-v"):
        spec = gymnasium.registry.get(task_id)
    if spec is None or spec.kwargs.get("task_id") != task_id:
        return None
    if limit is None:
        return spec.max_episode_steps
    return limit if limit > 0 else None  # -1 switches the wrapper off
