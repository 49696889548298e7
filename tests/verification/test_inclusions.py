# SPDX-License-Identifier: Apache-2.0
"""Inclusions: layers in series, a stiff ball under all-round pressure, and what must not change a bit."""

import numpy as np
import pytest
import torch

from simenv.physics.mpm.materials import Elastic
from simenv.world import Scene, State, World
from tests.verification.worlds import lattice

DENSITY, YOUNG, POISSON = 1000.0, 1.0e4, 0.3
LAMBDA = YOUNG * POISSON / ((1 + POISSON) * (1 - 2 * POISSON))  # Lame's constants [Pa]
MU = YOUNG / (2 * (1 + POISSON))
BULK, PRESSURE = LAMBDA + 2 * MU / 3, LAMBDA + 2 * MU  # bulk and P-wave modulus [Pa]
RATIO = 4.0  # stiffness of the inclusion
STRAIN = 1e-3  # so small that the law is linear to a thousandth
LARGE = 100.0  # radius of a ball whose surface is flat in a domain of centimetres [m]


def share(t):
    """The profile of an edge."""
    t = np.clip(t, 0.0, 1.0)
    return t**3 * (10.0 - 15.0 * t + 6.0 * t**2)


def periodic(size, dx: float) -> Scene:
    """A periodic box full of material, at rest."""
    substep = 0.3 * dx / (PRESSURE * RATIO / DENSITY) ** 0.5
    scene = Scene(size, dx, substep, round(0.01 / substep), (0.0, 0.0, 0.0), boundary="periodic")
    scene.add_material("gel", Elastic(DENSITY, YOUNG, POISSON))
    scene.add_particles("block", "gel", lattice((0.0, 0.0, 0.0), size, dx / 2), (dx / 2) ** 3)
    return scene


def relaxed(scene: Scene, strain, steps: int) -> State:
    """The state at rest of material whose mean strain, diag(strain), cannot change: its period is the domain's.

    Damped as the slowest wave wants it (Underwood 1983).
    """
    world = scene.make_world(1, dtype=torch.float64)
    state = world.initial_state()
    state = state.replace(F=state.F + torch.diag(torch.as_tensor(strain, dtype=torch.float64)))
    slowest = np.pi / max(scene.size) * (PRESSURE / DENSITY) ** 0.5
    keep = float(np.exp(-2.0 * slowest * world.dt))
    for _ in range(steps):
        state = world.step(state, world.zero_control())
        state = state.replace(v=keep * state.v, C=keep * state.C)
    assert int(state.status) == 0
    return state


@pytest.mark.parametrize("cells", [16, 32])
def test_layers_in_series_have_the_harmonic_mean_of_their_moduli(cells):
    """Under uniaxial strain e, sigma = e / mean(1 / M), M the P-wave modulus along z; between a soft layer and a stiff
    one lie edges an eighth of the period thick. The layer is what one of two balls 100 m in radius, s and 1 / s times
    as stiff, has alone: factors multiply.

    The grid shows strain as a mean over a cell. Where M changes within it, the cell's stress is mean(M) times that, as
    in parallel, instead of the mean of 1 / M, as in series: the tolerance is what this makes of the mean.
    """
    height = 0.08
    dx = height / cells
    edge = height / 8
    scene = periodic((2 * dx, 2 * dx, height), dx)
    for name, top, ratio in (("upper", 0.75, RATIO), ("lower", 0.25, 1.0 / RATIO)):
        scene.add_inclusion(name, "block", (dx, dx, top * height - LARGE), LARGE, ratio, edge)

    def factor(z):
        upper, lower = (share((place * height - z) / edge + 0.5) for place in (0.75, 0.25))
        return (1.0 + (RATIO - 1.0) * upper) * (1.0 + (1.0 / RATIO - 1.0) * lower)

    state = relaxed(scene, (0.0, 0.0, -STRAIN), 40)
    z = scene.particles["block"].positions[:, 2]
    stress = np.mean(PRESSURE * factor(z) * (state.F[0, :, 2, 2].numpy() - 1.0))
    fine = (np.arange(4000) + 0.5) / 4000 * height
    exact = -PRESSURE * STRAIN / np.mean(1.0 / factor(fine))
    over = np.mean([factor((fine + s * dx) % height) for s in np.linspace(-0.5, 0.5, 21)], axis=0)
    tolerance = np.mean(1.0 / factor(fine)) / np.mean(1.0 / over) - 1.0 + STRAIN
    assert tolerance < 0.03
    assert abs(stress / exact - 1.0) < tolerance


def strain_in_a_ball(radius: float, edge: float, outer: float) -> float:
    """Strain in the middle of a ball over the mean strain of the sphere of radius `outer` around it, by integrating
    the equilibrium of a sphere, sigma_r' + 2 (sigma_r - sigma_t) / r = 0 (Love 1944, section 98).
    """

    def slope(r, u, stress):
        factor = 1.0 + (RATIO - 1.0) * share((radius - r) / edge + 0.5)
        lam, mu = LAMBDA * factor, MU * factor
        du = (stress - 2.0 * lam * u / r) / (lam + 2.0 * mu)
        return np.array([du, -2.0 * (stress - lam * du - 2.0 * (lam + mu) * u / r) / r])

    count = 4000
    step = outer / count
    y = np.array([step, 3.0 * BULK * RATIO])  # u = r and its stress, where the ball is uniform
    for index in range(1, count):
        r = index * step
        a = slope(r, *y)
        b = slope(r + step / 2, *(y + step / 2 * a))
        c = slope(r + step / 2, *(y + step / 2 * b))
        y = y + step / 6 * (a + 2 * b + 2 * c + slope(r + step, *(y + step * c)))
    return outer / y[0]


def test_the_equilibrium_of_a_ball_is_eshelbys():
    """A ball with a sharp edge in a large body: (3 K + 4 mu) / (3 s K + 4 mu) (Eshelby 1957)."""
    eshelby = (3 * BULK + 4 * MU) / (3 * RATIO * BULK + 4 * MU)
    assert strain_in_a_ball(1.0, 0.01, 20.0) == pytest.approx(eshelby, rel=2e-3)


@pytest.mark.parametrize(("cells", "steps"), [(2, 40), pytest.param(3, 100, marks=pytest.mark.slow)])
def test_strain_in_a_stiff_ball_is_what_eshelby_says(cells, steps):
    """A cubic lattice of stiff balls, 6.5 % of the volume, under mean strain -e along all axes.

    By symmetry each is nearly a sphere in a sphere of the volume of its cell, which is exact up to terms of order
    (volume fraction)^(10/3) = 1e-4 (Sangani and Lu 1987). The transfers are of second order: strain that varies over
    the radius a is seen with an error of about (dx / a)^2 / 8, half a quadratic spline's variance.
    """
    radius = 0.02
    dx, side = radius / cells, 4 * radius
    scene = periodic((side,) * 3, dx)
    scene.add_inclusion("ball", "block", (side / 2,) * 3, radius, RATIO, radius / 2)
    state = relaxed(scene, (-STRAIN,) * 3, steps)
    rest = scene.particles["block"].positions - side / 2
    inside = np.linalg.norm(rest, axis=1) < 0.6 * radius
    strain = (state.F[0, inside].numpy() - np.eye(3)) / -STRAIN
    mean = np.trace(strain, axis1=1, axis2=2) / 3
    exact = strain_in_a_ball(radius, radius / 2, (3 / (4 * np.pi)) ** (1 / 3) * side)
    tolerance = (dx / radius) ** 2 / 8
    assert exact < 0.4  # of the mean strain: the ball is hard
    assert abs(mean.mean() / exact - 1.0) < tolerance


def pressed(young: float = YOUNG, stiffness: float | None = None, worlds: int = 1, radius: float = LARGE) -> World:
    """A cube thrown against the floor of its domain."""
    scene = Scene((0.12,) * 3, 0.02, 4e-4, 10)
    scene.add_material("gel", Elastic(DENSITY, young, POISSON))
    scene.add_particles("cube", "gel", lattice((0.03, 0.03, 0.0), (0.09, 0.09, 0.06), 0.01), 1e-6, (0.1, 0.0, -0.3))
    if stiffness is not None:
        scene.add_inclusion("lump", "cube", (0.06, 0.06, 0.03), radius, stiffness)
    return scene.make_world(worlds, dtype=torch.float64)


def played(world: World, steps: int = 10) -> State:
    state = world.initial_state()
    for _ in range(steps):
        state = world.step(state, world.zero_control())
    assert (state.status == 0).all()
    return state


def test_an_inclusion_as_stiff_as_its_surroundings_is_none():
    assert torch.equal(played(pressed(stiffness=1.0, radius=0.02)).x, played(pressed()).x)


def test_an_inclusion_around_all_is_another_material():
    torch.testing.assert_close(played(pressed(stiffness=3.0)).x, played(pressed(3.0 * YOUNG)).x, rtol=1e-12, atol=0.0)


def test_each_world_has_its_own_inclusion():
    """Bit for bit that of a world which is alone."""
    values = {
        "x": (0.05, 0.06, 0.07),
        "z": (0.03, 0.045, 0.02),
        "radius": (0.02, 0.015, 0.025),
        "stiffness": (2, 0.5, 5),
    }
    together = pressed(stiffness=2.0, radius=0.02, worlds=3)
    for name, numbers in values.items():
        together.parameters[f"cube.lump.{name}"] = list(numbers)
    state = played(together)
    for row in range(3):
        alone = pressed(stiffness=2.0, radius=0.02)
        for name, numbers in values.items():
            alone.parameters[f"cube.lump.{name}"] = numbers[row]
        assert torch.equal(played(alone).x[0], state.x[row])
    assert float((state.x[0] - state.x[1]).abs().max()) > 1e-4
