# SPDX-License-Identifier: Apache-2.0
"""Behaviour cloning: an actor learns by regression what an expert does in the states the expert visits.

D. Pomerleau, "ALVINN", NeurIPS 1988. The expert may see more than the actor. The actor never practises: where it leaves
the expert's states its errors compound, quadratically in the horizon (S. Ross, D. Bagnell, AISTATS 2010).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

from simenv.agents.networks import Actor, shapes_of
from simenv.agents.training import Callback, LearnConfig, Learner, TrainResult, train

__all__ = ["BC", "BCConfig", "learn"]

Expert = Callable[[Any], torch.Tensor]
"""Observation of the environment -> actions (N, A)."""


@dataclasses.dataclass(frozen=True)
class BCConfig(LearnConfig):
    """Options of behaviour cloning."""

    gradient_steps: int = 200
    """Gradient steps per iteration, on random transitions of the data set."""
    capacity: int = 200_000
    """Transitions kept, the newest; the data set is part of each checkpoint."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gradient_steps < 1 or self.capacity < 1:
            raise ValueError(f"gradient_steps = {self.gradient_steps}, capacity = {self.capacity}: at least 1")


class Dataset:
    """The newest observations and expert actions, in a ring.

    Args:
        capacity: Transitions kept.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.size, self.position = capacity, 0, 0
        self.data: dict[str, torch.Tensor] = {}

    def add(self, rows: dict[str, torch.Tensor]) -> None:
        """Adds (B, ...) rows."""
        number = len(next(iter(rows.values())))
        if number > self.capacity:
            raise ValueError(f"{number} worlds do not fit into a data set of {self.capacity}; raise capacity")
        if not self.data:
            self.data = {k: v.new_zeros((self.capacity, *v.shape[1:])) for k, v in rows.items()}
        index = (torch.arange(number) + self.position) % self.capacity
        for name, value in rows.items():
            self.data[name][index] = value
        self.position = int(index[-1] + 1) % self.capacity
        self.size = min(self.capacity, self.size + number)

    def state(self) -> dict[str, torch.Tensor]:
        """What is in it, for a checkpoint."""
        used = {f"data|{name}": value[: self.size] for name, value in self.data.items()}
        return used | {"position": torch.tensor(self.position)}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Inverse of `state`."""
        rows = {k.removeprefix("data|"): v for k, v in state.items() if k.startswith("data|")}
        self.add(rows)
        self.position = int(state["position"])


class BC(Learner):
    """Behaviour cloning; see the module.

    Args:
        env: A batched environment.
        config: Options.
        expert: What to imitate.
    """

    name = "bc"

    def __init__(self, env: Any, config: BCConfig, expert: Expert) -> None:
        super().__init__(env, config)
        self.config: BCConfig = config
        self.expert = expert
        shapes = shapes_of(self.actor_view(self.observation))
        self.actor = self.seeded(lambda: Actor(shapes, config.hidden, self.low, self.high))
        self.modules = {"actor": self.actor}
        self.optimizer = torch.optim.Adam(self.actor.parameters(), config.learning_rate, eps=1e-5)
        self.dataset = Dataset(config.capacity)
        self.rounds = 0

    def extras(self) -> dict[str, torch.Tensor]:
        """The data set and the number of iterations."""
        return self.dataset.state() | {"rounds": torch.tensor(self.rounds)}

    def restore_extras(self, extras: dict[str, torch.Tensor]) -> None:
        """Inverse of `extras`."""
        self.rounds = int(extras.pop("rounds"))
        self.dataset.restore(extras)

    def choose(self, expert: torch.Tensor) -> torch.Tensor:
        """What is executed, given what the expert would do (N, A): that."""
        return expert

    @torch.no_grad()
    def collect(self) -> None:
        """One rollout of everybody's states, labelled by the expert."""
        for _ in range(self.config.rollout_steps):
            label = self.expert(self.observation)
            view = self.actor_view(self.observation)
            self.actor.trunk.update(view)
            self.dataset.add({f"seen|{k}": v for k, v in view.items()} | {"label": self.actor.to_normalized(label)})
            self.observation, reward, terminated, truncated, info = self.env.step(self.choose(label))
            self.episodes.add(reward, terminated | truncated, info)
        self.timesteps += self.config.rollout_steps * self.num_envs

    def fit(self) -> float:
        """Regression on random minibatches; the mean squared error in units of half the action range."""
        data, losses = self.dataset.data, []
        for _ in range(self.config.gradient_steps):
            index = torch.randint(
                self.dataset.size, (self.config.batch_size,), generator=self.generator, device=self.device
            )
            seen = {k.removeprefix("seen|"): v[index] for k, v in data.items() if k.startswith("seen|")}
            loss = ((self.actor(seen).mean - data["label"][index]) ** 2).mean()
            self.descend(loss)
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())

    def iterate(self) -> dict[str, float]:
        """One rollout, and a fit."""
        self.collect()
        self.rounds += 1
        return {"train/imitation_loss": self.fit(), "train/samples": float(self.dataset.size)}


def learn(env: Any, expert: Expert, config: BCConfig | None = None, callback: Callback | None = None) -> TrainResult:
    """Clones an expert.

    Args:
        env: A batched environment with ``output="torch"``, ``autoreset_mode="same_step"``.
        expert: What to imitate.
        config: Options.
        callback: Called after each iteration.

    Returns:
        Why it stopped; returns and successes are the expert's, for it acts. Use `training.evaluate` for the actor's.
    """
    return train(BC(env, config or BCConfig(), expert), callback)
