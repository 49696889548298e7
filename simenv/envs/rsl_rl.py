# SPDX-License-Identifier: Apache-2.0
"""rsl_rl on the batched environment: tensors stay on the device, every world restarts as it ends."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium.vector import AutoresetMode

from simenv._extras import missing
from simenv.envs.registration import make_bridged_env
from simenv.envs.spaces import Observation
from simenv.envs.vector_env import SimVectorEnv

try:
    from rsl_rl.env import VecEnv
    from tensordict import TensorDict
except ImportError as error:
    raise missing("rsl-rl-lib", "rl", "simenv.envs.rsl_rl") from error

__all__ = ["RslRlVecEnv", "make_rsl_rl_env"]

ONLY = "state"  # the group of an observation that is one tensor


class RslRlVecEnv(VecEnv):
    """A SAME_STEP torch `SimVectorEnv` as an rsl_rl VecEnv.

    The keys of a dict observation are the observation groups that ``obs_groups`` of the runner's configuration names;
    a single tensor is the group ``"state"``. Groups are float32: vectors and force fields (N, D), images (N, C, H, W)
    from 0 to 1. A Gaussian policy knows no bounds, so that the environment should clip actions.

    Args:
        env: The batched environment, with ``output="torch"`` and ``autoreset_mode="same_step"``.
        clip_observations: Largest magnitude of what a policy sees, in the units of the observation.

    Raises:
        ValueError: If the environment has another output or mode, no time limit, or raises on actions out of range.
    """

    def __init__(self, env: SimVectorEnv, clip_observations: float = 1e4) -> None:
        mode, bad = env.autoreset_mode, env.action_checker.mode
        if mode is not AutoresetMode.SAME_STEP or env.output != "torch" or bad != "clip":
            raise ValueError(
                f"The bridge needs output='torch', autoreset_mode='same_step' and on_bad_action='clip', got "
                f"{env.output!r}, {mode.name} and {bad!r}; use make_rsl_rl_env, which sets them."
            )
        if env.max_episode_steps is None:
            raise ValueError("rsl_rl needs a time limit; give max_episode_steps.")
        self.env, self.clip_observations = env, clip_observations
        self.num_envs, self.device = env.num_envs, env.world.device
        self.num_actions = env.single_action_space.shape[0]
        self.max_episode_length = env.max_episode_steps
        self.cfg = {"task": env.task.task_id, "num_envs": env.num_envs}
        with torch.inference_mode(False), torch.no_grad():
            self._observation = self._groups(env.reset()[0])

    @property
    def episode_length_buf(self) -> torch.Tensor:
        """Steps of the running episodes (N,) int64. Assigning shifts the time limits, as the runner does to spread
        them.
        """
        return self.env.get_state()["elapsed_steps"]

    @episode_length_buf.setter
    def episode_length_buf(self, steps: torch.Tensor) -> None:
        self.env.set_state(self.env.get_state() | {"elapsed_steps": steps})

    def get_observations(self) -> TensorDict:
        """The present observation groups."""
        return self._observation

    def step(self, actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict]:
        """Step all worlds.

        Args:
            actions: (N, A).

        Returns:
            Observations (of the next episode where one has ended), rewards (N,) float32, whether an episode has ended
            (N,) int64, and extras: ``time_outs`` (N,), true where only the time limit ended it, and under ``log`` the
            success rate of the episodes that have ended.
        """
        # the state outlives the runner's inference mode
        with torch.inference_mode(False), torch.no_grad():
            observation, reward, terminated, truncated, info = self.env.step(actions.detach().clone())
            self._observation = self._groups(observation)
            done = terminated | truncated
            extras: dict[str, Any] = {"time_outs": truncated & ~terminated}
            if bool(done.any()):
                extras["log"] = {"/success": info["success"][done].float().mean()}
        return self._observation, reward.float(), done.long(), extras

    def close(self) -> None:
        """Release the environment."""
        self.env.close()

    def _groups(self, observation: Observation) -> TensorDict:
        named = observation if isinstance(observation, dict) else {ONLY: observation}
        return TensorDict(
            {name: self._group(value) for name, value in named.items()}, batch_size=[self.num_envs], device=self.device
        )

    def _group(self, value: torch.Tensor) -> torch.Tensor:
        if value.dtype == torch.uint8:
            return value.permute(0, 3, 1, 2).float() / 255.0
        return value.flatten(1).float().clamp(-self.clip_observations, self.clip_observations)


def make_rsl_rl_env(task_id: str, num_envs: int, **kwargs: Any) -> RslRlVecEnv:
    """Make an rsl_rl environment.

    Args:
        task_id: The id of a registered task.
        num_envs: Number of worlds.
        **kwargs: As for ``gymnasium.make_vec``, but for ``output``, ``autoreset_mode`` and ``on_bad_action``, which the
            bridge fixes.

    Returns:
        The environment, ready for ``rsl_rl.runners.OnPolicyRunner``.

    Raises:
        TypeError: If one of the fixed options is given.
    """
    fixed = {"output": "torch", "autoreset_mode": "same_step", "on_bad_action": "clip"}
    return RslRlVecEnv(make_bridged_env("make_rsl_rl_env", task_id, num_envs, fixed, kwargs))
