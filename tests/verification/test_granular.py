# SPDX-License-Identifier: Apache-2.0
"""Sand on a slope, against the friction of a rigid block, and the collapse of a column, against experiments.

The friction of the collapse is that of glass beads, which flow down slopes steeper than 20.9 degrees (Jop, Forterre and
Pouliquen 2006). The experiments of Lube et al. (2004) found the same run-out for four kinds of grains. The model does
not: with the friction of a slope of 30 degrees it falls short by three tenths (docs/materials.md).
"""

import math

import numpy as np
import pytest
import torch

from simenv.physics.mpm.materials import Sand
from simenv.world import Scene, World
from tests.verification.worlds import lattice

GRAVITY, DENSITY, YOUNG, POISSON = 9.81, 1500.0, 1.0e5, 0.2
DX, DT = 0.01, 4.0e-4


def friction_angle(slope: float) -> float:
    """The inverse of `Sand.slope_angle` [rad]."""
    return math.asin(3 * math.tan(slope) / (2 * math.sqrt(3) + math.tan(slope)))


def slide(slope, angle, cells=16, duration=0.6):
    """Times, mean velocities along a slope of `angle` [rad] of a layer of sand that yields at `slope` [rad].

    Its weight across the slope bears on it from the start: without that it bounces.
    """
    depth = cells * DX
    gravity = (GRAVITY * math.sin(angle), 0.0, -GRAVITY * math.cos(angle))
    boundary = ("periodic", "periodic", "stick")
    scene = Scene((3 * DX, 3 * DX, depth + 4 * DX), DX, DT, 50, gravity=gravity, boundary=boundary)
    scene.add_material("sand", Sand(DENSITY, YOUNG, POISSON, friction_angle(slope)))
    scene.add_particles("p", "sand", lattice((0, 0, 0), (3 * DX, 3 * DX, depth), DX / 2), (DX / 2) ** 3)
    world = World(scene, 1)
    state = world.initial_state()
    modulus = YOUNG * (1 - POISSON) / ((1 + POISSON) * (1 - 2 * POISSON))
    F = state.F.clone()
    F[..., 2, 2] = torch.exp(DENSITY * gravity[2] * (depth - state.x[..., 2]) / modulus)
    state = state.replace(F=F)
    times, speeds = [], []
    for step in range(round(duration / world.dt)):
        state = world.step(state, world.zero_control())
        times.append((step + 1) * world.dt)
        speeds.append(float(state.v[0, :, 0].mean()))
    assert (state.status == 0).all()
    return np.array(times), np.array(speeds)


@pytest.mark.parametrize("slope", [20.9, 30.0])
def test_sand_stays_on_a_flatter_slope(slope):
    _times, speeds = slide(math.radians(slope), math.radians(slope - 2.0))
    free = GRAVITY * math.sin(math.radians(slope)) * 0.6
    print(f"\nmeasured {speeds[-1]:.1e} m/s after 0.6 s; falling freely it has {free:.1f} m/s")
    assert abs(speeds[-1]) < 2e-3 * free


@pytest.mark.parametrize("slope", [20.9, 30.0])
@pytest.mark.parametrize("excess", [2.0, 5.0])
def test_sand_slides_down_a_steeper_slope_as_a_block(slope, excess):
    # g (sin(angle) - tan(slope) cos(angle)). The shear at the base is one cell wide, and so fast that the transfers'
    # viscosity slows the layer down more and more.
    angle = math.radians(slope + excess)
    times, speeds = slide(math.radians(slope), angle)
    window = (times > 0.1) & (times < 0.4)
    found = np.polyfit(times[window], speeds[window], 1)[0]
    expected = GRAVITY * (math.sin(angle) - math.tan(math.radians(slope)) * math.cos(angle))
    print(f"\nmeasured acceleration {found:.3f} m/s^2, {expected:.3f} for a block ({found / expected - 1:+.1%})")
    assert found == pytest.approx(expected, rel=0.15)


def collapse(aspect, slope, cells=10, duration=0.8):
    """Radius that holds 99.5 % of a column after its collapse on a rough floor, over its first radius; mean speed."""
    dx = 0.1 / cells
    radius, height = cells * dx, aspect * cells * dx
    width = math.ceil(1.35 * (1 + 1.24 * aspect) * cells) * dx
    # a quarter of it, between two planes of symmetry
    scene = Scene((width, width, height + 4 * dx), dx, DT * dx / DX, 50, boundary=("slip", "slip", "stick"))
    scene.add_material("sand", Sand(DENSITY, YOUNG, POISSON, friction_angle(slope)))
    points = lattice((0, 0, 0), (radius, radius, height), dx / 2)
    scene.add_particles("p", "sand", points[np.hypot(points[:, 0], points[:, 1]) < radius], (dx / 2) ** 3)
    world = World(scene, 1)
    state = world.initial_state()
    for _ in range(round(duration / world.dt)):
        state = world.step(state, world.zero_control())
    assert (state.status == 0).all()
    reach = np.quantile(state.x[0, :, :2].double().norm(dim=1).numpy(), 0.995)
    return reach / radius, float(state.v.norm(dim=-1).mean())


@pytest.mark.parametrize(
    ("aspect", "cells"),
    [
        (0.5, 10),
        (1.0, 10),
        pytest.param(1.5, 10, marks=pytest.mark.slow),
        pytest.param(0.5, 16, marks=pytest.mark.slow),
    ],
)
def test_run_out_of_a_column(aspect, cells):
    # (r_inf - r_0) / r_0 = 1.24 a for a < 1.7 (Lube et al. 2004)
    reach, speed = collapse(aspect, math.radians(20.9), cells, 0.8 if aspect < 1.2 else 1.0)
    run_out, expected = reach - 1, 1.24 * aspect
    print(f"\nmeasured run-out {run_out:.3f}, {expected:.3f} in experiments ({run_out / expected - 1:+.1%})")
    assert speed < 5e-3
    assert run_out == pytest.approx(expected, rel=0.15)
