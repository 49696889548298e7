# SPDX-License-Identifier: Apache-2.0
"""Liquids with a moving free surface: the dam break of Martin and Moyce, and the first sloshing mode of a tank."""

from __future__ import annotations

import numpy as np
import torch

from simenv.physics.mpm.materials import Liquid
from simenv.world import Scene, World
from tests.verification.cases.base import (
    GRAVITY,
    LEFT,
    RIGHT,
    Case,
    Outcome,
    fitted_frequency,
    hydrostatic_ratio,
    node_wall,
    step_count,
)  # fmt: skip
from tests.verification.worlds import lattice

DENSITY = 1000.0
BASE = 0.05715  # width a of the column [m], 2.25 inches
TANK, DEPTH, AMPLITUDE = 0.2, 0.1, 0.002  # sloshing: length, depth and height of the wave [m]
# Martin and Moyce (1952): T = t sqrt(2 g / a), front Z = z / a, for a column twice as high as wide (n^2 = 2)
MARTIN_MOYCE = np.array(
    [(0.849, 1.245), (1.212, 1.443), (1.602, 1.884), (2.283, 2.689), (2.950, 3.728), (3.598, 4.528)]
)


def slab(cells: int, length: float, lower, upper, duration: float, sound: float, size: tuple[float, float]):
    """Scene with a block of water, two cells thick, on a floor without slip beside a slippery wall at x = 0.

    Args:
        cells: over `length` [m]; lower, upper: corners (x, z) of the block, from the foot of the wall [m].
        duration: of the run that is planned [s]; sound: speed of sound [m/s]; size: of the domain (x, z) [m].

    Returns:
        Scene, control steps, positions relative to the foot of the wall (P, 3) [m], and where that is (3,) [m].
    """
    dx = length / cells
    steps, substeps = step_count(duration, duration / 100, 0.35 * dx / sound)
    extent = (size[0] + 4 * dx, 2 * dx, size[1] + 4 * dx)
    scene = Scene(extent, dx, duration / steps / substeps, substeps, boundary="slip")
    scene.add_material("water", Liquid(DENSITY, DENSITY * sound**2, 0.0))
    corner = np.array([1.5 * dx, 0.0, 1.5 * dx])
    points = lattice(np.array([*lower]) + corner, np.array([upper[0], 2 * dx, upper[1]]) + corner, dx / 2)
    scene.add_particles("water", "water", points, (dx / 2) ** 3)
    node_wall(scene, "floor", corner, stick=True)
    node_wall(scene, "left", corner, RIGHT)
    return scene, steps, points - corner, corner


def pressure_at_release(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Pressure [Pa] of the incompressible column in the moment when its gate is gone.

    It is harmonic, vanishes at the top and at the gate, and balances gravity at the floor. Starting from rho g (h - z)
    instead would let compressed liquid burst through the gate, at about g h / c.
    """
    pressure = np.zeros_like(x)
    for n in range(200):
        k = (n + 0.5) * np.pi / BASE
        profile = (np.exp(-k * z) - np.exp(-k * (4 * BASE - z))) / (1 + np.exp(-4 * k * BASE))  # sinh / cosh
        pressure += DENSITY * GRAVITY * 2 * (-1) ** n / (k**2 * BASE) * np.cos(k * x) * profile
    return pressure


def dam_break(cells: int) -> Outcome:
    """Front of a column that collapses on a dry bed; `cells` over its width."""
    unit = (BASE / (2 * GRAVITY)) ** 0.5  # of time [s]
    sound = 10 * (2 * GRAVITY * 2 * BASE) ** 0.5
    scene, steps, local, corner = slab(
        cells, BASE, (0, 0, 0), (BASE, 2 * BASE), 3.7 * unit, sound, (6 * BASE, 2.2 * BASE)
    )
    world = World(scene, 1)
    state = world.initial_state()
    ratio = 1 / (1 + pressure_at_release(local[:, 0], local[:, 2]) / (DENSITY * sound**2))
    state = state.replace(J=torch.as_tensor(ratio).float()[None])
    times, front = [0.0], [1.0]
    for step in range(1, steps + 1):
        state = world.step(state, world.zero_control())
        times.append(step * world.dt / unit)
        # the particle's place, and the quarter of a cell that it stands for
        front.append((float(state.x[0, :, 0].max()) + 0.25 * scene.dx - corner[0]) / BASE)
    assert int(state.status) == 0
    z = np.interp(MARTIN_MOYCE[:, 0], times, front)
    error = float(np.sqrt(np.mean((z / MARTIN_MOYCE[:, 1] - 1) ** 2)))
    curves = {"front": (np.asarray(times), np.asarray(front)), "reference: Martin and Moyce": tuple(MARTIN_MOYCE.T)}
    return Outcome({"front position, RMS": error}, curves)


def sloshing(cells: int) -> Outcome:
    """First mode of a tank, started with the velocity of a linear wave (Lamb 1932, 228); `cells` over the depth."""
    k = np.pi / TANK
    omega = (GRAVITY * k * np.tanh(k * DEPTH)) ** 0.5
    period = 2 * np.pi / omega
    sound = 10 * (GRAVITY * DEPTH) ** 0.5
    size = (TANK, 1.3 * DEPTH)
    scene, steps, local, corner = slab(cells, DEPTH, (0, 0, 0), (TANK, DEPTH), 2 * period, sound, size)
    node_wall(scene, "right", corner + np.array([TANK, 0, 0]), LEFT)
    world = World(scene, 1)
    state = world.initial_state()
    x, z = local[:, 0], local[:, 2]
    wave = AMPLITUDE * omega / np.sinh(k * DEPTH)
    v = np.stack([wave * np.cosh(k * z) * np.sin(k * x), 0 * x, -wave * np.sinh(k * z) * np.cos(k * x)], -1)
    ratio = hydrostatic_ratio(DEPTH - z, DENSITY, DENSITY * sound**2)
    state = state.replace(v=torch.as_tensor(v).float()[None], J=torch.as_tensor(ratio).float()[None])
    start = float(state.x[0, :, 0].double().mean())
    times, moved = [], []
    for step in range(1, steps + 1):
        state = world.step(state, world.zero_control())
        times.append(step * world.dt)
        moved.append(float(state.x[0, :, 0].double().mean()) - start)
    assert int(state.status) == 0
    found = 2 * np.pi * fitted_frequency(np.asarray(times), np.asarray(moved), omega / (2 * np.pi))
    curves = {
        "middle of mass": (np.asarray(times) / period, np.asarray(moved) / np.max(moved)),
        "reference": (np.asarray(times) / period, np.sin(omega * np.asarray(times))),
    }
    return Outcome({"omega": abs(found / omega - 1)}, curves, {"omega [rad/s]": found, "reference [rad/s]": omega})


CASES = (
    Case(
        "dam_break",
        "Dam break",
        "front position over time of a column twice as high as wide",
        f"A column {BASE} m wide, two cells thick between slippery walls, on a floor without slip; no viscosity; speed "
        "of sound 10 sqrt(2 g h); released with the pressure that the incompressible column has without its gate.",
        "Martin and Moyce (1952), n^2 = 2",
        dam_break,
        (8, 16, 32),
        16,
        "cells over the width",
        {"front position, RMS": 0.10},
        ("t sqrt(2 g / a)", "z / a"),
        {
            "front position, RMS": "The front does not converge to the experiment: on the finest grid it runs ahead of "
            "it, as inviscid solutions do (a bed and a gate hold the experiment back), and the small error of the "
            "middle resolution is probably that of effects which cancel. A floor without slip is in use already."
        },
    ),
    Case(
        "sloshing",
        "Sloshing in a tank, first mode",
        "omega^2 = g k tanh(k h), k = pi / L",
        f"A tank {TANK} m long, {DEPTH} m deep, between slippery walls, with a wave of {1000 * AMPLITUDE:g} mm; two "
        "periods, frequency of a fitted damped cosine.",
        "Lamb (1932), section 228",
        sloshing,
        (8, 16, 32),
        16,
        "cells over the depth",
        {"omega": 0.05},
        ("t / T", "middle of mass, relative"),
    ),
)
