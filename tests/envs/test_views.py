# SPDX-License-Identifier: Apache-2.0
"""Several observation modes at once are a declared thing: the task's own `observe`, asked once for each."""

from typing import Any

import gymnasium as gym
import pytest
import torch

from simenv.envs import views
from simenv.rollouts import access
from tests.agents.goal_task import Goal

VIEWS = {"actor": "blind", "critic": "privileged"}


def make(mode: Any) -> Any:
    return gym.make_vec(Goal.task_id, num_envs=3, device="cpu", output="torch", observation_mode=mode).unwrapped


def test_each_view_is_its_mode_and_the_task_stays_as_it_is() -> None:
    env = make(VIEWS)
    before = dict(vars(env.task))
    seen = env.reset(seed=4)[0]
    assert list(seen) == ["actor/observation", "critic/state"]
    for view, name in (("actor", "observation"), ("critic", "state")):
        one = make(VIEWS[view])
        alone = one.reset(seed=4)[0]
        assert torch.equal(seen[f"{view}/{name}"], alone if name == "observation" else alone[name])
        one.close()
    assert vars(env.task) == before and env.task.observation_mode == VIEWS  # nothing was patched
    assert env.task.observe.__func__ is type(env.task).observe
    env.task.observation_mode = {"only": "touch"}  # declared, so it may be changed like any mode
    assert list(env.observe()) == ["only/field"]
    env.close()


def test_views_have_no_limits_and_single_modes_keep_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Goal, "observation_limits", (-2.0, 2.0))
    env = make("blind")
    assert env.single_observation_space.low.item() == -2.0
    env.close()
    env = make(VIEWS)
    assert env.single_observation_space["actor/observation"].low.item() < -1e30
    assert views.observation_limits(env.task) is None
    env.close()


def test_views_are_recorded_and_rebuilt() -> None:
    env = make(VIEWS)
    again = access.make(access.describe(env))
    assert again.unwrapped.task.observation_mode == VIEWS
    assert again.single_observation_space == env.single_observation_space
    env.close()
    again.close()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({}, "observation_mode is an empty dict"),
        ({"a/b": "blind"}, "a view named 'a/b'; a name is a word without a slash"),
        ({"": "blind"}, "a view named ''"),
        ({"actor": "bind"}, r"observation_mode\['actor'\]='bind' is not one of .*Did you mean blind"),
        ("bind", "observation_mode='bind' is not one of"),
    ],
)
def test_wrong_views_are_named(wanted: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        views.choose_modes(wanted, Goal.observation_modes)
