# SPDX-License-Identifier: Apache-2.0
"""A camera fixed to a body, as a sensor: small pictures of all worlds at once, on the worlds' own device.

Newton's ray caster draws what is opaque, with one light, its shadows and a plain table. Frames for people are made by
`simenv.render.frames`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import newton
import numpy as np
import torch
import warp as wp
from newton.sensors import SensorCamera

from simenv._exclusive import one_at_a_time
from simenv.physics.device import stream_scope, warp_device
from simenv.physics.rotation import quaternion_multiply, rotate
from simenv.render.frames import visible_meshes
from simenv.render.items import RGBA, Camera, Studio, rgba
from simenv.render.meshes import corner_mesh
from simenv.render.opaque import camera_transform
from simenv.render.picture import BOUNCE, SKY, SUN_COLOR

if TYPE_CHECKING:
    from simenv.world import State, World
    from simenv.world.drawables import Drawable

SAMPLES = 2  # per pixel and axis
TABLE = (0.80, 0.78, 0.74)  # colour, sRGB
BODY: RGBA = (0.80, 0.60, 0.36, 1.0)  # of what has no colour of its own
SKY_PIXEL = 0xFFEBE6DE  # alpha, blue, green, red: what is behind everything, as in the frames


class BodyCamera:
    """Pictures from a camera on a body. Liquids, other particles and what is clear are not seen.

    It keeps no reference to the world.

    Args:
        world: The worlds to look at.
        body: Name of the body that carries it.
        camera: The view in the body's frame.
        rows: Height of a picture [px].
        columns: Width [px].

    Raises:
        ValueError: There is no such body.
    """

    @one_at_a_time  # Newton's
    def __init__(self, world: World, body: str, camera: Camera, rows: int, columns: int) -> None:
        if body not in world.body_names:
            raise ValueError(f"there is no body {body!r} for a camera; there are {', '.join(world.body_names)}")
        self._body, worlds, device = body, world.num_worlds, world.device
        meshes, numbers, ground = visible_meshes(world.drawables())
        drawn = [pair for pair in zip(meshes, numbers, strict=True) if rgba(pair[0].color, BODY)[3] == 1.0]
        self._drawn = torch.tensor([number for _, number in drawn], dtype=torch.int64, device=device)
        where = warp_device(device)
        with stream_scope(device):
            self._model = _model([each for each, _ in drawn], worlds, ground, where)
        self._posed = self._model.state()
        self._camera = SensorCamera(
            self._model, default_render_config=_config(), default_clear_data=SensorCamera.ClearData(SKY_PIXEL)
        )
        sun = np.asarray(Studio().sun) / np.linalg.norm(Studio().sun)
        self._camera.create_default_light(direction=wp.vec3(*(-sun).tolist()), color=tuple(SUN_COLOR.tolist()))
        self._camera.set_ambient_light(tuple(SKY.tolist()), tuple(BOUNCE.tolist()))
        self._rays = SensorCamera.compute_camera_rays_pinhole(
            columns, rows, camera_fov=camera.fov_y, sample_count=SAMPLES**2, device=where
        )
        eye = torch.tensor([float(value) for value in camera_transform(camera)], device=device)
        self._place, self._turn = eye[:3].expand(worlds, 3), eye[3:].expand(worlds, 4)
        self._poses = torch.empty((worlds, 7), device=device)
        self._pixels = torch.empty((worlds, rows, columns, 4), dtype=torch.uint8, device=device)
        self._views = wp.from_torch(self._poses, dtype=wp.transformf)
        self._image = wp.from_torch(self._pixels.view(torch.int32).squeeze(-1), dtype=wp.uint32)
        self._body_q = wp.to_torch(self._posed.body_q)

    @torch.no_grad()
    @one_at_a_time
    def __call__(self, world: World, state: State) -> torch.Tensor:
        """Pictures (N, H, W, 3) uint8 of a state of the worlds."""
        q = world.bodies[self._body].pose(state).to(torch.float32)
        self._poses[:, :3] = q[:, :3] + rotate(q[:, 3:], self._place)
        self._poses[:, 3:] = quaternion_multiply(q[:, 3:], self._turn)
        shapes = world.drawn_poses(state).index_select(1, self._drawn)
        self._body_q.copy_(shapes.reshape(-1, 7))
        with stream_scope(self._poses.device):
            self._model.bvh_refit_shapes(self._posed)
            self._camera.update(self._posed, self._views, self._rays, color_image=self._image)
        return self._pixels[..., :3].clone()


def _model(drawn: list[Drawable], worlds: int, ground: float | None, device: wp.Device) -> newton.Model:
    """All worlds' opaque shapes, each on a body of its own, and the table they share."""
    one = newton.ModelBuilder(gravity=(0.0, 0.0, 0.0))
    for each in drawn:
        mesh = each.shape.to_mesh()
        vertices, normals = corner_mesh(np.asarray(mesh.vertices) * each.scale, np.asarray(mesh.faces), each.name)
        indices = np.arange(len(vertices), dtype=np.int32)
        shape = newton.Mesh(vertices, indices, normals=normals, compute_inertia=False)
        one.add_shape_mesh(one.add_body(is_kinematic=True), mesh=shape, color=rgba(each.color, BODY)[:3])
    every = newton.ModelBuilder(gravity=(0.0, 0.0, 0.0))
    every.replicate(one, worlds)
    if ground is not None:
        every.add_ground_plane(height=ground, color=TABLE)
    return every.finalize(device=device)


def _config() -> SensorCamera.RenderConfig:
    antialias = SensorCamera.AntiAliasing.SSAA
    return SensorCamera.RenderConfig(enable_shadows=True, anti_aliasing=antialias, max_distance=math.inf)
