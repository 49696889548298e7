# SPDX-License-Identifier: Apache-2.0
"""Rigid bodies in particles, in a world: state, parameters, determinism, walls of the domain, which answer, errors."""

import numpy as np
import pytest
import torch

import simenv
from simenv.geometry.mass import mass_properties
from simenv.geometry.shapes import Box, Capsule, Cup, Cylinder, Plane, Sphere
from simenv.physics.mpm.materials import Liquid
from simenv.world import Scene, State, World


def scene(boundary="separate"):
    scene = Scene((0.2, 0.2, 0.24), 0.02, 4.0e-4, 5, boundary=boundary)
    scene.add_material("water", Liquid(1000.0, 4.0e4, 0.1))
    index = np.stack(np.meshgrid(*[np.arange(8)] * 2, np.arange(4), indexing="ij"), -1).reshape(-1, 3)
    scene.add_particles("water", "water", 0.06 + 0.01 * (index + 0.5), 1e-6)
    scene.add_body(
        "box", Box((0.03, 0.035, 0.03)), 500.0, (0.1, 0.1, 0.15), (0.1, 0.2, 0.0, 0.97), "free",
        velocity=(0.1, 0.0, -0.8), angular_velocity=(1.0, 2.0, 3.0),
    )  # fmt: skip
    scene.add_body("ball", Sphere(0.03), 1500.0, (0.15, 0.05, 0.11), motion="free", velocity=(-0.5, 0.5, 0.0))
    scene.add_collider("floor", Plane(), position=(0.0, 0.0, 0.02), friction=0.3)
    return scene


def spread(world):
    """States that differ from world to world, by a rule that knows only the world's number."""
    state = world.initial_state()
    number = torch.arange(world.num_worlds, dtype=world.dtype)
    pose, twist = state.body_q.clone(), state.body_twist.clone()
    pose[:, 0, 2] += 1e-4 * number
    twist[:, 0, 4] += 0.1 * number
    world.parameters["box.mass"] = 0.1 + 0.003 * number
    return state.replace(body_q=pose, body_twist=twist)


def run(world, state, steps=6):
    for _ in range(steps):
        state = world.step(state, world.zero_control())
    assert (state.status == 0).all()
    return state


def test_state_and_parameters():
    world = World(scene(), 3)
    state = world.initial_state()
    assert world.body_names == tuple(world.scene.touching) == ("box", "ball")
    assert state.body_q.shape == (3, 2, 7) and state.body_twist.shape == (3, 2, 6) and state.owed.shape == (3, 2, 6)
    mass = 500.0 * 8 * 0.03 * 0.035 * 0.03
    torch.testing.assert_close(world.parameters["box.mass"], torch.full((3,), mass))
    later = run(world, state)
    first, second = run(world, later, 2), run(world, State(dict(later.clone())), 2)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_a_scene_without_bodies_has_no_rows_of_them():
    bare = Scene((0.2,) * 3, 0.02, 4.0e-4, 5)
    bare.add_material("water", Liquid(1000.0, 4.0e4))
    bare.add_particles("p", "water", np.full((1, 3), 0.1), 1e-6)
    state = World(bare, 3).initial_state()
    assert state.body_q.shape == (3, 0, 7) and state.body_twist.shape == (3, 0, 6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_a_world_does_not_depend_on_its_neighbours(dtype):
    many = World(scene(), 64, dtype=dtype)
    start = spread(many)
    end = run(many, start)
    one = World(scene(), 1, dtype=dtype)
    for index in (0, 37, 63):
        row = {name: value[index : index + 1].clone() for name, value in start.items()}
        one.parameters["box.mass"] = many.parameters["box.mass"][index : index + 1]
        alone = run(one, State(row))
        for name, value in alone.items():
            assert torch.equal(value[0], end[name][index]), f"{name} of world {index}"


def test_one_thread_and_two_give_the_same_numbers_and_gradients():
    results = []
    before = simenv.get_num_threads()
    try:
        for threads in (1, 2):
            simenv.set_num_threads(threads)
            world = World(scene(), 4)
            state = spread(world)
            twist = state.body_twist.clone().requires_grad_()
            end = run(world, state.replace(body_twist=twist))
            (grad,) = torch.autograd.grad(end.x.square().sum() + end.body_twist.sum(), [twist])
            results.append({**{k: v.detach() for k, v in end.items()}, "grad": grad})
            world.close()
    finally:
        simenv.set_num_threads(before)
    for name, value in results[0].items():
        assert torch.equal(value, results[1][name]), name


def test_walls_of_the_domain_hold_a_body_where_they_are_asked_to():
    """One slides down, and across to a wall; without walls it falls on."""
    places = {}
    for sides in ((), ("x+", "z-")):
        plain = Scene((0.16, 0.16, 0.2), 0.02, 4.0e-4, 25)
        plain.add_body("box", Box((0.04,) * 3), 800.0, (0.1, 0.08, 0.07), motion="free", velocity=(0.5, 0.0, -0.5))
        plain.add_walls(sides)
        world = World(plain, 1)
        places[sides] = run(world, world.initial_state(), 60).body_q[0, 0, :3]
    assert places[()][2] < -1.0
    x, _y, z = places["x+", "z-"].tolist()
    assert z == pytest.approx(0.04, abs=2e-4) and x < 0.12 + 2e-4


def answers_of(*bodies, **options):
    made = Scene((0.3,) * 3, 0.01, 4.0e-4, 5, **options)
    made.add_material("water", Liquid(1000.0, 4.0e4))
    made.add_particles("p", "water", np.full((1, 3), 0.05), 1e-6)
    for n, shape in enumerate(bodies):
        made.add_body(f"b{n}", shape, 3e3, (0.15, 0.15, 0.2), motion="free")
    return made.mpm_model()


def test_which_bodies_answer():
    """Solids, and vessels with walls of a cell; thinner ones act on particles alone."""
    thick, thin = Cup(0.03, 0.06, 0.01, 0.01), Cup(0.03, 0.06, 0.004, 0.004)
    assert answers_of(Sphere(0.03), thick, thin).answers == (True, True, False)
    assert answers_of(Sphere(0.03), particle_substeps=10).answers == (False,)
    assert answers_of(Cup(0.03, 0.06, 0.004, 0.02)).answers == (False,)


def test_errors_name_the_remedy():
    small = Scene((0.2,) * 3, 0.02, 4.0e-4, 5)
    with pytest.raises(ValueError, match="coupling = 'grid'; use 'contact' or 'rigid', which bears any mass"):
        small.add_body("old", Sphere(0.04), 500.0, motion="free", coupling="grid")
    with pytest.raises(ValueError, match="Plane"):
        small.add_body("floor", Plane(), 500.0, (0.1, 0.1, 0.1), motion="free")
    with pytest.raises(ValueError, match="there is no side 'down'; use x-"):
        small.add_walls(["down"])
    small.add_walls()
    with pytest.raises(ValueError, match="wall z-"):
        small.add_walls(["z-"])
    with pytest.raises(ValueError, match="needs a grid"):
        Scene(substep_dt=1e-3, substeps=1).add_walls()


SHAPES = (Box((0.03, 0.05, 0.04)), Sphere(0.04), Cylinder(0.03, 0.05), Capsule(0.03, 0.04), Cup(0.03, 0.08, 0.01, 0.02))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
def test_mass_properties_agree_with_a_sum_over_points(shape):
    properties = mass_properties(shape)
    lower, upper = shape.bounds()
    axes = [np.linspace(a, b, 81)[:-1] + (b - a) / 160 for a, b in zip(lower, upper, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    inside = points[shape.signed_distance(points) < 0]
    cell = np.prod(upper - lower) / 80**3
    assert properties.volume == pytest.approx(len(inside) * cell, rel=0.01)
    np.testing.assert_allclose(properties.centre, inside.mean(0), atol=2e-4)
    local = (inside - properties.centre) @ properties.axes
    tensor = (np.eye(3) * (local**2).sum() - local.T @ local) * cell
    np.testing.assert_allclose(tensor, np.diag(properties.moments), rtol=0.015, atol=0.01 * properties.moments.max())
