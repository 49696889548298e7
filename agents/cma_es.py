# SPDX-License-Identifier: Apache-2.0
"""CMA-ES on the same action parameterisation as the gradient method: the gradient-free yardstick.

The strategy is the `cma` package (N. Hansen, *The CMA evolution strategy: a tutorial*, arXiv:1604.00772), driven by ask
and tell; this file evaluates its population as worlds of a batch, in chunks when the population is larger than the
batch.

Its internal state is never stored. A run is determined by its options, its seed and the returns it was told, so that a
checkpoint keeps those returns, and resuming asks and tells them again without simulating: seconds instead of a pickle.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch

from simenv._search import cma_strategy, rank_last
from simenv.agents.checkpoint import CheckpointError
from simenv.agents.parameters import initial_points
from simenv.agents.problem import Problem, SearchConfig
from simenv.agents.result import Code, OptimizationResult
from simenv.agents.run import Callback, Iteration, State, run_method

__all__ = ["CmaConfig", "CmaSearch", "optimize"]


@dataclasses.dataclass(frozen=True)
class CmaConfig(SearchConfig):
    """Options of CMA-ES."""

    sigma: float = 0.3
    """First standard deviation, in half action ranges."""
    population: int | None = None
    """Candidates per iteration; None for CMA-ES's own 4 + 3 ln(dimension), rounded up to whole batches of worlds."""
    diagonal_above: int = 500
    """Dimensions from which the covariance stays diagonal, since a full one costs dimension^2 numbers and dimension^3
    time.
    """
    move_tolerance: float = 1e-6
    """CONVERGED when the standard deviations fall below this, in half action ranges."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sigma > 0:
            raise ValueError(f"sigma = {self.sigma}: it must be positive")
        if self.population is not None and self.population < 4:
            raise ValueError(f"population = {self.population}: CMA-ES needs at least 4")


class CmaSearch:
    """Ask, evaluate, tell; see the module.

    The state: ``losses`` (iterations, population) told so far (the negative returns; +inf where non-finite).
    """

    name = "cma"

    def __init__(self, problem: Problem, config: CmaConfig) -> None:
        self.problem, self.config = problem, config
        self.size = problem.table.knots * problem.table.size
        worlds = problem.num_envs
        default = 4 + int(3 * math.log(self.size))
        self.population = config.population or math.ceil(default / worlds) * worlds
        self.told = 0
        self.strategy = self._new_strategy()

    def start(self) -> State:
        """Nothing told yet."""
        return {"losses": torch.zeros(0, self.population, dtype=torch.float64)}

    def _new_strategy(self) -> Any:
        c, table = self.config, self.problem.table
        base = self.problem.base()
        # A candidate that starts on its bound has nowhere to go on one side; stay a little inside.
        first = initial_points(table, 1, c.seed, 0.0, base)[0].clamp(-0.999, 0.999).reshape(-1).numpy()
        return cma_strategy(
            first,
            c.sigma,
            -1.0,
            1.0,
            c.seed,
            self.population,
            CMA_diagonal=self.size >= c.diagonal_above,
            tolx=c.move_tolerance,
        )

    def _ask(self, losses: np.ndarray) -> list[np.ndarray]:
        """Candidates of the next iteration, after telling what a resumed run was told before."""
        if self.told > len(losses):  # an iteration was interrupted after its tell
            self.strategy, self.told = self._new_strategy(), 0
        for row in losses[self.told :]:
            self.strategy.tell(self.strategy.ask(), rank_last(row))
            self.told += 1
        return self.strategy.ask()

    def step(self, state: State) -> Iteration:
        """One generation."""
        losses, table = state["losses"], self.problem.table
        if losses.shape[1] != self.population:
            raise CheckpointError(
                f"the checkpoint's population is {losses.shape[1]}, not {self.population}; use the same worlds"
            )
        asked = None
        try:
            asked = self._ask(losses.numpy())
            points = (
                torch.from_numpy(np.stack(asked)).reshape(self.population, table.knots, table.size).clamp(-1.0, 1.0)
            )
            out = self.problem.evaluate(points)
        except BaseException:
            self.told = len(losses) + 1  # asked but not told: draw from a fresh strategy if this object is used again
            raise
        finite = torch.isfinite(out.returns)
        loss = torch.where(finite, -out.returns, torch.inf)
        self.strategy.tell(asked, rank_last(loss.numpy()))
        self.told += 1
        slots = torch.arange(self.population) % self.problem.num_envs
        stop = self.strategy.stop()
        return Iteration(
            state={"losses": torch.cat([losses, loss[None]])},
            points=points,
            returns=out.returns,
            success=out.success,
            horizon=table.steps,
            nonfinite=torch.zeros(self.problem.num_envs, dtype=torch.int64).index_add_(0, slots, (~finite).long()),
            diverged=not bool(finite.any()),
            metrics={"sigma": float(self.strategy.sigma), "population": float(self.population)},
            code=Code.CONVERGED if "tolx" in stop else None,
        )


def optimize(env: Any, config: CmaConfig | None = None, callback: Callback | None = None) -> OptimizationResult:
    """Optimises open-loop actions by CMA-ES.

    Args:
        env: A batched environment (gradients are not needed), or a factory ``(num_envs) -> env``.
        config: Options.
        callback: Called after each iteration with the record and the method's metrics; return True to stop.

    Returns:
        The best actions found, with history and result code.

    Raises:
        CheckpointError: When resuming from a damaged checkpoint or one of another run.
        ImportError: If `cma` is not installed.
    """
    config = config or CmaConfig()
    problem = Problem(env, config)
    return run_method(CmaSearch(problem, config), problem, config, callback)
