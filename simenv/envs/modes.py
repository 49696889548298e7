# SPDX-License-Identifier: Apache-2.0
"""Observation modes that combine: ``"reduced+force_field"`` observes both. A task names its blocks and says what is in
each; a new kind of sensor is one more block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import torch

from simenv.envs.options import choose


def with_extras(bases: Sequence[str], extras: Sequence[str]) -> tuple[str, ...]:
    """Modes: each base alone, then each base with any number of extras, then extras without a base. The first is the
    default.

    Args:
        bases: Names of which at most one is observed, such as kinds of state.
        extras: Names that go with any base and with each other, such as sensors.

    Returns:
        The names of the modes.
    """
    groups = ["+".join(group) for n in range(1, len(extras) + 1) for group in combinations(extras, n)]
    return (*bases, *(f"{base}+{group}" for base in bases for group in groups), *groups)


def choose_mode(option: str, value: str, modes: Sequence[str]) -> str:
    """The mode that has these blocks, in whatever order they are named.

    Args:
        option: Name of the option, for the error.
        value: What the caller gave.
        modes: The modes there are.

    Returns:
        The mode as the task names it.

    Raises:
        ValueError: There is no such mode; the message names the closest.
    """
    sorted_names = {"+".join(sorted(mode.split("+"))): mode for mode in modes}
    return choose(option, sorted_names.get("+".join(sorted(str(value).split("+"))), value), modes)


def observe_blocks(mode: str, blocks: Mapping[str, Callable[[], dict[str, torch.Tensor]]]) -> dict[str, torch.Tensor]:
    """What a mode observes; only the blocks it names are computed.

    Args:
        mode: Names of blocks joined by ``+``.
        blocks: What each block observes.

    Returns:
        The observations of the blocks together, by name.
    """
    seen: dict[str, torch.Tensor] = {}
    for name in mode.split("+"):
        seen |= blocks[name]()
    return seen
