# SPDX-License-Identifier: Apache-2.0
"""LatteArt: start, observations, rewards and success, computed by hand from the docstring."""

import numpy as np
import pytest
import torch

from simenv.envs.random import EpisodeRandom
from simenv.envs.task import draw_episode
from tests.tasks.by_hand import judged, keypoints, make, observed, rewarded, row, scattered
from tests.tasks.latte_by_hand import FOOT, NODES, STEP, measured, seen_milk


@pytest.fixture(scope="module")
def env():
    env = make("SimEnv/LatteArt-v0", pattern="heart")
    yield env
    env.close()


def states(env):
    low, high = FOOT + [-0.05, -0.05, 0.0], FOOT + [0.05, 0.05, 0.05]
    emitted = torch.full_like(env.state.emitted, 300)
    return (
        scattered(env, low, high).replace(emitted=emitted),
        scattered(env, low + [0.01, 0.0, 0.0], high, seed=1).replace(emitted=emitted + 5),
    )


def test_target_is_a_ridge_along_the_curve_with_the_mass_of_the_milk(env):
    """The variance across a line times its length is 4e-6 m^3; the milk is 980 kg/m^3 x 13.7 ml."""
    curve = row(env.episode["curve"])
    length = np.linalg.norm(np.diff(curve, axis=0), axis=1).sum()
    nodes = np.stack(np.meshgrid(NODES, NODES, indexing="ij"), -1).reshape(-1, 1, 2)
    ridge = np.exp(-((nodes - curve) ** 2).sum(-1) / (2 * 4e-6 / length)).sum(1)
    mass = 980.0 * np.pi * 0.0033**2 * 0.2 * 2.0
    np.testing.assert_allclose(row(env.episode["target"]), ridge / ridge.sum() * mass / STEP**2, rtol=1e-6, atol=1e-9)
    assert observed(env, env.state)["target"].tolist() == row(env.episode["target"]).tolist()


def test_curves_are_turned_scaled_and_shifted_as_drawn():
    """Of 500 lines: both ends 24 to 30 mm from the centre, which lies within 5 mm in x and y, in any direction."""
    env = make("SimEnv/LatteArt-v0", pattern="line", randomize=True)
    seeds = torch.arange(500)
    drawn = draw_episode(env.task, EpisodeRandom(seeds, torch.zeros_like(seeds), dtype=torch.float64))
    curve = drawn["curve"].numpy()
    way, centre = curve[:, -1] - curve[:, 0], 0.5 * (curve[:, 0] + curve[:, -1])
    half = np.linalg.norm(way, axis=1) / 2 / 1.1  # a line is 2.2 units long
    assert 0.024 <= half.min() < 0.0242 and 0.0298 < half.max() <= 0.030
    assert (np.abs(centre) <= 0.005 + 1e-12).all() and (np.abs(centre).max(0) > 0.0048).all()
    assert np.histogram(np.arctan2(way[:, 1], way[:, 0]), 8, (-np.pi, np.pi))[0].min() > 35
    start = (drawn["start"] - drawn["curve"][:, 0]).numpy()
    assert (np.abs(start) <= 0.008 + 1e-12).all() and (np.abs(start).max(0) > 0.0078).all()
    for name, middle in (("coffee.viscosity", 0.02), ("milk.viscosity", 0.05)):
        ratio = (drawn[name] / middle).numpy()
        assert 0.5 <= ratio.min() < 0.51 and 1.97 < ratio.max() <= 2.0 and abs((ratio < 1).mean() - 0.5) < 0.09
    env.close()


def test_observations_by_hand(env):
    state, _ = states(env)
    seen, milk = observed(env, state), env.world.particle_groups["milk"]
    spout = np.concatenate([row(state.body_q)[0, :3] - FOOT, row(state.body_twist)[0, :3]])
    np.testing.assert_allclose(seen["spout"], spout, atol=1e-15)
    np.testing.assert_array_equal(seen["curve"], row(env.episode["curve"])[::2].ravel())
    np.testing.assert_allclose(seen["milk"], seen_milk(env, state).ravel(), rtol=1e-8, atol=1e-10)
    np.testing.assert_array_equal(seen["keypoints"], keypoints(state, milk.start, milk.stop, 32))
    np.testing.assert_allclose(seen["amount"], [300 / 500, measured(env, state)["spilled"]], rtol=1e-9)


def test_rewards_by_hand(env):
    before, after = states(env)
    old, new = measured(env, before), measured(env, after)
    terms = rewarded(env, before, np.array([[0.5, -0.2, 1.0]]), after)
    gains = {"match": 4.0, "rough": 1.0, "near": -1.0, "spilled": -3.0}
    wanted = {name: gain * (new[name] - old[name]) for name, gain in gains.items()}
    assert terms == pytest.approx(wanted | {"effort": -0.001 * 1.29}, rel=1e-7)
    assert min(abs(value) for value in wanted.values()) > 1e-4


def test_what_is_drawn_is_judged_where_it_exceeds_half_the_peak(env):
    """Milk laid on the target's nodes by its density there; a part of it is taken away, or put outside the cup."""
    target = row(env.episode["target"]).reshape(16, 16)
    wanted = target > 0.5 * target.max()
    places = np.argwhere(wanted)
    milk, state = env.world.particle_groups["milk"], env.state

    def judge(nodes, spilled):
        x, active = state.x.clone(), state.active.clone()
        at = np.array([NODES[nodes[k % len(nodes)]] for k in range(500)])
        x[0, milk, :2], x[0, milk, 2] = torch.as_tensor(at + FOOT[:2]), 0.035
        x[0, milk.stop - spilled : milk.stop] = torch.tensor([0.01, 0.01, 0.005]).double()
        active[:, milk] = True
        after = state.replace(x=x, active=active)
        seen = seen_milk(env, after) > 0.5 * target.max()
        return judged(env, after), (wanted & seen).sum() / (wanted | seen).sum()

    for nodes, spilled in ((places, 0), (places, 20), (places, 30), (places[: len(places) // 3], 0)):
        measures, iou = judge(nodes, spilled)
        assert measures["iou"] == pytest.approx(iou) and measures["spilled"] == pytest.approx(spilled / 500)
        assert measures["success"] == (iou >= 0.5 and spilled <= 25)
    assert judge(places, 20)[0]["success"] and not judge(places, 30)[0]["success"]
    assert not judge(places[: len(places) // 3], 0)[0]["success"]


def test_start_by_hand(env):
    """The coffee is compressed by rho g h / K, the milk is not; the spout is at the start of the curve."""
    built, state, coffee = env.world.initial_state(), env.state, env.world.particle_groups["coffee"]
    head = np.maximum(0.028 - row(built.x)[coffee, 2], 0.0)
    np.testing.assert_allclose(row(state.J)[coffee], 1.0 - 1000.0 * 9.81 * head / 2.5e4, rtol=1e-9)
    assert (row(state.J)[env.world.particle_groups["milk"]] == 1.0).all() and head.max() > 0.01
    place = np.append(row(env.episode["start"]), 0.05) + FOOT
    np.testing.assert_allclose(row(state.body_q)[0, :3], place, atol=1e-12)


def test_actions_move_the_spout_and_stop_at_the_workspace(env):
    pose = env.state.body_q.clone()
    pose[0, 0, :3] = torch.as_tensor(FOOT + [0.0, 0.0, 0.05])

    def twist(action):
        action = torch.tensor([action]).double()
        return row(env.task.control(env.world, env.state.replace(body_q=pose), action, env.episode).twist)[0]

    np.testing.assert_allclose(twist([1.0, -0.4, 0.2]), [0.15, -0.06, 0.01, 0.0, 0.0, 0.0], atol=1e-12)
    pose[0, 0, :3] = torch.as_tensor(FOOT + [0.041, -0.041, 0.0404])
    np.testing.assert_allclose(twist([1.0, -1.0, -1.0])[:3], [0.05, -0.05, -0.02], atol=1e-9)  # 1, 1 and 0.4 mm a step
