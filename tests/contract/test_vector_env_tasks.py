# SPDX-License-Identifier: Apache-2.0
"""Every registered task keeps the contracts of Gymnasium and Stable-Baselines3, without a warning.

The tasks come from the registry, so a new task is tested without an edit here.
"""

import gc
import json
import math
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import simenv
from simenv.envs import check_vector_env
from simenv.envs.registration import task_class
from simenv.tasks.template import PushBlock
from simenv.tasks.template_robot import PressBump
from simenv.tasks.template_touch import SlideTile
from tests.envs.splash_task import Splash

# tests/agents may have registered more in this process
TASKS = [task for task in simenv.list_tasks() if not task.startswith("TestEnv/") or task == Splash.task_id]
IMPORTED = {task.task_id for task in (Splash, PushBlock, SlideTile, PressBump)}
assert set(TASKS) >= IMPORTED  # importing their files was enough

HEADINGS = (
    "Description",
    "Action Space",
    "Observation Space",
    "Rewards",
    "Starting State",
    "Episode End",
    "Arguments",
    "Version History",
)

# the robot's template has tests of its own in the quick suite (tests/envs/test_template.py)
SLOW = {PressBump.task_id}
tasks = pytest.mark.parametrize(
    "task_id", [pytest.param(task, marks=[pytest.mark.slow] if task in SLOW else []) for task in TASKS]
)


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def make_vec(task_id: str, worlds: int = 2, **kwargs: Any) -> Any:
    return gym.make_vec(task_id, num_envs=worlds, **{"device": "cpu", **kwargs})


def leaves(observation: Any) -> list[Any]:
    return list(observation.values()) if isinstance(observation, dict) else [observation]


@tasks
def test_gymnasium_check_env(task_id: str) -> None:
    # Rendering has its own tests: here each render mode would build one more world.
    env = gym.make(task_id, device="cpu")
    check_env(env.unwrapped, skip_render_check=True)
    env.close()


@tasks
def test_stable_baselines3_check_env(task_id: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    env = gym.make(task_id, device="cpu")
    checker.check_env(env, skip_render_check=True)
    env.close()


@tasks
@pytest.mark.parametrize("output", ["numpy", "torch"])
@pytest.mark.parametrize("mode", ["next_step", "same_step", "disabled"])
def test_vector_contract(task_id: str, mode: str, output: str) -> None:
    env = make_vec(task_id, output=output, autoreset_mode=mode, max_episode_steps=2)
    check_vector_env(env)
    env.close()


@tasks
def test_single_time_limit_truncates(task_id: str) -> None:
    env = gym.make(task_id, device="cpu", max_episode_steps=2)
    env.reset(seed=0)
    middle = (env.action_space.low + env.action_space.high) / 2
    assert env.step(middle)[3] is False
    _, reward, terminated, truncated, info = env.step(middle)
    assert truncated is True or terminated is True
    assert type(reward) is float
    assert math.isclose(reward, sum(info["reward_terms"].values()), rel_tol=1e-4, abs_tol=1e-6)
    env.close()


@tasks
def test_world_i_of_n_is_the_single_world_and_rerunning_is_bit_exact(task_id: str) -> None:
    runs = []
    for worlds, seed in ((3, 11), (3, 11), (1, 12)):
        env = make_vec(task_id, worlds)
        low, high = env.single_action_space.low, env.single_action_space.high
        seen = [*leaves(env.reset(seed=seed)[0])]
        for k in range(2):
            fraction = np.array([0.5 + 0.2 * k + 0.05 * (seed + i - 11) for i in range(worlds)], dtype=low.dtype)
            observation, reward, *_ = env.step(low + fraction[:, None] * (high - low))
            seen += [*leaves(observation), reward]
        env.close()
        runs.append(seen)
    for first, again, alone in zip(*runs, strict=True):
        assert np.array_equal(first, again)
        assert np.array_equal(first[1], alone[0])


@tasks
def test_saved_state_restores_bit_for_bit(task_id: str) -> None:
    env = make_vec(task_id, output="torch", max_episode_steps=3)
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [torch.from_numpy(env.action_space.sample()) for _ in range(5)]
    env.step(actions[0])
    saved = env.get_state()

    def future() -> list[torch.Tensor]:
        seen = []
        for action in actions[1:]:
            observation, reward, terminated, truncated, _ = env.step(action)
            seen += [each.clone() for each in (*leaves(observation), reward, terminated, truncated)]
        return seen

    expected = future()
    env.set_state(saved)
    assert all(torch.equal(a, b) for a, b in zip(expected, future(), strict=True))
    env.close()


@tasks
def test_gradient_of_the_return_matches_finite_differences(task_id: str) -> None:
    """G7: a directional derivative over 8 steps in float64 agrees with a central difference to 1e-4."""
    env = make_vec(task_id, output="torch", dtype="float64", differentiable=True, autoreset_mode="disabled")
    env.reset(seed=0)
    start = env.get_state()
    low, high = (
        torch.from_numpy(side.astype(np.float64))
        for side in (env.single_action_space.low, env.single_action_space.high)
    )
    generator = torch.Generator().manual_seed(0)
    shape = (8, 2, low.numel())
    actions = low + (high - low) * (0.4 + 0.2 * torch.rand(shape, generator=generator, dtype=torch.float64))
    direction = (high - low) * torch.randn(shape, generator=generator, dtype=torch.float64)

    def objective(x: torch.Tensor) -> torch.Tensor:
        env.set_state(start)
        return env.rollout(x).returns.sum()

    leaf = actions.clone().requires_grad_()
    out = objective(leaf)
    assert torch.isfinite(out)
    out.backward()
    exact = float((leaf.grad * direction).sum())
    assert exact != 0.0
    with torch.no_grad():
        differences = [
            float(objective(actions + h * direction) - objective(actions - h * direction)) / (2 * h)
            for h in (1e-6, 1e-7)
        ]
    # Contact makes the return piecewise smooth, and a difference across a kink is wrong: the better of two short steps.
    assert min(abs(exact - difference) for difference in differences) <= 1e-4 * max(abs(exact), 1e-3)
    env.close()


@tasks
def test_declarations(task_id: str) -> None:
    cls = task_class(task_id)
    spec = gym.spec(task_id)
    assert spec.max_episode_steps == cls.max_episode_steps
    json.loads(spec.to_json())
    low, high = np.array(cls.action_limits)
    assert np.all(np.abs(low) <= 1)
    assert np.all(np.abs(high) <= 1)
    if task_id != Splash.task_id:
        missing = [
            heading for heading in HEADINGS if not re.search(rf"^\s*##+ {heading}", cls.__doc__ or "", re.MULTILINE)
        ]
        assert not missing, f"{cls.__name__} lacks the docstring headings {missing}"


@tasks
def test_observations_within_declared_limits_under_random_actions(task_id: str) -> None:
    env = make_vec(task_id, 4)
    observation, _ = env.reset(seed=3)
    env.action_space.seed(3)
    for _ in range(5):
        assert observation in env.observation_space
        observation, _, _, _, info = env.step(env.action_space.sample())
        assert not info["sim_status"].any()
    env.close()


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_making_and_closing_does_not_leak() -> None:
    def cycle(count: int) -> None:
        for _ in range(count):
            env = make_vec(Splash.task_id)
            env.reset(seed=0)
            env.step(np.zeros((2, 2), dtype=np.float32))
            env.close()
        gc.collect()

    cycle(50)
    before = resident_bytes()
    cycle(500)
    assert resident_bytes() - before < 16e6


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
@pytest.mark.parametrize("differentiable", [False, True])
def test_stepping_and_resetting_does_not_leak(differentiable: bool) -> None:
    env = make_vec(Splash.task_id, output="torch", max_episode_steps=3, differentiable=differentiable)
    env.reset(seed=0)

    def cycle(count: int) -> None:
        for _ in range(count):
            action = torch.zeros(2, 2, requires_grad=differentiable)
            reward = env.step(action)[1]
            if differentiable:
                reward.sum().backward()
                env.detach_state()
        gc.collect()

    cycle(100)
    before = resident_bytes()
    cycle(500)
    assert resident_bytes() - before < 8e6
    env.close()
