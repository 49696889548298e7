# SPDX-License-Identifier: Apache-2.0
"""Liquids against closed forms: the weight of a resting pool, the pressure in it, and the decay of a shear wave."""

import math

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Plane
from simenv.physics.mpm.materials import Liquid
from simenv.world import Scene, World
from tests.verification.worlds import lattice

GRAVITY, DENSITY = 9.81, 1000.0


def pool(dtype=torch.float32, width=0.12, depth=0.1, dx=0.02, viscosity=2.0):
    """A pool on a plane collider, between slippery walls of the domain, in hydrostatic equilibrium."""
    floor = 2 * dx
    scene = Scene((width, width, depth + floor + 0.06), dx, 4.0e-4, 50, boundary=("slip", "slip", "separate"))
    density, bulk = 1000.0, 4.0e4
    scene.add_material("liquid", Liquid(density, bulk, viscosity))
    points = lattice((0.0, 0.0, floor), (width, width, floor + depth), dx / 2)
    scene.add_particles("p", "liquid", points, (dx / 2) ** 3)
    scene.add_collider("floor", Plane(), position=(0.0, 0.0, floor))
    world = World(scene, 1, dtype=dtype)
    state = world.initial_state()
    head = floor + depth - state.x[..., 2]
    return world, state.replace(J=1 - density * GRAVITY * head / bulk), floor + depth


def test_resting_pool_weighs_what_it_weighs():
    world, state, _surface = pool()
    mass = float(world.volume.sum()) * 1000.0
    weights, depths = [], []
    for step in range(60):
        state = world.step(state, world.zero_control())
        if step >= 20:
            weights.append(-float(state.wrench[0, 0, 2]))
            depths.append(float(state.x[0, :, 2].mean()))
    assert (state.status == 0).all()
    error = np.mean(weights) / (mass * GRAVITY) - 1
    sideways = state.wrench[0, 0, :2].norm() / (mass * GRAVITY)
    print(f"\nmeasured weight {np.mean(weights):.4f} N, off by {error:+.2e}; sideways {sideways:.1e}")
    assert np.ptp(depths) < 1e-3  # it rests
    assert abs(error) <= 0.01
    assert sideways <= 0.01
    # the torque about the plane's origin is that of the weight at the pool's middle
    middle = state.x[0].mean(0)
    torque = torch.stack([-middle[1], middle[0]]) * mass * GRAVITY
    torch.testing.assert_close(state.wrench[0, 0, 3:5], torque, rtol=0.02, atol=0)


def test_pressure_grows_with_depth():
    # single particles scatter, as J is integrated for each of them; layers of one cell do not
    world, state, surface = pool()
    pressures, heights = [], []
    for step in range(60):
        state = world.step(state, world.zero_control())
        if step >= 20:
            pressures.append(4.0e4 * (1 / state.J[0] - 1))
            heights.append(state.x[0, :, 2])
    pressure, height = torch.stack(pressures).mean(0).double(), torch.stack(heights).mean(0).double()
    layer = ((height - 0.04) / 0.02).long().clamp(max=4)  # the floor is at 0.04 m, the surface at 0.14 m
    count = torch.bincount(layer)
    mean = torch.bincount(layer, pressure) / count
    exact = DENSITY * GRAVITY * (surface - torch.bincount(layer, height) / count)
    error = float((mean - exact).norm() / exact.norm())
    print(f"\nmeasured {mean.round().tolist()} Pa, rho g h {exact.round().tolist()} Pa: {error:.3f}")
    assert error <= 0.1


def decay_rate(viscosity, dt, cells, dx=0.02, duration=0.04):
    """Rate [1/s] at which v_x = V sin(k z) decays in a periodic slab, from a fit to its logarithm, and k [1/m]."""
    length = cells * dx
    k = 2 * math.pi / length
    scene = Scene((4 * dx, 4 * dx, length), dx, dt, 10, gravity=(0.0, 0.0, 0.0), boundary=("periodic",) * 3)
    scene.add_material("m", Liquid(DENSITY, 4.0e4, viscosity))
    points = lattice((0.0, 0.0, 0.0), (4 * dx, 4 * dx, length), dx / 2)
    velocity = np.zeros_like(points)
    velocity[:, 0] = 0.1 * np.sin(k * points[:, 2])
    scene.add_particles("p", "m", points, (dx / 2) ** 3, velocity)
    world = World(scene, 1, dtype=torch.float64)
    state = world.initial_state()
    C = torch.zeros_like(state.C)
    C[..., 0, 2] = 0.1 * k * torch.cos(k * state.x[..., 2])
    state = state.replace(C=C)
    times, amplitudes = [], []
    for step in range(1, round(duration / world.dt) + 1):
        state = world.step(state, world.zero_control())
        shape = torch.sin(k * state.x[0, :, 2])
        times.append(step * world.dt)
        amplitudes.append(float((state.v[0, :, 0] * shape).sum() / (shape * shape).sum()))
    assert (state.status == 0).all()
    return -np.polyfit(times, np.log(amplitudes), 1)[0], k


def numerical_rate(k, dx, dt):
    """What APIC itself takes from a wave, in the limit of many particles: its transfers with quadratic B-splines
    multiply the amplitude by W^2 + (2/dx)^2 (dW/dk)^2 with W = sinc^3(k dx / 2): 1 - (k dx)^4 / 40 for long waves.
    """
    return (k * dx) ** 4 / (40 * dt)


@pytest.mark.parametrize(("cells", "viscosity"), [(32, 100.0), (64, 20.0)])
def test_shear_wave_decays_with_the_viscosity(cells, viscosity):
    rate, k = decay_rate(viscosity, 4.0e-4, cells)
    halved, _ = decay_rate(viscosity, 2.0e-4, cells)
    expected = viscosity / DENSITY * k**2
    print(
        f"\nmeasured {viscosity} Pa s, {cells} cells: {rate:.4f}/s, nu k^2 = {expected:.4f}/s "
        f"({rate / expected - 1:+.2%}), halving dt {halved / rate - 1:+.2%}"
    )
    assert abs(rate / expected - 1) <= 0.05
    assert abs(halved / rate - 1) <= 0.02


@pytest.mark.parametrize("cells", [16, 32])
@pytest.mark.parametrize("dt", [4.0e-4, 2.0e-4])
def test_numerical_viscosity_is_that_of_the_scheme(cells, dt):
    rate, k = decay_rate(0.0, dt, cells)
    expected = numerical_rate(k, 0.02, dt)
    viscosity = rate / k**2 * DENSITY
    print(f"\nmeasured {rate:.4f}/s, (k dx)^4 / (40 dt) = {expected:.4f}/s, a viscosity of {viscosity:.2f} Pa s")
    assert rate == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("cells", "viscosity"), [(16, 5.0), (16, 20.0), (32, 2.0), (32, 20.0)])
def test_physical_and_numerical_viscosity_add_up(cells, viscosity):
    rate, k = decay_rate(viscosity, 4.0e-4, cells)
    expected = viscosity / DENSITY * k**2 + numerical_rate(k, 0.02, 4.0e-4)
    print(f"\nmeasured {rate / expected - 1:+.2%}")
    assert rate == pytest.approx(expected, rel=0.06)
