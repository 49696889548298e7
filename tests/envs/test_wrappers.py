# SPDX-License-Identifier: Apache-2.0
"""Torch wrappers against Gymnasium's NumPy ones and against closed forms."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.wrappers import vector as reference

from simenv.envs.wrappers import NormalizeObservation, RecordEpisodeStatistics
from tests.envs.splash_task import Splash


def make(**kwargs: Any) -> Any:
    return gym.make_vec(
        Splash.task_id, **{"num_envs": 3, "device": "cpu", "output": "torch", "max_episode_steps": 3, **kwargs}
    )


@pytest.mark.parametrize("mode", ["next_step", "same_step"])
def test_statistics_equal_gymnasiums(mode: str) -> None:
    env = RecordEpisodeStatistics(make(autoreset_mode=mode))
    other = reference.RecordEpisodeStatistics(make(autoreset_mode=mode, output="numpy"))
    env.reset(seed=0)
    other.reset(seed=0)
    # Desynchronise the worlds with a partial reset. Gymnasium removes the mask from its options, ours must not need it
    # there.
    mask = np.array([True, False, False])
    actions = torch.full((3, 2), 0.5)
    env.step(actions)
    other.step(actions.numpy())
    env.reset(options={"reset_mask": mask})
    other.reset(options={"reset_mask": mask})
    ends = 0
    for _ in range(9):
        info, expected = env.step(actions)[4], other.step(actions.numpy())[4]
        done = expected.get("_episode", np.zeros(3, dtype=bool))
        assert info["_episode"].tolist() == done.tolist()
        if done.any():
            ends += done.sum()
            assert info["episode"]["l"].tolist() == expected["episode"]["l"].tolist()
            assert info["episode"]["r"].tolist() == pytest.approx(expected["episode"]["r"].tolist(), rel=1e-5)
            assert (info["episode"]["t"][info["_episode"]] > 0).all()
    assert ends >= 6


def test_statistics_without_autoreset_report_an_episode_once() -> None:
    env = RecordEpisodeStatistics(make(autoreset_mode="disabled"))
    env.reset(seed=0)
    masks = [env.step(torch.zeros(3, 2))[4]["_episode"].any().item() for _ in range(5)]
    assert masks == [False, False, True, False, False]
    env.reset()
    infos = [env.step(torch.zeros(3, 2))[4] for _ in range(3)]
    assert infos[-1]["episode"]["l"].tolist() == [3, 3, 3]


def test_success_once_and_at_end() -> None:
    class Blink(gym.vector.VectorWrapper):
        """Success in the second step only, for world 0; in the last, for world 1."""

        def step(self, actions: torch.Tensor) -> Any:
            result = self.env.step(actions)
            elapsed = result[4]["elapsed_steps"]
            result[4]["success"] = torch.stack([elapsed[0] == 2, elapsed[1] == 3, elapsed[2] == 9])
            return result

    env = RecordEpisodeStatistics(Blink(make(autoreset_mode="same_step")))
    env.reset(seed=0)
    for _ in range(2):  # twice: nothing may leak into the second episode
        for _ in range(3):
            info = env.step(torch.zeros(3, 2))[4]
        assert info["episode"]["success_once"].tolist() == [True, True, False]
        assert info["episode"]["success_at_end"].tolist() == [False, True, False]


@pytest.mark.parametrize("observe_dict", [False, True])
def test_normalised_observations_have_the_statistics_of_what_was_seen(observe_dict: bool) -> None:
    env = make(observe_dict=observe_dict)
    wrapped = NormalizeObservation(make(observe_dict=observe_dict))
    seen = [env.reset(seed=0)[0]]
    wrapped.reset(seed=0)
    for _ in range(6):
        seen.append(env.step(torch.full((3, 2), 0.5))[0])
        scaled = wrapped.step(torch.full((3, 2), 0.5))[0]
    stack = torch.cat([each["points"] if observe_dict else each for each in seen]).double()
    name = "points" if observe_dict else ""
    torch.testing.assert_close(wrapped.mean[name], stack.mean(0))
    torch.testing.assert_close(wrapped.square[name] / wrapped.count, stack.var(0, unbiased=False))
    expected = (stack[-3:] - stack.mean(0)) / torch.sqrt(stack.var(0, unbiased=False) + 1e-8)
    torch.testing.assert_close((scaled["points"] if observe_dict else scaled).double(), expected, rtol=1e-3, atol=1e-3)


def test_final_observations_are_normalised_too() -> None:
    plain = make(autoreset_mode="same_step")
    env = NormalizeObservation(make(autoreset_mode="same_step"))
    plain.reset(seed=0)
    env.reset(seed=0)
    for _ in range(3):
        raw, info = plain.step(torch.zeros(3, 2))[4]["final_obs"], env.step(torch.zeros(3, 2))[4]
    assert info["_final_obs"].all()
    assert torch.equal(info["final_obs"], env.apply(raw))
    assert not torch.equal(info["final_obs"], raw)


def test_statistics_freeze_save_and_load() -> None:
    env, other = NormalizeObservation(make(), clip=2.0), NormalizeObservation(make(), clip=2.0)
    env.reset(seed=0)
    env.step(torch.zeros(3, 2))
    other.load_statistics(env.statistics())
    env.updating = other.updating = False
    env.reset(seed=5)
    a, b = env.reset(seed=5)[0], other.reset(seed=5)[0]
    assert torch.equal(a, b)
    assert a.abs().max() <= 2.0
    assert a.numpy() in env.observation_space
    assert float(env.count) == 6.0
    with pytest.raises(ValueError, match="this environment needs"):
        other.load_statistics({"count": torch.zeros(())})


def test_torch_wrappers_refuse_numpy() -> None:
    for wrapper in (RecordEpisodeStatistics, NormalizeObservation):
        with pytest.raises(TypeError, match="output='torch'"):
            wrapper(make(output="numpy"))
