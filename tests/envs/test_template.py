# SPDX-License-Identifier: Apache-2.0
"""The starter task does what its docstring says: steering the ball at the block brings the block towards the goal."""

import gymnasium as gym
import torch

from simenv.tasks.template import PushBlock


def test_pushing_towards_the_goal_succeeds_and_resting_does_not() -> None:
    env = gym.make_vec(PushBlock.task_id, num_envs=4, output="torch", device="cpu", autoreset_mode="disabled")
    env.reset(seed=0)
    goal = env.unwrapped.episode["goal"]
    rest = env.unwrapped.get_state()
    success = torch.zeros(4, dtype=torch.bool)
    total = torch.zeros(4)
    for _ in range(40):
        ball, block = env.unwrapped.state.body_q[:, 0, :2], env.unwrapped.state.x[..., :2].mean(dim=1)
        ahead = torch.nn.functional.normalize(goal - block, dim=1)
        offset = ball - block
        aside = offset - (offset * ahead).sum(dim=1, keepdim=True) * ahead  # stay on the line through block and goal
        near = ((goal - block).norm(dim=1, keepdim=True) / 0.01).clamp(max=1.0)
        action = (0.7 * ahead * near - 60.0 * aside).clamp(-1.0, 1.0)
        _, reward, terminated, _, info = env.step(action)
        success |= info["success"]
        total += reward
        assert not terminated.any()
        assert not info["sim_status"].any()
    assert success.sum() >= 3
    assert (total > 0.1).all()
    env.unwrapped.set_state(rest)
    for _ in range(10):
        *_, info = env.step(torch.zeros(4, 2))
    assert not info["success"].any()
    assert (info["distance"] > 0.02).all()
