# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/touch_gallery.png: each task of touch beside its tactile image and its force field.

`python docs/_gen/touch_gallery.py [FILE]`, from the top of the repository. The peg tasks are played by the controller of
tests/tasks/peg_script.py, the others by a few plain actions.
"""

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from PIL import Image

import simenv  # noqa: F401  registers the tasks
from simenv.render.frames import Renderer
from simenv.render.touch import TouchFigure, TouchSeries
from simenv.scripts.touch_series import Layer, watch
from tests.tasks.peg_script import scripted_action

OUT = Path(__file__).resolve().parents[1] / "images" / "touch_gallery.png"
LAYER = Layer(None, None, 0.48, 3e-3)
# steps until the picture, gel, seed
CASES = {
    "PegInsertion": (75, "left", 1),
    "PegPlacement": (75, "left", 1),
    "BoltOnNut": (75, "left", 1),
    "BallRoll": (24, "gel", 0),
    "SurfaceFollow": (45, "tip", 0),
}


def action(env, task: str, step: int) -> torch.Tensor:
    """What a task does at a step."""
    if task in ("BallRoll", "SurfaceFollow"):
        plain = env.task.nominal_actions(1)[0]
        if task == "BallRoll":
            plain = plain + (0.6, 0.3, -0.2)
        return torch.as_tensor(plain, dtype=torch.float32)[None]
    return scripted_action(env)


def touched(task: str) -> np.ndarray:
    """The row of a task with gels."""
    steps, gel, seed = CASES[task]
    mode = {"observation_mode": "wrist_camera", "camera_size": (128, 128)} if gel == "left" else {}
    env = gym.make_vec(
        f"SimEnv/{task}-v0", num_envs=1, output="torch", device="cpu", autoreset_mode="disabled", **mode
    ).unwrapped
    seen, _ = env.reset(seed=seed)
    series = watch(env, lambda seen, step: action(env, task, step), steps, gel, None, LAYER, True, seen)
    env.close()
    return TouchFigure(series, task, wrench=False).draw(len(series.time) - 1)


def grasped() -> np.ndarray:
    """The row of SoftGrasp, whose pads have taxels and no camera."""
    env = gym.make_vec(
        "SimEnv/SoftGrasp-v0", num_envs=1, output="torch", device="cpu", autoreset_mode="disabled",
        observation_mode="force_field",
    ).unwrapped  # fmt: skip
    env.reset(seed=0)
    for each in env.task.nominal_actions(60)[:40]:
        seen, *_ = env.step(torch.as_tensor(each, dtype=torch.float32)[None])
    field = seen["field"][0, 0].reshape(1, 16, 3).double().numpy()
    (span,) = {skin.width / skin.columns for skin in env.world.scene.skins.values()}
    axis = (np.arange(4) - 1.5) * span
    places = np.stack([np.tile(axis, 4), np.repeat(axis, 4)], -1)
    scene = np.stack(Renderer(env.world, 420, 360).render(env.state))
    series = TouchSeries(np.zeros(1), places, field, np.zeros((1, 6)), views={"scene": scene})
    env.close()
    return TouchFigure(series, "SoftGrasp (left pad)", wrench=False).draw(0)


def main() -> None:
    """Write the picture."""
    rows = [*(touched(task) for task in CASES), grasped()]
    width = max(row.shape[1] for row in rows)
    sheet = np.concatenate(
        [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    )
    picture = Image.fromarray(sheet)
    small = picture.resize((picture.width * 2 // 3, picture.height * 2 // 3), Image.Resampling.LANCZOS)
    small.quantize(256, dither=Image.Dither.NONE).save(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT, optimize=True)


if __name__ == "__main__":
    main()
