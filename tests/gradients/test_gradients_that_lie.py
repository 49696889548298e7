# SPDX-License-Identifier: Apache-2.0
"""Where a correct gradient misleads: at the kink of a contact, and before the first touch (docs/gradients.md)."""

import pytest
import torch

from simenv.geometry.shapes import Plane, Sphere
from simenv.physics.mpm.materials import Elastic
from simenv.world import Control, Scene, World
from tests.gradients.scenes import DX, block

STEPS = 10


def drop_scene():
    """A soft block that touches a hard floor, without gravity: its first velocity leads away from it or into it."""
    scene = Scene((0.2, 0.2, 0.2), DX, 4.0e-4, 5, gravity=(0.0, 0.0, 0.0))
    scene.add_material("m", Elastic(1000.0, 4.0e4, 0.3))
    scene.add_particles("p", "m", block((0.08, 0.08, 0.03), (4, 4, 4)), (0.5 * DX) ** 3)
    scene.add_collider("floor", Plane(), position=(0.0, 0.0, 0.03))
    return scene


def height(speed):
    """Mean height at the end and its derivative, for first vertical velocities (N,) [m/s]."""
    world = World(drop_scene(), len(speed), dtype=torch.float64)
    state = world.initial_state()
    speed = speed.clone().requires_grad_()
    v = torch.cat([torch.zeros_like(state.v[..., :2]), speed[:, None, None].expand(-1, world.particle_count, 1)], -1)
    state = state.replace(v=v)
    for _ in range(STEPS):
        state = world.step(state, world.zero_control())
    assert (state.status == 0).all()
    result = state.x[..., 2].mean(1)
    return result.detach(), torch.autograd.grad(result.sum(), speed)[0]


def test_the_derivative_jumps_where_contact_begins():
    duration = STEPS * 5 * 4.0e-4
    speed = torch.tensor([-2e-3, -1e-3, 0.0, 1e-3, 2e-3], dtype=torch.float64)
    value, slope = height(speed)
    differences = (value[1:] - value[:-1]) / (speed[1:] - speed[:-1])
    print(f"\nmeasured dz/dv: {float(slope[4]):.5f} s away from the floor, {float(slope[0]):.5f} s into it")
    # each is right on its own side: away from the floor the block flies freely, dz/dv = t; into it, it is held back
    torch.testing.assert_close(differences[3], slope[3:].mean(), rtol=1e-5, atol=0)
    torch.testing.assert_close(differences[0], slope[:2].mean(), rtol=1e-4, atol=0)
    assert float(slope[3]) == pytest.approx(duration, rel=1e-6)
    assert abs(float(slope[1])) < 0.5 * duration
    # at the kink the reverse sweep gives the slope of one side, a central difference the mean of both
    assert min(abs(float(slope[2] - slope[1])), abs(float(slope[2] - slope[3]))) < 0.02 * duration
    central = float((value[3] - value[1]) / (speed[3] - speed[1]))
    assert abs(central - float(slope[1])) > 0.2 * duration
    assert abs(central - float(slope[3])) > 0.2 * duration


def test_before_the_first_touch_the_gradient_is_zero():
    scene = drop_scene()
    scene.add_body("hand", position=(0.02, 0.1, 0.05))
    scene.add_collider("ball", Sphere(0.02), "hand")
    world = World(scene, 2, dtype=torch.float64)
    speed = torch.tensor([0.5, 3.0], dtype=torch.float64, requires_grad=True)
    twist = torch.zeros(2, 1, 6, dtype=torch.float64)
    twist[:, 0, 0] = 1.0
    state = world.initial_state()
    for _ in range(STEPS):
        state = world.step(state, Control(twist * speed[:, None, None]))
    moved = state.x[..., 0].mean(1) - world.initial_state().x[..., 0].mean(1)
    (slope,) = torch.autograd.grad(moved.sum(), speed)
    assert moved[0] == 0 and slope[0] == 0  # too slow to arrive: no sign of where to go, however good the gradient
    assert moved[1] > 1e-3 and slope[1] > 0
