# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/touch_gallery.png: each task of touch beside its tactile image and its force field.

`python docs/_gen/touch_gallery.py [FILE]`. The peg tasks are played by their
expert, the others by a few plain actions.
"""

import dataclasses
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from PIL import Image

import simenv  # noqa: F401  registers the tasks
from simenv.envs.frames import TaskRenderer
from simenv.render.items import Camera
from simenv.render.touch import TouchFigure, TouchSeries
from simenv.scripts.touch_series import Layer, watch
from simenv.sensors.tactile import marker_grid
from simenv.tasks.tactile.soft_grasp import SKIN, TAXELS

OUT = Path(__file__).resolve().parents[1] / "images" / "touch_gallery.png"
LAYER = Layer(None, None, 0.48, 3e-3)
SCENE, WRIST = (420, 360), 140  # pixels of a scene, width and height, and of the wrist camera in its corner
# steps until the picture, gel, seed
CASES = {
    "PegInsertion": (75, "left", 1),
    "PegPlacement": (75, "left", 1),
    "BoltOnNut": (75, "left", 1),
    "BallRoll": (12, "gel", 0),
    "SurfaceFollow": (45, "tip", 0),
}


def action(env, task: str, step: int) -> torch.Tensor:
    """What a task does at a step."""
    if task in ("BallRoll", "SurfaceFollow"):
        plain = env.task.nominal_actions(1)[0]
        if task == "BallRoll":
            plain = plain + (0.6, 0.3, -0.2)
        return torch.as_tensor(plain, dtype=torch.float32)[None]
    return env.task.expert(env.world, env.state, env.episode)


def closer(env) -> Camera | None:
    """A view of the hand and the socket of a peg task; none for others."""
    if "wrist_camera" not in env.task.observation_modes:
        return None
    x, y, z = env.episode["socket"][0].tolist()
    return Camera((x + 0.10, y - 0.30, z + 0.16), (x, y, z + 0.05))


def row(series: TouchSeries, title: str) -> np.ndarray:
    """The last moment of a series."""
    figure = TouchFigure(series, title, wrench=False)
    figure.canvas.figure.set_dpi(68)  # a picture resized afterwards is larger on the disk, and its letters are blurred
    return figure.draw(len(series.time) - 1)


def touched(task: str) -> np.ndarray:
    """The row of a task with gels."""
    steps, gel, seed = CASES[task]
    peg = gel == "left"
    options = {"observation_mode": "wrist_camera", "camera_size": (WRIST, WRIST)} if peg else {}
    env = gym.make_vec(
        f"SimEnv/{task}-v0", num_envs=1, output="torch", device="cpu", autoreset_mode="disabled", **options
    ).unwrapped
    seen, _ = env.reset(seed=seed)
    renderer = TaskRenderer(env.task, env.world, *SCENE, closer(env))
    series = watch(env, lambda seen, step: action(env, task, step), steps, gel, None, LAYER, renderer, seen)
    env.close()
    scene, title = series.views["scene"].copy(), "scene"
    if peg:
        title = "scene and wrist camera"
        scene[:, : WRIST + 4, -WRIST - 4 :] = 255  # a white frame
        scene[:, :WRIST, -WRIST:] = series.views["wrist camera"]
    series = dataclasses.replace(series, views={title: scene})
    return row(series, task)


def grasped() -> np.ndarray:
    """The row of SoftGrasp, whose pads have taxels and no camera."""
    env = gym.make_vec(
        "SimEnv/SoftGrasp-v0", num_envs=1, output="torch", device="cpu", autoreset_mode="disabled",
        observation_mode="force_field",
    ).unwrapped  # fmt: skip
    env.reset(seed=0)
    renderer = TaskRenderer(env.task, env.world, *SCENE)
    start = np.stack(renderer.render(env.state, env.episode))
    for each in env.task.nominal_actions(60)[:40]:
        seen, *_ = env.step(torch.as_tensor(each, dtype=torch.float32)[None])
    field = seen["field"][0, 0].reshape(1, 16, 3).double().numpy()
    places = marker_grid(TAXELS, TAXELS, SKIN / TAXELS)
    views = {"scene at the start": start, "scene": np.stack(renderer.render(env.state, env.episode))}
    env.close()
    series = TouchSeries(np.zeros(1), places, field, np.zeros((1, 6)), views=views)
    return row(series, "SoftGrasp (left pad; it has taxels and no camera)")


def main() -> None:
    """Write the picture."""
    rows = [*(touched(task) for task in CASES), grasped()]
    Image.fromarray(np.concatenate(rows)).save(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT, optimize=True)


if __name__ == "__main__":
    main()
