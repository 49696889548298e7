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
from simenv.physics.bodies.contacts import Slots
from simenv.physics.bodies.forest import Forest

__all__ = ["ROOM", "Touching", "contact_arrays", "limit_arrays"]

ROOM = 128  # contacts that may act in a tick, unless the scene says otherwise
PERIOD = 2.0 * math.pi  # a contact lasts for at least about half a tick


@dataclass(frozen=True)
class Touching:
    """Where the bodies of a scene may touch.

    Attributes:
        slots: of contact; eases: how easily each body that contact moves yields [1/kg], by name.
        bodies: of the scene, in the order of the table of frames.
        room: how many contacts may act in a tick.
        joint_eases: how easily each rate yields [1/kg or 1/(kg m^2)], (nv,).
    """

    slots: Slots
    eases: Mapping[str, float]
    bodies: Sequence[str]
    joint_eases: np.ndarray
    room: int = ROOM

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
    made.shape, made.pair, made.law = array(slots.shape, int), array(slots.pair, int), array(slots.law, int)
    made.stiffest = array(touching.stiffest(dt), k.real)
    made.rim, made.axis = array(slots.rim, k.real), array(np.reshape(slots.axis, (-1, 3)), k.vec3)
    pairs = [[numbers[name] for name in pair] for pair in slots.pairs]
    made.pair_a, made.pair_b = (array([pair[side] for pair in pairs], int) for side in (0, 1))
    balls = slots.balls
    made.centre_a = array(np.reshape([ball[0] for ball in balls], (-1, 3)), k.vec3)
    made.centre_b = array(np.reshape([ball[2] for ball in balls], (-1, 3)), k.vec3)
    made.extent = array([min(ball[1] + ball[3], 1e30) for ball in balls], k.real)
    structs, values = pack_shapes(list(slots.shapes), k.real)
    shapes = wp.array(structs, dtype=k.Shape, device=made.a.device) if structs else None
    return made, shapes, array(values, k.real)


def limit_arrays(touching: Touching, forest: Forest, dt: float, kernels: Any, array: Any) -> Any:
    """The struct `Limits` of the rates; those without limits have no position."""
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
    return made
