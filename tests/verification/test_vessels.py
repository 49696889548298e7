# SPDX-License-Identifier: Apache-2.0
"""Vessels whose walls are thinner than a cell: they hold what is in them, weigh it, and let all of it go."""

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Cup
from simenv.physics.mpm.materials import Elastic, Liquid
from simenv.world import Control, Scene, World
from tests.verification.worlds import lattice, masses

DX, RADIUS, HEIGHT, WALL = 0.01, 0.04, 0.08, 0.004
GRAVITY = 9.81


def vessel(material, friction=0.2, turn=(0.0, 0.0, 0.0, 1.0), place=(0.1, 0.1, 0.1), top=0.05):
    """A filled cup on a hand, its wall and base 0.4 cells thick."""
    scene = Scene((0.2, 0.2, 0.22), DX, 8.0e-4, 25)
    scene.add_material("m", material)
    spacing = DX / 2
    points = lattice((-RADIUS, -RADIUS, WALL + spacing / 2), (RADIUS, RADIUS, top), spacing)
    points = points[np.hypot(points[:, 0], points[:, 1]) < RADIUS - spacing / 2]
    if turn[0]:
        points *= (1, 1, -1)
    scene.add_particles("p", "m", points + np.array(place), spacing**3)
    scene.add_body("hand", position=place, quaternion=turn)
    scene.add_collider("cup", Cup(RADIUS, HEIGHT, WALL, WALL), "hand", friction=friction, width=0.2 * DX)
    return World(scene, 1)


def settle(world, steps, twist=None):
    """State after `steps`, and the force on the cup in each of them (steps, 3) [N]."""
    state, forces = world.initial_state(), []
    control = Control(world.zero_control().twist if twist is None else twist)
    with torch.no_grad():
        for _ in range(steps):
            state = world.step(state, control)
            forces.append(state.wrench[0, 0, :3])
    assert (state.status == 0).all()
    return state, torch.stack(forces)


@pytest.mark.parametrize(
    "material", [Liquid(1000.0, 2.5e4, 0.01), Elastic(1000.0, 2.0e4, 0.3)], ids=["liquid", "elastic"]
)
def test_a_full_cup_weighs_what_is_in_it_and_does_not_leak(material):
    world = vessel(material)
    state, forces = settle(world, 80)
    weight = float(masses(world, torch.tensor([1000.0])).sum()) * GRAVITY
    force = forces[-40:].mean(0)
    x = state.x[0] - torch.tensor([0.1, 0.1, 0.1])
    print(f"\nmeasured {-float(force[2]) / weight - 1:+.1e} of the weight; lowest {float(x[:, 2].min()):.4f} m")
    assert -float(force[2]) == pytest.approx(weight, rel=0.01)
    assert float(force[:2].norm()) < 0.01 * weight
    # no particle has passed the middle of the wall or of the base
    assert float(x[:, :2].norm(dim=1).max()) < RADIUS + WALL / 2
    assert float(x[:, 2].min()) > WALL / 2


def test_a_moving_cup_takes_its_content_along():
    twist = torch.tensor([[[0.1, 0.0, 0.0, 0.0, 0.0, 0.0]]])
    world = vessel(Liquid(1000.0, 2.5e4, 0.01), place=(0.06, 0.1, 0.1))
    state, _ = settle(world, 40, twist)  # 0.8 s, 8 cm
    x = state.x[0] - state.body_q[0, 0, :3]
    assert float(x[:, :2].norm(dim=1).max()) < RADIUS + WALL / 2
    assert float(state.v[0, :, 0].mean()) == pytest.approx(0.1, rel=0.05)


def test_an_overturned_cup_empties():
    """Upside down all of it falls as a free body: a wall without friction has nothing to hold it by."""
    world = vessel(
        Liquid(1000.0, 2.5e4, 0.01), friction=0.0, turn=(1.0, 0.0, 0.0, 0.0), place=(0.1, 0.1, 0.2), top=0.03
    )
    before = world.initial_state().x
    state, _ = settle(world, 5)
    time = 5 * world.dt
    fallen = (before - state.x)[0, :, 2]
    print(f"\nmeasured {float(fallen.mean() / (0.5 * GRAVITY * time**2)):.3f} of free fall")
    assert float(fallen.mean()) == pytest.approx(0.5 * GRAVITY * time**2, rel=0.05)
