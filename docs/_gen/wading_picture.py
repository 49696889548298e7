# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/wading.png: `python docs/_gen/wading_picture.py`, from the top of the repository.

A Panda whose joints' drives pull to a target sweeps a paddle through a tank of water.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from simenv.geometry import Box, fill
from simenv.physics.mpm.materials import Liquid
from simenv.render.frames import Renderer
from simenv.render.items import Camera
from simenv.robots import JointDrive
from simenv.world import Scene, World

SIZE, SPACING = (430, 380), 0.0075
GLASS, PEDESTAL = (0.93, 0.97, 0.96, 0.15), (0.62, 0.66, 0.58, 1.0)
START = {"joint1": -0.25, "joint2": 0.4, "joint4": -2.3, "joint6": 2.7}
MOMENTS = (0, 14, 32, 79)  # control steps of 10 ms


def tank() -> World:
    """The scene of docs/robots.md, finer."""
    scene = Scene(size=(0.36, 0.54, 0.24), dx=2 * SPACING, substep_dt=5e-4, substeps=20, origin=(0.3, -0.27, 0.0))
    scene.add_material("water", Liquid(density=1000.0, bulk_modulus=2e4, viscosity=0.05))
    pool = fill(Box((0.18, 0.27, 0.05)), SPACING) + (0.48, 0.0, 0.05)
    scene.add_particles("pool", "water", pool, volume=SPACING**3, color=(0.62, 0.85, 0.96, 0.01))
    scene.add_robot("arm", "panda", drive=JointDrive(2000.0, 100.0), posture=START)
    scene.add_collider("paddle", Box((0.01, 0.04, 0.05)), "arm/tool", friction=0.2, width=2 * SPACING,
                       color=(0.70, 0.22, 0.16, 1.0))  # fmt: skip
    for name, half, place in (
        ("front", (0.18, 0.002, 0.08), (0.48, -0.272, 0.08)), ("back", (0.18, 0.002, 0.08), (0.48, 0.272, 0.08)),
        ("near", (0.002, 0.274, 0.08), (0.298, 0.0, 0.08)), ("far", (0.002, 0.274, 0.08), (0.662, 0.0, 0.08)),
    ):  # fmt: skip
        scene.add_look(name, Box(half), None, place, color=GLASS)
    scene.add_look("table", Box((0.5, 0.45, 0.01)), None, (0.3, 0.0, -0.012), color=PEDESTAL)
    return scene.make_world(1)


def main() -> None:
    """Draw the picture."""
    world = tank()
    arm, state = world.robots["arm"], world.initial_state()
    start, way = arm.positions(state), torch.tensor([0.55] + [0.0] * 8)
    camera = Camera((1.75, -1.15, 0.95), (0.33, 0.0, 0.27))
    renderer, frames = Renderer(world, *SIZE, camera=camera), []
    for step in range(MOMENTS[-1] + 1):
        if step in MOMENTS:
            frames.append(renderer.render(state)[0])
        state = world.step(state, world.control(joints={"arm": start + min(step / 25, 1.0) * way}))
    if int(state.status) != 0:
        raise RuntimeError(f"the world stopped with status {int(state.status)}")
    path = Path(__file__).resolve().parents[1] / "images" / "wading.png"
    Image.fromarray(np.concatenate(frames, axis=1)).quantize(255).save(path, optimize=True)
    print(path)


if __name__ == "__main__":
    main()
