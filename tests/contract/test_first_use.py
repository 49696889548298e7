# SPDX-License-Identifier: Apache-2.0
"""Whatever of simenv a process uses first works: nothing relies on somebody else having started Warp before.

One process imports everything, which must not start Warp, and then forks a child for each snippet.
"""

import json
import subprocess
import sys

import pytest

from tests.contract import source_rules as rules

TOUCH = """
from simenv.world import Scene
scene = Scene(substep_dt=1e-3, substeps=1)
scene.add_body("hand", position=(0.0, 0.0, 0.4), motion="hand")
scene.add_body("ball", Sphere(0.03), 1000.0, (0.0, 0.0, 0.2), motion="free")
world = scene.make_world(1)
"""
PARTICLES = """
from simenv.physics.mpm.materials import Liquid
from simenv.world import Scene, World
scene = Scene((0.08, 0.08, 0.08), dx=0.02, substep_dt=1e-4, substeps=1)
scene.add_material("water", Liquid(1000.0, 1e4))
scene.add_particles("drop", "water", np.full((1, 3), 0.04), volume=1e-6)
"""
GEL = "touch.flat_grid(4, 4, 0.01, 0.01), touch.WinklerGel(1e8, 5e7, mu=0.8), Sphere(0.01)"

FIRST = {
    "a mesh": 'load_mesh(path("glass.stl"))',
    "the distance of a mesh": """
import trimesh
from simenv.geometry.mesh_sdf import mesh_sdf, signed_distance
signed_distance(trimesh.creation.box((1, 1, 1)), np.zeros((1, 3)))
mesh_sdf(trimesh.creation.box((1, 1, 1)), spacing=0.25)
""",
    "a world": PARTICLES + "World(scene, 1)",
    "a world of bodies": TOUCH + "world.initial_state()",
    "a camera on a body": TOUCH + 'render.BodyCamera(world, "hand", render.Camera((0, 0, 0), (1, 0, 0)), 8, 8)',
    "frames": TOUCH + "render.Renderer(world, 8, 8).render(world.initial_state())",
    "a robot": 'robots.Robot(robots.load("panda"))',
    "a world of a robot": """
scene = simenv.world.Scene(substep_dt=1e-3, substeps=1)
scene.add_robot("arm", robots.chain(robots.load("panda")), reach={"tool": ((0.5, 0.0, 0.3), (1.0, 0.0, 0.0, 0.0))})
scene.make_world(1)
""",
    "a force field": f"touch.TactileField({GEL})",
    "a force field of an elastic gel": """
touch.TactileField(touch.flat_grid(4, 4, 0.01, 0.01), touch.ElasticLayerGel(1e5, 0.8), Sphere(0.01))
""",
    "a tactile image": "touch.TactileImage(touch.gelsight_mini())",
    "the lamps of a tactile image": "touch.digit_shader()",
    "a camera behind a gel": f"touch.GelCamera(touch.TactileField({GEL}).contact, touch.gelsight_r15(), 8, 8)",
    "markers": """
touch.MarkerField(touch.flat_grid(4, 4, 0.01, 0.01), touch.marker_grid(2, 2, 2e-3), 1e5, 0.48, 2e-3)
""",
    "pictures of markers": "touch.draw_markers(torch.zeros((1, 1, 2)), (4, 4), 2.0)",
}

HARNESS = """
import json, os, sys, traceback
import newton, numpy as np, torch, warp as wp
import simenv
from simenv import render, robots
from simenv.assets import path
from simenv.geometry import Sphere, load_mesh
from simenv.sensors import tactile as touch
import simenv.physics.mpm.materials, simenv.render.body_camera, simenv.render.frames, simenv.world
import simenv.geometry.mesh_sdf
assert wp._src.context.runtime is None, "importing simenv has started Warp"
wp.config.log_level = wp.LOG_ERROR
failed = {}
for name, code in json.load(sys.stdin).items():
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            exec(code, globals())
        except BaseException:
            os.write(there, traceback.format_exc()[-2000:].encode())
        os._exit(0)
    os.close(there)
    words = os.fdopen(here).read()
    _, status = os.waitpid(child, 0)
    if words or status:
        failed[name] = words or f"status {status}"
print(json.dumps(failed))
"""


@pytest.fixture(scope="module")
def failed() -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", HARNESS], input=json.dumps(FIRST), capture_output=True, text=True, cwd=rules.ROOT,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", FIRST)
def test_it_works_first(name: str, failed: dict[str, str]) -> None:
    assert name not in failed, failed[name]
