# SPDX-License-Identifier: Apache-2.0
"""The peg tasks: TacSL's numbers, and a controller with the true state, which shows that they can be done."""

import gymnasium as gym
import numpy as np
import pytest
import torch

import simenv  # noqa: F401  registers the tasks
from simenv.envs.random import EpisodeRandom
from simenv.envs.task import draw_episode
from simenv.physics.rotation import rotate


def scripted_action(env):
    return env.task.expert(env.world, env.state, env.episode)


IDS = ("SimEnv/PegInsertion-v0", "SimEnv/PegPlacement-v0", "SimEnv/BoltOnNut-v0")


def make(task_id, worlds, **options):
    return gym.make_vec(
        task_id, num_envs=worlds, output="torch", device="cpu", autoreset_mode="disabled", **options
    ).unwrapped


def play(env, seed=0, act=scripted_action):
    env.reset(seed=seed)
    for _ in range(env.task.max_episode_steps):
        *_, info = env.step(act(env))
    return info


@pytest.mark.parametrize("task_id", IDS)
def test_a_controller_with_the_true_state_succeeds(task_id):
    """From 16 random starts, at least 14 times: it knows nothing of jamming or of a peg that swings in the hand."""
    env = make(task_id, 16)
    info = play(env)
    assert int(info["success"].sum()) >= 14
    assert not info["sim_status"].any()
    env.close()


def test_elastic_gels_hold_the_peg_and_let_it_be_inserted():
    """The start presses with the fingers' 10 N on each gel to 5 %, at stiffnesses of 60 to 140 %; from a near start
    the controller inserts as it does with springs.
    """
    env = make(IDS[0], 4, stage="near", clearance=0.005, gel="elastic", randomize=True)
    env.reset(seed=0)
    modulus = env.world.parameters["left.modulus"] / 1e5
    assert ((modulus > 0.6) & (modulus < 1.4)).all() and modulus.std() > 0.05
    force = env.state.field[..., 2].sum(1)
    torch.testing.assert_close(force, torch.full_like(force, 20.0), rtol=0.05, atol=0.0)
    for _ in range(96):
        *_, info = env.step(scripted_action(env))
    assert info["success"].all()
    assert not info["sim_status"].any()
    env.close()


def test_doing_nothing_fails():
    env = make(IDS[0], 8)
    info = play(env, act=lambda env: torch.zeros(8, 6))
    assert not info["success"].any()
    # what the hand holds stays in the hand: the peg has not slipped by more than the gels' give
    assert (info["keypoint_distance"] > 0.03).all()
    env.close()


def test_starts_are_tacsl_s():
    """Table V: uniform ranges; 4096 draws come within 1 % of each end."""
    env = make(IDS[0], 1)
    seeds = torch.arange(4096)
    drawn = draw_episode(env.task, EpisodeRandom(seeds, torch.zeros_like(seeds)))
    ranges = {
        "hand": ((0.4, -0.1, 0.1), (0.6, 0.1, 0.2)), "turn": ((-0.1, -0.1, -1.0), (0.1, 0.1, 1.0)),
        "socket": ((0.4, -0.1, 0.0), (0.6, 0.1, 0.02)), "noise": ((-0.005,) * 3, (0.005,) * 3),
        "tilt": (-0.628, 0.628),
    }  # fmt: skip
    for name, (low, high) in ranges.items():
        low, high = np.asarray(low), np.asarray(high)
        value = drawn[name].double().numpy()
        assert (value >= low - 1e-6).all() and (value <= high + 1e-6).all()
        assert (value.min(0) < low + 0.01 * (high - low)).all() and (value.max(0) > high - 0.01 * (high - low)).all()
    env.close()


@pytest.mark.parametrize("task_id", IDS)
def test_a_near_start_touches_nothing_and_tells_nothing_of_the_grasp(task_id):
    """The lower end is 6 mm or more above the mouth; where the hand is does not depend on how the peg lies in it."""
    env = make(task_id, 64, stage="near")
    env.reset(seed=0)
    task, state, episode = env.task, env.state, env.episode
    _, points, _ = task.peg()
    points = torch.as_tensor(points, dtype=torch.float32)[None].expand(64, -1, -1)
    lowest = (state.body_q[:, 3, None, :3] + rotate(state.body_q[:, 3, None, 3:], points))[..., 2].amin(1)
    mouth = episode["socket"][:, 2] + task.mouth()[0]
    assert float((lowest - mouth).min()) > 0.004 and not state.push.any()
    place = (state.body_q[:, 2, :3] - episode["socket"]).double()
    held = torch.stack([episode["tilt"], episode["grasp"]], -1).double()
    correlation = torch.corrcoef(torch.cat([place, held], -1).T)[:3, 3:]
    assert float(correlation.abs().max()) < 0.4  # 3.2 standard deviations of chance, 1 / sqrt(64)
    env.close()


def test_the_controller_inserts_from_near_in_96_steps():
    env = make(IDS[0], 32, stage="near", clearance=0.005, max_episode_steps=96)
    env.reset(seed=0)
    for _ in range(96):
        *_, info = env.step(scripted_action(env))
    assert int(info["success"].sum()) >= 31
    with pytest.raises(ValueError, match="stage='nera' is not one of 'full', 'near'"):
        make(IDS[0], 1, stage="nera")
    env.close()


@pytest.mark.parametrize(
    ("mode", "shapes"),
    [
        ("privileged", {"state": (41,)}),
        ("reduced", {"state": (16,)}),
        ("force_field", {"left_field": (14, 10, 3), "right_field": (14, 10, 3)}),
        ("reduced+force_field", {"state": (16,), "left_field": (14, 10, 3), "right_field": (14, 10, 3)}),
    ],
)
def test_observation_modes(mode, shapes):
    env = make(IDS[0], 2, observation_mode=mode)
    assert {name: space.shape for name, space in env.single_observation_space.spaces.items()} == shapes
    env.reset(seed=0)
    seen = env.observe()
    assert {name: tuple(value.shape[1:]) for name, value in seen.items()} == shapes
    if "left_field" in shapes:
        assert float(seen["left_field"][..., 2].sum(dim=(1, 2)).min()) == pytest.approx(10.0, rel=0.02)
    env.close()


def test_a_held_peg_hangs_still():
    """Zero action: the hand holds its place but for its load, and the peg's weight is what the gels' shear reads."""
    env = make(IDS[0], 4)
    env.reset(seed=0)
    for _ in range(60):
        env.step(torch.zeros(4, 6))
    # the goal is the pose at the step's start, which holds no load: hand and peg sink together at m g / (c + k dt / 2)
    weight = float(env.world.parameters["peg.mass"][0]) * 9.81
    sinking = env.state.body_twist[:, 2:, 2]
    assert sinking == pytest.approx(torch.full((4, 2), -weight / (50.0 + 600.0 / 120.0)), rel=0.03)
    lifted = sum(-env.world.gels[name].force(env.state)[:, 2] for name in ("left", "right"))
    assert lifted.tolist() == pytest.approx([weight] * 4, rel=0.02)
    env.close()


def test_reward_terms_by_hand():
    """The formulas of appendix C on one state: keypoints on a lifted and leaning peg."""
    env = make(IDS[0], 1, contact_penalty=0.1, dtype="float64")
    env.reset(seed=3)
    task, episode, before = env.task, env.episode, env.state
    pose = before.body_q.clone()
    pose[0, 3] = torch.tensor([0.0, 0.0, 0.05, 0.0, np.sin(0.05), 0.0, np.cos(0.05)], dtype=torch.float64)
    pose[0, 3, :3] += episode["socket"][0] + torch.tensor([0.001, 0.0, task.seat()], dtype=torch.float64)
    push = before.push.clone()
    push[0, 3, 2] = 2.0
    after = before.replace(body_q=pose, push=push)
    axis = np.array([np.sin(0.1), 0.0, np.cos(0.1)])
    points = [np.array([0.001, 0.0, 0.05]) + k * (axis - [0.0, 0.0, 1.0]) for k in np.linspace(-0.25, 0.25, 4)]
    distance = np.mean([np.linalg.norm(p) for p in points])
    action = torch.full((1, 6), 0.5, dtype=torch.float64)
    terms = {name: float(v) for name, v in task.reward(env.world, before, action, after, episode).items()}
    assert terms["keypoints"] == pytest.approx(-0.1 * distance, rel=1e-6)
    assert terms["close"] == pytest.approx(0.1 / (np.exp(50 * distance) + 1e-4 + np.exp(-50 * distance)), rel=1e-6)
    assert terms["smooth"] == pytest.approx(-0.001 * np.sqrt(6 * 0.25), rel=1e-6)
    assert terms["contact"] == pytest.approx(-0.1 * 0.01 * 2.0, rel=1e-6)  # over the hole: a hundredth
    env.close()
