# SPDX-License-Identifier: Apache-2.0
"""What scenes of every kind say about pictures of them; nothing of it acts on the simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from simenv.geometry.shapes import Shape
from simenv.physics import checks

Color = tuple[float, float, float, float]
Box = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Mark:
    """A shape that is only drawn, `count` times, where the task says: a goal, a line to follow."""

    shape: Shape
    color: Color
    count: int


@dataclass(frozen=True)
class Look:
    """A shape that is only drawn, on a body (None: the world).

    Attributes:
        position, quaternion: of its frame on the body [m, xyzw]; slide: direction on the body along which it moves with
            the gripper's half opening.
    """

    shape: Shape
    body: str | None
    position: tuple[float, ...]
    quaternion: tuple[float, ...]
    color: Color
    slide: tuple[float, ...]


@dataclass
class Drawn:
    """The part of a scene that pictures need.

    Attributes:
        colors: RGBA by name, over the renderer's own.
        looks: shapes that are only drawn, on bodies, by name.
        marks: shapes that are only drawn, where the task says, by name.
        view: lower and upper corner of the box to look at [m]; None is the whole scene as built.
        angles: from where: to the right of the front, and above [rad].
    """

    colors: dict[str, Color] = field(default_factory=dict, init=False)
    looks: dict[str, Look] = field(default_factory=dict, init=False)
    marks: dict[str, Mark] = field(default_factory=dict, init=False)
    view: Box | None = field(default=None, init=False)
    angles: tuple[float, float] = field(default=(math.radians(8.0), math.radians(20.0)), init=False)

    def add_mark(self, name: str, shape: Shape, color: Color, count: int = 1) -> None:
        """Add a shape that is drawn and does not act, such as a goal; `Task.marks` says where.

        Args:
            name: of the mark.
            shape: drawn opaque.
            color: RGBA, alpha 1.
            count: how many there are of it.

        Raises:
            ValueError: the name is taken, the count is not positive, or the colour not opaque.
        """
        if name in self.marks:
            raise ValueError(f"mark {name!r} exists already; give each mark its own name")
        if count < 1 or color[3] != 1.0:
            raise ValueError(f"mark {name!r}: count = {count} must be at least 1 and alpha = {color[3]} must be 1")
        self.marks[name] = Mark(shape, color, count)

    def add_look(
        self, name: str, shape: Shape, body: str | None, position: Sequence[float] = (0.0, 0.0, 0.0),
        quaternion: Sequence[float] = (0.0, 0.0, 0.0, 1.0), color: Color = (0.35, 0.38, 0.42, 1.0),
        slide: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> None:  # fmt: skip
        """Add a shape that is only drawn, fixed to a body, and sliding with the gripper; on None it is in the world."""
        what = f"look {name!r}"
        if name in self.looks:
            raise ValueError(f"{what} exists already; give each look its own name")
        place, unit = checks.vector(f"{what}: position", position), checks.unit_quaternion(what, quaternion)
        self.looks[name] = Look(shape, body, place, unit, color, checks.vector(f"{what}: slide", slide))
