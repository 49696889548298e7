# SPDX-License-Identifier: Apache-2.0
"""Wrappers for batches of torch tensors. Gymnasium's own use NumPy, and its observation wrappers refuse SAME_STEP
autoreset.

None of them waits for the device. For ``output="numpy"`` use Gymnasium's.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from simenv.envs.spaces import UNBOUNDED, map_tensors

__all__ = ["NormalizeObservation", "RecordEpisodeStatistics"]


class _TorchWrapper(VectorWrapper):
    def __init__(self, env: VectorEnv) -> None:
        super().__init__(env)
        if getattr(env.unwrapped, "output", None) != "torch":
            raise TypeError(
                f"{type(self).__name__} works on torch tensors; make the environment with output='torch', or use the "
                "wrapper of the same name in gymnasium.wrappers.vector."
            )
        self.mode: AutoresetMode = env.metadata["autoreset_mode"]

    def _reset_rows(self, options: dict[str, Any] | None, like: torch.Tensor) -> torch.Tensor:
        """(N,) bool: worlds that a reset with these options resets. Others read the options too, so they stay."""
        if options and "reset_mask" in options:
            return torch.as_tensor(options["reset_mask"]).to(like.device)
        return torch.ones_like(like, dtype=torch.bool)


class RecordEpisodeStatistics(_TorchWrapper):
    """Adds ``info["episode"]`` with the mask ``info["_episode"]``: true for worlds whose episode ended in this step.

    Entries (N,): ``r`` return, ``l`` length [control steps], ``t`` wall time [s], ``success_once`` and
    ``success_at_end``. They are always there, 0 or False outside the mask.

    Args:
        env: A batched environment with torch output.
    """

    def __init__(self, env: VectorEnv) -> None:
        super().__init__(env)
        device = env.unwrapped.world.device
        self.returns = torch.zeros(env.num_envs, dtype=torch.float64, device=device)
        self.lengths = torch.zeros(env.num_envs, dtype=torch.int64, device=device)
        self.success_once = torch.zeros(env.num_envs, dtype=torch.bool, device=device)
        self.started = torch.zeros(env.num_envs, dtype=torch.float64, device=device)
        self.ended = torch.zeros(env.num_envs, dtype=torch.bool, device=device)

    def _begin(self, rows: torch.Tensor) -> None:
        self.returns = torch.where(rows, 0.0, self.returns)
        self.lengths = torch.where(rows, 0, self.lengths)
        self.success_once = self.success_once & ~rows
        self.started = torch.where(rows, time.perf_counter(), self.started)
        self.ended = self.ended & ~rows

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset, and forget the statistics of the worlds that were reset."""
        result = self.env.reset(seed=seed, options=options)
        self._begin(self._reset_rows(options, self.ended))
        return result

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step, and report the worlds whose episode ended."""
        observation, reward, terminated, truncated, info = self.env.step(actions)
        # The step after an episode's end only resets (NEXT_STEP) or does nothing (DISABLED): it counts for no episode.
        counts = ~self.ended
        self.returns = self.returns + torch.where(counts, reward.detach().double(), 0.0)
        self.lengths = self.lengths + counts.to(torch.int64)
        self.success_once = self.success_once | (info["success"] & counts)
        done = (terminated | truncated) & counts
        info["episode"] = {
            "r": torch.where(done, self.returns, 0.0),
            "l": torch.where(done, self.lengths, 0),
            "t": torch.where(done, time.perf_counter() - self.started, 0.0),
            "success_once": self.success_once & done,
            "success_at_end": info["success"] & done,
        }
        info["_episode"] = done
        if self.mode is AutoresetMode.SAME_STEP:
            self._begin(done)
        else:
            previous, self.ended = self.ended, terminated | truncated
            self._begin(previous & ~self.ended)  # NEXT_STEP has just reset these
        return observation, reward, terminated, truncated, info


class NormalizeObservation(_TorchWrapper):
    """Shifts and scales observations to zero mean and unit variance, estimated while it runs, in all three autoreset
    modes.

    ``info["final_obs"]`` is transformed too, without counting towards the estimate. Gradients pass through the
    observation, not through the estimate. Uses the batch update of Chan, Golub and LeVeque (1979) in float64.

    Args:
        env: A batched environment with torch output.
        epsilon: Added to the variance.
        clip: Observations are clipped to ``[-clip, clip]`` after scaling; None does not clip.

    Attributes:
        updating: Whether new observations change the estimate; set to False for evaluation.
    """

    def __init__(self, env: VectorEnv, epsilon: float = 1e-8, clip: float | None = None) -> None:
        super().__init__(env)
        self.epsilon = epsilon
        self.clip = clip
        self.updating = True
        single = env.single_observation_space
        self._boxes = single.spaces if isinstance(single, spaces.Dict) else {"": single}
        device = env.unwrapped.world.device
        self.count = torch.zeros((), dtype=torch.float64, device=device)
        self.mean = {
            name: torch.zeros(box.shape, dtype=torch.float64, device=device) for name, box in self._boxes.items()
        }
        self.square = {name: torch.zeros_like(value) for name, value in self.mean.items()}
        for name, box in self._boxes.items():
            if box.dtype.kind != "f":
                raise TypeError(
                    f"Observation {name!r} has dtype {box.dtype}; only floating-point observations can be normalised."
                )
        bound = UNBOUNDED if clip is None else clip
        boxes = {name: spaces.Box(-bound, bound, box.shape, box.dtype) for name, box in self._boxes.items()}
        self.single_observation_space = spaces.Dict(boxes) if isinstance(single, spaces.Dict) else boxes[""]
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset and normalise."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._update_and_apply(observation), info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step and normalise."""
        observation, reward, terminated, truncated, info = self.env.step(actions)
        observation = self._update_and_apply(observation)
        if "final_obs" in info:
            info["final_obs"] = self.apply(info["final_obs"])
        return observation, reward, terminated, truncated, info

    def apply(self, observation: Any) -> Any:
        """Normalise without changing the estimate.

        Args:
            observation: (..., *shape) tensor or dict of them.

        Returns:
            The same nesting, dtype of the input.
        """
        if isinstance(observation, dict):
            return {name: self._scale(value, name) for name, value in observation.items()}
        return self._scale(observation, "")

    def statistics(self) -> dict[str, torch.Tensor]:
        """The estimate as named tensors, for a checkpoint."""
        named = {f"mean.{name}": value for name, value in self.mean.items()}
        named |= {f"square.{name}": value for name, value in self.square.items()}
        return map_tensors(torch.clone, {**named, "count": self.count})

    def load_statistics(self, named: dict[str, torch.Tensor]) -> None:
        """Restore what `statistics` returned.

        Args:
            named: The tensors by name.

        Raises:
            ValueError: If names do not fit this environment.
        """
        if named.keys() != self.statistics().keys():
            raise ValueError(
                f"Statistics have entries {sorted(named)}, this environment needs {sorted(self.statistics())}."
            )
        self.count = named["count"].to(self.count)
        self.mean = {name: named[f"mean.{name}"].to(value) for name, value in self.mean.items()}
        self.square = {name: named[f"square.{name}"].to(value) for name, value in self.square.items()}

    def _update_and_apply(self, observation: Any) -> Any:
        if self.updating:
            with torch.no_grad():
                self._update(observation if isinstance(observation, dict) else {"": observation})
        return self.apply(observation)

    def _update(self, observation: dict[str, torch.Tensor]) -> None:
        batch = self.num_envs
        total = self.count + batch
        for name, value in observation.items():
            value = value.double()
            mean = value.mean(dim=0)
            delta = mean - self.mean[name]
            self.square[name] = (
                self.square[name] + ((value - mean) ** 2).sum(dim=0) + delta**2 * (self.count * batch / total)
            )
            self.mean[name] = self.mean[name] + delta * (batch / total)
        self.count = total

    def _scale(self, value: torch.Tensor, name: str) -> torch.Tensor:
        variance = self.square[name] / self.count.clamp(min=1.0)
        scaled = (value - self.mean[name].to(value.dtype)) / torch.sqrt(variance + self.epsilon).to(value.dtype)
        return scaled if self.clip is None else scaled.clamp(-self.clip, self.clip)
