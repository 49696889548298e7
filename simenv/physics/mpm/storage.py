# SPDX-License-Identifier: Apache-2.0
"""Where a solver keeps its grids, and which nodes a substep touches: dense, or in blocks.

Both answer the same questions: how many nodes a grid holds, how to find what the particles touch in a substep, how to
clear that, and how many threads of the grid kernels are a lane's share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
import warp as wp

from simenv.physics.device import on_cuda
from simenv.physics.mpm.blocks import BLOCK, BLOCK_NODES, SPARE, BlockLayout
from simenv.physics.mpm.kernels_blocks import block_kernels
from simenv.physics.mpm.model import MPMModel

Launches = list[Callable[[], None]]
_PARTICLES = 256  # of one thread of the bounds kernel
_MOST_NODES = 2**31 - 1  # that the kernels' indices can count


@dataclass(frozen=True)
class Workspace:
    """What a solver lends: its arrays and tensors by name, its grid, and how to make more.

    Attributes:
        model: the scene; worlds: number of worlds S; real: Warp's scalar type; device: Warp's device; grid: the struct
            of grid constants; tensors, arrays: torch tensors, and the Warp arrays that share their memory; new: makes
            one of each, ``new(key, type's name, *shape)``; launch: records ``launch(kernel, dim, inputs, outputs)``.
    """

    model: MPMModel
    worlds: int
    real: type
    device: object
    grid: Any
    tensors: dict[str, torch.Tensor]
    arrays: dict[str, wp.array]
    new: Callable[..., torch.Tensor]
    launch: Callable[..., Callable[[], None]]


def share(lane: int, lanes: int, total: int) -> tuple[int, int]:
    """(start, count) of a lane's share of `total` items."""
    start = lane * total // lanes
    return start, (lane + 1) * total // lanes - start


def check_size(model: MPMModel, worlds: int, lanes: int) -> None:
    """Raise ValueError if the grids of all worlds hold more nodes than an index can count."""
    nodes = max(worlds, lanes) * model.cells
    if nodes <= _MOST_NODES:
        return
    remedy = "use a coarser dx, a smaller box, fewer worlds, or grid='sparse'"
    if model.is_sparse:
        remedy = f"use at most {_MOST_NODES // (worlds * BLOCK_NODES) - SPARE} blocks, or fewer worlds"
    raise ValueError(f"the grids of {worlds} worlds have {nodes} nodes, the limit is {_MOST_NODES}; {remedy}")


def _integers(device: torch.device, *shape: int) -> tuple[torch.Tensor, wp.array]:
    tensor = torch.zeros(shape, dtype=torch.int32, device=device)
    return tensor, wp.from_torch(tensor.view(-1), dtype=wp.int32)


class DenseStorage:
    """Every node of the box has a place; on the CPU a box around the particles of a lane says what they touch.

    Args:
        solver: what the solver lends; device: of its tensors; lanes: their number; transfer: the transfer kernels.

    Attributes:
        chunk: consecutive nodes of a part, of which a thread of the grid kernels has `parts`.
        kernels: those to load before a graph is captured.
    """

    def __init__(self, solver: Workspace, device: torch.device, lanes: int, transfer: SimpleNamespace):
        self._solver, self._lanes, self._transfer = solver, lanes, transfer
        self.kernels = SimpleNamespace()
        model: MPMModel = solver.model
        on_cpu = not on_cuda(device)
        self.chunk, self.parts = model.shape[2:0:-1] if on_cpu else (1, 1)
        self._tracks = on_cpu and not model.is_periodic
        self._tensor, self._array = _integers(device, model.substeps, lanes, 6)
        solver.tensors["bounds"] = self._tensor
        empty, full = [*model.shape, 0, 0, 0], [0, 0, 0, *(n - 1 for n in model.shape)]
        self._start = torch.tensor(empty if self._tracks else full, dtype=torch.int32, device=device)

    def begin(self) -> None:
        """Forget the substeps of the last control step."""
        self._tensor.copy_(self._start.expand_as(self._tensor))

    def bounds(self, k: int) -> wp.array:
        """What the lanes touch in substep k: first and last node, (lanes, 6)."""
        return self._array[k * self._lanes * 6 : (k + 1) * self._lanes * 6]

    def find(self, k: int, lane: int, x: wp.array, start: int, count: int) -> Launches:
        """Find what a lane's `count` particles at `x`, from number `start`, touch in substep k."""
        if not self._tracks:
            return []
        inputs = [self._solver.grid, self._solver.arrays["active"], x, start, count, _PARTICLES, lane]
        return [self._solver.launch(self._transfer.bounds, -(-count // _PARTICLES), inputs, [self.bounds(k)])]

    def find_again(self, k: int, lane: int, x: wp.array, start: int, count: int) -> Launches:
        """The same in the reverse sweep, where the forward sweep's finding is still known."""
        return []

    def clear(self, k: int, lane: int, values: wp.array) -> Callable[[], None]:
        """Set to zero what a lane touches in substep k."""
        inputs = [self._solver.grid, self.bounds(k), lane, self.chunk, self.parts]
        return self._solver.launch(self._transfer.clear, self._threads(), inputs, [values])

    def _threads(self) -> int:
        return self._solver.worlds * self._solver.model.cells // (self.chunk * self.parts)

    def threads(self, lane: int) -> int:
        """Number of a lane's threads: it has numbers `lane`, `lane` + lanes, and so on."""
        return -(-(self._threads() - lane) // self._lanes)


class BlockStorage:
    """Only touched blocks have a place (`blocks.py`); they are found anew in each substep, in both sweeps.

    The interface is that of `DenseStorage`; there is one lane. This completes ``solver.grid``.
    """

    def __init__(self, solver: Workspace, device: torch.device):
        model, S = solver.model, solver.worlds
        self._solver = solver
        self.kernels = block_kernels(solver.real, on_cuda(device))
        self.chunk, self.parts = (1, 1) if on_cuda(device) else (BLOCK, BLOCK_NODES // BLOCK)
        self._layout = layout = BlockLayout.of(model.shape)
        self._arrays = {}
        for name, size in self.sizes(model, S).items():
            solver.tensors[f"blocks_{name}"], self._arrays[name] = _integers(device, size)
        table = solver.grid.table
        table.capacity, table.columns_y, table.row_words = model.blocks, layout.columns[1], layout.row_words
        table.words, table.groups, table.supers = layout.words, layout.groups, layout.supers
        for name in ("marks", "before", "block", "count"):
            setattr(table, name, self._arrays[name])
        self._table = table
        self._unused = _integers(device, 6)[1]

    @staticmethod
    def sizes(model: MPMModel, worlds: int) -> dict[str, int]:
        """Integers in each table."""
        layout = BlockLayout.of(model.shape)
        each = {
            "marks": layout.words, "before": layout.words, "block": model.blocks, "count": 1,
            "marked": layout.groups, "sums": layout.groups, "supers": layout.supers,
        }  # fmt: skip
        return {name: worlds * count for name, count in each.items()}

    def begin(self) -> None:
        """Nothing to do: each substep forgets the one before it."""

    def bounds(self, k: int) -> wp.array:
        """An array that the kernels of a sparse grid do not read."""
        return self._unused

    def find(self, k: int, lane: int, x: wp.array, start: int, count: int) -> Launches:
        """Mark and number the blocks that the first `count` particles at `x`, those of all worlds, touch."""
        b, solver, launch = self._arrays, self._solver, self._solver.launch
        P, every = solver.model.particle_count, solver.worlds * self._layout.groups
        marking = [solver.grid, solver.arrays["active"], P, x]
        counts = [b["sums"], b["supers"]]
        return [
            launch(self.kernels.forget, every, [self._table], [b["marks"], b["marked"], b["supers"], b["count"]]),
            launch(self.kernels.mark, count, marking, [b["marks"], b["marked"]]),
            launch(self.kernels.count, every, [self._table, b["marked"]], [*counts, b["count"]]),
            launch(
                self.kernels.number, every, [self._table, b["marked"], *counts],
                [b["before"], b["block"], solver.arrays["status"]],
            ),
        ]  # fmt: skip

    def find_again(self, k: int, lane: int, x: wp.array, start: int, count: int) -> Launches:
        """The same in the reverse sweep: slots follow from the positions, so that each block is where it was."""
        return self.find(k, lane, x, start, count)

    def clear(self, k: int, lane: int, values: wp.array) -> Callable[[], None]:
        """Set to zero the blocks found last."""
        inputs = [self._solver.grid, self.chunk * self.parts]
        return self._solver.launch(self.kernels.clear, self.threads(0), inputs, [values])

    def threads(self, lane: int) -> int:
        """Number of threads for all slots; there is one lane."""
        return self._solver.worlds * self._solver.model.blocks * (BLOCK_NODES // (self.chunk * self.parts))
