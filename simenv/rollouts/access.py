# SPDX-License-Identifier: Apache-2.0
"""One view on the single and on the batched environment, and what a manifest says about either."""

import json
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from simenv.errors import DeviceError
from simenv.physics.device import resolve_device
from simenv.rollouts.errors import RolloutError
from simenv.rollouts.manifest import versions

# Wrappers of `gym.make` that pass actions through untouched. Any other one could make the recorded action
# differ from the one the simulator got, and a replay would silently do something else.
_TRANSPARENT = {"PassiveEnvChecker", "OrderEnforcing", "TimeLimit", "RecordEpisodeStatistics"}
# Arguments that decide how the environment talks, not what it simulates.
_NOT_TASK = {
    "autoreset_mode", "copy", "device", "differentiable", "dtype", "max_episode_steps", "num_envs", "output",
    "render_mode", "render_size", "stagger", "task_id", "vectorization_mode",
}  # fmt: skip


class Access:
    """The batched core of an environment, with batched NumPy in and out.

    Attributes:
        env: The environment as given.
        core: Its ``SimVectorEnv``.
        batched: Whether ``env`` itself is batched.
        num_worlds: N.
        autoreset: "next_step", "same_step" or "disabled".
        max_episode_steps: Time limit in control steps, None without one.
    """

    def __init__(self, env: gym.Env | gym.vector.VectorEnv):
        layer, limit = env, None
        while isinstance(layer, gym.Wrapper | gym.vector.VectorWrapper):
            if type(layer).__name__ not in _TRANSPARENT:
                raise RolloutError(
                    f"{type(layer).__name__} may change actions, so a replay would not reproduce them; "
                    "put the recorder inside it: give Recorder the environment that gym.make or gym.make_vec returned"
                )
            limit = getattr(layer, "_max_episode_steps", limit)
            layer = layer.env
        self.env = env
        self.batched = isinstance(layer, gym.vector.VectorEnv)
        self.core = layer if self.batched else getattr(layer, "vector", None)
        if not hasattr(self.core, "get_state"):
            raise RolloutError(
                f"{type(layer).__name__} is not a simenv environment; make one with gym.make('SimEnv/...')"
            )
        self.num_worlds = int(self.core.num_envs)
        spec = layer.spec
        self.max_episode_steps = spec.kwargs.get("max_episode_steps") if self.batched and spec else limit
        mode = self.core.metadata.get("autoreset_mode", "disabled")
        self.autoreset = str(getattr(mode, "name", mode)).lower() if self.batched else "disabled"

    def batch(self, value: Any) -> Any:
        """Give a leading world axis of 1 to what a single environment returned."""
        if self.batched:
            return value
        if isinstance(value, dict):
            return {key: self.batch(item) for key, item in value.items()}
        return np.asarray(value)[None]

    def state_rows(self) -> dict[str, np.ndarray]:
        """The complete state, name -> (N, ...)."""
        return {name: host(value) for name, value in self.core.get_state().items()}


def describe(env: gym.Env | gym.vector.VectorEnv) -> dict:
    """What a manifest holds to rebuild the environment, as JSON types.

    Raises:
        RolloutError: The environment was not made through Gymnasium's registry, or an argument is not JSON.
    """
    access = Access(env)
    core, spec = access.core, env.spec or access.core.spec
    if spec is None:
        raise RolloutError("the environment has no spec to rebuild it from; make it with gym.make or gym.make_vec")
    world = core.world
    description = {
        "id": spec.id,
        "arguments": dict(core.task.arguments),  # all of them, should a default change
        "kwargs": {key: value for key, value in spec.kwargs.items() if key not in _NOT_TASK},
        "max_episode_steps": access.max_episode_steps,
        "device": str(world.device),
        "dtype": str(world.dtype).removeprefix("torch."),
        "control_dt": float(world.dt),
        "substeps": int(world.substeps),
        "substep_dt": float(world.dt) / int(world.substeps),
        "units": "SI (m, s, kg, N, rad, Pa); quaternions xyzw; world frame, z up",
        "action": _channels(core),
        "observation": _observation(core.single_observation_space, core.task),
        "state": {name: {"unit": field.unit, "about": field.about} for name, field in world.fields.items()},
        "versions": versions(),
    }
    try:
        return json.loads(json.dumps(description, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise RolloutError(f"task arguments {spec.kwargs} are not JSON ({error}); use plain values") from error


def make(description: dict, *, device: str | None = None, **overrides: Any) -> gym.vector.VectorEnv:
    """Rebuild the environment of a manifest as a batch of one world that never resets itself.

    Args:
        description: From :func:`describe`.
        device: Where to simulate; the recorded device by default.
        **overrides: Other ``gym.make_vec`` arguments.

    Raises:
        RolloutError: Unknown id, arguments refused, or the recorded device is missing here.
    """
    import simenv  # noqa: F401  (registers the tasks)

    device = device or description["device"]
    try:
        resolve_device(device)
    except DeviceError as error:
        whence = "recorded on" if device == description["device"] else "asked for"
        raise RolloutError(f"{whence} {device}: {error} To replay on the CPU, add --device cpu.") from error
    options = {
        "num_envs": 1,
        "device": device,
        "output": "torch",
        "dtype": description["dtype"],
        "autoreset_mode": "disabled",
        "max_episode_steps": description["max_episode_steps"],
        **description.get("arguments", {}),
        **description["kwargs"],
        **overrides,
    }
    try:
        return gym.make_vec(description["id"], **options)
    except (gym.error.Error, TypeError) as error:
        raise RolloutError(
            f"cannot rebuild {description['id']} with {description['kwargs']}: {error}; "
            f"import the module that registers the task, or use simenv {description['versions'].get('simenv')}"
        ) from error


def host(value: Any) -> np.ndarray:
    """A NumPy copy of a tensor or array that no later step can change."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    return np.array(value)


def _channels(core: Any) -> list[dict]:
    space = core.single_action_space
    low, high = np.broadcast_to(space.low, space.shape), np.broadcast_to(space.high, space.shape)
    return [
        {"name": str(entry[0]), "unit": str(entry[1]), "low": float(low[i]), "high": float(high[i])}
        for i, entry in enumerate(core.task.action_names)
    ]


def _observation(space: gym.Space, task: Any) -> dict:
    spaces = space.spaces if isinstance(space, gym.spaces.Dict) else {"observation": space}
    described: dict[str, dict] = {
        key: {"shape": list(item.shape), "dtype": str(item.dtype)} for key, item in spaces.items()
    }
    names = task.observation_names
    if names is not None and not isinstance(space, gym.spaces.Dict):
        if space.shape != (len(names),):
            raise RolloutError(
                f"{type(task).__name__}.observation_names has {len(names)} names for an observation of "
                f"shape {space.shape}; give one for each component, or None"
            )
        described["observation"]["names"] = list(names)
    return described
