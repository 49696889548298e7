# SPDX-License-Identifier: Apache-2.0
"""Feedback policies by PPO and SAC, as implemented by Stable-Baselines3, with checkpoints that hold all of a training
run.

Proximal policy optimisation: J. Schulman et al., arXiv:1707.06347. Soft actor-critic: T. Haarnoja et al.,
arXiv:1801.01290.

Training proceeds in iterations (one rollout and its updates). After each, everything that decides the future can be
written down: weights, optimisers, replay buffer, random number generators, normalisation, and the state of every world
in the middle of its episode. A run resumed from there repeats the numbers of one that was never stopped (on the CPU).
"""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simenv._extras import missing
from simenv.agents.checkpoint import CheckpointError, has_checkpoint, load_checkpoint, save_checkpoint
from simenv.agents.policy import flat_space, flatten, save_policy
from simenv.agents.result import Code
from simenv.agents.sb3_state import capture, restore
from simenv.agents.training import Callback, TrainResult, finish_on_interrupt
from simenv.physics.device import resolve_device


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Options common to both algorithms."""

    timesteps: int = 200_000
    """Control steps to train for, summed over worlds; the last one is completed in all worlds (SAC), or the last
    rollout (PPO).
    """
    seed: int = 0
    """Seed of the networks, the exploration and the episodes (world i starts with seed + i)."""
    num_envs: int = 16
    """Worlds to make, when `train` gets a factory."""
    learning_rate: float = 3e-4
    """Adam's learning rate."""
    gamma: float = 0.99
    """Discount per control step."""
    batch_size: int = 256
    """Transitions per gradient step."""
    net_arch: tuple[int, ...] = (128, 128)
    """Widths of the hidden layers of policy and value networks."""
    normalize: bool = True
    """Scale observations and rewards by running statistics."""
    device: str = "cpu"
    """Where the networks live; small ones are faster on the CPU even if the simulation is not."""
    checkpoint_dir: str | None = None
    """Where checkpoints and the policy go; None for none."""
    checkpoint_every: int = 10
    """Iterations between checkpoints; one is also written at the end and on interruption."""
    resume: bool = False
    """Go on from the last checkpoint in `checkpoint_dir`; without one there, start anew."""

    MAY_CHANGE = ("timesteps", "num_envs", "checkpoint_dir", "checkpoint_every", "resume", "device")

    def __post_init__(self) -> None:
        for name in ("timesteps", "num_envs", "batch_size", "checkpoint_every", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)}: it must be positive")
        if any(width < 1 for width in self.net_arch):
            raise ValueError(f"net_arch = {tuple(self.net_arch)}: each layer must have at least 1 unit")
        if not 0 < self.gamma <= 1:
            raise ValueError(f"gamma = {self.gamma}: it must lie in (0, 1]")


@dataclasses.dataclass(frozen=True)
class PPOConfig(TrainConfig):
    """Options of PPO."""

    rollout_steps: int = 64
    """Control steps of each world per iteration."""
    epochs: int = 10
    """Passes over the rollout per iteration."""
    gae_lambda: float = 0.95
    """Decay of the generalised advantage estimate."""
    clip_range: float = 0.2
    """Limit of the probability ratio's distance from 1."""
    entropy: float = 0.0
    """Weight of the entropy bonus."""


@dataclasses.dataclass(frozen=True)
class SACConfig(TrainConfig):
    """Options of SAC."""

    rollout_steps: int = 64
    """Control steps of each world per iteration; gradient steps come after each single one of them."""
    buffer_size: int = 100_000
    """Transitions in the replay buffer, which is part of each checkpoint."""
    learning_starts: int = 1_000
    """Control steps, over all worlds, of random actions before the first gradient step."""
    gradient_steps: int = -1
    """Gradient steps per control step of the batch; -1 for as many as there are worlds."""
    tau: float = 0.005
    """Rate at which the target networks follow."""
    normalize: bool = False
    """Scale observations and rewards by running statistics."""


def algorithm(config: PPOConfig | SACConfig) -> str:
    """Name of the algorithm, "ppo" or "sac"."""
    return "sac" if isinstance(config, SACConfig) else "ppo"


def make_model(env: Any, config: PPOConfig | SACConfig) -> Any:
    """A Stable-Baselines3 model on a VecEnv.

    Raises:
        DeviceError: If the configuration's device is not there.
        ImportError: If Stable-Baselines3 is not installed.
    """
    device = resolve_device(config.device)  # Stable-Baselines3 would take the CPU without a word
    try:
        from stable_baselines3 import PPO, SAC
    except ImportError as error:
        raise missing("stable-baselines3", "rl", "training by PPO or SAC of Stable-Baselines3") from error
    common = {
        "learning_rate": config.learning_rate,
        "gamma": config.gamma,
        "seed": config.seed,
        "device": device,
        "policy_kwargs": {"net_arch": list(config.net_arch)},
    }
    if isinstance(config, SACConfig):
        return SAC(
            "MlpPolicy",
            env,
            batch_size=config.batch_size,
            buffer_size=config.buffer_size,
            learning_starts=config.learning_starts,
            train_freq=1,
            gradient_steps=config.gradient_steps,
            tau=config.tau,
            **common,
        )
    return PPO(
        "MlpPolicy",
        env,
        n_steps=config.rollout_steps,
        batch_size=min(config.batch_size, config.rollout_steps * env.num_envs),
        n_epochs=config.epochs,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_range,
        ent_coef=config.entropy,
        **common,
    )


def _make_logger() -> tuple[Any, dict[str, float]]:
    """A Stable-Baselines3 logger, and the dictionary that holds the numbers of its latest dump."""
    from stable_baselines3.common.logger import KVWriter, Logger

    latest: dict[str, float] = {}

    class Keep(KVWriter):
        def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
            latest.clear()
            latest.update({k: float(v) for k, v in key_values.items() if isinstance(v, (int, float, np.number))})

        def close(self) -> None:
            pass

    return Logger(None, [Keep()]), latest


def train(env: Any, config: PPOConfig | SACConfig, callback: Callback | None = None) -> TrainResult:
    """Trains a policy.

    Args:
        env: A Stable-Baselines3 VecEnv, such as `simenv.envs.sb3.make_sb3_env` makes, or a factory ``(num_envs) ->
            VecEnv`` (its environment is closed at the end).
        config: `PPOConfig` or `SACConfig`.
        callback: Called after each iteration.

    Returns:
        Why it stopped, and the model. With a `checkpoint_dir` the policy is in its subfolder ``policy``
        (`simenv.agents.policy`).

    Raises:
        CheckpointError: When resuming from a damaged checkpoint or one of another run.
        ImportError: If Stable-Baselines3 is not installed.
        TypeError: If the observations are neither vectors nor dictionaries of arrays.
    """
    owned = not hasattr(env, "step")
    env = env(config.num_envs) if owned else env
    try:
        with finish_on_interrupt() as stop:
            return _train(env, config, callback, stop)
    finally:
        if owned:
            env.close()


def _train(env: Any, config: PPOConfig | SACConfig, callback: Callback | None, stop: threading.Event) -> TrainResult:
    model, statistics = _prepare(env, config)
    logger, metrics = _make_logger()
    model.set_logger(logger)
    env.seed(config.seed)
    elapsed = 0.0
    if config.resume and has_checkpoint(config.checkpoint_dir):
        elapsed = _resume(model, statistics, config)
    started, iteration, code, saved = time.perf_counter() - elapsed, 0, None, model.num_timesteps
    size, fixed = config.rollout_steps * env.num_envs, isinstance(config, PPOConfig)  # PPO's rollouts have one length
    try:
        while code is None and model.num_timesteps < config.timesteps:
            try:
                left = size if fixed else min(size, config.timesteps - model.num_timesteps)
                model.learn(left, log_interval=None, reset_num_timesteps=False)
            except ValueError:  # torch refuses a distribution with a NaN mean
                if _finite(model):
                    raise
            if not _finite(model):
                code = Code.DIVERGED  # the last good checkpoint stays the last
                break
            model.dump_logs()
            metrics.update(_reward_terms(model))
            iteration += 1
            if config.checkpoint_dir and iteration % config.checkpoint_every == 0:
                _save(model, statistics, config, time.perf_counter() - started)
                saved = model.num_timesteps
            if (callback is not None and callback(model.num_timesteps, metrics)) or stop.is_set():
                code = Code.INTERRUPTED
        if config.checkpoint_dir and code is not Code.DIVERGED and saved != model.num_timesteps:
            _save(model, statistics, config, time.perf_counter() - started)
    except KeyboardInterrupt:
        code = Code.INTERRUPTED  # in the middle of an iteration: the last checkpoint stands
    seconds = time.perf_counter() - started
    returns = [episode["r"] for episode in model.ep_info_buffer or ()]
    success = list(model.ep_success_buffer or ())
    return TrainResult(
        code=code or Code.MAX_SIMULATED_STEPS,
        timesteps=int(model.num_timesteps),
        episode_return=float(np.mean(returns)) if returns else math.nan,
        success_rate=float(np.mean(success)) if success else math.nan,
        seconds=seconds,
        model=model,
        episodes=len(returns),
    )


def _reward_terms(model: Any) -> dict[str, float]:
    """Means per episode over the last 100, where the environment tells them (`simenv.envs.sb3` does)."""
    rows = list(model.ep_info_buffer or ())
    names = dict.fromkeys(name for row in rows for name in row if name.startswith("reward/"))
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}


def _finite(model: Any) -> bool:
    return all(bool(torch.isfinite(p).all()) for p in model.policy.parameters())


def flat_env(env: Any) -> Any:
    """The VecEnv with vector observations: a dictionary's parts are joined in order, as `Policy` does too.

    Raises:
        TypeError: If the observations are neither vectors nor dictionaries of arrays.
    """
    space, names = flat_space(env.observation_space)
    if not names:
        return env
    from stable_baselines3.common.vec_env import VecEnvWrapper

    class Flat(VecEnvWrapper):
        def __init__(self) -> None:
            super().__init__(env, observation_space=space)
            self.names = names

        def reset(self) -> np.ndarray:
            return flatten(self.venv.reset(), names)

        def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
            observation, reward, done, infos = self.venv.step_wait()
            for i in np.flatnonzero(done):
                last = flatten(infos[i]["terminal_observation"], names, batched=False)
                infos[i] = {**infos[i], "terminal_observation": last}
            return flatten(observation, names), reward, done, infos

    return Flat()


def _prepare(env: Any, config: PPOConfig | SACConfig) -> tuple[Any, Any]:
    env = flat_env(env)
    if not config.normalize:
        return make_model(env, config), None
    from stable_baselines3.common.vec_env import VecNormalize

    statistics = VecNormalize(env, gamma=config.gamma)
    return make_model(statistics, config), statistics


def _options(config: PPOConfig | SACConfig) -> dict[str, Any]:
    options = {k: v for k, v in dataclasses.asdict(config).items() if k not in config.MAY_CHANGE}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}


def _save(model: Any, statistics: Any, config: PPOConfig | SACConfig, seconds: float) -> None:
    arrays, meta = capture(model, statistics)
    meta |= {"method": algorithm(config), "config": _options(config), "seconds": seconds, "worlds": model.n_envs}
    # A replay buffer may be large, so SAC keeps one checkpoint only.
    keep = 1 if isinstance(config, SACConfig) else 3
    save_checkpoint(config.checkpoint_dir, model.num_timesteps, arrays, meta, keep=keep)  # type: ignore[arg-type]
    folder = Path(config.checkpoint_dir) / "policy"  # type: ignore[arg-type]
    save_policy(folder, model, algorithm(config), config.net_arch, statistics, model.num_timesteps)


def _resume(model: Any, statistics: Any, config: PPOConfig | SACConfig) -> float:
    arrays, meta, _ = load_checkpoint(config.checkpoint_dir)  # type: ignore[arg-type]
    wanted = {"method": algorithm(config), "worlds": model.n_envs, **_options(config)}
    found = {"method": meta.get("method"), "worlds": meta.get("worlds"), **meta.get("config", {})}
    differing = [
        f"{k}: {found.get(k)!r} there, {wanted.get(k)!r} now" for k in wanted | found if found.get(k) != wanted.get(k)
    ]
    if "bridge|_returns" in arrays:
        raise CheckpointError(
            f"{config.checkpoint_dir} was written by an earlier version of simenv, and cannot go on; start anew"
        )
    if differing:
        raise CheckpointError(
            f"{config.checkpoint_dir} belongs to a run with other options ({'; '.join(differing)}); use the same "
            "options, or another directory to start anew"
        )
    restore(model, statistics, arrays, meta)
    return float(meta["seconds"])
