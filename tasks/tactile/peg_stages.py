# SPDX-License-Identifier: Apache-2.0
"""Where episodes of the peg tasks start."""

import dataclasses

__all__ = ["STAGES", "Stage"]


@dataclasses.dataclass(frozen=True)
class Stage:
    """Where episodes start. Nothing of it depends on how the peg lies in the hand, so that it gives nothing away."""

    hand: tuple[tuple[float, ...], tuple[float, ...]]
    """Lowest and highest place of the hand [m]."""
    above: bool
    """Whether it is counted from where a straight peg, held as high as can be, would touch the middle of the mouth."""
    turn: float
    """Largest turn of the hand about the vertical [rad]."""
    socket: tuple[tuple[float, ...], tuple[float, ...]]
    """Lowest and highest place of the socket's foot [m]."""
    noise: float
    """Largest error of its observed place, on each axis [m]."""


STAGES = {
    "full": Stage(((0.4, -0.1, 0.1), (0.6, 0.1, 0.2)), False, 1.0, ((0.4, -0.1, 0.0), (0.6, 0.1, 0.02)), 0.005),
    "near": Stage(
        ((-0.01, -0.01, 0.006), (0.01, 0.01, 0.016)), True, 0.1, ((0.48, -0.02, 0.0), (0.52, 0.02, 0.0)), 0.001
    ),
}
