# SPDX-License-Identifier: Apache-2.0
"""Rigid contact of a scene as the stepper of robots takes it: slots, how stiff each may be, and arrays of these."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp

from simenv.geometry.distance import pack_shapes
from simenv.geometry.shapes import Capsule, Plane, Shape
from simenv.physics.bodies.contacts import Slots
from simenv.physics.bodies.forest import Forest

__all__ = ["PERIOD", "ROOM", "Tied", "Touching", "contact_arrays", "limit_arrays", "loop_arrays"]

ROOM = 128  # contacts that may act in a tick, unless the scene says otherwise
TIGHT = 10.0  # by how much loops are stiffer than contact: they are implicit in all that they do
PERIOD = 2.0 * math.pi  # a contact lasts for at least about half a tick


@dataclass(frozen=True)
class Tied:
    """Two bodies that a loop holds together.

    Attributes:
        a, b: names of the bodies, None for the world.
        place_a, place_b: the points that stay together, in their frames (3,) [m].
        turn: quaternion xyzw of b's frame in a's that a weld keeps, None of a point.
        yields: how easily the points part, the most [1/kg]; turns: how easily the frames turn [1/(kg m^2)].
    """

    a: str
    b: str | None
    place_a: np.ndarray
    place_b: np.ndarray
    turn: np.ndarray | None
    yields: float
    turns: float


@dataclass(frozen=True)
class Touching:
    """Where the bodies of a scene may touch.

    Attributes:
        slots: of contact; eases: how easily each body that contact moves yields [1/kg], by name.
        bodies: of the scene, in the order of the table of frames.
        room: how many contacts may act in a tick.
        loops: what holds bodies together beside their trees.
        joint_eases: how easily each rate yields [1/kg or 1/(kg m^2)], (nv,).
    """

    slots: Slots
    eases: Mapping[str, float]
    bodies: Sequence[str]
    joint_eases: np.ndarray
    room: int = ROOM
    loops: Sequence[Tied] = ()

    def stiffest(self, dt: float) -> np.ndarray:
        """Stiffness of each slot with which contact lasts for about a tick `dt` [s], (C,) [N/m]."""
        eases = [
            self.eases.get(a, 0.0) + self.eases.get(b, 0.0) for a, b in zip(self.slots.a, self.slots.b, strict=True)
        ]
        return PERIOD**2 / (dt**2 * np.array(eases))


def contact_arrays(touching: Touching, dt: float, kernels: Any, array: Any) -> tuple[Any, wp.array, wp.array]:
    """The struct `Contacts`, the array of shapes and that of their volumes' values.

    Args:
        touching: contact of the scene.
        dt: of a tick [s].
        kernels: of `collide_kernels`.
        array: makes a Warp array of values and a dtype.
    """
    k, slots = kernels, touching.slots
    numbers = {name: i for i, name in enumerate(touching.bodies)}
    made = k.Contacts()
    made.a, made.b = (array([numbers[name] for name in each], int) for each in (slots.a, slots.b))
    made.offset, made.radius = array(np.reshape(slots.offset, (-1, 3)), k.vec3), array(slots.radius, k.real)
    made.place = array(np.reshape(slots.place, (-1, 3)), k.vec3)
    made.turn = array(np.reshape(slots.turn, (-1, 4)), k.quat)
    made.shape, made.law = array(slots.shape, int), array(slots.law, int)
    made.first = array(np.searchsorted(slots.pair, np.arange(len(slots.pairs) + 1)), int)
    boxes = np.reshape([_box_of(shape) for shape in slots.shapes], (-1, 2, 3))
    made.box_centre, made.box_half = array(boxes[:, 0], k.vec3), array(boxes[:, 1], k.vec3)
    normals = [shape.unit_normal if isinstance(shape, Plane) else (0.0, 0.0, 0.0) for shape in slots.shapes]
    made.flat = array(np.reshape(normals, (-1, 3)), k.vec3)
    rods = [(s.radius, s.half_height) if isinstance(s, Capsule) else (-1.0, 0.0) for s in slots.shapes]
    made.rod = array(np.reshape(rods, (-1, 2)), k.law.vec2)
    made.stiffest = array(touching.stiffest(dt), k.real)
    made.rim, made.axis = array(slots.rim, k.real), array(np.reshape(slots.axis, (-1, 3)), k.vec3)
    made.own, made.own_turn = array(slots.own, int), array(np.reshape(slots.own_turn, (-1, 4)), k.quat)
    pairs = [[numbers[name] for name in pair] for pair in slots.pairs]
    firsts = [slots.pair.index(i) for i in range(len(pairs))]
    made.pair_law = array([slots.law[c] for c in firsts], int)
    made.pair_a, made.pair_b = (array([pair[side] for pair in pairs], int) for side in (0, 1))
    balls = slots.balls
    made.centre_a = array(np.reshape([ball[0] for ball in balls], (-1, 3)), k.vec3)
    made.centre_b = array(np.reshape([ball[2] for ball in balls], (-1, 3)), k.vec3)
    made.extent = array([min(ball[1] + ball[3], 1e30) for ball in balls], k.real)
    arms = np.linalg.norm(np.reshape(slots.offset, (-1, 3)), axis=1) + np.add(slots.radius, slots.rim)
    furthest = np.zeros(len(pairs))
    np.maximum.at(furthest, np.array(slots.pair, dtype=int), arms)
    made.arm = array(furthest, k.real)
    sides = [(slots.b[c], slots.shape[c], tuple(slots.place[c]), tuple(slots.turn[c])) for c in firsts]
    made.again = array([i > 0 and sides[i] == sides[i - 1] for i in range(len(pairs))], int)
    structs, values = pack_shapes(list(slots.shapes), k.real)
    shapes = wp.array(structs, dtype=k.Shape, device=made.a.device) if structs else None
    return made, shapes, array(values, k.real)


def _box_of(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Centre and half extents (3,) [m] of a box about a shape, in its frame."""
    if isinstance(shape, Plane):
        return np.zeros(3), np.full(3, 1e30)
    low, high = shape.bounds()
    return 0.5 * (low + high), 0.5 * (high - low)


def limit_arrays(touching: Touching, forest: Forest, dt: float, kernels: Any, array: Any, room: int) -> Any:
    """The struct `Limits` of the rates; those without limits have no position. `room`: of contacts."""
    made = kernels.Limits()
    bounded = np.isfinite(forest.lower) | np.isfinite(forest.upper)
    made.position = array(np.where(bounded, forest.position, -1), int)
    made.lower, made.upper = (array(np.clip(each, -1e30, 1e30), kernels.real) for each in (forest.lower, forest.upper))
    free = ~bounded & np.isinf(forest.effort) & np.isinf(forest.speed)
    made.free = array(free, int)
    eases, real = touching.joint_eases, kernels.real
    made.stiffest = array(PERIOD**2 / (dt**2 * eases), real)
    made.effort, made.fastest = (array(np.minimum(each, 1e30), real) for each in (forest.effort, forest.speed))
    made.told = array(forest.is_told.astype(int), int)
    pairs = {"follower": forest.follower, "leader": forest.leader}
    for name, rates in pairs.items():
        setattr(made, name, array(rates, int))
        setattr(made, f"{name}_at", array(forest.position[rates], int))
    made.ratio, made.offset = array(forest.ratio, real), array(forest.offset, real)
    yields = eases[forest.follower] + forest.ratio**2 * eases[forest.leader]
    made.hold = array(PERIOD**2 / (dt**2 * yields), real)
    made.room = room
    made.loop_a, made.loop_b, made.loop_hold, made.loop_turn = (
        array(each, kind) for each, kind in zip(_ends(touching, dt), (int, int, real, real), strict=True)
    )
    return made


def _ends(touching: Touching, dt: float) -> list[list[float]]:
    """Numbers of both bodies of every loop, -1 for the world, and its stiffness at the point and of its turn."""
    numbers: dict[str | None, int] = {name: i for i, name in enumerate(touching.bodies)}
    numbers[None] = -1
    stiff = TIGHT * PERIOD**2 / dt**2
    return [
        [numbers[each.a] for each in touching.loops],
        [numbers[each.b] for each in touching.loops],
        [stiff / each.yields for each in touching.loops],
        [0.0 if each.turn is None else stiff / each.turns for each in touching.loops],
    ]


def loop_arrays(touching: Touching, dt: float, kernels: Any, array: Any) -> Any:
    """The struct `Loops`."""
    made, loops = kernels.Loops(), touching.loops
    a, b, hold, turn = _ends(touching, dt)
    made.a, made.b, made.hold, made.hold_turn = (
        array(a, int),
        array(b, int),
        array(hold, kernels.real),
        array(turn, kernels.real),
    )
    made.place_a = array(np.reshape([each.place_a for each in loops], (-1, 3)), kernels.vec3)
    made.place_b = array(np.reshape([each.place_b for each in loops], (-1, 3)), kernels.vec3)
    upright = np.array([0.0, 0.0, 0.0, 1.0])
    turns = [upright if each.turn is None else each.turn for each in loops]
    made.turn = array(np.reshape(turns, (-1, 4)), kernels.quat)
    return made
