# SPDX-License-Identifier: Apache-2.0
"""Registration: one file, one decorator; and what a caller is told who gets a name or a value wrong."""

from typing import Any

import gymnasium as gym
import pytest
import torch

import simenv
from simenv.envs import Task, make_env, make_vector_env, register_task
from simenv.envs.registration import task_class
from tests.envs.splash_task import Splash


def test_a_task_in_one_file_needs_no_other_edit() -> None:
    assert Splash.task_id in simenv.list_tasks()
    single = gym.make(Splash.task_id, device="cpu")
    vector = gym.make_vec(Splash.task_id, num_envs=2, device="cpu")
    assert single.spec.max_episode_steps == 20
    assert isinstance(single.unwrapped.task, Splash)
    assert vector.single_observation_space == single.observation_space
    rebuilt = gym.make(gym.envs.registration.EnvSpec.from_json(single.spec.to_json()))
    assert isinstance(rebuilt.unwrapped.task, Splash)


def test_task_arguments_reach_the_task() -> None:
    assert make_vector_env(Splash.task_id, 1, device="cpu", speed=0.2).task.speed == 0.2
    assert make_env(Splash.task_id, device="cpu", speed=0.2).task.speed == 0.2


def test_the_registered_limit_is_the_default() -> None:
    env = gym.make_vec(Splash.task_id, num_envs=1, device="cpu", output="torch")
    env.reset(seed=0)
    ends = [bool(env.step(torch.zeros(1, 2))[3]) for _ in range(20)]
    assert ends == [False] * 19 + [True]


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        (
            {"spead": 1.0},
            TypeError,
            r"Splash-v0: __init__\(\) got an unexpected keyword argument 'spead'\. Did you mean speed\?",
        ),
        ({"autoreset_mod": "disabled"}, TypeError, r"Did you mean autoreset_mode"),
        ({"speed": object()}, TypeError, "'speed' .* is not JSON-serialisable"),
        ({"speed": "fast"}, TypeError, "argument 'speed' of TestEnv/Splash-v0 is 'fast'; it must be a number"),
        ({"speed": float("nan")}, ValueError, "argument 'speed' of TestEnv/Splash-v0 is nan; it must be finite"),
        ({"observe_dict": "false"}, TypeError, "argument 'observe_dict' .* is 'false'; it must be True or False"),
        ({"output": "jax"}, ValueError, "output='jax' is not one of 'numpy', 'torch'"),
        ({"dtype": "float16"}, ValueError, "dtype='float16' is not one of 'float32', 'float64'"),
        ({"autoreset_mode": "samestep"}, ValueError, r"autoreset_mode='samestep' .* Did you mean same_step"),
        ({"observation_mode": "pixels"}, ValueError, "observation_mode='pixels' is not one of 'state'"),
        ({"on_bad_action": "ignore"}, ValueError, "on_bad_action='ignore' is not one of 'raise', 'clip'"),
        ({"render_mode": "human"}, ValueError, r"render_mode='human' is for gymnasium\.make.*render_mode='rgb_array'"),
        ({"render_mode": "ansi"}, ValueError, "render_mode='ansi' is not one of None, 'rgb_array'"),
        ({"max_episode_steps": 0}, ValueError, "max_episode_steps=0: the minimum is 1"),
        ({"max_episode_steps": 2.5}, ValueError, "max_episode_steps=2.5 is not a whole number"),
        ({"num_envs": 0}, ValueError, "num_envs=0: the minimum is 1"),
        ({"num_envs": 2.5}, ValueError, "num_envs=2.5 is not a whole number"),
        ({"num_envs": True}, ValueError, "num_envs=True is not a whole number"),
        ({"render_size": (0, 48)}, ValueError, r"render_size\[0\]=0: the minimum is 1"),
        ({"render_size": (64, 48, 3)}, ValueError, "give width and height"),
        ({"render_size": 64}, ValueError, "give width and height"),
        ({"copy": "no"}, ValueError, "copy='no' is not one of False, True, None"),
        ({"stagger": "false"}, ValueError, "stagger='false' is not one of False, True"),
        ({"device": "tpu9"}, simenv.DeviceError, "device='tpu9' is not a device name"),
        ({"device": "mps"}, simenv.DeviceError, "use 'cpu' or 'cuda'"),
        ({"stagger": True, "max_episode_steps": None}, ValueError, "stagger=True .* needs max_episode_steps"),
    ],
)
def test_wrong_options_are_named(kwargs: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make_vector_env(Splash.task_id, **{"num_envs": 1, "device": "cpu", **kwargs})


@pytest.mark.parametrize(
    ("task_id", "kwargs", "message"),
    [
        ("SimEnv/Pouring-v0", {"dx": 0.0}, "dx = 0.0 m must be above 0 m and at most 0.02 m"),
        ("SimEnv/Pouring-v0", {"container": ""}, "mesh file"),
        ("SimEnv/LatteArt-v0", {"dx": 1.0}, "dx = 1.0 m must be above 0 m and at most 0.02 m"),
        ("SimEnv/PegInsertion-v0", {"contact_penalty": -1.0}, "contact_penalty = -1.0 1/N must be at least 0 1/N"),
        ("SimEnv/PegPlacement-v0", {"contact_penalty": float("nan")}, "is nan; it must be finite"),
    ],
)
def test_wrong_arguments_of_tasks_are_named(task_id: str, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, simenv.AssetError), match=message):
        make_vector_env(task_id, 1, device="cpu", **kwargs)


@pytest.mark.skipif(torch.cuda.is_available(), reason="tells a machine without a GPU")
def test_missing_cuda_names_the_remedy() -> None:
    with pytest.raises(simenv.DeviceError, match=r"finds no CUDA device.*Use device='cpu'"):
        gym.make_vec(Splash.task_id, num_envs=1, device="cuda")


def test_unknown_ids_name_the_closest() -> None:
    with pytest.raises(KeyError, match=r"Unknown task 'SimEnv/Poring-v0'\. Did you mean SimEnv/Pouring-v0"):
        task_class("SimEnv/Poring-v0")
    with pytest.raises(gym.error.NameNotFound, match="Did you mean: `Pouring`"):
        gym.make_vec("SimEnv/Poring-v0", num_envs=1)


def test_an_id_belongs_to_one_class() -> None:
    with pytest.raises(ValueError, match=r"tests\.envs\.splash_task:Splash.*use another id"):

        @register_task(Splash.task_id, max_episode_steps=20)
        class Other(Splash):
            pass

    assert task_class(Splash.task_id) is Splash
    assert Splash.max_episode_steps == 20


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "lacks the class attribute action_limits"),
        ({"action_limits": ((-1.0,), (1.0,))}, "lacks the class attribute action_names"),
        (
            {"action_limits": ((-1.0,), (1.0,)), "action_names": ()},
            "1 lower and 1 upper values and action_names 0 entries",
        ),
        ({"action_limits": ((1.0,), (1.0,)), "action_names": (("a", "m"),)}, "must be finite with low < high"),
    ],
)
def test_inconsistent_tasks_are_refused_when_their_file_is_imported(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        register_task("TestEnv/Broken-v0", 10)(type("Broken", (Task,), attributes))
    assert "TestEnv/Broken-v0" not in simenv.list_tasks()


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        (lambda random: {"goal": torch.zeros(3)}, r"'goal' as \(3,\); it must be a tensor \(2, \.\.\.\)"),
        (lambda random: {"goal": 1.0}, "'goal' as float; it must be a tensor"),
        (lambda random: {"liquid.vicosity": torch.zeros(2)}, "'liquid.vicosity', which is not a world parameter"),
        (lambda random: {"gravity.": torch.zeros(2)}, "must not contain a dot"),
        (lambda random: {"liquid.viscosity": torch.zeros(2, 1)}, r"as \(2, 1\); the world parameter is \(2,\)"),
    ],
)
def test_wrong_episode_variables_are_named(drawn: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Splash, "sample", lambda self, random: drawn(random))
    with pytest.raises(ValueError, match=message):
        make_vector_env(Splash.task_id, 2, device="cpu")


def test_only_tasks_can_be_registered() -> None:
    with pytest.raises(TypeError, match=r"decorates subclasses of simenv\.envs\.Task"):
        register_task("TestEnv/Dict-v0", 10)(dict)
