# SPDX-License-Identifier: Apache-2.0
"""Bodies that the grid moves, in a world: state, parameters, determinism, walls of the domain, errors."""

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
    world.parameters["box.density"] = 400.0 + 10.0 * number
    return state.replace(body_q=pose, body_twist=twist)


def run(world, state, steps=6):
    for _ in range(steps):
        state = world.step(state, world.zero_control())
    assert (state.status == 0).all()
    return state


def test_state_and_parameters():
    world = World(scene(), 3)
    state = world.initial_state()
    assert world.body_names == tuple(world.scene.projected) == ("box", "ball")
    assert state.body_q.shape == (3, 2, 7) and state.body_twist.shape == (3, 2, 6)
    assert torch.equal(world.parameters["box.density"], torch.full((3,), 500.0))
    span = world.particle_groups["box"]
    np.testing.assert_allclose(state.x[0, span].mean(0), [0.1, 0.1, 0.15], atol=1e-6)
    mass = 500.0 * float(world.volume[0, span].double().sum())
    assert mass == pytest.approx(500.0 * 8 * 0.03 * 0.035 * 0.03, rel=1e-6)
    later = run(world, state)
    distance = (later.x[0, span] - later.body_q[0, 0, :3]).norm(dim=1) - (
        state.x[0, span] - state.body_q[0, 0, :3]
    ).norm(dim=1)
    assert float(distance.abs().max()) < 1e-6, "a rigid body keeps its shape"
    torch.testing.assert_close(world.place_projected(later).x, later.x, rtol=0, atol=1e-6)
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
        one.parameters["box.density"] = many.parameters["box.density"][index : index + 1]
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


@pytest.mark.parametrize("boundary", ["separate", "slip", "stick"])
def test_walls_of_the_domain_hold_a_body(boundary):
    plain = Scene((0.16, 0.16, 0.2), 0.02, 4.0e-4, 25, boundary=boundary)
    plain.add_body("box", Box((0.04, 0.04, 0.04)), 800.0, (0.08, 0.08, 0.07), motion="free", velocity=(0.0, 0.0, -0.5))
    world = World(plain, 1)
    state = run(world, world.initial_state(), 60)
    sunk = 0.03 - float(state.x[0, :, 2].min()) - 0.03
    print(f"\nmeasured {boundary}: lowest particle {sunk * 1e3:.2f} mm in the wall, {state.body_twist[0, 0, 2]} m/s")
    assert sunk < 0.002
    assert abs(float(state.body_twist[0, 0, 2])) < 0.005


def test_errors_name_the_remedy():
    small = Scene((0.2,) * 3, 0.02, 4.0e-4, 5)
    with pytest.raises(ValueError, match="cells wide"):
        small.add_body("rod", Cylinder(0.012, 0.05), 500.0, (0.1, 0.1, 0.1), motion="free")
    with pytest.raises(ValueError, match="outside the domain"):
        small.add_body("far", Sphere(0.04), 500.0, (0.3, 0.1, 0.1), motion="free")
    with pytest.raises(ValueError, match="no finite mass"):
        small.add_body("floor", Plane(), 500.0, (0.1, 0.1, 0.1), motion="free")
    wrapped = Scene((0.2,) * 3, 0.02, 4.0e-4, 5, boundary="periodic")
    wrapped.add_body("ball", Sphere(0.04), 500.0, (0.1, 0.1, 0.1), motion="free")
    with pytest.raises(ValueError, match="periodic"):
        World(wrapped, 1)


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
