# SPDX-License-Identifier: Apache-2.0
"""The peg tasks with a robot: the gradient of a rollout's return with respect to its actions, and of the gains, against
central differences in double precision.
"""

import gymnasium as gym
import numpy as np
import pytest
import torch

import simenv  # noqa: F401  registers the tasks
from tests.tasks.differences import check_gradients


@pytest.mark.parametrize("name", ["PegInsertion", "PegPlacement", "BoltOnNut"])
def test_the_gradient_of_a_rollout_agrees_with_central_differences(name: str):
    """Of where the peg is after 4 steps, in random directions: the peg hangs in its gels, and nothing slips."""
    env = gym.make_vec(
        f"SimEnv/{name}-v0", num_envs=1, robot="panda", output="torch", device="cpu", differentiable=True,
        autoreset_mode="disabled", dtype="float64",
    ).unwrapped  # fmt: skip
    env.reset(seed=0)
    start, world, task = env.state, env.world, env.task
    task = getattr(task, "task", task)
    rng = np.random.default_rng(1)
    actions = torch.as_tensor(rng.uniform(-0.5, 0.5, (4, 1, 6)))
    gains = world.parameters[task.hand + ".stiffness"].clone()

    def end(actions: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
        world.parameters[task.hand + ".stiffness"], state = gains, start.detach()
        for action in actions:
            state = world.step(state, task.control(world, state, action, env.episode))
        assert (state.status == 0).all()
        return world.bodies["peg"].pose(state).sum() + 0.1 * state.joint_q.sum()

    check_gradients(end, (actions, gains), (1.0, 300.0), rng, (1e-4, 1e-5, 1e-6))
    env.close()
