# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/contact.png: `PYTHONPATH=. python docs/_gen/contact_picture.py`, from the top of the repository.

Boxes that fall into a pile, and a quadruped that lands: at the start, on the way, and at rest.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from simenv.geometry import Box, Plane
from simenv.render import Camera, Renderer
from simenv.robots import JointDrive, load
from simenv.world import Control, Scene, World

SIZE = (320, 260)
COLORS = ((0.80, 0.58, 0.34, 1.0), (0.72, 0.30, 0.24, 1.0), (0.45, 0.55, 0.70, 1.0), (0.55, 0.62, 0.45, 1.0))


def pile() -> tuple[World, Control]:
    """Ten boxes, one above the other."""
    rng, scene = np.random.default_rng(0), Scene(substep_dt=1e-3, substeps=10, max_contacts=512)
    scene.add_body("floor", Plane(), motion="fixed", color=(0.85, 0.85, 0.83, 1.0))
    for i in range(10):
        turn, shape = rng.normal(size=4), Box(tuple(rng.uniform(0.03, 0.06, 3)))
        where = (*rng.uniform(-0.06, 0.06, 2), 0.1 + 0.12 * i)
        turn = tuple(turn / np.linalg.norm(turn))
        scene.add_body(f"box{i}", shape, 800.0, where, turn, "free", coupling="rigid", color=COLORS[i % 4])
    world = scene.make_world(1, dtype=torch.float64)
    return world, world.zero_control()


def dog() -> tuple[World, Control]:
    """A quadruped over the floor, held by springs."""
    scene = Scene(substep_dt=1e-3, substeps=10)
    scene.add_body("floor", Plane(), motion="fixed", color=(0.85, 0.85, 0.83, 1.0))
    turn = (0.1, 0.05, 0.0, 0.9937)
    scene.add_robot("dog", load("quadruped"), (0.0, 0.0, 0.25), turn, drive=JointDrive(400.0, 20.0))
    world = scene.make_world(1, dtype=torch.float64)
    joints = world.robots["dog"].positions(world.initial_state())[:, 7:]
    return world, world.control(joints={"dog": torch.cat([torch.zeros_like(joints[:, :6]), joints], 1)})


def frames(build: Callable[[], tuple[World, Control]], times: tuple[float, ...], camera: Camera) -> list[np.ndarray]:
    """Pictures at these times."""
    world, control = build()
    state, renderer, found = world.initial_state(), Renderer(world, *SIZE, camera=camera, supersample=3), []
    for time in times:
        while float(state.time) < time - 1e-9:
            state = world.step(state, control)
        found.append(renderer.render(state)[0])
    return found


def main() -> None:
    """Draw the picture."""
    rows = [
        frames(pile, (0.1, 0.4, 4.0), Camera((1.1, -1.3, 0.75), (0.0, 0.0, 0.28))),
        frames(dog, (0.0, 0.22, 3.0), Camera((1.9, -1.7, 0.9), (0.0, 0.0, 0.33))),
    ]
    path = Path(__file__).resolve().parents[1] / "images" / "contact.png"
    Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in rows])).save(path, optimize=True)
    print(path)


if __name__ == "__main__":
    main()
