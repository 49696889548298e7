# SPDX-License-Identifier: Apache-2.0
"""What the episodes of a training run were like: return, length, success and reward terms of the last hundred."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import torch

KEPT = 100
RETURN, LENGTH, SUCCESS = "rollout/ep_rew_mean", "rollout/ep_len_mean", "rollout/success_rate"


class Episodes:
    """Sums over the running episodes, and their means over the last 100 that have ended.

    Args:
        num_envs: Number of worlds.
        device: Where rewards are.
    """

    def __init__(self, num_envs: int, device: torch.device) -> None:
        self.empty = torch.zeros(num_envs, dtype=torch.float64, device=device)
        self.running: dict[str, torch.Tensor] = {}
        self.ended: list[tuple[torch.Tensor, dict[str, torch.Tensor]]] = []
        self.last: deque[dict[str, float]] = deque(maxlen=KEPT)

    def __len__(self) -> int:
        """Episodes that the means are over."""
        self._collect()
        return len(self.last)

    def add(self, reward: torch.Tensor, done: torch.Tensor, info: Mapping[str, Any]) -> None:
        """One step of all worlds; does not wait for the device.

        Args:
            reward: (N,).
            done: (N,) bool.
            info: Of the step: ``success``, and ``reward_terms`` if there are.
        """
        told = info.get("reward_terms", {})
        terms = {f"reward/{name}": term for name, term in told.items() if not name.startswith("_")}  # masks
        step = {RETURN: reward, LENGTH: torch.ones_like(reward), **terms}
        sums = {name: self.running.get(name, self.empty) + value for name, value in step.items()}
        self.ended.append((done.clone(), {**sums, SUCCESS: info["success"].to(torch.float64)}))
        self.running = {name: torch.where(done, 0.0, value) for name, value in sums.items()}

    def metrics(self) -> dict[str, float]:
        """Means per episode over the last 100; NaN before the first ends. Those of the reward terms add up to the
        return.
        """
        self._collect()
        names = {RETURN: None, LENGTH: None, SUCCESS: None} | dict.fromkeys(name for row in self.last for name in row)
        return {name: _mean([row[name] for row in self.last if name in row]) for name in names}

    def state(self) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
        """Sums of the running episodes by name, and the rows of the last ones, for a checkpoint."""
        self._collect()
        return dict(self.running), list(self.last)

    def restore(self, running: Mapping[str, torch.Tensor], last: list[dict[str, float]]) -> None:
        """Inverse of `state`."""
        self.running = dict(running)
        self.last = deque(last, maxlen=KEPT)

    def _collect(self) -> None:
        for done, sums in self.ended:
            columns = {name: value[done].tolist() for name, value in sums.items()}
            self.last.extend(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        self.ended.clear()


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan
