# SPDX-License-Identifier: Apache-2.0
"""Pouring: start, control, observations, rewards and success, computed by hand from the docstring."""

import numpy as np
import pytest
import torch
import trimesh

from simenv.assets import path
from simenv.envs.random import EpisodeRandom
from simenv.envs.task import draw_episode
from tests.tasks.by_hand import (
    density,
    hull_distance,
    judged,
    keypoints,
    make,
    observed,
    rewarded,
    row,
    scattered,
    sigmoid,
)  # fmt: skip

BOWL = trimesh.load(path("bowl.stl")).vertices
RIM = BOWL[:, 2].max()


@pytest.fixture(scope="module")
def env():
    env = make("SimEnv/Pouring-v0")
    yield env
    env.close()


def shares(env, state):
    """Shares of the liquid delivered and spilled, smooth over 5 mm, and its mean distance [m]."""
    x, active = row(state.x)[row(state.active)], row(state.active)
    local = x - row(env.episode["container"])
    inside, above = hull_distance(local, BOWL), RIM - local[:, 2]
    assert active.sum() == len(x)
    spilled = sigmoid(np.minimum(inside, above) / 0.005).mean()
    return {
        "delivered": sigmoid(-inside / 0.005).mean(),
        "spilled": spilled,
        "distance": np.maximum(inside, 0.0).mean(),
    }


def states(env):
    """Two states with liquid in the bowl, above it and beside it."""
    place = row(env.episode["container"])
    low, high = place + [-0.09, -0.09, 0.0], place + [0.09, 0.09, 0.12]
    return scattered(env, low, high), scattered(env, low + [0.0, 0.0, 0.01], high, seed=1)


def test_observations_by_hand(env):
    state, _ = states(env)
    seen, share = observed(env, state), shares(env, state)
    np.testing.assert_array_equal(seen["hand"], np.concatenate([row(state.body_q)[0], row(state.body_twist)[0]]))
    np.testing.assert_array_equal(seen["wrench"], row(state.wrench)[0])  # the glass is the first collider
    np.testing.assert_array_equal(seen["container"], row(env.episode["container"]))
    np.testing.assert_array_equal(seen["keypoints"], keypoints(state, 0, state.x.shape[1], 64))
    volume = np.where(row(state.active), row(env.world.volume), 0.0)
    fractions = density(row(state.x), volume, (12, 7, 8), (0.0, 0.0, 0.0), (0.44, 0.24, 0.30))
    np.testing.assert_allclose(seen["density"], fractions.ravel(), rtol=1e-9, atol=1e-12)
    assert fractions.max() > 0.02
    amount = [share["delivered"], share["spilled"], 1.0 - share["delivered"] - share["spilled"]]
    np.testing.assert_allclose(seen["amount"], amount, rtol=1e-9)
    assert min(amount[:2]) > 0.1


def test_rewards_by_hand(env):
    before, after = states(env)
    action = np.array([[0.5, -0.2, 0.1, 1.0]])
    old, new, terms = shares(env, before), shares(env, after), rewarded(env, before, action, after)
    start = np.linalg.norm(row(env.episode["container"]) - [0.13, 0.12, 0.165])
    wanted = {
        "delivered": 2.0 * (new["delivered"] - old["delivered"]),
        "approach": (old["distance"] - new["distance"]) / start,
        "spilled": -0.5 * (new["spilled"] - old["spilled"]),
        "effort": -0.001 * (0.25 + 0.04 + 0.01 + 1.0),
    }
    assert terms == pytest.approx(wanted, rel=1e-7)
    assert min(abs(value) for value in wanted.values()) > 1e-4


@pytest.mark.parametrize(
    ("delivered", "spilled", "success"),
    [(0.91, 0.0, True), (0.89, 0.0, False), (0.91, 0.04, True), (0.91, 0.06, False), (0.82, 0.0, False)],
)
def test_success_is_nine_tenths_in_the_bowl_and_a_twentieth_spilled(env, delivered, spilled, success):
    """The rest is in the air above the rim, where it is neither."""
    place, count = row(env.episode["container"]), 1000
    inside, beside, above = (place + offset for offset in ([0.0, 0.0, 0.02], [0.2, 0.0, 0.01], [0.0, 0.0, RIM + 0.05]))
    x = np.tile(above, (env.state.x.shape[1], 1))
    first, second = round(delivered * count), round((delivered + spilled) * count)
    x[:first], x[first:second] = inside, beside
    active = torch.arange(len(x))[None] < count
    measures = judged(env, env.state.replace(x=torch.as_tensor(x)[None], active=active))
    assert measures == pytest.approx({"success": success, "delivered": delivered, "spilled": spilled})


def test_start_by_hand(env):
    """The hand and what it holds are moved together, the liquid reaches to its level, and its pressure is hydrostatic:
    it is compressed by rho g h / K under a head h.
    """
    world, episode, state = env.world, env.episode, env.state
    built = world.initial_state()
    hand, level = row(episode["hand"]), float(episode["level"])
    np.testing.assert_allclose(row(state.body_q)[0], [*(hand + [0.13, 0.12, 0.165]), 0.0, 0.0, 0.0, 1.0], atol=1e-15)
    np.testing.assert_allclose(row(state.body_q)[1, :3], row(episode["container"]), atol=1e-15)
    np.testing.assert_allclose(row(state.x), row(built.x) + hand, atol=1e-15)
    height = row(built.x)[:, 2] - 0.11
    np.testing.assert_array_equal(row(state.active), height < level)
    head = np.maximum(level - height, 0.0)
    np.testing.assert_allclose(row(state.J), 1.0 - 1000.0 * 9.81 * head / 2.5e4, rtol=1e-12)
    assert row(state.J).min() < 0.985 and abs(float(world.parameters["liquid.viscosity"]) - 0.01) < 1e-9


def test_draws_lie_in_the_documented_ranges_and_reach_their_ends():
    env = make("SimEnv/Pouring-v0", randomize=True)
    seeds = torch.arange(4096)
    drawn = draw_episode(env.task, EpisodeRandom(seeds, torch.zeros_like(seeds), dtype=torch.float64))
    ranges = {
        "container": ((0.27, 0.105, 0.0), (0.31, 0.135, 0.0)), "hand": ((-0.005,) * 3, (0.005,) * 3),
        "level": (0.06, 0.07), "liquid.viscosity": (0.01 / 3, 0.03), "liquid.density": (900.0, 1100.0),
        "glass.friction": (0.0, 0.3),
    }  # fmt: skip
    assert drawn.keys() == ranges.keys()
    for name, (low, high) in ranges.items():
        low, high, value = np.asarray(low), np.asarray(high), drawn[name].numpy()
        slack = 0.01 * (high - low)
        assert (value >= low - 1e-12).all() and (value <= high + 1e-12).all(), name
        assert (value.min(0) <= low + slack).all() and (value.max(0) >= high - slack).all(), name
    # log-uniform: as many below as above the middle, 4096 draws within four standard deviations
    assert abs(float((drawn["liquid.viscosity"] < 0.01).double().mean()) - 0.5) < 4 * 0.5 / 64
    env.close()


def test_actions_move_and_tilt_the_hand_and_stop_at_the_workspace(env):
    control = env.task.control(env.world, env.state, torch.tensor([[1.0, -0.5, 0.25, 0.4]]).double(), env.episode)
    np.testing.assert_allclose(row(control.twist), [[0.2, -0.05, 0.025, 0.0, 1.0, 0.0], [0.0] * 6], atol=1e-12)
    pose, tilt = env.state.body_q.clone(), 2.59
    pose[0, 0] = torch.tensor([0.061, 0.179, 0.151, 0.0, np.sin(tilt / 2), 0.0, np.cos(tilt / 2)])
    state = env.state.replace(body_q=pose)
    control = env.task.control(env.world, state, torch.tensor([[-1.0, 1.0, -1.0, 1.0]]).double(), env.episode)
    np.testing.assert_allclose(row(control.twist)[0], [-0.05, 0.05, -0.05, 0.0, 0.5, 0.0], atol=1e-9)  # 1 mm, 0.01 rad
    assert env.world.dt == pytest.approx(0.02)
