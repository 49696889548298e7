# SPDX-License-Identifier: Apache-2.0
"""The loop around every trajectory optimiser: budgets, history, the best so far, checkpoints, interruption and
resumption.

A method is two functions over a dictionary of tensors: ``start()`` makes it, ``step(state)`` returns the next one and
what was evaluated. It never changes a state in place, so the last committed state is whole whenever Ctrl-C arrives, and
a run resumed from it repeats the same numbers as one that was never interrupted.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch

from simenv.agents.checkpoint import CheckpointError, has_checkpoint, load_checkpoint, save_checkpoint
from simenv.agents.problem import Problem, SearchConfig
from simenv.agents.result import Code, OptimizationResult, Record

Callback = Callable[[Record, Mapping[str, float]], bool | None]
"""Called after each iteration with its record and the method's own metrics; return True to stop."""

State = dict[str, torch.Tensor]


@dataclasses.dataclass(frozen=True)
class Iteration:
    """What one step of a method hands back."""

    state: State
    """The next state; only CPU tensors."""
    points: torch.Tensor
    """(M, K, A) candidates that were evaluated."""
    returns: torch.Tensor
    """(M,) their returns, NaN where not finite."""
    success: torch.Tensor
    """(M,) bool."""
    horizon: int
    """Control steps rolled out."""
    nonfinite: torch.Tensor
    """(N,) bool or int64: non-finite returns or gradients per world slot."""
    diverged: bool
    """Whether nothing usable came out: every return, or every gradient, was non-finite."""
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """The method's own numbers, for the log."""
    code: Code | None = None
    """Set when the method itself is done."""


class Method(Protocol):
    """A trajectory optimiser."""

    name: str

    def start(self) -> State:
        """The first state."""
        ...

    def step(self, state: State) -> Iteration:
        """Evaluates candidates and makes the next state; `state` stays as it is."""
        ...


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Everything a run needs to go on; replaced as a whole after each iteration."""

    state: State
    history: tuple[Record, ...]
    best_points: torch.Tensor  # (K, A)
    best_return: float  # -inf before the first finite candidate
    best_success: bool
    best_horizon: int
    # Best return at the last improvement, so that many gains below the tolerance add up to one above it.
    reference: float
    since_improved: int  # iterations since then
    since_success: int  # iterations since the best first succeeded, -1 before
    diverged: int  # iterations in a row from which nothing usable came
    nonfinite: torch.Tensor  # (N,) int64
    seconds: float


def run_method(method: Method, problem: Problem, config: SearchConfig, callback: Callback | None) -> OptimizationResult:
    """Runs `method` until something ends it; the environment is closed if `problem` made it.

    Args:
        method: The optimiser.
        problem: What it optimises.
        config: Budgets, stopping rules and checkpoints.
        callback: Called after each iteration.

    Raises:
        CheckpointError: When resuming, if the checkpoint is damaged or belongs to a run with other options.
    """
    try:
        started, code, saved = time.perf_counter(), None, 0
        snapshot = _empty(problem)
        try:
            snapshot = _resume(method, problem, config) or dataclasses.replace(snapshot, state=method.start())
            started -= snapshot.seconds
            code, saved = _stop_code(snapshot, config, problem, None), len(snapshot.history)
            while code is None:
                iteration = method.step(snapshot.state)
                snapshot = _commit(snapshot, iteration, problem, config, time.perf_counter() - started)
                code = _stop_code(snapshot, config, problem, iteration.code)
                if config.checkpoint_dir and len(snapshot.history) % config.checkpoint_every == 0:
                    _save(snapshot, method, config)
                    saved = len(snapshot.history)
                if callback is not None and callback(snapshot.history[-1], iteration.metrics):
                    code = code or Code.INTERRUPTED
        except KeyboardInterrupt:
            code = Code.INTERRUPTED
        if config.checkpoint_dir and saved != len(snapshot.history):
            _save(snapshot, method, config)
        return _result(snapshot, problem, code)
    finally:
        problem.close()


def _empty(problem: Problem) -> Snapshot:
    worst = torch.zeros(problem.table.knots, problem.table.size, dtype=torch.float64)
    return Snapshot(
        state={},
        history=(),
        best_points=worst,
        best_return=-math.inf,
        best_success=False,
        best_horizon=0,
        reference=-math.inf,
        since_improved=0,
        since_success=-1,
        diverged=0,
        nonfinite=torch.zeros(problem.num_envs, dtype=torch.int64),
        seconds=0.0,
    )


def _commit(old: Snapshot, it: Iteration, problem: Problem, config: SearchConfig, seconds: float) -> Snapshot:
    """The snapshot after an iteration."""
    finite = torch.isfinite(it.returns)
    best = (old.best_horizon, old.best_success, old.best_return)
    points, improved, succeeded = old.best_points, it.horizon > old.best_horizon, old.since_success >= 0
    if finite.any():
        # Longer horizon first, then success, then return.
        value = torch.where(finite, it.returns, -torch.inf)
        winner = int(
            torch.where(it.success & finite, value, -torch.inf).argmax() if it.success.any() else value.argmax()
        )
        candidate = (it.horizon, bool(it.success[winner]), float(value[winner]))
        if candidate > best:
            enough = config.tolerance * max(abs(old.reference), 1e-12)
            improved |= candidate[1] > old.best_success or not candidate[2] - old.reference <= enough
            best, points = candidate, it.points[winner].clone()
    complete = best[1] and best[0] == problem.table.steps
    nan = math.nan
    record = Record(
        iteration=len(old.history) + 1,
        simulated_steps=problem.simulated_steps,
        gradient_steps=problem.gradient_steps,
        horizon=it.horizon,
        return_mean=float(it.returns[finite].mean()) if finite.any() else nan,
        return_best=float(it.returns[finite].max()) if finite.any() else nan,
        best_return=best[2] if math.isfinite(best[2]) else nan,
        success=best[1],
        success_rate=float(it.success.double().mean()),
        nonfinite=int(it.nonfinite.sum()),
        seconds=seconds,
    )
    return Snapshot(
        state=it.state,
        history=(*old.history, record),
        best_points=points,
        best_return=best[2],
        best_success=best[1],
        best_horizon=best[0],
        reference=best[2] if improved else old.reference,
        since_improved=0 if improved else old.since_improved + 1,
        since_success=old.since_success + 1 if succeeded else (0 if complete else -1),
        diverged=old.diverged + 1 if it.diverged else 0,
        nonfinite=old.nonfinite + it.nonfinite.to(torch.int64),
        seconds=seconds,
    )


def _stop_code(now: Snapshot, config: SearchConfig, problem: Problem, own: Code | None) -> Code | None:
    """Why to stop, or None to go on. Success outranks the rest, since nothing else tells more."""
    complete = now.best_success and now.best_horizon == problem.table.steps
    if complete and config.stop_on_success and now.since_success >= config.success_patience:
        return Code.SUCCESS
    if now.diverged >= config.diverged_patience:
        return Code.DIVERGED
    if own is not None:
        return Code.SUCCESS if complete else own
    if config.patience is not None and now.since_improved >= config.patience:
        return Code.SUCCESS if complete else Code.STALLED
    if config.max_simulated_steps is not None and problem.simulated_steps >= config.max_simulated_steps:
        return Code.MAX_SIMULATED_STEPS
    return Code.MAX_ITERATIONS if len(now.history) >= config.iterations else None


def _result(now: Snapshot, problem: Problem, code: Code) -> OptimizationResult:
    best_return, success = (now.best_return if math.isfinite(now.best_return) else math.nan), now.best_success
    if code is not Code.INTERRUPTED and 0 < now.best_horizon < problem.table.steps:
        # The horizon never grew to its full length: what these actions do over all of it is not known yet.
        out = problem.evaluate(now.best_points[None])
        best_return, success = float(out.returns[0]), bool(out.success[0])
    actions = problem.table.actions(now.best_points[None])[:, 0].numpy()
    return OptimizationResult(
        actions=actions,
        best_return=best_return,
        success=success,
        history=now.history,
        code=code,
        simulated_steps=problem.simulated_steps,
        gradient_steps=problem.gradient_steps,
        seconds=now.seconds,
        nonfinite=now.nonfinite.numpy(),
    )


def _options(config: SearchConfig) -> dict[str, Any]:
    """The options that steer a run, as JSON values (JSON has no infinity)."""
    options = {k: v for k, v in dataclasses.asdict(config).items() if k not in config.MAY_CHANGE}
    return {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in options.items()}


_COUNTERS = ("best_success", "best_horizon", "since_improved", "since_success", "diverged", "seconds")


def _save(now: Snapshot, method: Method, config: SearchConfig) -> None:
    arrays: dict[str, Any] = {f"state.{name}": value for name, value in now.state.items()}
    arrays |= {"best_points": now.best_points, "nonfinite": now.nonfinite}
    arrays["best_return"] = torch.tensor([now.best_return, now.reference], dtype=torch.float64)  # JSON has no infinity
    arrays["history"] = np.array([record.row() for record in now.history]).reshape(len(now.history), -1)
    meta = {name: getattr(now, name) for name in _COUNTERS}
    meta |= {"method": method.name, "config": _options(config)}
    save_checkpoint(config.checkpoint_dir, len(now.history), arrays, meta)  # type: ignore[arg-type]


def _resume(method: Method, problem: Problem, config: SearchConfig) -> Snapshot | None:
    if not (config.resume and has_checkpoint(config.checkpoint_dir)):
        return None
    arrays, meta, _ = load_checkpoint(config.checkpoint_dir)  # type: ignore[arg-type]
    wanted = {"method": method.name, **_options(config)}
    found = {"method": meta["method"], **meta["config"]}
    differing = [
        f"{k}: {found.get(k)!r} there, {wanted.get(k)!r} now" for k in wanted | found if found.get(k) != wanted.get(k)
    ]
    if tuple(arrays["nonfinite"].shape) != (problem.num_envs,):
        differing.append(f"worlds: {len(arrays['nonfinite'])} there, {problem.num_envs} now")
    if tuple(arrays["best_points"].shape) != (problem.table.knots, problem.table.size):
        differing.append(f"control points: {tuple(arrays['best_points'].shape)} there")
    if differing:
        raise CheckpointError(
            f"{config.checkpoint_dir} belongs to a run with other options ({'; '.join(differing)}); use the same "
            "options, or another directory to start anew"
        )
    history = tuple(Record.from_row(row) for row in arrays["history"].numpy())
    problem.simulated_steps = history[-1].simulated_steps if history else 0
    problem.gradient_steps = history[-1].gradient_steps if history else 0
    return Snapshot(
        state={name.removeprefix("state."): value for name, value in arrays.items() if name.startswith("state.")},
        history=history,
        best_points=arrays["best_points"],
        best_return=float(arrays["best_return"][0]),
        reference=float(arrays["best_return"][1]),
        nonfinite=arrays["nonfinite"],
        **{name: meta[name] for name in _COUNTERS},
    )
