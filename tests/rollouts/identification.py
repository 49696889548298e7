# SPDX-License-Identifier: Apache-2.0
"""Four small experiments, each on one material, and one with all of them side by side in a world.

* press: a plate is pressed into an elastic block, and lifted again;
* slump: a column of a Newtonian liquid spreads over a floor that it sticks to;
* paste: a column of a Bingham liquid slumps, and comes to rest by its yield stress;
* heap: a column of sand collapses.

What is seen of them: the positions of every fifth particle ("keypoints"), and the force on the plate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from simenv.geometry.shapes import Box
from simenv.physics.mpm.materials import Bingham, Elastic, Liquid, Material, Sand
from simenv.rollouts.identify import Identification, IdentifyConfig, Progress, identify
from simenv.rollouts.residuals import Observed, record_world
from simenv.world import Control, Scene, World
from tests.verification.worlds import lattice

DX, DT, SUBSTEPS = 0.02, 8.0e-4, 25  # grid [m], substep [s]; a control step is 0.02 s
CELL = 8 * DX  # side of the floor that each experiment has [m]
SIDE, KEEP = 4 * DX, 5  # width of a column [m]; every KEEP-th particle is a keypoint
SPEED = 0.12  # of the plate [m/s]
NOISE = {"x": 1e-3, "wrench": 0.2}  # standard deviation of the noise of the noisy variants [m], [N, N m]

MATERIALS: dict[str, Material] = {
    "gel": Elastic(1000.0, 1.2e4, 0.3),
    "oil": Liquid(1000.0, 2.0e4, 6.0),
    "paste": Bingham(1000.0, 2.0e4, 4.0, 120.0),
    "sand": Sand(1500.0, 2.5e4, 0.2, 0.5),
}
HEIGHT = {"gel": 4 * DX, "oil": 7 * DX, "paste": 7 * DX, "sand": 6 * DX}
TRUTH = {
    "gel.youngs_modulus": 1.2e4,
    "oil.viscosity": 6.0,
    "paste.yield_stress": 120.0,
    "paste.viscosity": 4.0,
    "sand.friction_angle": 0.5,
}
RANGES = {
    "gel.youngs_modulus": (1.5e3, 6.0e4),
    "oil.viscosity": (0.6, 40.0),
    "paste.yield_stress": (12.0, 1200.0),
    "paste.viscosity": (0.4, 40.0),
    "sand.friction_angle": (0.1, 1.5),
}


def scene(names: tuple[str, ...] = tuple(MATERIALS)) -> Scene:
    """The experiments on the materials of these names, in a row."""
    made = Scene((len(names) * CELL, CELL, 10 * DX), DX, DT, SUBSTEPS, boundary=("slip", "slip", "stick"))
    for index, name in enumerate(names):
        made.add_material(name, MATERIALS[name])
        corner = np.array([index * CELL + 2 * DX, 2 * DX, 0.0])
        points = lattice(corner, corner + [SIDE, SIDE, HEIGHT[name]], DX / 2)
        made.add_particles(name, name, points, (DX / 2) ** 3)
        if name == "gel":
            made.add_body("press", position=(*(corner[:2] + SIDE / 2), HEIGHT["gel"] + 2 * DX))
            made.add_collider("plate", Box((3 * DX, 3 * DX, DX)), "press", width=DX)
    return made


def controls(world: World, steps: int) -> list[Control]:
    """The plate goes down for three quarters of the time, then up."""
    made = []
    for step in range(steps):
        twist = world.zero_control().twist.clone()
        if world.body_names:
            twist[:, 0, 2] = -SPEED if step < 0.75 * steps else SPEED
        made.append(Control(twist))
    return made


def experiment(names: tuple[str, ...], steps: int, seed: int | None = None, every: int = 2) -> Observed:
    """What the true materials do, seen every `every` control steps; with noise if there is a seed."""
    world = World(scene(names), 1)
    fields = ("x", "wrench") if world.collider_names else ("x",)
    seen = record_world(world, controls(world, steps), fields, range(every, steps + 1, every))
    values = {name: value.copy() for name, value in seen.values.items()}
    hidden = np.arange(world.particle_count) % KEEP != 0
    values["x"][:, hidden] = np.nan
    if seed is not None:
        random = np.random.default_rng(seed)
        values = {name: value + NOISE[name] * random.standard_normal(value.shape) for name, value in values.items()}
    world.close()
    return Observed(values, seen.steps)


def starts(names: Sequence[str], seed: int, factor: tuple[float, float] = (2.0, 3.0)) -> dict[str, float]:
    """A start that is off by a random factor in this range, up or down at random, in every parameter."""
    random = np.random.default_rng(seed)
    off = {name: random.uniform(*factor) ** random.choice((-1.0, 1.0)) for name in names}
    return {name: float(np.clip(TRUTH[name] * off[name], *RANGES[name])) for name in names}


def sought(names: tuple[str, ...]) -> tuple[str, ...]:
    """The parameters that are identified: those of the paste both where it is alone, else its yield stress."""
    found = tuple(name for name in TRUTH if name.split(".")[0] in names)
    return found if len(names) == 1 else tuple(name for name in found if name != "paste.viscosity")


def close(values: Mapping[str, float], limit: float = 0.02) -> bool:
    """Whether every value is within this share of the truth."""
    return all(abs(value / TRUTH[name] - 1) <= limit for name, value in values.items())


def cost(history: Sequence[Progress]) -> tuple[int, int] | None:
    """Iterations and rollouts after which the best values are, and stay, within 2 % of the truth, or None."""
    k = len(history)
    while k and close(history[k - 1].values):
        k -= 1
    return (history[k].iteration, history[k].rollouts) if k < len(history) else None


def settled(history: list[Progress], rows: int = 8) -> Callable[[Progress], bool]:
    """A callback that keeps the history, and stops a search whose best values have been close for so many rows."""

    def callback(row: Progress) -> bool:
        history.append(row)
        return len(history) >= rows and all(close(each.values) for each in history[-rows:])

    return callback


def find(
    names: tuple[str, ...], steps: int, seed: int, method: str = "gradient", noise: int | None = None
) -> tuple[Identification, list[Progress]]:
    """Identify from one start, that of this seed; the result, and its history."""
    observed, wanted, history = experiment(names, steps, noise), sought(names), []
    world = World(scene(names), 1)
    try:
        config = IdentifyConfig(method=method, seed=seed)  # type: ignore[arg-type]
        result = identify(
            world, controls(world, steps), observed, {name: RANGES[name] for name in wanted},
            initial=starts(wanted, seed), config=config, callback=settled(history) if method == "cma" else None,
        )  # fmt: skip
        return result, list(result.history)
    finally:
        world.close()
