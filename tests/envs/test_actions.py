# SPDX-License-Identifier: Apache-2.0
"""Validation of actions, and what a bad one does to its world and to the others."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import simenv
from simenv.physics import status
from tests.envs.splash_task import Splash


def make(**kwargs: Any) -> Any:
    env = gym.make_vec(Splash.task_id, **{"num_envs": 3, "device": "cpu", **kwargs})
    env.reset(seed=0)
    return env


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.zeros((3, 3)), r"shape \(3, 3\), expected \(3, 2\) = \(worlds, components\).*paddle velocity x \[speed\]"),
        (np.zeros(2), r"shape \(2,\)"),
        ([[0.0, 0.0], [0.0]], "rectangular array"),
        (np.zeros((3, 2), dtype=bool), "dtype bool"),
        (np.zeros((3, 2), dtype=complex), "dtype complex128"),
        (np.full((3, 2), None), "dtype object"),
        (torch.zeros(3, 2, dtype=torch.bool), "dtype torch.bool"),
    ],
)
@pytest.mark.parametrize("output", ["numpy", "torch"])
def test_wrong_shape_or_dtype_raises_and_changes_nothing(output: str, actions: Any, message: str) -> None:
    env = make(output=output)
    before = env.get_state()
    with pytest.raises(simenv.ActionError, match=message):
        env.step(actions)
    assert all(torch.equal(before[name], value) for name, value in env.get_state().items())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("on_bad_action", ["raise", "clip"])
def test_numpy_non_finite_raises_naming_world_and_component(value: float, on_bad_action: str) -> None:
    env = make(on_bad_action=on_bad_action)
    before = env.get_state()
    actions = np.zeros((3, 2), dtype=np.float32)
    actions[1, 1] = value
    with pytest.raises(simenv.ActionError, match=r"component 1 \(paddle velocity y \[speed\]\) of world 1 is .*finite"):
        env.step(actions)
    assert all(torch.equal(before[name], kept) for name, kept in env.get_state().items())


def test_numpy_out_of_range_raises_or_clips() -> None:
    actions = np.zeros((3, 2), dtype=np.float32)
    actions[2, 0] = 1.5
    env = make()
    with pytest.raises(simenv.ActionError, match=r"component 0 .* of world 2 is 1\.5; it must be between -1 and 1"):
        env.step(actions)
    clipping = make(on_bad_action="clip")
    clipped = clipping.step(actions)
    expected = env.step(np.clip(actions, -1, 1))
    assert np.array_equal(clipped[0], expected[0])
    assert np.array_equal(clipped[1], expected[1])


def test_rounding_beyond_a_limit_is_accepted() -> None:
    make().step(np.full((3, 2), 1.0 + 5e-7, dtype=np.float64))
    with pytest.raises(simenv.ActionError):
        make().step(np.full((3, 2), 1.0 + 5e-6, dtype=np.float64))


def test_integers_and_lists_are_numbers() -> None:
    one, two = make(), make()
    assert np.array_equal(one.step(np.ones((3, 2), dtype=np.int64))[0], two.step([[1.0, 1.0]] * 3)[0])


@pytest.mark.parametrize("value", [float("nan"), 1.5])
def test_torch_bad_action_ends_its_world_alone(value: float) -> None:
    env, reference = make(output="torch"), make(output="torch")
    start = env.observe()
    good = torch.full((3, 2), 0.5)
    bad = good.clone()
    bad[1, 0] = value
    observation, reward, terminated, truncated, info = env.step(bad)
    expected = reference.step(good)
    others = torch.tensor([True, False, True])
    assert terminated.tolist() == [False, True, False]
    assert not truncated.any()
    assert info["sim_status"].tolist() == [0, int(status.BAD_ACTION), 0]
    cause = status.STATUS[status.BAD_ACTION].cause
    assert "NaN" in cause and "out of range" in cause
    assert reward[1] == 0.0
    assert torch.equal(observation[1], start[1])
    assert torch.equal(observation[others], expected[0][others])
    assert torch.equal(reward[others], expected[1][others])
    # The following step resets that world, and all is well again.
    _, _, terminated, _, info = env.step(good)
    assert not terminated.any()
    assert not info["sim_status"].any()


def test_single_environment_raises_and_stays_as_it_was() -> None:
    env = gym.make(Splash.task_id, device="cpu").unwrapped
    env.reset(seed=0)
    before = env.get_state()
    for bad in (np.array([np.nan, 0.0]), np.array([5.0, 0.0]), np.zeros(7), [[1.0], [1.0, 2.0]], None):
        with pytest.raises(simenv.ActionError):
            env.step(bad)
    assert all(torch.equal(before[name], kept) for name, kept in env.get_state().items())
    expected = env.step(np.full(2, 0.5))[0]
    env.set_state(before)
    assert np.array_equal(env.step(torch.full((2,), 0.5, requires_grad=True))[0], expected)


def test_a_failed_simulation_ends_its_world_alone() -> None:
    # The test task drives the paddle at 300 m/s for actions beyond 0.9, 15 cells in a substep.
    env = make(explode_above=0.9, output="torch")
    reference = make(explode_above=0.9, output="torch")
    good = torch.full((3, 2), 0.5)
    bad = good.clone()
    bad[1] = 1.0
    for _ in range(6):
        observation, reward, terminated, _, info = env.step(bad)
        expected = reference.step(good)
        assert torch.isfinite(observation).all()
        assert torch.isfinite(reward).all()
        if terminated[1]:
            break
    assert terminated.tolist() == [False, True, False]
    assert info["sim_status"].tolist()[::2] == [0, 0]
    assert info["sim_status"][1] != 0
    assert reward[1] == 0.0
    assert torch.equal(observation[::2], expected[0][::2])
    assert torch.equal(reward[::2], expected[1][::2])
    assert not env.step(good)[4]["sim_status"].any()


def test_single_environment_explains_a_failed_simulation() -> None:
    env = gym.make(Splash.task_id, device="cpu", explode_above=0.9).unwrapped
    env.reset(seed=0)
    for _ in range(6):
        _, reward, terminated, _, info = env.step(np.ones(2, dtype=np.float32))
        if terminated:
            break
    assert terminated
    assert reward == 0.0
    assert info["sim_status"] != 0
    assert info["sim_status_message"] == status.describe(info["sim_status"])
    assert len(info["sim_status_message"]) > 20
