# SPDX-License-Identifier: Apache-2.0
"""One picture from plain arrays: Newton's camera for what is opaque, own rays for glass and liquid.

The order of work in a frame: particles become a surface; Newton casts the opaque scene (skipped while it stands still);
sunlight is sent through glass and liquid onto the table; every sample is coloured; samples are averaged into pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import warp as wp

from simenv import _warp
from simenv._exclusive import one_at_a_time
from simenv.render import kernels_frame
from simenv.render.items import Camera, MeshItem, ParticleItem, Studio
from simenv.render.kernels_trace import GLASS, LIQUID, OPAQUE, Geometry, Light
from simenv.render.meshes import corner_mesh
from simenv.render.opaque import OpaqueCaster, camera_transform
from simenv.render.surface import extract_surface, srgb_to_linear

LIQUID_STYLES = ("surface", "spheres")
SUN_COLOR = np.array([0.92, 0.88, 0.82])
SKY = np.array([0.42, 0.44, 0.47])
BOUNCE = np.array([0.24, 0.235, 0.23])
_MAP_CELLS = 64  # of the light map on the table, per axis
_PHOTONS = 128  # per axis


class _Part:
    """A mesh on its way to the ray caster: its Warp mesh, attributes per vertex and place in the world."""

    def __init__(self, mesh: wp.Mesh, normals: np.ndarray, tints: np.ndarray, kind: int, cast: bool) -> None:
        self.mesh, self.normals, self.tints, self.kind, self.cast = mesh, normals, tints, int(kind), cast
        points = mesh.points.numpy()
        lower, upper = points.min(axis=0), points.max(axis=0)
        self.center = 0.5 * (lower + upper)
        self.radius = float(np.linalg.norm(points - self.center, axis=1).max())
        self.pose = np.array([0, 0, 0, 0, 0, 0, 1], dtype=np.float32)


class Picture:
    """Draws a fixed set of meshes at changing poses together with changing particles.

    Args:
        meshes: Rigid meshes; their ``pose`` is the default.
        camera: View.
        studio: Table, light and lens; None is `Studio()`.
        width: Picture width [px].
        height: Picture height [px].
        supersample: Samples per pixel and axis.
        liquid: "surface" draws particles as liquid, "spheres" one by one.
        capacity: Largest number of particles, needed for "spheres".
        sphere_radius: Radius of a particle in "spheres" [m].

    Raises:
        ValueError: A size is not positive, or ``liquid`` is unknown.
    """

    @one_at_a_time  # Newton's camera
    def __init__(
        self,
        meshes: Sequence[MeshItem],
        camera: Camera,
        studio: Studio | None = None,
        width: int = 320,
        height: int = 240,
        supersample: int = 2,
        liquid: str = "surface",
        capacity: int = 0,
        sphere_radius: float = 0.0,
    ) -> None:
        if min(width, height, supersample) < 1:
            raise ValueError(
                f"picture of {width} x {height} px, {supersample} samples per axis: all must be at least 1"
            )
        if liquid not in LIQUID_STYLES:
            raise ValueError(f"liquid={liquid!r} is not a way to draw particles; use one of {LIQUID_STYLES}")
        self.width, self.height, self.supersample, self.liquid = width, height, supersample, liquid
        self.camera, self.studio = camera, studio or Studio()
        self.meshes = list(meshes)
        _warp.start()
        self._parts = [self._part(item) for item in self.meshes]
        self._opaque_index = [i for i, item in enumerate(self.meshes) if not item.transparent]
        newton_meshes = []
        for i in self._opaque_index:
            vertices = self._parts[i].mesh.points.numpy()
            newton_meshes.append((vertices, self._parts[i].normals, self.meshes[i].color[:3]))
        spheres = (capacity if liquid == "spheres" else 0, sphere_radius)
        shape = (height * supersample, width * supersample)
        self._caster = OpaqueCaster(newton_meshes, spheres, self.studio, camera, shape[1], shape[0])
        self._light = self._studio_light()
        self._caster.set_light(np.array(self._light.sun), SUN_COLOR, SKY, BOUNCE)
        self._first = wp.zeros((height, width), dtype=wp.vec3, device="cpu")
        self._image = wp.zeros((height, width, 3), dtype=wp.uint8, device="cpu")

    @one_at_a_time
    def draw(self, poses: np.ndarray | None = None, particles: Sequence[ParticleItem] = ()) -> np.ndarray:
        """Draws one picture.

        Args:
            poses: (M, 7) position [m] and quaternion xyzw of the meshes; None keeps their own.
            particles: Groups to draw.

        Returns:
            (height, width, 3) uint8, a new array.

        Raises:
            ValueError: Poses of another shape, or numbers that are not finite.
        """
        if poses is None:
            poses = np.array([item.pose for item in self.meshes], dtype=np.float32)
        poses = np.asarray(poses, dtype=np.float32).reshape(-1, 7)
        if poses.shape[0] != len(self.meshes) or not np.isfinite(poses).all():
            raise ValueError(f"poses {poses.shape} must be finite and ({len(self.meshes)}, 7), one row per mesh")
        for part, pose in zip(self._parts, poses, strict=True):
            part.pose = pose
        balls = [item for item in particles if self.liquid == "spheres"]
        surfaces = self._particle_parts([] if balls else particles)
        dots = np.concatenate([np.zeros((0, 3)), *[item.positions for item in balls]])
        tints = [np.tile(srgb_to_linear(item.color[:3]), (len(item.positions), 1)) for item in balls]
        seen = self._caster.cast(poses[self._opaque_index], dots, np.concatenate([np.zeros((0, 3)), *tints]))
        geometry = self._geometry([*self._parts, *surfaces])
        light_map = self._light_map(geometry, [*self._parts, *surfaces])
        inputs = [self.supersample, geometry, self._light, light_map, camera_transform(self.camera), self._caster.rays]
        inputs += [self._caster.ground_shape, seen.depth, seen.shape, seen.color]
        wp.launch(kernels_frame.shade_first, self._first.shape, inputs, [self._first], device="cpu")
        wp.launch(kernels_frame.shade_rest, self._first.shape, [*inputs, self._first], [self._image], device="cpu")
        return self._image.numpy().copy()

    def look(self, camera: Camera) -> None:
        """Look from another camera of the same field of view from now on.

        Raises:
            ValueError: The field of view is another, for which the rays were not made.
        """
        if camera.fov_y != self.camera.fov_y:
            raise ValueError(
                f"camera fov_y = {camera.fov_y} rad, the picture has {self.camera.fov_y}; make another one"
            )
        if camera != self.camera:
            self.camera = camera
            self._caster.look(camera)
            self._light_axes(self._light)

    def depth(self) -> np.ndarray:
        """Distance [m] along each sample's ray to the opaque scene of the last picture; 0 where there is none."""
        return self._caster.image.depth.numpy()[0].copy()

    def _part(self, item: MeshItem) -> _Part:
        vertices, normals = corner_mesh(item.vertices, item.faces, item.name)
        points = wp.array(vertices, dtype=wp.vec3, device="cpu")
        indices = wp.array(np.arange(len(vertices), dtype=np.int32), dtype=int, device="cpu")
        tints = np.tile(srgb_to_linear(item.color), (len(vertices), 1))
        kind = GLASS if item.transparent else OPAQUE
        return _Part(wp.Mesh(points, indices, bvh_leaf_size=4), normals, tints, kind, cast=item.transparent)

    def _particle_parts(self, particles: Sequence[ParticleItem]) -> list[_Part]:
        """All liquids as one surface, each solid as its own."""
        groups = [([item for item in particles if item.liquid], LIQUID)]
        groups += [([item], OPAQUE) for item in particles if not item.liquid]
        parts = []
        solid = [part for part, item in zip(self._parts, self.meshes, strict=True) if item.wall]
        walls = [(part.mesh, wp.transform(*part.pose.tolist())) for part in solid]
        for items, kind in groups:
            surface = extract_surface(items, walls if kind == LIQUID else ())
            if surface is not None:
                mesh = wp.Mesh(surface.vertices, surface.indices, bvh_leaf_size=4)
                parts.append(_Part(mesh, surface.normals.numpy(), surface.colors.numpy(), kind, cast=True))
        return parts

    def _geometry(self, parts: Sequence[_Part]) -> Geometry:
        g = Geometry()
        g.count = len(parts)
        if not parts:
            return g
        counts = [len(part.normals) for part in parts]
        spheres = []
        for part in parts:
            center = np.array(wp.transform_point(wp.transform(*part.pose.tolist()), wp.vec3(*part.center.tolist())))
            spheres.append([*center, part.radius * 1.001])
        g.mesh = wp.array([part.mesh.id for part in parts], dtype=wp.uint64, device="cpu")
        g.pose = wp.array(np.stack([part.pose for part in parts]), dtype=wp.transform, device="cpu")
        g.sphere = wp.array(np.array(spheres), dtype=wp.vec4, device="cpu")
        g.kind = wp.array([part.kind for part in parts], dtype=int, device="cpu")
        g.color = wp.array(np.stack([part.tints[0] for part in parts]), dtype=wp.vec4, device="cpu")
        g.start = wp.array(np.cumsum([0, *counts[:-1]]), dtype=int, device="cpu")
        g.cast = wp.array([int(part.cast) for part in parts], dtype=int, device="cpu")
        g.normal = wp.array(np.concatenate([part.normals for part in parts]), dtype=wp.vec3, device="cpu")
        g.tint = wp.array(np.concatenate([part.tints for part in parts]), dtype=wp.vec4, device="cpu")
        self._spheres = np.array(spheres)
        return g

    def _studio_light(self) -> Light:
        light, studio = Light(), self.studio
        sun = np.asarray(studio.sun, dtype=np.float64)
        light.sun = wp.vec3(*(sun / np.linalg.norm(sun)).tolist())
        light.sun_color, light.sky, light.bounce = wp.vec3(*SUN_COLOR), wp.vec3(*SKY), wp.vec3(*BOUNCE)
        light.has_ground = int(studio.ground is not None)
        light.ground = float(studio.ground or 0.0)
        light.tile = studio.tile
        light.center, light.radius = wp.vec2(*studio.center), studio.radius
        self._light_axes(light)
        light.reference = studio.reference_depth
        # Refracted rays cannot meet spheres, which only Newton's camera knows.
        light.refraction = int(studio.refraction and self.liquid == "surface")
        light.map_lower, light.map_size = wp.vec2(0.0), wp.vec2(1.0)
        return light

    def _light_axes(self, light: Light) -> None:
        right, up, back = self.camera.axes().T.tolist()
        light.camera_right, light.camera_up, light.camera_back = wp.vec3(*right), wp.vec3(*up), wp.vec3(*back)

    def _light_map(self, geometry: Geometry, parts: Sequence[_Part]) -> wp.array:
        """Fraction of sunlight that reaches each cell of the table around the shadows, (cells, cells) vec3."""
        if self.studio.ground is None or not parts:
            return wp.full((2, 2), wp.vec3(1.0), dtype=wp.vec3, device="cpu")
        sun = np.array(self._light.sun)
        above = self._spheres[:, 2] - self.studio.ground
        feet = self._spheres[:, :2] - sun[:2] * (above / sun[2])[:, None]
        # The shadow of a sphere is an ellipse, longer along the sun.
        reach = self._spheres[:, 3:] * (1.0 / sun[2]) * 1.15
        lower, upper = (feet - reach).min(axis=0), (feet + reach).max(axis=0)
        self._light.map_lower, self._light.map_size = wp.vec2(*lower.tolist()), wp.vec2(*(upper - lower).tolist())
        start = float((above + self._spheres[:, 3]).max() / sun[2]) * 1.1 + 1e-3
        power = wp.zeros((_MAP_CELLS, _MAP_CELLS), dtype=wp.vec3, device="cpu")
        inputs = [geometry, self._light, _PHOTONS, start]
        wp.launch(kernels_frame.photons, _PHOTONS * _PHOTONS, inputs, [power], device="cpu")
        values = power.numpy()
        values[0], values[-1], values[:, 0], values[:, -1] = 1.0, 1.0, 1.0, 1.0
        return wp.array(_soften(np.minimum(values, 6.0), 3), dtype=wp.vec3, device="cpu")


def _soften(values: np.ndarray, times: int) -> np.ndarray:
    """Binomial filter of an image (H, W, 3), borders repeated: a sun of finite size."""
    for _ in range(times):
        for axis in (0, 1):
            padded = np.concatenate([values.take([0], axis), values, values.take([-1], axis)], axis=axis)
            n = padded.shape[axis]
            middle = padded.take(range(1, n - 1), axis)
            values = 0.25 * (padded.take(range(n - 2), axis) + padded.take(range(2, n), axis)) + 0.5 * middle
    return np.ascontiguousarray(values, dtype=np.float32)
