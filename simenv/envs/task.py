# SPDX-License-Identifier: Apache-2.0
"""`Task`: what one environment means. Batching, resets, time limit, spaces and validation are not its business."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from simenv.envs.random import EpisodeRandom

if TYPE_CHECKING:
    from simenv.world import Control, Scene, State, World

Limits = tuple[Any, Any]


class Task:
    """Base class of tasks. A task writes batched torch and never loops over worlds.

    Every tensor has the world first, (N, ...). Inside a step a method must not ask a tensor's value in Python (``if``,
    ``.item()``, ``.nonzero()``): use masks, so that a GPU never waits for the host. Methods must be pure functions of
    their arguments: whatever changes during an episode lives in the state, whatever is drawn at its start in
    ``episode``. Take exponentials, angles, sums, norms and products of matrices from `simenv.physics.exact`: torch's
    own differ in the last bit with the number of worlds.

    Class attributes:
        action_limits: ``(low, high)``, one number per action component, in the unit of ``action_names``. Keep them
            within [-1, 1] and symmetric (or [0, 1]), which learning libraries expect, and scale to SI units in
            `control`.
        action_names: ``(name, unit)`` of each action component.
        observation_modes: What `observe` can return; the chosen one is ``self.observation_mode``.
        observation_limits: ``(low, high)``, or for observations in a dict ``{name: (low, high)}``; None leaves them
            unbounded. Bounds are promises: an observation outside them is a bug.
        observation_options: Names of attributes that a caller may set by keyword, such as the size of an image; the
            class gives their defaults.
        task_id: Set by `register_task`.
        max_episode_steps: Set by `register_task`.
    """

    action_limits: ClassVar[tuple[tuple[float, ...], tuple[float, ...]]]
    action_names: ClassVar[tuple[tuple[str, str], ...]]
    observation_modes: ClassVar[tuple[str, ...]] = ("state",)
    observation_limits: ClassVar[Limits | Mapping[str, Limits] | None] = None
    observation_options: ClassVar[tuple[str, ...]] = ()
    task_id: ClassVar[str | None] = None
    max_episode_steps: ClassVar[int | None] = None

    observation_mode: str = "state"

    def build(self) -> Scene:
        """Describe one world. Called once.

        Returns:
            The scene, of which all N worlds are copies.
        """
        raise NotImplementedError(f"{type(self).__name__} must define build().")

    def sample(self, random: EpisodeRandom) -> dict[str, torch.Tensor]:
        """Draw the goal and the randomisation of an episode, for all worlds at once.

        Args:
            random: Source of random numbers; give every quantity its own name.

        Returns:
            (N, ...) tensors by name. A name with a dot, such as ``"liquid.viscosity"``, is a world parameter and is set
            for the episode.
        """
        return {}

    def initial_state(self, world: World, episode: dict[str, torch.Tensor]) -> State:
        """The state at the start of an episode, in all worlds.

        Args:
            world: The worlds, with the episode's parameters set.
            episode: What `sample` drew.

        Returns:
            The initial state.
        """
        return world.initial_state()

    def control(self, world: World, state: State, action: torch.Tensor, episode: dict[str, torch.Tensor]) -> Control:
        """Turn actions into what the bodies and emitters do during one control step.

        Args:
            world: The worlds.
            state: The state before the step.
            action: (N, A), finite and within ``action_limits``.
            episode: What `sample` drew.

        Returns:
            The control of the step.
        """
        raise NotImplementedError(f"{type(self).__name__} must define control().")

    def nominal_actions(self, steps: int) -> np.ndarray | None:
        """A plain motion (T, A) in the direction of the goal, from which the optimisers start; None for no motion."""
        return None

    def expert(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> torch.Tensor | None:
        """Actions (N, A) of a controller that may know the true state, for policies to imitate; None if there is none.

        Args:
            world: The worlds.
            state: The state before the step.
            episode: What `sample` drew.
        """
        return None

    def observe(
        self, world: World, state: State, episode: dict[str, torch.Tensor]
    ) -> torch.Tensor | dict[str, torch.Tensor]:
        """What the agent sees.

        Args:
            world: The worlds.
            state: The state to observe.
            episode: What `sample` drew.

        Returns:
            (N, ...) tensor, or a flat dict of them; the same shapes and dtypes every time.
        """
        raise NotImplementedError(f"{type(self).__name__} must define observe().")

    def reward(
        self, world: World, before: State, action: torch.Tensor, after: State, episode: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """The terms of the reward; the reward is their sum.

        Args:
            world: The worlds.
            before: The state before the step.
            action: (N, A) the action as executed.
            after: The state after the step.
            episode: What `sample` drew.

        Returns:
            (N,) tensors by name, at least one.
        """
        raise NotImplementedError(f"{type(self).__name__} must define reward().")

    def remember(
        self, world: World, before: State, action: torch.Tensor, after: State, episode: dict[str, torch.Tensor]
    ) -> State:
        """Write into ``after.memory`` what later steps of the episode need to know, such as the last action or a sum
        over the path; `initial_state` gives its first value. Called after each step, before `reward`.

        Args:
            world: The worlds.
            before: The state before the step.
            action: (N, A) the action as executed.
            after: The state after the step.
            episode: What `sample` drew.

        Returns:
            The state after the step, with its memory.
        """
        return after

    def evaluate(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Judge a state.

        Args:
            world: The worlds.
            state: The state to judge.
            episode: What `sample` drew.

        Returns:
            ``"success"`` (N,) bool; optionally ``"terminated"`` (N,) bool, which ends the episode, and any other (N,
            ...) measures.
        """
        raise NotImplementedError(f"{type(self).__name__} must define evaluate().")

    def marks(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Where pictures show the scene's marks (`Scene.add_mark`): goals and the like.

        Args:
            world: The worlds.
            state: The state that is drawn.
            episode: What `sample` drew.

        Returns:
            Name of a mark -> (N, count, 3) [m], or (N, count, 7) with a quaternion xyzw.
        """
        return {}

    def view(self, episode: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
        """Lower and upper corner (N, 3) of the box that pictures of an episode show [m], and from how far right of the
        front (N,) [rad]; None is the view of the scene.
        """
        return None


def check_task_class(cls: type[Task]) -> None:
    """Refuse a task whose declarations cannot work, when its file is imported rather than in the middle of training.

    Args:
        cls: The task class.

    Raises:
        TypeError: If it is not a Task.
        ValueError: If limits and names of the actions disagree, or a limit is empty or not finite.
    """
    if not (isinstance(cls, type) and issubclass(cls, Task)):
        raise TypeError(f"register_task decorates subclasses of simenv.envs.Task, got {cls!r}.")
    for attribute in ("action_limits", "action_names"):
        if not hasattr(cls, attribute):
            raise ValueError(f"{cls.__name__} lacks the class attribute {attribute}; see simenv.envs.Task.")
    low, high = (torch.tensor(side, dtype=torch.float64) for side in cls.action_limits)
    if low.dim() != 1 or low.shape != high.shape or len(cls.action_names) != low.numel():
        raise ValueError(
            f"{cls.__name__}: action_limits has {low.numel()} lower and {high.numel()} upper values and action_names "
            f"{len(cls.action_names)} entries; they must be three sequences of the same length, one entry per action "
            "component."
        )
    if not bool((torch.isfinite(low) & torch.isfinite(high) & (low < high)).all()):
        raise ValueError(
            f"{cls.__name__}: action_limits {cls.action_limits} must be finite with low < high everywhere."
        )
