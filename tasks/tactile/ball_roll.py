# SPDX-License-Identifier: Apache-2.0
"""Roll a ball on a table to a goal, by the shear of a tactile pad that presses on it."""

from __future__ import annotations

import math

import numpy as np
import torch

from simenv.envs import Argument, Range, Task, register_task
from simenv.envs.constants import constant
from simenv.envs.images import gel_images, pixels
from simenv.envs.modes import observe_blocks, with_extras
from simenv.geometry.shapes import Box, Cylinder, Plane, Sphere
from simenv.physics import exact
from simenv.sensors.tactile import flat_grid, layer_gels
from simenv.sensors.tactile.sensors import SENSORS
from simenv.world import ContactLaw, Scene

RADIUS = 0.015  # of the ball [m]
DENSITY = 2500.0  # of glass [kg/m^3]
GELS = layer_gels(modulus=1.5e5, poisson=0.48, thickness=3e-3, mu=0.8)
PAD, TAXELS = 0.048, 24  # side of the pad [m], taxels along it
PRESS = 4e-4  # depth of the ball in the gel at the start [m]
GOAL = (0.006, 0.014)  # distance of the goal from the ball at the start [m]
MOVE = 0.010  # of the goal from the pad at an action of 1 [m]
NEAR, SLOW = 0.001, 0.01  # success: distance [m] and speed [m/s] at the end
DOWN = (1.0, 0.0, 0.0, 0.0)


@register_task("SimEnv/BallRoll-v0", max_episode_steps=60)
class BallRoll(Task):
    """## Description

    Roll a ball to a goal under a tactile pad, by shear. The ball, of glass and 30 mm wide, lies on a table under the
    flat pad, which presses on it, and must stay at the goal. Without slip it goes half as far as the pad. An impedance
    drives the pad (600 N/m, 50 N s/m; 1 kg); the gel is a bed of springs with friction that remembers (150 kPa, 3 mm,
    mu 0.8), whose force field is both what the pad reads and what moves the ball. The table is stiff (20 kN/m) and has
    friction (mu 0.5).

    Everything is differentiable: actions, state, masses, gel, friction and gains. The kinks are taxels that begin to
    touch or to slip, and the ball leaving pad or table.

    ## Action Space

    | Num | Action | Min | Max | Unit at 1 |
    |---|---|---|---|---|
    | 0 | goal of the pad along x, from where it is | -1 | 1 | 10 mm |
    | 1 | goal along y | -1 | 1 | 10 mm |
    | 2 | goal along z, up | -1 | 1 | 10 mm, which pulls with 6 N |

    ## Observation Space

    A dict; lengths in metres, from the ball's place at the start on the table. Block `privileged`: `ball` (13),
    position, quaternion, velocity, angular velocity; `pad` (6), position and velocity; `goal` (2). Block `reduced`:
    `pad`, `goal`, and `wrench` (6) on the gel in its frame [N, N m]. Block `force_field`: `field` (24, 24, 3),
    shear along x and y and normal force of each taxel [N]. Block `tactile_image`: `image` (64, 64, 3) uint8, what
    the camera of a gel of this size with a GelSight Mini's colours would see. Modes join blocks by `+`, at most one
    of `reduced` (the default) and `privileged`: `reduced+tactile_image+force_field`.

    ## Rewards

    `nearer`: 2 for the whole way to the goal, in proportion. `stay`: -0.2 (d / 5 mm)^2 / (1 + (d / 5 mm)^2) per step,
    d the ball's distance to the goal. `calm`: -0.1 (v / 0.1 m/s)^2 in the last 5 steps before the time limit, v the
    ball's speed. `effort`: -0.001 |action|^2.

    ## Starting State

    All at rest, the ball pressed into the gel by 0.4 mm. The goal is 6 to 14 mm from the ball in any direction. The pad
    is off the ball's middle by up to 3 mm along x and y. With `randomize`, the ball's mass, the gel's stiffness
    and both frictions are drawn, too.

    ## Episode End

    Truncation after 60 steps (0.96 s). Success: the ball is within 1 mm of the goal, slower than 1 cm/s, and touches
    the pad.

    ## Version History

    * v0: first version.
    """

    action_limits = ((-1.0,) * 3, (1.0,) * 3)
    action_names = (("goal x", "10 mm"), ("goal y", "10 mm"), ("goal z", "10 mm"))
    observation_modes = with_extras(("reduced", "privileged"), ("tactile_image", "force_field"))
    gel = Argument("springs", "taxels of an elastic layer move each other; it is about a tenth as stiff", choices=GELS)
    tactile_sensor = Argument("gelsight_mini", "whose colours", choices=tuple(SENSORS))
    image_size = Argument((64, 64), "rows and columns of the tactile image", check=pixels)

    def build(self) -> Scene:
        scene = Scene(substep_dt=1e-3, substeps=16, lead=1e-3, contact=ContactLaw(2e4, 4.0, 1e4, 0.5))
        scene.add_body("table", Plane(), motion="fixed")
        scene.add_body("pad", position=(0.0, 0.0, 2 * RADIUS - PRESS), quaternion=DOWN, motion="hand")
        place, red = (0.0, 0.0, RADIUS), (0.80, 0.34, 0.22, 1.0)
        scene.add_body("ball", Sphere(RADIUS), DENSITY, place, motion="free", color=red)
        scene.add_points("ball", "table", np.zeros((1, 3)), radius=RADIUS)
        scene.add_gel("gel", "pad", "ball", flat_grid(TAXELS, TAXELS, PAD, PAD), self.gel)
        scene.let_pass("pad", "table", "the ball is between them")
        scene.view, scene.angles = ((-0.036, -0.03, 0.0), (0.036, 0.03, 0.05)), (0.14, 0.4)
        scene.add_look(
            "plate", Box((PAD / 2, PAD / 2, 0.001)), "pad", (0.0, 0.0, -0.001), color=(0.93, 0.97, 0.98, 0.1)
        )
        scene.add_look("stem", Cylinder(0.004, 0.012), "pad", (0.0, 0.0, -0.014))
        scene.add_mark("goal", Cylinder(RADIUS + 0.004, 0.0004), (0.05, 0.62, 0.52, 1.0))
        return scene

    def sample(self, random):
        distance, angle = random.uniform("distance", *GOAL), random.uniform("angle", 0.0, 2 * math.pi)
        goal = distance[:, None] * torch.stack(exact.sincos(angle)[::-1], -1)
        return {"goal": goal, "offset": random.uniform("offset", -0.003, 0.003, (2,))}

    def randomisation(self):
        mass, stiffness = DENSITY * 4 / 3 * math.pi * RADIUS**3, self.gel.parameters[0]
        return {
            "ball.mass": Range(0.7, 1.3, of=mass, unit="kg", stream="mass"),
            f"gel.{stiffness}": Range(0.7, 1.3, of=getattr(self.gel, stiffness), stream="stiffness"),
            "gel.mu": Range(0.4, 1.0, stream="friction"),
            "contact.friction": Range(0.4, 1.0, stream="table"),
        }

    def initial_state(self, world, episode):
        state, pad = world.initial_state(), world.bodies["pad"]
        pose = pad.pose(state)
        return world.touch_anew(pad.place(state, torch.cat([episode["offset"], pose[:, 2:]], -1)))

    def control(self, world, state, action, episode):
        return world.control(goal={"pad": world.bodies["pad"].near(state, MOVE * action, torch.zeros_like(action))})

    def nominal_actions(self, steps: int) -> np.ndarray:
        return np.tile([0.0, 0.0, -0.2], (steps, 1))

    def observe(self, world, state, episode):
        pad, ball = world.bodies["pad"], world.bodies["ball"]
        above = constant((0.0, 0.0, 2 * RADIUS), world.dtype, world.device)
        place, speed = pad.pose(state)[:, :3] - above, pad.twist(state)[:, :3]
        seen = {"pad": torch.cat([place, speed], -1), "goal": episode["goal"]}
        return observe_blocks(self.observation_mode, {
            "privileged": lambda: {**seen, "ball": torch.cat([ball.pose(state), ball.twist(state)], -1)},
            "reduced": lambda: {**seen, "wrench": world.gels["gel"].wrench(state)},
            "force_field": lambda: {"field": world.gels["gel"].field(state).unflatten(1, (TAXELS, TAXELS))},
            "tactile_image": lambda: gel_images(world, state, self.image_size, self.tactile_sensor),
        })  # fmt: skip

    def marks(self, world, state, episode):
        goal = episode["goal"]
        return {"goal": torch.cat([goal, torch.zeros_like(goal[:, :1])], -1)[:, None]}

    def _distance(self, world, state, episode):
        """Distance of the ball to the goal on the table (N,) [m]; 10 um round the root at 0."""
        return (exact.total((world.bodies["ball"].pose(state)[:, :2] - episode["goal"]) ** 2) + 1e-10).sqrt()

    def reward(self, world, before, action, after, episode):
        old, new = self._distance(world, before, episode), self._distance(world, after, episode)
        square = (new / 0.005) ** 2
        speed = exact.total(world.bodies["ball"].twist(after)[:, :3] ** 2)
        last = after.time > world.dt * (self.max_episode_steps - 4.5)
        return {
            "nearer": 2.0 * (old - new) / exact.norm(episode["goal"]),
            "stay": -0.2 * square / (1.0 + square),
            "calm": torch.where(last, -0.1 * speed / 0.1**2, 0.0),
            "effort": -0.001 * exact.total(action**2),
        }

    def evaluate(self, world, state, episode):
        distance, speed = self._distance(world, state, episode), exact.norm(world.bodies["ball"].twist(state)[:, :3])
        force = exact.total(world.gels["gel"].field(state)[..., 2])
        success = (distance < NEAR) & (speed < SLOW) & (force > 0.0)
        return {"success": success, "distance": distance, "speed": speed, "force": force}
