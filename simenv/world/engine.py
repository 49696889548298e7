# SPDX-License-Identifier: Apache-2.0
"""Runs the MPM solver for all worlds of a batch, on CPU threads or as one CUDA graph, and makes the step a torch
function.

A CPU solver holds one world, whose buffers stay in the caches of its core; each thread has a solver and takes the
worlds in turn. A world with many particles is cut into lanes, by a rule that looks at the particles only, so that a
world's numbers do not depend on the number of threads or of worlds. Backward re-simulates the step from its entering
state, keeping the substeps, and then sweeps back: memory grows with control steps, by one entering state each, and not
with substeps.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from simenv._threads import get_num_threads
from simenv.physics.mpm.buffers import STATE_FIELDS
from simenv.physics.mpm.model import MPMModel
from simenv.physics.mpm.rigid import RIGID_FIELDS
from simenv.physics.mpm.solver import INPUT_FIELDS, MPMSolver

PARTICLES_PER_LANE = 50_000
MAX_LANES = 8
MOVING_FIELDS = (*STATE_FIELDS, *RIGID_FIELDS)  # what a step changes; rigid bodies' are empty in a scene without
RESULT_FIELDS = (*MOVING_FIELDS, "force", "torque", "touch", "status")


def lane_count(model: MPMModel, device: torch.device) -> int:
    """Number of lanes of a world."""
    if device.type == "cuda" or model.is_periodic or model.rigids or model.taxel_count:
        return 1
    return min(max(model.particle_count // PARTICLES_PER_LANE, 1), MAX_LANES)


class Engine:
    """Steps N worlds with as many solvers as the device can use.

    Args:
        model: the scene; worlds: N; device, dtype: of the tensors.
    """

    def __init__(self, model: MPMModel, worlds: int, device: torch.device, dtype: torch.dtype):
        self.model, self.worlds, self.device, self.dtype = model, worlds, device, dtype
        self.lanes = lane_count(model, device)
        self._solvers: list[MPMSolver] = []
        self._pool: ThreadPoolExecutor | None = None
        self._pool_size = 0

    def close(self) -> None:
        """Stop the threads and let go of the buffers."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        self._solvers.clear()

    def solver(self, index: int = 0) -> MPMSolver:
        """Solver number `index`, made when first asked for."""
        while len(self._solvers) <= index:
            batch = self.worlds if self.device.type == "cuda" else 1
            self._solvers.append(MPMSolver(self.model, batch, self.device, self.dtype, self.lanes))
        return self._solvers[index]

    def _workers(self) -> int:
        threads = get_num_threads() if self.device.type == "cpu" else 1
        if self._pool_size != threads:
            if self._pool is not None:
                self._pool.shutdown()
            self._pool = ThreadPoolExecutor(threads, thread_name_prefix="simenv") if threads > 1 else None
            self._pool_size = threads
        return threads

    def _each_world(self, work: Callable[[MPMSolver, slice, ThreadPoolExecutor | None], None], gradient: bool) -> None:
        """Call `work(solver, rows, pool for lanes)` for every world, or once for all on CUDA."""
        threads = self._workers()
        if self.device.type == "cuda":
            work(self.solver(), slice(None), None)
            return
        if self._pool is None or self.worlds == 1:
            lanes_pool = self._pool if self.lanes > 1 and threads >= self.lanes else None
            for world in range(self.worlds):
                work(self.solver(), slice(world, world + 1), lanes_pool)
            return
        count = min(threads, self.worlds)
        for index in range(count):
            self.solver(index).prepare(gradient)  # compile and record on this thread

        def share(index: int) -> None:
            for world in range(index, self.worlds, count):
                work(self.solver(index), slice(world, world + 1), None)

        for future in [self._pool.submit(share, index) for index in range(count)]:
            future.result()

    def prepare(self, gradient: bool) -> None:
        """Compile kernels, allocate buffers and record launches now instead of in the first step."""
        self.solver().prepare(False)
        if gradient:
            self.solver().prepare(True)

    def forward(self, active: torch.Tensor, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """One control step of all worlds; returns new tensors, `RESULT_FIELDS`."""
        tensors = _detached(tensors)
        colliders = len(self.model.colliders)
        out = {name: torch.empty_like(tensors[name]) for name in MOVING_FIELDS}
        for name in ("force", "torque"):
            out[name] = active.new_empty((self.worlds, colliders, 3), dtype=self.dtype)
        out["touch"] = active.new_empty((self.worlds, self.model.taxel_count, 3), dtype=self.dtype)
        out["status"] = active.new_empty((self.worlds,), dtype=torch.int32)

        def work(solver: MPMSolver, rows: slice, pool: ThreadPoolExecutor | None) -> None:
            mine = {name: tensor[rows] for name, tensor in tensors.items() if tensor.numel()}
            solver.load(mine, active[rows], mine)
            solver.forward(False, pool)
            for name, value in solver.result().items():
                target = out[name][rows]
                if target.shape == value.shape:
                    target.copy_(value)

        self._each_world(work, gradient=False)
        return out

    def backward(
        self, active: torch.Tensor, tensors: dict[str, torch.Tensor], adjoints: dict[str, torch.Tensor | None]
    ) -> dict[str, torch.Tensor]:
        """Adjoints of `tensors` (entering state and inputs) from those of the results."""
        tensors = _detached(tensors)
        out = {name: torch.zeros_like(tensors[name]) for name in (*MOVING_FIELDS, *INPUT_FIELDS)}

        def work(solver: MPMSolver, rows: slice, pool: ThreadPoolExecutor | None) -> None:
            mine = {name: tensor[rows] for name, tensor in tensors.items() if tensor.numel()}
            solver.load(mine, active[rows], mine)
            solver.forward(True, pool)
            solver.backward({name: value[rows] for name, value in adjoints.items() if value is not None}, pool)
            for name, value in solver.gradients().items():
                target = out[name][rows]
                if target.shape == value.shape:
                    target.copy_(value)

        self._each_world(work, gradient=True)
        return out


def _detached(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    # "no gradient" is a setting of each thread, and the workers' is the default
    return {name: tensor.detach() for name, tensor in tensors.items()}


class StepFunction(torch.autograd.Function):
    """One control step as a differentiable torch function: saves the entering state and re-simulates in backward.

    A world that fails (status not zero) passes no gradient: its rows are zero in both directions.
    """

    NAMES = (*MOVING_FIELDS, *INPUT_FIELDS)

    @staticmethod
    def forward(ctx: Any, engine: Engine, active: torch.Tensor, scale: torch.Tensor, *values: torch.Tensor):
        """The step; `values` are the tensors of `NAMES`, the results those of `RESULT_FIELDS`."""
        tensors = dict(zip(StepFunction.NAMES, values, strict=True))
        out = engine.forward(active, {**tensors, "scale": scale})
        ctx.engine = engine
        ctx.save_for_backward(active, scale, out["status"], *values)
        ctx.mark_non_differentiable(out["status"])
        ctx.set_materialize_grads(False)
        return tuple(out[name] for name in RESULT_FIELDS)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor | None):
        """The adjoints of the arguments of `forward`, from those of its results."""
        active, scale, status, *values = ctx.saved_tensors
        good = status == 0
        adjoints = {
            name: _masked(grad, good) for name, grad in zip(RESULT_FIELDS, grads, strict=True) if name != "status"
        }
        tensors = dict(zip(StepFunction.NAMES, values, strict=True))
        out = ctx.engine.backward(active, {**tensors, "scale": scale}, adjoints)
        return None, None, None, *(_masked(out[name], good) for name in StepFunction.NAMES)


def _masked(tensor: torch.Tensor | None, rows: torch.Tensor) -> torch.Tensor | None:
    if tensor is None:
        return None
    return torch.where(rows.view(-1, *[1] * (tensor.dim() - 1)), tensor, tensor.new_zeros(()))
