# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/rigid.png and scenes.png: `python docs/_gen/scene_pictures.py [rigid] [scenes]`."""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from simenv.geometry import Box, Cup, Cylinder, Plane, Sphere, fill_cavity
from simenv.physics.mpm.materials import Liquid
from simenv.render import Renderer
from simenv.world import Control, Scene, World

IMAGES = Path(__file__).resolve().parents[1] / "images"
SIZE = (360, 300)
GLASS = (0.93, 0.97, 0.96, 0.2)
SPACING = 0.005  # of particles [m]


def rigid() -> tuple[World, list[Control], tuple[int, ...]]:
    """A cork, a cube and a heavy ball are dropped into a glass of water."""
    scene = Scene((0.18, 0.18, 0.2), 2 * SPACING, substep_dt=4e-4, substeps=25)
    scene.add_material("water", Liquid(1000.0, 5e4))
    glass, place = Cup(0.066, 0.105, 0.004, 0.006), np.array([0.09, 0.09, 0.0125])
    water = fill_cavity(glass, 0.065, SPACING, clearance=0.2 * SPACING)
    scene.add_particles("water", "water", water + place, SPACING**3, color=(0.42, 0.74, 0.93, 0.04))
    scene.add_collider("table", Plane(), position=(0.0, 0.0, 0.012))
    scene.add_collider("glass", glass, position=place, width=0.5 * SPACING, color=GLASS)
    cork, steel = (0.80, 0.60, 0.36, 1.0), (0.60, 0.18, 0.16, 1.0)
    scene.add_rigid("cork", Cylinder(0.017, 0.018), 250.0, (0.065, 0.075, 0.115), (0.6, 0.0, 0.0, 0.8), color=cork)
    scene.add_rigid(
        "cube", Box((0.016,) * 3), 600.0, (0.105, 0.07, 0.12), (0.2, 0.3, 0.1, 0.927), color=(0.2, 0.4, 0.75, 1)
    )
    scene.add_rigid("ball", Sphere(0.017), 4000.0, (0.092, 0.118, 0.115), color=steel)
    scene.view = ((0.02, 0.02, 0.012), (0.16, 0.16, 0.125))
    world = scene.make_world(1)
    return world, [world.zero_control()] * 60, (0, 12, 59)


def scenes() -> tuple[World, list[Control], tuple[int, ...]]:
    """A swinging spout fills a cup; what misses it or runs over is drained."""
    scene = Scene((0.18, 0.14, 0.2), 2 * SPACING, substep_dt=4e-4, substeps=25)
    scene.add_material("tea", Liquid(1000.0, 5e4))
    cup, place = Cup(0.034, 0.06, 0.003, 0.005), (0.09, 0.07, 0.033)
    scene.add_body("tap", (0.065, 0.07, 0.145))
    scene.add_emitter("jet", "tap", "tea", 2200, 0.012, 0.35, count=13, color=(0.80, 0.42, 0.12, 0.1))
    scene.add_collider("nozzle", Cylinder(0.014, 0.015), "tap", (0.0, 0.0, 0.021), color=(0.35, 0.38, 0.42, 1.0))
    scene.add_collider("stand", Cylinder(0.045, 0.016), position=(0.09, 0.07, 0.016), color=(0.62, 0.66, 0.58, 1.0))
    scene.add_collider("cup", cup, position=place, width=0.5 * SPACING, color=GLASS)
    scene.add_collector("drain", (0.0, 0.0, 0.0), (0.18, 0.14, 0.012))
    scene.view = ((0.02, 0.02, 0.0), (0.16, 0.12, 0.165))
    world = scene.make_world(1)
    controls = []
    for step in range(150):
        swing = torch.zeros(1, 1, 6)
        swing[..., 0] = 0.05 if step < 50 else 0.0  # [m/s]
        controls.append(Control(swing, torch.tensor([[step < 135]])))
    return world, controls, (11, 45, 149)


def draw(name: str) -> None:
    """Three moments of a scene, side by side."""
    world, controls, moments = {"rigid": rigid, "scenes": scenes}[name]()
    renderer, state, frames = Renderer(world, *SIZE), world.initial_state(), []
    for step, control in enumerate(controls):
        if step == 0 and 0 in moments:
            frames += renderer.render(state)
        state = world.step(state, control)
        if step and step in moments:
            frames += renderer.render(state)
    if int(state.status[0]):
        raise RuntimeError(f"{name} has failed with status {int(state.status[0])}; no picture is written")
    Image.fromarray(np.concatenate(frames, axis=1)).save(IMAGES / f"{name}.png", optimize=True)
    print(f"docs/images/{name}.png")


if __name__ == "__main__":
    for wanted in sys.argv[1:] or ("rigid", "scenes"):
        draw(wanted)
