# SPDX-License-Identifier: Apache-2.0
"""The launches of trees whose pushers answer to how they move: their responses as links have them, and what a kick has
changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from simenv.physics.bodies.forest import Forest
from simenv.physics.bodies.kernels_answer import answer_kernels
from simenv.physics.launch.slots import Launch, Slot
from simenv.physics.solver import Desk

__all__ = ["Answers"]


class Answers:
    """What answers of the frames of a forest. With a gradient each tick keeps the responses of links.

    Args:
        forest: the trees; desk: what to work with; real: Warp's scalar type.
        array: makes a Warp array of values and a dtype.

    Attributes:
        any: whether any frame answers.
        lends: whether each link does, (L,), or empty.
    """

    def __init__(self, forest: Forest, desk: Desk, real: Any, array: Callable[[Any, Any], Any]):
        rows = [int(row) for row in forest.rows]
        asked = [rows.index(row) for row in desk.frames.settle_answers(rows)]
        self._forest, self._desk, self._kernels = forest, desk, answer_kernels(real)
        self.any = bool(asked)
        self.lends = array(np.isin(np.arange(len(forest)), forest.on[asked]) if asked else np.zeros(0), int)
        self._asked = array(asked, int)
        self._lent: list[Slot] = []

    def lent(self, number: int) -> Slot:
        """Responses of links about the places where they are pushed (N, L) of 6 x 6; none where none answers."""
        links = len(self._forest) if self.any else 0
        while len(self._lent) <= number:
            self._lent.append(self._desk.memory.slot(self._kernels.mat66, links))
        return self._lent[number]

    def collect(self, number: int, rows: Any, position: Slot) -> list[Launch]:
        """The launch that has the responses of frames on their links.

        Args:
            number: of the tick's scratch.
            rows: the frames on links.
            position: of frames where they are pushed.
        """
        if not self.any:
            return []
        k, given = self._kernels, [position, self._desk.frames.response(number)]
        fixed, one = [rows, self._asked], (self._desk.worlds,)
        return [Launch(k.lend, one, fixed, given, [self.lent(number)], k.lend_adjoint)]

    def tell(
        self, number: int, dim: tuple[int, ...], fixed: Sequence[Any], joints: Sequence[Slot], position: Slot,
        felt: Sequence[Slot], work: Sequence[Any],
    ) -> list[Launch]:  # fmt: skip
        """The launch that says how a kick has changed the motion of frames.

        Args:
            number: of the tick's scratch.
            dim: of the launch.
            fixed: worlds of a thread, trees and frames on links.
            joints: positions midway, rates before the kick and after.
            position: of frames where they are pushed.
            felt: mean wrenches, which lose what the responses take.
            work: space of `Motion`, `Swept` and `Spare`.
        """
        if not self.any:
            return []
        k, frames, rate = self._kernels, self._desk.frames, 1.0 / (self._desk.ticks * self._desk.dt)
        given = [*joints, position, frames.response(number)]
        out, fixed = [*frames.change(number), *felt], [*fixed, self._asked, rate]
        return [Launch(k.tell, dim, fixed, given, out, k.tell_adjoint, work)]
