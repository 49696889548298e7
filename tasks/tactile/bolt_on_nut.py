# SPDX-License-Identifier: Apache-2.0
"""Put a bolt, held by two tactile fingers, into a nut, and turn it."""

from __future__ import annotations

import numpy as np

from simenv.assets import path
from simenv.envs import Argument, register_task
from simenv.geometry.shapes import Cup, Cylinder, MeshShape
from simenv.physics import exact
from simenv.physics.bodies.model import body_properties
from simenv.tasks.tactile.peg import PegTask, rings

SHANK, HEAD = 0.030, 0.016  # lengths of shank and head [m]
NUT, BASE, WALL = 0.013, 0.003, 0.004  # height of the nut, thickness of what it lies on, wall of the nut [m]
UPRIGHT = np.cos(np.radians(15.0))  # success: least cosine of the lean
ASIDE = 0.6  # success: distance from the middle in diameters of the bolt
TURN, WAIT, LIFT, STEPS = 36, 8, 24, 256  # steps of turning, opening and rising after the policy's


@register_task("SimEnv/BoltOnNut-v0", max_episode_steps=324)
class BoltOnNut(PegTask):
    """## Description

    Put a bolt held by two tactile fingers into a nut (both smooth) and turn it. The bolt is an M16 cap screw, held by
    its head; the place of the nut, into which it goes upright, is observed with an error. Then, by themselves, the hand
    turns by about 1 rad, the fingers open and the hand rises, and the bolt must stay upright in the nut. Task,
    randomisation, observations, actions, rewards and success follow Akinola et al. 2025 (TacSL), who give no results
    for it.

    There is no thread: bolt and nut are smooth, with a clearance, and the bolt goes in by sliding. What else is
    modelled, and what is differentiable, is as in `PegInsertion-v0`; contact points are 60 on the lower 14 mm of the
    shank, against the nut, and its tip, against the table.

    ## Action Space

    | Num | Action | Min | Max | Unit at 1 |
    |---|---|---|---|---|
    | 0-2 | goal of the hand along x, y, z, from where it is | -1 | 1 | 10 mm |
    | 3-5 | turn of the goal about x, y, z, world axes | -1 | 1 | 0.05 rad |

    After 256 steps the actions have no effect.

    ## Observation Space

    A dict; world frame, metres, quaternions xyzw. `reduced`: `state` (16, and before them the joints of a robot),
    half openings of the fingers (2), pose of the hand (7), place of the nut's foot with its error (3), its quaternion
    (4). `privileged`: `state` (41), the same and velocity of the hand (6) [m/s, rad/s], pose of the bolt's centre of
    mass (7), true place of the nut (3), force on the bolt from nut and table, left gel, right gel (3 each) [N].
    `force_field`: `left_field`, `right_field` (14, 10, 3), shear along x and y and normal force of each taxel [N].
    `tactile_image`: `left_image`, `right_image` (80, 60, 3) uint8, what a GelSight R1.5 would see, as TacSL's
    policies do; rows go along the fingers. `wrist_camera`: `wrist_camera` (64, 64, 3) uint8, from a camera beside the
    palm. Modes join blocks by `+`, at most one of `privileged` (the default) and `reduced`:
    `reduced+tactile_image+force_field`.

    ## Rewards

    As `PegInsertion-v0`, with the goal upright on the floor of the nut.

    ## Starting State

    As `PegInsertion-v0`, with the nut for the socket, but for the grasp: the fingers hold the middle of the head, +-3
    mm along the axis, and the bolt leans by up to +-0.3 rad.

    ## Episode End

    Truncation after 324 steps (5.4 s): 256 of the policy, 36 of turning, 8 in which the fingers open, 24 in which the
    hand rises. Success: after that the bolt leans at most 15 degrees, its axis is at most 9.6 mm (0.6 diameters) beside
    the nut's, and its tip is in the nut. A shorter limit (`max_episode_steps`) ends before that.

    ## Version History

    * v0: first version.
    """

    held_radius = 0.012
    held_length = HEAD
    tilt = 0.3

    clearance = Argument(0.001, "of the nut over the bolt's diameter", unit="m", above=0.0, most=0.02)

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.play = self.clearance / 2
        self.bolt = MeshShape(str(path("bolt.stl")))
        self.centre = float(body_properties("bolt", self.bolt)[1][2])  # of mass, above the tip [m]
        head = SHANK + HEAD / 2 - self.centre
        self.grasp = (head - 0.003, head + 0.003)

    def peg(self):
        shank = rings(0.008, 0.001 + np.linspace(0.0, NUT, 4))
        points = np.concatenate([rings(0.007, np.array([0.0])), shank])
        head = {"shape": Cylinder(self.held_radius, HEAD / 2), "shape_position": (0.0, 0.0, SHANK + HEAD / 2)}
        return self.bolt, points, head

    def socket(self):
        return Cup(0.008 + self.clearance / 2, BASE + NUT, WALL, BASE)

    def seat(self):
        return BASE + self.centre

    def mouth(self):
        return BASE + NUT, self.centre

    def after_policy(self, time):
        turned, opened = time > TURN / 60.0, time > (TURN + WAIT) / 60.0
        return (~turned).to(time) * 0.05, opened.to(time) * 0.010, turned

    def evaluate(self, world, state, episode):
        lean, offset = self.axis(world, state)[:, 2], self.offset(world, state, episode)
        aside = exact.norm(offset[:, :2])
        seated = (lean > UPRIGHT) & (aside < ASIDE * 0.016) & (offset[:, 2].abs() < NUT)
        over = state.time > (STEPS + TURN + WAIT + LIFT - 0.5) * world.dt
        return {"success": seated & over, "upright": lean, "aside": aside}
