# SPDX-License-Identifier: Apache-2.0
"""`Task`: what one environment means. Batching, resets, time limit, spaces and validation are not its business."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from simenv.envs.arguments import Argument, declared_arguments, unknown_argument
from simenv.envs.random import EpisodeRandom
from simenv.envs.randomisation import Range

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

    What a caller may choose is declared by `Argument`; what must be computed from it once, before `build`, is computed
    in ``__init__(self, **arguments)``, after ``super().__init__(**arguments)``.

    Args:
        **arguments: Values of the declared arguments.

    Raises:
        TypeError: For an argument that is not declared, or of another kind than its default.
        ValueError: For a value beyond its limits.

    Class attributes:
        action_limits: ``(low, high)``, one number per action component, in the unit of ``action_names``. Keep them
            within [-1, 1] and symmetric (or [0, 1]), which learning libraries expect, and scale to SI units in
            `control`.
        action_names: ``(name, unit)`` of each action component.
        observation_modes: What `observe` can return; the chosen one is ``self.observation_mode``.
        observation_limits: ``(low, high)``, or for observations in a dict ``{name: (low, high)}``; None leaves them
            unbounded. Bounds are promises: an observation outside them is a bug.
        observation_names: Names of the components of an observation that is one vector, for recordings; None for none.
        task_id: Set by `register_task`.

    Attributes:
        arguments: The value of each argument, as given or its default: JSON values, which recordings keep.
        max_episode_steps: Control steps of an episode: the caller's limit, set before `build`; without a limit the
            registered one, so that rewards may refer to it (``last = time > dt * (self.max_episode_steps - 1.5)``).
        observation_mode: What is observed; or a dict of several modes by name, each of which `observe` sees in its turn
            (`simenv.envs.views`).
        randomize: Whether the parameters of `randomisation` are drawn. An argument of tasks that have some.
    """

    action_limits: ClassVar[tuple[tuple[float, ...], tuple[float, ...]]]
    action_names: ClassVar[tuple[tuple[str, str], ...]]
    observation_modes: ClassVar[tuple[str, ...]] = ("state",)
    observation_limits: ClassVar[Limits | Mapping[str, Limits] | None] = None
    observation_names: ClassVar[tuple[str, ...] | None] = None
    task_id: ClassVar[str | None] = None

    arguments: Mapping[str, Any]
    max_episode_steps: int | None = None
    observation_mode: str | Mapping[str, str] = "state"
    randomize = Argument(False, "draw the physical parameters of the randomisation for each episode")

    def __init__(self, **arguments: Any) -> None:
        cls, declared = type(self), self.declared_arguments()
        for name in arguments:
            if name not in declared:
                raise unknown_argument(cls.task_id or cls.__name__, name, declared)
        self.arguments = {name: arguments.get(name, each.default) for name, each in declared.items()}
        for name, each in declared.items():
            vars(self)[name] = each.value(self.arguments[name], cls.task_id or cls.__name__)

    @classmethod
    def declared_arguments(cls) -> dict[str, Argument[Any]]:
        """The task's arguments by name."""
        declared = declared_arguments(cls)
        if cls.randomisation is Task.randomisation:
            declared.pop("randomize", None)
        return declared

    def build(self) -> Scene:
        """Describe one world. Called once.

        Returns:
            The scene, of which all N worlds are copies.
        """
        raise NotImplementedError(f"{type(self).__name__} must define build().")

    def sample(self, random: EpisodeRandom) -> dict[str, torch.Tensor]:
        """Draw what differs from episode to episode, such as the goal, for all worlds at once.

        Args:
            random: Source of random numbers; give every quantity its own name.

        Returns:
            (N, ...) tensors by name. A name with a dot, such as ``"liquid.viscosity"``, is a world parameter and is set
            for the episode.
        """
        return {}

    def randomisation(self) -> dict[str, Range]:
        """The physical parameters that are drawn for each episode if the caller says ``randomize=True``.

        Returns:
            The range of each world parameter, by name.
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

    def twist_to_action(self, twist: torch.Tensor) -> torch.Tensor | None:
        """The action (N, A) that moves the tool with a twist (N, 6) [m/s, rad/s], so that recorded motions can be
        replayed through the task's actions; None if no action does.
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


def draw_episode(task: Task, random: EpisodeRandom) -> dict[str, torch.Tensor]:
    """What an episode of a task draws: its `sample`, and with ``randomize`` its `randomisation`.

    Args:
        task: The task.
        random: Source of random numbers.

    Returns:
        (N, ...) tensors by name.
    """
    drawn = dict(task.sample(random))
    if task.randomize:
        drawn |= {name: each.draw(random, name) for name, each in task.randomisation().items()}
    return drawn


def check_task_class(cls: type[Task]) -> None:
    """Refuse a task whose declarations cannot work, when its file is imported rather than in the middle of training.

    Args:
        cls: The task class.

    Raises:
        TypeError: If it is not a Task, or has arguments that are not declared.
        ValueError: If limits and names of the actions disagree, a limit is empty or not finite, or the default of an
            argument is refused.
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
    _check_arguments(cls)


def _check_arguments(cls: type[Task]) -> None:
    if "observation_options" in dir(cls):
        raise TypeError(
            f"{cls.__name__}.observation_options is no more: declare each as an attribute of the class, "
            "image_size = Argument((64, 64), 'rows and columns of the image')."
        )
    own = list(inspect.signature(cls.__init__).parameters.values())[1:]
    plain = [each.name for each in own if each.kind is not each.VAR_KEYWORD]
    if plain or not own:
        example = f"{plain[0]} = Argument(..., 'what it is')" if plain else "stiffness = Argument(2e4, 'of the block')"
        raise TypeError(
            f"{cls.__name__}.__init__ takes {', '.join(plain) or 'no arguments'}; declare what a caller may choose as "
            f"attributes of the class, {example}, and let __init__(self, **arguments) call "
            "super().__init__(**arguments), or leave it out."
        )
    for each in cls.declared_arguments().values():
        each.value(each.default, cls.__name__)
