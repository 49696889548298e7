# SPDX-License-Identifier: Apache-2.0
"""Slots of a tick of robots, one whose adjoint nobody wants, and the arrays of the trees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import warp as wp

from simenv.physics.bodies.forest import Forest
from simenv.physics.launch.slots import Slot

__all__ = ["Numbered", "Sunk", "TickSlots", "array_of", "struct_of", "tick_slots", "tree_arrays"]

Slots = TypeVar("Slots")


class Numbered(Generic[Slots]):
    """Slots by number.

    Args:
        make: makes those of a number when they are first asked for.
    """

    def __init__(self, make: Callable[[], Slots]):
        self._make, self._made = make, list[Slots]()

    def __call__(self, number: int) -> Slots:
        """Those of a number."""
        while len(self._made) <= number:
            self._made.append(self._make())
        return self._made[number]


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


def tick_slots(slot: Callable[..., Slot], k: Any, forest: Forest, frames: int, points: int, loops: int) -> TickSlots:
    """The slots of a tick.

    Args:
        slot: makes one of a Warp dtype and a shape.
        k: types of `robot_kernels`.
        forest: the trees.
        frames: how many of the scene meet.
        points: of contact.
        loops: how many.
    """
    vectors, pose = (k.vec3, k.vec3), (k.vec3, k.quat, k.vec3, k.vec3)
    return TickSlots(
        slot(k.real, forest.positions),
        [slot(kind, forest.rates, differentiable=False) for kind in (k.vec3, k.vec3, k.real)],
        [slot(k.real, forest.rates) for _ in range(4)],
        [slot(k.vec3, len(forest)) for _ in range(3)],
        [slot(kind, frames) for kind in pose],
        [slot(kind, frames) for kind in pose],
        slot(wp.int32, points),
        [slot(kind, points) for kind in (k.real, k.vec3, k.vec3)],
        [slot(kind, points) for kind in vectors],
        [slot(k.vec3, loops) for _ in range(3)],
        [slot(kind, loops) for kind in vectors],
        slot(k.real, forest.rates if len(forest.tools) else 0),
    )


def tree_arrays(forest: Forest, k: Any, array: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    """The structs `Trees` and `Rows`.

    Args:
        forest: the trees.
        k: types of `robot_kernels`.
        array: makes a Warp array of values and a dtype.
    """
    trees, rows = k.Trees(), k.Rows()
    for name in ("first", "parent", "kind", "q_start", "v_start"):
        setattr(trees, name, array(getattr(forest, name), int))
    for name, kind in {"place": k.vec3, "turn": k.quat, "axis": k.vec3}.items():
        setattr(trees, name, array(getattr(forest, name), kind))
    for name, values in {"own": forest.own, "row": forest.rows, "link": forest.on}.items():
        setattr(rows, name, array(values, int))
    rows.place, rows.turn = array(forest.frame_place, k.vec3), array(forest.frame_turn, k.quat)
    return trees, rows


def array_of(slot: Slot) -> wp.array:
    """The array of a slot, once it has memory."""
    return slot.array


def struct_of(kind: Any, slots: Sequence[Slot]) -> Any:
    """A struct of the arrays of slots, in the order of its fields."""
    made = kind()
    for name, slot in zip(kind.vars, slots, strict=True):
        setattr(made, name, slot.array)
    return made
