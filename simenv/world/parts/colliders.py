# SPDX-License-Identifier: Apache-2.0
"""The part of a scene that particles collide with: colliders, and skins that feel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from simenv.geometry.shapes import Shape
from simenv.physics import checks
from simenv.physics.mpm.model import ColliderSpec
from simenv.physics.mpm.parts import Collider
from simenv.physics.mpm.skin import SkinSpec
from simenv.physics.rotation import quaternion_to_matrix
from simenv.world.parts.named import Named

if TYPE_CHECKING:
    from simenv.physics.parts import Body


class CollidersPart(Named):
    """What a scene says about colliders.

    Attributes:
        colliders: by name.
    """

    colliders: dict[str, Collider]
    bodies: dict[str, Body]

    def add_collider(
        self, name: str, shape: Shape | Sequence[Shape | None], body: str | None = None,
        position: Sequence[float] = (0.0, 0.0, 0.0), quaternion: Sequence[float] = (0.0, 0.0, 0.0, 1.0),
        friction: float = 0.0, width: float = 0.0, stick: bool = False, scale: float = 1.0,
        color: tuple[float, float, float, float] = (0.7, 0.7, 0.72, 1.0), levels: int | None = None,
    ) -> None:  # fmt: skip
        """Add a shape that particles collide with.

        Args:
            name: its name; ``"<name>.friction"`` and ``"<name>.scale"`` become world parameters.
            shape: a shape of `simenv.geometry.shapes`; or several, of which each world holds the one whose number is
                its parameter ``"<name>.variant"``, 0 at first. None among them is nothing.
            body: the body that carries it; None fixes it to the world. A body that moves by itself feels what it
                receives.
            position: of its frame relative to the body [m].
            quaternion: of its frame relative to the body, xyzw.
            friction: Coulomb's coefficient.
            width: distance over which contact fades in [m]; 0 is a hard contact, and gradients with respect to pose
                want > 0. About a cell for solid shapes; for vessels and meshes, which hold particles off by part of
                it, about half the spacing of the particles.
            stick: whether what touches it moves with it.
            scale: factor on the shape's lengths.
            color: for rendering, RGBA; alpha below 1 is glass.
            levels: where it acts, see `ColliderSpec`.
        """
        self.need_grid("collider", name)
        self._name(self.colliders, name, "collider")
        if body is not None:
            self._known(self.bodies, body, "body")
        what = f"collider {name!r}"
        checks.numbers(what, friction=friction, width=width)
        checks.numbers(what, positive=True, scale=scale)
        variants = tuple(shape) if isinstance(shape, list | tuple) else ()
        for each in variants[1:]:
            if each is not None:
                checks.solid(what, each)
        first = checks.solid(what, variants[0] if variants else shape)
        spec = ColliderSpec(first, width, stick, levels, variants=variants)
        place = checks.vector(f"{what}: position", position)
        unit = checks.unit_quaternion(f"{what}: quaternion", quaternion)
        self.colliders[name] = Collider(name, spec, body, place, unit, friction, scale, color)  # type: ignore[arg-type]

    def add_skin(
        self, collider: str, rows: int, columns: int, width: float, height: float,
        position: Sequence[float] = (0.0, 0.0, 0.0), quaternion: Sequence[float] = (0.0, 0.0, 0.0, 1.0),
    ) -> None:  # fmt: skip
        """Cover a part of a collider with taxels that feel material: liquids, soft bodies, grains.

        The frame of the skin has x along the columns, y along the rows and z out of the surface. The skin is the
        rectangle around its origin; what touches the collider above or below it is read (`World.skin`). Contact acts at
        grid nodes or particles, so that taxels much smaller than a cell show no more.

        Args:
            collider: a collider of the scene without a skin.
            rows: of taxels, at least 2.
            columns: at least 2.
            width: extent along x [m].
            height: extent along y [m].
            position: of the skin's frame in that of the collider's shape (it scales with it) [m].
            quaternion: of that frame, xyzw.

        Raises:
            ValueError: no such collider, it has a skin already, or a number is out of range.
        """
        self._known(self.colliders, collider, "collider")
        owner = self.colliders[collider]
        if owner.spec.skin is not None:
            raise ValueError(f"collider {collider!r} has a skin already; a collider has one, split it for more")
        checks.whole(f"skin of {collider!r}", rows=rows, columns=columns)
        if rows < 2 or columns < 2 or not 0 < width < np.inf or not 0 < height < np.inf:
            raise ValueError(
                f"skin of {collider!r}: {rows} x {columns} taxels on {height} x {width} m; it needs at least 2 x 2 "
                "on a positive area"
            )
        unit = checks.unit_quaternion(f"skin of {collider!r}: quaternion", quaternion)
        place = np.array(checks.vector(f"skin of {collider!r}: position", position))
        axes = quaternion_to_matrix(torch.tensor(unit, dtype=torch.float64)).numpy()
        along = np.stack([axes[:, 0] * width / columns, axes[:, 1] * height / rows])
        skin = SkinSpec(rows, columns, place, along)
        self.colliders[collider] = replace(owner, spec=replace(owner.spec, skin=skin))
