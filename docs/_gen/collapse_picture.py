# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/collapse.png: `python docs/_gen/collapse_picture.py`, from the top of the repository.

A column of incompressible water collapses, meets a pillar and a wall, and settles.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from simenv.geometry import Box, fill
from simenv.physics.mpm.materials import Liquid
from simenv.render.frames import Renderer
from simenv.render.items import Camera
from simenv.world import Scene

SIZE, DX = (430, 330), 0.01
TANK = (0.40, 0.16, 0.24)  # [m]
HALF = (0.06, 0.08, 0.09)  # of the column [m]
GLASS = (0.93, 0.97, 0.96, 0.15)
MOMENTS = (0, 10, 22, 40, 200)  # control steps of 20 ms


def main() -> None:
    """Draw the picture."""
    scene = Scene(size=TANK, dx=DX, substep_dt=0.004, substeps=5)
    scene.add_material("water", Liquid(density=1000.0, viscosity=0.001, incompressible=True))
    column = fill(Box(HALF), DX / 2) + np.array(HALF)
    scene.add_particles("water", "water", column, volume=(DX / 2) ** 3, color=(0.45, 0.72, 0.95, 1.0))
    pillar = Box((0.02, 0.02, 0.09))
    scene.add_collider("pillar", pillar, position=(0.26, 0.08, 0.09), friction=0.0, color=(0.70, 0.22, 0.16, 1.0))
    x, y, z = (0.5 * side for side in TANK)
    for name, half, place in (
        ("left", (0.002, y, z), (-0.002, y, z)), ("right", (0.002, y, z), (2 * x + 0.002, y, z)),
        ("back", (x, 0.002, z), (x, 2 * y + 0.002, z)),
    ):  # fmt: skip
        scene.add_look(name, Box(half), None, place, color=GLASS)
    scene.add_look("table", Box((0.4, 0.3, 0.01)), None, (x, y, -0.012), color=(0.62, 0.66, 0.58, 1.0))
    world = scene.make_world(1)
    state = world.initial_state()
    renderer, frames = Renderer(world, *SIZE, camera=Camera((0.75, -0.62, 0.42), (0.19, 0.08, 0.06))), []
    for step in range(MOMENTS[-1] + 1):
        if step in MOMENTS:
            frames.append(renderer.render(state)[0])
        state = world.step(state, world.zero_control())
    if int(state.status) != 0:
        raise RuntimeError(f"the world stopped with status {int(state.status)}")
    path = Path(__file__).resolve().parents[1] / "images" / "collapse.png"
    Image.fromarray(np.concatenate(frames, axis=1)).quantize(255).save(path, optimize=True)
    print(path)


if __name__ == "__main__":
    main()
