# SPDX-License-Identifier: Apache-2.0
"""Draw the pictures of the touch tasks into docs/images: `python -m docs._gen.touch_pictures [task ...]`.

Tasks with gradients are optimised first, by the settings of tests/agents/test_touch_search.py; Palpate and the peg
tasks are played by the tasks' own controller. Run it from the top of the repository.
"""

import re
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from PIL import Image

import simenv  # noqa: F401  registers the tasks
from tests.agents.test_touch_search import CASES, by_gradient

IMAGES = Path(__file__).resolve().parents[1] / "images"
PEGS = ("PegInsertion", "PegPlacement", "BoltOnNut")
SCRIPTED = (*PEGS, "Palpate")
SIZE = (320, 240)


def moments(task: str) -> list[np.ndarray]:
    """Four frames of an episode that succeeds.

    Raises:
        RuntimeError: it does not succeed.
    """
    actions = None if task in SCRIPTED else by_gradient(task, 0, *CASES[task]).actions
    env = gym.make_vec(
        f"SimEnv/{task}-v0", num_envs=1, output="torch", device="cpu", autoreset_mode="disabled",
        render_mode="rgb_array", render_size=SIZE,
    ).unwrapped  # fmt: skip
    env.reset(seed=0)
    steps = env.task.max_episode_steps
    # the motion of a peg is over soon after its start
    taken = {0, steps // 8, steps // 4, steps - 1} if task in PEGS else {0, steps // 3, 2 * steps // 3, steps - 1}
    frames = []
    for step in range(steps):
        if actions is None:
            action = env.task.expert(env.world, env.state, env.episode)
        else:
            action = torch.as_tensor(actions[step : step + 1]).float()
        *_, info = env.step(action)
        if step in taken:
            frames.append(env.render()[0])
    if not bool(info["success"][0]):
        raise RuntimeError(f"{task} did not succeed; the picture would show a failure")
    env.close()
    return frames


def main(tasks: list[str]) -> None:
    """Draw the pictures of some tasks."""
    for task in tasks:
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", task).lower()
        Image.fromarray(np.concatenate(moments(task), axis=1)).save(IMAGES / f"{name}.png")
        print(f"docs/images/{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:] or [*CASES, *PEGS])
