# SPDX-License-Identifier: Apache-2.0
"""The opaque part of a picture, cast by Newton's camera: rigid meshes, the table's plane, and particles as spheres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import newton
import numpy as np
import warp as wp
from newton.sensors import SensorCamera

from simenv import _warp
from simenv.render import kernels_frame
from simenv.render.items import Camera, Studio

# A parked particle is out of every ray's reach but keeps the model's size [m].
_PARKED = -1.0e4
# Newton's shape index for a hit on a particle.
_PARTICLE_SHAPE = 0xFFFFFFFE


@dataclass(frozen=True)
class OpaqueImage:
    """What the camera saw, one row per sample: Warp CPU arrays of shape (1, H, W).

    Attributes:
        depth: Distance along the ray [m]; 0 where nothing was hit.
        shape: Index of the shape that was hit.
        normal: World-space unit normal.
        color: Linear radiance.
    """

    depth: wp.array
    shape: wp.array
    normal: wp.array
    color: wp.array


def camera_transform(camera: Camera) -> wp.transform:
    """The camera's pose: local x right, y up, looking along -z."""
    rotation = wp.quat_from_matrix(wp.mat33(*camera.axes().astype(np.float32).reshape(-1).tolist()))
    return wp.transform(wp.vec3(*map(float, camera.position)), rotation)


class OpaqueCaster:
    """Newton's ray-cast camera over a fixed set of opaque shapes whose poses, and particles, change.

    Args:
        meshes: Corner meshes (vertices (3F, 3) [m], normals (3F, 3), linear rgb).
        spheres: Number and radius [m] of particles to draw as spheres.
        studio: Table and light.
        camera: View.
        width: Samples per row.
        height: Rows of samples.
    """

    def __init__(
        self,
        meshes: Sequence[tuple[np.ndarray, np.ndarray, tuple[float, float, float]]],
        spheres: tuple[int, float],
        studio: Studio,
        camera: Camera,
        width: int,
        height: int,
    ) -> None:
        _warp.start()
        builder = newton.ModelBuilder(gravity=(0.0, 0.0, 0.0))
        massless = newton.ModelBuilder.ShapeConfig(density=0.0)
        for vertices, normals, color in meshes:
            indices = np.arange(len(vertices), dtype=np.int32)
            mesh = newton.Mesh(vertices, indices, normals=normals, compute_inertia=False)
            builder.add_shape_mesh(builder.add_body(is_kinematic=True), mesh=mesh, color=color, cfg=massless)
        self.ground_shape = -1
        if studio.ground is not None:
            self.ground_shape = builder.add_ground_plane(height=studio.ground)
        self._count, self._radius = spheres
        if self._count:
            parked = [(0.0, 0.0, _PARKED)] * self._count
            zero = [(0.0, 0.0, 0.0)] * self._count
            builder.add_particles(parked, zero, [0.0] * self._count, radius=[self._radius] * self._count)
        self._empty = not meshes and studio.ground is None and not self._count
        shape = (1, height, width)
        self.image = OpaqueImage(
            wp.zeros(shape, dtype=float, device="cpu"),
            wp.full(shape, 0xFFFFFFFF, dtype=wp.uint32, device="cpu"),
            wp.zeros(shape, dtype=wp.vec3, device="cpu"),
            wp.zeros(shape, dtype=wp.vec3, device="cpu"),
        )
        self._seen: tuple[bytes, bytes, bytes] | None = None
        self.look(camera)
        self.rays = SensorCamera.compute_camera_rays_pinhole(width, height, camera_fov=camera.fov_y, device="cpu")
        if self._empty:
            return
        self._model = builder.finalize(device="cpu")
        self._posed = self._model.state()
        config = SensorCamera.RenderConfig(enable_shadows=True, enable_textures=False)
        self._camera = SensorCamera(self._model, default_render_config=config)

    def look(self, camera: Camera) -> None:
        """Looks from another camera of the same field of view."""
        self._transform = camera_transform(camera)
        self._pose = wp.array([self._transform], dtype=wp.transform, device="cpu")
        self._seen = None

    def set_light(self, sun: np.ndarray, sun_color: np.ndarray, sky: np.ndarray, bounce: np.ndarray) -> None:
        """Lights the shapes like the rest of the picture: ``sun`` is the unit direction towards the light."""
        if not self._empty:
            self._camera.create_default_light(direction=wp.vec3(*(-sun).tolist()), color=tuple(sun_color.tolist()))
            self._camera.set_ambient_light(tuple(sky.tolist()), tuple(bounce.tolist()))

    def cast(self, poses: np.ndarray, particles: np.ndarray, tints: np.ndarray) -> OpaqueImage:
        """Casts every sample's ray; a scene that has not moved since the last call is not cast again.

        Args:
            poses: (M, 7) of the meshes, in their order.
            particles: (n, 3) [m], n at most the number given at construction.
            tints: (n, 3) linear rgb of the particles.

        Raises:
            ValueError: More particles than there is room for.
        """
        if len(particles) > self._count:
            raise ValueError(f"{len(particles)} particles to draw as spheres, room for {self._count}: raise capacity")
        poses = np.ascontiguousarray(poses, dtype=np.float32).reshape(-1, 7)
        particles = np.ascontiguousarray(particles, dtype=np.float32).reshape(-1, 3)
        tints = np.ascontiguousarray(tints, dtype=np.float32).reshape(-1, 3)
        key = (poses.tobytes(), particles.tobytes(), tints.tobytes())
        if self._empty or key == self._seen:
            return self.image
        if len(poses):
            self._posed.body_q.assign(poses)
        if self._count:
            positions = np.full((self._count, 3), _PARKED, dtype=np.float32)
            positions[: len(particles)] = particles
            self._posed.particle_q.assign(positions)
            self._model.bvh_refit_particles(self._posed)
        self._model.bvh_refit_shapes(self._posed)
        self._camera.update(
            self._posed,
            self._pose,
            self.rays,
            depth_image=self.image.depth,
            shape_index_image=self.image.shape,
            normal_image=self.image.normal,
            hdr_color_image=self.image.color,
        )
        if len(particles):
            self._tint(particles, tints)
        self._seen = key
        return self.image

    def _tint(self, particles: np.ndarray, tints: np.ndarray) -> None:
        centers = wp.array(particles, dtype=wp.vec3, device="cpu")
        grid = wp.HashGrid(64, 64, 64, device="cpu")
        grid.build(centers, self._radius)
        image = self.image
        inputs = [grid.id, centers, wp.array(tints, dtype=wp.vec3, device="cpu"), self._radius, self._transform]
        inputs += [self.rays, wp.uint32(_PARTICLE_SHAPE), image.depth, image.shape, image.normal, image.color]
        wp.launch(kernels_frame.tint_spheres, image.depth.shape[1:], inputs, device="cpu")
