# SPDX-License-Identifier: Apache-2.0
"""What a world says beside its state, by name: poses, forces and fields of bodies, colliders and gels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch

from simenv.physics.solver import Field
from simenv.world.bodies import BodyView, ByName, ColliderView, GelView

if TYPE_CHECKING:
    from simenv.world.state import State

__all__ = ["Read"]

Call = Callable[["State"], torch.Tensor]


class Read:
    """The part of a world that is read by name."""

    bodies: ByName[BodyView]
    colliders: ByName[ColliderView]
    gels: ByName[GelView]

    @property
    def readings(self) -> dict[str, Field]:
        """Shape, unit and meaning of everything that `read` knows, such as ``"glass.wrench"``."""
        return {name: field for name, (field, _) in self._readings().items()}

    def read(self, name: str, state: State) -> torch.Tensor:
        """One of the `readings` (N, ...) of a state.

        Raises:
            KeyError: there is none of this name; the message tells the closest.
        """
        return ByName("reading", self._readings())[name][1](state)

    def _readings(self) -> Mapping[str, tuple[Field, Call]]:
        found: dict[str, tuple[Field, Call]] = {}
        for name, body in self.bodies.items():
            found[f"{name}.pose"] = Field((7,), "m, 1", "pose of its shape's frame"), body.pose
            found[f"{name}.twist"] = Field((6,), "m/s, rad/s", "velocity and angular velocity"), body.twist
            found[f"{name}.wrench"] = Field((6,), "N, N m", "force and torque of all contact"), body.wrench
            if body.spec.motion == "hand":
                found[f"{name}.drive"] = Field((6,), "N, N m", "force and torque of its impedance"), body.drive
        for name, collider in self.colliders.items():
            about = "force and torque of particles on the collider"
            found[f"{name}.collider"] = Field((6,), "N, N m", about), collider.wrench
            skin = collider.spec.spec.skin
            if skin is not None:
                about = "force of particles on each taxel of its skin, axes of the skin"
                found[f"{name}.skin"] = Field((skin.rows, skin.columns, 3), "N", about), collider.skin
        for name, gel in self.gels.items():
            taxels = gel.spec.grid.count
            found[f"{name}.field"] = Field((taxels, 3), "N", "force on each taxel: shear x, shear y, normal"), gel.field
            found[f"{name}.depth"] = Field((taxels,), "m", "depth of the object below each taxel"), gel.depth
            found[f"{name}.force"] = Field((3,), "N", "force on the gel, world axes"), gel.force
        return found
