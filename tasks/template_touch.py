# SPDX-License-Identifier: Apache-2.0
"""A complete small task of touch to copy: slide a tile to a goal with a tactile pad that presses on it.

Copy this file, rename the class and the id, and change one method at a time. ``template.py`` is the same for particles,
``template_robot.py`` for robots. Importing the file registers the task; in your own package that is all, inside this
repository the table in ``simenv/__init__.py`` gets a row too.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from simenv.envs import Argument, EpisodeRandom, Range, Task, register_task
from simenv.geometry import Box, Plane
from simenv.physics import exact
from simenv.sensors.tactile import WinklerGel, flat_grid
from simenv.world import ContactLaw, Control, Scene, State, World

# Plain numbers with units at the top, so that a reader sees the size of everything.
TILE = (0.06, 0.06, 0.016)  # size of the tile [m]
PAD = 0.020  # width of the gel [m]
PLATE = 0.006  # thickness of the plate that carries it [m]
TAXELS = 8  # along each side of the gel
PRESS = 1e-4  # depth of the gel at the start [m]
MOVE = 0.010  # of the goal from the pad at an action of 1 [m]; at 600 N/m that pulls with 6 N
GOAL = (0.008, 0.016)  # from the tile at the start [m]
SUCCESS = 0.002  # the tile's centre is this close to the goal [m]
SLOW = 0.01  # and slower than this [m/s]
DOWN = (1.0, 0.0, 0.0, 0.0)  # quaternion xyzw that turns the z axis of the pad, which points out of the gel, downwards


@register_task("Example/SlideTile-v0", max_episode_steps=60)
class SlideTile(Task):
    """## Description

    Slide a tile to a goal under a tactile pad, by friction. The aluminium tile lies on a table; an impedance drives the
    pad, whose gel presses on the tile from above. Too little force lets the gel slip, too much holds the tile fast.

    ## Action Space

    | Num | Action | Min | Max | Unit at 1 |
    |---|---|---|---|---|
    | 0 | goal of the pad along x, from where it is | -1 | 1 | 10 mm, which pulls with 6 N |
    | 1 | goal along y | -1 | 1 | 10 mm |
    | 2 | goal along z, up | -1 | 1 | 10 mm |

    ## Observation Space

    A vector (18): `goal` (2) [m], position (3) [m] and velocity (3) [m/s] of the pad, force (3) [N] and moment (3)
    [N m] on the gel in its frame, position (2) [m] and velocity (2) [m/s] of the tile in the plane.

    ## Rewards

    `progress`: 1 for the whole way, in proportion to how much nearer to the goal the tile comes. `touch`: -0.01
    (F - 3 N)^2 / (1 + (F - 3 N)^2) per step, F the normal force on the gel. `effort`: -0.001 |action|^2.

    ## Starting State

    All at rest, the gel pressed in by 0.1 mm, the pad up to 5 mm off the tile's middle along x and y. The goal is drawn
    8 to 16 mm from the tile in any direction. With `randomize`, the tile's mass, the gel's stiffness and the friction
    of the table are drawn, too.

    ## Episode End

    Truncation after 60 steps (0.96 s). Termination when the pad is more than 5 cm from the middle of the table or the
    simulation fails. Success: the tile's centre is within 2 mm of the goal and slower than 1 cm/s.

    ## Version History

    * v0: first version.
    """

    # Actions lie in [-1, 1]: learning libraries expect it. `control` scales them to SI units.
    action_limits = ((-1.0,) * 3, (1.0,) * 3)
    action_names = (("goal x", "10 mm"), ("goal y", "10 mm"), ("goal z", "10 mm"))

    # What a caller may choose: gym.make(id, density=...). Checked, documented above, and kept by recordings.
    density = Argument(2700.0, "of the tile", unit="kg/m^3", least=1000.0)

    def build(self) -> Scene:
        """One world, described once; the environment makes N of it."""
        # Bodies and gels need no grid: neither size nor dx. Springs limit the substep instead.
        # 16 substeps of 1 ms make a control step of 16 ms; `lead` is the gels' damping over stiffness [s].
        scene = Scene(substep_dt=1e-3, substeps=16, lead=1e-3, contact=ContactLaw(2e4, 20.0, 1e4, friction=0.2))
        # Four motions: "fixed" stands, "free" is moved by what pushes it, a "hand" by an impedance that pulls it to a
        # goal, and "given" as a twist says, whatever pushes it.
        scene.add_body("table", Plane(), motion="fixed")
        half = (TILE[0] / 2, TILE[1] / 2, TILE[2] / 2)
        scene.add_body("tile", Box(half), self.density, position=(0.0, 0.0, TILE[2] / 2), motion="free")
        height = TILE[2] + PLATE / 2 - PRESS
        plate = Box((PAD / 2, PAD / 2, PLATE / 2))
        scene.add_body("pad", plate, position=(0.0, 0.0, height), quaternion=DOWN, motion="hand")
        # Bodies touch where the scene says so: a gel on one that presses on another, or points of one on a fixed one.
        gel = WinklerGel.from_layer(modulus=5e4, poisson=0.45, thickness=3e-3, mu=1.0)
        scene.add_gel("gel", "pad", "tile", flat_grid(TAXELS, TAXELS, PAD, PAD), gel, position=(0.0, 0.0, PLATE / 2))
        corners = [(x * half[0], y * half[1], -half[2]) for x in (-1, 1) for y in (-1, 1)]
        scene.add_points("tile", "table", np.array(corners), share=4.0)
        scene.let_pass("pad", "table", "the tile is between them")
        return scene

    def sample(self, random: EpisodeRandom) -> dict[str, torch.Tensor]:
        """What every episode draws, for all worlds at once."""
        sine, cosine = exact.sincos(random.uniform("angle", 0.0, 2 * math.pi))
        goal = random.uniform("distance", *GOAL)[:, None] * torch.stack([cosine, sine], -1)
        return {"goal": goal, "offset": random.uniform("offset", -0.005, 0.005, (2,))}

    def randomisation(self) -> dict[str, Range]:
        """The physical parameters that gym.make(id, randomize=True) draws for each episode, and from where."""
        mass = self.density * TILE[0] * TILE[1] * TILE[2]
        return {
            "tile.mass": Range(0.8, 1.2, of=mass, unit="kg", stream="mass"),
            "gel.k_n": Range(4.5e7, 7.5e7, unit="Pa/m", stream="stiffness"),
            "contact.friction": Range(0.1, 0.3, stream="table"),
        }

    def initial_state(self, world: World, episode: dict[str, torch.Tensor]) -> State:
        """The scene as built, with the pad moved. Who moves what touches lets the gels look anew."""
        state, pad = world.initial_state(), world.bodies["pad"]
        pose = torch.cat([episode["offset"], pad.pose(state)[:, 2:]], -1)
        return world.touch_anew(pad.place(state, pose))

    def control(self, world: World, state: State, action: torch.Tensor, episode: dict[str, torch.Tensor]) -> Control:
        """Actions become goals (N, 7) of hands: here beside where the pad is, so that an action is a force."""
        goal = world.bodies["pad"].near(state, MOVE * action, torch.zeros_like(action))
        return world.control(goal={"pad": goal})

    def observe(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> torch.Tensor:
        """One tensor (N, ...) or a flat dict of them; the space follows from what is returned."""
        pad, tile, gel = world.bodies["pad"], world.bodies["tile"], world.gels["gel"]
        return torch.cat(
            [
                episode["goal"],
                pad.pose(state)[:, :3],
                pad.twist(state)[:, :3],
                gel.wrench(state),  # gel.field(state) is what each taxel feels
                tile.pose(state)[:, :2],
                tile.twist(state)[:, :2],
            ],
            dim=-1,
        )

    def reward(
        self, world: World, before: State, action: torch.Tensor, after: State, episode: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Named terms; their sum is the reward. Smooth ones give gradients. No `if` on a value: use torch.where."""
        nearer = self._to_goal(world, before, episode) - self._to_goal(world, after, episode)
        square = (-world.gels["gel"].wrench(after)[:, 2] - 3.0) ** 2  # z points out of the gel: a press is negative
        return {
            "progress": nearer / exact.norm(episode["goal"]),
            "touch": -0.01 * square / (1.0 + square),  # bends over to 0.01 far away
            "effort": -0.001 * exact.total(action**2),
        }

    def evaluate(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Hard judgements, without a gradient: "success" always; "terminated" and measures of your own if you like."""
        distance, speed = self._to_goal(world, state, episode), exact.norm(world.bodies["tile"].twist(state)[:, :3])
        away = exact.norm(world.bodies["pad"].pose(state)[:, :2]) > 0.05
        return {"success": (distance < SUCCESS) & (speed < SLOW), "terminated": away, "distance": distance}

    def _to_goal(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> torch.Tensor:
        """(N,) distance of the tile's centre to the goal in the plane [m]; 1e-10 keeps its gradient finite."""
        offset = world.bodies["tile"].pose(state)[:, :2] - episode["goal"]
        return torch.sqrt(exact.total(offset**2) + 1e-10)
