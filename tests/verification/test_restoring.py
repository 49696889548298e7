# SPDX-License-Identifier: Apache-2.0
"""What transfers take from a flow when it is given back (`Liquid(restore=...)`): the viscosity that is left, momentum,
and rest.
"""

import math

import numpy as np
import pytest
import torch

from simenv.physics.mpm.materials import Elastic, Liquid
from simenv.world import Scene, World
from tests.verification.worlds import angular_momentum, lattice, masses, momentum

DENSITY, BULK, CELLS = 1000.0, 4.0e4, 16  # [kg/m^3], [Pa]; cells of a wave


def shear(x: np.ndarray, k: float) -> tuple[np.ndarray, np.ndarray]:
    """Velocities (P, 3) and their gradients (P, 3, 3) of a shear wave along z."""
    v, C = np.zeros_like(x), np.zeros((len(x), 3, 3))
    v[:, 0], C[:, 0, 2] = np.sin(k * x[:, 2]), k * np.cos(k * x[:, 2])
    return v, C


def vortices(x: np.ndarray, k: float) -> tuple[np.ndarray, np.ndarray]:
    """The same of Taylor and Green's vortices in the plane (Taylor and Green 1937)."""
    v, C = np.zeros_like(x), np.zeros((len(x), 3, 3))
    cx, sx, cy, sy = np.cos(k * x[:, 0]), np.sin(k * x[:, 0]), np.cos(k * x[:, 1]), np.sin(k * x[:, 1])
    v[:, 0], v[:, 1] = cx * sy, -sx * cy
    C[:, 0, 0], C[:, 0, 1], C[:, 1, 0], C[:, 1, 1] = -k * sx * sy, k * cx * cy, -k * cx * cy, k * sx * sy
    return v, C


FLOWS = {"shear": (shear, 1.0, (4, 4, CELLS)), "vortices": (vortices, 2.0, (CELLS, CELLS, 4))}  # square of k over k^2


def effective_viscosity(flow: str, restore: float, dx: float = 0.01, dt: float = 6.67e-4, speed: float = 0.05) -> float:
    """What the decay of the flow's amplitude amounts to [Pa s], of a liquid without viscosity, over 0.3 s."""
    field, square, cells = FLOWS[flow]
    size = tuple(n * dx for n in cells)
    k = 2 * math.pi / (CELLS * dx)
    scene = Scene(size, dx, dt, 15, gravity=(0.0, 0.0, 0.0), boundary=("periodic",) * 3)
    scene.add_material("m", Liquid(DENSITY, BULK, restore=restore))
    points = lattice((0.0, 0.0, 0.0), size, dx / 2)
    v, C = field(points, k)
    scene.add_particles("p", "m", points, (dx / 2) ** 3, speed * v)
    world = World(scene, 1)
    state = world.initial_state()
    state = state.replace(C=torch.as_tensor(speed * C).float()[None])
    times, amplitudes = [], []
    for step in range(1, round(0.3 / world.dt) + 1):
        state = world.step(state, world.zero_control())
        mode = field(state.x[0].double().numpy(), k)[0]
        times.append(step * world.dt)
        amplitudes.append(float((state.v[0].double().numpy() * mode).sum() / (mode**2).sum()))
    assert (state.status == 0).all()
    return -float(np.polyfit(times, np.log(amplitudes), 1)[0]) * DENSITY / (square * k * k)


@pytest.mark.parametrize(
    ("flow", "speed", "left"),
    [("shear", 0.05, 0.1), pytest.param("vortices", 0.3, 0.2, marks=pytest.mark.slow)],
)
def test_viscosity_that_is_left(flow, speed, left):
    plain, restored = (effective_viscosity(flow, share, speed=speed) for share in (0.0, 0.95))
    print(f"\nmeasured {flow}: {plain:.3f} Pa s, restored {restored:.4f} Pa s, {restored / plain:.3f} of it")
    assert 0.0 < restored <= left * plain


def blob(restore: float, grid: str = "dense", worlds: int = 1) -> World:
    """Liquid that turns and shears, free of everything."""
    scene = Scene((0.12, 0.12, 0.12), 0.01, 4.0e-4, 25, gravity=(0.0, 0.0, 0.0), grid=grid)
    scene.add_material("m", Liquid(DENSITY, BULK, restore=restore))
    points = lattice((0.03, 0.03, 0.04), (0.09, 0.08, 0.08), 0.005)
    x = points - points.mean(0)
    v = np.stack([0.1 - 2.0 * x[:, 1], 2.0 * x[:, 0] + 60.0 * x[:, 2] ** 2, 40.0 * x[:, 0] * x[:, 1]], 1)
    scene.add_particles("p", "m", points, 0.005**3, v)
    return World(scene, worlds, dtype=torch.float64)


def test_momentum_stays():
    world = blob(1.0)
    state = world.initial_state()
    mass = masses(world, torch.tensor([DENSITY]))
    before = momentum(state, mass), angular_momentum(state, mass, 0.01)
    for _ in range(10):
        state = world.step(state, world.zero_control())
    assert (state.status == 0).all()
    torch.testing.assert_close(momentum(state, mass), before[0], rtol=0, atol=1e-13 * float(mass.sum()))
    torch.testing.assert_close(angular_momentum(state, mass, 0.01), before[1], rtol=0, atol=1e-13 * float(mass.sum()))


def test_a_sparse_grid_gives_the_same():
    ends = []
    for grid in ("dense", "sparse"):
        world = blob(0.9, grid)
        ends.append(world.step(world.initial_state(), world.zero_control()))
    torch.testing.assert_close(ends[0].v, ends[1].v, rtol=1e-12, atol=1e-14)


def test_a_pool_rests_as_still_as_without():
    """Speeds of a pool whose particles started out of order, 2 to 3 s later, of the liquid of `Pouring-v0`."""
    speeds = []
    for restore in (0.0, 0.95):
        scene = Scene((0.12, 0.06, 0.12), 0.01, 8e-4, 25, boundary=("slip",) * 3)
        scene.add_material("l", Liquid(DENSITY, 2.5e4, 0.05, restore=restore))
        points = lattice((0.0, 0.0, 0.0), (0.12, 0.06, 0.05), 0.005)
        points += 5e-4 * np.random.default_rng(0).normal(size=points.shape)
        scene.add_particles("l", "l", points.clip(1e-3, [0.119, 0.059, 1.0]), 0.005**3)
        world = World(scene, 1)
        state, squares = world.initial_state(), []
        for step in range(150):
            state = world.step(state, world.zero_control())
            if step >= 100:
                squares.append(float((state.v[0] ** 2).sum(1).mean()))
        assert (state.status == 0).all()
        speeds.append(np.sqrt(np.mean(squares)))
    print(f"\nmeasured {1e3 * speeds[0]:.2f} mm/s, restored {1e3 * speeds[1]:.2f} mm/s")
    assert speeds[1] <= 1.05 * speeds[0]


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"restore = 1.5; it is a share"):
        Liquid(DENSITY, BULK, restore=1.5)
    with pytest.raises(ValueError, match="one that is incompressible"):
        Liquid(DENSITY, incompressible=True, restore=0.9)
    scene = Scene((0.1, 0.1, 0.1), 0.01, 4.0e-4, 5)
    scene.add_material("l", Liquid(DENSITY, BULK, restore=0.9))
    scene.add_material("s", Elastic(DENSITY, 1.0e4, 0.3))
    points = lattice((0.04, 0.04, 0.04), (0.06, 0.06, 0.06), 0.005)
    scene.add_particles("p", "l", points, 0.005**3)
    with pytest.raises(ValueError, match=r"restore of the materials is l 0.9, s 0; .* leave it out"):
        World(scene, 1)
