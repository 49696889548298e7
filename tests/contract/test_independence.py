# SPDX-License-Identifier: Apache-2.0
"""What a world returns does not depend, in a single bit, on how many worlds there are, which of them it is, or how many
threads compute; while something happens, in every task, with seeds drawn anew in every run.
"""

import secrets
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import simenv
from simenv._threads import get_num_threads
from simenv.envs.registration import task_class
from simenv.rollouts import Recorder, Recording, replay
from simenv.tasks import template, template_robot, template_touch  # noqa: F401

# with the templates, which importing them registers; without what other tests register
TASKS = [task for task in simenv.list_tasks() if task.startswith(("SimEnv/", "Example/"))]
MOMENTS = 5  # of an episode, which become as many worlds
# what these do is PegInsertion's but for the judgement at the end
COUSINS = ("SimEnv/PegPlacement-v0", "SimEnv/BoltOnNut-v0")
MARKED = [pytest.param(task, marks=[pytest.mark.slow] if task in COUSINS else []) for task in TASKS]


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads(), get_num_threads()
    yield
    torch.set_num_threads(before[0])
    simenv.set_num_threads(before[1])


@pytest.fixture
def seed() -> int:
    return secrets.randbelow(2**31)


def make(task_id: str, worlds: int, **options: Any) -> Any:
    """Worlds with all that can be drawn at random."""
    if "randomize" in task_class(task_id).declared_arguments():
        options["randomize"] = True
    env = gym.make_vec(
        task_id, num_envs=worlds, output="torch", device="cpu", autoreset_mode="disabled", copy=True, **options
    )
    return env.unwrapped


def actions(env: Any, steps: int, seed: int) -> torch.Tensor:
    """(T, A): the task's nominal motion, or none, and noise."""
    space = env.single_action_space
    motion = env.task.nominal_actions(steps)
    noise = np.random.default_rng(seed).normal(0.0, 0.2, (steps, *space.shape))
    wanted = np.clip(noise if motion is None else motion + noise, space.low, space.high)
    return torch.as_tensor(wanted, dtype=torch.float32)


def flat(prefix: str, data: Any) -> dict[str, np.ndarray]:
    """All arrays of a nested dict by path."""
    if isinstance(data, dict):
        return {path: value for name, each in data.items() for path, value in flat(f"{prefix}/{name}", each).items()}
    return {prefix: data.detach().numpy()}


def step(env: Any, action: torch.Tensor) -> dict[str, np.ndarray]:
    """All that a step returns, all that decides the future, and every block of observations."""
    names = ("observation", "reward", "terminated", "truncated", "info")
    seen = flat("", dict(zip(names, env.step(action), strict=True))) | flat("state", env.get_state())
    usual = env.task.observation_mode
    for mode in (mode for mode in env.task.observation_modes if "+" not in mode):
        env.task.observation_mode = mode
        seen |= flat(mode, env.observe())
    env.task.observation_mode = usual
    return seen


def differences(alone: dict[str, np.ndarray], row: int, many: dict[str, np.ndarray], to: int) -> list[str]:
    """Names of what differs in any bit between a world of one batch and a world of another."""
    assert alone.keys() == many.keys()
    return [name for name in alone if alone[name][row].tobytes() != many[name][to].tobytes()]


@pytest.mark.parametrize("task_id", MARKED)
def test_a_step_is_the_same_at_every_place_and_with_any_threads(task_id: str, seed: int) -> None:
    """Moments of one world's episode, side by side in a batch, each step as they did alone."""
    env = make(task_id, 1)
    env.reset(seed=seed)
    steps = min(env.task.max_episode_steps // 2, 30)
    moments = np.linspace(1, steps - 1, MOMENTS).astype(int)
    motion = actions(env, steps, seed)
    starts, alone = [], []
    for t, action in enumerate(motion):
        if t not in moments:
            env.step(action[None])
            continue
        starts.append(env.get_state())
        alone.append(step(env, action[None]))
    env.close()
    batch = make(task_id, MOMENTS)
    batch.reset(seed=seed)
    start = {name: torch.cat([each[name] for each in starts]) for name in starts[0]}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        simenv.set_num_threads(threads)
        batch.set_state(start)
        together = step(batch, motion[moments])
        for k, single in enumerate(alone):
            assert differences(single, 0, together, k) == [], f"seed {seed}, moment {moments[k]}, {threads} threads"
    batch.close()


@pytest.mark.parametrize("task_id", MARKED)
def test_a_reset_draws_and_places_the_same_in_every_batch(task_id: str, seed: int) -> None:
    seeds = [seed, seed + 7, seed + 1]
    results = []
    for chosen in (seeds, seeds[2:]):
        env = make(task_id, len(chosen))
        observation, info = env.reset(seed=chosen)
        results.append(flat("observation", observation) | flat("info", info) | flat("state", env.get_state()))
        env.close()
    assert differences(results[1], 0, results[0], 2) == [], f"seed {seed}"


VARIANTS = [(task, {}) for task in TASKS]
VARIANTS += [("SimEnv/BallRoll-v0", {"gel": "elastic"}), ("SimEnv/PegInsertion-v0", {"gel": "elastic"})]
VARIANTS += [("SimEnv/PegInsertion-v0", {"robot": "panda"})]


@pytest.mark.slow
@pytest.mark.parametrize(("task_id", "options"), VARIANTS, ids=["-".join((t, *o.values())) for t, o in VARIANTS])
def test_an_episode_is_the_same_whatever_the_batch(task_id: str, options: dict[str, str], seed: int) -> None:
    """From the reset on, at the first, a middle and the last place of batches of 2, 3, 5 and 8."""

    def episode(worlds: int, place: int) -> list[dict[str, np.ndarray]]:
        env = make(task_id, worlds, **options)
        seeds = [seed + 11 + i for i in range(worlds)]
        seeds[place] = seed
        env.reset(seed=seeds)
        motion = actions(env, min(env.task.max_episode_steps, 60), seed)
        result = [step(env, action.expand(worlds, -1)) for action in motion]
        env.close()
        return result

    alone = episode(1, 0)
    for threads, worlds, place in ((1, 2, 0), (2, 3, 1), (1, 5, 4), (2, 8, 3)):
        torch.set_num_threads(threads)
        simenv.set_num_threads(threads)
        for t, (single, many) in enumerate(zip(alone, episode(worlds, place), strict=True)):
            assert differences(single, 0, many, place) == [], f"seed {seed}, step {t}, world {place} of {worlds}"


@pytest.mark.slow
def test_recordings_of_a_batch_replay_bit_for_bit_time_after_time(tmp_path) -> None:
    """The README's example: recorded as one of two worlds, replayed alone, with other actions every time."""
    for run in range(40):
        env = gym.make_vec("SimEnv/Pouring-v0", num_envs=2, device="cpu", max_episode_steps=5)
        with Recorder(tmp_path / str(run), env) as recorder:
            recorder.reset(seed=run)
            for _ in range(5):
                recorder.step(env.action_space.sample())
        env.close()
        report = replay(Recording(tmp_path / str(run))[0])
        assert report.exact, report
