# SPDX-License-Identifier: Apache-2.0
"""What an optimiser returns: why it stopped, the best actions, and the history on one common scale.

Every method is charged on the same scale, the *simulated control step*: one forward control step of one world. A batch
of N worlds rolled out for T control steps costs ``N * T``, whichever method asked for it. What a gradient needs on top,
re-simulating each control step and sweeping it in reverse, is reported apart as ``gradient_steps`` (same unit: control
steps swept times worlds).
"""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from simenv._files import write_bytes, write_text
from simenv._search import ResultCode


class Code(ResultCode):
    """Why an optimisation stopped."""

    SUCCESS = (
        "the best actions reach the task's success condition",
        "none needed; set stop_on_success=False to go on improving the return",
    )
    CONVERGED = (
        "the parameters stopped moving (the method's own step tolerance was met) before the task succeeded",
        "this is a local optimum: use more starts, another seed, a larger init_scale, or a denser reward",
    )
    STALLED = (
        "the best return did not improve for `patience` iterations and the task did not succeed",
        "raise patience, change the learning rate or sigma, use more starts, or allow more knots",
    )
    MAX_ITERATIONS = ("the iteration limit was reached", "raise iterations and resume")
    MAX_SIMULATED_STEPS = ("the budget of simulated control steps was spent", "raise max_simulated_steps and resume")
    DIVERGED = (
        "every world was non-finite for `diverged_patience` iterations in a row",
        "lower the learning rate or init_scale, check the task's substep length, or look at info['sim_status']",
    )
    INTERRUPTED = ("stopped by the user", "resume: the last finished iteration is in the checkpoint")


@dataclasses.dataclass(frozen=True)
class Record:
    """One row of the history. Numbers only, so that a history is a float64 table."""

    iteration: int
    """Iterations finished, counting from 1."""
    simulated_steps: int
    """Forward control steps simulated so far, summed over worlds."""
    gradient_steps: int
    """Control steps re-simulated and swept in reverse so far, summed over worlds; 0 for methods without gradients."""
    horizon: int
    """Control steps rolled out in this iteration."""
    return_mean: float
    """Mean return over this iteration's finite candidates; NaN when there is none."""
    return_best: float
    """Best return among this iteration's finite candidates; NaN when there is none."""
    best_return: float
    """Return of the best actions so far (see `OptimizationResult.actions` for the order); NaN when there are none."""
    success: bool
    """Whether the best actions so far succeed."""
    success_rate: float
    """Share of this iteration's candidates that succeed."""
    nonfinite: int
    """Candidates of this iteration whose return or gradient was not finite; they are skipped."""
    seconds: float
    """Wall time since the start [s], without the time between an interruption and its resumption."""

    def row(self) -> list[float]:
        """The record as floats, in field order."""
        return [float(getattr(self, field.name)) for field in dataclasses.fields(self)]

    @classmethod
    def from_row(cls, row: np.ndarray) -> Record:
        """Inverse of `row`."""
        integers, booleans = ("iteration", "simulated_steps", "gradient_steps", "horizon", "nonfinite"), ("success",)
        kind: dict[str, Any] = dict.fromkeys(integers, int) | dict.fromkeys(booleans, bool)
        return cls(**{f.name: kind.get(f.name, float)(v) for f, v in zip(dataclasses.fields(cls), row, strict=True)})


@dataclasses.dataclass(frozen=True)
class OptimizationResult:
    """The outcome of `optimize`, the same for every method."""

    actions: np.ndarray
    """Best open-loop actions (T, A) float64, in the action space's units. Candidates are ordered by (horizon, success,
    return): longer horizons first, then actions that succeed, then the higher return."""
    best_return: float
    """Return of `actions` over the full horizon; NaN if no candidate was ever finite."""
    success: bool
    """Whether `actions` succeed."""
    history: tuple[Record, ...]
    """One record per iteration, resumed ones included."""
    code: Code
    """Why the optimisation stopped."""
    simulated_steps: int
    """Forward control steps simulated, summed over worlds."""
    gradient_steps: int
    """Control steps swept in reverse, summed over worlds."""
    seconds: float
    """Wall time [s]."""
    nonfinite: np.ndarray
    """Non-finite iterations per world (gradient) or in total per world slot (other methods), int64 (N,)."""

    def save(self, directory: str | Path) -> None:
        """Writes ``best_actions.npy`` (T, A) and ``result.json`` into `directory`, each atomically."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.save(content, self.actions, allow_pickle=False)
        write_bytes(directory / "best_actions.npy", content.getbuffer())
        summary = {
            "code": self.code.name,
            "message": self.code.message,
            "remedy": self.code.remedy,
            "best_return": self.best_return if np.isfinite(self.best_return) else None,
            "success": self.success,
            "iterations": len(self.history),
            "simulated_steps": self.simulated_steps,
            "gradient_steps": self.gradient_steps,
            "seconds": self.seconds,
            "nonfinite": self.nonfinite.tolist(),
        }
        write_text(directory / "result.json", json.dumps(summary, indent=2))
