# SPDX-License-Identifier: Apache-2.0
"""A controller of `TactilePour-v0` that knows how much is left in the bottle: it leans a little farther than to where
that stands at the lip, and back when enough has left.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from simenv.geometry.shapes import Cup

__all__ = ["brim", "lean", "standing_tilt"]

LEAN, SOON, EARLY = 0.4, 0.008, 0.0005  # lean [rad] while so much is missing [kg], and what falls after it is seen [kg]

Knots = tuple[tuple[float, ...], tuple[float, ...]]


def brim(bottle: Cup, count: int = 9) -> Knots:
    """Volumes [m^3] of liquid at rest that stand at the lip of a tilted bottle, growing, and its tilts [rad].

    The surface is a plane through the lip; the volume below it is integrated over strips of the bottle's floor.

    Args:
        bottle: its cavity counts.
        count: of pairs, between a lying and a nearly upright bottle.
    """
    height, radius = bottle.height - bottle.base, bottle.inner_radius
    x = np.linspace(-radius, radius, 2001)
    chord = 2.0 * np.sqrt(np.maximum(radius**2 - x**2, 0.0))
    tilts = np.linspace(0.5 * math.pi - 1e-4, 0.3, count)
    depth = [np.clip(height - (radius - x) * math.tan(tilt), 0.0, height) for tilt in tilts]
    volumes = [float(0.5 * ((each * chord)[1:] + (each * chord)[:-1]).sum() * (x[1] - x[0])) for each in depth]
    return tuple(volumes), tuple(tilts.tolist())


def standing_tilt(volume: torch.Tensor, knots: Knots) -> torch.Tensor:
    """Tilt (N,) [rad] at which liquid of a volume (N,) [m^3] stands at the lip, by the pairs of `brim`."""
    volumes, tilts = knots
    tilt = torch.full_like(volume, tilts[0])
    for i in range(len(tilts) - 1):
        wide = volumes[i + 1] - volumes[i]
        tilt = tilt + (tilts[i + 1] - tilts[i]) / wide * (volume - volumes[i]).clamp(0.0, wide)
    return tilt


def lean(volume: torch.Tensor, missing: torch.Tensor, knots: Knots) -> torch.Tensor:
    """The tilt (N,) [rad] that the bottle should have.

    Args:
        volume: of what is in it (N,) [m^3].
        missing: what has yet to leave it (N,) [kg].
        knots: of `brim`.
    """
    return standing_tilt(volume, knots) + LEAN * ((missing - EARLY) / SOON).clamp(-1.0, 1.0)
