# SPDX-License-Identifier: Apache-2.0
"""Registration of tasks, and the entry points that Gymnasium calls."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import gymnasium

from simenv import _registry
from simenv.envs.arguments import unknown_argument, with_arguments
from simenv.envs.options import suggestion
from simenv.envs.single import SimEnv
from simenv.envs.task import Task, check_task_class
from simenv.envs.time_limit import limit_from_make
from simenv.envs.vector_env import SimVectorEnv
from simenv.envs.views import choose_modes


def _keywords(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(
        name for name, kind in inspect.signature(function).parameters.items() if kind.kind is kind.KEYWORD_ONLY
    )


T = TypeVar("T", bound=Task)

_VECTOR_OPTIONS = ("observation_mode", *_keywords(SimVectorEnv))
_SINGLE_OPTIONS = ("observation_mode", *_keywords(SimEnv))


def register_task(task_id: str, max_episode_steps: int) -> Callable[[type[T]], type[T]]:
    """Class decorator that makes a task available to ``gymnasium.make`` and ``gymnasium.make_vec``.

    Args:
        task_id: Gymnasium id such as ``"SimEnv/Pouring-v0"``.
        max_episode_steps: Control steps after which an episode is truncated.

    Returns:
        The decorator; it returns the class itself.

    Raises:
        TypeError: If the class is not a `Task`, or takes arguments that it does not declare.
        ValueError: If its declarations are inconsistent or the id belongs to another class.
    """

    def decorate(cls: type[T]) -> type[T]:
        check_task_class(cls)
        cls.__doc__ = cls.__doc__ and with_arguments(cls.__doc__, cls.declared_arguments())
        cls.task_id = task_id
        cls.max_episode_steps = max_episode_steps
        _registry.register(task_id, f"{cls.__module__}:{cls.__qualname__}", max_episode_steps, cls)
        return cls

    return decorate


def task_class(task_id: str) -> type[Task]:
    """The class registered under an id, importing its module if needed.

    Args:
        task_id: The id.

    Returns:
        The task class.

    Raises:
        KeyError: If the id is unknown, naming the closest.
    """
    if task_id not in _registry.TASKS:
        known = _registry.list_tasks()
        raise KeyError(f"Unknown task {task_id!r}.{suggestion(task_id, known)} Registered tasks: {', '.join(known)}.")
    cls = _registry.load_task(task_id)
    if cls.task_id is None:  # listed in the table, but its file forgot the decorator
        raise ValueError(
            f"{cls.__name__} is listed as {task_id} but not decorated; add @register_task({task_id!r}, ...)."
        )
    return cls


def make_vector_env(task_id: str, num_envs: int = 1, **kwargs: Any) -> SimVectorEnv:
    """Entry point of ``gymnasium.make_vec``.

    Args:
        task_id: The id of a registered task.
        num_envs: Number of worlds.
        **kwargs: Options of `SimVectorEnv`, ``observation_mode``, and arguments of the task. ``max_episode_steps``
            defaults to the registered one.

    Returns:
        The batched environment.

    Raises:
        TypeError: For an unknown argument, naming the closest.
    """
    options, arguments = _split(kwargs, _VECTOR_OPTIONS)
    cls = task_class(task_id)
    options.setdefault("max_episode_steps", cls.max_episode_steps)
    task = _make_task(cls, arguments, options.pop("observation_mode", cls.observation_modes[0]), _VECTOR_OPTIONS)
    return SimVectorEnv(task, num_envs, **options)


def make_bridged_env(
    bridge: str, task_id: str, num_envs: int, fixed: dict[str, Any], kwargs: dict[str, Any]
) -> SimVectorEnv:
    """`make_vector_env` for a bridge to another library, which fixes some options itself.

    Args:
        bridge: Name of the function that the caller used.
        task_id: The id of a registered task.
        num_envs: Number of worlds.
        fixed: The bridge's options.
        kwargs: The caller's.

    Raises:
        TypeError: If the caller gave one of the fixed options.
    """
    given = sorted(fixed.keys() & kwargs)
    if given:
        raise TypeError(f"{bridge} sets {' and '.join(given)} itself; leave it out.")
    return make_vector_env(task_id, num_envs, **fixed, **kwargs)


def make_env(task_id: str, **kwargs: Any) -> gymnasium.Env:
    """Entry point of ``gymnasium.make``, which adds the time limit as a wrapper.

    Args:
        task_id: The id of a registered task.
        **kwargs: Options of `SimEnv`, ``observation_mode``, and arguments of the task.

    Returns:
        The single NumPy environment; with ``render_mode="human"`` in Gymnasium's wrapper, which shows its pictures in
        a window.

    Raises:
        DependencyNotInstalled: For ``render_mode="human"`` without pygame.
        TypeError: For an unknown argument, naming the closest.
    """
    if kwargs.get("render_mode") == "human":
        return _in_a_window(task_id, kwargs)
    options, arguments = _split(kwargs, _SINGLE_OPTIONS)
    cls = task_class(task_id)
    task = _make_task(cls, arguments, options.pop("observation_mode", cls.observation_modes[0]), _SINGLE_OPTIONS)
    limit = limit_from_make(task_id)
    task.max_episode_steps = cls.max_episode_steps if limit is None else limit
    return SimEnv(task, **options)


# Gymnasium looks here to decide on wrappers for render modes such as "rgb_array_list". With "human" in the list it
# leaves that mode to make_env; its own way fails in the first reset where pygame is missing.
make_env.metadata = {"render_modes": [*SimEnv.metadata["render_modes"], "human"]}  # type: ignore[attr-defined]


def _in_a_window(task_id: str, kwargs: dict[str, Any]) -> gymnasium.Env:
    if importlib.util.find_spec("pygame") is None:
        raise gymnasium.error.DependencyNotInstalled(
            "render_mode='human' shows a window by pygame, which is not installed: pip install pygame. Without "
            "a window make the environment with render_mode='rgb_array' and call render(), or write a video with "
            "simenv.envs.record_video.RecordVideo."
        )
    return gymnasium.wrappers.HumanRendering(make_env(task_id, **kwargs | {"render_mode": "rgb_array"}))


def _make_task(
    cls: type[Task],
    arguments: dict[str, Any],
    observation_mode: str | Mapping[str, str],
    environment_options: Sequence[str],
) -> Task:
    """Construct the task.

    Args:
        cls: The task class.
        arguments: Its keyword arguments.
        observation_mode: One of ``cls.observation_modes``, its blocks in any order, or a dict of several by name.
        environment_options: Names that are options of the environment, for suggestions.

    Raises:
        TypeError: For an unknown argument, naming the closest, or one of another kind than its default.
        ValueError: For a value beyond its limits, or a mode that there is not.
    """
    known = cls.declared_arguments()
    for name in arguments:
        if name not in known:
            raise unknown_argument(cls.task_id or cls.__name__, name, known, environment_options)
    task = cls(**arguments)
    if "arguments" not in vars(task):
        raise TypeError(f"{cls.__name__}.__init__ must call super().__init__(**arguments), which sets the arguments.")
    task.observation_mode = choose_modes(observation_mode, cls.observation_modes)
    return task


def _split(kwargs: dict[str, Any], option_names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    options = {name: value for name, value in kwargs.items() if name in option_names}
    return options, {name: value for name, value in kwargs.items() if name not in option_names}
