# SPDX-License-Identifier: Apache-2.0
"""Slots of a tick of robots, and one whose adjoint nobody wants."""

from __future__ import annotations

from dataclasses import dataclass

import warp as wp

from simenv.physics.launch.slots import Slot

__all__ = ["Sunk", "TickSlots"]


class Sunk:
    """A slot whose adjoint goes to another one, which nobody reads.

    Args:
        slot: it.
        sink: the other.
    """

    def __init__(self, slot: Slot, sink: Slot):
        self._slot, self._sink = slot, sink

    @property
    def array(self) -> wp.array:
        """Of the slot."""
        return self._slot.array

    @property
    def adjoint_array(self) -> wp.array:
        """Of the other."""
        return self._sink.adjoint_array


@dataclass(frozen=True)
class TickSlots:
    """The slots of a tick.

    Attributes:
        q: positions midway; factor: what a solve with the inertia there needs, in the order of `Factor`; driven: torque
        and easing of drives, and the motors' part of these; pushed: forces, torques and their places, of links. was:
        frames midway, with the velocities before the kick; now: the same after it.
        near: slots where something may touch; met: gaps, normals and points of contacts; felt: impulse and moment on
        the first body of each; open: what is open of loops, and where; bound: impulse and moment on the first body of
        each. spent: motors of impedances that are at their limits.
    """

    q: Slot
    factor: list[Slot]
    driven: list[Slot]
    pushed: list[Slot]
    was: list[Slot]
    now: list[Slot]
    near: Slot
    met: list[Slot]
    felt: list[Slot]
    open: list[Slot]
    bound: list[Slot]
    spent: Slot
