# SPDX-License-Identifier: Apache-2.0
"""Frames of a `World`, without a display: the thin layer between its state and `simenv.render.picture`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from simenv.geometry.shapes import Plane
from simenv.physics.rotation import rotate
from simenv.render.flow import FlowItem, Slice, Streamlines, draw_flow
from simenv.render.items import RGBA, Camera, MeshItem, ParticleItem, Studio, rgba
from simenv.render.picture import LIQUID_STYLES, Picture
from simenv.render.rays import free_length
from simenv.render.smoke import SmokeItem, draw_smoke

if TYPE_CHECKING:
    from simenv.world import State, World
    from simenv.world.drawables import Drawable

_LIQUIDS: tuple[RGBA, ...] = ((0.42, 0.74, 0.93, 0.04), (0.96, 0.93, 0.86, 0.97), (0.80, 0.42, 0.12, 0.10))
_SOLIDS: tuple[RGBA, ...] = ((0.86, 0.50, 0.38, 1.0), (0.45, 0.62, 0.52, 1.0), (0.62, 0.55, 0.78, 1.0))
_BODIES: tuple[RGBA, ...] = ((0.80, 0.60, 0.36, 1.0), (0.35, 0.38, 0.42, 1.0), (0.78, 0.24, 0.20, 1.0))
# Pictures kept ready, one for each set of collider scales: building one takes about 0.2 s.
_KEPT = 8


class Renderer:
    """Draws worlds as a person would see them: clear glass, liquids with a surface, a table and soft light.

    It runs on the CPU wherever the world runs, needs neither a display nor OpenGL, and gives the same frame for the
    same state every time.

    Args:
        world: The world whose states are drawn; its scene gives shapes and colours. width: Width of a frame [px].
        height: Height of a frame [px]. camera: View; None looks at the scene's ``view``, a box, or without one at the
        whole scene, from the front and a little above. liquid: "surface", or "spheres" to see single particles (glass
        then does not bend light). supersample: Samples per pixel and axis where the frame has edges. studio: Table and
        light; None sets a table at the lowest point that particles can reach. colors: (r, g, b, a) by name of particle
        group or collider, over the scene's own. flow: Slices and streamlines of the gas to draw.

    Raises:
        ValueError: A size or option is not valid, or ``colors`` or ``flow`` names something the scene lacks.
    """

    def __init__(
        self,
        world: World,
        width: int = 320,
        height: int = 240,
        camera: Camera | None = None,
        *,
        liquid: str = "surface",
        supersample: int = 2,
        studio: Studio | None = None,
        colors: Mapping[str, Sequence[float]] | None = None,
        flow: Sequence[Slice | Streamlines] = (),
    ) -> None:
        if liquid not in LIQUID_STYLES:
            raise ValueError(f"liquid={liquid!r} is not a way to draw particles; use one of {LIQUID_STYLES}")
        self.world, self.width, self.height, self.liquid, self.supersample = world, width, height, liquid, supersample
        seen = world.drawables()
        known = {each.name for each in seen}
        unknown = sorted(set(colors or {}) - known)
        if unknown:
            raise ValueError(f"colors names {', '.join(unknown)}; the scene has: {', '.join(sorted(known))}")
        self._flow = _checked_flow(world, flow)
        self._colors = {name: rgba(tuple(color)) for name, color in (colors or {}).items()}
        self._pictures: dict[tuple[tuple[float, ...], tuple[str, ...]], Picture] = {}
        self._drawn, self._rows, ground = visible_meshes(seen)
        self._groups = [each for each in seen if each.kind == "particles"]
        self._meshes = [_corners(each.shape) for each in self._drawn]
        lower, upper = self._extent()
        size = float(np.linalg.norm(upper - lower))
        floor = float(world.domain()[0][2]) if ground is None else ground
        self._floor, self._fixed = floor, camera is not None
        self.camera = camera if camera is not None else self._aim(lower, upper)
        self.studio = studio if studio is not None else _default_studio(lower, upper, size, floor)

    def render(
        self,
        state: State,
        worlds: Sequence[int] | None = None,
        marks: Mapping[str, torch.Tensor] | None = None,
        view: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None,
    ) -> list[np.ndarray]:
        """Draws the worlds asked for.

        Args:
            state: State of the renderer's world.
            worlds: Indices; None draws all N.
            marks: Where the scene's marks are in each world, (N, count, 3) [m], or (N, count, 7) with a quaternion
                xyzw; those not named are not drawn.
            view: Lower and upper corner (N, 3) of the box to look at in each world [m], and from how far right of the
                front (N,) [rad]; None, or a camera given to the renderer, is the same for all.

        Returns:
            One (height, width, 3) uint8 array for each.

        Raises:
            IndexError: A world that does not exist.
            ValueError: A mark that the scene lacks, or with places of another shape.
        """
        count = self.world.num_worlds
        worlds = range(count) if worlds is None else [int(w) for w in worlds]
        outside = [w for w in worlds if not 0 <= w < count]
        if outside:
            raise IndexError(f"worlds {outside} asked for, there are {count}: indices go from 0 to {count - 1}")
        poses, sizes = self.world.drawn_poses(state).detach(), self.world.drawn_scales().tolist()
        places = {name: self._places(name, place) for name, place in (marks or {}).items()}
        frames = []
        for w in worlds:
            picture = self._picture(tuple(round(sizes[w][row], 6) for row in self._rows), tuple(places))
            if view is not None and not self._fixed:
                lower, upper, azimuth = (part[w].detach().cpu().double().numpy() for part in view)
                picture.look(self._aim(lower, upper, float(azimuth)))
            world_poses = np.concatenate([poses[w].cpu().numpy()[self._rows], *(place[w] for place in places.values())])
            frame = picture.draw(world_poses, self._particles(state, w))
            frames.append(self._with_gas(frame, picture, state, w))
        return frames

    def _with_gas(self, frame: np.ndarray, picture: Picture, state: State, w: int) -> np.ndarray:
        """The frame with what is drawn of a world's gas: slices and lines, and the smoke before them."""
        flow, smoke = self._flow_items(state, w), self._smoke(state, w)
        if not flow and not smoke:
            return frame
        far = free_length(picture.depth(), *frame.shape[:2])
        frame, far = draw_flow(frame, far, picture.camera, flow)
        return draw_smoke(frame, far, picture.camera, smoke)

    def _flow_items(self, state: State, w: int) -> list[FlowItem]:
        gas, items = self.world.gas, []
        for look in self._flow:
            if isinstance(look, Streamlines) or look.of == "speed":
                values = gas.velocity(state)[w]
                values = values if isinstance(look, Streamlines) else values.norm(dim=-1)
            elif look.of == "vorticity":
                values = gas.vorticity(state)[w, ..., "xyz".index(look.axis)]
            else:
                values = (gas.pressure(state) if look.of == "pressure" else gas.scalar(state, look.of))[w]
            lower = np.array(gas.spec.origin)
            items.append(FlowItem(look, values.detach().cpu().double().numpy(), lower, gas.spec.dx))
        return items

    def _smoke(self, state: State, w: int) -> list[SmokeItem]:
        """What is drawn of a world's gas."""
        gas = self.world.gas
        if gas is None:
            return []
        lower, dx = np.array(gas.spec.origin), gas.spec.dx
        return [
            SmokeItem(
                gas.scalar(state, name)[w].detach().cpu().double().numpy(), lower, dx, each.extinction, each.color
            )
            for name, each in gas.spec.scalars.items()
            if each.extinction > 0.0
        ]

    def _aim(self, lower: np.ndarray, upper: np.ndarray, azimuth: float | None = None) -> Camera:
        """The camera that shows a box [m], and the table below it, from where the scene is looked at."""
        right, above = self.world.scene.angles
        angles = right if azimuth is None else azimuth, above
        return _default_camera(lower, upper, self._floor, self.width / self.height, angles)

    def _extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Box to look at [m]: the scene's ``view``, or what is around everything in the scene as built."""
        if self.world.scene.view is not None:
            lower, upper = self.world.scene.view
            return np.array(lower), np.array(upper)
        state = self.world.initial_state()
        poses = self.world.drawn_poses(state)[0].cpu().double().numpy()
        scales = self.world.drawn_scales()[0].cpu().double().numpy()
        points = [item.positions for item in self._particles(state, 0)]
        for each, row, (vertices, _faces) in zip(self._drawn, self._rows, self._meshes, strict=True):
            if not isinstance(each.shape, Plane):
                points.append(_rotate(poses[row, 3:], vertices * scales[row]) + poses[row, :3])
        gas = self.world.scene.gas
        if gas is not None and (self._flow or any(each.extinction > 0.0 for each in gas.scalars.values())):
            points.append(np.array([gas.origin, np.add(gas.origin, gas.size)]))
        if not sum(len(p) for p in points):
            return self.world.domain()
        everything = np.concatenate(points)
        return everything.min(axis=0), everything.max(axis=0)

    def _places(self, name: str, place: torch.Tensor) -> np.ndarray:
        """Poses (N, count, 7) of a mark from its places (N, count, 3 or 7)."""
        marks = self.world.scene.marks
        if name not in marks:
            raise ValueError(f"there is no mark {name!r}; the scene has: {', '.join(marks) or 'none'}")
        shape = (self.world.num_worlds, marks[name].count)
        if place.dim() != 3 or tuple(place.shape[:2]) != shape or place.shape[2] not in (3, 7):
            raise ValueError(
                f"mark {name!r}: places are {tuple(place.shape)}; they must be {(*shape, 3)} or {(*shape, 7)}"
            )
        values = place.detach().cpu().numpy()
        upright = np.broadcast_to(np.array([0.0, 0.0, 0.0, 1.0]), (*shape, 4))
        return values if values.shape[2] == 7 else np.concatenate([values, upright], -1)

    def _picture(self, scales: tuple[float, ...], marks: tuple[str, ...]) -> Picture:
        """The picture with these marks and sizes of the meshes, built on first use."""
        key = scales, marks
        if key not in self._pictures:
            if len(self._pictures) >= _KEPT:
                del self._pictures[next(iter(self._pictures))]
            self._pictures[key] = self._build(scales, marks)
        return self._pictures[key]

    def _color(self, each: Drawable, default: RGBA) -> RGBA:
        return self._colors.get(each.name, rgba(each.color, default))

    def _build(self, scales: tuple[float, ...], marks: tuple[str, ...]) -> Picture:
        meshes, plain = [], 0
        for each, scale, (vertices, faces) in zip(self._drawn, scales, self._meshes, strict=True):
            color = self._color(each, _BODIES[plain % len(_BODIES)])
            plain += each.color is None
            meshes.append(MeshItem(vertices * scale, faces, color, name=each.name, wall=each.collides))
        for name in marks:
            mark = self.world.scene.marks[name]
            item = MeshItem(*_corners(mark.shape), rgba(mark.color), name=name, wall=False)
            meshes += [item] * mark.count
        return Picture(
            meshes,
            self.camera,
            self.studio,
            self.width,
            self.height,
            self.supersample,
            self.liquid,
            capacity=sum(group.count for group in self._groups),
            sphere_radius=0.5 * min((group.spacing for group in self._groups), default=0.0),
        )

    def _particles(self, state: State, w: int) -> list[ParticleItem]:
        """The active particles of a world, by group."""
        items, order = [], {True: 0, False: 0}
        for group in self._groups:
            palette = _LIQUIDS if group.liquid else _SOLIDS
            color = self._color(group, palette[order[group.liquid] % len(palette)])
            order[group.liquid] += 1
            points = group.points(state)[w].detach().cpu().numpy()[group.present(state)[w].cpu().numpy()]
            items.append(ParticleItem(points, color, group.spacing, group.liquid, group.name))
        return items


def _checked_flow(world: World, flow: Sequence[Slice | Streamlines]) -> tuple[Slice | Streamlines, ...]:
    if flow and world.gas is None:
        raise ValueError("flow shows gas, and the scene has none; scene.add_gas(...) adds some")
    for look in flow:
        known = [*world.gas.scalars, "speed", "vorticity", "pressure"] if isinstance(look, Slice) else []
        if known and look.of not in known:
            raise ValueError(f"Slice: there is no {look.of!r} in the gas; use one of: {', '.join(known)}")
    return tuple(flow)


def visible_meshes(seen: Sequence[Drawable]) -> tuple[list[Drawable], list[int], float | None]:
    """The meshes to draw, their rows in the world's poses, and the height of the table: the highest level plane [m]."""
    meshes = [each for each in seen if each.kind == "mesh"]
    tables = [each.height for each in meshes if each.height is not None]
    rows = [row for row, each in enumerate(meshes) if each.height is None]
    return [meshes[row] for row in rows], rows, max(tables, default=None)


def _corners(shape: Any) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) [m] and faces (F, 3) of a shape."""
    mesh = shape.to_mesh()
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def _rotate(quaternion: np.ndarray, points: np.ndarray) -> np.ndarray:
    return rotate(torch.as_tensor(quaternion), torch.as_tensor(points)).numpy()


def _default_camera(
    lower: np.ndarray, upper: np.ndarray, floor: float, aspect: float, angles: tuple[float, float]
) -> Camera:
    """From the front, turned to the right and raised by angles [rad], just far enough to hold the box with a margin."""
    lower = np.array([lower[0], lower[1], min(lower[2], floor)])
    target = 0.5 * (lower + upper)
    azimuth, elevation = angles
    direction = np.array(
        [math.sin(azimuth) * math.cos(elevation), -math.cos(azimuth) * math.cos(elevation), math.sin(elevation)]
    )
    camera = Camera(position=tuple((target + direction).tolist()), target=tuple(target.tolist()))
    corners = np.where(np.array(list(np.ndindex(2, 2, 2))), upper, lower)
    local = (corners - target) @ camera.axes()
    tangent = math.tan(0.5 * camera.fov_y) / 1.18
    distance = max(
        float((local[:, 2] + np.abs(local[:, 1]) / tangent).max()),
        float((local[:, 2] + np.abs(local[:, 0]) / (aspect * tangent)).max()),
    )
    return replace(camera, position=tuple((target + distance * direction).tolist()))


def _default_studio(lower: np.ndarray, upper: np.ndarray, size: float, floor: float) -> Studio:
    """A table whose tiles, light and liquid colours suit a scene of this size [m]."""
    center = 0.5 * (lower + upper)
    decade = 10.0 ** math.floor(math.log10(size / 7.0))
    tile = max(step * decade for step in (1.0, 2.0, 5.0) if step * decade <= size / 7.0)
    return Studio(floor, tile, (float(center[0]), float(center[1])), 1.3 * size, reference_depth=0.2 * size)
