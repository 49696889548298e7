# SPDX-License-Identifier: Apache-2.0
"""Pouring with a robot: what is observed, what the liquid does to the arm, determinism, errors, that it can be done,
and gradients through arm, glass and liquid.
"""

import shutil

import gymnasium as gym
import numpy as np
import pytest
import torch

from simenv.assets import path
from simenv.errors import AssetError
from tests.tasks.batches import check_batches, played
from tests.tasks.by_hand import make as exact
from tests.tasks.differences import check_gradients

ID = "SimEnv/Pouring-v0"


def make(worlds, robot="panda", **options):
    options = {"output": "torch", "device": "cpu", "autoreset_mode": "disabled", **options}
    return gym.make_vec(ID, num_envs=worlds, robot=robot, **options).unwrapped


def test_observations_are_those_of_the_hand_and_the_joints():
    """As without a robot; the glass is where the goal is at the start, where the joints have it."""
    env, hand = exact(ID, robot="panda"), exact(ID)
    spaces = {name: space.shape for name, space in env.single_observation_space.items()}
    assert spaces == {name: space.shape for name, space in hand.single_observation_space.items()} | {
        "joints": (7,), "goal": (4,)
    }  # fmt: skip
    seen, alone = (each.task.observe(each.world, each.state, each.episode) for each in (env, hand))
    for name in ("hand", "container", "keypoints", "density", "amount"):
        torch.testing.assert_close(seen[name], alone[name], rtol=0.0, atol=1e-12)
    assert seen["goal"][0].tolist() == pytest.approx([*alone["hand"][0, :3].tolist(), 0.0], abs=1e-12)
    place = env.world.robots["arm"].model.pose(seen["joints"], "glass")
    torch.testing.assert_close(place[:, :3], seen["hand"][:, :3], rtol=0.0, atol=1e-12)
    for each in (env, hand):
        each.close()


def test_the_arm_hangs_on_what_the_liquid_weighs():
    """Motors carry robot and glass; the impedance, 2 kN/m, what is in it. The goal is that of the actions."""
    env = make(2)
    env.reset(seed=0)
    for action in ([0.5, 0.0, 0.0, 0.1], *[[0.0] * 4] * 60):
        seen, *_ = env.step(torch.tensor([action] * 2))
    world, state = env.world, env.state
    moved = env.episode["hand"] + torch.tensor([0.13 + 0.02 * 0.1, 0.12, 0.165])
    torch.testing.assert_close(seen["goal"], torch.cat([moved, torch.full((2, 1), 0.005)], -1), rtol=0.0, atol=1e-6)
    mass = (world.volume * state.active).sum(-1) * world.parameters["liquid.density"]
    assert 0.18 < mass.min() and mass.max() < 0.23
    sag = seen["goal"][:, 2] - seen["hand"][:, 2]
    assert (2000.0 * sag / (9.81 * mass)).tolist() == pytest.approx([1.0] * 2, rel=0.02)
    assert (-seen["wrench"][:, 2] / (9.81 * mass)).tolist() == pytest.approx([1.0] * 2, rel=0.02)
    assert (seen["goal"] - seen["hand"][:, :4])[:, :2].abs().max() < 2e-5
    env.close()


@pytest.mark.parametrize("robot", [None, "panda"])
def test_the_expert_pours(robot):
    """From 4 random starts, with a robot as without; `robot=` takes nothing away from what is asked."""
    env = make(4, robot, randomize=True)
    env.reset(seed=11)
    for _ in range(env.task.max_episode_steps):
        *_, info = env.step(env.task.expert(env.world, env.state, env.episode))
    assert info["success"].all() and not info["sim_status"].any()
    env.close()


def test_a_world_of_many_is_the_world_alone_for_any_number_of_threads(monkeypatch):
    def run(worlds, seed=0):
        return played(make(worlds, dx=0.02), seed, 3)

    check_batches(monkeypatch, run, 5, 3)


def test_a_file_of_one_s_own_and_what_cannot_be_used(tmp_path):
    shutil.copy(path("robots/panda.urdf"), tmp_path / "mine.urdf")
    env = make(1, f"{tmp_path / 'mine.urdf'}#tool", dx=0.02)
    seen, _ = env.reset(seed=0)
    assert seen["joints"].shape == (1, 7)
    env.close()
    env = make(1, "fetch", base=(0.13, -0.65, -0.75), dx=0.02)
    seen, _ = env.reset(seed=0)
    assert seen["hand"][0, :3].tolist() == pytest.approx(seen["goal"][0, :3].tolist(), abs=1e-6)
    env.close()
    with pytest.raises(AssetError, match="'lbr': 0 links slide beside its tool"):
        make(1, "lbr")
    with pytest.raises(ValueError, match=r"'panda' with its base at .* misses by .*; place its base elsewhere"):
        make(1, base=(0.18, -1.5, 0.0))
    with pytest.raises(ValueError, match=r"base=\(0.1, 0.2\): give three numbers"):
        make(1, base=(0.1, 0.2))


def test_gradients_agree_with_central_differences():
    """Of the return of 3 steps while liquid runs over the lip, by actions, the arm's gains and masses, and density."""
    env = exact(ID, robot="panda", dx=0.02, differentiable=True)
    task, world = env.task, env.world
    while float(env.state.memory[0, 3]) < 1.5:
        env.step(task.expert(world, env.state, env.episode))
    start, rng = env.state.detach(), np.random.default_rng(2)
    sizes = {"arm/glass.stiffness": 100.0, "arm.mass": 0.5, "liquid.density": 50.0}
    leaves = [torch.as_tensor(rng.uniform(-0.5, 0.5, (3, 1, 4))), *(world.parameters[name].clone() for name in sizes)]

    def gain(actions, *values):
        for name, value in zip(sizes, values, strict=True):
            world.parameters[name] = value
        state, total = start, 0.0
        for action in actions:
            after = world.step(state, task.control(world, state, action, env.episode))
            after = task.remember(world, state, action, after, env.episode)
            total = total + sum(task.reward(world, state, action, after, env.episode).values())
            state = after
        assert (state.status == 0).all()
        return (total + 0.1 * task.observe(world, state, env.episode)["joints"].sum(-1)).sum()

    check_gradients(gain, leaves, (1.0, *sizes.values()), rng, (1e-3, 1e-4, 1e-5))
    env.close()
