# SPDX-License-Identifier: Apache-2.0
"""Steps a task in the checkout that its Python has; see rates.py. It runs in either, so that it uses what both have."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from protocol import claim_stdout, serve

ANSWERS = claim_stdout()

import math  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

import simenv  # noqa: E402  before torch: it sets how torch's threads wait

# isort: split
import gymnasium as gym  # noqa: E402
import torch  # noqa: E402


def held_bytes(world: Any) -> int:
    """Bytes of slots that a world without gradients holds."""
    if hasattr(world, "_shards"):  # before there was one engine
        _, solver = world._shards()[0]
        return sum(math.prod(slot._size) * 4 for slot in solver._memory._slots) // solver.worlds
    desk = world.engine.program().desk
    return desk.memory.bytes // desk.worlds


class Server:
    """One task."""

    def setup(self, request: dict) -> dict:
        """Make the environment, and take a step."""
        simenv.set_num_threads(request["threads"])
        self.env = gym.make_vec(request["task"], num_envs=request["worlds"], output="torch", device="cpu")
        self.env.reset(seed=0)
        self.actions = torch.zeros(request["worlds"], *self.env.single_action_space.shape)
        self.env.step(self.actions)
        return {"bytes": held_bytes(self.env.unwrapped.world)}

    def time(self, request: dict) -> dict:
        """Milliseconds of a step, mean over some."""
        start = time.perf_counter()
        for _ in range(request["steps"]):
            self.env.step(self.actions)
        return {"ms": 1e3 * (time.perf_counter() - start) / request["steps"]}


if __name__ == "__main__":
    serve(Server(), ANSWERS)
