# SPDX-License-Identifier: Apache-2.0
"""Stable-Baselines3 on the batched environment.

Work per step on the host is vectorised but for the worlds that are done. Rewards and flags come from the device in one
copy, and true last observations only of the worlds that are done. The bridge reports ``episode`` itself, so no Monitor
is needed.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from simenv._extras import missing
from simenv.envs.registration import make_bridged_env
from simenv.envs.spaces import map_tensors, to_numpy
from simenv.envs.vector_env import SimVectorEnv

try:
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise missing("stable-baselines3", "rl", "simenv.envs.sb3") from error

__all__ = ["SB3VecEnv", "make_sb3_env"]


class SB3VecEnv(VecEnv):
    """A SAME_STEP torch `SimVectorEnv` as a Stable-Baselines3 VecEnv. Must be the outermost wrapper of the environment.

    Args:
        env: The batched environment, with ``output="torch"`` and ``autoreset_mode="same_step"``.

    Raises:
        ValueError: If the environment has another output or mode.
    """

    def __init__(self, env: SimVectorEnv) -> None:
        if env.autoreset_mode is not AutoresetMode.SAME_STEP or env.output != "torch":
            raise ValueError(
                f"The bridge needs output='torch' and autoreset_mode='same_step', got {env.output!r} and "
                f"{env.autoreset_mode.name}; use make_sb3_env, which sets both."
            )
        self.env = env
        checker = env.action_checker
        self._checker = dataclasses.replace(checker, low=checker.low.cpu(), high=checker.high.cpu())
        self._nobody = torch.zeros(env.num_envs, dtype=torch.bool)
        self._action: torch.Tensor | None = None
        # Of the running episodes, under the names of Monitor: return, length, and each term of the reward.
        self._sums: dict[str, np.ndarray] = {}
        self._started = np.zeros(env.num_envs)
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.metadata["render_fps"] = env.metadata["render_fps"]

    def reset(self) -> Any:
        """Start an episode in every world, with the seeds given to ``seed()`` if any.

        Returns:
            (N, ...) observations.

        Raises:
            ValueError: If options were set; the environment has none that apply to all worlds.
        """
        if any(self._options):
            raise ValueError(
                f"set_options({self._options[0]}...): simenv environments take no reset options through SB3."
            )
        seeded = any(seed is not None for seed in self._seeds)
        observation, _ = self.env.reset(seed=list(self._seeds) if seeded else None)
        self._reset_seeds()
        self._sums = {}
        self._started[:] = time.perf_counter()
        return to_numpy(observation)

    def step_async(self, actions: np.ndarray) -> None:
        """Take the actions of the next step.

        Args:
            actions: (N, A).

        Raises:
            ActionError: As for an environment with NumPy output.
        """
        action = self._checker.to_tensor(actions)
        self._checker.require_usable(action, self._nobody)
        self._action = action

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Step.

        Returns:
            Observations (of the next episode where one has ended), rewards (N,), done (N,), and N info dicts. Only
            those of worlds that are done have entries; the others are one shared empty dict.
        """
        observation, reward, terminated, truncated, info = self.env.step(self._action)
        terms = {name: term for name, term in info["reward_terms"].items() if not name.startswith("_")}  # masks
        columns = [reward, terminated, truncated, *terms.values()]
        rewards, ended, limited, *parts = torch.stack([column.double() for column in columns]).cpu().numpy()
        done = (ended + limited) > 0
        step = {"r": rewards, "l": np.ones(self.num_envs, dtype=np.int64)}
        step |= {f"reward/{name}": part for name, part in zip(terms, parts, strict=True)}
        self._sums = {name: self._sums.get(name, 0) + value for name, value in step.items()}
        empty: dict[str, Any] = {}
        infos = [empty] * self.num_envs
        worlds = np.flatnonzero(done)
        if worlds.size:
            self._report(infos, worlds, info, limited > ended)
        return to_numpy(observation), rewards.astype(np.float32), done, infos

    def _report(
        self, infos: list[dict[str, Any]], worlds: np.ndarray, info: dict[str, Any], only_limited: np.ndarray
    ) -> None:
        index = torch.from_numpy(worlds).to(info["_final_obs"].device)
        chosen = {name: info[name] for name in ("final_obs", "success", "sim_status")}
        rows = to_numpy(map_tensors(lambda tensor: tensor[index], chosen))
        now = time.perf_counter()
        for k, i in enumerate(worlds):
            infos[i] = {
                "terminal_observation": map_tensors(lambda array, k=k: array[k], rows["final_obs"]),
                "TimeLimit.truncated": bool(only_limited[i]),
                "episode": {
                    **{name: value[i].item() for name, value in self._sums.items()},
                    "t": round(now - self._started[i], 6),
                },
                "is_success": bool(rows["success"][k]),
                "sim_status": int(rows["sim_status"][k]),
            }
        for sums in self._sums.values():
            sums[worlds] = 0

    def close(self) -> None:
        """Release the environment."""
        self.env.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """N pictures, or N times None without a render mode."""
        return self.env.render() or [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The batched environment's attribute, once per index: all worlds share it."""
        value = getattr(self.env, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of the batched environment.

        Raises:
            ValueError: If only some worlds are meant: they share their attributes.
        """
        chosen = list(self._get_indices(indices))
        if len(chosen) != self.num_envs:
            raise ValueError(
                f"set_attr({attr_name!r}) for worlds {chosen}: attributes are shared; set it for all worlds."
            )
        setattr(self.env, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Call a method of the batched environment once, and give its result for each index."""
        result = getattr(self.env, method_name)(*method_args, **method_kwargs)
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """True for Monitor, whose work the bridge does; False for any other wrapper."""
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]


def make_sb3_env(task_id: str, num_envs: int = 1, seed: int | None = None, **kwargs: Any) -> SB3VecEnv:
    """Make a Stable-Baselines3 environment.

    Args:
        task_id: The id of a registered task.
        num_envs: Number of worlds.
        seed: World i starts with ``seed + i``.
        **kwargs: As for ``gymnasium.make_vec``, but for ``output`` and ``autoreset_mode``, which the bridge fixes.
            ``stagger=True`` spreads time limits, which saves PPO its one critic call per truncated world in the same
            step.

    Returns:
        The environment, ready for ``PPO("MlpPolicy", env)``.

    Raises:
        TypeError: If ``output`` or ``autoreset_mode`` is given.
    """
    fixed = {"output": "torch", "autoreset_mode": "same_step"}
    env = SB3VecEnv(make_bridged_env("make_sb3_env", task_id, num_envs, fixed, kwargs))
    if seed is not None:
        env.seed(seed)
    return env
