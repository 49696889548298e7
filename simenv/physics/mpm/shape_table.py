# SPDX-License-Identifier: Apache-2.0
"""The shapes of colliders: once for all worlds of a stepper, of which each has those of its layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import warp as wp

from simenv.geometry.distance import distance_functions, pack_shapes
from simenv.geometry.shapes import Shape, Sphere
from simenv.physics.launch.capture import launch
from simenv.physics.mpm.kernels_shapes import shapes_kernels
from simenv.physics.mpm.model import ColliderSpec

__all__ = ["ShapeTable"]

_FAR = 1e9  # stands for an infinite bound, and for where a shape is that a world does not hold [m]


class ShapeTable:
    """Shapes and their bounds, by collider and variant.

    Args:
        specs: of the colliders; worlds: S; real: Warp's scalar; vec3: Warp's vector; device: Warp's device.
        least: least spacing of the distance volumes of meshes [m].

    Attributes:
        shape, lower, upper: of each world and collider, (S Cl,); values: of the volumes of all shapes.
        varies: whether any collider has variants.
    """

    def __init__(
        self, specs: Sequence[ColliderSpec], worlds: int, real: type, vec3: type, device: wp.Device, least: float = 0.0
    ):  # fmt: skip
        self._count, self._worlds, self._device = max(len(specs), 1), worlds, device
        variants = [spec.variants or (spec.shape,) for spec in specs]
        every = [shape for shapes in variants for shape in shapes]
        structs, self.values = _packed(every, real, device, least)
        bounds = np.stack([_bounds(shape) for shape in every] or [np.zeros((2, 3))])
        self._first = np.cumsum([0, *(len(shapes) for shapes in variants)], dtype=np.int32)[: self._count]
        self.varies = any(len(shapes) > 1 for shapes in variants)
        Struct = distance_functions(real).Shape
        rows = np.tile(self._first, worlds)

        def array(values: Any, kind: type) -> wp.array:
            return wp.array(values, dtype=kind, device=device)

        self.shape = array([structs[row] for row in rows], Struct)
        self.lower, self.upper = array(bounds[rows, 0], vec3), array(bounds[rows, 1], vec3)
        if self.varies:
            self._table = [array(structs, Struct), array(bounds[:, 0], vec3), array(bounds[:, 1], vec3)]
            self._starts = array(self._first, wp.int32)
            self._kernel = shapes_kernels(real).choose

    def choose(self, variant: torch.Tensor) -> None:
        """Let each world hold a variant (S, Cl) int32 of each collider."""
        if self.varies:
            chosen = wp.from_torch(variant.contiguous().view(-1), dtype=wp.int32)
            inputs, outputs = [self._count, self._starts, *self._table, chosen], [self.shape, self.lower, self.upper]
            launch(self._kernel, self._worlds * self._count, inputs, outputs, device=self._device)


def _packed(shapes: Sequence[Shape | None], real: type, device: wp.Device, least: float) -> tuple[list, wp.array]:
    solid = [Sphere(1.0) if shape is None else shape for shape in shapes]
    structs, values = pack_shapes(solid, real, least=least)
    return list(structs) or [distance_functions(real).Shape()], wp.array(values, dtype=real, device=device)


def _bounds(shape: Shape | None) -> np.ndarray:
    """Lower and upper corner (2, 3) [m]; far away where there is nothing, so that nothing is near it."""
    return np.full((2, 3), _FAR) if shape is None else np.clip(np.stack(shape.bounds()), -_FAR, _FAR)
