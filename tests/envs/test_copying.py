# SPDX-License-Identifier: Apache-2.0
"""Pickled and copied environments go on exactly as the original would have, from wherever it stood."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.wrappers.vector import RecordEpisodeStatistics

import simenv
from simenv.rollouts import Recorder
from tests.envs.splash_task import Splash

COPIES = {"pickle": lambda each: pickle.loads(pickle.dumps(each)), "deepcopy": copy.deepcopy}
TASKS = [task for task in simenv.list_tasks() if task.startswith("SimEnv/")]  # others are those of other tests
GRAVITY = torch.tensor([[0.3, 0.0, -8.0]])


def play(env, rng: np.random.Generator, steps: int) -> list:
    """Everything that `steps` random steps and the start of the following episode return."""
    seen = []
    for _ in range(steps):
        seen += env.step((0.5 * rng.uniform(env.action_space.low, env.action_space.high)).astype(np.float32))
    return [*seen, *env.reset(), env.action_space.sample(), env.unwrapped.np_random.random()]


def same(a, b) -> bool:
    """Whether nested results are equal to the last bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return np.array_equal(np.asarray(a), np.asarray(b)) and type(a) is type(b)


@pytest.mark.parametrize("task_id", TASKS)
def test_a_copy_goes_on_as_the_original_would(task_id):
    # what was set by hand, what was drawn, clocks and generators go along, through Gymnasium's wrappers; half of the
    # tasks one way, half the other
    way = list(COPIES)[TASKS.index(task_id) % 2]
    env = gym.make(task_id, device="cpu", max_episode_steps=5)
    env.reset(seed=3)
    env.action_space.seed(4)
    env.unwrapped.parameters["gravity"] = GRAVITY
    play(env, np.random.default_rng(5), 1)
    env.unwrapped.parameters["gravity"] = GRAVITY
    env.step(env.action_space.sample() * 0.5)
    twin = COPIES[way](env)
    assert twin.unwrapped.world is not env.unwrapped.world
    mine, its = (play(each, np.random.default_rng(6), 4) for each in (env, twin))
    assert mine[-6]  # truncated in the fifth step of the episode, so that the wrapper's clock was copied
    assert same(its, mine)


@pytest.mark.parametrize("way", COPIES)
def test_a_vector_environment_is_copied_with_its_flags_and_wrapper(way):
    env = gym.make_vec(Splash.task_id, num_envs=3, device="cpu", max_episode_steps=3, stagger=True)
    env = RecordEpisodeStatistics(env)
    env.reset(seed=1)
    env.action_space.seed(2)
    actions = [env.action_space.sample() for _ in range(6)]
    before = [env.step(action) for action in actions[:3]]
    assert any(step[3].any() for step in before)  # some are about to begin their next episode
    twin = COPIES[way](env)
    mine, its = ([each.step(action)[:4] for action in actions[3:]] for each in (env, twin))
    assert same(its, mine)
    assert same(twin.reset(), env.reset())


def test_before_the_first_reset_and_after_close():
    env = gym.make_vec(Splash.task_id, num_envs=2, device="cpu")
    twin = copy.deepcopy(env)
    assert same(twin.reset(seed=7), env.reset(seed=7))
    env.close()
    with pytest.raises(gym.error.ClosedEnvironmentError):
        pickle.loads(pickle.dumps(env)).reset()


def test_a_copy_begins_a_graph_of_its_own():
    env = gym.make_vec(
        Splash.task_id, num_envs=1, device="cpu", output="torch", differentiable=True, autoreset_mode="disabled"
    )
    env.reset(seed=0)
    action = torch.zeros(1, *env.single_action_space.shape, requires_grad=True)
    env.step(action)
    assert env.unwrapped.state.requires_grad
    twin = copy.deepcopy(env)
    assert not twin.unwrapped.state.requires_grad
    reward = twin.step(2.0 * action)[1]
    reward.sum().backward()
    assert action.grad is not None  # of the second step alone


def test_views_observe_the_copy():
    views = {"actor": "reduced", "critic": "privileged"}
    env = gym.make("SimEnv/BallRoll-v0", device="cpu", observation_mode=views)
    for make in COPIES.values():
        twin = make(env)
        assert twin.unwrapped.task.observation_mode == views
        seen = twin.reset(seed=1)
        assert {name.split("/")[0] for name in seen[0]} == views.keys() and same(seen, env.reset(seed=1))


def test_a_copy_draws_itself():
    env = gym.make(Splash.task_id, device="cpu", render_mode="rgb_array", render_size=(20, 16))
    env.reset(seed=0)
    picture = env.render()
    twin = COPIES["pickle"](env)  # a renderer holds Warp's meshes, which can't be pickled
    assert np.array_equal(twin.render(), picture)
    twin.step(twin.action_space.high)
    assert np.array_equal(env.render(), picture)


def test_worlds_are_copied_by_scene_and_parameters():
    world = Splash().build().make_world(2)
    world.parameters["gravity"] = GRAVITY
    after = world.step(world.initial_state(), world.zero_control())
    for make in COPIES.values():
        twin = make(world)
        again = twin.step(twin.initial_state(), twin.zero_control())
        assert all(torch.equal(a, b) for a, b in zip(again.values(), after.values(), strict=True))


def test_a_recorder_says_why_it_is_not_copied(tmp_path):
    recorder = Recorder(tmp_path, gym.make_vec(Splash.task_id, num_envs=1, device="cpu"))
    for make in COPIES.values():
        with pytest.raises(TypeError, match=r"two would write into .*copy its \.env"):
            make(recorder)
    recorder.close()
