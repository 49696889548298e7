# SPDX-License-Identifier: Apache-2.0
"""DAgger: as behaviour cloning, but the actor acts and the expert says what it would have done there.

S. Ross, G. Gordon, D. Bagnell, "A reduction of imitation learning and structured prediction to no-regret online
learning", AISTATS 2011. The data are gathered over all iterations, so that errors no longer compound.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from simenv.agents.bc import BC, BCConfig, Expert
from simenv.agents.training import Callback, TrainResult, train

__all__ = ["DAgger", "DAggerConfig", "learn"]


@dataclasses.dataclass(frozen=True)
class DAggerConfig(BCConfig):
    """Options of DAgger."""

    decay: float = 0.0
    """In iteration i (from 0) each world is led by the expert with probability decay^i; 0 for the first iteration
    only, which the paper found best.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.decay <= 1:
            raise ValueError(f"decay = {self.decay}: a probability lies in [0, 1]")


class DAgger(BC):
    """DAgger; see the module."""

    name = "dagger"

    def __init__(self, env: Any, config: DAggerConfig, expert: Expert) -> None:
        super().__init__(env, config, expert)
        self.config: DAggerConfig = config

    def choose(self, expert: torch.Tensor) -> torch.Tensor:
        """The expert's action with probability decay^i, else the actor's."""
        lead = torch.rand(self.num_envs, generator=self.generator, device=self.device) < self.config.decay**self.rounds
        return torch.where(lead[:, None], expert, self.act(self.observation))


def learn(
    env: Any, expert: Expert, config: DAggerConfig | None = None, callback: Callback | None = None
) -> TrainResult:
    """Trains by DAgger; arguments and result as for `bc.learn`, but returns and successes are the acting mixture's."""
    return train(DAgger(env, config or DAggerConfig(), expert), callback)
