# SPDX-License-Identifier: Apache-2.0
"""The peg tasks with bare fingers, `coupling="rigid"`: that friction holds the peg where it is and by how much, what is
observed, gradients, errors, and that they can be done.
"""

import gymnasium as gym
import numpy as np
import pytest
import torch

import simenv  # noqa: F401  registers the tasks
from simenv.envs.measures import to_frame
from tests.tasks.arm_script import scripted_action
from tests.tasks.differences import check_gradients

NAMES = ["PegInsertion", "PegPlacement", "BoltOnNut"]


def make(worlds, name="PegInsertion", **options):
    options = {"output": "torch", "device": "cpu", "autoreset_mode": "disabled", "robot": "panda"} | options
    return gym.make_vec(f"SimEnv/{name}-v0", num_envs=worlds, coupling="rigid", **options).unwrapped


def in_hand(env):
    """Place (N, 3) and axis (N, 3) of the peg in the hand's frame."""
    hand, peg = (env.world.bodies[name] for name in (env.task.hand, "peg"))
    place = to_frame(peg.centre(env.state)[:, None], hand.pose(env.state))[:, 0]
    axis = env.task.axis(env.world, env.state)
    return place, to_frame(axis[:, None] + hand.pose(env.state)[:, None, :3], hand.pose(env.state))[:, 0]


@pytest.mark.parametrize("name", NAMES)
def test_bare_fingers_hold_the_peg(name):
    """Each with 10 N, leaning as it may, without creeping by 1 um/s once the arm has come to rest; the hand sinks by
    m g / (c + k dt / 2), as the goal of an action of zero is where it is.
    """
    env = make(3, name, dtype="float64")
    env.reset(seed=0)
    task, world, zero = env.task, env.world, torch.zeros(3, 6, dtype=torch.float64)
    for _ in range(90):
        env.step(zero)
    first = in_hand(env)
    for _ in range(60):
        env.step(zero)
    for old, new in zip(first, in_hand(env), strict=True):
        assert (old - new).abs().max() < 1e-6
    weight = float(world.parameters["peg.mass"][0]) * 9.81
    sinking = world.bodies["peg"].twist(env.state)[:, 2]
    assert sinking.tolist() == pytest.approx([-weight / (100.0 + 600.0 / 120.0)] * 3, rel=0.05)
    left, right = task._gripped(world, env.state)
    grip = torch.linalg.vector_norm(left - right, dim=-1) / 2.0
    assert grip.tolist() == pytest.approx([10.0] * 3, rel=0.02)
    lifted = (left + right)[:, 2]
    assert lifted.tolist() == pytest.approx([weight] * 3, rel=1e-3)
    assert not task._pushed(world, env.state).any()
    env.close()


def test_what_is_observed_and_what_cannot_be():
    for mode, size in (("reduced", 23), ("privileged", 48)):
        env = make(1, observation_mode=mode)
        assert env.single_observation_space["state"].shape == (size,)
        env.close()
    with pytest.raises(ValueError, match=r'bare fingers \(coupling="rigid"\) have no gels'):
        make(1, observation_mode="reduced+force_field")
    with pytest.raises(ValueError, match='coupling="rigid" is of a robot\'s fingers'):
        make(1, robot=None)


def test_a_world_of_many_is_the_world_alone():
    states = []
    for worlds, seed in ((4, 0), (1, 2)):
        env = make(worlds)
        env.reset(seed=seed)
        for i in range(3):
            env.step(torch.full((worlds, 6), 0.3 * (i - 1)))
        states.append(env.state)
        env.close()
    assert torch.equal(states[0].body_q[2], states[1].body_q[0])
    assert torch.equal(states[0].anchor[2], states[1].anchor[0])


@pytest.mark.parametrize("name", ["PegInsertion", "BoltOnNut"])
def test_gradients_agree_with_central_differences(name):
    """Of where the peg is after 4 steps, by actions, friction of a finger and mass of the peg: it sticks to both."""
    env = make(1, name, dtype="float64", differentiable=True)
    env.reset(seed=0)
    for _ in range(10):
        env.step(torch.zeros(1, 6, dtype=torch.float64))
    start, world, task, rng = env.state.detach(), env.world, env.task, np.random.default_rng(1)
    sizes = {task.hand + ".stiffness": 300.0, "peg.mass": 0.05, "arm.mass": 0.5}
    leaves = [torch.as_tensor(rng.uniform(-0.5, 0.5, (4, 1, 6))), *(world.parameters[key].clone() for key in sizes)]

    def end(actions, *values):
        for key, value in zip(sizes, values, strict=True):
            world.parameters[key] = value
        state = start
        for action in actions:
            state = world.step(state, task.control(world, state, action, env.episode))
        assert (state.status == 0).all()
        return world.bodies["peg"].pose(state).sum() + 0.1 * state.joint_q.sum()

    check_gradients(end, leaves, (1.0, *sizes.values()), rng, (1e-3, 1e-4, 1e-5))
    env.close()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "successes"), [("PegInsertion", 5), ("PegPlacement", 7), ("BoltOnNut", 7)])
def test_a_controller_with_the_true_state_succeeds(name, successes):
    """From 8 random starts, with rigid contact in the socket as well."""
    env = make(8, name)
    env.reset(seed=0)
    for _ in range(env.task.max_episode_steps):
        *_, info = env.step(scripted_action(env))
    assert int(info["success"].sum()) >= successes and not info["sim_status"].any()
    env.close()
