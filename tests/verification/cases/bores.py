# SPDX-License-Identifier: Apache-2.0
"""A stream that a wall stops: the bore that runs back from it (a hydraulic jump that moves), for both liquids."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from benchmarks.harness import filling
from simenv.physics.mpm.materials import Liquid
from simenv.world import Scene, State, World
from tests.verification.cases.base import GRAVITY, RIGHT, Case, Outcome, hydrostatic_ratio, node_wall, step_count
from tests.verification.cases.free_surface import DENSITY
from tests.verification.worlds import lattice

STREAM = 0.05  # its depth h [m]
RISE = 2.0  # depth behind the bore over that of the stream
LENGTH = 76 * STREAM  # of the stream [m]; its free end sends a wave after the bore, which is met at 24 depths
POOL = 3 * STREAM  # where the bore begins, from the wall [m]
WAVE = (GRAVITY * STREAM) ** 0.5  # speed of long waves on the stream [m/s]
CELERITY = WAVE * (0.5 * RISE * (RISE + 1)) ** 0.5 / RISE  # of the bore, seen from the wall [m/s]
SPEED = (RISE - 1) * CELERITY  # of the stream [m/s]
BEGIN, END = 3 * STREAM / CELERITY, 20 * STREAM / CELERITY  # when the bore has come three and 20 depths further [s]
SIZE = (LENGTH + 4 * STREAM, 6 * STREAM)  # of the box (x, z) [m]


def start(dx: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions from the wall's foot (P, 3) [m], velocities (P, 3) [m/s], and depth of the water there (P,) [m]."""
    pool = lattice(np.zeros(3), np.array([POOL, 2 * dx, RISE * STREAM]), dx / 2)
    stream = lattice(np.array([POOL, 0, 0]), np.array([LENGTH, 2 * dx, STREAM]), dx / 2)
    v = np.zeros((len(pool) + len(stream), 3))
    v[len(pool) :, 0] = -SPEED
    return np.concatenate([pool, stream]), v, np.repeat([RISE * STREAM, STREAM], [len(pool), len(stream)])


def compressible(cells: int, keep_volume: bool) -> tuple[World, State, np.ndarray]:
    """World of the weakly compressible liquid, its first state, and where the foot of the wall is (3,) [m]."""
    dx, sound = STREAM / cells, 10 * (2 * GRAVITY * RISE * STREAM) ** 0.5
    steps, substeps = step_count(END, END / 100, 0.35 * dx / sound)
    scene = Scene((SIZE[0] + 4 * dx, 2 * dx, SIZE[1] + 4 * dx), dx, END / steps / substeps, substeps, boundary="slip")
    scene.add_material("water", Liquid(DENSITY, DENSITY * sound**2, keep_volume=keep_volume))
    corner = np.array([1.5 * dx, 0.0, 1.5 * dx])
    x, v, depth = start(dx)
    scene.add_particles("water", "water", x + corner, (dx / 2) ** 3, velocity=v)
    node_wall(scene, "floor", corner)
    node_wall(scene, "wall", corner, RIGHT)
    world = World(scene, 1)
    ratio = hydrostatic_ratio(depth - x[:, 2], DENSITY, DENSITY * sound**2)
    return world, world.initial_state().replace(J=torch.as_tensor(ratio).float()[None]), corner


def incompressible(cells: int) -> tuple[World, State, np.ndarray]:
    """World of the incompressible liquid, its first state, and where the foot of the wall is (3,) [m]."""
    dx = STREAM / cells
    scene = Scene((SIZE[0], 2 * dx, SIZE[1]), dx, 0.5 * dx / (SPEED + WAVE), 4, boundary="slip")
    scene.add_material("water", Liquid(DENSITY, viscosity=0.0, incompressible=True))
    x, v, _ = start(dx)
    scene.add_particles("water", "water", x, (dx / 2) ** 3, velocity=v)
    world = World(scene, 1)
    return world, world.initial_state(), np.zeros(3)


def depths(x: np.ndarray, dx: float) -> np.ndarray:
    """Of columns of cells, up to where they are half full (nx,) [m]; x: from the wall's foot (P, 3) [m]."""
    near = np.maximum(x[x[:, 0] < SIZE[0]], 0.0)
    fill = filling.filled(near, (SIZE[0], 2 * dx, SIZE[1]), dx, (dx / 2) ** 3)
    return np.array([filling.height(column[None]) for column in fill]) * dx


def place(depth: np.ndarray, dx: float) -> float:
    """Where the bore is [m]: the mean of where water stands last above levels of a quarter to three quarters of it."""
    last = [np.nonzero(depth > STREAM * (1 + share * (RISE - 1)))[0].max() + 1 for share in np.linspace(0.25, 0.75, 11)]
    return float(np.mean(last)) * dx


def bore(make, cells: int) -> Outcome:
    """Depth behind the bore, and its speed, of the liquid that `make` makes; `cells` over the depth of the stream."""
    world, state, corner = make(cells)
    dx = STREAM / cells
    times, places, behind = [], [], []
    steps = round(END / world.dt)
    for step in range(1, steps + 1):
        state = world.step(state, world.zero_control())
        if step * world.dt < BEGIN or step % max(1, steps // 100):
            continue
        depth = depths(state.x[0].double().numpy() - corner, dx)
        times.append(step * world.dt)
        places.append(place(depth, dx))
        behind.append(depth[cells : round(places[-1] / dx) - 3 * cells].mean())
    assert int(state.status) == 0
    found, risen = float(np.polyfit(times, places, 1)[0]), float(np.mean(behind))
    along = (np.arange(len(depth)) + 0.5) * dx / STREAM
    shown = along < 30
    edge = float((POOL + CELERITY * times[-1]) / STREAM)
    curves = {
        "depth": (along[shown], depth[shown] / STREAM),
        "reference": (np.array([0.0, edge, edge, 30.0]), np.array([RISE, RISE, 1.0, 1.0])),
    }
    errors = {"speed": abs(found / CELERITY - 1), "depth behind it": abs(risen / (RISE * STREAM) - 1)}
    return Outcome(errors, curves, {"speed [m/s]": found, "depth [m]": risen, "of theory [m/s]": CELERITY})


def case(
    key: str, title: str, make, how: str, quick: int = 8, misses: dict[str, str] | None = None, finest: int = 16
) -> Case:
    """The case of one liquid."""
    return Case(
        key,
        title,
        "c (h' - h) = U h, g (h'^2 - h^2) / 2 = h U (U + c)",
        f"A stream {1000 * STREAM:g} mm deep of {SPEED:.3f} m/s meets water at rest before a wall, {RISE:g} times as "
        f"deep, as mass and momentum ask of a bore that runs back. Two cells thick, slippery walls and floor, no "
        f"viscosity; {how} Depth is where cells are half full; the bore's place is the mean of the last ones that "
        "stand above a quarter to three quarters of its rise, its speed that of a line through its places from three "
        "to 20 depths on; behind it counts what is a depth from the wall and three from the bore. It breaks, so that "
        "depths behind it swing by a tenth.",
        "Rayleigh (1914), Proc. R. Soc. A 90; Lamb (1932), section 187",
        lambda cells: bore(make, cells),
        (finest // 4, finest // 2, finest),
        quick,
        "cells over the depth",
        {"speed": 0.05, "depth behind it": 0.05},
        ("x / h", "depth / h"),
        misses=misses or {},
        slow=True,
    )


SOUND = "speed of sound 10 sqrt(2 g h')"
LOST = "The liquid loses volume where it moves, 6 % behind the bore; with keep_volume=True, the next case, it does not."
SCATTER = (
    "Water that breaks at the front scatters its places by a depth. The depth behind, which sets the speed by mass and "
    "momentum, is right."
)
CASES = (
    case(
        "bore", "Bore", partial(compressible, keep_volume=False), f"{SOUND}.", 16,
        {"speed": LOST, "depth behind it": LOST},
    ),
    case(
        "bore_keep_volume", "Bore, keep_volume", partial(compressible, keep_volume=True),
        f"{SOUND}, Liquid(keep_volume=True).", 8, {"speed": SCATTER}, finest=8,
    ),
    case(
        "bore_incompressible", "Bore, incompressible liquid", incompressible, "ticks of half a cell at U + sqrt(g h).",
        finest=8,
    ),
)  # fmt: skip
