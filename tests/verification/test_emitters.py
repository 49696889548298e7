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
    scene.add_body("spout", (0.15, 0.15, 0.35))
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
    _scene, world = jet(count=count)
    state = run(world, 15)
    mass = float((world.volume * state.active).sum() * DENSITY)
    expected = DENSITY * math.pi * RADIUS**2 * SPEED * 15 * world.dt
    print(f"\nmeasured {mass / (15 * world.dt):.6f} kg/s, rho pi r^2 v = {expected / (15 * world.dt):.6f} kg/s")
    assert mass == pytest.approx(expected, rel=1e-12)
    assert int(state.emitted) == 15 * count


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


def test_particles_are_not_emitted_onto_each_other():
    _scene, world = jet(count=20)
    state = run(world, 10)
    x = state.x[0, state.active[0]].numpy()
    spacing = float(world.volume[0, 0]) ** (1 / 3)
    distances = np.linalg.norm(x[:, None] - x[None], axis=-1) + np.eye(len(x))
    assert np.median(distances.min(1)) > 0.3 * spacing
