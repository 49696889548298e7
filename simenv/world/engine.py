# SPDX-License-Identifier: Apache-2.0
"""Runs the program of all solvers for the worlds of a batch, on CPU threads or as one CUDA graph, and makes the step a
torch function.

Where a solver's buffers should stay in the caches of a core, as particles' do, a CPU program holds one world, and each
thread has a program and takes the worlds in turn; else it holds as many as fit there. A world with many particles is
cut into lanes, by a rule that looks at the particles only. A world's numbers depend neither on threads nor on its
neighbours. Backward re-simulates the step from its entering state, keeping the ticks, and then sweeps back: memory
grows with control steps, by one entering state each, and not with ticks.

Where the number of ticks is a choice of each world, there is a program for each number. A CPU program steps the worlds
that chose its number. On CUDA, where the choice stays on the device, every program is launched with the particles of
those worlds, and its results are taken for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any

import torch

from simenv._threads import Workers, get_num_threads, run_together
from simenv.physics.device import on_cuda, stream_scope, surely
from simenv.physics.launch.slots import Memory
from simenv.physics.program import Program
from simenv.physics.solver import Desk, Solver, Tensors

Named = dict[str, Tensors]  # by solver
# work(program, rows of its worlds, pool for lanes, those of the rows that count or None for all)
Work = Callable[[Program, slice, ThreadPoolExecutor | None, torch.Tensor | None], None]


class Engine:
    """Steps N worlds with as many programs as the device can use.

    Args:
        solvers: in the order of their turns in a tick, by name.
        worlds: N; device, dtype: of the tensors.
        ticks: of a control step; duration: of it [s].
        choices: how many numbers of ticks a step may choose among: `ticks`, twice as many, and so on.
        lanes: of a world's programs.
    """

    def __init__(
        self, solvers: Mapping[str, Solver], worlds: int, device: torch.device, dtype: torch.dtype, ticks: int,
        duration: float, choices: int = 1, lanes: int = 1,
    ):  # fmt: skip
        self.solvers, self.worlds, self.device, self.dtype = dict(solvers), worlds, device, dtype
        self.lanes, self._choices, self._ticks, self._duration = lanes, choices, ticks, duration
        self._alone = not on_cuda(device) and any(solver.one_world for solver in self.solvers.values())
        self._programs: dict[tuple[int, int, int], Program] = {}
        self._workers = Workers()

    def close(self) -> None:
        """Stop the threads and let go of the buffers."""
        self._workers.close()
        self._programs.clear()

    def program(self, index: int = 0, choice: int = 0, worlds: int | None = None) -> Program:
        """Program number `index` for a number of ticks and of worlds, made when first asked for."""
        worlds = len(range(*self._rows()[0].indices(self.worlds))) if worlds is None else worlds
        key = (index, choice, worlds)
        if key not in self._programs:
            with stream_scope(self.device):  # constants are there before torch's next kernel
                self._programs[key] = self._make(worlds, 2**choice)
        return self._programs[key]

    def _make(self, worlds: int, finer: int) -> Program:
        ticks = self._ticks * finer
        memory = Memory(worlds, self.dtype, self.device)
        desk = Desk(
            worlds, self.device, self.dtype, ticks, self._duration / ticks, self.lanes, finer, memory, None
        )  # fmt: skip
        return Program.of(self.solvers, desk)

    def _threads(self) -> int:
        return get_num_threads() if not on_cuda(self.device) else 1

    def _rows(self) -> list[slice]:
        """The worlds of each program: one, an even share of all, or on CUDA all."""
        if on_cuda(self.device):
            return [slice(0, self.worlds)]
        if self._alone:
            return [slice(world, world + 1) for world in range(self.worlds)]
        together = min(solver.together for solver in self.solvers.values())
        parts = max(min(self._threads(), self.worlds), -(-self.worlds // together))
        edges = [self.worlds * part // parts for part in range(parts + 1)]
        return [slice(a, b) for a, b in pairwise(edges)]

    def _lanes_run_side_by_side(self) -> bool:
        return self.worlds == 1 and 1 < self.lanes <= self._threads()

    def _each(self, work: Work, gradient: bool, choice: torch.Tensor | None, inputs: Named) -> None:
        """Call `work` for every share of the worlds, or on CUDA for every number of ticks with all of them."""
        try:
            self._share(work, gradient, choice, inputs)
        except BaseException:
            self._programs.clear()  # one of them may be half made
            raise

    def _share(self, work: Work, gradient: bool, choice: torch.Tensor | None, inputs: Named) -> None:
        threads = self._threads()
        pool = self._workers.pool(threads)
        if on_cuda(self.device):
            for index in range(self._choices):
                work(self.program(0, index), slice(None), None, None if choice is None else choice == index)
            return
        choices = [0] * self.worlds if choice is None else choice.tolist()
        shares = self._rows()
        count = 1 if pool is None else min(threads, len(shares))

        def of(index: int, rows: slice) -> Program:
            return self.program(index, choices[rows.start], rows.stop - rows.start)

        if count == 1:
            lanes_pool = pool if self._lanes_run_side_by_side() else None
            for rows in shares:
                work(of(0, rows), rows, lanes_pool, None)
            return
        for index in range(count):
            for rows in shares[index::count]:  # compile and record on this thread
                of(index, rows).prepare(gradient, inputs=_of_rows(inputs, rows))

        def share(index: int) -> None:
            for rows in shares[index::count]:
                work(of(index, rows), rows, None, None)

        run_together(pool, [partial(share, index) for index in range(count)])

    def prepare(self, gradient: bool) -> None:
        """Compile kernels, allocate buffers and record launches now instead of in the first step."""
        for reverse in (False, True) if gradient else (False,):
            self.program().prepare(reverse, self._lanes_run_side_by_side())

    def forward(self, inputs: Named, choice: torch.Tensor | None = None) -> Named:
        """One control step of all worlds; returns new tensors, the solvers' results. `choice` (N,) int64 says which of
        the numbers of ticks.
        """
        inputs = _detached(inputs)
        out: Named = {name: solver.blank(inputs[name], self.worlds) for name, solver in self.solvers.items()}

        def work(program: Program, rows: slice, pool: ThreadPoolExecutor | None, chosen: torch.Tensor | None) -> None:
            program.forward(_chosen(_of_rows(inputs, rows), chosen), False, pool)
            _store(program, program.results(), out, rows, chosen)

        self._each(work, False, choice, inputs)
        return out

    def backward(self, inputs: Named, adjoints: Named, choice: torch.Tensor | None = None) -> Named:
        """Adjoints of the `inputs` from those of the results."""
        inputs = _detached(inputs)
        out = {name: solver.blank_adjoints(inputs[name], adjoints[name]) for name, solver in self.solvers.items()}

        def work(program: Program, rows: slice, pool: ThreadPoolExecutor | None, chosen: torch.Tensor | None) -> None:
            program.forward(_chosen(_of_rows(inputs, rows), chosen), True, pool)
            program.backward(_of_rows(adjoints, rows), pool)
            _store(program, program.adjoints(), out, rows, chosen)

        self._each(work, True, choice, inputs)
        return out

    def faults(self, out: Named) -> torch.Tensor:
        """Status (N,) of a step, from the solvers' results."""
        bits = [solver.faults(out[name]) for name, solver in self.solvers.items()]
        known = [each for each in bits if each is not None]
        status = known[0]
        for each in known[1:]:
            status = status | each
        return status


def _of_rows(named: Mapping[str, Mapping[str, torch.Tensor]], rows: slice) -> Named:
    # a tensor without numbers is nobody's, and to cut it takes as long as a large one
    return {
        solver: {name: tensor[rows] if tensor.numel() else tensor for name, tensor in each.items()}
        for solver, each in named.items()
    }


def _chosen(inputs: Named, chosen: torch.Tensor | None) -> Named:
    """Inputs with the particles of chosen worlds only."""
    if chosen is None or "particles" not in inputs:
        return inputs
    particles = inputs["particles"]
    return {**inputs, "particles": {**particles, "active": particles["active"] * chosen[:, None]}}


def _store(program: Program, values: Named, out: Named, rows: slice, chosen: torch.Tensor | None) -> None:
    for solver, each in values.items():
        stepper = program.steppers[solver]
        for name, value in each.items():
            target = out[solver].get(name)
            if target is not None and target.numel():
                stepper.store(name, value, target[rows], chosen)


def _detached(named: Named) -> Named:
    # "no gradient" is a setting of each thread, and the workers' is the default
    return {solver: {name: tensor.detach() for name, tensor in each.items()} for solver, each in named.items()}


class StepFunction(torch.autograd.Function):
    """One control step as a differentiable torch function: saves the entering state and re-simulates in backward.

    A world that fails, or has stopped, passes no gradient: its rows are zero in both directions.
    """

    @staticmethod
    def run(engine: Engine, choice: torch.Tensor | None, stopped: torch.Tensor, inputs: Named) -> tuple[Named, Any]:
        """The step with a graph: results by solver, and its status (N,) with that of the worlds that had `stopped`."""
        names = [(solver, name) for solver, each in inputs.items() for name in each]
        keys: list[tuple[str, str]] = []
        values = [inputs[solver][name] for solver, name in names]
        status, *results = StepFunction.apply(engine, choice, stopped, names, keys, *values)
        out: Named = {solver: {} for solver in inputs}
        for (solver, name), value in zip(keys, results, strict=True):
            out[solver][name] = value
        return out, status

    @staticmethod
    def forward(
        ctx: Any, engine: Engine, choice: torch.Tensor | None, stopped: torch.Tensor,
        names: Sequence[tuple[str, str]], keys: list[tuple[str, str]], *values: torch.Tensor,
    ):  # fmt: skip
        """The step; `values` are the inputs of these `names`; `keys` is filled with those of the results."""
        out = engine.forward(_nested(names, values, engine), choice)
        status = torch.where(stopped != 0, stopped, engine.faults(out))
        keys += [(solver, name) for solver, each in out.items() for name in each]
        results = [out[solver][name] for solver, name in keys]
        ctx.engine, ctx.choice, ctx.names, ctx.keys = engine, choice, names, list(keys)
        ctx.save_for_backward(status, *values)
        ctx.mark_non_differentiable(status, *(each for each in results if not each.is_floating_point()))
        ctx.set_materialize_grads(False)
        return status, *results

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, _status: None, *grads: torch.Tensor | None):
        """The adjoints of the arguments of `forward`, from those of its results."""
        status, *values = ctx.saved_tensors
        good, engine = status == 0, ctx.engine
        every = surely(good)
        adjoints: Named = {solver: {} for solver in engine.solvers}
        for (solver, name), grad in zip(ctx.keys, grads, strict=True):
            if grad is not None:
                adjoints[solver][name] = grad if every else masked(grad, good)
        out = engine.backward(_nested(ctx.names, values, engine), adjoints, ctx.choice)
        rows = [out[solver].get(name) for solver, name in ctx.names]
        return None, None, None, None, None, *(row if every or row is None else masked(row, good) for row in rows)


def _nested(names: Sequence[tuple[str, str]], values: Sequence[torch.Tensor], engine: Engine) -> Named:
    named: Named = {solver: {} for solver in engine.solvers}
    for (solver, name), value in zip(names, values, strict=True):
        named[solver][name] = value
    return named


def gathered(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor by a node of its own, if it is on a graph: what flows back is summed there, in the order in which it
    would be behind `masked`, to the last bit.
    """
    return tensor.view_as(tensor) if tensor.requires_grad else tensor


def masked(tensor: torch.Tensor, rows: torch.Tensor, other: torch.Tensor | None = None) -> torch.Tensor:
    """`tensor` in the rows that are true, and elsewhere `other` or zero."""
    mask = rows.view(-1, *[1] * (tensor.dim() - 1))
    return torch.where(mask, tensor, tensor.new_zeros(()) if other is None else other)
