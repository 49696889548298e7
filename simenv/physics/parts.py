# SPDX-License-Identifier: Apache-2.0
"""Bodies of a scene, as plain records."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from simenv.geometry.shapes import Shape

__all__ = ["MOTIONS", "Body"]

MOTIONS = ("given", "free", "hand", "fixed")
Vector = tuple[float, ...]


@dataclass(frozen=True)
class Body:
    """Something that moves rigidly: a row of the table of frames.

    Attributes:
        name: its name.
        motion: ``"given"`` (as `Control.twist` says), ``"free"``, ``"hand"`` (pulled by an impedance), ``"fixed"``,
            ``"link"`` (of a robot, or a rigid body).
        position: of its shape's frame at the start [m]; quaternion: of that frame, xyzw.
        shape: its solid, in its own frame; None for a frame without extent.
        mass: [kg] of a free body or a hand; inertia: principal moments per mass [m^2].
        centre: of mass in the shape's frame [m].
        gains: of an impedance: stiffness [N/m], turning stiffness [N m/rad], damping [N s/m], turning damping [N m s].
        velocity: of the centre of mass at the start [m/s]; angular_velocity: [rad/s], world axes.
    """

    name: str
    motion: str
    position: Vector
    quaternion: Vector
    shape: Shape | None = None
    mass: float = 1.0
    inertia: np.ndarray = field(default_factory=lambda: np.ones(3))
    centre: np.ndarray = field(default_factory=lambda: np.zeros(3))
    gains: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    velocity: Vector = (0.0, 0.0, 0.0)
    angular_velocity: Vector = (0.0, 0.0, 0.0)

    @property
    def is_driven(self) -> bool:
        """Whether an impedance pulls it."""
        return self.motion == "hand"

    @property
    def is_told(self) -> bool:
        """Whether its motion is known before a control step."""
        return self.motion in ("given", "fixed")
