# SPDX-License-Identifier: Apache-2.0
"""Options of an environment: their values, and what to tell a caller who gives a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from gymnasium.vector import AutoresetMode

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
