# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/rigid.png and scenes.png: `python docs/_gen/scene_pictures.py [rigid] [scenes]`."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import trimesh
from PIL import Image

from simenv.geometry import Box, Cup, Cylinder, MeshShape, Plane, Sphere, fill
from simenv.physics.mpm.materials import Liquid
from simenv.render import Renderer
from simenv.world import Control, Scene, World

IMAGES = Path(__file__).resolve().parents[1] / "images"
SIZE = (360, 300)
GLASS = (0.93, 0.97, 0.96, 0.2)
SPACING = 0.005  # of particles [m]


def tank(width: float, depth: float, height: float, wall: float) -> trimesh.Trimesh:
    """An open box; its inside, width x depth x height [m], stands on z = 0 about the origin."""
    half = np.array([width, depth, 0.0]) / 2
    ring = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    outer, inner, up = ring * (half + wall), ring * half, np.array([0.0, 0.0, height])
    vertices = np.concatenate([outer - (0, 0, wall), outer + up, inner + up, inner])
    faces = [(0, 2, 1), (0, 3, 2), (12, 13, 14), (12, 14, 15)]  # the two bottoms; then outside, rim and inside
    for first in (0, 4, 8):
        for i, j in ((0, 1), (1, 2), (2, 3), (3, 0)):
            faces += [(first + i, first + j, first + 4 + j), (first + i, first + 4 + j, first + 4 + i)]
    return trimesh.Trimesh(vertices, faces, process=False)


def rigid() -> tuple[World, list[Control], tuple[int, ...]]:
    """Dropped into a tank of water: a cork floats, a steel ball sinks, and a falling block comes to rest on another."""
    spacing, inside, level = 0.003, np.array([0.168, 0.06, 0.1]), 0.066
    place = np.array([0.12, 0.066, 0.018])
    corner = tuple(place - (inside[0] / 2, inside[1] / 2, 0.0))
    scene = Scene((*inside[:2], 0.174), 2 * spacing, substep_dt=2.5e-4, substeps=40, origin=corner)
    scene.add_walls()
    scene.add_material("water", Liquid(1000.0, 2e4))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tank.stl"
        tank(*inside, 0.004).export(file)
        glass = MeshShape(file)
        glass.bounds()  # reads the file, which is gone when the tank is drawn
        scene.add_look("tank", glass, None, place, color=GLASS)
        water = fill(Box((inside[0] / 2 - 0.2 * spacing, inside[1] / 2 - 0.2 * spacing, level / 2)), spacing)
        water = water + place + (0.0, 0.0, level / 2 + 0.2 * spacing)
        scene.add_particles("water", "water", water, spacing**3, color=(0.62, 0.85, 0.96, 0.01))
        scene.add_look("table", Plane(), None, (0.0, 0.0, 0.014))
        bodies = {
            # shape, density, where, how it is turned, colour
            "cork": (
                Cylinder(0.013, 0.013),
                250.0,
                (0.066, 0.066, 0.112),
                (0.35, 0.2, 0.0, 0.915),
                (0.80, 0.58, 0.34, 1),
            ),
            "ball": (Sphere(0.0125), 7800.0, (0.112, 0.066, 0.115), (0, 0, 0, 1), (0.45, 0.48, 0.52, 1)),
            "stone": (Box((0.02, 0.016, 0.011)), 6000.0, (0.168, 0.066, 0.105), (0, 0, 0, 1), (0.25, 0.42, 0.30, 1)),
            "brick": (Box((0.012,) * 3), 4000.0, (0.170, 0.066, 0.15), (0.0, 0.15, 0.1, 0.98), (0.70, 0.22, 0.16, 1)),
        }
        for name, (shape, density, start, turn, color) in bodies.items():
            scene.add_body(name, shape, density, start, turn, motion="free", color=color)
        scene.view = ((0.03, 0.03, 0.012), (0.21, 0.1, 0.16))
        world = scene.make_world(1)
    return world, [world.zero_control()] * 120, (0, 15, 40, 119)


def scenes() -> tuple[World, list[Control], tuple[int, ...]]:
    """A swinging spout fills a cup; what misses it or splashes over is drained."""
    scene = Scene((0.18, 0.14, 0.2), 2 * SPACING, substep_dt=4e-4, substeps=25)
    scene.add_material("tea", Liquid(1000.0, 5e4))
    cup, place = Cup(0.034, 0.06, 0.003, 0.005), (0.09, 0.07, 0.033)
    scene.add_body("tap", (0.065, 0.07, 0.145))
    scene.add_emitter("jet", "tap", "tea", 2200, 0.012, 0.35, count=13, color=(0.80, 0.42, 0.12, 0.1))
    scene.add_collider("nozzle", Cylinder(0.014, 0.015), "tap", (0.0, 0.0, 0.016), color=(0.35, 0.38, 0.42, 1.0))
    scene.add_collider("stand", Cylinder(0.045, 0.016), position=(0.09, 0.07, 0.016), color=(0.62, 0.66, 0.58, 1.0))
    scene.add_collider("cup", cup, position=place, width=0.5 * SPACING, color=GLASS)
    scene.add_collector("drain", (0.0, 0.0, 0.0), (0.18, 0.14, 0.012))
    scene.view = ((0.02, 0.02, 0.0), (0.16, 0.12, 0.165))
    world = scene.make_world(1)
    controls = []
    for step in range(150):
        swing = torch.zeros(1, 1, 6)
        swing[..., 0] = 0.05 if step < 50 else 0.0  # [m/s]
        controls.append(Control(swing, torch.tensor([[step < 80]])))
    return world, controls, (11, 45, 149)


def draw(name: str) -> None:
    """Moments of a scene, side by side."""
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
