# SPDX-License-Identifier: Apache-2.0
"""One gradient through a hand, a gel, a ball and a soft block: `python docs/examples/press_into_jelly.py`.

The hand has the gel, and presses the ball into the block.

The block is made of particles, ball and hand are bodies, and a gel sits between them. The ball feels the block through
its shape, which is a collider too.
"""

import torch

from simenv.geometry import Box, Plane, Sphere, fill
from simenv.physics.mpm.materials import Elastic
from simenv.sensors.tactile import WinklerGel, flat_grid
from simenv.world import Scene, State, World

RADIUS, TOP, SPACING = 0.016, 0.07, 0.005  # of the ball; of the soft block; of its particles [m]
STEPS = 12  # control steps of 10 ms
DEPTH = 0.012  # of the press [m]
NUMBERS = {"jelly.youngs_modulus": 1e5, "ball.mass": 0.04, "gel.k_n": 1e8, "hand.stiffness": 600.0}


def scene() -> Scene:
    """A soft block on a floor, a ball on it, and a hand with a gel above."""
    made = Scene(size=(0.14, 0.14, 0.14), dx=2 * SPACING, substep_dt=2.5e-4, substeps=40)
    made.add_material("jelly", Elastic(density=1000.0, youngs_modulus=1e5, poisson_ratio=0.3))
    block = fill(Box((0.03, 0.03, 0.02)), SPACING) + (0.07, 0.07, TOP - 0.02)
    made.add_particles("block", "jelly", block, volume=SPACING**3, color=(0.85, 0.35, 0.40, 1.0))
    made.add_collider("floor", Plane(), position=(0.0, 0.0, TOP - 0.04), width=0.01, stick=True)
    middle = (0.07, 0.07, TOP + RADIUS)
    made.add_body("ball", Sphere(RADIUS), density=2500.0, position=middle, motion="free", coupling="contact")
    above = (0.07, 0.07, TOP + 2 * RADIUS - 1e-4)
    made.add_body("hand", position=above, quaternion=(1.0, 0.0, 0.0, 0.0), motion="hand")  # z points down
    made.add_gel("gel", "hand", "ball", flat_grid(12, 12, 0.02, 0.02), WinklerGel(1e8, 5e7, mu=0.8))
    return made


def press(world: World, depth: torch.Tensor) -> State:
    """The state after the hand's goal went down by a depth [m]."""
    hand, state = world.bodies["hand"], world.initial_state()
    start, down = hand.pose(state), -torch.eye(7, dtype=world.dtype)[2]
    for step in range(STEPS):
        goal = start + (step + 1) / STEPS * depth * down
        state = world.step(state, world.control(goal={"hand": goal}))
    if state.status.any():
        raise RuntimeError(world.parameters.explain(int(state.status[0])))
    return state


def sinks(world: World, state: State) -> torch.Tensor:
    """How deep the ball has been pressed [m]."""
    return TOP + RADIUS - world.bodies["ball"].pose(state)[0, 2]


def slopes(world: World) -> tuple[State, dict[str, float]]:
    """The end of a press, and how much more the ball sinks [m] per relative change of each number, by one gradient."""
    depth = torch.tensor(DEPTH, dtype=world.dtype, requires_grad=True)
    leaves = {name: torch.tensor([each], dtype=world.dtype, requires_grad=True) for name, each in NUMBERS.items()}
    for name, leaf in leaves.items():
        world.parameters[name] = leaf
    state = press(world, depth)
    sinks(world, state).backward()
    return state.detach(), {
        name: float(leaf.grad.sum() * leaf.detach().sum()) for name, leaf in {"depth": depth, **leaves}.items()
    }


def difference(world: World, name: str, by: float = 1e-6) -> float:
    """The same from two runs in which a number is larger and smaller by a share; wider, taxels begin to touch."""
    ends = []
    for factor in (1.0 + by, 1.0 - by):
        for each, value in NUMBERS.items():
            world.parameters[each] = value * (factor if each == name else 1.0)
        depth = torch.tensor(DEPTH * (factor if name == "depth" else 1.0), dtype=world.dtype)
        ends.append(float(sinks(world, press(world, depth))))
    return (ends[0] - ends[1]) / (2.0 * by)


if __name__ == "__main__":
    world = scene().make_world(1, dtype=torch.float64)
    state, found = slopes(world)
    force = float(world.gels["gel"].force(state)[0, 2])
    print(f"the ball sinks {1e3 * float(sinks(world, state)):.3f} mm; the gel feels {force:.3f} N")
    for name, slope in found.items():
        told = f"{1e3 * slope:+.5f} mm by the gradient, {1e3 * difference(world, name):+.5f} mm by differences"
        print(f"{name}: {told}")
