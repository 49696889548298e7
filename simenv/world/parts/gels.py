# SPDX-License-Identifier: Apache-2.0
"""The part of a scene that touches and feels: gels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from simenv.geometry.shapes import Shape
from simenv.physics import checks
from simenv.physics.gels.convolution import DIRECT
from simenv.physics.gels.elastic import ElasticLayerGel
from simenv.physics.gels.grid import TaxelGrid
from simenv.physics.gels.launches import gel_parameters
from simenv.physics.gels.parts import Gel
from simenv.physics.gels.winkler import WinklerGel
from simenv.world.parts.named import Named

if TYPE_CHECKING:
    from simenv.physics.parts import Body

UPRIGHT = (0.0, 0.0, 0.0, 1.0)
Vector = Sequence[float]


class GelsPart(Named):
    """What a scene says about gels.

    Attributes:
        gels: by name.
    """

    gels: dict[str, Gel]
    bodies: dict[str, Body]

    def add_gel(
        self, name: str, on: str, touches: str, grid: TaxelGrid, gel: WinklerGel | ElasticLayerGel,
        position: Vector = (0.0, 0.0, 0.0),
        quaternion: Vector = UPRIGHT, slide: Vector = (0.0, 0.0, 0.0), shape: Shape | None = None,
        shape_position: Vector = (0.0, 0.0, 0.0), max_depth: float = 4.0e-3, reach: float = 4.0e-3,
    ) -> None:  # fmt: skip
        """Add a tactile gel; the sum of its force field is the force on both bodies.

        Args:
            name: ``"<name>.k_n"``, ``".k_t"`` and ``".mu"`` become world parameters, ``".modulus"`` and ``".mu"`` of
                an elastic gel.
            on: body that carries it.
            touches: body it touches.
            grid: its taxels.
            gel: its law; damping comes from the scene's `lead`, so the gel's own must be 0. An elastic gel costs two
                small contact problems per substep; its grid is flat and has at most 576 taxels.
            position: of its frame on the body [m]; z points out of the gel.
            quaternion: of its frame, xyzw.
            slide: direction on the body along which it moves with the gripper's half opening.
            shape: what it touches, if not the body's whole shape.
            shape_position: of that shape's frame in the frame of the touched body's own [m].
            max_depth: depth below the gel at which the search for the object starts [m].
            reach: height above the gel at which it ends [m].

        Raises:
            TypeError: the gel's law has no unit, as TacSL's.
            ValueError: a name, the gel's damping or the size of an elastic gel's grid.
        """
        self._name(self.gels, name, "gel")
        gel_parameters(gel)
        if isinstance(gel, WinklerGel) and gel.damping != 0.0:
            raise ValueError(f"gel {name!r}: damping = {gel.damping} s/m; set it to 0 and use the scene's lead")
        if isinstance(gel, ElasticLayerGel) and grid.count > DIRECT:
            raise ValueError(
                f"gel {name!r}: an elastic gel that pushes bodies has at most {DIRECT} taxels, this one "
                f"{grid.rows} x {grid.columns}; take a coarser grid, or WinklerGel"
            )
        what = f"gel {name!r}"
        for body in (on, touches):
            self._known(self.bodies, body, "body")
            if self.bodies[body].motion == "grid":
                raise ValueError(f"{what}: {body!r} is moved by the grid; give it coupling='contact' to touch a gel")
        item = self.bodies[touches]
        if item.shape is None:
            solid = [each.name for each in self.bodies.values() if each.shape is not None]
            raise ValueError(f"{what}: {touches!r} has no shape; use one of {', '.join(solid) or 'none'}")
        self.gels[name] = Gel(
            on, touches, grid, gel, shape or item.shape, checks.vector(f"{what}: position", position),
            checks.unit_quaternion(f"{what}: quaternion", quaternion), checks.vector(f"{what}: slide", slide),
            checks.vector(f"{what}: shape_position", shape_position), max_depth, reach,
        )  # fmt: skip
