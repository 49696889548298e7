# SPDX-License-Identifier: Apache-2.0
"""A complete small task of particles to copy: push a soft block to a goal with a ball on a stick.

Copy this file, rename the class and the id, and change one method at a time. ``template_touch.py`` is the same for
touch, ``template_robot.py`` for robots. Importing the file registers the task; in your own package that is all, inside
this repository the table in ``simenv/__init__.py`` gets a row too.
"""

from __future__ import annotations

import numpy as np
import torch

from simenv.envs import Argument, EpisodeRandom, Range, Task, observations, register_task
from simenv.envs.measures import centre_of_mass
from simenv.geometry import Plane, Sphere
from simenv.physics import exact
from simenv.physics.mpm.materials import Elastic
from simenv.world import Control, Scene, State, World

# Plain numbers with units at the top, so that a reader sees the size of everything.
DOMAIN = (0.24, 0.24, 0.12)  # [m]
DX = 0.012  # grid spacing [m]; particles at half of it, eight per cell
FLOOR = 0.012  # height of the table [m]
BLOCK = (0.048, 0.048, 0.036)  # size of the block [m]
START = (0.12, 0.12)  # its centre in the plane [m]
BALL = 0.014  # radius of the tool [m]
SPEED = 0.15  # of the tool at an action of 1 [m/s]
SUCCESS = 0.01  # the block's centre is this close to the goal [m]


@register_task("Example/PushBlock-v0", max_episode_steps=60)
class PushBlock(Task):
    """## Description

    Push a soft block to a goal with a ball. The elastic block lies on a table; the rigid ball moves by its velocity.

    ## Action Space

    | Num | Action | Min | Max | Unit at 1 |
    |---|---|---|---|---|
    | 0 | velocity of the ball along x | -1 | 1 | 0.15 m/s |
    | 1 | velocity of the ball along y | -1 | 1 | 0.15 m/s |

    ## Observation Space

    A vector (63): `goal` (2) [m], position of the ball (3) [m], force of the block on the ball (3) [N], centre of the
    block (3) [m] and its velocity (3) [m/s], positions [m] and velocities [m/s] of 8 particles (48), and the distance
    of the block to the goal in the plane (1) [m].

    ## Rewards

    `progress`: 10 per metre that the block's centre comes nearer to the goal. `reach`: 1 per metre that the ball comes
    nearer to the block. `effort`: -0.001 |action|^2.

    ## Starting State

    The block rests at the middle of the table, the ball stands 6 cm in front of it along -x. The goal is drawn
    uniformly 3 to 5 cm beyond the block along x and up to 2 cm to either side. With `randomize`, the stiffness of the
    block is drawn, too.

    ## Episode End

    Truncation after 60 steps (1.2 s). Termination when the ball leaves the table or the simulation fails. Success: the
    block's centre is within 1 cm of the goal.

    ## Version History

    * v0: first version.
    """

    # Actions lie in [-1, 1]: learning libraries expect it. `control` scales them to SI units.
    action_limits = ((-1.0, -1.0), (1.0, 1.0))
    action_names = (("velocity x", "0.15 m/s"), ("velocity y", "0.15 m/s"))

    # What a caller may choose: gym.make(id, youngs_modulus=...). Checked, documented above, and kept by recordings.
    youngs_modulus = Argument(2e4, "stiffness of the block", unit="Pa", above=0.0)

    def build(self) -> Scene:
        """One world, described once; the environment makes N of it."""
        # Explicit dynamics: sound may travel half a cell per substep. 20 substeps of 1 ms make a control step of 20 ms.
        scene = Scene(DOMAIN, DX, substep_dt=1e-3, substeps=20)
        # A fluid is the same with Liquid(density, bulk_modulus, viscosity) and points of `fill` or `fill_cavity`.
        scene.add_material("foam", Elastic(density=1000.0, youngs_modulus=self.youngs_modulus, poisson_ratio=0.3))
        axes = [np.arange(DX / 4, length, DX / 2) for length in BLOCK]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        corner = np.array([START[0] - BLOCK[0] / 2, START[1] - BLOCK[1] / 2, FLOOR])
        scene.add_particles("block", "foam", corner + grid, volume=(DX / 2) ** 3)
        scene.add_collider("table", Plane(), position=(0.0, 0.0, FLOOR), friction=0.2)
        scene.add_body("tool", position=(START[0] - 0.06, START[1], FLOOR + BLOCK[2] / 2))
        # A contact that fades in over a width gives useful gradients with respect to the tool's pose.
        scene.add_collider("ball", Sphere(BALL), body="tool", friction=0.3, width=0.4 * DX)
        return scene

    def sample(self, random: EpisodeRandom) -> dict[str, torch.Tensor]:
        """What every episode draws, for all worlds at once."""
        nearest, farthest = (START[0] + 0.03, START[1] - 0.02), (START[0] + 0.05, START[1] + 0.02)
        return {"goal": random.uniform("goal", nearest, farthest, shape=(2,))}

    def randomisation(self) -> dict[str, Range]:
        """The physical parameters that gym.make(id, randomize=True) draws for each episode, and from where."""
        low, high = 0.7 * self.youngs_modulus, 1.3 * self.youngs_modulus
        return {"foam.youngs_modulus": Range(low, high, unit="Pa", stream="youngs_modulus")}

    # Override initial_state(world, episode) to move bodies or particles; the default is the scene as built.

    def control(self, world: World, state: State, action: torch.Tensor, episode: dict[str, torch.Tensor]) -> Control:
        """Actions become twists (N, 6) of bodies: velocity [m/s] and angular velocity [rad/s], world axes."""
        still = torch.zeros_like(action)
        return world.control(twist={"tool": torch.cat([SPEED * action, still, still], dim=-1)})

    def observe(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> torch.Tensor:
        """One tensor (N, ...) or a flat dict of them; the space follows from what is returned."""
        points = observations.keypoints(state, world.particle_groups["block"], 8)
        return torch.cat(
            [
                episode["goal"],
                world.bodies["tool"].pose(state)[:, :3],
                world.colliders["ball"].wrench(state)[:, :3],
                centre_of_mass(state.x, state.active),
                centre_of_mass(state.v, state.active),
                points.flatten(1),
                self._to_goal(state, episode).unsqueeze(-1),
            ],
            dim=-1,
        )

    def reward(
        self, world: World, before: State, action: torch.Tensor, after: State, episode: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Named terms; their sum is the reward. Smooth ones give gradients. No `if` on a value: use torch.where."""
        return {
            "progress": 10.0 * (self._to_goal(before, episode) - self._to_goal(after, episode)),
            "reach": self._to_block(world, before) - self._to_block(world, after),
            "effort": -0.001 * exact.total(action**2),
        }

    def evaluate(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Hard judgements, without a gradient: "success" always; "terminated" and measures of your own if you like."""
        ball = world.bodies["tool"].pose(state)[:, :2]
        outside = ((ball < BALL) | (ball > DOMAIN[0] - BALL)).any(dim=-1)
        distance = self._to_goal(state, episode)
        return {"success": distance < SUCCESS, "terminated": outside, "distance": distance}

    def _to_goal(self, state: State, episode: dict[str, torch.Tensor]) -> torch.Tensor:
        """(N,) distance of the block's centre to the goal in the plane [m]; 1e-8 keeps its gradient finite."""
        offset = centre_of_mass(state.x, state.active)[:, :2] - episode["goal"]
        return torch.sqrt(exact.total(offset**2) + 1e-8)

    def _to_block(self, world: World, state: State) -> torch.Tensor:
        """(N,) distance of the ball to the block's centre in the plane [m]."""
        offset = centre_of_mass(state.x, state.active)[:, :2] - world.bodies["tool"].pose(state)[:, :2]
        return torch.sqrt(exact.total(offset**2) + 1e-8)
