# SPDX-License-Identifier: Apache-2.0
"""What a closed environment held is let go."""

import gc
import os

import gymnasium as gym
import numpy as np
import pytest

from tests.envs.splash_task import Splash

MIB = 2.0**20


def resident() -> float:
    """Memory of this process [MiB]."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


@pytest.mark.slow
@pytest.mark.parametrize("task_id", [Splash.task_id, "SimEnv/BallRoll-v0", "SimEnv/Pouring-v0"])
def test_memory_stays_flat_when_environments_come_and_go(task_id):
    # an environment's buffers take 0.5 to 20 MiB, so that one in ten that stayed would be seen
    def use(times: int) -> None:
        for _ in range(times):
            env = gym.make(task_id, device="cpu", max_episode_steps=5)
            env.reset(seed=0)
            env.step(np.zeros(env.action_space.shape, np.float32))
            env.close()

    use(20)  # kernels are loaded, and the allocator has what it keeps
    before = resident()
    use(200)
    assert resident() - before < 10.0
