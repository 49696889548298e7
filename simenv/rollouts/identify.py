# SPDX-License-Identifier: Apache-2.0
"""Identify physical parameters from an observed rollout: by gradients through the simulation, or by CMA-ES.

The cost is counted in rollouts: one is the forward simulation of one world. A gradient simulates forward once more and
sweeps back, and is charged as two.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from simenv._search import ResultCode, cma_strategy, rank_last
from simenv.errors import SimulationError
from simenv.rollouts.errors import RolloutError
from simenv.rollouts.gauss_newton import GaussNewton
from simenv.rollouts.residuals import Comparison, Drive, Observed, Quantity, Remember, as_drive
from simenv.rollouts.sought import Range, ranges
from simenv.world import Control, State, World

SWEEP_COST = 2  # rollouts that a reverse sweep is charged as
EDGE = 1e-3  # how near to its limit, in shares of its range, a parameter counts as being there


class Code(ResultCode):
    """Why an identification stopped."""

    CONVERGED = ("no step lowers the deviation from the observation any more", "none needed")
    AT_LIMIT = (
        "converged, with a parameter at one of its limits",
        "widen its limits if physics allows; otherwise something else of the scene differs from what was observed",
    )
    NO_EFFECT = (
        "a parameter that was sought changes nothing of what was observed",
        "leave it out, observe something that it changes, or record a motion in which it matters",
    )
    STALLED = (
        "no step along the gradient lowers the deviation, however short: the loss is rough or has a kink there",
        "compare starts (several that agree can be believed), observe something else (poses where forces jump), or end "
        "the rollout before chaos sets in",
    )
    MAX_ITERATIONS = ("the iteration limit was reached", "raise iterations, or start from the values found")
    MAX_ROLLOUTS = ("the budget of rollouts was spent", "raise max_rollouts, or start from the values found")
    DIVERGED = (
        "no world could be simulated with its first guess",
        "narrow the limits, shorten the substep, or give an initial guess; world.status says what failed",
    )
    INTERRUPTED = ("stopped by the user", "start from the values found so far")


@dataclasses.dataclass(frozen=True)
class IdentifyConfig:
    """Options of `identify`."""

    method: Literal["gradient", "cma"] = "gradient"
    """Gauss-Newton with gradients from the engine (`simenv.rollouts.gauss_newton`), or CMA-ES without."""
    iterations: int = 100
    """Iterations at most: of the gradient method one batch of rollouts, of CMA-ES a generation."""
    max_rollouts: int | None = None
    """Stop after the iteration that spends them; None for no limit."""
    tolerance: float = 1e-4
    """Smallest step, in shares of a parameter's range (of its logarithm, where both limits are positive)."""
    radius: float = 0.2
    """Gradient: first trust region, in the same unit."""
    sigma: float = 0.25
    """CMA-ES: first standard deviation, in the same unit."""
    population: int | None = None
    """CMA-ES: candidates in a generation; None for 4 + 3 ln(n)."""
    seed: int = 0
    """Of the random starts, and of CMA-ES."""

    def __post_init__(self) -> None:
        if self.method not in ("gradient", "cma"):
            raise RolloutError(f"method={self.method!r}; use 'gradient' or 'cma'")
        for name in ("iterations", "tolerance", "radius", "sigma", "max_rollouts"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise RolloutError(f"{name} = {value}; it must be positive")


@dataclasses.dataclass(frozen=True)
class Progress:
    """One row of the history.

    Attributes:
        iteration: Iterations finished, from 1.
        rollouts: What they cost so far, in rollouts.
        loss: The lowest loss so far, ``|r|^2``: the sum over quantities of their mean square relative deviation.
        values: The parameters there.
        seconds: Since the start.
    """

    iteration: int
    rollouts: int
    loss: float
    values: dict[str, float]
    seconds: float


@dataclasses.dataclass(frozen=True)
class Identification:
    """What `identify` found.

    Attributes:
        code: Why it stopped.
        values: parameter -> value of lowest loss, in the parameter's unit.
        loss: See `Progress`.
        deviations: quantity -> root mean square difference to the observation, in the quantity's unit.
        shares: quantity -> the same in shares of its scale, which is what it changes by unless it was given: far below
            one where the simulation does what was observed.
        at_limit: Parameters that ended at a limit.
        without_effect: Parameters that change nothing of what was observed; their values mean nothing.
        history: One row for each iteration.
        starts: parameter -> (N,) where each start ended; of CMA-ES, the best candidate of each generation.
        losses: (N,) their losses, +inf where the simulation failed.
        rollouts: Cost in all.
        seconds: Wall time.
    """

    code: Code
    values: dict[str, float]
    loss: float
    deviations: dict[str, float]
    shares: dict[str, float]
    at_limit: tuple[str, ...]
    without_effect: tuple[str, ...]
    history: tuple[Progress, ...]
    starts: dict[str, np.ndarray]
    losses: np.ndarray
    rollouts: int
    seconds: float


Callback = Callable[[Progress], bool | None]
"""Called after each iteration; return True to stop."""


def identify(
    world: World, controls: Drive | Sequence[Control], observed: Observed, parameters: Mapping[str, Sequence[float]],
    *, initial: Mapping[str, float | Sequence[float]] | None = None, start: State | None = None,
    config: IdentifyConfig | None = None, quantities: Mapping[str, Quantity] | None = None,
    callback: Callback | None = None, remember: Remember | None = None,
) -> Identification:  # fmt: skip
    """Find the physical parameters with which a world does what was observed.

    The worlds of the batch are as many starts at once. The first one starts from `initial`, the others at random.

    Args:
        world: N worlds of the scene; its parameters are left as they are, and are the guess of those not sought.
        controls: Of every control step: a list, or a function of the state and the step's number.
        observed: What was seen.
        parameters: name -> (low, high), in the parameter's unit; of several numbers one, ``"arm.mass[2]"``.
        initial: name -> the first guess, one or one for each world; by default the middle of the limits (geometric,
            where both are positive) and random points.
        start: The first state of every world; None is the scene as built.
        config: Options.
        quantities: Observable quantities of your own by name: functions of the world and the state, (N, ...).
        callback: Called after each iteration.
        remember: What a task writes into the state after each step.

    Returns:
        The values, with history and result code.

    Raises:
        RolloutError: The observation, the limits or the guesses do not fit the world, or it has no gradients and they
            are wanted.
    """
    config = config or IdentifyConfig()
    sought = ranges(world, parameters, config.method == "gradient")
    steps = int(np.asarray(observed.steps)[-1]) if len(observed.steps) else 0
    if not callable(controls) and len(controls) < steps:
        raise RolloutError(f"{len(controls)} controls, but the last observation is after step {steps}; give as many")
    first = world.initial_state() if start is None else start
    comparison = Comparison(world, first, as_drive(controls), steps, observed, sought, quantities, remember)
    points = first_points(sought, world.num_worlds, initial or {}, config.seed)
    search = _gradient if config.method == "gradient" else _cma
    return _run(search(comparison, points, config), comparison, config, callback)


def first_points(
    sought: Sequence[Range], worlds: int, initial: Mapping[str, float | Sequence[float]], seed: int
) -> np.ndarray:
    """Starts (N, n) in the unit box: the given ones, else the middle and then random points.

    Raises:
        RolloutError: A guess is of no sought parameter, outside its limits, or one of a wrong number of guesses.
    """
    unknown = set(initial) - {each.name for each in sought}
    if unknown:
        raise RolloutError(f"initial guess of {', '.join(sorted(unknown))}, which is not sought; add its limits")
    points = np.random.default_rng(seed).random((worlds, len(sought)))
    points[0] = 0.5
    for column, each in enumerate(sought):
        if each.name not in initial:
            continue
        guesses = np.atleast_1d(np.asarray(initial[each.name], dtype=float))
        if len(guesses) not in (1, worlds):
            raise RolloutError(f"{len(guesses)} guesses of {each.name!r} for {worlds} worlds; give 1 or {worlds}")
        if not ((guesses >= each.low) & (guesses <= each.high)).all():
            raise RolloutError(
                f"initial {each.name} = {guesses.tolist()}: it must lie within its limits {each.low:g} .. {each.high:g}"
            )
        points[: len(guesses), column] = [each.point(guess) for guess in guesses]
    return np.clip(points, 0.0, 1.0)


@dataclasses.dataclass
class _Best:
    """The best point so far, and what ended elsewhere."""

    point: np.ndarray
    loss: float = np.inf
    r: np.ndarray | None = None
    points: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0)))
    losses: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    code: Code | None = None

    def take(self, point: np.ndarray, loss: float, r: np.ndarray) -> None:
        if loss < self.loss:
            self.point, self.loss, self.r = point.copy(), loss, r.copy()


def _gradient(comparison: Comparison, points: np.ndarray, config: IdentifyConfig) -> Iterator[_Best]:
    """Gauss-Newton from every start at once; a generator that yields after each batch of rollouts."""
    radius = config.radius * np.sqrt(points.shape[1])
    searches = [GaussNewton(point, radius, config.tolerance) for point in points]
    best = _Best(points[0])
    while True:
        trial = np.stack([search.ask() for search in searches])
        if all(search.done for search in searches):
            break
        try:
            r, failed = comparison.residuals(trial, graph=True)
        except SimulationError as error:
            raise RolloutError(f"no gradient here ({error}); search without: method='cma' (`--method cma`)") from error
        wanted = [search.tell(*row) for search, *row in zip(searches, r, failed, strict=True)]
        for search, row, new in zip(searches, r, wanted, strict=True):
            if new:
                best.take(search.point, search.loss, row)
        if any(wanted):
            gradient = comparison.gradient()
            for search, row, new in zip(searches, gradient, wanted, strict=True):
                if new:
                    search.sweep(row)
        best.points = np.stack([search.point for search in searches])
        best.losses = np.array([search.loss for search in searches])
        yield best
    lowest = int(np.argmin(best.losses))
    codes = {"converged": Code.CONVERGED, "stalled": Code.STALLED, "failed": Code.DIVERGED}
    best.code = codes[searches[lowest].done]
    yield best


def _cma(comparison: Comparison, points: np.ndarray, config: IdentifyConfig) -> Iterator[_Best]:
    """CMA-ES from the first start; candidates are evaluated in batches of N, the last of which may be filled up."""
    n, worlds = points.shape[1], comparison.world.num_worlds
    population = config.population or 4 + int(3 * np.log(n))
    best = _Best(points[0], points=np.zeros((0, n)))
    first = np.clip(points[0], 1e-3, 1.0 - 1e-3)  # on a face there is nowhere to go on one side
    first = first if n > 1 else np.append(first, 0.5)  # the package needs two dimensions; the second does nothing
    strategy = cma_strategy(first, config.sigma, 0.0, 1.0, config.seed, population, tolx=config.tolerance)
    while not strategy.stop():
        asked = strategy.ask()
        candidates = np.stack(asked)[:, :n]
        losses = np.empty(population)
        for begin in range(0, population, worlds):
            chunk = candidates[begin : begin + worlds]
            filled = np.concatenate([chunk, np.repeat(chunk[-1:], worlds - len(chunk), 0)])
            r, failed = comparison.residuals(filled, graph=False)
            comparison.rollouts -= worlds - len(chunk)  # what only fills the batch is nobody's cost
            for index, (point, row, bad) in enumerate(zip(chunk, r, failed, strict=False)):
                losses[begin + index] = np.inf if bad else float(row @ row)
                best.take(point, losses[begin + index], row)
        strategy.tell(asked, rank_last(losses))
        lowest = int(np.argmin(losses))
        best.points = np.concatenate([best.points, candidates[lowest][None]])
        best.losses = np.append(best.losses, losses[lowest])
        if not np.isfinite(best.loss):
            best.code = Code.DIVERGED
        yield best
    best.code = Code.CONVERGED
    yield best


def _run(
    search: Iterator[_Best], comparison: Comparison, config: IdentifyConfig, callback: Callback | None
) -> Identification:
    """The loop around a search: budgets, history, interruption."""
    began, history, code, best = time.perf_counter(), [], None, None

    def cost() -> int:
        return comparison.rollouts + SWEEP_COST * comparison.sweeps

    try:
        for best in search:
            code = best.code
            if code is not None:
                break
            row = Progress(len(history) + 1, cost(), best.loss, _named(comparison, best.point), _since(began))
            history.append(row)
            if callback is not None and callback(row):
                code = Code.INTERRUPTED
            elif len(history) >= config.iterations:
                code = Code.MAX_ITERATIONS
            elif config.max_rollouts is not None and cost() >= config.max_rollouts:
                code = Code.MAX_ROLLOUTS
            if code is not None:
                break
    except KeyboardInterrupt:
        code = Code.INTERRUPTED
    if best is None or code is None:  # interrupted before anything was known
        raise KeyboardInterrupt
    values = comparison.values(best.points)
    deviations = {} if best.r is None else comparison.deviations(best.r)
    edges = np.minimum(best.point, 1.0 - best.point) < EDGE
    at_limit = tuple(each.name for each, edge in zip(comparison.sought, edges, strict=True) if edge)
    idle = () if code in (Code.INTERRUPTED, Code.DIVERGED) else comparison.without_effect(best.point)
    if code is Code.CONVERGED:
        code = Code.NO_EFFECT if idle else Code.AT_LIMIT if at_limit else code
    return Identification(
        code=code,
        values=_named(comparison, best.point),
        loss=best.loss,
        deviations=deviations,
        shares={name: deviation / comparison.scale[name] for name, deviation in deviations.items()},
        at_limit=at_limit,
        without_effect=idle,
        history=tuple(history),
        starts={each.name: values[:, i] for i, each in enumerate(comparison.sought)},
        losses=best.losses,
        rollouts=cost(),
        seconds=_since(began),
    )


def _named(comparison: Comparison, point: np.ndarray) -> dict[str, float]:
    values = comparison.values(point[None])[0]
    return {each.name: float(value) for each, value in zip(comparison.sought, values, strict=True)}


def _since(began: float) -> float:
    return time.perf_counter() - began
