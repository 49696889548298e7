# SPDX-License-Identifier: Apache-2.0
"""What a scene gives the solver of bodies, as plain records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simenv.geometry.shapes import Shape
from simenv.physics.bodies.model import DRIVEN, FIXED, FREE, GIVEN, BodiesModel, Gripper
from simenv.physics.parts import Body

__all__ = ["GAINS", "BodyParts", "ContactLaw", "Points"]

GAINS = ("stiffness", "turning_stiffness", "damping", "turning_damping")  # of an impedance
KINDS = {"fixed": FIXED, "free": FREE, "hand": DRIVEN, "given": GIVEN, "link": GIVEN}


@dataclass(frozen=True)
class ContactLaw:
    """Compliant contact of points: stiffness [N/m per point], damping [N s/m], stiffness along the surface [N/m per
    point] and Coulomb's coefficient; the world parameters ``"contact.<name>"``.
    """

    stiffness: float = 1.0e4
    damping: float = 1.0
    shear_stiffness: float = 5.0e3
    friction: float = 0.3


@dataclass(frozen=True)
class Points:
    """Contact points of a body (n, 3), or balls about them, against the shape of a fixed body."""

    body: str
    against: str
    offsets: np.ndarray
    radius: float
    share: float


@dataclass(frozen=True)
class BodyParts:
    """What a scene gives the bodies.

    Attributes:
        bodies: all of the scene, in the order of the table of frames, by name.
        points: of contact; contact: their law; gripper: the fingers; fingers: whether anything sits on them.
    """

    bodies: Mapping[str, Body]
    points: Sequence[Points] = ()
    contact: ContactLaw = field(default_factory=ContactLaw)
    gripper: Gripper = field(default_factory=Gripper)
    fingers: bool = False

    def model(self) -> BodiesModel:
        """The bodies as their stepper sees them."""
        names = list(self.bodies)
        targets = list(dict.fromkeys(p.against for p in self.points))
        rows = [
            (names.index(p.body), targets.index(p.against), names.index(p.against))
            for p in self.points
            for _ in p.offsets
        ]
        sizes = [(p.radius, p.share) for p in self.points for _ in p.offsets]
        radii, shares = np.reshape(sizes, (-1, 2)).T
        extents = [float(np.linalg.norm(p.offsets, axis=1).max()) + p.radius for p in self.points]
        groups = [g for g, p in enumerate(self.points) for _ in p.offsets]
        shapes: list[Shape] = [self.bodies[name].shape for name in targets]  # type: ignore[misc]
        return BodiesModel(
            np.array([KINDS[body.motion] for body in self.bodies.values()], dtype=np.int32),
            np.stack([body.inertia for body in self.bodies.values()]), tuple(shapes),
            np.array(rows, dtype=np.int32).reshape(-1, 3),
            np.concatenate([np.zeros((0, 3)), *(p.offsets for p in self.points)]), radii, shares,
            np.array(groups, dtype=np.int32), np.array(extents), self.gripper,
        )  # fmt: skip
