# SPDX-License-Identifier: Apache-2.0
"""Proximal policy optimisation on torch tensors, with a critic that may see more than the actor.

J. Schulman et al., "Proximal policy optimization algorithms", arXiv:1707.06347; advantages by J. Schulman et al.,
arXiv:1506.02438. The asymmetric critic is L. Pinto et al., RSS 2018: it is needed in training only, so it may read the
privileged state while the actor reads what a robot has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from simenv.agents.augment import Augmentation, AugmentConfig
from simenv.agents.networks import Actor, Critic, shapes_of
from simenv.agents.training import Callback, LearnConfig, Learner, TrainResult, train
from simenv.envs.views import select_view

__all__ = ["PPO", "PPOConfig", "learn"]

View = dict[str, torch.Tensor]


@dataclasses.dataclass(frozen=True)
class PPOConfig(LearnConfig):
    """Options of PPO."""

    epochs: int = 5
    """Passes over the rollout per iteration."""
    gamma: float = 0.99
    """Discount per control step."""
    gae_lambda: float = 0.95
    """Decay of the generalised advantage estimate."""
    clip_range: float = 0.2
    """Limit of the probability ratio's distance from 1."""
    entropy: float = 0.0
    """Weight of the entropy bonus."""
    value_weight: float = 1.0
    """Weight of the critic's squared error."""
    first_std: float = 0.6
    """First standard deviation of the exploration, in half action ranges."""
    critic_keys: tuple[str, ...] = ()
    """Observations the critic reads; none for the view "critic", or what the actor reads where there is none."""
    augment: AugmentConfig | None = None
    """Random changes of the actor's images; the critic sees them as they are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.gamma <= 1 or not 0 <= self.gae_lambda <= 1:
            raise ValueError(
                f"gamma = {self.gamma}, gae_lambda = {self.gae_lambda}: they must lie in (0, 1] and [0, 1]"
            )
        if self.epochs < 1 or not self.clip_range > 0 or not self.first_std > 0:
            raise ValueError("epochs, clip_range and first_std must be positive")


def gae(
    rewards: torch.Tensor,
    values: torch.Tensor,
    next_values: torch.Tensor,
    terminated: torch.Tensor,
    done: torch.Tensor,
    gamma: float,
    gae_lambda: float,
) -> torch.Tensor:
    """Generalised advantage estimates (Schulman et al. 2016, eq. 16), episode by episode.

    Args:
        rewards: (T, N).
        values: (T, N) of the observations before each step.
        next_values: (T, N) of the observations after each step, before any reset.
        terminated: (T, N) bool: nothing follows, the next value counts as 0.
        done: (T, N) bool: terminated or truncated; what follows belongs to another episode.
        gamma: Discount per step.
        gae_lambda: Decay of the estimate.

    Returns:
        (T, N) advantages.
    """
    delta = rewards + gamma * torch.where(terminated, 0.0, next_values) - values
    advantages, running = torch.zeros_like(delta), torch.zeros_like(delta[0])
    for t in reversed(range(len(delta))):
        running = delta[t] + gamma * gae_lambda * torch.where(done[t], 0.0, running)
        advantages[t] = running
    return advantages


def clipped_loss(ratio: torch.Tensor, advantages: torch.Tensor, clip_range: float) -> torch.Tensor:
    """The clipped surrogate (Schulman et al. 2017, eq. 7), negated, averaged over a batch (B,)."""
    clipped = ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
    return -torch.minimum(ratio * advantages, clipped * advantages).mean()


@dataclasses.dataclass
class Rollout:
    """Transitions of T steps in N worlds."""

    seen: View
    """(T, N, ...) what the actor read, changed images included."""
    state: View
    """(T, N, ...) what the critic read."""
    drawn: torch.Tensor
    """(T, N, A) normalised actions as drawn, before clipping."""
    log_prob: torch.Tensor
    """(T, N) their log density."""
    values: torch.Tensor
    """(T, N)."""
    advantages: torch.Tensor
    """(T, N)."""

    def flat(self) -> Rollout:
        """The same with time and worlds as one axis."""

        def join(value: Any) -> Any:
            return {k: v.flatten(0, 1) for k, v in value.items()} if isinstance(value, dict) else value.flatten(0, 1)

        return Rollout(**{field.name: join(getattr(self, field.name)) for field in dataclasses.fields(self)})


class Storage:
    """Grows (T, N, ...) tensors step by step; copies, since observations may share the environment's memory."""

    def __init__(self, steps: int) -> None:
        self.steps, self.data = steps, {}

    def put(self, step: int, **values: Any) -> None:
        """Values of one step: tensors, or dicts of tensors."""
        for name, value in values.items():
            parts = {f"{name}|{k}": v for k, v in value.items()} if isinstance(value, Mapping) else {name: value}
            for key, part in parts.items():
                if key not in self.data:
                    self.data[key] = part.new_empty((self.steps, *part.shape))
                self.data[key][step] = part

    def get(self, name: str) -> Any:
        """What was put under a name."""
        if name in self.data:
            return self.data[name]
        return {key.split("|", 1)[1]: value for key, value in self.data.items() if key.startswith(f"{name}|")}


class PPO(Learner):
    """PPO; see the module."""

    name = "ppo"
    freeze_critic = False

    def __init__(self, env: Any, config: PPOConfig) -> None:
        super().__init__(env, config)
        self.config: PPOConfig = config
        view = self.actor_view(self.observation)
        self.actor = self.seeded(lambda: Actor(shapes_of(view), config.hidden, self.low, self.high, config.first_std))
        state = shapes_of(self.critic_view(self.observation))
        self.critic: Critic = self.seeded(lambda: Critic(state, config.hidden))
        self.modules = {"actor": self.actor, "critic": self.critic}
        parameters = [p for module in self.modules.values() for p in module.parameters()]
        self.optimizer = torch.optim.Adam(parameters, config.learning_rate, eps=1e-5)
        self.images = self.actor.trunk.images
        self.augmentation = None
        if config.augment is not None:
            if not self.images:
                raise ValueError(f"augment is set, but the actor reads no image ({', '.join(view)}); leave it out")
            self.augmentation = Augmentation(config.augment, self.num_envs, self.generator)

    def critic_view(self, observation: Any) -> View:
        """What the critic reads."""
        keys = self.config.critic_keys
        views = isinstance(observation, Mapping) and any(name.startswith("critic/") for name in observation)
        return select_view(observation, "critic", keys) if keys or views else self.actor_view(observation)

    def extras(self) -> dict[str, torch.Tensor]:
        """Drawn changes of images."""
        return {} if self.augmentation is None else {"augment": self.augmentation.numbers}

    def restore_extras(self, extras: dict[str, torch.Tensor]) -> None:
        """Inverse of `extras`."""
        if self.augmentation is not None:
            self.augmentation.numbers = extras["augment"]

    def _look(self) -> View:
        view = self.actor_view(self.observation)
        if self.augmentation is None:
            return view
        return {name: self.augmentation(value) if name in self.images else value for name, value in view.items()}

    @torch.no_grad()
    def collect(self) -> tuple[Rollout, torch.Tensor]:
        """One rollout, and its returns (T, N) for the critic."""
        c = self.config
        storage = Storage(c.rollout_steps)
        for step in range(c.rollout_steps):
            seen, state = self._look(), self.critic_view(self.observation)
            policy = self.actor(seen)
            noise = torch.randn(policy.mean.shape, generator=self.generator, device=self.device)
            drawn = policy.mean + policy.stddev * noise
            log_prob, value = policy.log_prob(drawn).sum(-1), self.critic.value(state)
            storage.put(step, seen=seen, state=state, drawn=drawn, log_prob=log_prob, value=value)
            self.observation, reward, terminated, truncated, info = self.env.step(self.actor.to_actions(drawn))
            done = terminated | truncated
            after = self.critic.value(self.critic_view(info["final_obs"]))
            storage.put(step, reward=reward.to(torch.float32), after=after, terminated=terminated, done=done)
            self.episodes.add(reward, done, info)
            if self.augmentation is not None:
                self.augmentation.begin(done)
        self.timesteps += c.rollout_steps * self.num_envs
        get = storage.get
        rewards, values, after, terminated, done = (
            get(name) for name in ("reward", "value", "after", "terminated", "done")
        )
        advantages = gae(rewards, values, after, terminated, done, c.gamma, c.gae_lambda)
        rollout = Rollout(get("seen"), get("state"), get("drawn"), get("log_prob"), get("value"), advantages)
        return rollout, advantages + get("value")

    def iterate(self) -> dict[str, float]:
        """One rollout and its updates."""
        rollout, returns = self.collect()
        flat, returns = rollout.flat(), returns.flatten()
        if not self.freeze_critic:
            self.critic.returns.update(returns[:, None])
        metrics = self.update(flat, returns)
        # After the updates: the log densities of the rollout belong to the old statistics.
        self.actor.trunk.update(flat.seen)
        if not self.freeze_critic:
            self.critic.trunk.update(flat.state)
        return metrics

    def update(self, flat: Rollout, returns: torch.Tensor) -> dict[str, float]:
        """Several passes over a rollout in random minibatches."""
        c = self.config
        targets = self.critic.returns(returns[:, None]).squeeze(-1)
        advantages = (flat.advantages - flat.advantages.mean()) / (flat.advantages.std() + 1e-8)
        rows = []
        for _ in range(c.epochs):
            order = torch.randperm(len(returns), generator=self.generator, device=self.device)
            for index in order.split(min(c.batch_size, len(order))):
                policy = self.actor({name: value[index] for name, value in flat.seen.items()})
                log_ratio = policy.log_prob(flat.drawn[index]).sum(-1) - flat.log_prob[index]
                ratio = log_ratio.exp()
                surrogate = clipped_loss(ratio, advantages[index], c.clip_range)
                entropy = policy.entropy().sum(-1).mean()
                loss = surrogate - c.entropy * entropy
                error = torch.zeros_like(loss)
                if not self.freeze_critic:
                    value = self.critic({name: part[index] for name, part in flat.state.items()})
                    error = 0.5 * ((value - targets[index]) ** 2).mean()
                self.descend(loss + c.value_weight * error)
                kl = ((ratio - 1) - log_ratio).mean()
                clipped = ((ratio - 1).abs() > c.clip_range).float().mean()
                rows.append(torch.stack([surrogate, error, entropy, kl, clipped]).detach())
        means = torch.stack(rows).mean(0).tolist()
        names = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction")
        unexplained = (returns - flat.values.flatten()).var() / (returns.var() + 1e-8)
        metrics = {f"train/{name}": value for name, value in zip(names, means, strict=True)}
        return metrics | {"train/explained_variance": 1.0 - float(unexplained)}


def learn(env: Any, config: PPOConfig | None = None, callback: Callback | None = None) -> TrainResult:
    """Trains a policy by PPO.

    Args:
        env: A batched environment with ``output="torch"``, ``autoreset_mode="same_step"``.
        config: Options.
        callback: Called after each iteration.

    Returns:
        Why it stopped; ``model.act(observation)`` is the policy.
    """
    return train(PPO(env, config or PPOConfig()), callback)
