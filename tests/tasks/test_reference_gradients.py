# SPDX-License-Identifier: Apache-2.0
"""Derivatives of the reference tasks, with feet on the floor, against central differences in random directions."""

import gymnasium as gym
import pytest
import torch

import simenv  # noqa: F401  registers the tasks

# Control steps before, played without a gradient, so that feet are on the floor; steps; and the size of actions.
CASES = {"CartPole": (0, 50, 1.0), "Hopper": (8, 24, 0.4), "Ant": (8, 12, 0.3)}
# of the differences: long ones cross kinks, short ones are rounded
STEPS = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6, 1e-7, 1e-8)


def make(task):
    env = gym.make_vec(
        f"SimEnv/{task}-v0", num_envs=2, output="torch", device="cpu", dtype="float64", differentiable=True,
        autoreset_mode="disabled",
    ).unwrapped  # fmt: skip
    env.reset(seed=0)
    return env


def actions_of(env, steps, size, seed):
    random = torch.Generator().manual_seed(seed)
    return size * (2.0 * torch.rand(steps, *env.action_space.shape, generator=random, dtype=torch.float64) - 1.0)


def started(env, before, size):
    """A state in the middle of a motion."""
    with torch.no_grad():
        if before:
            env.rollout(actions_of(env, before, size, 1))
    return env.get_state()


def differs(value, at, direction):
    """Central differences along a direction, of second order, and of fourth, from two steps each (Richardson)."""
    with torch.no_grad():
        found = [float((value(at + h * direction) - value(at - h * direction)) / (2.0 * h)) for h in STEPS]
    pairs = zip(STEPS, found, STEPS[1:], found[1:], strict=False)
    return found + [near + (near - far) * k * k / (h * h - k * k) for h, far, k, near in pairs]


def check(value, at, seed, limit=1e-6):
    """The gradient of a function at a point against differences in two random directions."""
    leaf = at.clone().requires_grad_()
    (slope,) = torch.autograd.grad(value(leaf), leaf)
    random = torch.Generator().manual_seed(seed)
    for _ in range(2):
        direction = torch.randn(at.shape, generator=random, dtype=torch.float64)
        exact, size = float((slope * direction).sum()), float((slope.abs() * direction.abs()).sum())
        off = min(abs(each - exact) for each in differs(value, at, direction)) / size
        print(f"{exact:.3e} off by {off:.1e}")
        assert size > 0.0 and off < limit


@pytest.mark.parametrize("task", CASES)
def test_of_the_return_by_actions(task):
    env, (before, steps, size) = make(task), CASES[task]
    start = started(env, before, size)
    weights = torch.linspace(0.5, 1.5, 2, dtype=torch.float64)

    def value(actions):
        env.set_state(start)
        return (env.rollout(actions).returns * weights).sum()

    check(value, actions_of(env, steps, size, 2), 3)
    if task != "CartPole":
        assert float(env.state.contact_impulse.abs().max()) > 0.0


@pytest.mark.parametrize("task", CASES)
def test_of_observations_by_the_state(task):
    """Positions and rates of all joints at the start; of all observations at the end."""
    env, (before, steps, size) = make(task), CASES[task]
    started(env, before, size)
    start, actions, world = env.state, actions_of(env, steps, size, 2), env.world
    given = torch.cat([start.joint_q, start.joint_qd], 1)
    count = start.joint_q.shape[1]

    def value(joints):
        state = start.replace(joint_q=joints[:, :count], joint_qd=joints[:, count:])
        for action in actions:
            state = world.step(state, env.task.control(world, state, action, env.episode))
        seen = env.task.observe(world, state, env.episode)
        return (seen * torch.linspace(0.3, 1.3, seen.shape[1], dtype=torch.float64)).sum()

    check(value, given, 4)


PARAMETERS = {
    "CartPole": ("cart_pole.mass",),
    "Hopper": ("hopper.mass", "hopper.viscous", "ground|hopper/foot.stiffness", "ground|hopper/foot.friction"),
    "Ant": ("ant.mass", "ant.armature", "rigid.stiffness", "rigid.friction", "rigid.dissipation"),
}


@pytest.mark.parametrize(("task", "name"), [(task, name) for task, names in PARAMETERS.items() for name in names])
def test_of_observations_by_parameters(task, name):
    env, (before, steps, size) = make(task), CASES[task]
    started(env, before, size)
    start, actions, world = env.state, actions_of(env, steps, size, 2), env.world
    usual = world.parameters[name].clone()

    def value(factor):
        world.parameters[name] = usual * factor
        state = start
        for action in actions:
            state = world.step(state, env.task.control(world, state, action, env.episode))
        seen = env.task.observe(world, state, env.episode)
        return (seen * torch.linspace(0.3, 1.3, seen.shape[1], dtype=torch.float64)).sum()

    check(value, torch.ones_like(usual), 5)
