# SPDX-License-Identifier: Apache-2.0
"""The three tasks to copy do what their docstrings say: they keep Gymnasium's contract, a simple controller does them
where chance does not, and what is differentiable has the derivative of its differences.
"""

import shutil
import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from simenv.assets import path
from simenv.envs import Task, check_vector_env
from simenv.tasks import template, template_robot, template_touch
from simenv.tasks.template import PushBlock
from simenv.tasks.template_robot import PressBump
from simenv.tasks.template_touch import SlideTile

TEMPLATES = [PushBlock, SlideTile, PressBump]
HOOKS = ("build", "sample", "randomisation", "control", "observe", "reward", "evaluate")


def make(task: type[Task], worlds: int = 4, **options):
    options = {"output": "torch", "device": "cpu", "autoreset_mode": "disabled", **options}
    return gym.make_vec(task.task_id, num_envs=worlds, **options).unwrapped


def push(env) -> torch.Tensor:
    """Stay on the line through block and goal, behind the block."""
    state, goal = env.state, env.episode["goal"]
    ball, block = env.world.bodies["tool"].pose(state)[:, :2], state.x[..., :2].mean(dim=1)
    ahead = torch.nn.functional.normalize(goal - block, dim=1)
    offset = ball - block
    aside = offset - (offset * ahead).sum(dim=1, keepdim=True) * ahead
    near = ((goal - block).norm(dim=1, keepdim=True) / 0.01).clamp(max=1.0)
    return (0.7 * ahead * near - 60.0 * aside).clamp(-1.0, 1.0)


def slide(env) -> torch.Tensor:
    """Press with 2.7 N and pull towards the goal, less as it comes near."""
    state, tile = env.state, env.world.bodies["tile"]
    to_goal = env.episode["goal"] - tile.pose(state)[:, :2]
    distance = to_goal.norm(dim=1, keepdim=True)
    pull = to_goal / distance * (0.12 + 40.0 * distance).clamp(max=0.45)
    pull = torch.where(distance > 0.0008, pull, 0.0) - 4.0 * tile.twist(state)[:, :2]
    return torch.cat([pull, torch.full_like(distance, -0.45)], 1).clamp(-1.0, 1.0)


def press(env) -> torch.Tensor:
    """The task's own demonstration."""
    return env.task.expert(env.world, env.state, env.episode)


def chance(env) -> torch.Tensor:
    """Any action, another in every step."""
    random = np.random.default_rng(int(env.state.time.sum() * 1e4))
    return torch.as_tensor(random.uniform(-1.0, 1.0, env.action_space.shape), dtype=torch.float32)


def episode(env, policy) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns, and whether there was success in any step; (N,) both."""
    env.reset(seed=0)
    total, success = torch.zeros(env.num_envs), torch.zeros(env.num_envs, dtype=torch.bool)
    for _ in range(env.task.max_episode_steps):
        _, reward, _, _, info = env.step(policy(env))
        total, success = total + reward, success | info["success"]
        assert not info["sim_status"].any()
    return total, success


@pytest.mark.parametrize(
    ("task", "policy", "better"), [(PushBlock, push, 0.1), (SlideTile, slide, 1.0), (PressBump, press, 0.7)]
)
def test_a_simple_controller_does_it_and_chance_does_not(task, policy, better) -> None:
    env = make(task)
    returns, success = episode(env, policy)
    others, luck = episode(env, chance)
    env.close()
    assert success.sum() >= 3
    assert not luck.any()
    assert (returns > others + better).all()


@pytest.mark.parametrize("task", TEMPLATES)
def test_gymnasium_s_contract_without_a_warning(task) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(task.task_id, device="cpu", randomize=True)
        check_env(env.unwrapped, skip_render_check=True)
        env.close()
        envs = make(task, 2, max_episode_steps=2, randomize=True, autoreset_mode="next_step")
        check_vector_env(envs)
        envs.close()


@pytest.mark.parametrize(("task", "ahead"), [(PushBlock, 0), (SlideTile, 0), (PressBump, 45)])
def test_gradient_of_the_return_matches_central_differences(task, ahead) -> None:
    """Through eight steps of a random motion that touches, along one random direction, in float64 and to 1e-5."""
    env = make(task, 2, dtype="float64", differentiable=True)
    env.reset(seed=0)
    for _ in range(ahead):  # until the gel is pressed in
        env.step(press(env))
    assert task is not PressBump or (env.world.gels["gel"].wrench(env.state)[:, 2] < -0.5).all()
    start, random = env.get_state(), np.random.default_rng(0)
    shape = (8, *env.action_space.shape)
    actions = torch.as_tensor(random.uniform(-0.1, 0.1, shape)) + torch.tensor([0.4, 0.1, -0.3][: shape[-1]])
    along = torch.as_tensor(random.normal(size=shape))

    def value(x: torch.Tensor) -> torch.Tensor:
        env.set_state(start)
        return env.rollout(x).returns.sum()

    leaf = actions.clone().requires_grad_()
    value(leaf).backward()
    exact = float((leaf.grad * along).sum())
    with torch.no_grad():
        differences = [
            float(value(actions + h * along) - value(actions - h * along)) / (2.0 * h) for h in (1e-5, 1e-6, 1e-7)
        ]
    env.close()
    assert abs(exact) > 1e-3
    assert min(abs(exact - each) for each in differences) < 1e-5 * abs(exact)


@pytest.mark.parametrize("robot", ["lbr", "panda.urdf#link7"])
def test_any_robot_presses_the_bump(robot, tmp_path) -> None:
    """By name, and by a file and the name of a link, whose z points along the last joint."""
    if "#" in robot:
        shutil.copy(path("robots/panda.urdf"), tmp_path / "panda.urdf")
        robot = f"{tmp_path}/{robot}"
    env = make(PressBump, robot=robot)
    assert env.single_observation_space.shape == (31,)
    _, success = episode(env, press)
    env.close()
    assert success.all()


@pytest.mark.parametrize(
    ("module", "task"), [(template, PushBlock), (template_touch, SlideTile), (template_robot, PressBump)]
)
def test_a_template_is_complete_and_short(module, task) -> None:
    assert len(Path(module.__file__).read_text(encoding="utf-8").splitlines()) < 190
    for hook in HOOKS:
        assert hook in vars(task), hook
        assert vars(task)[hook].__doc__, hook  # what a reader learns
    assert task.randomisation is not Task.randomisation and task.declared_arguments().keys() > {"randomize"}
