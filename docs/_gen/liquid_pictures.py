# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/pouring.png and latte_art.png: `python -m docs._gen.liquid_pictures [Pouring] [LatteArt]`.

The glass moves as in assets/motions/pour.csv, the spout follows the pattern. Run it from the top of the repository.
"""

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from PIL import Image

import simenv  # noqa: F401  registers the tasks
from simenv.assets import path
from simenv.rollouts.motion import load_motion
from tests.tasks.test_latte_art import follow

IMAGES = Path(__file__).resolve().parents[1] / "images"
# file, size of a frame, steps after which it is drawn, seed, arguments of the task
CASES = {
    "Pouring": ("pouring.png", (480, 360), (0, 70, 124), 0, {}),
    "LatteArt": (
        "latte_art.png",
        (420, 320),
        (0, 40, 75, 119),
        4,
        {"pattern": "heart"},
    ),  # the milk lasts for 100 steps
}


def draw(task: str) -> None:
    """Moments of a task, side by side.

    Raises:
        RuntimeError: it does not succeed.
    """
    file, size, moments, seed, arguments = CASES[task]
    batch = {"num_envs": 1, "output": "torch", "device": "cpu", "autoreset_mode": "disabled", "max_episode_steps": None}
    env = gym.make_vec(f"SimEnv/{task}-v0", **batch, render_mode="rgb_array", render_size=size, **arguments).unwrapped
    seen, _ = env.reset(seed=seed)
    frames = [env.render()[0]]
    twists = torch.as_tensor(load_motion(path("motions/pour.csv")).resample(env.world.dt).twists())
    for step in range(moments[-1] + 1):
        action = follow(seen) if task == "LatteArt" else env.task.twist_to_action(twists[[step]]).float().clamp(-1, 1)
        seen, *_, info = env.step(action)
        if step and step in moments:
            frames.append(env.render()[0])
    if not bool(info["success"][0]):
        raise RuntimeError(f"{task} did not succeed; the picture would show a failure")
    Image.fromarray(np.concatenate(frames, axis=1)).save(IMAGES / file, optimize=True)
    env.close()
    print(f"docs/images/{file}")


if __name__ == "__main__":
    for wanted in sys.argv[1:] or CASES:
        draw(wanted)
