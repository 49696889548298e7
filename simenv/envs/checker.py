# SPDX-License-Identifier: Apache-2.0
"""`check_vector_env`: does a vector environment keep Gymnasium's contract? Gymnasium's own checker knows single
environments only.

Works on any `VectorEnv`, NumPy or torch, wrapped or not. Every failure names the rule that was broken.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from simenv.envs.spaces import to_numpy

Step = tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


def check_vector_env(env: VectorEnv, seed: int = 0, max_steps: int = 1000) -> None:
    """Check spaces, metadata, seeding, partial resets, info and the autoreset mode. Leaves the environment reset.

    Args:
        env: The environment. Short episodes make the check quick (``max_episode_steps=3``).
        seed: Seed of the resets and of the sampled actions.
        max_steps: Steps within which an episode must end.

    Raises:
        AssertionError: At the first broken rule.
    """
    _check_attributes(env)
    _check_seeding(env, seed)
    _check_reset_mask(env, seed)
    env.reset(seed=seed)
    env.action_space.seed(seed)
    for _ in range(max_steps):
        action = env.action_space.sample()
        result = _step(env, action)
        _check_step(env, result)
        done = result[2] | result[3]
        if done.any():
            _check_end(env, result, done)
            env.reset(seed=seed)
            return
    raise AssertionError(
        f"No episode ended within max_steps={max_steps}; pass an environment with a smaller max_episode_steps."
    )


def _require(condition: Any, rule: str) -> None:
    if not bool(condition):
        raise AssertionError(rule)


def _array(data: Any) -> Any:
    """NumPy copies of arrays or tensors, nested or not."""
    if isinstance(data, Mapping):
        return {name: _array(value) for name, value in data.items()}
    return to_numpy(data) if isinstance(data, torch.Tensor) else copy.deepcopy(data)


def _step(env: VectorEnv, action: np.ndarray) -> Step:
    return tuple(_array(part) for part in env.step(action))


def _rows(data: Any, rows: np.ndarray) -> Any:
    return {name: value[rows] for name, value in data.items()} if isinstance(data, Mapping) else data[rows]


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(_equal(a[name], b[name]) for name in a)
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b)


def _check_attributes(env: VectorEnv) -> None:
    _require(
        isinstance(env.num_envs, int) and env.num_envs >= 1,
        f"num_envs must be a positive integer, got {env.num_envs!r}.",
    )
    for kind in ("observation", "action"):
        single, batched = getattr(env, f"single_{kind}_space"), getattr(env, f"{kind}_space")
        _require(
            batched == batch_space(single, env.num_envs),
            f"{kind}_space is not batch_space(single_{kind}_space, num_envs).",
        )
    mode = env.metadata.get("autoreset_mode")
    _require(isinstance(mode, AutoresetMode), f"metadata['autoreset_mode'] must be an AutoresetMode, got {mode!r}.")
    _require(
        "autoreset_mode" not in type(env.unwrapped).metadata,
        "metadata['autoreset_mode'] is set on the class, which others share.",
    )
    _require(not env.closed, "A new environment says that it is closed.")


def _check_observation(env: VectorEnv, observation: Any, what: str) -> None:
    space = env.observation_space
    _require(observation in space, f"{what} is not in observation_space (shape, dtype, bounds or keys).")
    leaves = observation.values() if isinstance(space, spaces.Dict) else [observation]
    _require(all(np.isfinite(leaf).all() for leaf in leaves), f"{what} is not finite.")


def _check_seeding(env: VectorEnv, seed: int) -> None:
    first, info = env.reset(seed=seed)
    _require(isinstance(info, dict), f"reset() must return a dict of info, got {type(info).__name__}.")
    first, second = _array(first), _array(env.reset()[0])
    _check_observation(env, first, "The observation of reset()")
    again, twice = _array(env.reset(seed=seed)[0]), _array(env.reset()[0])
    _require(_equal(first, again), "reset(seed=s) twice gives different observations.")
    _require(_equal(second, twice), "reset() after reset(seed=s) is not determined by s.")
    listed = _array(env.reset(seed=[seed + i for i in range(env.num_envs)])[0])
    _require(_equal(first, listed), "reset(seed=s) is not reset(seed=[s, s+1, ...]).")


def _check_reset_mask(env: VectorEnv, seed: int) -> None:
    before = _array(env.reset(seed=seed)[0])
    mask = np.zeros(env.num_envs, dtype=np.bool_)
    mask[0] = True
    options = {"reset_mask": mask}
    after = _array(env.reset(options=options)[0])
    _require("reset_mask" in options, "reset() removed 'reset_mask' from the caller's options.")
    _require(
        _equal(_rows(before, ~mask), _rows(after, ~mask)), "reset with a mask changed observations of unmasked worlds."
    )


def _check_step(env: VectorEnv, result: Step) -> None:
    observation, reward, terminated, truncated, info = result
    _check_observation(env, observation, "The observation of step()")
    for name, value, kinds in (
        ("rewards", reward, "f"),
        ("terminated", terminated, "b"),
        ("truncated", truncated, "b"),
    ):
        _require(
            value.shape == (env.num_envs,) and value.dtype.kind in kinds,
            f"{name} must have shape ({env.num_envs},) and dtype kind {kinds!r}, got {value.shape} {value.dtype}.",
        )
    _require(np.isfinite(reward).all(), f"Rewards must be finite, got {reward}.")
    _check_info(info, env.num_envs)


def _check_info(info: Mapping[str, Any], num_envs: int) -> None:
    for name, value in info.items():
        if name.startswith("_"):
            _require(name[1:] in info, f"info has the mask {name!r} without {name[1:]!r}.")
            _require(
                value.shape == (num_envs,) and value.dtype == np.bool_,
                f"info[{name!r}] must be a bool mask ({num_envs},).",
            )
        elif isinstance(value, Mapping):
            _check_info(value, num_envs)
        else:
            numeric = isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and len(value) == num_envs
            _require(
                numeric,
                f"info[{name!r}] must be a numeric array with {num_envs} rows; strings and objects break wrappers.",
            )


def _check_end(env: VectorEnv, result: Step, done: np.ndarray) -> None:
    """What the autoreset mode promises around the end of an episode."""
    mode, last = env.metadata["autoreset_mode"], result[0]
    info = result[4]
    if mode is AutoresetMode.SAME_STEP:
        for name in ("final_obs", "final_info"):
            _require(
                name in info and _equal(info[f"_{name}"], done),
                f"SAME_STEP: info must have {name!r}, masked by who is done.",
            )
        changed = not _equal(_rows(info["final_obs"], done), _rows(last, done))
        _require(changed, "SAME_STEP: the observation of a done world is its last one, not that of the next episode.")
        return
    if mode is AutoresetMode.NEXT_STEP:
        following = _step(env, env.action_space.sample())
        _check_step(env, following)
        _require((following[1][done] == 0).all(), "NEXT_STEP: the step that resets must give reward 0.")
        _require(not (following[2] | following[3])[done].any(), "NEXT_STEP: the step that resets must not be done.")
        _require(
            not _equal(_rows(following[0], done), _rows(last, done)), "NEXT_STEP: the step after the end did not reset."
        )
        return
    observation = _array(env.reset(options={"reset_mask": done})[0])
    _require(
        _equal(_rows(observation, ~done), _rows(last, ~done)), "DISABLED: resetting done worlds changed the others."
    )
    _check_step(env, _step(env, env.action_space.sample()))
