# SPDX-License-Identifier: Apache-2.0
"""Insert a round peg, held by two tactile fingers, into a socket."""

from __future__ import annotations

import numpy as np

from simenv.envs import Argument, register_task
from simenv.geometry.shapes import Cup, Cylinder
from simenv.tasks.tactile.peg import PegTask, rings

DEPTH, BASE, WALL = 0.0089916, 0.005, 0.012  # of the socket [m]
LENGTH = 0.05  # of the peg [m]


@register_task("SimEnv/PegInsertion-v0", max_episode_steps=256)
class PegInsertion(PegTask):
    """## Description

    Insert a peg held by two tactile fingers into a socket, as in TacSL. The peg, of steel, 16 mm wide and 50 mm long,
    is tilted in the hand; the place of the socket, 9 mm deep, is observed with an error. Task, randomisation,
    observations, actions, rewards and success follow Akinola et al. 2025 (TacSL).

    What is modelled: the hand as a rigid body (1 kg, 0.01 kg m^2) under TacSL's task-space impedance (600 N/m, 50 N
    m/rad, 50 N s/m, 1.41 N m s), without the arm's joints unless `robot` names one; fingers that close with 10 N; gels
    as beds of springs with friction that remembers (100 kPa, 4 mm, mu 1), whose force fields are what holds the peg;
    the peg's foot and the lower 9 mm of its side as 48 points against the socket (10 kN/m each, mu 0.3), its foot
    against the table. Fingers touch nothing but the peg.

    With `coupling="rigid"` there are no gels and no such points: bare fingers of the `robot`, with five ridges each,
    hold the peg by rigid contact (friction 1), and peg, fingers, socket and table touch each other likewise (0.3).

    Everything is differentiable: actions, state, gels, contact and gains. Kinks: touch and slip of
    taxels and points; `keypoints` jumps where the peg passes the mouth's height beside it. Forces of rigid contact, in
    `privileged` and the reward's `contact`, have no derivative.

    ## Action Space

    | Num | Action | Min | Max | Unit at 1 |
    |---|---|---|---|---|
    | 0-2 | goal of the hand along x, y, z, from where it is | -1 | 1 | 10 mm |
    | 3-5 | turn of the goal about x, y, z, world axes | -1 | 1 | 0.05 rad |

    ## Observation Space

    A dict; world frame, metres, quaternions xyzw. `reduced`: `state` (16), half openings of the fingers (2), pose of
    the hand (7), place of the socket with its error (3), its quaternion (4); with `robot`, the arm's joints [rad]
    before them, which makes TacSL's 23 with the Panda (and `privileged` 48). `privileged`: `state` (41), the same and
    velocity of the hand (6) [m/s, rad/s], pose of the peg (7), true place of the socket (3), force on the peg from
    socket and table, left gel, right gel (3 each) [N]. `force_field`: `left_field`, `right_field` (14, 10, 3), shear
    along x and y and normal force of each taxel [N]. `tactile_image`: `left_image`, `right_image` (80, 60, 3) uint8,
    what a GelSight R1.5 would see, as TacSL's policies do; rows go along the fingers. `wrist_camera`: `wrist_camera`
    (64, 64, 3) uint8, from a camera beside the palm. Modes join blocks by `+`, at most one of `privileged` (the
    default) and `reduced`: `reduced+tactile_image+force_field`. With `coupling="rigid"` the fingers are where the gels
    were, and there is neither field nor image of them.

    ## Rewards

    With D the mean distance of 4 keypoints, spread over 0.5 m along the peg's axis, from where they should be:
    `keypoints`, -0.1 D, and -D where the peg is below the mouth and beside it; `close`,
    0.1 / (e^(50 D) + 1e-4 + e^(-50 D)); `smooth`, -0.001 |a - a_last|; `contact`, -`contact_penalty` times the force
    on the peg [N], a hundredth of that where the peg is over the hole.

    ## Starting State

    Uniform: hand x 0.4 to 0.6, y +-0.1, z 0.1 to 0.2 m, roll and pitch +-0.1, yaw +-1 rad; socket x 0.4 to 0.6, y
    +-0.1, z 0 to 0.02 m; error of its observed place +-5 mm on each axis; the fingers hold the peg 12.5 +- 12.5 mm
    above its middle, tilted about their normal by +-0.628 rad. With `randomize`, the gels' stiffness and the hand's
    gains are drawn, too.

    With `stage="near"`: hand within 10 mm of the socket's axis, 56 to 66 mm above its mouth (6 to 16 mm more than a peg
    reaches down); yaw +-0.1 rad; socket within 20 mm of the middle, z 0; error of its observed place +-1 mm. How the
    peg lies in the hand is drawn as ever, and nothing else depends on it. 96 steps (`max_episode_steps`) are enough.

    ## Episode End

    Truncation after 256 steps (4.27 s). Success: D < 4.4958 mm, half the socket's depth.

    ## Version History

    * v0: first version.
    """

    held_radius = 0.008
    grasp = (0.0, 0.025)

    clearance = Argument(0.0005, "of the hole over the peg's diameter", unit="m", above=0.0, most=0.02)

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.play = self.clearance / 2

    def peg(self):
        heights = -LENGTH / 2 + np.linspace(0.0, DEPTH, 4)
        return Cylinder(self.held_radius, LENGTH / 2), rings(self.held_radius, heights), {}

    def socket(self):
        return Cup(self.held_radius + self.clearance / 2, BASE + DEPTH, WALL, BASE)

    def seat(self):
        return BASE + LENGTH / 2

    def mouth(self):
        return BASE + DEPTH, LENGTH / 2

    def evaluate(self, world, state, episode):
        distance = self.keypoint_distance(world, state, episode)
        return {"success": distance < 0.5 * DEPTH, "keypoint_distance": distance}
