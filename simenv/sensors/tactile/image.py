# SPDX-License-Identifier: Apache-2.0
"""The tactile camera: images of a gel that an object touches, for N worlds at once, differentiable.

    sensor = TactileImage(gelsight_mini())
    depth = ContactDepth(sensor, Sphere(0.004))(object_pose, sensor_pose)
    image = sensor.render(depth)

An image is (N, H, W, 3), red, green, blue, from 0 to 255. Row r and column c look at the point of the gel with
y = (r - (H - 1) / 2) pixel and x = (c - (W - 1) / 2) pixel of the sensor's frame, whose z points out of the gel.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch

from simenv import _warp
from simenv.geometry.shapes import Shape
from simenv.physics.bridge import Operation, PackedShape, constant_array, warp_real
from simenv.physics.device import resolve_device
from simenv.physics.gels.kernels_contact import contact_kernels
from simenv.physics.launch.worlds import launch_worlds
from simenv.sensors.tactile.calibration import TactileCalibration
from simenv.sensors.tactile.frames import check_pose, relative_pose
from simenv.sensors.tactile.kernels_image import image_kernels
from simenv.sensors.tactile.membrane import MembraneFilter
from simenv.sensors.tactile.photometry import NormalTable, TaximTable

__all__ = ["ContactDepth", "Shader", "TableShader", "TactileImage"]


class Shader(Protocol):
    """What `TactileImage` needs of an illumination: colours (N, H, W, 3) of surfaces (N, H, W) [m]."""

    def __call__(self, surface: torch.Tensor) -> torch.Tensor:
        """Colours from 0 to 255."""


class TableShader:
    """Colours by a photometric table.

    Args:
        table: a `NormalTable`, differentiable; or a `TaximTable`, read as Taxim does (the bin below, and not zero at
            zero slope), which has no derivative.
        background: (H, W, 3) numbers from 0 to 255.
        pixel: pitch [m].
        dtype: of the tensors.
        device: of the tensors.
    """

    def __init__(
        self, table: NormalTable | TaximTable, background: Any, pixel: float, dtype: torch.dtype, device: torch.device
    ):
        _warp.start()
        k = self.kernels = image_kernels(warp_real(dtype))
        self.rows, self.columns = background.shape[:2]
        self.differentiable = isinstance(table, NormalTable)
        self.arguments = [
            constant_array(table.values, k.mat36, dtype, device),
            table.bins,
            constant_array(background.reshape(-1, 3), k.vec3, dtype, device),
            self.columns,
            self.rows,
            pixel,
            k.vec2(*table.scale),
        ]

    def __call__(self, surface: torch.Tensor) -> torch.Tensor:
        """Colours (N, H, W, 3) of surfaces (N, H, W) [m]."""
        if not self.differentiable and surface.requires_grad and torch.is_grad_enabled():
            raise TypeError("a Taxim table has no derivative; use TaximTable.to_normals(), or torch.no_grad()")
        return _Shade.apply(self, surface)


class _Shade(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, shader: TableShader, surface: torch.Tensor) -> torch.Tensor:
        k = shader.kernels
        flat = surface.reshape(surface.shape[0], -1).contiguous()
        image = torch.empty((*flat.shape, 3), dtype=flat.dtype, device=flat.device)
        kernel = k.colours if shader.differentiable else k.taxim
        launch_worlds(kernel, flat.shape[1], shader.arguments, [(flat, k.real)], [(image, k.vec3)])
        ctx.shader = shader
        ctx.save_for_backward(flat)
        return image.reshape(*surface.shape, 3)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[None, torch.Tensor]:
        shader, (flat,) = ctx.shader, ctx.saved_tensors
        k, items = shader.kernels, flat.shape[1]
        seed = grads[0].reshape(*flat.shape, 3).contiguous()
        slope = torch.empty((*flat.shape, 2), dtype=flat.dtype, device=flat.device)
        result = torch.empty_like(flat)
        launch_worlds(
            k.colours_adjoint, items, shader.arguments, [(flat, k.real), (seed, k.vec3)], [(slope, k.vec2)]
        )  # fmt: skip
        where = shader.arguments[3:6]
        launch_worlds(k.gather, items, where, [(slope, k.vec2)], [(result, k.real)])
        return None, result.reshape(grads[0].shape[:-1])


class TactileImage:
    """A tactile camera.

    Args:
        calibration: of `simenv.sensors.tactile.sensors`, or one of your own (`TactileCalibration.load`).
        dtype: of the tensors.
        device: of the tensors.
        shader: an illumination in place of the calibration's table.
    """

    def __init__(
        self,
        calibration: TactileCalibration,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        shader: Shader | None = None,
    ):
        self.device = resolve_device(device)
        c = self.calibration = calibration
        self.rows, self.columns, self.pixel = c.rows, c.columns, c.pixel
        self.dtype = dtype
        self.background = torch.tensor(c.background, dtype=dtype).to(self.device)
        self.membrane = MembraneFilter(c.membrane, c.rows, c.columns, c.pixel, dtype, self.device)
        table = TableShader(c.table, c.background, c.pixel, dtype, self.device)
        self.shader: Shader = table if shader is None else shader

    def render(self, depth: torch.Tensor, as_uint8: bool = False) -> torch.Tensor:
        """The image of a contact.

        Args:
            depth: (N, H, W) of the object below the undeformed gel [m]; what is not positive does not touch.
            as_uint8: round to whole grey levels, which has no derivative.

        Returns:
            (N, H, W, 3) from 0 to 255.

        Raises:
            ValueError: a shape or dtype is wrong.
        """
        if depth.dim() != 3 or depth.shape[1:] != (self.rows, self.columns) or depth.dtype != self.dtype:
            raise ValueError(
                f"depth must be {self.dtype} (N, {self.rows}, {self.columns}), not {depth.dtype} {tuple(depth.shape)}"
            )
        image = self.shader(self.membrane(depth))
        return image.detach().round().to(torch.uint8) if as_uint8 else image


class ContactDepth:
    """How deep an object is in the gel of a tactile camera, at each of its pixels.

    Args:
        sensor: the camera.
        shape: the object.
        max_depth: depth below the undeformed gel at which the search for the object starts [m].
        reach: height above it at which the search ends [m].
        spacing: of a mesh's distance volume [m].

    Raises:
        ValueError: a length is not positive.
    """

    def __init__(
        self,
        sensor: TactileImage,
        shape: Shape,
        max_depth: float = 4.0e-3,
        reach: float = 1.0e-3,
        spacing: float | None = None,
    ):
        for name, value in (("max_depth", max_depth), ("reach", reach)):
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"{name} must be positive and finite [m], not {value!r}")
        k = contact_kernels(warp_real(sensor.dtype))
        self.sensor = sensor
        packed = PackedShape(shape, sensor.dtype, sensor.device, spacing)
        corner = (-0.5 * (sensor.columns - 1) * sensor.pixel, -0.5 * (sensor.rows - 1) * sensor.pixel)
        constants = [*packed.arguments, k.vec2(*corner), sensor.pixel, sensor.columns, float(max_depth), float(reach)]
        pixels = sensor.rows * sensor.columns
        self._heights = Operation(k.heights, constants, [k.mat33, k.vec3], [(k.real, (pixels,))], pixels)

    def __call__(self, object_pose: torch.Tensor, sensor_pose: torch.Tensor) -> torch.Tensor:
        """Depth (N, H, W) [m], negative where they don't meet, of poses (N, 7) in the world frame."""
        check_pose("object_pose", object_pose)
        check_pose("sensor_pose", sensor_pose)
        if object_pose.shape != sensor_pose.shape or {object_pose.dtype, sensor_pose.dtype} != {self.sensor.dtype}:
            raise ValueError(
                f"object_pose {tuple(object_pose.shape)} {object_pose.dtype} and sensor_pose "
                f"{tuple(sensor_pose.shape)} {sensor_pose.dtype} must agree with each other and with "
                f"{self.sensor.dtype}"
            )
        depth = self._heights(*relative_pose(object_pose, sensor_pose))[0]
        return depth.reshape(-1, self.sensor.rows, self.sensor.columns)
