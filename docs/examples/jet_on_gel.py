# SPDX-License-Identifier: Apache-2.0
"""A gel feels a jet of water through the plate that lies on it: `python docs/examples/jet_on_gel.py`.

The plate is a free body. The jet pushes it as a collider, the gel as a shape, and what the gel feels is the plate's
weight, the jet's thrust, and the weight of the water that stays on the plate. The jet is off centre, and so is the
centre of pressure.
"""

import math

import torch

from simenv.geometry import Box, Cylinder
from simenv.physics.mpm.materials import Liquid
from simenv.sensors.tactile import WinklerGel, flat_grid
from simenv.world import Scene, State, World

GRAVITY, DENSITY, METAL = 9.81, 1000.0, 2700.0  # [m/s^2]; of water and of the plate [kg/m^3]
RADIUS, SPEED = 0.008, 1.0  # of the jet where it begins [m], [m/s]
SPOUT, TOP, BESIDE = 0.13, 0.06, 0.005  # heights of the spout and of the plate, and how far the jet is off centre [m]
HALF = 0.03  # of the plate's sides [m]
STEPS, MEAN = 16, 8  # control steps of 10 ms; the last ones, over which means are taken


def scene() -> Scene:
    """A plate on a gel on a stand, a spout above it and a drain below."""
    made = Scene(size=(0.16, 0.16, 0.17), dx=0.01, substep_dt=2.5e-4, substeps=40)
    made.add_material("water", Liquid(DENSITY, bulk_modulus=2e4))
    made.add_body("tap", position=(0.08 + BESIDE, 0.08, SPOUT))
    made.add_emitter("jet", "tap", "water", capacity=400, radius=RADIUS, speed=SPEED, count=16)
    made.add_body("stand", position=(0.08, 0.08, TOP - 0.01), motion="fixed")
    plate = Box((HALF, HALF, 0.005))
    made.add_body("plate", plate, METAL, (0.08, 0.08, TOP - 0.005), motion="free", coupling="contact")
    made.add_gel("gel", "stand", "plate", flat_grid(12, 12, 0.03, 0.03), WinklerGel(1e8, 5e7, mu=0.8))
    made.add_collector("drain", (0.0, 0.0, 0.0), (0.16, 0.16, 0.02))
    made.add_look("pillar", Box((0.02, 0.02, 0.012)), "stand", position=(0.0, 0.0, -0.012))
    made.add_look("nozzle", Cylinder(RADIUS + 0.002, 0.006), "tap", position=(0.0, 0.0, 0.006))
    made.view = ((0.035, 0.035, 0.02), (0.125, 0.125, 0.145))
    made.let_pass("stand", "tap", "neither has a shape")
    return made


def expected(world: World, state: State) -> float:
    """Weight of the plate, thrust of the jet and weight of the water that has come to rest on the plate [N]."""
    weight = GRAVITY * METAL * 4.0 * HALF**2 * 0.01
    fast = math.sqrt(SPEED**2 + 2.0 * GRAVITY * (SPOUT - TOP))  # where the jet meets the plate
    thrust = DENSITY * math.pi * RADIUS**2 * SPEED * fast
    place, middle = state.x[0], torch.tensor([0.08, 0.08])
    over = (place[:, 2] > TOP) & ((place[:, :2] - middle).abs().amax(1) < HALF) & state.active[0]
    resting = over & (state.v[0, :, 2] > -0.5 * fast)
    return weight + thrust + GRAVITY * DENSITY * float((world.volume[0] * resting).sum())


def run(world: World) -> list[State]:
    """The states of all control steps."""
    states = [world.initial_state()]
    for _ in range(STEPS):
        states.append(world.step(states[-1], world.zero_control()))
    if states[-1].status.any():
        raise RuntimeError(world.parameters.explain(int(states[-1].status[0])))
    return states


def pressure_centre(world: World, state: State) -> float:
    """Place along x of the centre of the gel's normal forces [m]."""
    gel = world.gels["gel"]
    normal = gel.field(state)[0, :, 2].double().numpy()
    return float(gel.spec.grid.points[:, 0] @ normal / normal.sum())


def means(world: World, states: list[State]) -> tuple[float, float, float]:
    """Force on the gel [N], what it should be [N], and the centre of pressure [m], over some control steps."""
    force = [-float(world.gels["gel"].force(state)[0, 2]) for state in states]
    right, centre = [expected(world, state) for state in states], [pressure_centre(world, state) for state in states]
    return sum(force) / len(states), sum(right) / len(states), sum(centre) / len(states)


if __name__ == "__main__":
    world = scene().make_world(1)
    states = run(world)
    before, _, middle = means(world, states[2:4])
    force, right, centre = means(world, states[-MEAN:])
    print(f"the plate alone: the gel feels {before:.3f} N, {1e3 * middle:.2f} mm off its middle")
    print(f"in the jet: {force:.3f} N, {1e3 * centre:.2f} mm off; plate, thrust and water are {right:.3f} N")
