# SPDX-License-Identifier: Apache-2.0
"""The caller's time limit is the task's: rewards that refer to the end of the episode follow it."""

import copy
import dataclasses

import gymnasium as gym
import numpy as np
import pytest

from simenv.envs import SimVectorEnv, make_env
from simenv.envs.registration import task_class
from simenv.rollouts import Recorder, Recording, replay
from tests.envs.splash_task import Splash

BALL, GRASP = "SimEnv/BallRoll-v0", "SimEnv/SoftGrasp-v0"
TERMS = {BALL: ("calm", 5), GRASP: ("stay", 10)}  # a term that counts in so many last steps


def steps_that_count(env: gym.Env | gym.vector.VectorEnv, term: str, steps: int) -> list[int]:
    """Numbers of the steps in which a term of the reward is not 0."""
    action = np.full(env.action_space.shape, 0.2, np.float32)
    env.reset(seed=0)
    seen = [env.step(action)[4]["reward_terms"][term] for _ in range(steps)]
    return [k + 1 for k, value in enumerate(seen) if np.any(np.asarray(value) != 0.0)]


@pytest.mark.parametrize("task_id", TERMS)
@pytest.mark.parametrize("limit", [12, 15])
def test_the_end_of_an_episode_is_where_the_caller_put_it(task_id: str, limit: int) -> None:
    term, count = TERMS[task_id]
    wanted = list(range(limit - count + 1, limit + 1))
    single = gym.make(task_id, device="cpu", max_episode_steps=limit)
    assert steps_that_count(single, term, limit) == wanted
    single.close()
    batch = gym.make_vec(task_id, num_envs=2, device="cpu", max_episode_steps=limit)
    assert steps_that_count(batch, term, limit) == wanted
    batch.close()


@pytest.mark.parametrize("task_id", TERMS)
def test_without_a_limit_it_is_where_it_is_registered(task_id: str) -> None:
    term, count = TERMS[task_id]
    env = gym.make_vec(task_id, num_envs=1, device="cpu", max_episode_steps=None)
    assert steps_that_count(env, term, 62) == list(range(61 - count, 63))  # it goes on, and so does the end
    env.close()


def made(way: str) -> tuple[int | None, gym.Env | gym.vector.VectorEnv]:
    """A limit, and an environment made with it in some way."""
    spec = copy.deepcopy(gym.spec(Splash.task_id))
    if way == "spec":
        spec.max_episode_steps = 7
        return 7, gym.make(spec, device="cpu")
    if way == "spec and limit":
        spec.max_episode_steps = 7
        return 9, gym.make(spec, device="cpu", max_episode_steps=9)
    if way == "alias":
        gym.register("TestEnv/Alias-v0", spec.entry_point, kwargs=spec.kwargs, max_episode_steps=6)
        try:
            return 6, gym.make("TestEnv/Alias-v0", device="cpu")
        finally:
            del gym.registry["TestEnv/Alias-v0"]
    if way == "module":
        return 8, gym.make(f"tests.envs.splash_task:{Splash.task_id}", device="cpu", max_episode_steps=8)
    if way == "without version":
        return 8, gym.make(Splash.task_id.removesuffix("-v0"), device="cpu", max_episode_steps=8)
    if way == "another environment's":
        gym.register("TestEnv/Outer-v0", lambda: make_env(Splash.task_id, device="cpu"), max_episode_steps=3)
        try:
            return 20, gym.make("TestEnv/Outer-v0")
        finally:
            del gym.registry["TestEnv/Outer-v0"]
    limits = {"default": {}, "given": {"max_episode_steps": 5}, "none": {"max_episode_steps": -1}}
    single = {"device": "cpu", **limits[way]}
    return single.get("max_episode_steps", 20) if way != "none" else 20, gym.make(Splash.task_id, **single)


WAYS = (
    "default", "given", "none", "spec", "spec and limit", "alias", "module", "without version", "another environment's",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*Using the latest versioned environment")
@pytest.mark.parametrize("way", WAYS)
def test_the_task_knows_it_when_it_is_built(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known, build = [], Splash.build

    def spy(self):
        known.append(self.max_episode_steps)
        return build(self)

    monkeypatch.setattr(Splash, "build", spy)
    limit, env = made(way)
    assert known == [limit] and env.unwrapped.task.max_episode_steps == limit
    twin = copy.deepcopy(env)
    assert twin.unwrapped.task.max_episode_steps == limit
    env.close()


@pytest.mark.parametrize(
    ("options", "limit"), [({}, 20), ({"max_episode_steps": 5}, 5), ({"max_episode_steps": None}, 20)]
)
def test_so_does_that_of_a_batch(options: dict, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    known, build = [], Splash.build
    monkeypatch.setattr(Splash, "build", lambda self: (known.append(self.max_episode_steps), build(self))[1])
    gym.make_vec(Splash.task_id, num_envs=1, device="cpu", **options).close()
    SimVectorEnv(Splash(), 1, device="cpu", **options).close()
    assert known == [limit, limit] and task_class(Splash.task_id).max_episode_steps == 20
    several = gym.make_vec(Splash.task_id, num_envs=2, vectorization_mode="sync", device="cpu")
    assert several.get_attr("task")[1].max_episode_steps == 20
    several.close()


def test_a_recording_is_replayed_with_its_limit(tmp_path) -> None:
    env = Recorder(tmp_path, gym.make(BALL, device="cpu", max_episode_steps=7))
    env.reset(seed=3)
    for _ in range(7):
        *_, info = env.step(np.array([0.3, -0.2, -0.1], np.float32))
    assert info["reward_terms"]["calm"] != 0.0  # with the registered limit it would be
    env.close()
    (episode,) = Recording(tmp_path)
    assert episode.environment["max_episode_steps"] == 7
    assert replay(episode).exact
    other = dataclasses.replace(episode, environment=episode.environment | {"max_episode_steps": 60})
    rewards = [each for each in replay(other).deviations if each.first_step is not None]
    assert [(each.name, each.first_step) for each in rewards] == [("rewards", 3), ("truncated", 7)]
