# SPDX-License-Identifier: Apache-2.0
"""Open walls: what crosses them is gone, and nothing comes back."""

import numpy as np
import pytest
import torch

from simenv.physics.mpm.materials import Liquid
from simenv.world import Scene, World
from tests.verification.worlds import lattice

DX, SPEED, LENGTH = 0.01, 1.0, 0.12


def jet(worlds=1, boundary=("outflow", "slip", "slip"), centre=0.08, speed=SPEED):
    """A free block of liquid, 12 cm long, that moves at 1 m/s towards the wall at x = 0.2 m."""
    scene = Scene((0.2, 0.08, 0.08), DX, 5.0e-4, 20, gravity=(0.0, 0.0, 0.0), boundary=boundary)
    scene.add_material("m", Liquid(1000.0, 2.0e4, 0.01))
    points = lattice((centre - LENGTH / 2, 0.0, 0.0), (centre + LENGTH / 2, 0.08, 0.08), DX / 2)
    scene.add_particles("p", "m", points, (DX / 2) ** 3, (speed, 0.0, 0.0))
    return World(scene, worlds)


def test_a_moving_block_leaves_at_its_speed():
    world = jet()
    state = world.initial_state()
    counts, momenta = [], []
    with torch.no_grad():
        for _ in range(20):  # 0.2 s
            state = world.step(state, world.zero_control())
            counts.append(int(state.active.sum()))
            momenta.append(float(state.v[state.active].mean(0)[0]) if counts[-1] else SPEED)
    assert (state.status == 0).all()
    gap = 0.2 - (0.08 + LENGTH / 2)
    times = world.dt * np.arange(1, 21)
    expected = world.particle_count * (1 - np.clip((SPEED * times - gap) / LENGTH, 0, 1))
    layer = world.particle_count * (DX / 2) / LENGTH
    print(f"\nmeasured: off by {np.abs(counts - expected).max() / layer:.2f} layers of particles")
    assert np.abs(np.array(counts) - expected).max() <= 2 * layer  # the free surface beyond the wall pulls a little
    assert counts[-1] == 0
    assert np.abs(np.array(momenta) - SPEED).max() < 0.05


def test_gone_is_gone_and_closed_walls_are_closed():
    world, closed = jet(), jet(boundary="slip")
    state, other = world.initial_state(), closed.initial_state()
    with torch.no_grad():
        for _ in range(10):
            before = state
            state, other = world.step(state, world.zero_control()), closed.step(other, closed.zero_control())
            assert not (state.active & ~before.active).any()
            gone = ~before.active
            assert torch.equal(state.x[gone], before.x[gone])
    assert bool(other.active.all()) and not bool(state.active.all())
    assert float(other.x[..., 0].max()) <= 0.2 + 1e-6


@pytest.mark.parametrize("side", [0, 1])
def test_walls_that_separate_let_go_and_hold(side):
    # a block that starts at a wall and moves away keeps its momentum; one that moves into the wall stays in the domain
    edge = (LENGTH / 2, 0.2 - LENGTH / 2)[side]
    away = (SPEED, -SPEED)[side]
    walls = ("separate", "slip", "slip")
    leaving, pressing = jet(boundary=walls, centre=edge, speed=away), jet(boundary=walls, centre=edge, speed=-away)
    state, other = leaving.initial_state(), pressing.initial_state()
    with torch.no_grad():
        for _ in range(4):  # 0.04 s, before the leaving one arrives on the other side
            state = leaving.step(state, leaving.zero_control())
            other = pressing.step(other, pressing.zero_control())
    assert (state.status == 0).all() and (other.status == 0).all()
    assert float(state.v[..., 0].mean()) == pytest.approx(away, rel=1e-4)
    beyond = (-other.x[..., 0], other.x[..., 0] - 0.2)[side]
    assert float(beyond.max()) <= 1e-6
    assert float(other.v[..., 0].mean()) * away > -0.5  # the wall has taken up half of its momentum or more


def test_an_unknown_boundary_is_named():
    with pytest.raises(ValueError, match=r"boundary = 'open'; use one of .*outflow"):
        jet(boundary="open")
