# SPDX-License-Identifier: Apache-2.0
"""Emitters let out the mass that their spout says, collectors take out what enters them."""

import math

import numpy as np
import pytest
import torch

from simenv.physics.mpm.materials import Liquid
from simenv.world import Control, Scene, World

RADIUS, SPEED, DENSITY = 0.02, 1.0, 1000.0


def jet(worlds=1, capacity=400, count=10, dtype=torch.float64):
    scene = Scene((0.3, 0.3, 0.4), 0.02, 4.0e-4, 10, gravity=(0.0, 0.0, 0.0))
    scene.add_material("liquid", Liquid(DENSITY, 4.0e4, 0.5))
    scene.add_body("spout", position=(0.15, 0.15, 0.35))
    scene.add_emitter("jet", "spout", "liquid", capacity=capacity, radius=RADIUS, speed=SPEED, count=count)
    return scene, World(scene, worlds, dtype=dtype)


def run(world, steps, twist=None, emit=None, state=None):
    state = state or world.initial_state()
    control = Control(world.zero_control().twist if twist is None else twist, emit)
    for _ in range(steps):
        state = world.step(state, control)
    assert (state.status == 0).all()
    return state


@pytest.mark.parametrize("count", [5, 10, 20])
def test_mass_flow_rate(count):
    """The mass that is there is rho pi r^2 v t; and where it is, mass per length times speed says the same."""
    _scene, world = jet(count=count)
    state = run(world, 15)
    mass = float((world.volume * state.active).sum() * DENSITY)
    expected = DENSITY * math.pi * RADIUS**2 * SPEED * 15 * world.dt
    print(f"\nmeasured {mass / (15 * world.dt):.6f} kg/s, rho pi r^2 v = {expected / (15 * world.dt):.6f} kg/s")
    assert mass == pytest.approx(expected, rel=1e-12)
    assert int(state.emitted) == 15 * count
    # cumulative mass over height: a straight line, whose slope is the mass per length
    z = np.sort(state.x[0, state.active[0], 2].numpy())
    per_length = mass / len(z) * np.polyfit(z, np.arange(len(z)), 1)[0]
    speed = -float(state.v[0, state.active[0], 2].mean())
    print(f"measured {per_length * speed:.4f} kg/s by the particles' places and speeds")
    assert per_length * speed == pytest.approx(DENSITY * math.pi * RADIUS**2 * SPEED, rel=0.03)


@pytest.mark.parametrize("count", [7, 10])
def test_what_leaves_in_a_control_step_fills_its_cylinder_evenly(count):
    scene, world = jet(capacity=100 * count, count=count)
    offsets = scene.emitters["jet"].offsets
    length = SPEED * world.dt
    for part in offsets.reshape(100, count, 3):
        middles = -length * (np.arange(count) + 0.5) / count  # in the middle of as many slices
        np.testing.assert_allclose(np.sort(part[:, 2])[::-1], middles, rtol=0, atol=1e-15)
    radius2 = (offsets[:, :2] ** 2).sum(1)
    assert radius2.max() <= RADIUS**2
    # r^2 is uniform on [0, R^2], drawn from `count` strata: its mean is R^2 / 2, within four standard deviations
    deviation = RADIUS**2 / count / math.sqrt(12 * 100 * count)
    assert abs(radius2.mean() - RADIUS**2 / 2) < 4 * deviation
    # and all around: the mean of x and of y is zero, its deviation that of R / 2 / sqrt(n)
    assert np.abs(offsets[:, :2].mean(0)).max() < 4 * RADIUS / 2 / math.sqrt(100 * count)
    assert abs(np.corrcoef(radius2, offsets[:, 2])[0, 1]) < 4 / math.sqrt(100 * count)  # nor is it a cone


def test_a_twisting_spout_hurls_each_particle():
    """x = p + R o and v = R (0, 0, -speed) + V + omega x (R o), of each particle that comes out, in each world."""
    scene, world = jet(worlds=2)
    random = np.random.default_rng(0)
    axis, angle = random.normal(size=3), 0.7
    axis /= np.linalg.norm(axis)
    K = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    R = np.eye(3) + math.sin(angle) * K + (1 - math.cos(angle)) * K @ K  # Rodrigues
    state = world.initial_state()
    pose = state.body_q.clone()
    pose[1, 0, 3:] = torch.tensor([*(math.sin(angle / 2) * axis), math.cos(angle / 2)])
    twist = torch.as_tensor(random.normal(size=(2, 1, 6)))
    state = world.particles.enter(state.replace(body_q=pose), Control(twist))
    offsets = scene.emitters["jet"].offsets[:10]
    for row, turn in ((0, np.eye(3)), (1, R)):
        V, omega = twist[row, 0, :3].numpy(), twist[row, 0, 3:].numpy()
        arm = offsets @ turn.T
        place = np.array([0.15, 0.15, 0.35]) + arm
        speed = turn @ [0.0, 0.0, -SPEED] + V + np.cross(omega, arm)
        np.testing.assert_allclose(state.x[row, :10].numpy(), place, rtol=0, atol=1e-14)
        np.testing.assert_allclose(state.v[row, :10].numpy(), speed, rtol=0, atol=1e-13)
    assert state.active.sum(1).tolist() == [10, 10] and not state.v[:, 10:].any()


def test_flow_through_a_plane_below_the_spout():
    # what the jet carries past a plane, long after it has got there; without gravity it keeps its speed
    _scene, world = jet(capacity=1000, count=20)
    state = run(world, 20)
    crossed = []
    for _ in range(20):
        crossed.append(float((world.volume * state.active * (state.x[..., 2] < 0.32)).sum() * DENSITY))
        state = run(world, 1, state=state)
    rate = (crossed[-1] - crossed[0]) / (19 * world.dt)
    expected = DENSITY * math.pi * RADIUS**2 * SPEED
    print(f"\nmeasured {rate:.4f} kg/s across a plane, expected {expected:.4f} kg/s")
    assert rate == pytest.approx(expected, rel=0.03)


def test_jet_is_a_cylinder_that_moves_with_the_spout():
    _scene, world = jet()
    twist = torch.tensor([[[0.3, 0.0, 0.0, 0.0, 0.0, 0.0]]], dtype=torch.float64)
    state = run(world, 1, twist)
    new = state.x[0, state.active[0]]
    centre = new[:, :2] - torch.tensor([0.15 + 0.3 * world.dt, 0.15], dtype=torch.float64)
    assert float(centre.norm(dim=1).max()) <= RADIUS * 1.05
    assert float(new[:, 2].max()) <= 0.35
    velocity = torch.tensor([0.3, 0.0, -SPEED], dtype=torch.float64)
    torch.testing.assert_close(state.v[0, state.active[0]].mean(0), velocity, rtol=0, atol=0.02)


def test_emitter_stops_when_empty_and_when_closed():
    _scene, world = jet(worlds=2, capacity=35)
    gates = torch.tensor([[True], [False]])
    state = run(world, 6, emit=gates)
    assert state.active.sum(1).tolist() == [35, 0]
    assert state.emitted[:, 0].tolist() == [35, 0]
    assert torch.equal(state.x[1], world.initial_state().x[1])


def test_collector_takes_out_what_enters():
    scene, _ = jet()
    scene.add_collector("drain", (0.0, 0.0, 0.0), (0.3, 0.3, 0.3))
    world = World(scene, 1, dtype=torch.float64)
    state = run(world, 30)
    left = state.x[0, state.active[0]]
    gone = int(state.emitted) - len(left)
    assert gone > 100 and len(left) > 50
    assert float(left[:, 2].min()) >= 0.3
    again = world.step(state, Control(world.zero_control().twist, torch.zeros(1, 1, dtype=torch.bool)))
    parked = ~state.active[0]
    assert torch.equal(again.x[0, parked], state.x[0, parked])  # what is out stays where it was taken out


def test_a_collector_takes_what_is_in_its_box_and_nothing_else():
    """A particle in the middle of a box, and one a hair beyond each of its six faces, at rest without weight."""
    lower, upper, middle = np.array([0.1, 0.12, 0.2]), np.array([0.14, 0.2, 0.26]), np.array([0.12, 0.16, 0.23])
    scene = Scene((0.3, 0.3, 0.4), 0.02, 4.0e-4, 10, gravity=(0.0, 0.0, 0.0))
    scene.add_material("liquid", Liquid(DENSITY, 4.0e4, 0.5))
    points = [middle]
    for axis in range(3):
        for corner, side in ((lower, -1e-3), (upper, 1e-3)):
            points.append(middle.copy())
            points[-1][axis] = corner[axis] + side
    scene.add_particles("p", "liquid", np.array(points), 1e-9)
    scene.add_collector("drain", lower, upper)
    world = World(scene, 1, dtype=torch.float64)
    assert run(world, 1).active[0].tolist() == [False] + [True] * 6


def test_particles_are_not_emitted_onto_each_other():
    _scene, world = jet(count=20)
    state = run(world, 10)
    x = state.x[0, state.active[0]].numpy()
    spacing = float(world.volume[0, 0]) ** (1 / 3)
    distances = np.linalg.norm(x[:, None] - x[None], axis=-1) + np.eye(len(x))
    assert np.median(distances.min(1)) > 0.3 * spacing
