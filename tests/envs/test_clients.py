# SPDX-License-Identifier: Apache-2.0
"""What clients of Gymnasium rely on, each way in its own test, without the clients that are not installed."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from simenv.envs import make_env
from simenv.envs.record_video import RecordVideo
from tests.envs.splash_task import Splash

ID = Splash.task_id


def test_an_option_that_a_client_offers_can_be_dropped_again() -> None:
    """TorchRL's GymEnv passes ``frameskip``, and takes it back when Python's own words say that nobody knows it."""
    kwargs: dict[str, Any] = {"frameskip": 1, "device": "cpu"}
    with pytest.raises(TypeError, match="unexpected keyword argument 'frameskip'") as caught:
        gym.make(ID, **kwargs)
    # Gymnasium itself, TorchRL and others look for these
    assert "__init__() got an unexpected keyword argument 'frameskip'" in str(caught.value)
    with pytest.raises(TypeError, match="unexpected keyword argument 'frameskip'"):
        gym.make_vec(ID, num_envs=2, **kwargs)
    del kwargs["frameskip"]
    gym.make(ID, **kwargs).close()


@pytest.mark.parametrize("kwargs", [{"max_episode_steps": 4}, {"max_episode_steps": None}, {}])
def test_the_spec_of_a_batch_has_the_limit_that_it_keeps(kwargs: dict[str, Any]) -> None:
    env = gym.make_vec(ID, num_envs=2, device="cpu", **kwargs)
    limit = kwargs.get("max_episode_steps", 20)
    assert env.spec.max_episode_steps == env.unwrapped.max_episode_steps == limit
    assert gym.spec(ID).max_episode_steps == 20  # the registered one stays
    again = gym.make_vec(EnvSpec.from_json(env.spec.to_json()))
    assert again.num_envs == 2 and again.spec.max_episode_steps == limit
    env.reset(seed=0)
    ends = [bool(env.step(np.zeros((2, 2), np.float32))[3].all()) for _ in range(5)]
    assert ends == [step == limit for step in range(1, 6)]


def test_the_spec_of_a_single_environment_has_the_limit_that_it_keeps() -> None:
    assert gym.make(ID, device="cpu", max_episode_steps=4).spec.max_episode_steps == 4
    assert gym.make(ID, device="cpu").spec.max_episode_steps == 20
    wrapped = gym.make_vec(ID, num_envs=2, vectorization_mode="sync", device="cpu", max_episode_steps=2)
    wrapped.reset(seed=0)
    assert [wrapped.step(np.zeros((2, 2), np.float32))[3].tolist() for _ in range(2)] == [[False] * 2, [True] * 2]


@pytest.mark.parametrize("mode", [None, "vector_entry_point"])
def test_gymnasium_s_vectorisations_give_the_same_worlds(mode: str | None) -> None:
    ours = gym.make_vec(ID, num_envs=2, vectorization_mode=mode, device="cpu")
    theirs = gym.make_vec(ID, num_envs=2, vectorization_mode="sync", device="cpu")
    action = np.array([[0.5, 0.0], [-0.5, 1.0]], np.float32)
    assert np.array_equal(ours.reset(seed=3)[0], theirs.reset(seed=3)[0])
    for _ in range(2):
        for mine, other in zip(ours.step(action)[:4], theirs.step(action)[:4], strict=True):
            assert np.array_equal(mine, other)


class Goals:
    """The goals that Splash draws for an episode, of a single environment or a batch of two."""

    def __init__(self, batch: bool) -> None:
        self.batch = batch
        self.env = gym.make_vec(ID, num_envs=2, device="cpu") if batch else gym.make(ID, device="cpu")

    def reset(self, **kwargs: Any) -> list[float]:
        self.env.reset(**kwargs)
        return self.env.unwrapped.episode["goal"].flatten().tolist()

    def step(self) -> None:
        self.env.step(np.zeros((2, 2) if self.batch else (2,), np.float32))


@pytest.mark.parametrize("batch", [False, True], ids=["single", "batch"])
def test_a_generator_that_the_user_sets_decides_the_next_episode(batch: bool) -> None:
    one, two = Goals(batch), Goals(batch)
    for goals in (one, two):
        goals.env.unwrapped.np_random = np.random.default_rng(5)
        assert goals.env.unwrapped.np_random_seed == -1
    assert one.reset() == two.reset()
    assert (second := one.reset()) == two.reset()  # further episodes of that seed
    for goals in (one, two):  # and after stepping, through the wrappers
        goals.step()
        goals.env.np_random = np.random.default_rng(6)
    third = one.reset()
    assert third == two.reset() and third != second
    one.env.np_random = np.random.default_rng(6)
    assert one.reset() == third  # it starts anew with the generator
    one.env.np_random = np.random.default_rng(7)
    assert one.reset() != third


@pytest.mark.parametrize("batch", [False, True], ids=["single", "batch"])
def test_a_seed_outranks_the_generator_and_is_told(batch: bool) -> None:
    goals = Goals(batch)
    first, again = goals.reset(seed=11), goals.reset()
    assert goals.env.unwrapped.np_random_seed == 11
    assert goals.env.np_random.bit_generator.state == np.random.default_rng(11).bit_generator.state
    goals.env.np_random = np.random.default_rng(5)
    assert goals.reset(seed=11) == first
    assert goals.reset() == again, "a generator set before the seed must not come back"
    assert Goals(batch).reset() != Goals(batch).reset(), "without seed and generator episodes differ"


def test_reading_the_generator_first_changes_nothing_but_what_is_drawn_from_it() -> None:
    one, two = Goals(False), Goals(False)
    seed = one.env.unwrapped.np_random_seed
    assert seed >= 0 and one.env.np_random is one.env.unwrapped.np_random
    two.env.unwrapped.np_random = np.random.default_rng(seed)
    assert one.reset() == two.reset()


def test_worlds_that_a_masked_reset_leaves_draw_from_the_generator_later() -> None:
    goals = Goals(True)
    goals.reset(seed=0)
    goals.env.np_random = np.random.default_rng(5)
    first = np.array(goals.reset(options={"reset_mask": np.array([True, False])})).reshape(2, 2)
    goals.env.np_random = np.random.default_rng(5)
    both = np.array(goals.reset()).reshape(2, 2)
    assert np.array_equal(first[0], both[0]) and not np.array_equal(first[1], both[1])
    one, two = Goals(True), Goals(True)
    for seed, each in enumerate((one, two)):
        each.reset(seed=seed)
        each.env.np_random = np.random.default_rng(5)
        each.reset(options={"reset_mask": np.array([True, False])})
    assert one.reset() == two.reset(), "the second world has not drawn from the generator"
    state = goals.env.unwrapped.get_state()
    following = goals.reset()
    goals.env.np_random = np.random.default_rng(9)
    goals.env.unwrapped.set_state(state)  # the state decides what follows, also after a generator was set
    assert goals.reset() == following


def test_options_that_are_refused_leave_nothing_to_close() -> None:
    """Gymnasium before 1.4 closes an environment when Python forgets it, also one whose making was refused."""
    from simenv.envs import SimVectorEnv

    with pytest.raises(ValueError, match="render_mode='ansi'"):
        gym.make_vec(ID, num_envs=2, device="cpu", render_mode="ansi")
    SimVectorEnv.__new__(SimVectorEnv).close()


def test_only_numpy_s_generators_are_taken() -> None:
    for env in (Goals(False).env, Goals(True).env):
        with pytest.raises(
            TypeError, match=r"np_random is a RandomState; give a generator, numpy\.random\.default_rng"
        ):
            env.unwrapped.np_random = np.random.RandomState(0)


def pygame(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    """As if pygame were installed, or not."""
    found = importlib.util.find_spec

    def find_spec(name: str, *args: Any) -> Any:
        return (object() if there else None) if name == "pygame" else found(name, *args)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


def test_a_window_without_pygame_is_refused_when_made(monkeypatch: pytest.MonkeyPatch) -> None:
    pygame(monkeypatch, there=False)
    with pytest.raises(gym.error.DependencyNotInstalled, match=r"pip install pygame.*rgb_array.*RecordVideo"):
        gym.make(ID, device="cpu", render_mode="human")
    with pytest.raises(ValueError, match=r"render_mode='human' is for gymnasium\.make.*rgb_array"):
        gym.make_vec(ID, num_envs=2, device="cpu", render_mode="human")


def test_a_window_opens_where_pygame_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gymnasium's wrapper shows the pictures; its window is not opened before the first reset."""
    pygame(monkeypatch, there=True)
    env = gym.make(ID, device="cpu", render_mode="human", render_size=(32, 24))
    assert env.render_mode == "human" and env.unwrapped.render_mode == "rgb_array"
    assert env.unwrapped.vector.render_size == (32, 24)
    monkeypatch.undo()
    # neither the metadata of other environments nor the way to other modes has changed
    assert gym.make(ID, device="cpu").metadata["render_modes"] == ["rgb_array"]
    listed = gym.make(ID, device="cpu", render_mode="rgb_array_list", render_size=(32, 24))
    listed.reset(seed=0)
    listed.step(np.zeros(2, np.float32))
    assert [frame.shape for frame in listed.render()] == [(24, 32, 3)] * 2


def frames_in(file: Path) -> int:
    import imageio_ffmpeg

    return imageio_ffmpeg.count_frames_and_secs(str(file))[0]


def test_record_video_writes_the_chosen_episodes(tmp_path: Path) -> None:
    env = gym.make(ID, device="cpu", render_mode="rgb_array", render_size=(32, 24), max_episode_steps=3)
    env = RecordVideo(env, tmp_path / "films", episode_trigger=lambda episode: episode != 1, name_prefix="splash")
    for steps in (3, 3, 2):  # the third is left before its end
        env.reset(seed=0)
        for _ in range(steps):
            env.step(np.zeros(2, np.float32))
    env.close()
    files = {file.name: frames_in(file) for file in sorted((tmp_path / "films").iterdir())}
    assert files == {"splash-episode-0.mp4": 4, "splash-episode-2.mp4": 3}


def test_record_video_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="render_mode is None; make the environment with render_mode='rgb_array'"):
        RecordVideo(gym.make(ID, device="cpu"), tmp_path)


def test_the_patterns_of_cleanrl_and_stable_baselines3_work() -> None:
    """One seeded function per world, with Gymnasium's wrappers around each."""

    def make(index: int) -> Any:
        def thunk() -> gym.Env:
            env = gym.make(ID, device="cpu", disable_env_checker=True)
            env = gym.wrappers.FlattenObservation(env)
            env = gym.wrappers.RecordEpisodeStatistics(env)
            env = gym.wrappers.ClipAction(env)
            env = gym.wrappers.NormalizeObservation(env)
            env.action_space.seed(index)
            return env

        return thunk

    envs = gym.vector.SyncVectorEnv([make(index) for index in range(2)])
    assert isinstance(envs.single_action_space, gym.spaces.Box)
    envs.reset(seed=1)
    observation = envs.step(envs.action_space.sample())[0]
    assert observation.shape == (2, *envs.single_observation_space.shape)
    envs.close()
    env_util = pytest.importorskip("stable_baselines3.common.env_util")
    vec = env_util.make_vec_env(ID, n_envs=2, seed=0, env_kwargs={"device": "cpu"})
    assert vec.reset().shape[0] == 2
    vec.step(np.zeros((2, 2), np.float32))
    vec.close()


def test_the_entry_point_tells_its_render_modes() -> None:
    assert make_env.metadata["render_modes"] == ["rgb_array", "human"]
    assert json.loads(gym.spec(ID).to_json())["kwargs"] == {"task_id": ID}
