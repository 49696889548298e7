# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/pouring_panda.png: `python -m docs._gen.pouring_arm_picture`, from the top of the repository.

The Panda pours by the task's own controller: the arm before the bowl, then the glass when it tips and at the end.
"""

from pathlib import Path

import gymnasium as gym
import numpy as np
from PIL import Image

import simenv  # noqa: F401  registers the tasks
from simenv.render.frames import Renderer
from simenv.render.items import Camera

SIZE = (400, 400)
WHOLE, NEAR = Camera((1.35, 1.05, 0.35), (0.17, -0.12, -0.15)), Camera((0.25, 0.85, 0.45), (0.22, 0.1, 0.12))


def main() -> None:
    """Draw the picture.

    Raises:
        RuntimeError: the pour does not succeed; the picture would show a failure.
    """
    env = gym.make_vec(
        "SimEnv/Pouring-v0", num_envs=1, output="torch", device="cpu", autoreset_mode="disabled", robot="panda"
    ).unwrapped
    env.reset(seed=0)
    frames = [Renderer(env.world, *SIZE, camera=WHOLE).render(env.state)[0]]
    for step in range(80):
        *_, info = env.step(env.task.expert(env.world, env.state, env.episode))
        if step in (54, 79):
            frames.append(Renderer(env.world, *SIZE, camera=NEAR).render(env.state)[0])
    if not bool(info["success"][0]):
        raise RuntimeError("the pour did not succeed; the picture would show a failure")
    env.close()
    path = Path(__file__).resolve().parents[1] / "images" / "pouring_panda.png"
    Image.fromarray(np.concatenate(frames, axis=1)).save(path, optimize=True)
    print(path)


if __name__ == "__main__":
    main()
