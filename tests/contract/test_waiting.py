# SPDX-License-Identifier: Apache-2.0
"""No step of any task makes the host wait for a GPU: no value is asked for, nothing is made of lists or NumPy."""

import gymnasium as gym
import numpy as np
import pytest
import torch
import warp as wp

import simenv
from tests.contract.waiting import Waiting

# What a CPU world does that one on CUDA does not.
ON_CPU_ONLY = ("simenv/world/engine.py _each_world", "simenv/sensors/tactile/solve.py _all")


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x[:, [0, 1]],
        lambda x: x[np.array([0])],
        lambda x: x[x > 1],
        lambda x: x.__setitem__((slice(None), [0]), 0.0),
        lambda x: x.sum().item(),
        lambda x: bool(x.sum() > 0),
        lambda x: float(x[0, 0]),
        lambda x: x.tolist(),
        lambda x: np.asarray(x),
        lambda x: torch.tensor([1.0, 2.0]),
        lambda x: torch.as_tensor(np.zeros(3), dtype=x.dtype),
        lambda x: torch.from_numpy(np.zeros(3)),
        lambda x: x.new_tensor([1.0]),
        lambda x: x.nonzero(),
        lambda x: wp.array([1.0], dtype=float),
    ],
)
def test_what_waits_is_seen(wait):
    wp.init()
    x = torch.ones(2, 3)
    with Waiting() as watch:
        wait(x)
    assert len(watch.found) >= 1
    with Waiting() as watch:
        y = x[:, 0:1] + x[:, None, 1] * 2.0
        torch.where(y > 0, y, 0.0).index_select(1, torch.zeros(1, dtype=torch.int64))
        torch.zeros(3) + torch.arange(3)
        wp.from_torch(x)
    assert watch.found == set()


@pytest.mark.parametrize("task_id", sorted(simenv._BUILTIN_TASKS))
def test_a_step_of_a_task_does_not_wait(task_id):
    env = gym.make_vec(task_id, num_envs=2, output="torch", device="cpu", max_episode_steps=2)
    env.reset(seed=0)
    actions = torch.zeros(2, *env.single_action_space.shape)
    for _ in range(3):  # with a reset; constants are made once
        env.step(actions)
    with Waiting(ON_CPU_ONLY) as watch:
        for _ in range(3):
            env.step(actions)
    env.close()
    assert watch.found == set()
