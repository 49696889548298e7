# SPDX-License-Identifier: Apache-2.0
"""Options of an environment: their values, and what to tell a caller who gives a wrong one."""

from __future__ import annotations

import difflib
import inspect
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from gymnasium.vector import AutoresetMode

from simenv.envs.task import Task

DTYPES = {"float32": torch.float32, "float64": torch.float64}
OUTPUTS = ("numpy", "torch")
BAD_ACTION_MODES = ("raise", "clip")
AUTORESET_MODES = {
    "next_step": AutoresetMode.NEXT_STEP,
    "same_step": AutoresetMode.SAME_STEP,
    "disabled": AutoresetMode.DISABLED,
}


def choose(option: str, value: Any, allowed: Iterable[str | bool | None]) -> Any:
    """Return the value if it is allowed.

    Args:
        option: Name of the option.
        value: What the caller gave.
        allowed: The values there are.

    Returns:
        ``value``.

    Raises:
        ValueError: Naming the allowed values and the closest of them.
    """
    allowed = list(allowed)
    if value in allowed:
        return value
    raise ValueError(
        f"{option}={value!r} is not one of {', '.join(map(repr, allowed))}.{suggestion(str(value), allowed)}"
    )


def whole(option: str, value: Any, hint: str = "") -> int:
    """Return the value if it is a whole number of at least 1.

    Args:
        option: Name of the option.
        value: What the caller gave.
        hint: What else there is to say.

    Returns:
        ``value`` as an int.

    Raises:
        ValueError: Naming the option, its value and the limit.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ValueError(f"{option}={value!r} is not a whole number{hint}.")
    if value < 1:
        raise ValueError(f"{option}={value}: the minimum is 1{hint}.")
    return int(value)


def check_render_mode(value: Any, allowed: Iterable[str]) -> str | None:
    """The render mode of a batch; ValueError, with a remedy for windows, if it has no such mode."""
    if value == "human":
        raise ValueError(
            "render_mode='human' is for gymnasium.make. A batch draws pictures: make it with render_mode='rgb_array' "
            "and call render(), or put gymnasium.wrappers.vector.HumanRendering, which needs pygame, around it."
        )
    return choose("render_mode", value, (None, *allowed))


def frame_size(value: Sequence[int]) -> tuple[int, int]:
    """Width and height of a frame [pixel]; ValueError if they are not two whole numbers of at least 1."""
    try:
        width, height = value
    except (TypeError, ValueError):
        raise ValueError(f"render_size={value!r}: give width and height [pixel].") from None
    return whole("render_size[0]", width), whole("render_size[1]", height)


def suggestion(word: str, known: Iterable[str | bool | None]) -> str:
    """A sentence naming the closest known words.

    Args:
        word: What was written.
        known: What could have been meant.

    Returns:
        ``" Did you mean ...?"``, or nothing when no word is close.
    """
    lowered = {name.lower(): name for name in known if isinstance(name, str)}
    close = [lowered[match] for match in difflib.get_close_matches(word.lower(), list(lowered), n=3, cutoff=0.6)]
    return f" Did you mean {' or '.join(close)}?" if close else ""


def autoreset_mode(value: str | AutoresetMode) -> AutoresetMode:
    """The mode, from the enum or its name.

    Args:
        value: ``"next_step"``, ``"same_step"``, ``"disabled"``, or an `AutoresetMode` (or its value, such as
            ``"NextStep"``).

    Returns:
        The enum member.

    Raises:
        ValueError: For anything else.
    """
    if isinstance(value, AutoresetMode):
        return value
    by_value = {mode.value: mode for mode in AutoresetMode}
    if value in by_value:
        return by_value[value]
    return AUTORESET_MODES[choose("autoreset_mode", value, AUTORESET_MODES)]


def _check_kind(what: str, value: Any, default: Any) -> None:
    """Raise for a switch that is no bool, and a quantity that is no finite number; the default says which it is."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(default, bool) and not isinstance(value, bool):
        raise TypeError(f"{what} is {value!r}; it must be True or False.")
    if isinstance(default, (int, float)) and not isinstance(default, bool):
        if not number:
            raise TypeError(f"{what} is {value!r}; it must be a number, such as {default}.")
        if not math.isfinite(value):
            raise ValueError(f"{what} is {value}; it must be finite.")


def make_task(
    cls: type[Task],
    arguments: dict[str, Any],
    observation_mode: str | Mapping[str, str],
    environment_options: Sequence[str],
) -> Task:
    """Construct the task, refusing arguments it does not have.

    Args:
        cls: The task class.
        arguments: Its keyword arguments.
        observation_mode: One of ``cls.observation_modes``, its blocks in any order, or a dict of several by name
            (`simenv.envs.views`).
        environment_options: Names that are options of the environment, for suggestions.

    Returns:
        The task.

    Raises:
        TypeError: For an unknown argument (naming the closest), one that JSON cannot hold, or one of another kind than
            its default.
        ValueError: For a number that is not finite.
    """
    parameters = inspect.signature(cls).parameters
    known = [name for name, kind in parameters.items() if kind.kind not in (kind.VAR_KEYWORD, kind.VAR_POSITIONAL)]
    known += cls.observation_options
    takes_any = any(kind.kind is kind.VAR_KEYWORD for kind in parameters.values())
    for name, value in arguments.items():
        if name not in known and not takes_any:
            raise TypeError(  # Python's own words, which clients look for to leave an argument out
                f"{cls.task_id or cls.__name__}: __init__() got an unexpected keyword argument "
                f"{name!r}.{suggestion(name, [*known, *environment_options])} "
                f"Task arguments: {', '.join(known) or 'none'}. Environment options: {', '.join(environment_options)}."
            )
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"Argument {name!r} of {cls.task_id or cls.__name__} is not JSON-serialisable ({error}); recordings "
                "could not rebuild the environment. Pass numbers, strings, lists or dicts."
            ) from error
        if name in parameters:
            _check_kind(f"argument {name!r} of {cls.task_id or cls.__name__}", value, parameters[name].default)
    task = cls(**{name: value for name, value in arguments.items() if name not in cls.observation_options})
    for name in set(cls.observation_options) & set(arguments):
        setattr(task, name, arguments[name])
    from simenv.envs.modes import choose_mode  # which, like the views, builds on this file

    if isinstance(observation_mode, Mapping):
        from simenv.envs.views import add_views

        return add_views(task, observation_mode)
    task.observation_mode = choose_mode("observation_mode", observation_mode, cls.observation_modes)
    return task
