# SPDX-License-Identifier: Apache-2.0
"""Contact against mechanics: Coulomb's angle of friction, the momentum balance of a wrench, and bodies that stick."""

import math

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Plane, Sphere
from simenv.physics.mpm.materials import Elastic, Liquid
from simenv.world import Control, Scene, World
from tests.verification.worlds import angular_momentum, lattice, masses, momentum

GRAVITY = 9.81


def incline(friction, degrees, stick=False):
    """Worlds with an elastic block at rest on a plane that is tilted about y, one for each angle."""
    dx, spacing = 0.02, 0.01
    scene = Scene((0.9, 0.16, 0.7), dx, 4.0e-4, 25)
    scene.add_material("block", Elastic(1000.0, 1.0e5, 0.3))
    size = np.array([0.10, 0.06, 0.06])
    points = lattice(-0.5 * size, 0.5 * size, spacing) + (0.0, 0.0, 0.5 * size[2])  # in the frame of the plane
    foot = np.array([0.2, 0.08, 0.45])
    scene.add_particles("block", "block", points + foot, spacing**3)
    scene.add_body("table", position=foot)
    scene.add_collider("plane", Plane(), "table", friction=friction, stick=stick)
    world = World(scene, len(degrees))
    state = world.initial_state()
    x, q = state.x.clone(), state.body_q.clone()
    for index, angle in enumerate(np.radians(degrees)):
        c, s = math.cos(angle), math.sin(angle)
        turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        x[index] = torch.as_tensor(points @ turn.T + foot)
        q[index, 0, 3:] = torch.tensor([0.0, math.sin(angle / 2), 0.0, math.cos(angle / 2)])
    return world, state.replace(x=x, body_q=q)


def slide(friction, degrees, steps=20, **kwargs):
    """Speed down the slope [m/s] after every control step, (T, N), and the duration of one [s]."""
    world, state = incline(friction, degrees, **kwargs)
    down = torch.tensor([[math.cos(a), 0.0, -math.sin(a)] for a in np.radians(degrees)])
    speeds = []
    for _ in range(steps):
        state = world.step(state, world.zero_control())
        speeds.append((state.v.mean(1) * down).sum(1))
    assert (state.status == 0).all()
    return torch.stack(speeds).numpy(), world.dt


@pytest.mark.parametrize("friction", [0.2, 0.4, 0.7])
def test_block_slides_exactly_where_the_slope_exceeds_the_friction(friction):
    critical = math.degrees(math.atan(friction))
    degrees = np.array([critical - 2.0, critical + 2.0])
    speeds, dt = slide(friction, degrees, steps=85)
    # put down with a small gap, the block rocks for a while before it rests or slides evenly
    acceleration = (speeds[-1] - speeds[9]) / (dt * (len(speeds) - 10))
    slope = np.radians(degrees)
    expected = GRAVITY * np.maximum(np.sin(slope) - friction * np.cos(slope), 0.0)
    print(
        f"\nmeasured friction {friction}, {critical:.1f} -+ 2 degrees: at the end {speeds[-1]} m/s, "
        f"acceleration of the steeper {acceleration[1]:.3f}, Coulomb {expected[1]:.3f} m/s^2"
    )
    assert abs(speeds[-10:, 0]).max() < 0.02, "it must come to rest where the slope is smaller"
    assert acceleration[1] == pytest.approx(expected[1], rel=0.2), "it must slide where the slope is greater"


def test_acceleration_down_a_steeper_slope():
    degrees = [20.0, 35.0, 50.0]
    speeds, dt = slide(0.3, degrees)
    acceleration = (speeds[-1] - speeds[9]) / (dt * (len(speeds) - 10))
    slope = np.radians(degrees)
    expected = GRAVITY * (np.sin(slope) - 0.3 * np.cos(slope))
    print(f"\nmeasured accelerations {acceleration}, Coulomb {expected} m/s^2")
    np.testing.assert_allclose(acceleration, expected, rtol=0.05)


def test_what_sticks_does_not_slide():
    speeds, _ = slide(0.0, [30.0, 60.0], stick=True)
    assert np.abs(speeds[-1]).max() < 0.02


def pushed_fluid(dtype=torch.float64, friction=0.3):
    """A ball moves and turns through a free liquid without gravity; one substep per control step."""
    scene = Scene((0.4, 0.3, 0.3), 0.02, 4.0e-4, 1, gravity=(0.0, 0.0, 0.0))
    scene.add_material("liquid", Liquid(1000.0, 4.0e4, 1.0))
    points = lattice((0.14, 0.09, 0.09), (0.26, 0.21, 0.21), 0.01)
    points = points[np.linalg.norm(points - (0.11, 0.15, 0.15), axis=1) > 0.041]
    scene.add_particles("p", "liquid", points, 1.0e-6)
    scene.add_body("hand", position=(0.11, 0.15, 0.15))
    scene.add_collider("ball", Sphere(0.04), "hand", friction=friction)
    world = World(scene, 1, dtype=dtype)
    twist = torch.tensor([[[1.0, 0.1, 0.0, 3.0, 0.0, 8.0]]], dtype=dtype)
    return world, Control(twist)


def test_action_is_minus_reaction():
    world, control = pushed_fluid()
    state = world.initial_state()
    mass = masses(world, world.parameters["liquid.density"])
    linear, angular = momentum(state, mass), angular_momentum(state, mass, 0.02)
    impulse, turn = torch.zeros(1, 3).double(), torch.zeros(1, 3).double()
    for _ in range(100):
        position = world.collider_poses(state)[:, 0, :3]
        state = world.step(state, control)
        force, torque = state.wrench[:, 0, :3], state.wrench[:, 0, 3:]
        impulse += world.dt * force
        turn += world.dt * (torque + torch.linalg.cross(position, force))
    assert (state.status == 0).all()
    gain = momentum(state, mass) - linear
    spin = angular_momentum(state, mass, 0.02) - angular
    error = float((gain + impulse).norm() / gain.norm())
    spin_error = float((spin + turn).norm() / spin.norm())
    print(f"\nmeasured: gain {gain.tolist()} kg m/s; balance of momentum {error:.1e}, of angular {spin_error:.1e}")
    assert float(gain.norm()) > 0.01
    assert error <= 1e-10
    assert spin_error <= 1e-10


def test_wrench_is_the_mean_over_the_control_step():
    world, control = pushed_fluid(friction=0.0)
    scene = world.scene
    state, forces = world.initial_state(), []
    for _ in range(10):
        state = world.step(state, control)
        forces.append(state.wrench[:, :, :3])
    scene.substeps = 10
    whole = World(scene, 1, dtype=torch.float64)
    after = whole.step(whole.initial_state(), control)
    torch.testing.assert_close(after.wrench[:, :, :3], torch.stack(forces).mean(0), rtol=1e-9, atol=1e-12)
