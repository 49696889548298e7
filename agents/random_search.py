# SPDX-License-Identifier: Apache-2.0
"""Random search on the same action parameterisation: the floor that any optimiser has to beat."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from simenv.agents.problem import Problem, SearchConfig
from simenv.agents.result import OptimizationResult
from simenv.agents.run import Callback, Iteration, State, run_method

__all__ = ["RandomConfig", "RandomSearch", "optimize"]


@dataclasses.dataclass(frozen=True)
class RandomConfig(SearchConfig):
    """Options of random search."""

    population: int | None = None
    """Candidates per iteration; None for the number of worlds."""
    scale: float = 1.0
    """Half-width of the uniform draws, in half action ranges: 1 covers the action space."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.population is not None and self.population < 1:
            raise ValueError(f"population = {self.population}: it must be at least 1")
        if not 0 < self.scale <= 1:
            raise ValueError(f"scale = {self.scale}: it must lie in (0, 1]")


class RandomSearch:
    """Independent uniform control points; candidate i of iteration k depends on the seed, k and i only. State:
    ``iteration``.
    """

    name = "random"

    def __init__(self, problem: Problem, config: RandomConfig) -> None:
        self.problem, self.config = problem, config
        self.population = config.population or problem.num_envs

    def start(self) -> State:
        """Iteration 0."""
        return {"iteration": torch.tensor(0)}

    def step(self, state: State) -> Iteration:
        """Draws and evaluates one population."""
        table, iteration = self.problem.table, int(state["iteration"])
        random = np.random.default_rng([self.config.seed, iteration])
        shape = (self.population, table.knots, table.size)
        points = torch.from_numpy(random.uniform(-self.config.scale, self.config.scale, shape))
        out = self.problem.evaluate(points)
        finite = torch.isfinite(out.returns)
        slots = torch.arange(self.population) % self.problem.num_envs
        return Iteration(
            state={"iteration": torch.tensor(iteration + 1)},
            points=points,
            returns=out.returns,
            success=out.success,
            horizon=table.steps,
            nonfinite=torch.zeros(self.problem.num_envs, dtype=torch.int64).index_add_(0, slots, (~finite).long()),
            diverged=not bool(finite.any()),
        )


def optimize(env: Any, config: RandomConfig | None = None, callback: Callback | None = None) -> OptimizationResult:
    """Draws open-loop actions at random and keeps the best.

    Args:
        env: A batched environment (gradients are not needed), or a factory ``(num_envs) -> env``.
        config: Options; `init_scale` and `initial_actions` are not used.
        callback: Called after each iteration with the record and the method's metrics; return True to stop.

    Returns:
        The best actions found, with history and result code.

    Raises:
        CheckpointError: When resuming from a damaged checkpoint or one of another run.
    """
    config = config or RandomConfig()
    problem = Problem(env, config)
    return run_method(RandomSearch(problem, config), problem, config, callback)
