# SPDX-License-Identifier: Apache-2.0
"""Gels feel a jet of water and a soft block: `python docs/examples/gel_feels.py`.

One gel lies on a stand under a spout; it feels the thrust of the jet and the weight of the water that stays. Another
one is on a hand that presses it into a block; it feels what the hand gives, as far as the
block reaches.
"""

import math

import torch

from simenv.geometry import Box, Cylinder, fill
from simenv.physics.mpm.materials import Elastic, Liquid
from simenv.sensors.tactile import WinklerGel, flat_grid
from simenv.world import Scene, State, World

GRAVITY, DENSITY = 9.81, 1000.0  # [m/s^2]; of water [kg/m^3]
RADIUS, SPEED = 0.008, 1.0  # of the jet where it begins [m], [m/s]
SPOUT, TOP, HALF = 0.13, 0.06, 0.03  # heights of the spout and of the gel under it; half of that gel's side [m]
JET, GEL, BLOCK = (0.065, 0.07), (0.06, 0.07), (0.19, 0.07)  # places in the plane [m]
STAND, DEPTH = 0.07, 0.008  # height of the block's upper side; how deep the hand's goal is in it [m]
OPENS, STEPS, MEAN = 40, 56, 8  # control steps of 10 ms: before the jet, in all, over which means are taken


def scene() -> Scene:
    """A gel under a spout, and a soft block under a gel on a hand."""
    made = Scene(size=(0.25, 0.14, 0.16), dx=0.01, substep_dt=2.5e-4, substeps=40)
    made.add_material("water", Liquid(DENSITY, bulk_modulus=2e4))
    made.add_material("rubber", Elastic(density=1000.0, youngs_modulus=5e4, poisson_ratio=0.3))
    law = WinklerGel(1e8, 5e7, mu=0.8)

    made.add_body("tap", position=(*JET, SPOUT))
    made.add_emitter("jet", "tap", "water", capacity=400, radius=RADIUS, speed=SPEED, count=16)
    made.add_look("nozzle", Cylinder(RADIUS + 0.002, 0.006), "tap", position=(0.0, 0.0, 0.006))
    made.add_body("stand", position=(*GEL, TOP), motion="fixed")
    made.add_gel("palm", "stand", grid=flat_grid(6, 6, 2 * HALF, 2 * HALF), gel=law)
    made.add_collector("drain", (0.0, 0.0, 0.0), (0.25, 0.14, 0.02))

    block = fill(Box((0.03, 0.03, 0.015)), 0.005) + (*BLOCK, STAND - 0.015)
    made.add_particles("block", "rubber", block, volume=1.25e-7, color=(0.85, 0.35, 0.40, 1.0))
    made.add_collider("table", Box((0.05, 0.06, 0.01)), position=(*BLOCK, STAND - 0.04), stick=True)
    made.add_body("hand", position=(*BLOCK, STAND), quaternion=(1.0, 0.0, 0.0, 0.0), motion="hand")  # z points down
    made.add_gel("finger", "hand", grid=flat_grid(4, 4, 0.04, 0.04), gel=law, position=(0.02, 0.0, 0.0))
    made.view = ((0.02, 0.02, 0.02), (0.23, 0.12, 0.14))
    for name in ("tap", "stand"):
        made.let_pass("hand", name, "they are far from each other")
    return made


def thrust_and_weight(world: World, state: State) -> float:
    """Thrust of the jet, and weight of the water that has come to rest over the gel [N]."""
    fast = math.sqrt(SPEED**2 + 2.0 * GRAVITY * (SPOUT - TOP))  # where the jet meets the gel
    span = world.particle_groups["jet"]
    place, middle = state.x[0, span], torch.tensor(GEL)
    over = (place[:, 2] > TOP) & ((place[:, :2] - middle).abs().amax(1) < HALF) & state.active[0, span]
    resting = over & (state.v[0, span, 2] > -0.5 * fast)
    thrust = DENSITY * math.pi * RADIUS**2 * SPEED * fast
    return thrust + GRAVITY * DENSITY * float((world.volume[0, span] * resting).sum())


def run(world: World) -> list[State]:
    """The states of all control steps."""
    state = world.initial_state()
    down = torch.zeros(1, 7)
    down[:, 2] = -DEPTH
    states, goal = [state], world.bodies["hand"].pose(state) + down
    for step in range(STEPS):
        opened = torch.tensor([step >= OPENS])
        state = world.step(state, world.control(goal={"hand": goal}, emit={"jet": opened}))
        states.append(state)
    if state.status.any():
        raise RuntimeError(world.parameters.explain(int(state.status[0])))
    return states


def centre(world: World, gel: str, state: State) -> float:
    """Place along x of the centre of a gel's normal forces, from its middle [m]."""
    normal = world.gels[gel].field(state)[0, :, 2].double().numpy()
    return float(world.gels[gel].spec.grid.points[:, 0] @ normal / normal.sum())


def means(world: World, states: list[State]) -> dict[str, float]:
    """Means over the last control steps: force on each gel, and what it should be [N]; centres of pressure [m]."""
    last, hand = states[-MEAN:], world.bodies["hand"]
    each = {
        "palm": [-float(world.gels["palm"].force(state)[0, 2]) for state in last],
        "jet and water": [thrust_and_weight(world, state) for state in last],
        "finger": [float(world.gels["finger"].force(state)[0, 2]) for state in last],
        "hand": [-float(hand.drive(state)[0, 2]) for state in last],
        "palm centre": [centre(world, "palm", state) for state in last],
        "finger centre": [centre(world, "finger", state) for state in last],
    }
    return {name: sum(values) / MEAN for name, values in each.items()}


if __name__ == "__main__":
    world = scene().make_world(1)
    for name, value in means(world, run(world)).items():
        print(f"{name}: {1e3 * value:.1f} mm" if "centre" in name else f"{name}: {value:.3f} N")
