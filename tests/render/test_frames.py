# SPDX-License-Identifier: Apache-2.0
"""Frames of a world."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from simenv.geometry.sampling import fill_cavity
from simenv.geometry.shapes import Box, Cup, Plane
from simenv.physics.mpm.materials import Liquid
from simenv.render.frames import Renderer
from simenv.world import Scene, World

CUP = Cup(inner_radius=0.03, height=0.08, wall=0.005, base=0.006)


def make_world(count=2):
    scene = Scene((0.16, 0.16, 0.16), 0.01, 2e-4, 2, origin=(-0.08, -0.08, 0.0))
    scene.add_material("water", Liquid(1000.0, 2e4))
    scene.add_body("hand", position=(0.0, 0.0, 0.02))
    scene.add_collider("floor", Plane())
    scene.add_collider("cup", CUP, body="hand", color=(0.9, 0.97, 0.95, 0.2))
    points = fill_cavity(CUP, 0.05, 0.005) + np.array([0.0, 0.0, 0.02])
    scene.add_particles("drink", "water", points, 0.005**3, color=(0.85, 0.15, 0.1, 0.9))
    return World(scene, count)


def redness(frame):
    return int(((frame[..., 0].astype(int) - frame[..., 1]) > 50).sum())


@pytest.fixture(scope="module")
def world():
    world = make_world()
    yield world
    world.close()


def test_each_world_is_drawn_as_it_is(world):
    renderer, state = Renderer(world, 96, 72), world.initial_state()
    frames = renderer.render(state)
    assert [(f.shape, f.dtype) for f in frames] == [((72, 96, 3), np.uint8)] * 2
    assert np.array_equal(*frames)
    assert redness(frames[0]) > 100
    empty = state.replace(active=state.active & torch.tensor([[True], [False]]))
    full, dry = renderer.render(empty)
    assert np.array_equal(full, frames[0])
    assert redness(dry) == 0


def test_only_the_worlds_asked_for_are_drawn(world):
    renderer, state = Renderer(world, 48, 36), world.initial_state()
    moved = state.body_q.clone()
    moved[1, 0, 0] += 0.03
    state = state.replace(body_q=moved)
    (second,) = renderer.render(state, worlds=[1])
    both = renderer.render(state)
    assert np.array_equal(second, both[1])
    assert not np.array_equal(*both)
    with pytest.raises(IndexError, match="from 0 to 1"):
        renderer.render(state, worlds=[2])


def test_a_collider_has_the_size_its_world_gives_it():
    world = make_world()
    world.parameters["cup.scale"] = torch.tensor([1.0, 0.5])
    state = world.initial_state()
    state = state.replace(active=torch.zeros_like(state.active))
    big, small = Renderer(world, 96, 72).render(state)
    world.close()
    assert not np.array_equal(big, small)


def test_colours_can_be_replaced_and_unknown_names_are_refused(world):
    state = world.initial_state()
    frame = Renderer(world, 48, 36, colors={"drink": (0.1, 0.2, 0.9, 0.9)}).render(state, [0])[0]
    assert redness(frame) == 0
    with pytest.raises(ValueError, match="drnk"):
        Renderer(world, 48, 36, colors={"drnk": (0, 0, 0)})
    with pytest.raises(ValueError, match="fog"):
        Renderer(world, 48, 36, liquid="fog")


def test_a_frame_needs_no_display_and_no_opengl():
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_frames import Renderer, make_world, redness\n"
        "world = make_world(1)\n"
        "frame = Renderer(world, 48, 36).render(world.initial_state())[0]\n"
        "assert redness(frame) > 20, redness(frame)\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "assert not loaded & {'pyglet', 'OpenGL', 'moderngl', 'glfw'}, loaded\n"
        "print('drawn')\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY")}
    command = [sys.executable, "-c", program, os.path.dirname(__file__)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "drawn" in done.stdout


def test_rigid_bodies_are_drawn_where_they_are():
    scene = Scene((0.16, 0.16, 0.16), 0.02, 4e-4, 2)
    shape, place = Box((0.04, 0.03, 0.03)), (0.08, 0.08, 0.06)
    scene.add_body("box", shape, 500.0, place, motion="free", color=(0.9, 0.1, 0.05, 1.0))
    world = World(scene, 2)
    box, state = world.bodies["box"], world.initial_state()
    up = box.pose(state) + torch.tensor([[0.0], [0.04]]) * torch.eye(7)[2]
    low, high = Renderer(world, 96, 72).render(box.place(state, up))
    rows = [np.flatnonzero((f[..., 0].astype(int) - f[..., 1] > 50).any(axis=1)).mean() for f in (low, high)]
    assert redness(low) > 100
    assert rows[1] < rows[0] - 5, "higher in the world is higher in the picture"
