# SPDX-License-Identifier: Apache-2.0
"""A robot arm as the solver sees it: a chain of joints that turn or slide, from a standing base to a tool."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from simenv.geometry.shapes import Shape
from simenv.physics.rotation import quaternion_from_rotation_vector, quaternion_multiply, rotate

__all__ = ["Chain", "Drive", "LinkLook"]


@dataclass(frozen=True)
class LinkLook:
    """A shape that is drawn on a link (-1: the base), with its pose in the link's frame [m, xyzw] and colour."""

    link: int
    shape: Shape
    position: tuple[float, ...]
    quaternion: tuple[float, ...]
    color: tuple[float, float, float, float]


@dataclass(frozen=True)
class Chain:
    """A chain of n joints, each with the link that it moves. A link's frame is its joint's, after the joint's motion.

    Attributes:
        joints: names, from base to tool.
        places, turns: of each joint's frame in the frame of the link before it (the first: in the world), (n, 3) [m]
            and (n, 4) xyzw.
        axes: unit vectors in the joints' frames, (n, 3); sliding: whether the joint slides along it, (n,) bool.
        lower, upper: limits, (n,) [rad or m]; not finite if there is none.
        effort: largest torque or force of the motors, (n,) [N m or N].
        damping: viscous friction of the joints, (n,) [N m s or N s/m].
        armature: inertia of the motors as felt at the joints, (n,) [kg m^2 or kg].
        mass, centres, inertia: of the links (n,) [kg]; centres of mass (n, 3) [m]; about them (n, 3, 3) [kg m^2].
        tool_place, tool_turn: of the tool in the last link's frame, (3,) [m] and (4,) xyzw.
        posture: joint positions from which inverse kinematics starts, and to which free motion returns, (n,).
        looks: what is drawn.
    """

    joints: tuple[str, ...]
    places: np.ndarray
    turns: np.ndarray
    axes: np.ndarray
    sliding: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    effort: np.ndarray
    damping: np.ndarray
    armature: np.ndarray
    mass: np.ndarray
    centres: np.ndarray
    inertia: np.ndarray
    tool_place: np.ndarray
    tool_turn: np.ndarray
    posture: np.ndarray
    looks: tuple[LinkLook, ...] = ()

    def __len__(self) -> int:
        return len(self.joints)

    def with_posture(self, posture: np.ndarray) -> Chain:
        """The same chain with another posture (n,).

        Raises:
            ValueError: it has the wrong number of joints, or leaves their limits.
        """
        posture = np.asarray(posture, dtype=np.float64)
        if posture.shape != (len(self),):
            raise ValueError(f"posture has shape {posture.shape}; the arm has {len(self)} joints: {self.joints}")
        for name, value, low, high in zip(self.joints, posture, self.lower, self.upper, strict=True):
            if not low <= value <= high:
                raise ValueError(f"posture: {name} = {value} must lie within its limits, {low:.4f} to {high:.4f}")
        return replace(self, posture=posture)

    def based_at(self, position: tuple[float, ...], quaternion: tuple[float, ...]) -> Chain:
        """The same chain with its base at a pose in the world [m, xyzw]."""
        place, turn = _double(position), _double(quaternion)

        def moved(at: Any, turned: Any) -> tuple[np.ndarray, np.ndarray]:
            where = (place + rotate(turn, _double(at))).numpy()
            return where, quaternion_multiply(turn, _double(turned)).numpy()

        first = moved(self.places[0], self.turns[0])
        places = np.concatenate([first[0][None], self.places[1:]])
        turns = np.concatenate([first[1][None], self.turns[1:]])
        looks = []
        for look in self.looks:
            if look.link < 0:
                at, turned = moved(look.position, look.quaternion)
                look = replace(look, position=tuple(at.tolist()), quaternion=tuple(turned.tolist()))
            looks.append(look)
        return replace(self, places=places, turns=turns, looks=tuple(looks))

    def tool_at(self, q: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Place [m] and quaternion of the tool at joint positions (n,)."""
        x, r = torch.zeros(3, dtype=torch.float64), _double((0.0, 0.0, 0.0, 1.0))
        for place, turn, axis, slides, value in zip(
            self.places, self.turns, self.axes, self.sliding, np.asarray(q, dtype=np.float64), strict=True
        ):
            x = x + rotate(r, _double(place))
            r = quaternion_multiply(r, _double(turn))
            along = _double(axis) * float(value)
            if slides:
                x = x + rotate(r, along)
            else:
                r = quaternion_multiply(r, quaternion_from_rotation_vector(along))
        x, r = x + rotate(r, _double(self.tool_place)), quaternion_multiply(r, _double(self.tool_turn))
        return tuple(x.tolist()), tuple(r.tolist())


def _double(values: Any) -> torch.Tensor:
    return torch.as_tensor(np.asarray(values, dtype=np.float64))


@dataclass(frozen=True)
class Drive:
    """What moves an arm beside its task-space impedance.

    Attributes:
        rate: of the return to the posture in motion that leaves the tool at rest [1/s], critically damped.
        compensate: whether motors carry the arm's weight and Coriolis forces.
    """

    rate: float = 3.0
    compensate: bool = True
