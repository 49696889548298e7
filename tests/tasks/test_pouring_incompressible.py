# SPDX-License-Identifier: Apache-2.0
"""Pouring with the incompressible liquid: it can be done, what is observed, and gradients."""

import gymnasium
import numpy as np
import pytest
import torch

from tests.tasks.by_hand import make as exact
from tests.tasks.differences import check_gradients

ID = "SimEnv/Pouring-v0"


def make(**options):
    made = gymnasium.make_vec(ID, num_envs=1, output="torch", autoreset_mode="disabled", **options)
    return made.unwrapped


def test_the_expert_pours_and_the_task_looks_as_it_does():
    """With the same spaces."""
    env, other = make(incompressible=True), make()
    assert env.single_observation_space == other.single_observation_space
    assert env.single_action_space == other.single_action_space
    env.reset(seed=3)
    for _ in range(env.task.max_episode_steps):
        *_, info = env.step(env.task.expert(env.world, env.state, env.episode))
    assert info["success"].all() and not info["sim_status"].any()
    env.close()
    other.close()


@pytest.mark.slow
def test_an_arm_pours():
    """Whose links the liquid pushes."""
    env = make(incompressible=True, robot="panda")
    env.reset(seed=3)
    seen, *_ = env.step(torch.zeros(1, 4))
    weight = 9.81 * 1000.0 * float((env.world.volume * env.state.active).sum())
    assert seen["wrench"][0, 2].item() < -0.5 * weight
    for _ in range(env.task.max_episode_steps):
        *_, info = env.step(env.task.expert(env.world, env.state, env.episode))
    assert info["success"].all() and not info["sim_status"].any()
    env.close()


def test_gradients_agree_with_central_differences():
    """Of the return of 3 steps while liquid runs over the lip, by actions, density and friction of the glass."""
    env = exact(ID, incompressible=True, differentiable=True)
    task, world = env.task, env.world
    while float(task._meant(world, env.state)[0, 3]) < 1.5:
        env.step(task.expert(world, env.state, env.episode))
    start, rng = env.state.detach(), np.random.default_rng(2)
    sizes = {"liquid.density": 50.0, "glass.friction": 0.1}
    leaves = [torch.as_tensor(rng.uniform(-0.5, 0.5, (3, 1, 4))), *(world.parameters[name].clone() for name in sizes)]

    def gain(actions, *values):
        for name, value in zip(sizes, values, strict=True):
            world.parameters[name] = value
        state, total = start, 0.0
        for action in actions:
            after = world.step(state, task.control(world, state, action, env.episode))
            total = total + sum(task.reward(world, state, action, after, env.episode).values())
            state = after
        assert (state.status == 0).all()
        return (total + 0.1 * task.observe(world, state, env.episode)["wrench"].sum(-1)).sum()

    check_gradients(gain, leaves, (1.0, *sizes.values()), rng, (1e-4, 1e-5, 1e-6), 1e-5)
    env.close()
