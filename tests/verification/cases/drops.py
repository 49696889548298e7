# SPDX-License-Identifier: Apache-2.0
"""Drops of an incompressible liquid with surface tension, without gravity: at rest, and stretched."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.optimize import curve_fit

from simenv.physics.mpm.materials import Liquid
from simenv.world import Scene, State, World
from tests.verification.cases.base import Case, Outcome

RADIUS, SIGMA, DENSITY, VISCOSITY = 0.008, 0.072, 1000.0, 0.001
SPEED = math.sqrt(SIGMA / (DENSITY * RADIUS))  # of waves as long as the drop [m/s]


def drop(cells: int, stretch: float = 1.0) -> tuple[World, float]:
    """A world with a drop whose radius is so many cells, five cells and more from the walls, and its radius [m]."""
    dx = RADIUS / cells
    side = (2 * cells + 14) * dx
    dt = 0.9 * math.sqrt(DENSITY * dx**3 / (4 * math.pi * SIGMA))
    scene = Scene(size=(side, side, side), dx=dx, substep_dt=dt, substeps=4, gravity=(0.0, 0.0, 0.0))
    water = Liquid(DENSITY, viscosity=VISCOSITY, incompressible=True, surface_tension=SIGMA)
    scene.add_material("water", water)
    a = (np.arange(-2 * cells, 2 * cells) + 0.5) * dx / 2
    x = np.stack(np.meshgrid(a, a, a, indexing="ij"), -1).reshape(-1, 3)
    x = x[np.linalg.norm(x, axis=1) < RADIUS]
    radius = (3 * len(x) * (dx / 2) ** 3 / (4 * math.pi)) ** (1 / 3)
    centre = 0.5 * side + np.array([0.13, 0.07, -0.11]) * dx  # no cell is at a special place
    scene.add_particles("water", "water", x * [stretch**-0.5, stretch**-0.5, stretch] + centre, (dx / 2) ** 3)
    return scene.make_world(1), radius


def run(world: World, duration: float, each: Callable[[State], Any] = lambda state: None) -> tuple[State, list[Any]]:
    """The state after a time, and what `each` says of every control step."""
    state, seen = world.initial_state(), []
    for _ in range(round(duration / world.dt)):
        state = world.step(state, world.zero_control())
        assert int(state.status) == 0, world.parameters.explain(int(state.status), 0)
        seen.append(each(state))
    return state, seen


def pressure(world: World) -> torch.Tensor:
    """In cells whose neighbours are all full, at the last tick [Pa]."""
    stepper: Any = world.engine.program().steppers["particles"]
    work, dx = stepper.liquid.work(0), stepper.model.dx
    n = work["window"].array.numpy()[0, 1]
    p, fill = (work[name].tensor[0, : n[0] * n[1] * n[2]].view(*n.tolist()) for name in ("p", "fill"))
    least = -torch.nn.functional.max_pool3d(-fill[None], 3, 1, 1)[0]
    return p[least > 0.8].double() * DENSITY * dx / stepper.desk.dt


def swing(cells: int) -> tuple[float, float, np.ndarray, np.ndarray, float]:
    """Of a stretched drop the frequency over Lamb's, and the decay [1/s] less his; how far it is from a ball, at times;
    and Lamb's frequency [rad/s].
    """
    world, radius = drop(cells, 1.1)

    def length(state: State) -> float:
        d = state.x[0].double() - state.x[0].double().mean(0)
        xx, yy, zz = d.square().mean(0)
        return float(zz - 0.5 * (xx + yy)) / (radius**2 / 5)

    omega = math.sqrt(8 * SIGMA / (DENSITY * radius**3))
    _, seen = run(world, 4 * math.pi / omega, length)
    times = world.dt * np.arange(1, len(seen) + 1)

    def wave(t: Any, size: float, decay: float, rate: float, phase: float, rest: float) -> Any:
        return size * np.exp(-decay * t) * np.cos(rate * t + phase) + rest

    (_, decay, rate, _, _), _ = curve_fit(wave, times, seen, p0=(seen[0], 0.1, omega, 0.0, 0.0))
    world.close()
    return rate / omega, decay - 5 * VISCOSITY / DENSITY / radius**2, times, np.array(seen), omega


def drops(cells: int) -> Outcome:
    """A resting and a stretched one."""
    world, radius = drop(cells)
    state, _ = run(world, 0.05)
    p, fastest = pressure(world), float(state.v.abs().max())
    law = 2 * SIGMA / radius
    world.close()
    rate, more, times, seen, omega = swing(cells)
    exact = seen[0] * np.cos(omega * times) * np.exp(-5 * VISCOSITY / DENSITY / radius**2 * times)
    return Outcome(
        {"pressure": abs(float(p.mean()) / law - 1), "frequency": abs(rate - 1)},
        {f"{cells} cells": (times, seen), "reference": (times, exact)},
        {
            "pressure over 2 sigma / R": float(p.mean()) / law, "frequency over Lamb's": rate,
            "fastest in the resting drop [m/s]": fastest,
            "viscosity that the grid adds, by the decay [Pa s]": more * radius**2 * DENSITY / 5,
        },
    )  # fmt: skip


CASES = (
    Case(
        "drops",
        "Drops with surface tension",
        "p = 2 sigma / R,  omega^2 = 8 sigma / (rho R^3)",
        f"Drops of water without gravity, R = {1e3 * RADIUS:g} mm, sigma = {SIGMA} N/m, an incompressible liquid: the "
        "pressure in one that rests, after 0.05 s, and the frequency of one that begins stretched by a tenth, over two "
        "periods.",
        "Laplace's law; Lamb 1932, Hydrodynamics, sections 275 and 355",
        drops,
        (4, 6, 8),
        8,
        "cells a radius",
        {"pressure": 0.02, "frequency": 0.05},
        ("t [s]", "stretch"),
        slow=True,
    ),
)
