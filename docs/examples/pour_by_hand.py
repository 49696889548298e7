# SPDX-License-Identifier: Apache-2.0
"""A hand holds a cup of water and feels it become lighter as it pours: `python docs/examples/pour_by_hand.py`.

The cup is a collider on a hand, a body that an impedance pulls to a goal. Water presses on the cup, the cup on the
hand, and the hand sinks by the weight over its stiffness.
"""

import math

import numpy as np
import torch

from simenv.geometry import Cup, fill_cavity
from simenv.physics.mpm.materials import Liquid
from simenv.world import Scene, State

SPACING, DENSITY = 0.005, 1000.0  # of particles [m]; of water [kg/m^3]
CUP = Cup(inner_radius=0.03, height=0.07, wall=0.004, base=0.005)
PLACE = (0.07, 0.06, 0.11)  # of the cup [m]
STILL, TILTING, MEAN = 80, 40, 30  # control steps of 10 ms: before, of each of three motions, for means
STEPS = 2 * STILL + 3 * TILTING


def scene() -> Scene:
    """A cup of water in a hand, over a drain."""
    made = Scene(size=(0.2, 0.12, 0.21), dx=2 * SPACING, substep_dt=5e-4, substeps=20)
    made.add_material("water", Liquid(DENSITY, bulk_modulus=2e4, viscosity=0.02))
    water = fill_cavity(CUP, level=0.05, spacing=SPACING, clearance=0.2 * SPACING)
    made.add_particles("water", "water", water + PLACE, volume=SPACING**3)
    made.add_body("hand", position=PLACE, motion="hand", mass=1.0, inertia=0.01, gains=(600.0, 50.0, 50.0, 1.41))
    made.add_collider("cup", CUP, "hand", width=0.5 * SPACING, color=(0.93, 0.97, 0.96, 0.2))
    made.add_collector("drain", (0.0, 0.0, 0.0), (0.2, 0.12, 0.03))
    return made


def goal(step: int, start: torch.Tensor) -> torch.Tensor:
    """Where the hand shall be, (1, 7): upright, turned about y by up to 75 degrees, and upright again."""
    share = min(max(step - STILL, 0) / TILTING, 1.0) - min(max(step - STILL - 2 * TILTING, 0) / TILTING, 1.0)
    half = 0.5 * math.radians(75.0) * share
    turned = start.clone()
    turned[:, 3:] = torch.tensor([0.0, math.sin(half), 0.0, math.cos(half)])
    return turned


def run() -> tuple[np.ndarray, list[State]]:
    """Rows of time [s], weight that the hand carries and weight of the water in the cup [N]; and the states."""
    world = scene().make_world(1)
    hand, states, rows = world.bodies["hand"], [world.initial_state()], []
    start = hand.pose(states[0])
    for step in range(STEPS):
        state = world.step(states[-1], world.control(goal={"hand": goal(step, start)}))
        held = state.active[0] & (state.x[0, :, 2] > PLACE[2] - 0.02)  # not what falls into the drain
        rows.append(
            (float(state.time[0]), float(hand.drive(state)[0, 2]), 9.81 * DENSITY * SPACING**3 * int(held.sum()))
        )
        states.append(state)
    if states[-1].status.any():
        raise RuntimeError(world.parameters.explain(int(states[-1].status[0])))
    return np.array(rows), states


def means(rows: np.ndarray) -> dict[str, tuple[float, float]]:
    """Force of the hand and weight of the water [N] while the cup stands still, before and after."""
    spans = {"full": rows[STILL - MEAN : STILL], "poured": rows[-MEAN:]}
    return {name: (float(span[:, 1].mean()), float(span[:, 2].mean())) for name, span in spans.items()}


if __name__ == "__main__":
    for name, (force, weight) in means(run()[0]).items():
        print(f"{name}: the hand carries {force:.3f} N; the water in the cup weighs {weight:.3f} N")
