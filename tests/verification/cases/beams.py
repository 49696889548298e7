# SPDX-License-Identifier: Apache-2.0
"""Elastic beams: the longitudinal vibration of a bar, and the deflection of a cantilever under its own weight."""

from __future__ import annotations

import numpy as np
import torch

from simenv.physics.mpm.materials import Elastic
from simenv.world import Scene, World
from tests.verification.cases.base import RIGHT, Case, Outcome, fitted_frequency, node_wall
from tests.verification.worlds import lattice

DENSITY, YOUNG = 1000.0, 1.0e5
SPEED = (YOUNG / DENSITY) ** 0.5  # of longitudinal waves in a bar [m/s]
BAR = 0.2  # length [m]
SLENDERNESS = 10  # cantilever: length over height
HEIGHT = 0.02  # of the cantilever [m]
SHEAR = 5 / 6  # Timoshenko's coefficient of a rectangle without lateral contraction, (10 + 10 nu) / (12 + 11 nu)
EMBEDDED = 2.5  # cells of the beam inside its clamp


def beam(
    length: float, dx: float, height: int, width: int, substep: float, substeps: int, gravity: float
) -> tuple[World, np.ndarray]:
    """A beam along x, `height` by `width` cells thick, clamped at x = 0, and the places of its particles [m].

    It continues into the clamp, as a beam in a vice.
    """
    extent = (length + 8 * dx, (width + 4) * dx, (3 * height + 4) * dx)
    origin = (-3.5 * dx, -2 * dx, -(2 * height + 2) * dx)  # nodes stand half a cell off the clamp
    scene = Scene(extent, dx, substep, substeps, (0.0, 0.0, -gravity), origin)
    scene.add_material("rubber", Elastic(DENSITY, YOUNG, 0.0))
    points = lattice((-EMBEDDED * dx, 0, 0), (length, width * dx, height * dx), dx / 2)
    scene.add_particles("beam", "rubber", points, (dx / 2) ** 3)
    node_wall(scene, "clamp", (0.0, 0.0, 0.0), RIGHT, stick=True)
    return World(scene, 1, dtype=torch.float64), points


def bar(cells: int) -> Outcome:
    """First longitudinal mode of a bar, clamped at one end; `cells` over its length."""
    dx = BAR / cells
    exact = SPEED / (4 * BAR)
    substep = 0.3 * dx / SPEED
    substeps = int(np.ceil(0.02 / exact / substep))
    world, points = beam(BAR, dx, 2, 2, 0.02 / exact / substeps, substeps, 0.0)
    state = world.initial_state()
    k = np.pi / (2 * BAR)
    v, C = torch.zeros_like(state.v), torch.zeros_like(state.C)
    x = torch.as_tensor(np.maximum(points[:, 0], 0.0))
    v[0, :, 0] = 1e-3 * SPEED * torch.sin(k * x)
    C[0, :, 0, 0] = 1e-3 * SPEED * k * torch.cos(k * x) * (x > 0)
    state = state.replace(v=v, C=C)
    start = state.x[0, :, 0].mean()
    times, moved = [], []
    for step in range(1, 151):  # three periods
        state = world.step(state, world.zero_control())
        times.append(step * world.dt)
        moved.append(float(state.x[0, :, 0].mean() - start) / BAR)
    assert int(state.status) == 0
    times, moved = np.asarray(times), np.asarray(moved)
    found = fitted_frequency(times, moved, exact)
    amplitude = moved.max()
    curves = {
        "middle of mass": (times * exact, moved / amplitude),
        "reference": (times * exact, np.sin(2 * np.pi * exact * times)),
    }
    return Outcome(
        {"frequency": abs(found / exact - 1)}, curves, {"frequency [Hz]": found, "sqrt(E / rho) / (4 L) [Hz]": exact}
    )


def cantilever(cells: int) -> Outcome:
    """Deflection of the free end under the beam's weight; `cells` over its height."""
    dx, length = HEIGHT / cells, SLENDERNESS * HEIGHT
    gravity = 0.1  # [m/s^2], so small that the deflection is about a hundredth of the length
    bending = DENSITY * gravity * length**4 * 12 / (8 * YOUNG * HEIGHT**2)  # rho g A L^4 / (8 E I)
    shear = DENSITY * gravity * length**2 / (2 * SHEAR * YOUNG / 2)  # rho g A L^2 / (2 kappa G A), G = E / 2
    omega = 3.516 * SPEED * HEIGHT / 12**0.5 / length**2  # of the first bending mode [1/s]
    substep = 0.4 * dx / SPEED
    substeps = int(np.ceil(0.05 / omega / substep))
    world, points = beam(length, dx, cells, 2, 0.05 / omega / substeps, substeps, gravity)
    keep = float(np.exp(-2 * omega * world.dt))  # critical damping of that mode: dynamic relaxation (Underwood 1983)
    state = world.initial_state()
    tip = torch.as_tensor(points[:, 0] > length - dx)
    times, deflections = [], []
    for step in range(1, 201):
        state = world.step(state, world.zero_control())
        state = state.replace(v=keep * state.v, C=keep * state.C)
        times.append(step * world.dt * omega)
        deflections.append(float((torch.as_tensor(points)[tip, 2] - state.x[0, tip, 2]).mean()))
    assert int(state.status) == 0
    place = points[tip.numpy(), 0].mean() / length  # the deflection is that of these particles, a little before the end
    # Euler-Bernoulli and shear deflection at x = place L
    u = place
    exact = bending * (u**4 - 4 * u**3 + 6 * u**2) / 3 + shear * (2 * u - u**2)
    found = deflections[-1]
    curves = {
        "measured": (np.asarray(times), np.asarray(deflections) / exact),
        "reference": (np.array([0, times[-1]]), np.ones(2)),
    }
    values = {"deflection / L": found / length, "share of shear in it": shear / (shear + bending)}
    return Outcome({"deflection": abs(found / exact - 1)}, curves, values)


CASES = (
    Case(
        "bar",
        "Longitudinal vibration of a bar",
        "f = sqrt(E / rho) / (4 L)",
        f"A bar {BAR} m long, 2 x 2 cells thick, clamped at one end, nu = 0; three periods of the first mode, float64.",
        "Rayleigh (1877), section 150",
        bar,
        (10, 20, 40),
        20,
        "cells over the length",
        {"frequency": 0.03},
        ("t f", "middle of mass, relative"),
    ),
    Case(
        "cantilever",
        "Cantilever under its own weight",
        "w = rho g A L^4 / (8 E I) + rho g A L^2 / (2 kappa G A)",
        f"Length over height {SLENDERNESS}, two cells wide, nu = 0, relaxed to rest with damping; at the free end.",
        "Timoshenko (1921)",
        cantilever,
        (4, 6, 8),
        4,
        "cells over the height",
        {"deflection": 0.05},
        ("omega t", "deflection over the exact one"),
    ),
)
