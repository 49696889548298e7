# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/cart_pole.png, hopper.png, ant.png: `python -m docs._gen.reference_pictures [task ...]`.

Moments of an episode: the pole is balanced by a feedback of its state; hopper and ant move as gradients have found it
in a minute, by the method of `simenv optimize`.
"""

import re
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from PIL import Image

import simenv  # noqa: F401  registers the tasks
from simenv.agents import trajectory
from simenv.agents.trajectory import GradientConfig
from simenv.render import Camera, Renderer

IMAGES = Path(__file__).resolve().parents[1] / "images"
SIZE = (320, 240)
GAINS = (0.1, 0.2, 3.0, 0.7)  # of the force by place, velocity, angle and rate, over its largest
# task: where the camera is seen from the robot [m], control steps of the moments
VIEWS = {
    "CartPole": ((0.6, -2.6, 0.9), (0, 15, 40, 120)),
    "Hopper": ((0.8, -3.6, 1.0), (0, 40, 80, 119)),
    "Ant": ((1.6, -2.6, 1.5), (0, 12, 24, 39)),
}
OPTIONS = {
    "Hopper": GradientConfig(horizon=120, starts=8, iterations=30),
    "Ant": GradientConfig(horizon=40, starts=8, iterations=30, init_scale=0.2, learning_rate=0.03),
}


def made(task: str, worlds: int, **options: object) -> gym.vector.VectorEnv:
    """The environment, whose worlds stay where they end."""
    return gym.make_vec(
        f"SimEnv/{task}-v0", num_envs=worlds, output="torch", device="cpu", autoreset_mode="disabled", **options
    ).unwrapped  # fmt: skip


def moments(task: str) -> list[np.ndarray]:
    """Four frames of an episode."""
    actions = None
    if task in OPTIONS:
        search = made(task, OPTIONS[task].starts, differentiable=True)
        actions = torch.as_tensor(trajectory.optimize(search, OPTIONS[task]).actions).float()
        search.close()
    (away, steps), env, frames = VIEWS[task], made(task, 1), []
    observation, _ = env.reset(seed=0)
    for step in range(steps[-1] + 1):
        if actions is None:
            action = (observation * torch.tensor(GAINS)).sum(1, keepdim=True).clamp(-1.0, 1.0)
        else:
            action = actions[step : step + 1]
        observation, *_ = env.step(action)
        if step in steps:
            x = float(next(iter(env.world.robots.values())).positions(env.state)[0, 0])
            target = (x, 0.0, 0.5 if task == "CartPole" else 0.6 if task == "Hopper" else 0.3)
            camera = Camera((x + away[0], away[1], away[2]), target)
            frames.append(Renderer(env.world, *SIZE, camera=camera, supersample=3).render(env.state)[0])
    env.close()
    return frames


def main(tasks: list[str]) -> None:
    """Draw the pictures of some tasks."""
    for task in tasks:
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", task).lower()
        Image.fromarray(np.concatenate(moments(task), axis=1)).save(IMAGES / f"{name}.png", optimize=True)
        print(f"docs/images/{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:] or list(VIEWS))
