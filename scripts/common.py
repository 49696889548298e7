# SPDX-License-Identifier: Apache-2.0
"""What several subcommands share."""

import json
from typing import Any

EXAMPLE = """--env-args '{"name": 1.5}'"""


def parse_task_arguments(text: str) -> dict[str, Any]:
    """Task arguments from the command line.

    Args:
        text: A JSON object such as ``{"liquid_level": 0.05}``, or nothing.

    Raises:
        ValueError: Not a JSON object.
    """
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"--env-args {text!r} is not JSON ({error}); write for example {EXAMPLE}") from error
    if not isinstance(value, dict):
        raise ValueError(f"--env-args {text!r} is not a JSON object; write for example {EXAMPLE}")
    return value


def make_vec(id: str, **options: Any) -> Any:
    """``gym.make_vec`` of a registered task; an unknown id or argument becomes one clear line.

    Raises:
        ValueError: Unknown id (with the nearest known one), or an argument the task does not take.
    """
    require_task(id)
    import gymnasium as gym

    try:
        return gym.make_vec(id, **options)
    except TypeError as error:
        raise ValueError(f"{id}: {error}; `simenv info {id}` lists the arguments") from error


def require_task(id: str) -> None:
    """Raise ValueError, naming the nearest id, when ``id`` is not registered."""
    import difflib

    import simenv

    known = simenv.list_tasks()
    if id in known:
        return
    # "pouring" should find "SimEnv/Pouring-v0": compare the bare names, in lower case.
    bare = {task.split("/")[-1].split("-v")[0].lower(): task for task in known}
    guess = difflib.get_close_matches(id.split("/")[-1].split("-v")[0].lower(), bare, n=1, cutoff=0.5)
    hint = f"did you mean {bare[guess[0]]}?" if guess else f"known: {', '.join(known)}"
    raise ValueError(f"no environment {id!r}; {hint} (`simenv list`)")
