# SPDX-License-Identifier: Apache-2.0
"""Incompressible liquids with a free surface, in motion and at rest, against closed forms.

Sources: Taylor and Green 1937 (decay of a vortex); Lamb 1932, Hydrodynamics, sections 228 and 348 (standing waves).
"""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import minimum_filter
from scipy.optimize import curve_fit

from benchmarks.harness import filling
from simenv.physics.mpm.materials import Liquid
from simenv.world import Scene

DX = 0.01


def block(lower, upper, h=DX / 2):
    """A lattice (n, 3) that fills a box."""
    axes = [np.arange(a + h / 2, b, h) for a, b in zip(lower, upper, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


def world_of(size, x, velocity=(0.0, 0.0, 0.0), dt=0.005, ticks=4, viscosity=0.001, dtype=torch.float32, **scene):
    made = Scene(size=size, dx=DX, substep_dt=dt, substeps=ticks, **scene)
    made.add_material("water", Liquid(1000.0, viscosity=viscosity, incompressible=True))
    made.add_particles("water", "water", x, (DX / 2) ** 3, velocity=velocity)
    return made.make_world(1, dtype=dtype)


def run(world, duration, each=lambda state: None):
    """The state after a time, and what `each` says of every control step."""
    state, control, seen = world.initial_state(), world.zero_control(), []
    for _ in range(round(duration / world.dt)):
        state = world.step(state, control)
        assert int(state.status) == 0, world.parameters.explain(state.status, 0)
        seen.append(each(state))
    return state, seen


def filled(state, size):
    """What fills cells (nx, ny, nz)."""
    return filling.filled(state.x[0].double().numpy(), size, DX, (DX / 2) ** 3)


def volume(state, size):
    """By height map, where cells are half full, over that of all particles."""
    fill = filled(state, size)
    return filling.height(fill) * fill[..., 0].size / (state.x.shape[1] / 8)


def test_a_resting_pool_stays_and_has_the_pressure_of_its_depth():
    """p = rho g (depth), to the tolerance of the solve, wherever particles lie; nothing moves but what makes room: less
    than a tenth of what a tick of free fall would do.
    """
    size, depth = (0.08, 0.06, 0.12), 0.06
    world = world_of(size, block((0, 0, 0), (0.08, 0.06, depth)), dtype=torch.float64)
    state, _ = run(world, 0.2)
    assert float(state.v.abs().max()) < 0.1 * 9.81 * 0.005
    stepper = world.engine.program().steppers["particles"]
    work = stepper.liquid.work(0)
    n = work["window"].array.numpy()[0, 1]
    p = work["p"].tensor[0, : n[0] * n[1] * n[2]].view(*n.tolist()).numpy() * 1000.0 * DX / 0.005
    drop = p[..., 0] - p[..., 3]
    np.testing.assert_allclose(drop, 1000.0 * 9.81 * 3 * DX, rtol=1e-3)
    # zero where a fifth of a cell is filled, 0.44 cells above the surface
    np.testing.assert_allclose(p[..., 0], 1000.0 * 9.81 * (depth - 0.5 * DX + 0.436 * DX), rtol=0.02)


def test_what_flies_falls_freely():
    """No pressure acts before anything is touched: the centre of mass moves as a point, the midpoint rule is exact."""
    x = block((0.02, 0.02, 0.2), (0.05, 0.05, 0.23))
    world = world_of((0.1, 0.1, 0.3), x, (0.1, 0.05, 0.0), dtype=torch.float64)
    state, _ = run(world, 0.1)
    t, dt = 0.1, 0.005
    fall = -0.5 * 9.81 * t * (t + dt)  # of ticks that fall at their last speed
    moved = state.x[0].mean(0) - torch.tensor(x.mean(0))
    np.testing.assert_allclose(moved, [0.1 * t, 0.05 * t, fall], atol=0.02 * abs(fall))
    np.testing.assert_allclose(state.v[0].mean(0), [0.1, 0.05, -9.81 * t], rtol=1e-6)


@pytest.mark.parametrize("viscosity", [0.001, 1.0])
def test_a_vortex_between_walls_decays_by_its_viscosity(viscosity):
    """u ~ exp(-2 nu k^2 t). The grid adds less than 0.06 Pa s at 16 cells a wavelength, a tenth of what the weakly
    compressible liquid adds.
    """
    side, speed = 0.16, 0.2
    k = 2 * math.pi / side

    def mode(x):
        x, y, z = x.unbind(-1)
        shape = [torch.sin(k * x) * torch.cos(k * y), -torch.cos(k * x) * torch.sin(k * y), 0 * z]
        return torch.stack(shape, -1)

    x = block((0, 0, 0), (side, side, 0.03))
    velocity = speed * mode(torch.tensor(x)).numpy()
    world = world_of((side, side, 0.03), x, velocity, viscosity=viscosity, gravity=(0.0, 0.0, 0.0))

    def amplitude(state):
        shape = mode(state.x[0].double())
        return float((state.v[0] * shape).sum() / (shape * shape).sum())

    _, seen = run(world, 0.5, amplitude)
    times = world.dt * np.arange(1, len(seen) + 1)
    rate = -np.polyfit(times, np.log(seen), 1)[0]
    found = 1000.0 * rate / (2 * k**2)
    assert abs(found - viscosity) < 0.06, found


def test_a_standing_wave_has_its_period_and_hardly_decays():
    """omega^2 = g k tanh(k H); the splines between particles and grid smooth a wave of 16 cells by
    (sin(k dx / 2) / (k dx / 2))^6 = 0.96 in the square of its frequency, which leaves 3 % of the period for the time
    step, a twentieth of a radian. The decay is that of less than 0.06 Pa s: 2 nu k^2.
    """
    length, depth, amplitude = 0.16, 0.08, 0.05
    k = 2 * math.pi / length
    omega = math.sqrt(9.81 * k * math.tanh(k * depth))

    def mode(x):
        x, y, z = x.unbind(-1)
        return torch.stack([-torch.sin(k * x) * torch.cosh(k * z), 0 * y, torch.cos(k * x) * torch.sinh(k * z)], -1)

    x = block((0, 0, 0), (length, 0.04, depth))
    speed = 0.3 * amplitude * omega * depth / math.sinh(k * depth)
    world = world_of((length, 0.04, 0.14), x, speed * mode(torch.tensor(x)).numpy(), dt=0.0025, ticks=8)

    def part(state):
        shape = mode(state.x[0].double())
        return float((state.v[0] * shape).sum() / (shape * shape).sum()) / speed

    _, seen = run(world, 2.0, part)
    times = world.dt * np.arange(1, len(seen) + 1)

    def wave(t, size, decay, rate, phase):
        return size * np.exp(-decay * t) * np.cos(rate * t + phase)

    (_, decay, rate, _), _ = curve_fit(wave, times, seen, p0=(1.0, 0.1, omega, 0.0))
    assert abs(omega / rate - 1) < 0.05, omega / rate
    assert abs(decay) < 2 * 0.06 / 1000.0 * k**2, decay


@pytest.mark.parametrize("case", ["column", "dropped layer"])
def test_volume_is_kept_in_motion(case):
    """Of a column let go in a box, and of a layer that falls 4 cm: by height map, and by what fills cells away from
    the surface, 1.00 +- 0.015 once splashes have come down.
    """
    size = (0.12, 0.06, 0.30)
    x = block((0, 0, 0), (0.06, 0.06, 0.10)) if case == "column" else block((0, 0, 0.04), (0.12, 0.06, 0.09))
    world = world_of(size, x)
    state, seen = run(world, 3.0, lambda state: volume(state, size) if float(state.time) > 1.5 else 1.0)
    assert max(abs(each - 1) for each in seen) < 0.015, seen[-75:]
    fill = filled(state, size)
    deep = fill[minimum_filter(fill, 3, mode="nearest") > 0.85]
    assert abs(deep.mean() - 1) < 0.01
    assert deep.std() < 0.05


@pytest.mark.slow
def test_volume_and_energy_of_ten_seconds_of_sloshing():
    """A tilted pool: its volume is kept within 1.5 %, and its energy never exceeds that at the start by more than a
    hundredth of what can become motion.
    """
    size = (0.16, 0.04, 0.16)
    x = block((0, 0, 0), (0.16, 0.04, 0.12))
    x = x[x[:, 2] < 0.04 + 0.5 * x[:, 0]]
    world = world_of(size, x)

    def seen(state):
        energy = float((0.5 * (state.v**2).sum(-1) + 9.81 * state.x[..., 2]).mean())
        return volume(state, size), energy

    start = 9.81 * x[:, 2].mean()
    least = 9.81 * 0.5 * len(x) * (DX / 2) ** 3 / (0.16 * 0.04)
    _, found = run(world, 10.0, seen)
    volumes, energies = np.array(found[50:]).T
    assert np.abs(volumes - 1).max() < 0.015, np.abs(volumes - 1).max()
    assert (energies < start + 0.01 * (start - least)).all()
