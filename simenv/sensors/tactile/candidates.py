# SPDX-License-Identifier: Apache-2.0
"""What a calibration of a tactile camera tries, and what it means where the best is the last of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

__all__ = ["FIRST", "TOGETHER", "TRIED", "candidates", "limits"]

# what the search tries: depth over that of the contact circle; widths over the ball's radius; weight of the wide blur
TRIED = {
    "sink": (1.0, 1.2, 1.4, 1.7, 2.0),
    "near": (0.015, 0.05, 0.1, 0.2, 0.4),
    "far": (0.25, 0.4, 0.6, 0.9, 1.35, 2.0),
    "share": (0.15, 0.3, 0.45, 0.6, 0.75, 0.9),
}
WIDTHS = ("near", "far")
_CIRCLES = "see whether --ball-radius, --pixel and the contact circles are right; predicted imprints may be too "
# name, unit, what the least and the largest value mean (none: it is no limit)
LIMITS = {
    "sink": (
        "depth of the ball over that of its contact circle (sink)", "",
        _CIRCLES + "wide, since the circles may be drawn too large",
        _CIRCLES + "narrow, since the circles may be drawn too small",
    ),
    "near": (
        "width of the narrow blur (near)", " m", "",
        "the images are softer than any gel that was tried; see whether they are in focus and --pixel is right",
    ),
    "far": (
        "width of the wide blur (far)", " m",
        "the gel is hardly drawn in around the ball; see whether --ball-radius and --pixel are right",
        "the gel is drawn in further than was tried; see whether --ball-radius and --pixel are right",
    ),
    "share": (
        "weight of the wide blur (share)", "",
        "the gel is hardly drawn in around the ball; see whether the contact circles are right",
        "the gel is drawn in further than was tried; see whether the contact circles are right",
    ),
}  # fmt: skip
FIRST = {"sink": 2, "near": 1, "far": 2, "share": 2}  # numbers of the candidates that it starts from
# what is searched at a time: depth and weight stand in for each other, so that neither gets far alone
TOGETHER = (("sink", "share"), ("near",), ("far",))


def deepest(ball_radius: float, radii: np.ndarray) -> float:
    """Greatest depth over that of the contact circle.

    An elastic half space is drawn in furthest around a ball: d = a / 2 log((R + a) / (R - a)) (Sneddon 1965), 2 times
    the circle's depth for a small contact, 2.35 times at a / R = 0.9. Deeper, a ball would touch a wider circle.
    """
    x = radii / ball_radius
    return float((x * np.arctanh(x) / (1.0 - np.sqrt(1.0 - x * x))).min())


def candidates(ball_radius: float, radii: np.ndarray) -> dict[str, tuple[float, ...]]:
    """What the search tries, in order of size.

    Args:
        ball_radius: [m].
        radii: of the contact circles [m].

    Returns:
        ``sink``, depth over that of the contact circle; ``near`` and ``far``, widths [m]; ``share``, weight of the wide
        blur.
    """
    tried = {name: tuple(ball_radius * v for v in values) for name, values in TRIED.items() if name in WIDTHS}
    limit = deepest(ball_radius, radii)
    sinks = TRIED["sink"] + ((limit,) if limit > 1.05 * TRIED["sink"][-1] else ())
    return {"sink": sinks, "share": TRIED["share"], **tried}


def limits(found: Mapping[str, float], ball_radius: float, radii: np.ndarray) -> list[str]:
    """Warnings about numbers that are the first or the last of what the search tries: the truth may lie beyond.

    Args:
        found: by the names of `candidates`, whose other arguments follow.
        ball_radius: [m].
        radii: [m].
    """
    tried = candidates(ball_radius, radii)
    warnings = []
    for name, (what, unit, low, high) in LIMITS.items():
        for end, word, remedy in ((tried[name][0], "least", low), (tried[name][-1], "largest", high)):
            if remedy and np.isclose(found[name], end, rtol=1e-6):
                warnings.append(f"{what}, {found[name]:.4g}{unit}, is the {word} that the search tries: {remedy}")
    return warnings
