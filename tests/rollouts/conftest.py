# SPDX-License-Identifier: Apache-2.0
"""Small episodes, made by hand and recorded."""

import gymnasium as gym
import numpy as np
import pytest

from simenv.rollouts import Episode, Recorder, Recording
from simenv.rollouts.manifest import versions


def make_episode(steps: int = 5, seed: int = 0) -> Episode:
    """A valid episode of random numbers."""
    random = np.random.default_rng(seed)
    environment = {
        "id": "Test/Nothing-v0",
        "kwargs": {"level": 0.25},
        "max_episode_steps": steps,
        "device": "cpu",
        "dtype": "float32",
        "control_dt": 0.02,
        "versions": versions(),
    }
    summary = {"length": steps, "return": 1.5, "seed": seed, "complete": True, "outcome": {"success": False}}
    over = np.arange(steps) == steps - 1
    return Episode(
        environment,
        summary,
        actions=random.normal(size=(steps, 3)).astype(np.float32),
        rewards=random.normal(size=steps).astype(np.float32),
        terminated=np.zeros(steps, bool),
        truncated=over,
        observations={"observation": random.normal(size=(steps + 1, 4)).astype(np.float32)},
        reward_terms={"distance": random.normal(size=steps).astype(np.float32)},
        initial_state={
            "state.x": random.normal(size=(1, 7, 3)).astype(np.float32),
            "state.emitted": np.zeros((1, 0), np.int64),
            "rng.seed": np.array([seed], np.int64),
            "parameter.liquid.viscosity": np.array([1e-3], np.float32),
        },
        state_steps=np.array([0, steps], np.int64),
        states={"x": random.normal(size=(2, 7, 3)).astype(np.float32), "active": np.ones((2, 7), bool)},
    )


@pytest.fixture
def episode() -> Episode:
    return make_episode()


@pytest.fixture
def episode_factory():
    return make_episode


def record_with_states(directory, task_id, **options):
    """An episode of four random steps with all states, and the states that the environment had."""
    env = gym.make_vec(task_id, num_envs=1, device="cpu", max_episode_steps=4, **options)
    with Recorder(directory, env, states="all") as recorder:
        recorder.reset(seed=3)
        env.action_space.seed(3)
        states = [env.unwrapped.state]
        for _ in range(4):
            recorder.step(env.action_space.sample())
            states.append(env.unwrapped.state)
    env.close()
    return Recording(directory)[0], states


@pytest.fixture(scope="session")
def panda_episode(tmp_path_factory):
    """Of a task with a robot arm."""
    options = {"robot": "panda", "observation_mode": "reduced"}
    return record_with_states(tmp_path_factory.mktemp("panda"), "SimEnv/PegInsertion-v0", **options)
