# SPDX-License-Identifier: Apache-2.0
"""What a closed environment held is let go."""

import ctypes
import gc
import os

import gymnasium as gym
import numpy as np
import pytest

from tests.envs.splash_task import Splash

MIB = 2.0**20


def resident() -> float:
    """Memory that this process uses [MiB], without what the C library keeps for later: 10 to 40 MiB, up and down."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


@pytest.mark.slow
@pytest.mark.parametrize(("task_id", "times"), [(Splash.task_id, 200), ("SimEnv/Pouring-v0", 60)])
def test_memory_stays_flat_when_environments_come_and_go(task_id, times):
    # its buffers take some MiB, and its graphs: less than one in ten of them stays
    def use(times: int) -> None:
        for _ in range(times):
            env = gym.make(task_id, device="cpu", max_episode_steps=5)
            env.reset(seed=0)
            env.step(np.zeros(env.action_space.shape, np.float32))
            env.close()

    use(10)  # kernels are loaded, and the allocator has what it keeps
    before = resident()
    use(times)
    assert resident() - before < 4.0
