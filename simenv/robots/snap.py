# SPDX-License-Identifier: Apache-2.0
"""Numbers of a file in double precision, where a reader has them in single."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree as ET

import numpy as np

__all__ = ["Snap"]

ROUNDING = 2.5e-7  # of single precision, and of a product or a sum of two
PLACES = 1e-6  # [m] that places are off where they were computed from poses in the world
TURNS = 5e-6  # that directions and quaternions are off where they were computed from matrices


class Snap:
    """Finds for a rounded number the one that a file has written, and gives back the rounded one where it has none.

    A number matches one of the text, the same with the other sign, or the same from degrees to radians, within the
    rounding of single precision. Vectors are matched as a whole: as written, or as a direction, brought to length one.

    Args:
        root: XML whose attributes are the text; None matches nothing.
        turns: quaternions wxyz that the text means, beside those that it has.
    """

    def __init__(self, root: ET.Element | None, turns: Iterable[np.ndarray] = ()):
        written: set[float] = set()
        self._vectors: dict[int, list[tuple[float, ...]]] = {3: [], 4: [tuple(turn) for turn in turns]}
        for element in [] if root is None else root.iter():
            for text in element.attrib.values():
                values = _numbers(text)
                written.update(values)
                if len(values) in self._vectors:
                    self._vectors[len(values)].append(values)
        known = np.array(sorted(written | {0.0, 1.0}))
        known = np.concatenate([known, np.deg2rad(known)])
        self._known = np.unique(np.concatenate([known, -known]))

    def number(self, value: float) -> float:
        """A number."""
        value = float(value)
        after = int(np.searchsorted(self._known, value))
        near = self._known[max(after - 1, 0) : after + 1]
        best = float(near[np.argmin(np.abs(near - value))])
        return (best if abs(best - value) <= ROUNDING * abs(value) else value) + 0.0  # no negative zero

    def place(self, values: np.ndarray) -> np.ndarray:
        """A place (3,) [m]."""
        values = np.asarray(values, dtype=np.float64)
        for written in self._nearest(values, unit=False):
            if np.abs(written - values).max() <= PLACES:
                return written
        return np.array([self.number(value) for value in values])

    def direction(self, values: np.ndarray) -> np.ndarray:
        """A vector of length one, (3,)."""
        unit = np.asarray(values, dtype=np.float64)
        unit = unit / np.linalg.norm(unit)
        for written in self._nearest(unit, unit=True):
            if np.abs(written - unit).max() <= TURNS:
                return written
        unit = np.array([self.number(value) for value in unit])
        return unit / np.linalg.norm(unit)

    def quaternion(self, values: np.ndarray) -> np.ndarray:
        """A unit quaternion xyzw (4,), which a file has as wxyz."""
        return np.roll(self.direction(np.roll(np.asarray(values, dtype=np.float64), 1)), -1)

    def _nearest(self, values: np.ndarray, unit: bool) -> np.ndarray:
        """The vector of the text that is nearest, or its opposite (1, n); empty if the text has none."""
        known = np.array(self._vectors[len(values)], dtype=np.float64).reshape(-1, len(values))
        if unit:
            lengths = np.linalg.norm(known, axis=1)
            known = known[lengths > 0.0] / lengths[lengths > 0.0, None]
            known = np.concatenate([known, -known])
        else:
            known = np.concatenate([known, np.zeros((1, len(values)))])
        return known[np.argsort(np.abs(known - values).max(axis=1))[:1]] if len(known) else known


def _numbers(text: str) -> tuple[float, ...]:
    words = re.split(r"[\s,]+", text.strip())
    try:
        return tuple(float(word) for word in words)
    except ValueError:
        return ()
