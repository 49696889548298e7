# SPDX-License-Identifier: Apache-2.0
"""The part of a scene that touches and feels: gels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from simenv.geometry.shapes import Box, Shape
from simenv.physics import checks
from simenv.physics.gels.convolution import DIRECT
from simenv.physics.gels.elastic import ElasticLayerGel
from simenv.physics.gels.grid import TaxelGrid
from simenv.physics.gels.launches import gel_parameters
from simenv.physics.gels.parts import Gel
from simenv.physics.gels.winkler import WinklerGel
from simenv.physics.rotation import rotate
from simenv.world.parts.colliders import CollidersPart

if TYPE_CHECKING:
    from simenv.physics.parts import Body

UPRIGHT = (0.0, 0.0, 0.0, 1.0)
Vector = Sequence[float]


class GelsPart(CollidersPart):
    """What a scene says about gels.

    Attributes:
        gels: by name.
    """

    gels: dict[str, Gel]
    bodies: dict[str, Body]

    def add_gel(
        self, name: str, on: str, touches: str | None = None, grid: TaxelGrid | None = None,
        gel: WinklerGel | ElasticLayerGel | None = None, position: Vector = (0.0, 0.0, 0.0),
        quaternion: Vector = UPRIGHT, slide: Vector = (0.0, 0.0, 0.0), shape: Shape | None = None,
        shape_position: Vector = (0.0, 0.0, 0.0), max_depth: float = 4.0e-3, reach: float = 4.0e-3,
        thickness: float | None = None, particles: bool = True,
    ) -> None:  # fmt: skip
        """Add a tactile gel; the sum of its force field is the force on what it touches.

        It touches a body, whose force follows from the gel's law. In a scene with particles a flat gel that does not
        slide feels these as well, if it may: it is the front of a collider, a box of its name, whose contact forces its
        taxels share; the gel's yielding, far less than a cell, does not enter them.

        Args:
            name: ``"<name>.k_n"``, ``".k_t"`` and ``".mu"`` become world parameters, ``".modulus"`` and ``".mu"`` of
                an elastic gel, where it touches a body.
            on: body that carries it.
            touches: body it touches; None in a scene with particles for those alone.
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
            thickness: of the collider behind the gel's surface [m]; None is two cells.
            particles: whether particles meet it. False for a gel that feels its body alone, and that they pass: one
                that holds a vessel from outside, nearer to the liquid than a cell.

        Raises:
            TypeError: no grid or gel is given, or the gel's law has no unit, as TacSL's.
            ValueError: a name, the gel's damping, the size of an elastic gel's grid, or nothing to touch; a thickness
                without particles.
        """
        what = f"gel {name!r}"
        if grid is None or gel is None:
            raise TypeError(f"{what}: give its grid, such as flat_grid(...), and its gel, such as WinklerGel(...)")
        self._name(self.gels, name, "gel")
        self._check_law(what, grid, gel)
        for body in (on, *([] if touches is None else [touches])):
            self._known(self.bodies, body, "body")
        pose = checks.vector(f"{what}: position", position), checks.unit_quaternion(f"{what}: quaternion", quaternion)
        along = checks.vector(f"{what}: slide", slide)
        feels = particles and self.has_grid and grid.is_flat and not any(along)
        if touches is None and not feels:
            raise ValueError(
                f"{what} touches nothing; name a body with touches=..., or in a scene with particles (size and dx) use "
                "a flat grid, no slide and particles=True to feel those"
            )
        if thickness is not None and not particles:
            raise ValueError(
                f"{what}: thickness = {thickness} m is of the collider that particles meet, and particles = False; "
                "leave one of them out"
            )
        self.gels[name] = Gel(
            on, touches, grid, gel, self._touched(what, touches, shape), *pose, along,
            checks.vector(f"{what}: shape_position", shape_position), max_depth, reach, name if feels else None,
        )  # fmt: skip
        if feels:
            self._front(name, on, grid, *pose, 2.0 * self.dx if thickness is None else thickness)

    def _check_law(self, what: str, grid: TaxelGrid, gel: WinklerGel | ElasticLayerGel) -> None:
        gel_parameters(gel)
        if isinstance(gel, WinklerGel) and gel.damping != 0.0:
            raise ValueError(f"{what}: damping = {gel.damping} s/m; set it to 0 and use the scene's lead")
        if isinstance(gel, ElasticLayerGel) and grid.count > DIRECT:
            raise ValueError(
                f"{what}: an elastic gel that pushes bodies has at most {DIRECT} taxels, this one "
                f"{grid.rows} x {grid.columns}; take a coarser grid, or WinklerGel"
            )

    def _touched(self, what: str, touches: str | None, shape: Shape | None) -> Shape | None:
        """The shape that a gel touches."""
        if touches is None:
            return None
        own = self.bodies[touches].shape
        if own is None:
            solid = [each.name for each in self.bodies.values() if each.shape is not None]
            raise ValueError(f"{what}: {touches!r} has no shape; use one of {', '.join(solid) or 'none'}")
        return shape or own

    def _front(self, name: str, on: str, grid: TaxelGrid, position: Vector, quaternion: Vector, thick: float) -> None:
        """The collider whose front a gel is, and its skin."""
        checks.numbers(f"gel {name!r}", positive=True, thickness=thick)
        width, height = grid.size
        turn = torch.tensor(quaternion, dtype=torch.float64)
        back = rotate(turn, torch.tensor((0.0, 0.0, -0.5 * thick), dtype=torch.float64)).numpy()
        box = Box((0.5 * width, 0.5 * height, 0.5 * thick))
        place = tuple((back + position).tolist())
        self.add_collider(name, box, body=on, position=place, quaternion=quaternion, color=(0.55, 0.85, 0.95, 0.55))
        self.add_skin(name, grid.rows, grid.columns, width, height, position=(0.0, 0.0, 0.5 * thick))
