# SPDX-License-Identifier: Apache-2.0
"""Asymmetric actor-critic distillation: a critic that has learnt the task teaches a new actor that sees less.

I. Akinola et al., TacSL, arXiv:2408.06506, algorithm 3. Stage 1 is plain PPO with actor and critic on the privileged
state. Stage 2 is PPO on the same reward with a new actor on what a robot sees, while the critic starts from stage 1 and
keeps its privileged input, frozen or fine-tuned. The expert's actions are not used: only its values are.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from simenv.agents.checkpoint import CheckpointError, has_checkpoint, load_checkpoint
from simenv.agents.networks import Critic
from simenv.agents.ppo import PPO, PPOConfig
from simenv.agents.training import Callback, TrainResult, train

__all__ = ["AACD", "AACDConfig", "learn", "load_critic"]


@dataclasses.dataclass(frozen=True)
class AACDConfig(PPOConfig):
    """Options of stage 2."""

    critic: str = ""
    """Folder of the stage-1 run, whose critic is the start."""
    freeze_critic: bool = False
    """Whether the critic stays as it is: the fastest start; fine-tuning ends higher."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.critic:
            raise ValueError("critic is empty; name the folder of a PPO run on the privileged state (stage 1)")


class AACD(PPO):
    """Stage 2; see the module."""

    name = "aacd"

    def __init__(self, env: Any, config: AACDConfig) -> None:
        super().__init__(env, config)
        self.freeze_critic = config.freeze_critic
        load_critic(self.critic, config.critic)


def load_critic(critic: Critic, folder: str | Path) -> None:
    """Puts the critic of a finished run, with its statistics, into a new one.

    Args:
        critic: Changed in place.
        folder: Of a PPO run on torch tensors.

    Raises:
        CheckpointError: If there is none, or it reads other observations.
    """
    if not has_checkpoint(folder):
        raise CheckpointError(f"{folder} holds no checkpoint; train stage 1 first")
    arrays, meta, _ = load_checkpoint(folder)
    prefix = "weights|critic|"
    weights = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
    if not weights:
        raise CheckpointError(f"{folder} is a run of {meta.get('method')!r} without a critic; name one of ppo")
    try:
        critic.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise CheckpointError(
            f"the critic of {folder} does not fit ({' '.join(str(error).split())}); use the observation mode and the "
            "hidden widths of stage 1"
        ) from error


def learn(env: Any, config: AACDConfig, callback: Callback | None = None) -> TrainResult:
    """Stage 2; arguments and result as for `ppo.learn`. Stage 1 is `ppo.learn` with a `checkpoint_dir`."""
    return train(AACD(env, config), callback)
