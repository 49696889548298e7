# SPDX-License-Identifier: Apache-2.0
"""What there is to see of a world, and where: all that pictures need, made from what the scene's parts declare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from simenv.geometry.shapes import Plane, Shape
from simenv.physics.constants import constant
from simenv.physics.rotation import rotate
from simenv.world.bodies import BodyView, ByName, on_pose
from simenv.world.parts.looks import Color

if TYPE_CHECKING:
    from simenv.world.scene import Scene
    from simenv.world.state import State

__all__ = ["Drawable", "Shown", "drawables_of"]

NOTHING = 0.1  # half the side of the box that is looked at where there is nothing to see [m]


@dataclass(frozen=True)
class Drawable:
    """Something to see: a solid shape, or a group of particles.

    Attributes:
        name: of the collider, look, body or particle group.
        kind: ``"mesh"``, whose pose is in `World.drawn_poses` and whose size in `World.drawn_scales`, or
            ``"particles"``.
        color: RGBA; alpha below 1 is glass. None leaves it to the renderer.
        shape: of a mesh, in its own frame.
        scale: of a mesh: factor on the shape's lengths in the scene as built; parameter: of the world, that it is then.
        variant: of a mesh that only some worlds hold: its number among the collider's shapes.
        collides: whether a mesh holds particles off, so that liquid lies at it.
        height: of a mesh that is a level plane and stands still, to be drawn as a table [m]; else None.
        span: of particles: slice of the particle axis.
        spacing: of particles: mean distance of neighbours [m].
        liquid: whether particles are a liquid, which has a surface, or a solid.
    """

    name: str
    kind: str
    color: Color | None
    shape: Shape | None = None
    scale: float = 1.0
    parameter: str | None = None
    variant: int | None = None
    collides: bool = False
    height: float | None = None
    span: slice | None = None
    spacing: float = 0.0
    liquid: bool = False

    @property
    def count(self) -> int:
        """How many particles there are, those that take no part included."""
        return 0 if self.span is None else self.span.stop - self.span.start

    def points(self, state: State) -> torch.Tensor:
        """Places of the particles [m], (N, n, 3)."""
        return state.x[:, self.span]

    def present(self, state: State) -> torch.Tensor:
        """Which of them take part, (N, n) bool."""
        return state.active[:, self.span]


def drawables_of(scene: Scene) -> tuple[list[Drawable], list[int]]:
    """What there is to see of a scene, meshes first; and the rows of the meshes' poses among those of all colliders,
    all looks and all bodies of the grid, in this order.

    A body that is a collider and has a look of its own is drawn once, as its look.
    """
    meshes: list[Drawable] = []
    rows: list[int] = []

    def add(row: int, name: str, color: Color | None, shape: Shape, **more: Any) -> None:
        rows.append(row)
        meshes.append(Drawable(name, "mesh", color, shape, **more))

    for row, (name, each) in enumerate(scene.colliders.items()):
        look, shapes = scene.looks.get(name), each.spec.variants or (each.spec.shape,)
        if look is None or look.body != each.body:
            for variant, shape in enumerate(shapes):
                if shape is not None:
                    height = _table(scene, shape, each.body, each.position, each.quaternion)
                    more = {"scale": each.scale, "parameter": f"{name}.scale", "collides": True, "height": height}
                    add(row, name, each.color, shape, variant=variant if each.spec.variants else None, **more)
    for row, (name, look) in enumerate(scene.looks.items(), len(scene.colliders)):
        height = _table(scene, look.shape, look.body, look.position, look.quaternion)
        add(row, name, look.color, look.shape, collides=name in scene.colliders, height=height)
    groups = [
        Drawable(
            name, "particles", scene.colors.get(name), span=group.span, spacing=group.volume ** (1.0 / 3.0),
            liquid=scene.materials[group.material].is_liquid,
        )
        for name, group in scene.particles.items()
    ]  # fmt: skip
    return meshes + groups, rows


def _table(scene: Scene, shape: Shape, body: str | None, position: Any, quaternion: Any) -> float | None:
    """Height of a plane that is level and stands still, where it was built [m]; None for everything else."""
    if not isinstance(shape, Plane):
        return None
    below, turn = 0.0, np.zeros(3)
    if body is not None:
        owner = scene.bodies.get(body)
        if owner is None or owner.motion != "fixed":
            return None
        below, turn = owner.position[2], np.asarray(owner.quaternion[:3])
    normal = np.asarray(shape.normal) / np.linalg.norm(shape.normal)
    level = not np.any(quaternion[:3]) and not np.any(turn) and np.allclose(normal, (0.0, 0.0, 1.0))
    return float(below + position[2]) if level else None


class Shown:
    """The part of a world that is looked at."""

    scene: Scene
    num_worlds: int
    device: torch.device
    dtype: torch.dtype
    parameters: Any
    particles: Any
    bodies: ByName[BodyView]
    _initial: State

    def _find_drawables(self) -> None:
        self._drawables, rows = drawables_of(self.scene)
        self._drawn_rows = torch.tensor(rows, dtype=torch.int64, device=self.device)

    def drawables(self) -> list[Drawable]:
        """What there is to see, meshes first."""
        return list(self._drawables)

    def drawn_poses(self, state: State) -> torch.Tensor:
        """World poses of the D meshes among the `drawables` [m, quaternion xyzw], (N, D, 7)."""
        every = [self.collider_poses(state), self.look_poses(state)]
        return torch.cat(every, 1).index_select(1, self._drawn_rows)

    def drawn_scales(self) -> torch.Tensor:
        """Factors on the lengths of these meshes as the worlds' parameters have them, (N, D)."""
        scales = []
        for each in self._drawables[: len(self._drawn_rows)]:
            varies = each.parameter in self.parameters.declared  # not in a scene without particles
            scale = self.parameters[each.parameter] if varies else constant(each.scale, self.dtype, self.device)
            if each.variant is not None:  # a world shows the one that it holds
                chosen = self.parameters[f"{each.name}.variant"].round() == each.variant
                scale = torch.where(chosen, scale, 0.0)
            scales.append(scale.expand(self.num_worlds))
        nothing = torch.zeros((self.num_worlds, 0), dtype=self.dtype, device=self.device)
        return torch.stack(scales, 1) if scales else nothing

    def collider_poses(self, state: State) -> torch.Tensor:
        """World poses of all colliders [m, quaternion xyzw], (N, Cl, 7)."""
        if self.particles is not None:
            return self.particles.colliders.poses(state)
        poses = [self._on(each.body, each.position, each.quaternion, state) for each in self.scene.colliders.values()]
        return torch.stack(poses, 1) if poses else state.body_q[:, :0]

    def skin(self, state: State, collider: str) -> torch.Tensor:
        """Force on each taxel of a collider's skin, mean over the last control step [N], (N, rows, columns, 3).

        In the skin's axes: x along the columns, y along the rows, z out of the surface, so that pressing is negative z.

        Raises:
            KeyError: the collider has no skin.
        """
        if self.particles is None:
            raise KeyError(f"collider {collider!r} has no skin; the scene has no particles")
        return self.particles.skin(state, collider)

    def look_poses(self, state: State) -> torch.Tensor:
        """World poses of all shapes that are only drawn [m, quaternion xyzw], (N, looks, 7)."""
        poses = []
        for look in self.scene.looks.values():
            place = constant(look.position, self.dtype, self.device).expand(self.num_worlds, 3)
            if any(look.slide):
                place = place + state.grip[:, :1] * constant(look.slide, self.dtype, self.device)
            poses.append(self._on(look.body, place, look.quaternion, state))
        return torch.stack(poses, 1) if poses else state.body_q[:, :0]

    def _on(self, body: str | None, place: Any, turn: Any, state: State) -> torch.Tensor:
        """World poses (N, 7) of a frame on a body, or None: in the world."""
        if body is not None:
            return on_pose(self.bodies[body].pose(state), place, turn)
        parts = [constant(place, self.dtype, self.device), constant(turn, self.dtype, self.device)]
        return torch.cat([part.expand(self.num_worlds, part.shape[-1]) for part in parts], -1)

    def domain(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner of the region that particles or gas can reach [m]; of a box about the drawn shapes as
        built, planes apart, in a scene without these.
        """
        if self.particles is not None:
            return self.particles.domain()
        if self.scene.gas is not None:
            lower = np.array(self.scene.gas.origin)
            return lower, lower + np.array(self.scene.gas.size)
        poses, meshes = self.drawn_poses(self._initial)[0].double().cpu(), self._drawables
        corners = [poses[:, :3].numpy()]
        for pose, mesh in zip(poses, meshes, strict=True):
            bounds = np.stack(mesh.shape.bounds()) * mesh.scale
            if np.isfinite(bounds).all():
                box = np.stack(np.meshgrid(*bounds.T, indexing="ij"), -1).reshape(-1, 3)
                corners.append((pose[:3] + rotate(pose[3:], torch.as_tensor(box))).numpy())
        if not meshes:
            origins = self._initial.body_q[0, :, :3].double().cpu().numpy()
            corners += [origins - NOTHING, origins + NOTHING]
        points = np.concatenate(corners)
        return points.min(0), points.max(0)
