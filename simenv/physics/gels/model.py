# SPDX-License-Identifier: Apache-2.0
"""Gels of a scene as their solver sees them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GelMount"]

Vector = tuple[float, ...]  # of three numbers
Quaternion = tuple[float, ...]  # of four


@dataclass(frozen=True)
class GelMount:
    """Where a gel sits and what it touches.

    Attributes:
        sensor: index of the body that carries it; item: index of the body it touches.
        position, quaternion: of the gel's frame on the body [m, xyzw], with the gripper closed.
        slide: direction on the body in which it moves with the gripper's half opening; zero for a gel that does not.
        local, local_turn: of the touched shape's frame on its body.
    """

    sensor: int
    item: int
    position: Vector
    quaternion: Quaternion
    slide: Vector
    local: Vector
    local_turn: Quaternion
