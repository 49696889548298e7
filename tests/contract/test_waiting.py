# SPDX-License-Identifier: Apache-2.0
"""No step of any task makes the host wait for a GPU: no value is asked for, nothing is made of lists or NumPy."""

import gymnasium as gym
import numpy as np
import pytest
import torch
import warp as wp

import simenv
from simenv.world import World
from tests.contract.test_observation_modes import MODES
from tests.contract.waiting import Waiting
from tests.world.zoo import SCENES

# What a CPU world does that one on CUDA does not.
ON_CPU_ONLY = (
    "simenv/world/engine.py _share",
    "simenv/physics/mpm/particles.py _any_idle",
    "simenv/physics/mpm/solver.py _held",
    "simenv/physics/mpm/ordering.py of_active",
    "simenv/physics/device.py surely",
    "simenv/world/parameters.py _is_kept",
    "simenv/physics/gels/solve.py _all",
)


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x[:, [0, 1]],
        lambda x: x[np.array([0])],
        lambda x: x[x > 1],
        lambda x: x.__setitem__((slice(None), [0]), 0.0),
        lambda x: x.sum().item(),
        lambda x: bool(x.sum() > 0),
        lambda x: float(x[0, 0]),
        lambda x: x.tolist(),
        lambda x: np.asarray(x),
        lambda x: torch.tensor([1.0, 2.0]),
        lambda x: torch.as_tensor(np.zeros(3), dtype=x.dtype),
        lambda x: torch.from_numpy(np.zeros(3)),
        lambda x: x.new_tensor([1.0]),
        lambda x: x.nonzero(),
        lambda x: wp.array([1.0], dtype=float),
    ],
)
def test_what_waits_is_seen(wait):
    wp.init()
    x = torch.ones(2, 3)
    with Waiting() as watch:
        wait(x)
    assert len(watch.found) >= 1
    with Waiting() as watch:
        y = x[:, 0:1] + x[:, None, 1] * 2.0
        torch.where(y > 0, y, 0.0).index_select(1, torch.zeros(1, dtype=torch.int64))
        torch.zeros(3) + torch.arange(3)
        wp.from_torch(x)
    assert watch.found == set()


def watched(task_id, **options):
    """What would wait in steps of a task, the resets among them."""
    env = gym.make_vec(task_id, num_envs=2, output="torch", device="cpu", max_episode_steps=2, **options)
    env.reset(seed=0)
    actions = torch.zeros(2, *env.single_action_space.shape)
    for _ in range(3):  # with a reset; constants are made once
        env.step(actions)
    with Waiting(ON_CPU_ONLY) as watch:
        for _ in range(3):
            env.step(actions)
    env.close()
    return watch.found


def tasks():
    for task_id in sorted(simenv._BUILTIN_TASKS):
        alike = task_id in ("SimEnv/BoltOnNut-v0", "SimEnv/PegPlacement-v0")  # as the other peg task
        yield pytest.param(task_id, marks=pytest.mark.slow if alike else ())


@pytest.mark.parametrize("task_id", tasks())
def test_a_step_of_a_task_does_not_wait(task_id):
    assert watched(task_id) == set()


@pytest.mark.parametrize("name", SCENES)
def test_a_step_of_a_world_does_not_wait(name):
    """Of one in which bodies of all motions, gels, robots and particles are mixed as no task has them."""
    world = World(SCENES[name](), 2)
    state = world.initial_state()
    for _ in range(2):  # constants are made once
        state = world.step(state, world.zero_control(state))
    with Waiting(ON_CPU_ONLY) as watch:
        world.step(state, world.zero_control(state))
    assert watch.found == set()
    world.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task_id", "mode"), [(task, mode) for task, modes in MODES.items() for mode in modes if "camera" not in mode]
)
def test_a_step_with_any_observation_does_not_wait(task_id, mode):
    """The wrist's camera is Newton's, which is not watched."""
    assert watched(task_id, observation_mode=mode) == set()


@pytest.mark.slow
def test_a_step_of_an_arm_does_not_wait():
    assert watched("SimEnv/PegInsertion-v0", robot="panda") == set()
