# SPDX-License-Identifier: Apache-2.0
"""Spaces that follow from what a task observes, and rendering through the environment."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from simenv.envs.constants import constant
from simenv.envs.spaces import action_space, observation_space, to_numpy, with_masks
from tests.envs.splash_task import Splash


def test_a_tensor_becomes_a_box_of_its_dtype() -> None:
    box = observation_space(torch.zeros(5, 3), None)
    assert box.shape == (3,)
    assert box.dtype == np.float32
    assert np.isfinite(box.low).all()
    assert observation_space(torch.zeros(5, 2, dtype=torch.float64), (-1.0, (2.0, 3.0))) == spaces.Box(
        np.array([-1.0, -1.0]), np.array([2.0, 3.0]), dtype=np.float64
    )
    image = observation_space(torch.zeros(5, 4, 4, 3, dtype=torch.uint8), None)
    assert image == spaces.Box(0, 255, (4, 4, 3), np.uint8)
    assert np.isfinite(observation_space(torch.zeros(5, 2, dtype=torch.float64), None).sample()).all()


def test_a_dict_becomes_a_dict_with_limits_by_name() -> None:
    observation = {"a": torch.zeros(5, 3), "b": torch.zeros(5, dtype=torch.int64)}
    space = observation_space(observation, {"a": (-2.0, 2.0)})
    assert space["a"] == spaces.Box(-2.0, 2.0, (3,), np.float32)
    assert space["b"].shape == ()
    with pytest.raises(ValueError, match=r"observation_limits names \['c'\]"):
        observation_space(observation, {"c": (0.0, 1.0)})


@pytest.mark.parametrize(
    "value", [torch.zeros(5, 3, dtype=torch.bool), np.zeros((5, 3)), {"nested": {"a": torch.zeros(5)}}]
)
def test_other_observations_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"dtype|must return a tensor or a flat dict"):
        observation_space(value, None)


def test_action_space_and_dtype_follow_the_world() -> None:
    assert action_space(((-1.0, 0.0), (1.0, 0.5)), torch.float64) == spaces.Box(
        np.array([-1.0, 0.0]), np.array([1.0, 0.5]), dtype=np.float64
    )
    env = gym.make_vec(Splash.task_id, num_envs=2, device="cpu", dtype="float64")
    assert env.action_space.dtype == env.observation_space.dtype == np.float64
    env.close()


def test_numpy_copies_and_masks_share_no_memory() -> None:
    tensor = torch.arange(3.0)
    assert not np.shares_memory(to_numpy(tensor), tensor.numpy())
    assert np.shares_memory(to_numpy(tensor, copy=False), tensor.numpy())
    mask = np.array([True, False])
    info = with_masks({"a": np.zeros(2), "terms": {"b": np.ones(2)}}, mask)
    assert set(info) == {"a", "_a", "terms", "_terms"}
    assert set(info["terms"]) == {"b", "_b"}
    assert not any(np.shares_memory(each, mask) for each in (info["_a"], info["_terms"], info["terms"]["_b"]))


def test_constants_are_made_once_and_tensors_keep_their_graph() -> None:
    cpu = torch.device("cpu")
    first = constant([1.0, 2.0], torch.float64, cpu)
    assert first.tolist() == [1.0, 2.0]
    assert constant(np.array([1.0, 2.0]), torch.float64, cpu) is first
    assert constant((1.0, 2.0), torch.float32, cpu).dtype == torch.float32
    leaf = torch.ones(2, requires_grad=True)
    assert constant(leaf, torch.float64, cpu).requires_grad


def test_render_gives_one_frame_for_each_world() -> None:
    env = gym.make_vec(Splash.task_id, num_envs=2, device="cpu", render_mode="rgb_array", render_size=(64, 48))
    env.reset(seed=0)
    frames = env.render()
    assert isinstance(frames, tuple)
    assert [(frame.shape, frame.dtype) for frame in frames] == [((48, 64, 3), np.uint8)] * 2
    assert all(len(np.unique(frame.reshape(-1, 3), axis=0)) > 10 for frame in frames)
    assert not np.array_equal(frames[0], frames[1])  # the blobs start at different places
    env.close()
    single = gym.make(Splash.task_id, device="cpu", render_mode="rgb_array", render_size=(64, 48))
    single.reset(seed=0)
    assert single.render().shape == (48, 64, 3)
    assert single.metadata["render_fps"] == 250
    single.close()


def test_render_without_a_mode_says_so() -> None:
    env = gym.make_vec(Splash.task_id, num_envs=1, device="cpu")
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="made without render_mode='rgb_array'"):
        assert env.render() is None
