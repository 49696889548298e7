# SPDX-License-Identifier: Apache-2.0
"""Every declared field of every world, bit for bit, through an environment: get and set, pickling, record, replay by
actions and by states, and pictures.
"""

import functools
import pickle
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from simenv.render.frames import Renderer
from simenv.rollouts import Recorder, Recording, access, replay
from simenv.rollouts.replay import restore, state_at
from simenv.world import State
from tests.zoo.play import same
from tests.zoo.scenes import ZOO, each
from tests.zoo.task import TASK, actions

STEPS = 3
PACED = "liquid, paced"
NAMES = [*ZOO, PACED]
QUICK = {name for name in NAMES if "substeps" not in name}


def make(name: str, worlds: int = 1, **options: Any) -> Any:
    """An environment of a world of the zoo."""
    options |= {"scene": "liquid", "paced": True} if name == PACED else {"scene": name}
    return gym.make_vec(
        TASK, num_envs=worlds, output="torch", device="cpu", dtype="float64", autoreset_mode="disabled", **options
    )


def different(a: Any, b: Any) -> list[str]:
    """Names of tensors that differ in any bit."""
    assert a.keys() == b.keys()
    return [name for name in a if not same(a[name], b[name])]


def play(env: Any, steps: int, seed: int) -> list[State]:
    """The states after each step."""
    states = []
    for action in actions(steps, env.num_envs, seed):
        env.step(action)
        states.append(env.unwrapped.state)
    assert (states[-1].status == 0).all()
    return states


@pytest.mark.parametrize("name", each(NAMES, QUICK))
def test_a_state_that_is_got_set_or_pickled_goes_on_alike(name: str) -> None:
    env, other = make(name, 2), make(name, 2)
    env.reset(seed=1)
    play(env, 2, 0)
    saved, fields = env.unwrapped.get_state(), env.unwrapped.world.fields
    assert {f"state.{field}" for field in fields} <= saved.keys()
    twin = pickle.loads(pickle.dumps(env))
    other.unwrapped.set_state(saved)
    assert different(saved, other.unwrapped.get_state()) == different(saved, twin.unwrapped.get_state()) == []
    expected = play(env, 2, 1)
    for copy in (other, twin):
        for state, wanted in zip(play(copy, 2, 1), expected, strict=True):
            assert different(wanted, state) == []
    env.unwrapped.set_state(saved)  # back, from where it has gone on
    assert different(expected[-1], play(env, 2, 1)[-1]) == []
    for made in (env, other, twin):
        made.close()


@functools.cache
def recorded(name: str, folder: Path) -> tuple[Any, list[State]]:
    """An episode with all states, and the states that the environment had."""
    env = make(name, max_episode_steps=STEPS)
    with Recorder(folder / "".join(filter(str.isalnum, name)), env, states="all") as recorder:
        recorder.reset(seed=3)
        states = [env.unwrapped.state]
        for action in actions(STEPS, 1, 2):
            recorder.step(action)
            states.append(env.unwrapped.state)
        directory = recorder.directory
    env.close()
    assert int(states[-1].status[0]) == 0
    return Recording(directory)[0], states


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zoo")


@pytest.mark.parametrize("name", each(NAMES, QUICK))
def test_a_recording_keeps_every_field_and_replays_it(name: str, folder: Path) -> None:
    episode, states = recorded(name, folder)
    for field in states[0]:
        kept = np.concatenate([state[field].numpy() for state in states])
        assert episode.states[field].dtype == kept.dtype and episode.states[field].tobytes() == kept.tobytes(), field
    report = replay(episode)
    compared = {item.name: item.unit for item in report.deviations}
    assert report.exact, report
    env = access.make(episode.environment)
    restore(env, episode)
    world = env.unwrapped.world
    for field, declared in world.fields.items():
        assert compared[f"states/{field}"] == declared.unit, field
    shown = replay(episode, "states")
    assert shown.steps == STEPS + 1 and shown.remarks == ()
    for index, state in enumerate(states):
        assert different(state, state_at(env, episode, index)) == []
    env.close()


@pytest.mark.parametrize("name", each(NAMES, QUICK))
def test_pictures_show_what_is_declared_to_be_drawn_and_nothing_else(name: str, folder: Path) -> None:
    """A replayed state gives the picture of the state, bit for bit; so does one with all else changed."""
    episode, states = recorded(name, folder)
    env = access.make(episode.environment)
    restore(env, episode)
    world = env.unwrapped.world
    draw = Renderer(world, 48, 36, supersample=1).render
    last = states[-1]
    (picture,) = draw(last)
    (again,) = draw(state_at(env, episode, STEPS))
    assert np.array_equal(picture, again)
    hidden = {
        field: last[field] + (1.0 if last[field].is_floating_point() else 0)
        for field, declared in world.fields.items() if not declared.drawn
    }  # fmt: skip
    (changed,) = draw(last.replace(**hidden))
    assert np.array_equal(picture, changed)
    for field, declared in world.fields.items():
        if declared.drawn and last[field].numel():
            other = ~last[field] if last[field].dtype == torch.bool else last[field] + 0.03
            (changed,) = draw(last.replace(**{field: other}))
            assert not np.array_equal(picture, changed), field
    env.close()
