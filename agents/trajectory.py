# SPDX-License-Identifier: Apache-2.0
"""Gradient trajectory optimisation: Adam on open-loop actions, through the simulation, many starts at once.

Every world of the batch improves its own action table from its own start, so that one rollout and one reverse sweep
serve all of them; the best table wins. The pieces:

* Adam (D. P. Kingma and J. Ba, *Adam: a method for stochastic optimization*, 2015, algorithm 1) per world, on B-spline
  control points in units of half the action range, projected onto the action space after each step.
* A temporally expanding horizon with frozen past steps (Z. Xian et al., *FluidLab*, ICLR 2023): start with a short
  horizon, whose gradients are better behaved; lengthen it once the return stops improving; stop changing steps far
  behind its end and cut the gradient there, so that the reverse sweep stays short.
* Screening: gradients improve a motion but seldom invent one, so the starts are the best of several times as many
  random motions, which cost forward steps only.
* Going back: a world that has fallen far behind its own best for a few iterations returns there and goes on with half
  the step (Adam's first steps move every number by the full learning rate, out of a narrow valley).
* Gradients clipped per world, because one chaotic contact would otherwise fill Adam's memory. A non-finite gradient is
  counted and never used: that world goes halfway back to its last point with a finite one.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import torch

from simenv.agents.parameters import initial_points
from simenv.agents.problem import Problem, SearchConfig
from simenv.agents.result import Code, OptimizationResult
from simenv.agents.run import Callback, Iteration, State, run_method

__all__ = ["GradientConfig", "GradientSearch", "optimize"]


@dataclasses.dataclass(frozen=True)
class GradientConfig(SearchConfig):
    """Options of gradient trajectory optimisation."""

    learning_rate: float = 0.1
    """Adam's step, in half action ranges per iteration: 0.1 crosses the action range in about 20 iterations."""
    screen: int = 4
    """Random motions tried per start before the first iteration; the best become the starts. They are charged like any
    other simulated step. 1 takes them as they come."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """How the learning rate changes over `iterations`; cosine lowers it to `final_rate` times its first value. Resuming
    with more iterations stretches the cosine, so the rate jumps up."""
    final_rate: float = 0.1
    """Last learning rate of the cosine schedule over the first one."""
    beta1: float = 0.9
    """Adam's memory of the gradient."""
    beta2: float = 0.99
    """Adam's memory of its square."""
    epsilon: float = 1e-12
    """Adam's floor under the root of the second moment [return per half action range]."""
    clip_norm: float = math.inf
    """Largest gradient norm of a world [return per half action range]; inf for no fixed limit."""
    clip_ratio: float = 10.0
    """Largest gradient norm of a world relative to its running mean; inf for no such limit."""
    backtrack: int = 5
    """A world that has not beaten its own best for so many iterations, and is `fall` below it, goes back there and
    halves its steps; 0 for never."""
    fall: float = 0.2
    """How far below its best such a world is, relative to the size of that best."""
    horizon_start: int | None = None
    """First horizon in control steps; None for the full horizon at once."""
    horizon_growth: int = 10
    """Control steps added each time the horizon grows."""
    growth_patience: int = 5
    """The horizon grows after so many iterations in which the best return gained less than `growth_tolerance`."""
    growth_tolerance: float = 0.01
    """Gain that delays growth, relative to the size of the best return."""
    growth_limit: int = 20
    """The horizon grows at the latest after so many iterations, so that it reaches its full length."""
    train_window: int | None = None
    """Optimise only the last so many steps of the horizon; earlier ones are frozen. None to freeze none."""
    step_tolerance: float = 1e-5
    """CONVERGED when no control point of any world moves further than this, in half action ranges (full horizon
    only).
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (
            "learning_rate",
            "clip_norm",
            "clip_ratio",
            "epsilon",
            "horizon_growth",
            "growth_patience",
            "growth_limit",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)}: it must be positive")
        for name in ("horizon_start", "train_window", "screen"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} = {value}: it must be at least 1")
        if self.backtrack < 0:
            raise ValueError(f"backtrack = {self.backtrack}: it must not be negative")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: it must lie in [0, 1)")

    def rate(self, iteration: int) -> float:
        """Learning rate of an iteration, counting from 0."""
        if self.schedule == "constant":
            return self.learning_rate
        phase = min(1.0, iteration / max(1, self.iterations - 1))
        return self.learning_rate * (self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * phase)))


class GradientSearch:
    """Adam through the simulation; see the module.

    The state: ``points``, ``mean`` and ``square`` (N, K, A), ``updates`` (N,) Adam's own iteration count of each world,
    ``scale`` (N,) running mean of the gradient norm, ``finite`` (N, K, A) last points with a finite gradient,
    ``horizon``, ``stuck`` iterations without a gain at this horizon, ``held`` iterations at this horizon, ``reference``
    best return at this horizon, ``iteration``.
    """

    name = "gradient"

    def __init__(self, problem: Problem, config: GradientConfig) -> None:
        if not getattr(problem.env, "differentiable", True):
            raise ValueError(
                "the environment is not differentiable; make it with differentiable=True, autoreset_mode='disabled'"
            )
        self.problem, self.config = problem, config

    def start(self) -> State:
        """The starts: the first is zero action (or the given one), the others the best of `screen` times as many."""
        c, table, n = self.config, self.problem.table, self.problem.num_envs
        base = self.problem.base()
        first = min(c.horizon_start or table.steps, table.steps)
        points = initial_points(table, n * c.screen, c.seed, c.init_scale, base)
        if c.screen > 1:
            points = points[self._screen(points, first)]
        return {
            "points": points,
            "mean": torch.zeros_like(points),
            "square": torch.zeros_like(points),
            "updates": torch.zeros(n, dtype=torch.int64),
            "scale": torch.zeros(n, dtype=torch.float64),
            "finite": points.clone(),
            "top": torch.full((n,), -math.inf, dtype=torch.float64),
            "top_points": points.clone(),
            "top_gradient": torch.zeros_like(points),
            "behind": torch.zeros(n, dtype=torch.int64),
            "rate": torch.ones(n, dtype=torch.float64),
            "horizon": torch.tensor(first),
            "stuck": torch.tensor(0),
            "held": torch.tensor(0),
            "reference": torch.tensor(-math.inf, dtype=torch.float64),
            "iteration": torch.tensor(0),
        }

    def _screen(self, points: torch.Tensor, horizon: int) -> list[int]:
        """Which candidates become the starts: the first (unless there is one start only), and the best others."""
        out, n = self.problem.evaluate(points, horizon), self.problem.num_envs
        value = torch.where(torch.isfinite(out.returns), out.returns, -torch.inf)

        def rank(i: int) -> tuple[bool, float]:
            return bool(out.success[i]), float(value[i])

        keep = [] if n == 1 and self.config.initial_actions is None else [0]
        if self.config.same_episode:
            others = sorted(range(len(keep), len(points)), key=rank, reverse=True)
        else:  # returns of different episodes cannot be compared: the best of those that this world has tried
            others = [max(range(world, len(points), n), key=rank) for world in range(len(keep), n)]
        return [*keep, *others][:n]

    def frozen(self, horizon: int) -> int:
        """Number of leading steps that no longer change at this horizon."""
        return max(0, horizon - self.config.train_window) if self.config.train_window else 0

    def gradient(self, points: torch.Tensor, horizon: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Returns of all worlds over the first `horizon` steps, their success, and the gradient.

        Args:
            points: (N, K, A) control points.
            horizon: Control steps to roll out.

        Returns:
            ``(returns (N,), success (N,), gradient (N, K, A))`` float64 on the CPU. The gradient is zero for control
            points that act on a frozen step or only after the horizon, and NaN for worlds in which it was not finite
            anywhere.
        """
        problem, frozen = self.problem, self.frozen(horizon)
        leaf = points.clone().requires_grad_()
        actions = problem.table.actions(leaf)[:horizon]
        broken = problem.broken_gradients()
        problem.reset()
        if frozen:
            with torch.no_grad():
                before, success_before, ended = problem.rollout(actions[:frozen])
        returns, success, _ = problem.rollout(actions[frozen:])
        if frozen:  # a world that ended on the frozen steps gains nothing after them
            returns = before + torch.where(ended, torch.zeros_like(returns), returns)
            success = torch.where(ended, success_before, success)
        (gradient,) = torch.autograd.grad(returns.sum(), leaf)
        problem.gradient_steps += (horizon - frozen) * problem.num_envs
        detach = getattr(problem.env, "detach_state", None)
        if detach is not None:
            detach()  # the environment would keep the whole graph alive until the next reset
        free = problem.table.free(frozen, horizon)[:, None]
        gradient = torch.where(free, gradient, torch.zeros_like(gradient))
        # The environment may have put zeros for what was not finite; the rest of such a gradient is not to be trusted
        # either.
        gradient[problem.broken_gradients() > broken] = torch.nan
        return returns.detach().to("cpu", torch.float64), success.cpu(), gradient

    def step(self, state: State) -> Iteration:
        """One rollout, one reverse sweep, one Adam update of every world."""
        c, points, horizon = self.config, state["points"], int(state["horizon"])
        returns, success, gradient = self.gradient(points, horizon)
        good = torch.isfinite(gradient).all((1, 2)) & torch.isfinite(returns)
        norm = torch.linalg.vector_norm(gradient, dim=(1, 2))
        state = {**state, **self._remember(state, gradient, torch.where(good, returns, -torch.inf))}
        fallen = ~good | (returns < state["top"] - c.fall * state["top"].abs())
        update, moved = self._adam(*self._go_back(state, gradient, good, fallen))
        state = {**state, **update, "iteration": state["iteration"] + 1}
        state |= self._horizon(state, returns)
        metrics = {
            "gradient_norm": float(norm[good].mean()) if good.any() else math.nan,
            "learning_rate": c.rate(int(state["iteration"]) - 1),
            "largest_move": moved,
        }
        still = moved < c.step_tolerance and bool(good.any()) and horizon == self.problem.table.steps
        return Iteration(
            state=state,
            points=points,
            returns=returns,
            success=success,
            horizon=horizon,
            nonfinite=~good,
            diverged=not bool(good.any()),
            metrics=metrics,
            code=Code.CONVERGED if still else None,
        )

    def _remember(self, state: State, gradient: torch.Tensor, value: torch.Tensor) -> State:
        """Each world's best return so far at this horizon, and where it was."""
        better = value > state["top"]
        row = better[:, None, None]
        return {
            "top": torch.where(better, value, state["top"]),
            "top_points": torch.where(row, state["points"], state["top_points"]),
            "top_gradient": torch.where(row, gradient, state["top_gradient"]),
            "behind": torch.where(better, torch.zeros_like(state["behind"]), state["behind"] + 1),
        }

    def _go_back(
        self, state: State, gradient: torch.Tensor, good: torch.Tensor, fallen: torch.Tensor
    ) -> tuple[State, torch.Tensor, torch.Tensor]:
        """Worlds that are behind for too long start again from their best, from the gradient there, with half the
        step.
        """
        if not self.config.backtrack:
            return state, gradient, good
        back = (state["behind"] >= self.config.backtrack) & fallen & torch.isfinite(state["top"])
        row = back[:, None, None]
        zeros = torch.zeros_like(gradient)
        state = {
            **state,
            "points": torch.where(row, state["top_points"], state["points"]),
            "mean": torch.where(row, zeros, state["mean"]),
            "square": torch.where(row, zeros, state["square"]),
            "updates": torch.where(back, torch.zeros_like(state["updates"]), state["updates"]),
            "behind": torch.where(back, torch.zeros_like(state["behind"]), state["behind"]),
            "rate": torch.where(back, 0.5 * state["rate"], state["rate"]),
        }
        return state, torch.where(row, state["top_gradient"], gradient), good | back

    def _adam(self, state: State, gradient: torch.Tensor, good: torch.Tensor) -> tuple[State, float]:
        """Adam's ascent step for worlds with a finite gradient; the others go halfway back to where they last had
        one.
        """
        c, row = self.config, good[:, None, None]
        norm = torch.linalg.vector_norm(gradient, dim=(1, 2))
        known = state["updates"] > 0
        limit = torch.where(known, c.clip_ratio * state["scale"], torch.inf).clamp(max=c.clip_norm)
        gradient = gradient * torch.where(norm > limit, limit / norm, torch.ones_like(norm))[:, None, None]
        clipped = torch.minimum(norm, limit)
        updates = state["updates"] + 1
        mean = c.beta1 * state["mean"] + (1 - c.beta1) * gradient
        square = c.beta2 * state["square"] + (1 - c.beta2) * gradient**2
        unbias1, unbias2 = (1 - beta ** updates.double()[:, None, None] for beta in (c.beta1, c.beta2))
        rate = c.rate(int(state["iteration"])) * state["rate"][:, None, None]
        step = rate * (mean / unbias1) / ((square / unbias2).sqrt() + c.epsilon)
        ahead = (state["points"] + step).clamp(-1.0, 1.0)
        frozen = ~self.problem.table.free(self.frozen(int(state["horizon"])), int(state["horizon"]))
        ahead = torch.where(frozen[:, None], state["points"], ahead)  # momentum must not move what is frozen
        back = (state["points"] + state["finite"]) / 2
        new = torch.where(row, ahead, back)
        scale = torch.where(known, 0.9 * state["scale"] + 0.1 * clipped, clipped)
        result = {
            **{name: state[name] for name in ("behind", "rate")},
            "points": new,
            "mean": torch.where(row, mean, state["mean"]),
            "square": torch.where(row, square, state["square"]),
            "updates": torch.where(good, updates, state["updates"]),
            "scale": torch.where(good, scale, state["scale"]),
            "finite": torch.where(row, state["points"], state["finite"]),
        }
        return result, float((new - state["points"]).abs().max())

    def _horizon(self, state: State, returns: torch.Tensor) -> State:
        """Lengthens the horizon once the best return of this horizon has stopped improving."""
        c, horizon, steps = self.config, int(state["horizon"]), self.problem.table.steps
        if horizon >= steps:
            return {}
        best = torch.where(torch.isfinite(returns), returns, -torch.inf).max()
        reference, held = state["reference"], int(state["held"]) + 1
        gained = bool(best > reference + c.growth_tolerance * reference.abs()) or not bool(torch.isfinite(reference))
        stuck = 0 if gained else int(state["stuck"]) + 1
        if stuck >= c.growth_patience or held >= c.growth_limit:
            # Returns over different horizons are not comparable, and neither is Adam's second moment.
            return {
                "horizon": torch.tensor(min(steps, horizon + c.horizon_growth)),
                "stuck": torch.tensor(0),
                "held": torch.tensor(0),
                "reference": torch.tensor(-math.inf, dtype=torch.float64),
                "mean": torch.zeros_like(state["mean"]),
                "square": torch.zeros_like(state["square"]),
                "updates": torch.zeros_like(state["updates"]),
                "top": torch.full_like(state["top"], -math.inf),
                "behind": torch.zeros_like(state["behind"]),
                "rate": torch.ones_like(state["rate"]),
            }
        return {"stuck": torch.tensor(stuck), "held": torch.tensor(held), "reference": torch.maximum(best, reference)}


def optimize(env: Any, config: GradientConfig | None = None, callback: Callback | None = None) -> OptimizationResult:
    """Optimises open-loop actions by gradients through the simulation.

    Args:
        env: A differentiable batched environment with autoreset disabled, or a factory ``(num_envs) -> env``.
        config: Options.
        callback: Called after each iteration with the record and the method's metrics; return True to stop.

    Returns:
        The best actions found, with history and result code.

    Raises:
        CheckpointError: When resuming from a damaged checkpoint or one of another run.
        ValueError: If the environment is not differentiable or an option is out of range.
    """
    config = config or GradientConfig()
    problem = Problem(env, config)
    return run_method(GradientSearch(problem, config), problem, config, callback)
