# SPDX-License-Identifier: Apache-2.0
"""A pool at rest: pressure over depth, kinetic energy, and the volume it has kept after ten seconds."""

from __future__ import annotations

import numpy as np
import torch

from simenv.physics.mpm.materials import Liquid
from simenv.world import Scene, World
from tests.verification.cases.base import GRAVITY, Case, Outcome, hydrostatic_ratio, node_wall, step_count
from tests.verification.worlds import lattice

DENSITY, DEPTH = 1000.0, 0.2
SOUND = 10 * (GRAVITY * DEPTH) ** 0.5  # [m/s]; ten times the speed of long waves
BULK = DENSITY * SOUND**2


def pool(cells: int, duration: float) -> tuple[World, torch.Tensor, float]:
    """World, its volume ratios in hydrostatic balance, and the height of the floor [m].

    Args:
        cells: of the depth.
        duration: of the run that is planned [s].
    """
    dx = DEPTH / cells
    steps, substeps = step_count(duration, 0.02, 0.3 * dx / SOUND)
    boundary = ("slip", "slip", "separate")
    scene = Scene((8 * dx, 4 * dx, DEPTH + 6 * dx), dx, duration / steps / substeps, substeps, boundary=boundary)
    scene.add_material("water", Liquid(DENSITY, BULK, 0.0))
    floor = 1.5 * dx
    points = lattice((0, 0, floor), (8 * dx, 4 * dx, floor + DEPTH), dx / 2)
    scene.add_particles("pool", "water", points, (dx / 2) ** 3)
    node_wall(scene, "floor", (0.0, 0.0, floor))
    head = floor + DEPTH - points[:, 2]
    return World(scene, 1), torch.as_tensor(hydrostatic_ratio(head, DENSITY, BULK)).float()[None], floor


def layers(pressure: torch.Tensor, height: torch.Tensor, cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means over layers of one cell: height over the floor [m], pressure, and rho g h there [Pa]."""
    layer = (height * cells / DEPTH).long().clamp(0, cells - 1)
    count = torch.bincount(layer, minlength=cells)
    z = torch.bincount(layer, height, cells) / count
    mean = torch.bincount(layer, pressure, cells) / count
    return z.numpy(), mean.numpy(), (DENSITY * GRAVITY * (DEPTH - z)).numpy()


def rest(cells: int, duration: float):
    """State after `duration`, with what `Outcome` needs: layers, kinetic energy, mean height."""
    world, ratio, floor = pool(cells, duration)
    state = world.initial_state().replace(J=ratio)
    start = float(state.x[0, :, 2].double().mean()) - floor
    energies, heights = [], []
    for _ in range(round(duration / world.dt)):
        state = world.step(state, world.zero_control())
        energies.append(0.5 * float((state.v[0].double() ** 2).sum(1).mean()) / (GRAVITY * DEPTH))
        heights.append((float(state.x[0, :, 2].double().mean()) - floor) / start)
    assert int(state.status) == 0
    pressure = BULK * (1 / state.J[0].double() - 1)
    return state, layers(pressure, state.x[0, :, 2].double() - floor, cells), energies, heights, world


def hydrostatic(cells: int) -> Outcome:
    """Pressure of layers of one cell after two seconds, and the largest kinetic energy in the last second."""
    _state, (z, pressure, exact), energies, _heights, _world = rest(cells, 2.0)
    errors = {
        "pressure": float(np.linalg.norm(pressure - exact) / np.linalg.norm(exact)),
        "kinetic energy / (rho g h V)": max(energies[len(energies) // 2 :]),
    }
    curves = {"measured": (pressure / (DENSITY * GRAVITY * DEPTH), z / DEPTH)}
    curves["reference"] = (np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    return Outcome(errors, curves)


def drift(cells: int) -> Outcome:
    """Change of the volume over ten seconds, by the height of the middle and by the particles' own volume ratios."""
    state, _layers, _energies, heights, world = rest(cells, 10.0)
    ratio = torch.as_tensor(pool(cells, 10.0)[1])
    volume = float(state.J.double().mean() / ratio.double().mean()) - 1
    times = world.dt * np.arange(1, len(heights) + 1)
    return Outcome(
        {"height of the middle": abs(heights[-1] - 1), "mean of J": abs(volume)},
        {"height of the middle": (times, np.asarray(heights) - 1)},
    )


CASES = (
    Case(
        "hydrostatic",
        "Hydrostatic pressure",
        "p = rho g (h - z)",
        f"A pool {DEPTH} m deep between slippery walls, 8 x 4 cells wide, 8 particles a cell, without viscosity, speed "
        "of sound 10 sqrt(g h), filled with the pressure of rest; 2 s. Means over layers of one cell.",
        "hydrostatics",
        hydrostatic,
        (5, 10, 20),
        10,
        "cells over the depth",
        {
            "pressure": 0.05,
            "kinetic energy / (rho g h V)": 1e-4,
        },
        ("p / (rho g h)", "z / h"),
    ),
    Case(
        "volume",
        "Volume of a resting pool",
        "V(10 s) = V(0)",
        "The same pool for 10 s. The volume it fills is that of twice the height of its middle; what its particles "
        "think is the mean of J.",
        "conservation of volume",
        drift,
        (5, 8, 12),
        5,
        "cells over the depth",
        {"height of the middle": 0.01, "mean of J": 0.01},
        ("t [s]", "change of the height"),
    ),
)
