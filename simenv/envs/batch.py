# SPDX-License-Identifier: Apache-2.0
"""`Batch`: the episodes of N worlds as tensors. No Gymnasium here, and nothing that waits for the device."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from simenv.envs import views
from simenv.envs.actions import ActionChecker
from simenv.envs.random import EpisodeRandom
from simenv.envs.spaces import Observation
from simenv.envs.task import Task, draw_episode

if TYPE_CHECKING:
    from simenv.world import State, World


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one control step led to, in every world.

    Attributes:
        observation: (N, ...) tensor or dict of them, of the state after the step.
        reward: (N,).
        terminated: (N,) bool.
        truncated: (N,) bool.
        info: (N, ...) tensors, ``reward_terms`` nested.
    """

    observation: Observation
    reward: torch.Tensor
    terminated: torch.Tensor
    truncated: torch.Tensor
    info: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Where a batch is, with its tensors as they are, not copied: on their graphs."""

    state: State
    drawn: dict[str, torch.Tensor]
    parameters: dict[str, torch.Tensor]
    elapsed: torch.Tensor
    terminated: torch.Tensor
    truncated: torch.Tensor


class Batch:
    """N worlds, the task they run, and where each is in its episode.

    Args:
        task: The task.
        world: The worlds.
        actions: Validation of actions.
        max_episode_steps: Control steps after which an episode is truncated; None for no limit.
    """

    def __init__(self, task: Task, world: World, actions: ActionChecker, max_episode_steps: int | None) -> None:
        self.task = task
        self.world = world
        self.actions = actions
        self.max_episode_steps = max_episode_steps
        self.state: State | None = None
        self._drawn: dict[str, torch.Tensor] = {}
        self.seed = self._full(0, torch.int64)
        self.episode_index = self._full(0, torch.int64)
        self.elapsed = self._full(0, torch.int64)
        self.terminated = self._full(False, torch.bool)
        self.truncated = self._full(False, torch.bool)

    def _full(self, value: Any, dtype: torch.dtype) -> torch.Tensor:
        return torch.full((self.world.num_worlds,), value, dtype=dtype, device=self.world.device)

    def __getstate__(self) -> dict[str, Any]:
        """For pickling and copying: what decides the future, without graphs, like `get_state`."""
        state = None if self.state is None else self.state.detach()
        return {**vars(self), "state": state, "_drawn": {name: value.detach() for name, value in self._drawn.items()}}

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Put everything back as it was if what is done inside fails or is interrupted."""
        kept, parameters = {**vars(self), "_drawn": dict(self._drawn)}, dict(self.world.parameters)
        try:
            yield
        except BaseException:
            vars(self).update(kept)
            for name, value in parameters.items():
                self.world.parameters[name] = value
            raise

    @property
    def episode(self) -> dict[str, torch.Tensor]:
        """What the task drew, with world parameters as they are now (the caller may have assigned them since)."""
        return {name: self.world.parameters[name] if "." in name else value for name, value in self._drawn.items()}

    @property
    def done(self) -> torch.Tensor:
        """(N,) bool: the episode has ended and has not been reset."""
        return self.terminated | self.truncated

    def random(self) -> EpisodeRandom:
        """The random numbers of the present episode of each world."""
        return EpisodeRandom(self.seed, self.episode_index, self.world.device, self.world.dtype)

    def begin(self, mask: torch.Tensor) -> None:
        """Put the masked worlds at the start of the episode that ``seed`` and ``episode_index`` name.

        Start states are computed for all worlds and selected by the mask: the work is small beside a step, and the host
        never needs to know which worlds reset.

        Args:
            mask: (N,) bool.
        """
        with torch.no_grad():
            drawn = draw_episode(self.task, self.random())
        if self.state is None:
            self._check_drawn(drawn)
        # With gradients on: a parameter that the caller made a leaf keeps its graph in the worlds that go on.
        for name, value in drawn.items():
            old = self.world.parameters[name] if "." in name else self._drawn.get(name, value)
            merged = torch.where(mask.reshape(-1, *([1] * (value.dim() - 1))), value, old)
            if "." in name:
                self.world.parameters[name] = merged
            self._drawn[name] = merged
        with torch.no_grad():
            fresh = self.task.initial_state(self.world, self.episode)
        self.state = fresh if self.state is None else fresh.where(mask, self.state)
        self.elapsed = torch.where(mask, 0, self.elapsed)
        self.terminated = self.terminated & ~mask
        self.truncated = self.truncated & ~mask

    def begin_next(self, mask: torch.Tensor) -> None:
        """Start the following episode of the masked worlds.

        Args:
            mask: (N,) bool.
        """
        self.episode_index = self.episode_index + mask.to(torch.int64)
        self.begin(mask)

    def begin_seeded(
        self, mask: torch.Tensor, seeds: torch.Tensor, seeded: torch.Tensor, stagger: bool, everywhere: bool
    ) -> None:
        """Start the first episode of a new seed in the masked worlds that are given one, the following one in others.

        Args:
            mask: (N,) bool.
            seeds: (N,) int64.
            seeded: (N,) bool, whether a world is given its seed.
            stagger: Whether first episodes start at random times.
            everywhere: Whether the mask is known to hold all worlds.
        """
        with self.all_or_nothing():
            if everywhere:
                self._cut_graph()
            self.seed = torch.where(mask & seeded, seeds, self.seed)
            self.episode_index = torch.where(mask & seeded, -1, self.episode_index)
            self.begin_next(mask)
            if stagger and self.max_episode_steps is not None:
                late = self.random().integers("simenv.stagger", 0, self.max_episode_steps)
                self.elapsed = torch.where(mask & (self.episode_index == 0), late, self.elapsed)

    def _cut_graph(self) -> None:
        """Forget how the present came about: no world goes on, and the next backward must not meet what one freed."""
        if self.state is not None:
            self.state = self.state.detach()
        for name, value in self._drawn.items():
            self._drawn[name] = value.detach()
            if "." in name:
                self.world.parameters[name] = self.world.parameters[name].detach()

    def advance(self, action: torch.Tensor, frozen: torch.Tensor, observe: bool = True) -> Outcome:
        """One control step.

        A frozen world keeps its state, flags and clock and earns nothing. A world whose action is unusable, or whose
        simulation fails, ends alone: reward 0, a status that says why, and no gradient through the step that failed.

        Args:
            action: (N, A), any values.
            frozen: (N,) bool.
            observe: Whether the outcome holds an observation.

        Returns:
            The outcome; ``self.state`` has moved on.
        """
        task, world, episode, before = self.task, self.world, self.episode, self.require_state()
        unusable = ~self.actions.usable(action) & ~frozen
        still = unusable | frozen
        executed = self.actions.execute(action, still)
        stepped = world.step(before, task.control(world, before, executed, episode))
        stepped = task.remember(world, before, executed, stepped, episode)
        held = before.replace(status=before.status | unusable.to(before.status.dtype) * _bad_action_bit())
        after = held.where(still, stepped)
        failed = (after.status != 0) & ~frozen
        if after.requires_grad:
            after = after.detach().where(failed, after)

        terms = task.reward(world, before, executed, after, episode)
        terms = {name: torch.where(frozen | failed, torch.zeros_like(term), term) for name, term in terms.items()}
        self.state = after
        self.elapsed = self.elapsed + (~frozen).to(torch.int64)
        measures = self.judge()
        ended = measures.pop("terminated") | failed
        self.terminated = torch.where(frozen, self.terminated, ended)
        if self.max_episode_steps is not None:
            self.truncated = torch.where(frozen, self.truncated, self.elapsed >= self.max_episode_steps)
        info = {**measures, "reward_terms": {name: term.detach().clone() for name, term in terms.items()}}
        observation = self.observe() if observe else None
        return Outcome(observation, sum(terms.values()), self.terminated, self.truncated, info)

    def observe(self) -> Observation:
        """(N, ...) observation of the present state."""
        return views.observe(self.task, self.world, self.require_state(), self.episode)

    def judge(self) -> dict[str, torch.Tensor]:
        """The task's measures of the present state, without a graph.

        Returns:
            (N, ...) tensors: ``terminated``, ``success`` (False where the simulation has failed), ``sim_status``,
            ``elapsed_steps``, and the task's own.
        """
        state = self.require_state()
        with torch.no_grad():
            measures = dict(self.task.evaluate(self.world, state, self.episode))
        measures = {name: value.detach().clone() for name, value in measures.items()}
        measures.setdefault("terminated", torch.zeros_like(self.terminated))
        measures["success"] = measures["success"] & (state.status == 0)
        measures["sim_status"] = state.status.clone()
        measures["elapsed_steps"] = self.elapsed.clone()
        return measures

    def get_state(self) -> dict[str, torch.Tensor]:
        """Everything that decides the future, as (N, ...) tensors by name; copies without a graph."""
        named = {f"state.{name}": value for name, value in self.require_state().items()}
        named |= {f"episode.{name}": value for name, value in self._drawn.items()}
        named |= {f"parameter.{name}": self.world.parameters[name] for name in self.world.parameters}
        named |= {"rng.seed": self.seed, "rng.episode": self.episode_index, "elapsed_steps": self.elapsed}
        named |= {"terminated": self.terminated, "truncated": self.truncated}
        return {name: value.detach().clone() for name, value in named.items()}

    def set_state(self, named: dict[str, torch.Tensor]) -> None:
        """Restore what `get_state` returned, bit for bit. A tensor that requires a gradient stays on its graph.

        Args:
            named: The tensors by name.

        Raises:
            ValueError: If names, shapes or dtypes are not those of `get_state`.
        """
        present = self.get_state()
        if named.keys() != present.keys():
            raise ValueError(
                f"State lacks {sorted(present.keys() - named.keys())} and has unknown "
                f"{sorted(named.keys() - present.keys())}; "
                "pass what get_state() of an environment of the same task and options returned."
            )
        for name, value in named.items():
            if value.shape != present[name].shape or value.dtype != present[name].dtype:
                raise ValueError(
                    f"{name} has shape {tuple(value.shape)} and dtype {value.dtype}, this environment needs "
                    f"{tuple(present[name].shape)} and {present[name].dtype}; use the same num_envs, dtype and task "
                    "arguments."
                )
        copies = {name: value.to(self.world.device).clone() for name, value in named.items()}
        for name in self.world.parameters:
            self.world.parameters[name] = copies[f"parameter.{name}"]
        prefix = "state."
        fields = {name.removeprefix(prefix): value for name, value in copies.items() if name.startswith(prefix)}
        self.state = type(self.require_state())(fields)
        self._drawn = {name: copies[f"episode.{name}"] for name in self._drawn}
        self.seed, self.episode_index = copies["rng.seed"], copies["rng.episode"]
        self.elapsed, self.terminated, self.truncated = (
            copies[name] for name in ("elapsed_steps", "terminated", "truncated")
        )

    def snapshot(self) -> Snapshot:
        """The present state, episode, parameters and clocks."""
        parameters = {name: self.world.parameters[name] for name in self.world.parameters}
        clocks = (self.elapsed, self.terminated, self.truncated)
        return Snapshot(self.require_state(), dict(self._drawn), parameters, *clocks)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back, or forth, to a snapshot."""
        for name, value in snapshot.parameters.items():
            self.world.parameters[name] = value
        self.state, self._drawn = snapshot.state, dict(snapshot.drawn)
        self.elapsed, self.terminated, self.truncated = snapshot.elapsed, snapshot.terminated, snapshot.truncated

    def require_state(self) -> State:
        """The present state; RuntimeError before the first `begin`."""
        if self.state is None:
            raise RuntimeError("The worlds have no state yet; call reset() first.")
        return self.state

    def _check_drawn(self, drawn: dict[str, torch.Tensor]) -> None:
        worlds = self.world.num_worlds
        for name, value in drawn.items():
            if not isinstance(value, torch.Tensor) or value.dim() < 1 or value.shape[0] != worlds:
                got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
                raise ValueError(
                    f"{type(self.task).__name__}.sample returned {name!r} as {got}; it must be a tensor ({worlds}, "
                    "...)."
                )
            if "." in name and name not in self.world.parameters:
                raise ValueError(
                    f"{type(self.task).__name__}.sample sets {name!r}, which is not a world parameter; there are "
                    f"{', '.join(self.world.parameters)}. Names of episode variables must not contain a dot."
                )
            if "." in name and value.shape != self.world.parameters[name].shape:
                raise ValueError(
                    f"{type(self.task).__name__}.sample returned {name!r} as {tuple(value.shape)}; the world parameter "
                    f"is {tuple(self.world.parameters[name].shape)}."
                )


def _bad_action_bit() -> int:
    from simenv.physics import status  # physics loads Warp, which importing the environments alone should not

    return int(status.BAD_ACTION)
