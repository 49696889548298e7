# SPDX-License-Identifier: Apache-2.0
"""The Stable-Baselines3 bridge."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch

import simenv
from tests.envs.splash_task import Splash

pytest.importorskip("stable_baselines3")

from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

from simenv.envs.sb3 import SB3VecEnv, make_sb3_env


def make(**kwargs: Any) -> SB3VecEnv:
    return make_sb3_env(Splash.task_id, **{"num_envs": 3, "device": "cpu", "max_episode_steps": 3, "seed": 7, **kwargs})


def test_episode_end_is_reported_for_done_worlds_only() -> None:
    env = make()
    first = env.reset()
    assert isinstance(first, np.ndarray)
    assert first in simenv.envs.make_vector_env(Splash.task_id, 3, device="cpu").observation_space
    total = np.zeros(3)
    for step in range(1, 4):
        observation, reward, done, infos = env.step(np.full((3, 2), 0.5, dtype=np.float32))
        total += reward
        assert reward.dtype == np.float32
        if step < 3:
            assert not done.any()
            assert infos == [{}, {}, {}]
    assert done.dtype == np.bool_
    assert done.all()
    terms = [infos[i]["episode"] for i in range(3)]
    assert [each["reward/distance"] + each["reward/effort"] for each in terms] == pytest.approx(total, rel=1e-5)
    assert [each["reward/effort"] for each in terms] == pytest.approx([3 * -0.01 * 2 * 0.5**2] * 3)
    for i, info in enumerate(infos):
        assert info["TimeLimit.truncated"] is True
        assert info["episode"]["l"] == 3
        assert info["episode"]["r"] == pytest.approx(total[i], rel=1e-5)
        assert info["terminal_observation"].shape == observation[i].shape
        assert not np.array_equal(info["terminal_observation"], observation[i])


def test_termination_is_not_truncation() -> None:
    env = make(floor=1.0)  # the blob is below one metre from the start
    env.reset()
    _, _, done, infos = env.step(np.zeros((3, 2), dtype=np.float32))
    assert done.all()
    assert infos[0]["TimeLimit.truncated"] is False


def test_a_failure_in_the_last_step_is_a_failure() -> None:
    """Both flags fall together: the value of what follows must not be counted."""
    env = make(floor=1.0, max_episode_steps=1)
    env.reset()
    _, _, done, infos = env.step(np.zeros((3, 2), dtype=np.float32))
    assert done.all() and [info["TimeLimit.truncated"] for info in infos] == [False] * 3


def test_seed_restarts_the_same_episodes() -> None:
    env = make()
    first = env.reset()
    assert not np.array_equal(env.reset(), first)
    env.seed(7)
    assert np.array_equal(env.reset(), first)


def test_bad_actions_raise() -> None:
    env = make()
    env.reset()
    with pytest.raises(simenv.ActionError, match="of world 2 is nan"):
        env.step(np.array([[0, 0], [0, 0], [np.nan, 0]], dtype=np.float32))


def test_dict_observations() -> None:
    env = make(observe_dict=True, max_episode_steps=1)
    env.reset()
    observation, _, _, infos = env.step(np.zeros((3, 2), dtype=np.float32))
    assert observation["points"].shape == (3, 4, 6)
    assert infos[1]["terminal_observation"]["points"].shape == (4, 6)


def test_ppo_trains_and_evaluates_without_a_warning() -> None:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = VecNormalize(make(stagger=True, max_episode_steps=8))
        model = PPO("MlpPolicy", env, n_steps=16, batch_size=24, n_epochs=1, device="cpu")
        model.learn(96)
        assert len(model.ep_info_buffer) >= 3
        mean, _ = evaluate_policy(model, make(), n_eval_episodes=3)
    assert np.isfinite(mean)


def test_options_the_bridge_sets_are_refused() -> None:
    with pytest.raises(TypeError, match="make_sb3_env sets output itself"):
        make(output="numpy")
    with pytest.raises(ValueError, match="use make_sb3_env"):
        SB3VecEnv(simenv.envs.make_vector_env(Splash.task_id, 3, device="cpu"))


def test_attributes_are_shared() -> None:
    env = make()
    assert env.get_attr("num_envs") == [3, 3, 3]
    assert env.env_method("observe", indices=[0])[0].shape[0] == 3 if env.reset() is not None else False
    with pytest.raises(ValueError, match="attributes are shared"):
        env.set_attr("render_mode", None, indices=[0])
