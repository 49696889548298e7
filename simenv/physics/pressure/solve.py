# SPDX-License-Identifier: Apache-2.0
"""The pressure equation of many worlds: conjugate gradients, each direction of a multigrid cycle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import warp as wp

from simenv.physics.direct import warp_real
from simenv.physics.launch.slots import Launch, Memory, Slot
from simenv.physics.pressure.kernels_pockets import POCKETS
from simenv.physics.pressure.kernels_whole import whole_kernels
from simenv.physics.pressure.levels import Grid, Levels, View, plain

__all__ = ["Accuracy", "PressureSolver"]


@dataclass(frozen=True)
class Accuracy:
    """When a solve ends.

    Attributes:
        tolerance: largest |b - A p|, of the scale that the caller gives; rounding: the same, of the largest |p|, for
            those whose p may be so large that A p is not known better.
        iterations: at most.
        sweeps: of Gauss-Seidel before and after the coarser levels; last: on the coarsest.
    """

    tolerance: float
    iterations: int = 20
    sweeps: int = 2
    last: int = 10
    rounding: float = 0.0


class PressureSolver:
    """Solves A p = b, (A p)_i = s_i p_i + sum over faces of w_f (p_i - p_neighbour), in all worlds.

    Args:
        grid: of cells; accuracy: when it ends; memory: makes slots; roomy: sum of a cell's weights from which on it
            bears its part of what makes the right-hand side of a sealed pocket sum to zero, if any of the pocket does;
            0: all bear it.

    Attributes:
        levels: the weights w of faces and the shift s of cells, `Levels.weight` and `Levels.shift`, which the caller
            writes; weights of walls are zero.
        pockets: the sealed pocket that each cell is in, -1 for none (N, cells).
        done: 1 in worlds that ended in time (N,); left: largest |b - A p| and the scale it is compared with (N, 2);
            spent: iterations (N,).

    References:
        McAdams, Sifakis, Teran 2010, A parallel multigrid Poisson solver for fluids simulation on large grids, SCA.
    """

    def __init__(self, grid: Grid, accuracy: Accuracy, memory: Memory, roomy: float = 0.0):
        self._roomy = roomy
        real = warp_real(memory.dtype)
        self._kernels, self.accuracy, self._memory = whole_kernels(real), accuracy, memory
        self.levels = levels = Levels(grid, real, self._kernels.Levels, memory)
        nx, cells = grid.shape[0], grid.shape[0] * grid.shape[1] * grid.shape[2]

        def whole(*shape: int) -> Slot:
            return memory.slot(wp.int32, *shape, differentiable=False)

        self.done, self.spent, self.left = whole(), whole(), levels.slot(2)
        self.pockets, self._labels, self._counts = whole(cells), whole(cells), whole(nx)
        self._d, self._ad = levels.slot(cells), levels.slot(cells)
        self._sums, self._aligned = levels.slot(nx, 4), levels.slot(2)
        self._parts, self._mean = levels.slot(nx, POCKETS, 2), levels.slot(POCKETS)

    @property
    def slabs(self) -> list[Slot]:
        """Sums of slabs along x, of equations and of pockets, zero where there are none."""
        return [self._sums, self._parts]

    def build(self) -> list[Launch]:
        """Launches that prepare for the weights and the shift as they are."""
        outputs = [self.levels, self._counts, self._labels, self.pockets]
        return [plain(self._kernels.prepare, (self._memory.worlds,), [], [], outputs)]

    def solve(self, b: Any, scale: Slot, p: Any, adjoint: bool = False, slack: float = 1.0) -> list[Launch]:
        """Launches that find p.

        Args:
            b: right-hand side (N, nx, ny, nz), which is made to sum to zero in each sealed pocket.
            scale: of what is left (N,); zero is the largest |b|.
            p: the solution, with mean zero in each sealed pocket; of an adjoint, in its roomy cells.
            slack: factor on the tolerance.
            adjoint: whether it is the adjoint of b, a slot, that is the right-hand side.
        """
        levels, a = self.levels, self.accuracy
        right = View(lambda: (b.adjoint if adjoint else b.tensor).flatten(1), levels.real)
        found = View(lambda: p.tensor.flatten(1), levels.real)
        constants = [slack * a.tolerance, a.rounding, a.iterations, a.sweeps, a.last, self._roomy, int(adjoint)]
        outputs = [right, found, self.done, self.left, self.spent, levels.right, levels.found, self._d, self._ad]
        outputs += [self._sums, self._aligned, self._parts, self._mean]
        inputs = [levels, self.pockets, self._counts, scale]
        return [plain(self._kernels.solve, (self._memory.worlds,), constants, inputs, outputs)]
