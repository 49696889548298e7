# SPDX-License-Identifier: Apache-2.0
"""Export to Minari: what is handed to it, and where it is installed, what it makes of that."""

import sys
from types import ModuleType, SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest

import simenv
import tests.envs.splash_task  # noqa: F401  (registers the task)
from simenv.envs.registration import task_class
from simenv.rollouts import Recorder, Recording, RolloutError
from simenv.rollouts.export import export_minari


@pytest.fixture
def minari(tmp_path, monkeypatch):
    """The package, where it is installed, with a folder of its own for its data sets."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return pytest.importorskip("minari")


@pytest.fixture
def exported(monkeypatch):
    """What `export_minari` hands over, where the package is not installed either."""
    given = {}
    stub, buffers = ModuleType("minari"), ModuleType("minari.data_collector.episode_buffer")
    stub.create_dataset_from_buffers = lambda name, episodes, **more: given.update(episodes=episodes, **more)
    buffers.EpisodeBuffer = SimpleNamespace
    for module in (stub, ModuleType("minari.data_collector"), buffers):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return given


@pytest.mark.parametrize("observe_dict", [False, True])
def test_terms_belong_to_their_steps_and_spaces_to_the_environment(tmp_path, exported, observe_dict):
    options = {"max_episode_steps": 3, "device": "cpu", "observe_dict": observe_dict}
    env = gym.make_vec("TestEnv/Splash-v0", num_envs=1, **options)
    earned = []
    with Recorder(tmp_path, env) as recorder:
        recorder.reset(seed=0)
        for _ in range(3):
            *_, info = recorder.step(env.action_space.sample())
            earned.append({name: value[0] for name, value in info["reward_terms"].items() if name[0] != "_"})
    env.close()
    registered = gym.spec("TestEnv/Splash-v0").to_json()
    export_minari(Recording(tmp_path), "simenv/splash/random-v0")
    assert gym.spec("TestEnv/Splash-v0").to_json() == registered  # an export changes no environment
    (episode,) = exported["episodes"]
    for name in earned[0]:  # infos have a row for the reset, in which nothing was earned
        rows = episode.infos[f"reward_terms.{name}"]
        assert rows.tolist() == [0.0, *(step[name] for step in earned)]
    again = gym.make("TestEnv/Splash-v0", **options)
    assert (exported["observation_space"], exported["action_space"]) == (again.observation_space, again.action_space)
    again.close()


@pytest.mark.parametrize("observe_dict", [False, True])
def test_minari_holds_the_same_numbers(tmp_path, minari, observe_dict):
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
    assert dataset.action_space == again.action_space and dataset.observation_space == again.observation_space
    assert again.spec.id == "TestEnv/Splash-v0" and again.spec.max_episode_steps == 3
    again.close()


MODES = [
    (task_id, mode)
    for task_id in simenv._BUILTIN_TASKS
    for mode in task_class(task_id).observation_modes
    if mode in (task_class(task_id).observation_modes[0], "reduced", "force_field")
]


@pytest.mark.parametrize(("task_id", "mode"), MODES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_spaces_are_those_of_the_environment(tmp_path, minari, task_id, mode, dtype):
    options = {"num_envs": 1, "max_episode_steps": 1, "device": "cpu", "observation_mode": mode, "dtype": dtype}
    env = gym.make_vec(task_id, **options)
    with Recorder(tmp_path / "run", env, states="none") as recorder:
        recorder.reset(seed=0)
        recorder.step(env.action_space.sample())
    spaces = env.single_observation_space, env.single_action_space
    env.close()
    export_minari(Recording(tmp_path / "run"), "simenv/spaces/x-v0")
    dataset = minari.load_dataset("simenv/spaces/x-v0")
    assert (dataset.observation_space, dataset.action_space) == spaces
    again = dataset.recover_environment()
    assert (again.observation_space, again.action_space) == spaces
    again.close()


def test_episodes_without_observations_are_refused(tmp_path, exported):
    env = gym.make_vec("TestEnv/Splash-v0", num_envs=1, device="cpu")
    with Recorder(tmp_path, env, observations=False) as recorder:
        recorder.reset(seed=0)
        recorder.step(env.action_space.sample())
    env.close()
    with pytest.raises(RolloutError, match="no observations"):
        export_minari(Recording(tmp_path), "simenv/splash/none-v0")
