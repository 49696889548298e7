# SPDX-License-Identifier: Apache-2.0
"""The batched world: motion of bodies and colliders, states, parameters, and what a step leaves alone."""

import math

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Box, Plane, Sphere
from simenv.physics.given import GivenMotion
from simenv.physics.mpm.materials import Elastic, Liquid
from simenv.world import Control, Scene, State, World
from tests.gradients.scenes import DX, block, press_scene


def scene():
    result = Scene((0.3, 0.3, 0.3), DX, 4.0e-4, 10, gravity=(0.0, 0.0, 0.0))
    result.add_material("water", Liquid(1000.0, 4.0e4, 0.5))
    result.add_material("gel", Elastic(900.0, 3.0e4, 0.3))
    result.add_particles("pool", "water", block((0.05, 0.05, 0.05), (4, 4, 4)), 1.0e-6)
    result.add_particles("cube", "gel", block((0.15, 0.15, 0.05), (3, 3, 3)), 2.0e-6, velocity=(0.0, 0.0, 0.1))
    result.add_body("hand", position=(0.2, 0.1, 0.2), quaternion=(0.0, 0.0, math.sin(0.3), math.cos(0.3)))
    result.add_body("other", position=(0.1, 0.2, 0.25))
    result.add_collider("palm", Box((0.01, 0.02, 0.01)), "hand", position=(0.03, 0.0, 0.0), friction=0.2)
    result.add_collider("stand", Sphere(0.01), position=(0.01, 0.28, 0.28))
    return result


def matrix(q):
    x, y, z, w = q
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def test_names_shapes_and_first_state():
    world = World(scene(), 3)
    state = world.initial_state()
    assert world.body_names == ("hand", "other") and world.collider_names == ("palm", "stand")
    assert world.particle_groups == {"pool": slice(0, 64), "cube": slice(64, 91)}
    assert world.dt == pytest.approx(4.0e-3)
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    assert shapes == {
        "x": (3, 91, 3), "v": (3, 91, 3), "C": (3, 91, 3, 3), "F": (3, 91, 3, 3), "J": (3, 91), "active": (3, 91),
        "body_q": (3, 2, 7), "body_twist": (3, 2, 6), "wrench": (3, 2, 6), "time": (3,), "emitted": (3, 0),
        "status": (3,),
    }  # fmt: skip
    assert torch.equal(state.v[1, 64:], torch.tensor([0.0, 0.0, 0.1]).expand(27, 3))
    assert float(world.volume[0, 70]) == pytest.approx(2e-6)
    lower, upper = world.domain()
    np.testing.assert_allclose(lower, 0.0, atol=1e-12)
    np.testing.assert_allclose(upper, 0.3, atol=1e-12)


def test_constant_twist_moves_a_body_along_the_exact_helix():
    # position p + v t, rotation exp(omega t) q: exact whatever the number of control steps
    world = World(scene(), 1, dtype=torch.float64)
    state = world.initial_state()
    twist = torch.zeros(1, 2, 6, dtype=torch.float64)
    twist[0, 0] = torch.tensor([0.1, -0.2, 0.3, 2.0, -1.0, 0.5])
    first = state.body_q[0, 0].numpy().copy()
    for _ in range(25):
        state = world.step(state, Control(twist))
    t = 25 * world.dt
    np.testing.assert_allclose(state.body_q[0, 0, :3].numpy(), first[:3] + t * np.array([0.1, -0.2, 0.3]), atol=1e-13)
    omega = np.array([2.0, -1.0, 0.5])
    angle = np.linalg.norm(omega) * t
    axis = omega / np.linalg.norm(omega)
    turn = matrix((*(axis * math.sin(angle / 2)), math.cos(angle / 2)))
    np.testing.assert_allclose(matrix(state.body_q[0, 0, 3:].numpy()), turn @ matrix(first[3:]), atol=1e-12)
    assert float(state.body_q[0, 0, 3:].norm()) == pytest.approx(1.0, abs=1e-14)
    assert torch.equal(state.body_q[0, 1], world.initial_state().body_q[0, 1])
    assert torch.equal(state.body_twist, twist)
    assert float(state.time) == pytest.approx(t)


def test_colliders_are_carried_by_their_bodies():
    world = World(scene(), 2, dtype=torch.float64)
    state = world.initial_state()
    poses = world.collider_poses(state)
    expected = np.array([0.2, 0.1, 0.2]) + matrix((0, 0, math.sin(0.3), math.cos(0.3))) @ np.array([0.03, 0.0, 0.0])
    np.testing.assert_allclose(poses[1, 0, :3].numpy(), expected, atol=1e-14)
    np.testing.assert_allclose(poses[1, 1].numpy(), [0.01, 0.28, 0.28, 0, 0, 0, 1], atol=1e-14)
    # velocity of a collider's origin is that of the body's point, and the pose at every substep follows it
    twist = torch.zeros(2, 2, 6, dtype=torch.float64)
    twist[:, 0] = torch.tensor([0.1, 0.0, 0.0, 0.0, 0.0, 4.0])
    told = GivenMotion(state.body_q, twist, 4.0e-4 * torch.arange(10, dtype=torch.float64), world.dt)
    motion = world.particles.colliders.motion(told)
    assert motion["position"].shape == (2, 10, 2, 3)
    step = (motion["position"][:, 2] - motion["position"][:, 0]) / (2 * 4.0e-4)
    torch.testing.assert_close(step, motion["velocity"][:, 1], rtol=0, atol=1e-6)
    assert torch.equal(motion["omega"][:, :, 1], torch.zeros(2, 10, 3, dtype=torch.float64))


def test_a_step_leaves_its_inputs_alone():
    world = World(press_scene("two_materials"), 2)
    state = world.initial_state()
    copy = state.clone()
    control = world.zero_control()
    first = world.step(state, control)
    for name, value in state.items():
        assert torch.equal(value, copy[name]), name
    kept = first.clone()
    world.step(first, control)
    for name, value in first.items():
        assert torch.equal(value, kept[name]), f"{name} of an earlier state has changed"


def test_gradient_and_plain_steps_give_the_same_numbers():
    world = World(press_scene("two_materials"), 2)
    state = world.initial_state()
    plain = world.step(state, world.zero_control())
    leaf = state.x.clone().requires_grad_()
    traced = world.step(state.replace(x=leaf), world.zero_control())
    assert traced.x.requires_grad and not plain.x.requires_grad
    for name, value in plain.items():
        assert torch.equal(value, traced[name]), name
    with torch.no_grad():
        assert not world.step(state.replace(x=leaf), world.zero_control()).x.requires_grad


def test_state_round_trip_and_selection():
    world = World(scene(), 3)
    state = world.initial_state()
    later = world.step(state, world.zero_control())
    again = State(dict(later))
    assert all(torch.equal(a, b) for a, b in zip(again.values(), later.values(), strict=True))
    mask = torch.tensor([True, False, True])
    mixed = later.where(mask, state)
    assert torch.equal(mixed.x[0], later.x[0]) and torch.equal(mixed.x[1], state.x[1])
    assert mixed.time.tolist() == pytest.approx([world.dt, 0.0, world.dt])


def test_no_gradient_crosses_a_selection():
    world = World(scene(), 2, dtype=torch.float64)
    old, fresh = world.initial_state(), world.initial_state()
    leaf = old.v.clone().requires_grad_()
    state = world.step(old.replace(v=leaf), world.zero_control())
    state = fresh.where(torch.tensor([True, False]), state)  # world 0 is reset
    state = world.step(state, world.zero_control())
    state.x.square().sum().backward()
    assert leaf.grad[0].abs().max() == 0
    assert leaf.grad[1].abs().max() > 0


def test_a_restored_state_continues_exactly():
    world = World(press_scene("two_materials"), 2)
    state = world.initial_state()
    for _ in range(2):
        state = world.step(state, world.zero_control())
    saved = {name: value.clone() for name, value in state.items()}
    first = world.step(world.step(state, world.zero_control()), world.zero_control())
    other = World(press_scene("two_materials"), 2)
    second = State(saved)
    for _ in range(2):
        second = other.step(second, other.zero_control())
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_parameters_are_per_world_and_follow_assignment():
    world = World(press_scene("corotated"), 2, dtype=torch.float64)
    material = {"a.density", "a.youngs_modulus", "a.poisson_ratio"}
    colliders = {"ball.friction", "ball.scale", "floor.friction", "floor.scale"}
    assert set(world.parameters) == material | colliders | {"gravity"}
    base = world.step(world.initial_state(), world.zero_control())
    world.parameters["a.youngs_modulus"] = torch.tensor([4.0e4, 2.0e4])
    changed = world.step(world.initial_state(), world.zero_control())
    assert torch.equal(changed.x[0], base.x[0]) and not torch.equal(changed.x[1], base.x[1])
    world.parameters["a.youngs_modulus"][1] = 4.0e4  # in place counts too
    assert torch.equal(world.step(world.initial_state(), world.zero_control()).x, base.x)
    world.parameters["gravity"] = torch.tensor([0.0, 0.0, -20.0])
    heavy = world.step(world.initial_state(), world.zero_control())
    assert (heavy.v[..., 2].mean(1) < base.v[..., 2].mean(1)).all()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("a.density", float("nan"), "'a.density' = nan; it must lie between 0.0 and inf"),
        ("a.poisson_ratio", 0.5, "'a.poisson_ratio' = 0.5; it must lie between -0.01 and 0.5"),
        ("a.youngs_modulus", -1.0, "'a.youngs_modulus' = -1.0; it must lie between -0.01 and inf"),
        ("floor.friction", float("inf"), "'floor.friction' = inf"),
        ("gravity", float("nan"), "'gravity' = nan; it must lie between -inf and inf"),
    ],
)
def test_numbers_with_which_nothing_can_be_simulated_are_refused(name, value, message):
    """Of tensors the step decides, world by world: tests/world/test_status.py."""
    world = World(press_scene("corotated"), 2)
    before = world.parameters[name]
    with pytest.raises(ValueError, match=message):
        world.parameters[name] = value
    assert world.parameters[name] is before


def test_scale_says_that_it_has_no_derivative():
    world = World(press_scene("corotated"), 2)
    with pytest.raises(ValueError, match=r"'ball.scale' has no derivative"):
        world.parameters["ball.scale"] = torch.ones(2, requires_grad=True)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_scale_is_that_of_the_shape(scale):
    # a ball of radius r scaled by s is a ball of radius r s
    results = []
    for radius, factor in ((0.02, scale), (0.02 * scale, 1.0)):
        world_scene = Scene((0.2, 0.2, 0.2), DX, 4.0e-4, 5)
        world_scene.add_material("m", Elastic(1000.0, 4.0e4, 0.3))
        world_scene.add_particles("p", "m", block((0.07, 0.07, 0.1), (5, 5, 5)), 1.0e-6, (0.0, 0.0, -1.0))
        place = (0.1, 0.1, 0.1 - 0.02 * scale)
        world_scene.add_collider("ball", Sphere(radius), position=place, friction=0.3, width=0.01, scale=factor)
        world = World(world_scene, 1, dtype=torch.float64)
        state = world.initial_state()
        for _ in range(4):
            state = world.step(state, world.zero_control())
        assert float(state.wrench.abs().max()) > 0.1
        results.append(state)
    torch.testing.assert_close(results[0].x, results[1].x, rtol=0, atol=1e-12)
    torch.testing.assert_close(results[0].wrench, results[1].wrench, rtol=1e-9, atol=1e-9)


def rest_on_face(shape, place, floor, dtype):
    """Height of the lowest particle of a soft block over a hard face at z = `floor`, and the face's force [N]."""
    scene = Scene(size=(0.048, 0.048, 0.072), dx=0.004, substep_dt=2e-4, substeps=20, boundary=("slip", "slip", "slip"))
    scene.add_material("gel", Elastic(density=1000.0, youngs_modulus=2e4, poisson_ratio=0.3))
    along = 0.002 * (torch.arange(6, dtype=torch.float64) + 0.5)
    points = torch.cartesian_prod(along + 0.018, along + 0.018, along + floor)
    scene.add_particles("block", "gel", points.numpy(), volume=8e-9)
    scene.add_collider("face", shape, position=place)
    world = World(scene, 1, dtype=dtype)
    state, force = world.initial_state(), []
    for _ in range(20):
        state = world.step(state, world.zero_control())
        force.append(state.wrench[0, 0, 2].double())
    world.close()
    return float(state.x[0, :, 2].min()) - floor, float(torch.stack(force).mean())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_hard_face_on_a_layer_of_nodes_holds_wherever_the_layer_is(dtype):
    """Rounding puts nodes 1e-9 m above or below a face that lies on them. Moving scene and face by whole cells changes
    nothing but rounding: to 1e-6 m of 1 mm, and 1e-4 of the force.
    """
    first = None
    for layer in (3, 4, 5, 6, 7, 10):
        floor = 0.004 * layer
        box = Box((0.02, 0.02, 0.006)), (0.024, 0.024, floor - 0.006)
        for shape, place in ((Plane(), (0.0, 0.0, floor)), box):
            height, force = rest_on_face(shape, place, floor, dtype)
            first = first or (height, force)
            assert height == pytest.approx(first[0], abs=1e-6), (layer, shape)
            assert force == pytest.approx(first[1], rel=1e-4), (layer, shape)
