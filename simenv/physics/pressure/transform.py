# SPDX-License-Identifier: Apache-2.0
"""The pressure equation of boxes that nothing stands in, solved at once in the eigenvectors of the three axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import warp as wp

from simenv.physics.direct import warp_real
from simenv.physics.launch.slots import Launch, Memory, Slot
from simenv.physics.pressure.kernels_transform import COLUMNS, transform_kernels
from simenv.physics.pressure.levels import Grid, View, plain

__all__ = ["TransformSolver", "line_matrix"]


def line_matrix(count: int, periodic: bool, held: tuple[bool, bool]) -> np.ndarray:
    """The equation's matrix of a line of cells, (count, count).

    Args:
        count: of cells.
        periodic: whether the last is beside the first.
        held: whether p is zero half a cell beyond the first and the last.
    """
    a = np.zeros((count, count))
    for i in range(count if periodic else count - 1):
        j = (i + 1) % count
        for row, column, value in ((i, i, 1.0), (j, j, 1.0), (i, j, -1.0), (j, i, -1.0)):
            a[row, column] += value
    for end, is_held in zip((0, -1), held, strict=True):
        a[end, end] += 2.0 * is_held
    return a


class TransformSolver:
    """Solves A p = b where all faces are open: (A p)_i is the sum over faces of p_i - p_neighbour, nothing at closed
    sides, and 2 p_i at those half a cell beyond which p is zero. There are no iterations; for each cell there are four
    operations for each cell of its rows along the axes, in double precision.

    Args:
        grid: of cells; held: which of the sides x-, x+, y-, y+, z-, z+ hold p at zero; tolerance: of |b|, below which
            nothing is done; memory: makes slots.

    Attributes:
        done: 1 in worlds whose solution is finite (N,).
        inverse: of the equation's diagonal, as `PressureSolver.levels` has it: here 1, as all cells have an equation
            (N, nx, ny, nz); the caller fills it.

    References:
        Lynch, Rice, Thomas 1964, Direct solution of partial difference equations by tensor product methods, Numerische
        Mathematik 6; with closed sides the eigenvectors are those of the cosine transform.
    """

    def __init__(self, grid: Grid, held: Sequence[bool], tolerance: float, memory: Memory):
        self._tolerance = tolerance
        real, self._memory, self._shape = warp_real(memory.dtype), memory, wp.vec3i(*grid.shape)
        self._kernels, self._real = transform_kernels(real), real
        self._size = grid.shape
        bases, values = [], []
        for axis, count in enumerate(grid.shape):
            ends = (bool(held[2 * axis]), bool(held[2 * axis + 1]))
            eigenvalues, basis = np.linalg.eigh(line_matrix(count, grid.periodic[axis], ends))
            values.append(eigenvalues)
            bases.append(basis)

        def array(numbers: np.ndarray) -> wp.array:
            return wp.array(np.ascontiguousarray(numbers).ravel(), dtype=wp.float64, device=memory.wp_device)

        self._bases, self._turned = [array(each) for each in bases], [array(each.T) for each in bases]
        total = values[0][:, None, None] + values[1][:, None] + values[2]
        free = total < 1e-9  # the mean, of a box that is closed: zero
        self._inverse = array(np.where(free, 0.0, 1.0 / np.where(free, 1.0, total)))
        self._spare, self._found = (memory.slot(wp.float64, *grid.shape, differentiable=False) for _ in range(2))
        self._most = memory.slot(real, grid.shape[0], differentiable=False)
        self._whole = memory.slot(wp.int32, grid.shape[0], differentiable=False)
        self.done = memory.slot(wp.int32, differentiable=False)
        self.inverse = memory.slot(real, *grid.shape, differentiable=False)

    def solve(
        self, b: Any, scale: Slot, p: Any, adjoint: bool = False, slack: float = 1.0
    ) -> list[Launch]:  # fmt: skip
        """Launches that find p.

        Args:
            b: right-hand side (N, nx, ny, nz), whose mean is left out where no side holds p.
            scale: of what is left (N,): where |b| is at most this times the tolerance, p is zero.
            p: the solution, with mean zero where no side holds it.
            slack: factor on the tolerance.
            adjoint: whether it is the adjoint of b, a slot, that is the right-hand side.
        """
        k, (nx, ny, nz), worlds = self._kernels, self._size, self._memory.worlds

        def flat(slot: Any, kind: type, of_adjoint: bool = False) -> View:
            return View(lambda: (slot.adjoint if of_adjoint else slot.tensor).view(-1), kind)

        (x, y, z), (xt, yt, zt) = self._bases, self._turned
        spare, found, slabs = flat(self._spare, wp.float64), flat(self._found, wp.float64), (worlds, nx)
        right, p = flat(b, self._real, adjoint), flat(p, self._real)
        columns = (worlds, -(-(ny * nz) // COLUMNS))
        return [
            plain(k.into_slabs, slabs, [self._shape, y, z], [right], [spare, found, self._most]),
            plain(k.along, columns, [self._shape, x, xt, self._inverse], [], [spare, found]),
            plain(
                k.out_of_slabs,
                slabs,
                [self._shape, slack * self._tolerance, y, yt, zt],
                [self._most, scale],
                [found, spare, p, self._whole],
            ),
            plain(k.end, (worlds,), [], [self._whole], [self.done]),
        ]
