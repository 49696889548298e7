# SPDX-License-Identifier: Apache-2.0
"""Start-up of plane Poiseuille and Couette flow between walls without slip.

The walls are sticky colliders that act on particles, with a layer of particles inside them that they hold, as deep as a
node's support reaches. Held grid nodes would be worse: see `docs/verification.md` on where a wall without slip stands.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from simenv.geometry.shapes import Plane
from simenv.physics.mpm.contact import AT_WALL
from simenv.physics.mpm.materials import Liquid
from simenv.world import Control, Scene, World
from tests.verification.cases.base import DOWN, Case, Outcome
from tests.verification.worlds import lattice

DENSITY, VISCOSITY, HEIGHT = 1000.0, 1.0, 0.02  # Re < 1: rho U H / eta = 0.2
FORCE, SPEED = 0.3, 0.01  # body force per mass [m/s^2], speed of the moving wall [m/s]
NU = VISCOSITY / DENSITY
TIME = HEIGHT**2 / NU  # diffusion over the channel [s]
SNAPSHOTS = (0.05, 0.1, 0.2, 0.4)  # of TIME


def poiseuille(z: np.ndarray, t: float) -> np.ndarray:
    """Batchelor (1967), section 4.3: flow under a body force switched on at t = 0 [m/s]."""
    n = 2 * np.arange(200)[:, None] + 1
    decay = np.exp(-((n * np.pi) ** 2) * t / TIME)
    series = (4 / (n * np.pi) ** 3 * np.sin(n * np.pi * z / HEIGHT) * decay).sum(0)
    return FORCE / NU * (z * (HEIGHT - z) / 2 - HEIGHT**2 * series)


def couette(z: np.ndarray, t: float) -> np.ndarray:
    """Batchelor (1967), eq. 4.3.15: flow under a wall that starts to move at t = 0 [m/s]."""
    n = np.arange(1, 400)[:, None]
    decay = np.exp(-((n * np.pi) ** 2) * t / TIME)
    return SPEED * (z / HEIGHT + (2 * (-1.0) ** n / (n * np.pi) * np.sin(n * np.pi * z / HEIGHT) * decay).sum(0))


def channel(cells: int, moving: bool, share: float) -> World:
    """A periodic channel, full of liquid; `share` of the longest substep that viscosity allows."""
    dx = HEIGHT / cells
    substep = share * dx**2 / (6 * NU)
    # control steps end at the snapshots
    substeps = int(np.ceil(0.01 * TIME / substep))
    dt = 0.01 * TIME / substeps
    sound = 0.2 * dx / dt
    gravity = (0.0, 0.0, 0.0) if moving else (FORCE, 0.0, 0.0)
    boundary = ("periodic", "periodic", "slip")
    scene = Scene((2 * dx, 2 * dx, HEIGHT + 6 * dx), dx, dt, substeps, gravity, (0.0, 0.0, -3 * dx), boundary)
    scene.add_material("oil", Liquid(DENSITY, DENSITY * sound**2, VISCOSITY))
    points = lattice((0, 0, -1.5 * dx), (2 * dx, 2 * dx, HEIGHT + 1.5 * dx), dx / 2)
    scene.add_particles("oil", "oil", points, (dx / 2) ** 3)
    scene.add_body("lid", position=(0.0, 0.0, HEIGHT))
    scene.add_collider("bottom", Plane(), stick=True, levels=AT_WALL)
    scene.add_collider("top", Plane(), "lid", quaternion=DOWN, stick=True, levels=AT_WALL)
    return World(scene, 1, dtype=torch.float64)


@cache
def profiles(cells: int, moving: bool, share: float = 0.5) -> dict[float, tuple[np.ndarray, np.ndarray]]:
    """Heights [m] and velocities [m/s] of the particles of the channel at every snapshot, sorted by height."""
    world = channel(cells, moving, share)
    state = world.initial_state()
    twist = torch.zeros((1, 1, 6), dtype=torch.float64)
    twist[..., 0] = SPEED if moving else 0.0
    found = {}
    for step in range(1, round(100 * SNAPSHOTS[-1]) + 1):
        state = world.step(state, Control(twist))
        if step / 100 in SNAPSHOTS:
            z, v = state.x[0, :, 2].numpy(), state.v[0, :, 0].numpy()
            order = np.argsort(z)
            order = order[(z[order] > 0) & (z[order] < HEIGHT)]
            found[step / 100] = (z[order], v[order])
    assert int(state.status) == 0
    return found


def curvature(z: np.ndarray, v: np.ndarray) -> float:
    """Second derivative of the velocity in the middle half of the channel, by a parabola [1/(m s)]."""
    middle = np.abs(z / HEIGHT - 0.5) < 0.25
    return 2 * np.polyfit(z[middle] - HEIGHT / 2, v[middle], 2)[0]


def viscosities(cells: int, share: float) -> tuple[float, float]:
    """Viscosity of Poiseuille flow over the true one, by the curvature far from walls, and by the mean flow."""
    t = SNAPSHOTS[-1]
    z, v = profiles(cells, False, share)[t]
    exact = poiseuille(z, t * TIME)
    return curvature(z, exact) / curvature(z, v), exact.mean() / v.mean()


def start_up(cells: int, moving: bool) -> Outcome:
    """Worst L2 error over the snapshots; how much the viscosity changes when the substep is halved."""
    exact = couette if moving else poiseuille
    scale = SPEED if moving else FORCE * HEIGHT**2 / (8 * NU)
    line = np.linspace(0, HEIGHT, 100)
    worst, curves = 0.0, {}
    for t, (z, v) in profiles(cells, moving).items():
        reference = exact(z, t * TIME)
        worst = max(worst, float(np.linalg.norm(v - reference) / np.linalg.norm(reference)))
        curves[f"t = {t} h^2 / nu"] = (v / scale, z / HEIGHT)
        curves[f"reference {t}"] = (exact(line, t * TIME) / scale, line / HEIGHT)
    errors, values = {"velocity, L2 at the worst of four times": worst}, {}
    if not moving:
        whole, half = viscosities(cells, 0.5), viscosities(cells, 0.25)
        errors["viscosity by curvature, when dt is halved"] = abs(half[0] / whole[0] - 1)
        errors["viscosity by mean flow, when dt is halved"] = abs(half[1] / whole[1] - 1)
        values = {"viscosity by curvature over the true one": whole[0], "by mean flow": whole[1]}
    return Outcome(errors, curves, values)


_SLIP = (
    "Liquid slips at the walls by a part of a cell that depends on the substep, since the transfers smooth the kink of "
    "the velocity there. The viscosity itself, measured by the curvature away from walls, does not depend on it."
)


def _case(key: str, title: str, moving: bool, equation: str, more: dict[str, float]) -> Case:
    return Case(
        key,
        title,
        equation,
        f"A channel {HEIGHT} m high, viscosity {VISCOSITY} Pa s, Reynolds number below one; float64. Walls that hold "
        "particles, with a layer of held particles behind them. Profiles at "
        + ", ".join(map(str, SNAPSHOTS))
        + " h^2 / nu.",
        "Batchelor (1967), section 4.3",
        lambda cells: start_up(cells, moving),
        (8, 16, 32),
        32,
        "cells over the channel",
        {"velocity, L2 at the worst of four times": 0.02, **more},
        ("v / v_max", "z / h"),
        {name: _SLIP for name in more if "mean flow" in name},
    )


_HALVED = {f"viscosity by {way}, when dt is halved": 0.02 for way in ("curvature", "mean flow")}
CASES = (
    _case("poiseuille", "Start-up of plane Poiseuille flow", False, "series of the flow under a body force", _HALVED),
    _case("couette", "Start-up of plane Couette flow", True, "series of the flow under a wall set in motion", {}),
)
