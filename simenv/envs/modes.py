# SPDX-License-Identifier: Apache-2.0
"""Observation modes that combine: ``"reduced+force_field"`` observes both. A task names its blocks and says what is in
each; a new kind of sensor is one more block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch


def with_extras(bases: Sequence[str], extras: Sequence[str]) -> tuple[str, ...]:
    """Modes: each base alone, then each base with each extra, then the extras alone. The first is the default.

    Args:
        bases: Names of which at most one is observed, such as kinds of state.
        extras: Names that go with any base, such as sensors.

    Returns:
        The names of the modes.
    """
    both = [f"{base}+{extra}" for base in bases for extra in extras]
    return (*bases, *both, *extras)


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
