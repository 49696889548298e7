# SPDX-License-Identifier: Apache-2.0
"""What every learning algorithm on torch tensors shares: the worlds, episode statistics, the loop, checkpoints.

A learner takes a batched environment with ``output="torch"`` and ``autoreset_mode="same_step"``, in which
``info["final_obs"]`` is the observation after the step and before any reset, for all worlds. So the value after a
truncated episode is that of its true last observation, and after a terminated one it is 0, without asking the device.
"""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from gymnasium.vector import AutoresetMode
from torch import nn

from simenv.agents.checkpoint import CheckpointError, has_checkpoint, load_checkpoint, save_checkpoint
from simenv.agents.episodes import RETURN, SUCCESS, Episodes
from simenv.agents.networks import Actor
from simenv.agents.result import Code
from simenv.envs.views import select_view

__all__ = ["LearnConfig", "TrainResult", "evaluate", "train"]

Callback = Callable[[int, Mapping[str, float]], bool | None]
"""Called after each iteration with the control steps so far and the metrics; return True to stop."""


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """The outcome of a training run."""

    code: Code
    """Why training stopped; MAX_SIMULATED_STEPS when all `timesteps` were spent."""
    timesteps: int
    """Control steps simulated, summed over worlds."""
    episode_return: float
    """Mean return of the last 100 episodes; NaN before the first ends."""
    success_rate: float
    """Share of successes among the last 100 episodes; NaN before the first ends."""
    seconds: float
    """Wall time [s]."""
    model: Any
    """The learner, or the Stable-Baselines3 model."""
    episodes: int = 0
    """Episodes that return and success are over, at most 100."""


@contextlib.contextmanager
def finish_on_interrupt() -> Iterator[threading.Event]:
    """Turns the first Ctrl-C into a set event, so that an iteration ends whole; the second one interrupts at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield stop
        return
    before = signal.getsignal(signal.SIGINT)

    def handle(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@dataclasses.dataclass(frozen=True)
class LearnConfig:
    """Options common to the algorithms on torch tensors."""

    timesteps: int = 1_000_000
    """Control steps to train for, summed over worlds."""
    seed: int = 0
    """Seed of the networks, the exploration and the episodes (world i starts with seed + i)."""
    learning_rate: float = 3e-4
    """Adam's learning rate."""
    rollout_steps: int = 64
    """Control steps of each world per iteration."""
    batch_size: int = 512
    """Transitions per gradient step."""
    hidden: tuple[int, ...] = (256, 128, 64)
    """Widths of the hidden layers."""
    actor_keys: tuple[str, ...] = ()
    """Observations the actor reads; none for the view "actor", or all where there are no views."""
    grad_norm: float = 1.0
    """Limit of the gradient's norm."""
    checkpoint_dir: str | None = None
    """Where checkpoints and the policy go; None for none."""
    checkpoint_every: int = 10
    """Iterations between checkpoints; one is also written at the end and on interruption."""
    resume: bool = False
    """Go on from the last checkpoint in `checkpoint_dir`; without one there, start anew."""

    MAY_CHANGE = ("timesteps", "checkpoint_dir", "checkpoint_every", "resume")

    def __post_init__(self) -> None:
        for name in ("timesteps", "learning_rate", "rollout_steps", "batch_size", "checkpoint_every", "grad_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)}: it must be positive")
        if any(width < 1 for width in self.hidden):
            raise ValueError(f"hidden = {tuple(self.hidden)}: each layer must have at least 1 unit")


class Learner:
    """Base of the algorithms: a subclass gives ``modules``, ``optimizer`` and ``iterate``.

    Args:
        env: A batched environment.
        config: Options.

    Raises:
        ValueError: If the environment's output or autoreset mode is another.
    """

    name = ""
    modules: dict[str, nn.Module]
    optimizer: torch.optim.Optimizer
    actor: Actor

    def __init__(self, env: Any, config: LearnConfig) -> None:
        base = env.unwrapped
        if base.output != "torch" or base.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise ValueError(
                f"the environment has output={base.output!r} and autoreset_mode={base.autoreset_mode.name}; learning "
                "needs output='torch', autoreset_mode='same_step'"
            )
        self.env, self.config, self.num_envs = env, config, base.num_envs
        self.observation, _ = env.reset(seed=config.seed)
        low, high = base.single_action_space.low, base.single_action_space.high
        self.device = next(iter(select_view(self.observation, "actor", config.actor_keys).values())).device
        self.low, self.high = (torch.from_numpy(side).to(self.device) for side in (low, high))
        self.generator = torch.Generator(self.device)
        self.generator.manual_seed(config.seed)
        self.episodes = Episodes(self.num_envs, self.device)
        self.timesteps = 0

    def iterate(self) -> dict[str, float]:
        """One iteration; adds to ``timesteps`` and returns metrics."""
        raise NotImplementedError

    def extras(self) -> dict[str, torch.Tensor]:
        """Tensors besides weights that decide the future, for the checkpoint."""
        return {}

    def restore_extras(self, extras: dict[str, torch.Tensor]) -> None:
        """Inverse of `extras`."""

    def actor_view(self, observation: Any) -> dict[str, torch.Tensor]:
        """What the actor reads."""
        return select_view(observation, "actor", self.config.actor_keys)

    def act(self, observation: Any) -> torch.Tensor:
        """The policy's mean action (N, A)."""
        with torch.no_grad():
            return self.actor.to_actions(self.actor(self.actor_view(observation)).mean)

    def seeded(self, make: Callable[[], nn.Module]) -> nn.Module:
        """A module whose first weights follow from the seed, on the learner's device."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            return make().to(self.device)

    def descend(self, loss: torch.Tensor) -> None:
        """One step of the optimiser along the clipped gradient."""
        self.optimizer.zero_grad()
        loss.backward()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, self.config.grad_norm)
        self.optimizer.step()

    def finite(self) -> bool:
        """Whether all weights are finite."""
        return all(bool(torch.isfinite(p).all()) for m in self.modules.values() for p in m.parameters())


def train(learner: Learner, callback: Callback | None = None) -> TrainResult:
    """Trains until the time steps are spent, a Ctrl-C, or weights that are not finite.

    Args:
        learner: The algorithm.
        callback: Called after each iteration.

    Returns:
        Why it stopped; ``model`` is the learner. With a `checkpoint_dir` the policy is in its subfolder ``policy``.

    Raises:
        CheckpointError: When resuming from a damaged checkpoint or one of another run.
    """
    config, elapsed, code, iteration = learner.config, 0.0, None, 0
    if config.resume and has_checkpoint(config.checkpoint_dir):
        elapsed = _resume(learner)
    started, saved = time.perf_counter() - elapsed, learner.timesteps
    with finish_on_interrupt() as stop:
        try:
            while code is None and learner.timesteps < config.timesteps:
                before, begun = learner.timesteps, time.perf_counter()
                metrics = learner.iterate()
                metrics["time/fps"] = (learner.timesteps - before) / (time.perf_counter() - begun)
                if not learner.finite():
                    code = Code.DIVERGED  # the last good checkpoint stays the last
                    break
                metrics |= learner.episodes.metrics()
                iteration += 1
                if config.checkpoint_dir and iteration % config.checkpoint_every == 0:
                    _save(learner, time.perf_counter() - started)
                    saved = learner.timesteps
                if (callback is not None and callback(learner.timesteps, metrics)) or stop.is_set():
                    code = Code.INTERRUPTED
            if config.checkpoint_dir and code is not Code.DIVERGED and saved != learner.timesteps:
                _save(learner, time.perf_counter() - started)
        except KeyboardInterrupt:
            code = Code.INTERRUPTED  # in the middle of an iteration: the last checkpoint stands
    means = learner.episodes.metrics()
    return TrainResult(
        code=code or Code.MAX_SIMULATED_STEPS,
        timesteps=learner.timesteps,
        episode_return=means[RETURN],
        success_rate=means[SUCCESS],
        seconds=time.perf_counter() - started,
        model=learner,
        episodes=len(learner.episodes),
    )


def play(
    env: Any, act: Callable[[Any], torch.Tensor], episodes: int = 1, seed: int = 10_000,
    measures: Sequence[str] = ("success",),
) -> dict[str, torch.Tensor]:  # fmt: skip
    """Plays whole episodes, the same number in every world, so that short ones are not counted more often.

    Args:
        env: As for a learner; it is reset.
        act: Observation -> actions (N, A).
        episodes: Episodes of each world.
        seed: World i starts with seed + i.
        measures: Of the task's judgement (`Task.evaluate`).

    Returns:
        ``"returns"`` and each measure at the last step of the episodes, (N * episodes, ...), on the CPU.

    Raises:
        KeyError: The task has no such measure; the message names those that it has.
    """
    observation, _ = env.reset(seed=seed)
    running, count, found = None, None, []
    while count is None or bool((count < episodes).any()):
        observation, reward, terminated, truncated, info = env.step(act(observation))
        if count is None:
            running, count = torch.zeros_like(reward, dtype=torch.float64), torch.zeros_like(reward, dtype=torch.int64)
            for name in measures:
                if name not in info:
                    raise KeyError(f"the task judges no {name!r}; it has {', '.join(sorted(info))}")
        running = running + reward
        ended = (terminated | truncated) & (count < episodes)
        found.append([running[ended].cpu(), *(info[name][ended].cpu() for name in measures)])
        count = count + (terminated | truncated)
        running = torch.where(terminated | truncated, 0.0, running)
    return dict(zip(("returns", *measures), map(torch.cat, zip(*found, strict=True)), strict=True))


def evaluate(
    env: Any, act: Callable[[Any], torch.Tensor], episodes: int = 1, seed: int = 10_000
) -> tuple[torch.Tensor, torch.Tensor]:
    """`play`: returns (N * episodes,) and successes (N * episodes,) bool, judged at the last step."""
    played = play(env, act, episodes, seed)
    return played["returns"], played["success"]


def _options(config: LearnConfig) -> dict[str, Any]:
    options = {k: v for k, v in dataclasses.asdict(config).items() if k not in config.MAY_CHANGE}
    return _plain(options)


def _plain(value: Any) -> Any:
    """As JSON gives it back: tuples become lists."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (tuple, list)) else value


def _save(learner: Learner, seconds: float) -> None:
    from simenv.agents.policy import save_actor

    arrays: dict[str, Any] = {}
    for name, module in learner.modules.items():
        arrays |= {f"weights|{name}|{key}": value for key, value in module.state_dict().items()}
    for index, entry in learner.optimizer.state_dict()["state"].items():
        arrays |= {f"optimizer|{index}|{key}": torch.as_tensor(value) for key, value in entry.items()}
    arrays |= {f"worlds|{name}": value for name, value in learner.env.unwrapped.get_state().items()}
    arrays |= {f"extras|{name}": value for name, value in learner.extras().items()}
    running, kept = learner.episodes.state()
    arrays |= {"random": learner.generator.get_state()} | {f"episodes|{name}": value for name, value in running.items()}
    meta = {"method": learner.name, "config": _options(learner.config), "seconds": seconds, "episodes": kept}
    meta["worlds"] = learner.num_envs
    save_checkpoint(learner.config.checkpoint_dir, learner.timesteps, arrays, meta)  # type: ignore[arg-type]
    save_actor(Path(learner.config.checkpoint_dir) / "policy", learner)  # type: ignore[arg-type]


def _resume(learner: Learner) -> float:
    folder = learner.config.checkpoint_dir
    arrays, meta, step = load_checkpoint(folder)  # type: ignore[arg-type]
    if not isinstance(meta.get("episodes"), list):
        raise CheckpointError(f"{folder} was written by an earlier version of simenv, and cannot go on; start anew")
    wanted = {"method": learner.name, "worlds": learner.num_envs, **_options(learner.config)}
    found = {"method": meta.get("method"), "worlds": meta.get("worlds"), **meta.get("config", {})}
    differing = [f"{k}: {found.get(k)!r} there, {wanted.get(k)!r} now" for k in wanted if found.get(k) != wanted[k]]
    if differing:
        raise CheckpointError(
            f"{folder} belongs to a run with other options ({'; '.join(differing)}); use the same options, or another "
            "directory to start anew"
        )

    def under(prefix: str) -> dict[str, torch.Tensor]:
        part = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        return {k: v.to(learner.device) for k, v in part.items()}

    for name, module in learner.modules.items():
        module.load_state_dict(under(f"weights|{name}|"), strict=True)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in under("optimizer|").items():
        index, field = key.split("|")
        state.setdefault(int(index), {})[field] = value
    groups = learner.optimizer.state_dict()["param_groups"]
    learner.optimizer.load_state_dict({"state": state, "param_groups": groups})
    learner.env.unwrapped.set_state(under("worlds|"))
    learner.observation = learner.env.unwrapped.observe()
    learner.restore_extras(under("extras|"))
    learner.episodes.restore(under("episodes|"), meta["episodes"])
    learner.generator.set_state(arrays["random"])
    learner.timesteps = step
    return float(meta["seconds"])
