# SPDX-License-Identifier: Apache-2.0
"""Training by the agents on torch tensors, for `simenv train`, the touch benchmark and scripts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simenv.agents.augment import AugmentConfig
    from simenv.agents.training import Callback, LearnConfig, TrainResult

ALGORITHMS = ("ppo", "bc", "dagger", "aacd")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is trained, and on what."""

    id: str
    """Environment."""
    algorithm: str
    """One of `ALGORITHMS`."""
    num_envs: int
    """Worlds simulated together."""
    actor_mode: str | None = None
    """Observation mode of the actor; the task's first by default."""
    critic_mode: str | None = None
    """Observation mode of the critic (ppo, aacd); the actor's by default."""
    expert: Path | None = None
    """Run folder of a policy to imitate (bc, dagger; the task's own controller by default) or of stage 1 (aacd)."""
    freeze_critic: bool = False
    """Keep the critic of stage 1 as it is (aacd)."""
    augment: AugmentConfig | None = None
    """Random changes of the actor's images (ppo, aacd)."""
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Arguments of ``gym.make_vec``."""

    def make_env(self) -> Any:
        """The worlds, with a view for each who looks."""
        from simenv.agents.policy import load_policy
        from simenv.envs.registration import task_class
        from simenv.scripts.common import make_vec, require_task

        require_task(self.id)
        views = {"actor": self.actor_mode or task_class(self.id).observation_modes[0]}
        if self.critic_mode and self.algorithm in ("ppo", "aacd"):
            views["critic"] = self.critic_mode
        if self.algorithm in ("bc", "dagger") and self.expert is not None:
            views["expert"] = getattr(load_policy(self._expert()), "mode", None) or views["actor"]
        options = {"output": "torch", "autoreset_mode": "same_step", "on_bad_action": "clip", "stagger": True}
        return make_vec(self.id, num_envs=self.num_envs, observation_mode=views, **options | self.options)

    def _expert(self) -> Path:
        if self.expert is None:
            raise ValueError(f"{self.algorithm} needs --expert, the folder of a `simenv train` run on the full state")
        return self.expert

    def learner(self, env: Any, values: dict[str, Any]) -> Any:
        """The algorithm on an environment.

        Args:
            env: From `make_env`.
            values: Options of the algorithm by name; those it does not have are left out.
        """
        from simenv.agents.aacd import AACD, AACDConfig
        from simenv.agents.bc import BC, BCConfig
        from simenv.agents.dagger import DAgger, DAggerConfig
        from simenv.agents.ppo import PPO, PPOConfig

        def make(kind: type[LearnConfig], **more: Any) -> Any:
            names = {field.name for field in dataclasses.fields(kind)}
            return kind(**{name: value for name, value in values.items() if name in names} | more)

        if self.algorithm == "ppo":
            return PPO(env, make(PPOConfig, augment=self.augment))
        if self.algorithm == "aacd":
            extra = {"critic": str(self._expert()), "freeze_critic": self.freeze_critic, "augment": self.augment}
            return AACD(env, make(AACDConfig, **extra))
        expert = self._imitated(env)
        return BC(env, make(BCConfig), expert) if self.algorithm == "bc" else DAgger(env, make(DAggerConfig), expert)

    def _imitated(self, env: Any) -> Callable[[Any], Any]:
        """The expert of bc and dagger, from observations to actions."""
        from simenv.agents.policy import load_policy
        from simenv.envs.task import Task

        base = env.unwrapped
        if self.expert is None and type(base.task).expert is not Task.expert:
            return lambda observation: base.task.expert(base.world, base.state, base.episode)
        policy = load_policy(self._expert(), base.world.device)
        if not hasattr(policy, "act"):
            raise ValueError(f"{self.expert} was trained by Stable-Baselines3; train the expert with --algorithm ppo")

        return lambda observation: policy.act(observation, "expert")

    def train(self, values: dict[str, Any], callback: Callback | None = None) -> TrainResult:
        """Trains; the environment is closed at the end."""
        from simenv.agents.training import train

        env = self.make_env()
        try:
            return train(self.learner(env, values), callback)
        finally:
            env.close()

    def evaluate(
        self,
        act: Callable[[Any], Any] | None,
        episodes: int,
        seed: int = 10_000,
        measures: Sequence[str] = ("success",),
    ) -> dict[str, Any]:
        """At least so many whole episodes of the deterministic policy in fresh worlds: `simenv.agents.training.play`.

        Args:
            act: Observation -> actions (N, A); None for whom bc and dagger imitate.
            episodes: Episodes, rounded up to the same number in each world.
            seed: World i starts with seed + i.
            measures: Of the task's judgement.
        """
        from simenv.agents.training import play

        options = self.options | {"stagger": False}
        env = dataclasses.replace(self, options=options).make_env()
        try:
            return play(env, act or self._imitated(env), -(-episodes // self.num_envs), seed, measures)
        finally:
            env.close()
