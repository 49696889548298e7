# SPDX-License-Identifier: Apache-2.0
"""Grids of a multigrid cycle, from the finest to one of a few cells, and where their numbers lie."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import warp as wp

from simenv.physics.launch.slots import Launch, Memory, Slot

__all__ = ["COARSEST", "Grid", "Levels", "View", "plain"]

COARSEST = 4  # cells along an axis that are not made fewer


@dataclass(frozen=True)
class Grid:
    """Cells of a staggered grid.

    Attributes:
        shape: cells along x, y and z.
        periodic: which axes have no walls; these need an even number of cells.

    Raises:
        ValueError: a periodic axis has an odd number of cells, of which the two colours of a sweep cannot be made.
    """

    shape: tuple[int, int, int]
    periodic: tuple[bool, bool, bool] = (False, False, False)

    def __post_init__(self) -> None:
        for axis, count, around in zip("xyz", self.shape, self.periodic, strict=True):
            if around and count % 2:
                raise ValueError(f"the periodic axis {axis} has {count} cells; give it an even number")

    def faces(self, axis: int) -> tuple[int, int, int]:
        """Of the faces across an axis: one more than cells, or on a periodic one as many."""
        n = list(self.shape)
        n[axis] += not self.periodic[axis]
        return (n[0], n[1], n[2])

    def coarser(self) -> tuple[Grid, tuple[int, int, int]] | None:
        """The next coarser grid, and by how much along each axis; None if there is none."""
        factor = [1, 1, 1]
        for axis, (count, around) in enumerate(zip(self.shape, self.periodic, strict=True)):
            if count > COARSEST and not (around and count % 4):
                factor[axis] = 2
        if factor == [1, 1, 1]:
            return None
        nx, ny, nz = (-(-count // by) for count, by in zip(self.shape, factor, strict=True))
        return Grid((nx, ny, nz), self.periodic), (factor[0], factor[1], factor[2])


class View:
    """An array of other shape over the memory of a slot, or of its adjoint, where a launch has a slot."""

    adjoint_array = None

    def __init__(self, of: Callable[[], torch.Tensor], kind: type):
        self._of, self._kind = of, kind

    @property
    def array(self) -> wp.array:
        """The Warp array, once the slot has memory."""
        return wp.from_torch(self._of(), dtype=self._kind, requires_grad=False)


class Levels:
    """All levels of a grid in the same arrays, one after another.

    Args:
        grid: the finest; real: scalar type; struct: of `level_functions`; memory: makes slots.

    Attributes:
        grids: of the levels.
        right, found: right-hand side and solution of all levels (N, numbers).
    """

    def __init__(self, grid: Grid, real: type, struct: Any, memory: Memory):
        self.memory, self.real, self._struct = memory, real, struct
        self.grids: list[Grid] = [grid]
        factors: list[tuple[int, int, int]] = []
        while (coarser := self.grids[-1].coarser()) is not None:
            self.grids.append(coarser[0])
            factors.append(coarser[1])
        faces = [[each.faces(axis) for axis in range(3)] for each in self.grids]
        sizes = np.array([[math.prod(face) for face in each] for each in faces])
        cells = np.array([math.prod(each.shape) for each in self.grids])
        lines = np.array([each.shape[0] * each.shape[1] for each in self.grids])
        counts = [[face[axis] for axis, face in enumerate(each)] for each in faces]
        starts = np.cumsum(sizes, 0) - sizes
        tables = {
            "n": ([each.shape for each in self.grids], wp.vec3i), "f": (counts, wp.vec3i),
            "cell": (np.cumsum(cells) - cells, int), "face": (starts, wp.vec3i),
            "factor": ([*factors, (1, 1, 1)], wp.vec3i), "line": (np.cumsum(lines) - lines, int),
        }  # fmt: skip
        self._arrays = {
            name: wp.array(np.asarray(values, dtype=np.int32), dtype=kind, device=memory.wp_device)
            for name, (values, kind) in tables.items()
        }
        x, y, z = (int(total) for total in sizes.sum(0))
        self._weights = [self.slot(count) for count in (x, y, z)]
        total = int(cells.sum())
        self._shift, self._inverse, self.right, self.found = (self.slot(total) for _ in range(4))
        self._ends = [memory.slot(wp.int32, int(lines.sum()), differentiable=False) for _ in range(2)]

    def slot(self, *shape: int) -> Slot:
        """A slot of numbers that is no part of the reverse sweep."""
        return self.memory.slot(self.real, *shape, differentiable=False)

    def weight(self, axis: int) -> View:
        """Weights of the finest level's faces across an axis, (N, faces)."""
        return self._finest(self._weights[axis], self.grids[0].faces(axis))

    @property
    def shift(self) -> View:
        """What is added to the finest level's diagonal (N, nx, ny, nz)."""
        return self._finest(self._shift, self.grids[0].shape)

    @property
    def inverse(self) -> View:
        """Of the finest level's diagonal; zero in cells that have no equation (N, nx, ny, nz)."""
        return self._finest(self._inverse, self.grids[0].shape)

    def flat_weight(self, axis: int) -> Slot:
        """Weights of all levels' faces across an axis, the finest's first, (N, faces)."""
        return self._weights[axis]

    @property
    def flat_shift(self) -> Slot:
        """What is added to all levels' diagonals, the finest's first, (N, cells)."""
        return self._shift

    @property
    def tables(self) -> list[wp.array]:
        """What kernels read of the levels' shapes: cells and faces along each axis, where a level's cells, its faces
        and its rows along z start, and by how much it is finer than the next; for one who solves in a part of the grid
        only.
        """
        return [self._arrays[name] for name in ("n", "f", "cell", "face", "factor", "line")]

    def _finest(self, slot: Slot, shape: Sequence[int]) -> View:
        return View(lambda: slot.tensor[:, : math.prod(shape)].unflatten(1, tuple(shape)), self.real)

    @property
    def array(self) -> Any:
        """The struct that kernels read, once slots have memory."""
        made = self._struct()
        for name, values in self._arrays.items():
            setattr(made, name, values)
        made.x, made.y, made.z = (each.array for each in self._weights)
        made.shift, made.inverse = self._shift.array, self._inverse.array
        made.low, made.high = (each.array for each in self._ends)
        return made

    adjoint_array = None


def plain(
    kernel: wp.Kernel, dim: tuple[int, ...], constants: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any]
) -> Launch:  # fmt: skip
    """A launch without a part in the reverse sweep."""
    return Launch(kernel, dim, constants, inputs, outputs, differentiable=False)
