# SPDX-License-Identifier: Apache-2.0
"""Coriolis', centrifugal and gyroscopic forces at the rates of the middle of a tick: what kicks once more for that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import warp as wp

from simenv.physics.bodies.forest import Forest
from simenv.physics.bodies.kernels_midpoint import midpoint_kernels
from simenv.physics.launch.slots import Launch, Slot
from simenv.physics.solver import Desk

__all__ = ["Ahead", "Midpoint", "without"]


@dataclass(frozen=True)
class Ahead:
    """The slots of a tick: rates that a first kick gives, without contact and loops; torques that are corrected by
    these; and what the first kick keeps, as `TickSlots` has it.
    """

    rates: Slot
    torques: Slot
    factor: list[Slot]
    spent: Slot


class Midpoint:
    """What corrects the torques of a tick.

    Args:
        forest: the trees; desk: what to work with; kernels: of `robot_kernels`; real: Warp's scalar type.
        pulled: whether links are by impedances.
    """

    def __init__(self, forest: Forest, desk: Desk, kernels: Any, real: Any, pulled: bool):
        self._forest, self._desk, self._k, self._pulled = forest, desk, kernels, pulled
        self._kernels = midpoint_kernels(real)
        self._ticks: list[Ahead] = []

    def slots(self, number: int) -> Ahead:
        """Of a tick."""
        k, slot, rates = self._k, self._desk.memory.slot, self._forest.rates
        while len(self._ticks) <= number:
            self._ticks.append(Ahead(
                slot(k.real, rates), slot(k.real, rates),
                [slot(kind, rates, differentiable=False) for kind in (k.vec3, k.vec3, k.real)],
                slot(k.real, rates if self._pulled else 0),
            ))  # fmt: skip
        return self._ticks[number]

    def launch(
        self, now: Ahead, dim: tuple[int, ...], fixed: list[Any], joints: tuple[Slot, Slot], torques: Slot,
        inertial: Slot, work: list[Any],
    ) -> Launch:  # fmt: skip
        """The correction.

        Args:
            now: slots of the tick.
            dim: of the launch.
            fixed: worlds of a thread, and the trees.
            joints: positions midway, and rates before the kick.
            torques: that drives give.
            inertial: of the links.
            work: space of `Motion`, `Swept` and `Spare`.
        """
        k, given = self._kernels, [*joints, now.rates, torques, inertial]
        return Launch(k.correct, dim, fixed, given, [now.torques], k.correct_adjoint, work)


def without(struct: Any, kind: Any, prefix: str = "") -> Any:
    """A copy of a struct of a kind, of which those arrays whose names begin so are empty."""
    made = kind()
    for name in kind.vars:
        value = getattr(struct, name)
        if isinstance(value, wp.array) and name.startswith(prefix):
            value = wp.zeros(0, dtype=value.dtype, device=value.device)
        setattr(made, name, value)
    return made
