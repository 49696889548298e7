# SPDX-License-Identifier: Apache-2.0
"""Differentiable physics environments for robot learning: batched, in SI units, behind Gymnasium.

``import simenv`` registers the tasks with Gymnasium and is light: torch, Warp and the solvers load with the first
environment. The names in ``_LAZY``, and the sub-packages, are imported when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from simenv import _exclusive as _exclusive  # what a forked child starts with
from simenv import _registry
from simenv._registry import list_tasks
from simenv._threads import get_num_threads, let_idle_threads_sleep, set_num_threads
from simenv.errors import ActionError, AssetError, DeviceError, OutOfMemoryError, SimEnvError, SimulationError

if TYPE_CHECKING:
    from simenv.envs.registration import register_task as register_task
    from simenv.envs.task import Task as Task

__version__ = "0.1.0"

let_idle_threads_sleep()

# The only place in simenv/ that names the tasks: id -> (class, control steps per episode).
_BUILTIN_TASKS = {
    "SimEnv/Pouring-v0": ("simenv.tasks.fluids.pouring:Pouring", 80),
    "SimEnv/LatteArt-v0": ("simenv.tasks.fluids.latte_art:LatteArt", 120),
    "SimEnv/BallRoll-v0": ("simenv.tasks.tactile.ball_roll:BallRoll", 60),
    "SimEnv/PegInsertion-v0": ("simenv.tasks.tactile.peg_insertion:PegInsertion", 256),
    "SimEnv/PegPlacement-v0": ("simenv.tasks.tactile.peg_placement:PegPlacement", 288),
    "SimEnv/BoltOnNut-v0": ("simenv.tasks.tactile.bolt_on_nut:BoltOnNut", 324),
    "SimEnv/SoftGrasp-v0": ("simenv.tasks.tactile.soft_grasp:SoftGrasp", 60),
    "SimEnv/Palpate-v0": ("simenv.tasks.tactile.palpate:Palpate", 64),
    "SimEnv/SurfaceFollow-v0": ("simenv.tasks.tactile.surface_follow:SurfaceFollow", 100),
    "SimEnv/TactilePour-v0": ("simenv.tasks.tactile.tactile_pour:TactilePour", 120),
    "SimEnv/CartPole-v0": ("simenv.tasks.reference.cart_pole:CartPole", 500),
    "SimEnv/Hopper-v0": ("simenv.tasks.reference.hopper:Hopper", 1000),
    "SimEnv/Ant-v0": ("simenv.tasks.reference.ant:Ant", 1000),
}

_LAZY = {
    "Task": "simenv.envs.task",
    "register_task": "simenv.envs.registration",
}
_SUBPACKAGES = ("envs", "geometry", "physics", "render", "rollouts", "sensors", "world")

for _task_id, (_entry_point, _steps) in _BUILTIN_TASKS.items():
    _registry.register(_task_id, _entry_point, _steps)
del _task_id, _entry_point, _steps


def __getattr__(name: str) -> Any:
    """Import a public name or sub-package on first use (PEP 562)."""
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
    elif name in _SUBPACKAGES:
        value = importlib.import_module(f"simenv.{name}")
    else:
        raise AttributeError(f"module 'simenv' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_SUBPACKAGES})


__all__ = [
    "ActionError",
    "AssetError",
    "DeviceError",
    "OutOfMemoryError",
    "SimEnvError",
    "SimulationError",
    "Task",
    "__version__",
    "get_num_threads",
    "list_tasks",
    "register_task",
    "set_num_threads",
]
