# SPDX-License-Identifier: Apache-2.0
"""`check_vector_env` accepts Gymnasium's own environments and names the rule that a broken one breaks."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, VectorWrapper

from simenv.envs import check_vector_env
from tests.envs.splash_task import Splash


def make(mode: str = "next_step", **kwargs: Any) -> Any:
    options = {"num_envs": 3, "device": "cpu", "max_episode_steps": 2, "autoreset_mode": mode}
    return gym.make_vec(Splash.task_id, **{**options, **kwargs})


class PoliteSync(gym.vector.SyncVectorEnv):
    """Gymnasium's own vector environment, but for the one thing it does to its caller: it removes the mask."""

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        return super().reset(seed=seed, options=dict(options) if options else None)


def pendulum() -> gym.Env:
    return gym.wrappers.DtypeObservation(gym.make("Pendulum-v1", max_episode_steps=3), np.float32)


def test_gymnasiums_own_vector_environment_passes() -> None:
    for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED):
        check_vector_env(PoliteSync([pendulum, pendulum], autoreset_mode=mode))


def test_gymnasiums_two_deviations_are_named() -> None:
    with pytest.raises(AssertionError, match="removed 'reset_mask' from the caller's options"):
        check_vector_env(gym.vector.SyncVectorEnv([pendulum, pendulum]))
    with pytest.raises(AssertionError, match=r"info\['final_obs'\] must be a numeric array"):  # it holds objects
        check_vector_env(PoliteSync([pendulum, pendulum], autoreset_mode=AutoresetMode.SAME_STEP))


class Broken(VectorWrapper):
    """Applies a function to what `step` or `reset` returns."""

    def __init__(self, env: Any, step: Callable | None = None, reset: Callable | None = None) -> None:
        super().__init__(env)
        self._step, self._reset = step, reset

    def step(self, actions: Any) -> Any:
        result = list(self.env.step(actions))
        return tuple(self._step(*result) if self._step else result)

    def reset(self, **kwargs: Any) -> Any:
        result = self.env.reset(**kwargs)
        return self._reset(*result) if self._reset else result


def noisy(observation: np.ndarray, info: dict) -> tuple:
    return observation + np.random.default_rng().normal(size=observation.shape).astype(observation.dtype), info


@pytest.mark.parametrize(
    ("mode", "step", "reset", "message"),
    [
        ("next_step", None, noisy, "twice gives different observations"),
        ("next_step", None, lambda o, i: (o, [i]), "must return a dict of info, got list"),
        ("next_step", lambda o, r, t, u, i: (o[:, :3], r, t, u, i), None, "is not in observation_space"),
        ("next_step", lambda o, r, t, u, i: (o, r * np.nan, t, u, i), None, "Rewards must be finite"),
        ("next_step", lambda o, r, t, u, i: (o, r[:1], t, u, i), None, r"rewards must have shape \(3,\)"),
        ("next_step", lambda o, r, t, u, i: (o, r, t.astype(int), u, i), None, "terminated must have shape"),
        (
            "next_step",
            lambda o, r, t, u, i: (o, r, t, u, {**i, "x": "text"}),
            None,
            r"info\['x'\] must be a numeric array",
        ),
        ("next_step", lambda o, r, t, u, i: (o, r, t, u, {**i, "_y": t}), None, "mask '_y' without 'y'"),
        ("next_step", lambda o, r, t, u, i: (o, r - 1, t, u, i), None, "must give reward 0"),
        ("same_step", lambda o, r, t, u, i: (i.get("final_obs", o), r, t, u, i), None, "is its last one"),
        (
            "same_step",
            lambda o, r, t, u, i: (o, r, t, u, {k: v for k, v in i.items() if "final" not in k}),
            None,
            "must have 'final_obs'",
        ),
    ],
)
def test_broken_rules_are_named(mode: str, step: Callable | None, reset: Callable | None, message: str) -> None:
    check_vector_env(make(mode))
    with pytest.raises(AssertionError, match=message):
        check_vector_env(Broken(make(mode), step, reset))


def test_metadata_and_spaces_are_checked() -> None:
    env = make()
    env.metadata["autoreset_mode"] = "NextStep"
    with pytest.raises(AssertionError, match="must be an AutoresetMode, got 'NextStep'"):
        check_vector_env(env)
    env = make()
    env.action_space = env.single_action_space
    with pytest.raises(AssertionError, match="action_space is not batch_space"):
        check_vector_env(env)


def test_an_environment_that_never_ends_cannot_be_checked() -> None:
    with pytest.raises(AssertionError, match="No episode ended within max_steps=3"):
        check_vector_env(make(max_episode_steps=99), max_steps=3)
