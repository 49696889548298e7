# SPDX-License-Identifier: Apache-2.0
"""Liquids with a yield stress between two walls, driven by a body force, against closed forms.

A liquid of density rho between walls at distance H, driven by the acceleration g along them, bears the shear stress
rho g |z| at the distance |z| from the middle. It is a rigid plug where that is below the yield stress, within

    h = tau_y / (rho g),

and elsewhere, with rate = ((rho g |z| - tau_y) / k)^(1/n), it lags behind the plug by

    u_max - u = n / (n + 1) (rho g / k)^(1/n) (|z| - h)^(1 + 1/n)

(Bird, Dai and Yarusso 1983). Transfers smear a kink of the profile over the length sqrt(rho dx^4 / (40 dt eta)), with
the viscosity eta at hand, see docs/verification.md: parameters are such that this is below a cell. The wall of a domain
lets a viscous liquid slip a little, as if it stood a quarter of a cell further out, whatever the liquid; profiles are
therefore compared as u_max - u, and the slip by itself.
"""

import numpy as np
import pytest

from simenv.physics.mpm.materials import Bingham, HerschelBulkley
from simenv.world import Scene, World
from tests.verification.worlds import lattice

DENSITY, BULK = 1000.0, 2.0e5
DX, DT = 0.02, 4.0e-4


def channel(material, acceleration, cells, duration, dx=DX, dt=DT):
    """World and last state of a channel that starts from rest."""
    height = cells * dx
    boundary = ("periodic", "periodic", "stick")
    scene = Scene((3 * dx, 3 * dx, height), dx, dt, 50, gravity=(acceleration, 0.0, 0.0), boundary=boundary)
    scene.add_material("m", material)
    points = lattice((0.0, 0.0, 0.0), (3 * dx, 3 * dx, height), dx / 2)
    scene.add_particles("p", "m", points, (dx / 2) ** 3)
    world = World(scene, 1)
    state = world.initial_state()
    for _ in range(round(duration / world.dt)):
        state = world.step(state, world.zero_control())
    assert (state.status == 0).all()
    assert float((state.J - 1).abs().max()) < 0.02
    return world, state


def layers(world, state):
    """Distance from the middle [m] and velocity [m/s], means over layers of half a cell."""
    height, dx = world.scene.size[2], world.scene.dx
    distance = np.abs(state.x[0, :, 2].double().numpy() - height / 2)
    velocity = state.v[0, :, 0].double().numpy()
    index = (distance / (dx / 2)).astype(int)
    count = np.bincount(index)
    return np.bincount(index, distance) / count, np.bincount(index, velocity) / count


@pytest.mark.parametrize(
    "viscosity",
    [
        100.0,
        # with its explicit stress, `Liquid` needs a substep 60 times shorter: 6 eta dt / (rho dx^2) = 60
        1.0e4,
    ],
)
def test_bingham_channel_has_a_plug_and_parabolas(viscosity):
    cells, acceleration = 20, 10.0
    half = cells * DX / 2
    yield_stress = DENSITY * acceleration * half / 2
    world, state = channel(Bingham(DENSITY, BULK, viscosity, yield_stress), acceleration, cells, 1.2)
    z, u = layers(world, state)
    plug = yield_stress / (DENSITY * acceleration)
    curvature = DENSITY * acceleration / (2 * viscosity)
    exact = curvature * np.clip(z - plug, 0, None) ** 2
    # sqrt(u_max - u) is a straight line that starts at the plug's edge
    sheared = (z > plug + DX) & (z < half - DX)
    slope, offset = np.polyfit(z[sheared], np.sqrt(u[0] - u[sheared]), 1)
    found = -offset / slope
    error = np.linalg.norm(u[0] - u - exact) / np.linalg.norm(exact)
    slip = (u[0] - curvature * (half - plug) ** 2) / (2 * curvature * (half - plug))  # velocity over rate at the wall
    rigid = np.ptp(u[z < plug - DX]) / u[0]
    print(
        f"\nmeasured plug {found / DX:.2f} cells, tau_y / (rho g) = {plug / DX:.2f}; profile off by {error:.1%}, "
        f"viscosity by {DENSITY * acceleration / (2 * slope**2) / viscosity - 1:+.1%}; plug rigid to {rigid:.1e}; "
        f"slip length {slip / DX:.2f} cells"
    )
    assert abs(found - plug) <= DX
    assert error <= 0.06
    assert rigid <= 1e-3
    assert abs(slip) <= 0.35 * DX


@pytest.mark.parametrize(("exponent", "consistency"), [(0.35, 500.0), (0.5, 500.0), (1.5, 60.0)])
def test_herschel_bulkley_channel_shows_its_exponent(exponent, consistency):
    cells, acceleration = 24, 5.0
    half = cells * DX / 2
    yield_stress = DENSITY * acceleration * half / 4
    material = HerschelBulkley(DENSITY, BULK, consistency, exponent, yield_stress)
    z, u = layers(*channel(material, acceleration, cells, 1.2))
    plug = yield_stress / (DENSITY * acceleration)
    lag = exponent / (exponent + 1) * (DENSITY * acceleration / consistency) ** (1 / exponent)
    lag = lag * np.clip(z - plug, 0, None) ** (1 + 1 / exponent)
    error = np.linalg.norm(u[0] - u - lag) / np.linalg.norm(lag)
    sheared = (z > plug + 2 * DX) & (z < half - DX)
    slope, _ = np.polyfit(np.log(z[sheared] - plug), np.log(u[0] - u[sheared]), 1)
    found = 1 / (slope - 1)
    print(f"\nmeasured exponent {found:.4f} for {exponent} ({found / exponent - 1:+.1%}), profile off by {error:.1%}")
    assert abs(found / exponent - 1) <= 0.05
    assert error <= 0.05


def test_liquid_below_its_yield_stress_is_at_rest():
    cells, acceleration = 20, 10.0
    height = cells * DX
    wall_stress = DENSITY * acceleration * height / 2
    world, state = channel(Bingham(DENSITY, BULK, 100.0, 1.05 * 2 * wall_stress), acceleration, cells, 1.0)
    moved = state.x[0, :, 0].double() - world.initial_state().x[0, :, 0].double()
    # switched on at once, the load moves an elastic layer by up to twice its static displacement rho g H^2 / (8 G)
    static = DENSITY * acceleration * height**2 / (8 * BULK)
    flowing = DENSITY * acceleration * height**2 / (8 * 100.0)  # what a Newtonian liquid moves in every second
    most = float(moved.max())
    print(f"\nmeasured {most / static:.2f} static displacements, {most / flowing:.1e} of a flow")
    assert 0.5 * static <= most <= 2.1 * static
    assert most < 0.01 * flowing
