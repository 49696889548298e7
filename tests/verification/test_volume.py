# SPDX-License-Identifier: Apache-2.0
"""The volume of a liquid that was in motion: what stands in a box afterwards is what was put into it.

Its weight compresses it by rho g h / (2 K), 1.0 % and 0.6 % of a layer of 5 cm of the two liquids.
"""

import numpy as np
import pytest

from simenv.physics.mpm.materials import Liquid
from simenv.world import Scene, World
from tests.verification.worlds import lattice

BOX, DX = (0.12, 0.06, 0.2), 0.01  # [m]
SPACING = DX / 2
MATERIALS = {
    "pouring": (Liquid(1000.0, 2.5e4, 0.05, keep_volume=True), 8e-4),  # that of SimEnv/Pouring, and its substep [s]
    "water": (Liquid(1000.0, 4.0e4, keep_volume=True), 4e-4),
}


MISSES = {  # what is measured where 1.5 % are missed: by a map of heights, and by twice the mean height
    ("dropped", "pouring", 3.0): (1.018, 1.010),  # it still breathes, at 4 cm/s; later it is at rest
}


def filling(name: str) -> np.ndarray:
    """Where the particles start, (P, 3) [m]."""
    if name == "column":
        return lattice((0.0, 0.0, 0.0), (0.06, 0.06, 0.10), SPACING)
    if name == "dropped":
        return lattice((0.0, 0.0, 0.04), (0.12, 0.06, 0.09), SPACING)
    if name == "sloshing":
        points = lattice((0.0, 0.0, 0.0), (0.12, 0.06, 0.08), SPACING)
        return points[points[:, 2] < 0.05 + 0.3 * (0.06 - points[:, 0])]
    return lattice((0.0, 0.0, 0.0), (0.12, 0.06, 0.05), SPACING)  # at rest


def volume(x: np.ndarray) -> float:
    """Volume [m^3] below a map of the highest particles in columns of a cell's width, half a spacing below the surface
    each.
    """
    columns = (x[:, :2] // DX).astype(int)
    key = 1000 * columns[:, 0] + columns[:, 1]
    tops = [x[key == each, 2].max() + SPACING / 2 for each in np.unique(key)]
    return float(np.mean(tops)) * BOX[0] * BOX[1]


def cases():
    for name, duration in (("column", 3.0), ("dropped", 3.0), ("dropped", 6.0), ("sloshing", 10.0), ("resting", 3.0)):
        for material in MATERIALS:
            marks = [pytest.mark.slow] if name in ("sloshing", "resting") or duration == 6.0 else []
            if (name, material, duration) in MISSES:
                marks.append(pytest.mark.xfail(reason=f"measured {MISSES[name, material, duration]}", strict=True))
            yield pytest.param(name, duration, material, id=f"{name}-{material}-{duration:g}", marks=marks)


@pytest.mark.parametrize(("name", "duration", "material"), list(cases()))
def test_volume_after_motion(name, duration, material):
    liquid, dt = MATERIALS[material]
    scene = Scene(BOX, DX, dt, round(0.02 / dt), boundary=("slip", "slip", "slip"))
    scene.add_material("liquid", liquid)
    points = filling(name)
    scene.add_particles("liquid", "liquid", points, SPACING**3)
    world = World(scene, 1)
    state = world.initial_state()
    volumes, middles = [], []
    steps = round(duration / world.dt)
    for step in range(steps):
        state = world.step(state, world.zero_control())
        if step >= steps - 25:
            x = state.x[0].numpy()
            volumes.append(volume(x) / (len(points) * SPACING**3))
            middles.append(2 * float(x[:, 2].mean()) * BOX[0] * BOX[1] / (len(points) * SPACING**3))
    assert (state.status == 0).all()
    ratios = np.mean(volumes), np.mean(middles)
    print(
        f"\nmeasured {name}, {material}: {ratios[0]:.3f} of the volume by a map of heights, {ratios[1]:.3f} by twice "
        f"the mean height; mean J {float(state.J.mean()):.4f}"
    )
    assert abs(ratios[0] - 1) <= 0.015
    assert abs(ratios[1] - 1) <= 0.015


def test_a_liquid_that_keeps_its_volume_must_be_alone():
    scene = Scene(BOX, DX, 4e-4, 5)
    scene.add_material("water", Liquid(1000.0, 4.0e4, keep_volume=True))
    scene.add_material("oil", Liquid(900.0, 4.0e4))
    scene.add_particles("pool", "water", filling("resting"), SPACING**3)
    with pytest.raises(ValueError, match=r"keep_volume of 'water' needs a scene whose only material it is.*water, oil"):
        World(scene, 1)
