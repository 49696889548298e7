# SPDX-License-Identifier: Apache-2.0
"""Export to Minari, where it is installed."""

import gymnasium as gym
import numpy as np
import pytest

import tests.envs.splash_task  # noqa: F401  (registers the task)
from simenv.rollouts import Recorder, Recording, RolloutError
from simenv.rollouts.export import export_minari

minari = pytest.importorskip("minari")


@pytest.mark.parametrize("observe_dict", [False, True])
def test_minari_holds_the_same_numbers(tmp_path, monkeypatch, observe_dict):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    env = gym.make_vec("TestEnv/Splash-v0", num_envs=2, max_episode_steps=3, device="cpu", observe_dict=observe_dict)
    with Recorder(tmp_path / "run", env) as recorder:
        recorder.reset(seed=0)
        for _ in range(5):  # 3 steps, 1 reset, 1 step of an unfinished episode
            recorder.step(env.action_space.sample().astype(np.float64))  # which callers often give
    env.close()
    recording = Recording(tmp_path / "run")
    export_minari(recording, "simenv/splash/random-v0", author="tests")
    dataset = minari.load_dataset("simenv/splash/random-v0")
    assert dataset.total_episodes == 4 and dataset.total_steps == 8
    for ours, theirs in zip(recording, dataset.iterate_episodes(), strict=True):
        np.testing.assert_array_equal(theirs.actions, ours.actions)
        np.testing.assert_array_equal(theirs.rewards, ours.rewards)
        assert theirs.truncations[-1] and not theirs.truncations[:-1].any()
        for name, value in ours.observations.items():
            np.testing.assert_array_equal(theirs.observations[name] if observe_dict else theirs.observations, value)
    again = dataset.recover_environment()
    assert dataset.action_space == again.action_space
    assert again.spec.id == "TestEnv/Splash-v0" and again.spec.max_episode_steps == 3
    again.close()


def test_episodes_without_observations_are_refused(tmp_path):
    env = gym.make_vec("TestEnv/Splash-v0", num_envs=1, device="cpu")
    with Recorder(tmp_path, env, observations=False) as recorder:
        recorder.reset(seed=0)
        recorder.step(env.action_space.sample())
    env.close()
    with pytest.raises(RolloutError, match="no observations"):
        export_minari(Recording(tmp_path), "simenv/splash/none-v0")
