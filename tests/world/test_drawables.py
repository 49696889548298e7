# SPDX-License-Identifier: Apache-2.0
"""What there is to see of a world, and where."""

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, Plane, Sphere
from simenv.physics.mpm.materials import Liquid
from simenv.render.frames import Renderer
from simenv.world import Scene, World
from tests.gradients.scenes import block
from tests.world.zoo import SCENES


@pytest.fixture(scope="module", params=SCENES)
def world(request):
    made = World(SCENES[request.param](), 2)
    yield made
    made.close()


def seen(world, state):
    """All numbers that pictures are made of."""
    groups = [each for each in world.drawables() if each.kind == "particles"]
    parts = [world.drawn_poses(state), *(each.points(state) for each in groups)]
    return torch.cat([part.flatten(1) for part in parts] + [each.present(state).float() for each in groups], 1)


def changed(state, name):
    """The state with another value of a field in the second world: its quaternions stay such."""
    value = state[name].clone()
    if value.dtype == torch.bool:
        value[1] = ~value[1]
    else:
        value[1] = (
            value[1] * 1.1 + torch.tensor(1, dtype=value.dtype) / 64 if value.is_floating_point() else value[1] + 1
        )
    return state.replace(**{name: value})


def test_pictures_depend_on_the_fields_that_say_so(world):
    state = world.initial_state()
    plain = seen(world, state)
    for name, field in world.fields.items():
        after = seen(world, changed(state, name))
        assert torch.equal(after[0], plain[0]), name
        if not field.drawn:
            assert torch.equal(after, plain), f"{name} is drawn, and does not say so"


def test_every_field_that_is_drawn_shows_somewhere():
    shown, drawn = set(), set()
    for build in SCENES.values():
        world = World(build(), 2)
        state = world.initial_state()
        drawn |= {name for name, field in world.fields.items() if field.drawn}
        shown |= {name for name in drawn & set(state) if not torch.equal(*(seen(world, each) for each in (
            state, changed(state, name))))}  # fmt: skip
        world.close()
    assert shown == drawn >= {"x", "active", "body_q", "grip"}


def test_frames_are_made_of_them(world):
    """A frame of another state is another frame if, and only if, what is seen differs."""
    renderer, state = Renderer(world, 48, 36), world.initial_state()
    before = renderer.render(state, [1])[0]
    for name, field in world.fields.items():
        if field.dtype is not None or not state[name].numel():
            continue
        after = changed(state, name)
        same = torch.equal(seen(world, state), seen(world, after))
        assert np.array_equal(before, renderer.render(after, [1])[0]) == same, name


def scene():
    """Everything that can be seen, once each: water, a free ball, a mug that looks otherwise, a plain post, a
    table and a flag.
    """
    made = Scene((0.4, 0.4, 0.4), 0.02, 4e-4, 2)
    made.add_material("water", Liquid(1000.0, 4.0e4, 0.5))
    made.add_particles("pool", "water", block((0.05, 0.05, 0.05), (4, 4, 4)), 1.0e-6, color=(0.1, 0.2, 0.9, 0.5))
    made.add_body("ball", Sphere(0.03), 1000.0, (0.2, 0.2, 0.2), motion="free", color=(0.9, 0.1, 0.1, 1.0))
    made.add_body("table", Plane(), position=(0.0, 0.0, 0.03), motion="fixed")
    made.add_body("mug", Box((0.02, 0.02, 0.02)), position=(0.1, 0.3, 0.1), look=Sphere(0.02))
    made.add_body("post", Sphere(0.02), position=(0.3, 0.3, 0.1), motion="fixed")
    made.add_collider("knob", Sphere(0.01), "mug", position=(0.0, 0.0, 0.03), scale=1.5)
    made.add_look("flag", Sphere(0.01), "post", position=(0.0, 0.0, 0.04))
    return made


def test_each_thing_is_drawn_once():
    world = World(scene(), 2)
    things = {each.name: each for each in world.drawables()}
    assert list(things) == ["ball", "table", "post", "knob", "mug", "flag", "pool"] and len(world.drawables()) == 7
    assert things["mug"].shape == Sphere(0.02) and things["ball"].shape == Sphere(0.03)
    assert [name for name, each in things.items() if each.height is not None] == ["table"]
    assert things["table"].height == pytest.approx(0.03)
    pool = things["pool"]
    assert (pool.kind, pool.count, pool.liquid, pool.color) == ("particles", 64, True, (0.1, 0.2, 0.9, 0.5))
    assert pool.spacing == pytest.approx(0.01)
    assert [name for name, each in things.items() if each.collides] == ["ball", "table", "post", "knob", "mug"]
    state = world.initial_state()
    turned = torch.tensor([[0.1, 0.3, 0.1, np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)]] * 2)
    state = world.bodies["mug"].place(state, turned)  # by a quarter about x: what was above is at -y
    places = world.drawn_poses(state)[1, :, :3]
    expected = [[0.2, 0.2, 0.2], [0, 0, 0.03], [0.3, 0.3, 0.1], [0.1, 0.27, 0.1], [0.1, 0.3, 0.1], [0.3, 0.3, 0.14]]
    assert torch.allclose(places, torch.tensor(expected), atol=1e-6)
    world.parameters["knob.scale"] = torch.tensor([0.5, 2.0])
    assert torch.equal(world.drawn_scales()[:, 3], torch.tensor([0.5, 2.0]))
    assert torch.equal(world.drawn_scales()[:, 4], torch.ones(2))  # a look has its own size
    world.close()


def test_a_grid_without_particles_still_shows_its_bodies():
    made = Scene((0.4, 0.4, 0.4), 0.02, 4e-4, 2)
    made.add_body("ball", Sphere(0.03), 1000.0, (0.2, 0.2, 0.2), motion="free", coupling="contact")
    world = World(made, 1)
    pose = torch.tensor([[0.1, 0.2, 0.3, 0.0, 0.0, 0.0, 1.0]])
    assert torch.equal(world.drawn_poses(world.bodies["ball"].place(world.initial_state(), pose))[:, 0], pose)
    low, high = world.domain()
    assert np.allclose(low, 0.17) and np.allclose(high, 0.23)
    assert Renderer(world, 32, 24).render(world.initial_state())[0].std() > 0
    world.close()
