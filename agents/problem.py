# SPDX-License-Identifier: Apache-2.0
"""The optimisers' view of an environment: candidates in, returns and gradients out, and one meter for the cost.

Any batched environment with ``num_envs``, ``single_action_space``, ``reset(seed=...)`` and ``rollout(actions (T, N,
A))`` that starts from the current state will do (`simenv.envs.SimVectorEnv`, or an analytic model in a test).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from simenv.agents.parameters import ActionTable
from simenv.physics.device import resolve_device


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """Options common to all trajectory optimisers."""

    seed: int = 0
    """Seed of the episode and of every random draw."""
    same_episode: bool = True
    """All worlds start from the same episode (seed `seed`). False: world i plays the episode of seed `seed` + i, so
    that each start solves its own episode and their returns are not comparable."""
    horizon: int | None = None
    """Control steps T of the action table; None for the task's episode length."""
    knots: int | None = None
    """B-spline control points per action dimension: None for about T / 5, 0 for one free action per control step."""
    starts: int = 16
    """Worlds to make (candidates evaluated at once) when `optimize` gets a factory; a ready environment keeps its own
    number.
    """
    iterations: int = 100
    """Iterations at most."""
    max_simulated_steps: int | None = None
    """Stop after the iteration that spends this many forward control steps, summed over worlds; None for no limit."""
    patience: int | None = None
    """Stop after so many iterations in which the best return did not improve by `tolerance`; None for never."""
    tolerance: float = 1e-3
    """Improvement that counts, relative to the size of the best return."""
    stop_on_success: bool = True
    """Stop `success_patience` iterations after the best actions first succeed."""
    success_patience: int = 0
    """Iterations to go on improving after the first success."""
    diverged_patience: int = 10
    """Give up after so many iterations in a row in which no world was finite."""
    init_scale: float = 1.0
    """Half-width of the random starts, in half action ranges (1 covers the action space)."""
    initial_actions: str | None = None
    """A .npy file of actions (T, A) to start from; None for the task's nominal actions (zero if it has none)."""
    checkpoint_dir: str | None = None
    """Where checkpoints go; None for no checkpoints."""
    checkpoint_every: int = 10
    """Iterations between checkpoints; one is also written at the end and on interruption."""
    resume: bool = False
    """Go on from the last checkpoint in `checkpoint_dir`; without one there, start anew."""

    # Options that may differ between a run and its resumption: they bound or report it but do not steer it.
    MAY_CHANGE = ("iterations", "max_simulated_steps", "checkpoint_dir", "checkpoint_every", "resume", "starts")

    def __post_init__(self) -> None:
        for name in ("starts", "checkpoint_every", "diverged_patience", "horizon", "max_simulated_steps", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} = {value}: it must be at least 1")
        for name in ("iterations", "success_patience", "seed", "knots"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} = {value}: it must not be negative")
        if not 0 <= self.init_scale <= 2:
            raise ValueError(f"init_scale = {self.init_scale}: it must lie in [0, 2] half action ranges")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What came of N candidates, float64 on the CPU."""

    returns: torch.Tensor
    """(N,) returns, NaN where the world failed."""
    success: torch.Tensor
    """(N,) bool."""


class Problem:
    """An environment with the meter running.

    Args:
        env: Batched environment, or a factory ``(num_envs) -> env`` (its environment is closed by `close`).
        config: Common options.

    Raises:
        TypeError: If the environment has no ``rollout``.
        ValueError: If its output is not torch tensors, or an option does not fit it.
    """

    def __init__(self, env: Any, config: SearchConfig) -> None:
        self._owned = not hasattr(env, "reset") and callable(env)
        env = env(config.starts) if self._owned else env
        self.env = getattr(env, "unwrapped", env)
        if not hasattr(self.env, "rollout"):
            raise TypeError(
                f"{type(self.env).__name__} has no rollout(actions); make it with gymnasium.make_vec(id, num_envs=...)"
            )
        if getattr(self.env, "output", "torch") != "torch":
            raise ValueError("the optimisers need an environment made with output='torch'")
        self.num_envs, self.config = int(self.env.num_envs), config
        space = self.env.single_action_space
        self.table = ActionTable(space.low, space.high, config.horizon or episode_length(self.env), config.knots)
        self.device, self.dtype = tensor_options(self.env)
        self.simulated_steps, self.gradient_steps = 0, 0

    def base(self) -> torch.Tensor | None:
        """Control points (K, A) that the searches start from: the given file, the task's nominal actions, or None
        (zero).
        """
        if self.config.initial_actions:
            return load_actions(self.config.initial_actions, self.table)
        task = getattr(self.env, "task", None)
        nominal = task.nominal_actions(self.table.steps) if task is not None else None
        return None if nominal is None else self.table.points(torch.from_numpy(np.asarray(nominal, dtype=np.float64)))

    def reset(self) -> None:
        """Puts every world at the start of its episode."""
        seed = self.config.seed
        self.env.reset(seed=[seed] * self.num_envs if self.config.same_episode else seed)

    def evaluate(self, points: torch.Tensor, horizon: int | None = None) -> Evaluation:
        """Returns of candidates, without gradients, in chunks of `num_envs` worlds.

        The last chunk is filled up with copies of its last candidate; they are simulated, so they are counted.

        Args:
            points: (M, K, A) control points, M any number.
            horizon: Control steps to roll out; None for all.
        """
        returns, success = [], []
        for chunk in points.split(self.num_envs):
            fill = chunk[-1:].expand(self.num_envs - len(chunk), -1, -1)
            with torch.no_grad():
                self.reset()
                values, good, _ = self.rollout(self.table.actions(torch.cat([chunk, fill]))[:horizon])
            returns.append(values.to("cpu", torch.float64)[: len(chunk)])
            success.append(good.cpu()[: len(chunk)])
        return Evaluation(torch.cat(returns), torch.cat(success))

    def rollout(self, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Rolls actions (T, N, A) out from the current state.

        Returns:
            ``(returns, success, ended)``, each (N,), on the environment's device. A world that the simulation gave up
            on (non-zero status) gets return NaN: its reward up to there must not win.
        """
        spare = {"observe": False} if hasattr(self.env, "task") else {}  # returns need no observations
        out = self.env.rollout(actions.to(self.device, self.dtype), **spare)
        self.simulated_steps += actions.shape[0] * actions.shape[1]
        failed = ~torch.isfinite(out.returns.detach())
        if getattr(out, "sim_status", None) is not None:
            failed = failed | (out.sim_status != 0)
        returns = torch.where(failed, torch.full_like(out.returns, torch.nan), out.returns)
        return returns, out.success.bool() & ~failed, out.terminated.bool().any(0)

    def broken_gradients(self) -> torch.Tensor:
        """(N,) how often the environment has cut a non-finite gradient out of each world so far (it puts zeros there),
        int64.
        """
        for name in ("broken_gradients", "_broken_gradients"):
            count = getattr(self.env, name, None)
            if count is not None:
                return count.to("cpu", torch.int64, copy=True)
        return torch.zeros(self.num_envs, dtype=torch.int64)

    def close(self) -> None:
        """Closes the environment if this object made it."""
        if self._owned:
            self.env.close()


def episode_length(env: Any) -> int:
    """Control steps of one episode of `env`.

    Raises:
        ValueError: If the environment does not say.
    """
    for source in (env, getattr(env, "spec", None), getattr(env, "task", None)):
        steps = getattr(source, "max_episode_steps", None)
        if steps:
            return int(steps)
    raise ValueError(f"{type(env).__name__} does not say its max_episode_steps; pass horizon=...")


def tensor_options(env: Any) -> tuple[torch.device, torch.dtype]:
    """Device and floating dtype of an environment's actions (CPU and float32 unless it or its world says otherwise)."""
    device, dtype = torch.device("cpu"), torch.float32
    for source in (getattr(env, "world", None), env):
        device = getattr(source, "device", None) or device
        dtype = getattr(source, "dtype", None) or dtype
    return resolve_device(device), getattr(torch, dtype) if isinstance(dtype, str) else dtype


def load_actions(file: str, table: ActionTable) -> torch.Tensor:
    """Control points (K, A) of the actions in a .npy file.

    Raises:
        ValueError: If the file's shape is not (T, A) or a value is not finite.
    """
    actions = np.load(file, allow_pickle=False)
    if actions.shape != (table.steps, table.size) or not np.isfinite(actions).all():
        raise ValueError(
            f"{file} holds shape {actions.shape}; finite actions of shape {(table.steps, table.size)} are needed"
        )
    return table.points(torch.from_numpy(actions.astype(np.float64)))
