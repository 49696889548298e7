# SPDX-License-Identifier: Apache-2.0
"""Markers printed on a gel: how a force field moves them, and their picture; batched over worlds, differentiable.

    markers = MarkerField(grid, marker_grid(7, 9, 2e-3), modulus=1e5, poisson=0.5, thickness=2e-3)
    moved = markers.positions(reading)  # (N, M, 2) [m]
    mask = draw_markers(markers.pixels(moved, 6.5e-5, (240, 320)), (240, 320), radius=6.0)

The motion is linear in the forces (an elastic layer, `simenv.physics.gels.compliance`) and has no memory of its own:
friction's memory is in the forces. So press, shear and twist share one modulus, one Poisson ratio and one thickness.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import warp as wp

from simenv.physics.bridge import warp_real
from simenv.physics.constants import constant
from simenv.physics.device import resolve_device, stream_scope
from simenv.physics.gels.compliance import surface_influence
from simenv.physics.gels.contact import TactileReading
from simenv.physics.gels.grid import TaxelGrid
from simenv.physics.launch.capture import launch
from simenv.sensors.tactile.kernels_markers import markers_kernels

__all__ = ["MarkerField", "draw_markers", "marker_grid"]


def marker_grid(rows: int, columns: int, pitch: float) -> np.ndarray:
    """Markers of equal distance `pitch` [m] around the gel's middle: (rows * columns, 2) [m], x fastest."""
    if rows < 1 or columns < 1 or not (math.isfinite(pitch) and pitch > 0.0):
        raise ValueError(
            f"markers need rows {rows} and columns {columns} of at least 1, and a pitch {pitch!r} m above 0"
        )
    x, y = (np.arange(n) - 0.5 * (n - 1) for n in (columns, rows))
    return pitch * np.stack([np.tile(x, rows), np.repeat(y, columns)], -1)


class _Product(torch.autograd.Function):
    """matrix (R, C) times vectors (N, C); world i of many gets the bits it gets alone, which BLAS does not promise."""

    @staticmethod
    def forward(ctx: Any, matrix: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        ctx.matrix = matrix
        result = vectors.new_empty((vectors.shape[0], matrix.shape[0]))
        real = warp_real(matrix.dtype)
        arrays = [wp.from_torch(t, dtype=real) for t in (matrix, vectors.detach().contiguous(), result)]
        with stream_scope(matrix.device):
            launch(markers_kernels(real).product, dim=tuple(result.shape), inputs=arrays, device=arrays[0].device)
        return result

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[None, torch.Tensor]:
        return None, _Product.apply(ctx.matrix.t(), grad)


class MarkerField:
    """Markers on a gel that is an elastic layer bonded to a rigid back.

    The layer is taken as wider than it is thick; a curved gel as one whose thickness is small beside its radius, with
    coordinates along its surface.

    Args:
        grid: the taxels whose forces move the markers.
        points: (M, 2) places of the markers at rest, along the surface from its middle [m]; `marker_grid` makes some.
        modulus: Young's modulus E [Pa].
        poisson: nu, from 0 to 0.5; the default is an incompressible gel, which bulges out around what presses it.
        thickness: of the layer [m].
        dtype, device: of all tensors, those of the force sensor.

    Raises:
        TypeError, ValueError: an argument is out of range.
    """

    def __init__(
        self,
        grid: TaxelGrid,
        points: np.ndarray,
        modulus: float,
        poisson: float = 0.5,
        thickness: float = 2.0e-3,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ):
        self.device = resolve_device(device)
        for name, value in (("modulus", modulus), ("thickness", thickness)):
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"{name} = {value!r} must be positive and finite, such as 1e5 Pa and 2e-3 m")
        if not 0.0 <= poisson <= 0.5:
            raise ValueError(f"poisson = {poisson!r} must lie in [0, 0.5]; gels are near 0.5")
        points = np.asarray(points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
            raise ValueError(f"points must be finite and (M, 2) with M >= 1 [m], not {points.shape}; see marker_grid")
        warp_real(dtype)
        self.grid, self.dtype = grid, dtype
        self.points = torch.as_tensor(points, dtype=dtype, device=self.device)
        self.modulus = torch.tensor(float(modulus), dtype=dtype, device=self.device)
        places = marker_grid(grid.rows, grid.columns, 1.0) * grid.spacing
        influence = surface_influence(points, places, grid.spacing, poisson, thickness)
        matrix = influence.transpose(0, 2, 1, 3).reshape(2 * len(points), 3 * grid.count)
        self.influence = torch.as_tensor(matrix, dtype=dtype).to(self.device).contiguous()

    def displacement(self, reading: TactileReading, modulus: torch.Tensor | None = None) -> torch.Tensor:
        """How far the markers have moved along the surface.

        Args:
            reading: of the force sensor on the same grid; its forces in newtons.
            modulus: (N,) Young's modulus of each world [Pa], which may require a gradient; the gel's own by default.

        Returns:
            (N, M, 2) [m], linear in the forces, so exactly zero without contact.

        Raises:
            ValueError: the reading is of another grid or dtype, or has no unit.
        """
        if reading.pressure is None:
            raise ValueError(
                "markers need forces in newtons, and TacSL's law has no unit; use a gel such as WinklerGel.from_layer"
            )
        worlds, count = reading.normal.shape
        if count != self.grid.count or reading.normal.dtype != self.dtype:
            raise ValueError(
                f"the reading has {count} taxels in {reading.normal.dtype}, the markers need {self.grid.count} in "
                f"{self.dtype}; make both from the same grid and dtype"
            )
        if modulus is not None and (modulus.shape != (worlds,) or modulus.dtype != self.dtype):
            raise ValueError(f"modulus must be {self.dtype} ({worlds},), not {modulus.dtype} {tuple(modulus.shape)}")
        unit = _Product.apply(self.influence, reading.field().flatten(1))
        stiffness = self.modulus if modulus is None else modulus[:, None]
        return (unit / stiffness).unflatten(1, (-1, 2))

    def positions(self, reading: TactileReading, modulus: torch.Tensor | None = None) -> torch.Tensor:
        """Where the markers are along the surface (N, M, 2) [m]; arguments as of `displacement`."""
        return self.points + self.displacement(reading, modulus)

    @staticmethod
    def pixels(positions: torch.Tensor, pixel: float, shape: tuple[int, int]) -> torch.Tensor:
        """Places (..., 2) [m] in an image (H, W) of `pixel` metres per pixel that looks at the gel's middle.

        Returns:
            (..., 2) column and row of the image [pixels], with the first pixel's middle at 0; rows grow with y, as
            those of the taxels.
        """
        if not (math.isfinite(pixel) and pixel > 0.0):
            raise ValueError(f"pixel = {pixel!r} must be positive [m], such as 6.5e-5 of a GelSight Mini")
        middle = constant((0.5 * (shape[1] - 1), 0.5 * (shape[0] - 1)), positions.dtype, positions.device)
        return positions / pixel + middle


def draw_markers(
    pixels: torch.Tensor, shape: tuple[int, int], radius: float = 4.0, softness: float = 1.5
) -> torch.Tensor:
    """Cover of an image by markers: soft discs, differentiable in their places. Multiply an image by 1 - cover.

    Args:
        pixels: (N, M, 2) column and row of the middles; those outside the image are cut or left out.
        shape: (H, W) of the image.
        radius: of a disc, where the cover is one half [pixels].
        softness: width of the edge, from cover 1 to 0 [pixels], below `radius`.

    Returns:
        (N, H, W) from 0 to 1. Discs that overlap add up to 1 at most.

    Raises:
        ValueError: an argument is out of range.
    """
    if pixels.dim() != 3 or pixels.shape[2] != 2:
        raise ValueError(f"pixels must be (N, M, 2), column and row, not {tuple(pixels.shape)}")
    if not 0.0 < softness < radius:
        raise ValueError(f"softness = {softness!r} must lie between 0 and the radius {radius!r} [pixels]")
    height, width = shape
    reach = math.ceil(math.sqrt(radius * (radius + softness)) + 0.5)
    window = torch.arange(-reach, reach + 1, device=pixels.device)
    middle = pixels.detach().round().long()  # the window follows the marker; its shape does not depend on it
    columns = middle[..., 0, None] + window  # (N, M, K)
    rows = middle[..., 1, None] + window
    dx2 = (columns - pixels[..., 0, None]).square()
    dy2 = (rows - pixels[..., 1, None]).square()
    squared = dy2[..., :, None] + dx2[..., None, :]
    # (r^2 - d^2) / (2 r) is r - d near the edge, without a root whose derivative fails in the middle
    edge = (0.5 + (radius * radius - squared) / (2.0 * radius * softness)).clamp(0.0, 1.0)
    cover = edge * edge * (3.0 - 2.0 * edge)
    inside = ((rows >= 0) & (rows < height))[..., :, None] & ((columns >= 0) & (columns < width))[..., None, :]
    where = rows.clamp(0, height - 1)[..., :, None] * width + columns.clamp(0, width - 1)[..., None, :]
    flat = pixels.new_zeros((pixels.shape[0], height * width))
    flat = flat.scatter_add(1, where.flatten(1), (cover * inside).flatten(1))
    return flat.clamp(max=1.0).unflatten(1, (height, width))
