# SPDX-License-Identifier: Apache-2.0
"""Runs the MPM solver for all worlds of a batch, on CPU threads or as one CUDA graph, and makes the step a torch
function.

A CPU solver holds one world, whose buffers stay in the caches of its core; each thread has a solver and takes the
worlds in turn. A world with many particles is cut into lanes, by a rule that looks at the particles only, so that a
world's numbers do not depend on the number of threads or of worlds. Backward re-simulates the step from its entering
state, keeping the substeps, and then sweeps back: memory grows with control steps, by one entering state each, and not
with substeps.

Where the number of substeps is a choice of each world, there is a solver for each number. A CPU solver steps the worlds
that chose its number. On CUDA, where the choice stays on the device, every solver is launched with the particles of
those worlds, and its results are taken for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from simenv._threads import Workers, get_num_threads, run_together
from simenv.physics.device import on_cuda, stream_scope
from simenv.physics.mpm.buffers import STATE_FIELDS
from simenv.physics.mpm.model import MPMModel
from simenv.physics.mpm.projected import RIGID_FIELDS
from simenv.physics.mpm.solver import INPUT_FIELDS, MPMSolver

PARTICLES_PER_LANE = 50_000
MAX_LANES = 8
MOVING_FIELDS = (*STATE_FIELDS, *RIGID_FIELDS)  # what a step changes; rigid bodies' are empty in a scene without
RESULT_FIELDS = (*MOVING_FIELDS, "force", "torque", "touch", "status")
_MOTION = ("position", "rotation", "velocity", "omega")  # inputs with an axis of substeps, which is the second
# work(solver, rows of its worlds, pool for lanes, those of the rows that count or None for all)
Work = Callable[[MPMSolver, slice, ThreadPoolExecutor | None, torch.Tensor | None], None]


def lane_count(model: MPMModel, device: torch.device) -> int:
    """Number of lanes of a world."""
    if on_cuda(device) or not model.allows_lanes:
        return 1
    return min(max(model.particle_count // PARTICLES_PER_LANE, 1), MAX_LANES)


class Engine:
    """Steps N worlds with as many solvers as the device can use.

    Args:
        model: the scene; worlds: N; device, dtype: of the tensors.
        counts: numbers of substeps among which a step may choose, ascending from the model's; None: no choice.
    """

    def __init__(
        self, model: MPMModel, worlds: int, device: torch.device, dtype: torch.dtype,
        counts: Sequence[int] | None = None,
    ):  # fmt: skip
        counts = counts or [model.substeps]
        self._models = [replace(model, dt=model.dt * (model.substeps / n), substeps=n) for n in counts]
        self.model, self.worlds, self.device, self.dtype = model, worlds, device, dtype
        self.lanes = lane_count(model, device)
        self._solvers: dict[tuple[int, int], MPMSolver] = {}
        self._workers = Workers()

    def close(self) -> None:
        """Stop the threads and let go of the buffers."""
        self._workers.close()
        self._solvers.clear()

    def solver(self, index: int = 0, choice: int = 0) -> MPMSolver:
        """Solver number `index` for a number of substeps, made when first asked for."""
        if (index, choice) not in self._solvers:
            batch = self.worlds if on_cuda(self.device) else 1
            with stream_scope(self.device):  # constants are there before torch's next kernel
                solver = MPMSolver(self._models[choice], batch, self.device, self.dtype, self.lanes)
            self._solvers[index, choice] = solver
        return self._solvers[index, choice]

    def _threads(self) -> int:
        return get_num_threads() if not on_cuda(self.device) else 1

    def _lanes_run_side_by_side(self) -> bool:
        return self.worlds == 1 and 1 < self.lanes <= self._threads()

    def _each_world(self, work: Work, gradient: bool, choice: torch.Tensor | None, active: torch.Tensor) -> None:
        """Call `work` for every world, or on CUDA for every number of substeps with all worlds."""
        try:
            self._share(work, gradient, choice, active)
        except BaseException:
            self._solvers.clear()  # one of them may be half made
            raise

    def _share(self, work: Work, gradient: bool, choice: torch.Tensor | None, active: torch.Tensor) -> None:
        threads = self._threads()
        pool = self._workers.pool(threads)
        if on_cuda(self.device):
            for index in range(len(self._models)):
                work(self.solver(0, index), slice(None), None, None if choice is None else choice == index)
            return
        choices = [0] * self.worlds if choice is None else choice.tolist()
        if pool is None or self.worlds == 1:
            lanes_pool = pool if self._lanes_run_side_by_side() else None
            for world in range(self.worlds):
                work(self.solver(0, choices[world]), slice(world, world + 1), lanes_pool, None)
            return
        count = min(threads, self.worlds)
        for index in range(count):
            for world in range(index, self.worlds, count):  # compile and record on this thread
                self.solver(index, choices[world]).prepare(gradient, active=active[world : world + 1])

        def share(index: int) -> None:
            for world in range(index, self.worlds, count):
                work(self.solver(index, choices[world]), slice(world, world + 1), None, None)

        run_together(pool, [partial(share, index) for index in range(count)])

    def prepare(self, gradient: bool) -> None:
        """Compile kernels, allocate buffers and record launches now instead of in the first step."""
        for reverse in (False, True) if gradient else (False,):
            self.solver().prepare(reverse, self._lanes_run_side_by_side())

    def forward(
        self, active: torch.Tensor, tensors: dict[str, torch.Tensor], choice: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """One control step of all worlds; returns new tensors, `RESULT_FIELDS`. `choice` (N,) int64 says which of the
        numbers of substeps.
        """
        tensors = _detached(tensors)
        colliders = len(self.model.colliders)
        idle = self._any_idle(active)
        out = {name: tensors[name].clone() if idle else torch.empty_like(tensors[name]) for name in MOVING_FIELDS}
        for name in ("force", "torque"):
            out[name] = active.new_empty((self.worlds, colliders, 3), dtype=self.dtype)
        out["touch"] = active.new_empty((self.worlds, self.model.taxel_count, 3), dtype=self.dtype)
        out["status"] = active.new_empty((self.worlds,), dtype=torch.int32)

        def work(solver: MPMSolver, rows: slice, pool: ThreadPoolExecutor | None, chosen: torch.Tensor | None) -> None:
            _load(solver, rows, active, tensors, chosen)
            solver.forward(False, pool)
            _store(solver, solver.leaving(), out, rows, chosen)

        self._each_world(work, False, choice, active)
        return out

    def backward(
        self, active: torch.Tensor, tensors: dict[str, torch.Tensor], adjoints: dict[str, torch.Tensor | None],
        choice: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:  # fmt: skip
        """Adjoints of `tensors` (entering state and inputs) from those of the results."""
        tensors = _detached(tensors)
        out = {name: torch.zeros_like(tensors[name]) for name in (*MOVING_FIELDS, *INPUT_FIELDS)}
        if self._any_idle(active):  # what takes no part leaves as it came
            out |= {name: adjoints[name].clone() for name in STATE_FIELDS if adjoints.get(name) is not None}

        def work(solver: MPMSolver, rows: slice, pool: ThreadPoolExecutor | None, chosen: torch.Tensor | None) -> None:
            _load(solver, rows, active, tensors, chosen)
            solver.forward(True, pool)
            solver.backward({name: value[rows] for name, value in adjoints.items() if value is not None}, pool)
            _store(solver, solver.adjoints(), out, rows, chosen)

        self._each_world(work, True, choice, active)
        return out

    def _any_idle(self, active: torch.Tensor) -> bool:
        """Whether any particle takes no part, so that solvers leave it out; on CUDA they do not."""
        return not on_cuda(self.device) and int(active.count_nonzero()) < active.numel()


def _rows(name: str, tensor: torch.Tensor, rows: slice, substeps: int) -> torch.Tensor:
    return tensor[rows, :substeps] if name in _MOTION else tensor[rows]


def _load(
    solver: MPMSolver, rows: slice, active: torch.Tensor, tensors: Mapping[str, torch.Tensor],
    chosen: torch.Tensor | None,
) -> None:  # fmt: skip
    K = solver.model.substeps
    mine = {name: _rows(name, tensor, rows, K) for name, tensor in tensors.items() if tensor.numel()}
    solver.load(mine, active[rows] if chosen is None else active * chosen[:, None], mine)


def _store(
    solver: MPMSolver, values: Mapping[str, torch.Tensor], out: Mapping[str, torch.Tensor], rows: slice,
    chosen: torch.Tensor | None,
) -> None:  # fmt: skip
    for name, value in values.items():
        target = _rows(name, out[name], rows, value.shape[1] if name in _MOTION else 0)
        if target.shape == value.shape:
            solver.restore(name, value if chosen is None else _masked(value, chosen, target), target)


def _detached(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    # "no gradient" is a setting of each thread, and the workers' is the default
    return {name: tensor.detach() for name, tensor in tensors.items()}


class StepFunction(torch.autograd.Function):
    """One control step as a differentiable torch function: saves the entering state and re-simulates in backward.

    A world that fails (status not zero) passes no gradient: its rows are zero in both directions.
    """

    NAMES = (*MOVING_FIELDS, *INPUT_FIELDS)

    @staticmethod
    def forward(
        ctx: Any, engine: Engine, active: torch.Tensor, scale: torch.Tensor, choice: torch.Tensor | None,
        *values: torch.Tensor,
    ):  # fmt: skip
        """The step; `values` are the tensors of `NAMES`, the results those of `RESULT_FIELDS`."""
        tensors = dict(zip(StepFunction.NAMES, values, strict=True))
        out = engine.forward(active, {**tensors, "scale": scale}, choice)
        ctx.engine, ctx.choice = engine, choice
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
        out = ctx.engine.backward(active, {**tensors, "scale": scale}, adjoints, ctx.choice)
        return None, None, None, None, *(_masked(out[name], good) for name in StepFunction.NAMES)


def _masked(tensor: torch.Tensor | None, rows: torch.Tensor, other: torch.Tensor | None = None) -> torch.Tensor | None:
    """`tensor` in the rows that are true, and elsewhere `other` or zero."""
    if tensor is None:
        return None
    mask = rows.view(-1, *[1] * (tensor.dim() - 1))
    return torch.where(mask, tensor, tensor.new_zeros(()) if other is None else other)
