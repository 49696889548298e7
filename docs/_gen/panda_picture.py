# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/panda.png: `PYTHONPATH=. python docs/_gen/panda_picture.py`, from the top of the repository.

The Panda inserts a peg by the controller of tests/tasks/arm_script.py: the arm at the start, the arm at the end, and
the two sensors at the socket.
"""

from pathlib import Path

import gymnasium as gym
import numpy as np
from PIL import Image

import simenv  # noqa: F401  registers the tasks
from simenv.render.frames import Renderer
from simenv.render.items import Camera
from tests.tasks.arm_script import scripted_action

SIZE = (400, 400)


def main() -> None:
    """Draw the picture.

    Raises:
        RuntimeError: the peg is not in the socket; the picture would show a failure.
    """
    env = gym.make_vec(
        "SimEnv/PegInsertion-v0", num_envs=1, output="torch", device="cpu", autoreset_mode="disabled", robot="panda"
    ).unwrapped
    env.reset(seed=0)
    socket = env.episode["socket"][0].tolist()
    # from the front left, where the arm does not hide the hand
    whole = Camera((1.75, -1.35, 0.85), (0.22, 0.0, 0.33))
    near = Camera((socket[0] + 0.26, socket[1] - 0.30, 0.16), (socket[0], socket[1], 0.06))
    frames = [Renderer(env.world, *SIZE, camera=whole).render(env.state)[0]]
    for _ in range(env.task.max_episode_steps):
        *_, info = env.step(scripted_action(env))
    if not bool(info["success"][0]):
        raise RuntimeError("the peg is not in the socket; the picture would show a failure")
    frames += [Renderer(env.world, *SIZE, camera=camera).render(env.state)[0] for camera in (whole, near)]
    env.close()
    path = Path(__file__).resolve().parents[1] / "images" / "panda.png"
    Image.fromarray(np.concatenate(frames, axis=1)).save(path)
    print(path)


if __name__ == "__main__":
    main()
