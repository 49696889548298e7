# SPDX-License-Identifier: Apache-2.0
"""Place a round peg, held tilted by two tactile fingers, upright on a pad."""

from __future__ import annotations

import numpy as np

from simenv.envs import register_task
from simenv.envs.constants import constant
from simenv.geometry.shapes import Cylinder
from simenv.physics import exact
from simenv.tasks.tactile.peg import PegTask, rings

PAD = (0.05, 0.025)  # radius and height of the pad [m]
LENGTH = 0.05  # of the peg [m]
UPRIGHT = np.cos(np.radians(15.0))  # success: least cosine of the lean
ASIDE, OFF = (
    0.6,
    0.005,
)  # success: distance from the middle in diameters of the peg, and height from where it stands [m]
WAIT, LIFT, STEPS = 8, 24, 256  # the fingers open in the first, the hand rises in the second steps after the policy's


@register_task("SimEnv/PegPlacement-v0", max_episode_steps=288)
class PegPlacement(PegTask):
    """## Description

    Put a peg held by two tactile fingers upright on a pad, as in TacSL. The peg, of steel, 16 mm wide and 50 mm long,
    is tilted in the hand; the place of the pad (100 mm wide, 25 mm high) is observed with an error. Then the fingers
    open and the hand rises, by themselves, and the peg must stand. Task, randomisation, observations, actions, rewards
    and success follow Akinola et al. 2025 (TacSL).

    What is modelled, and what is differentiable, is as in `PegInsertion-v0`; contact points are the rim of the peg's
    foot (12), against pad and table. Once the peg has fallen, its side goes through pad and table.

    ## Action Space

    | Num | Action | Min | Max | Unit at 1 |
    |---|---|---|---|---|
    | 0-2 | goal of the hand along x, y, z, from where it is | -1 | 1 | 10 mm |
    | 3-5 | turn of the goal about x, y, z, world axes | -1 | 1 | 0.05 rad |

    After 256 steps the actions have no effect.

    ## Observation Space

    A dict; world frame, metres, quaternions xyzw. `reduced`: `state` (16, and before them the joints of a robot),
    half openings of the fingers (2), pose of the hand (7), place of the pad's foot with its error (3), its quaternion
    (4). `privileged`: `state` (41), the same and velocity of the hand (6) [m/s, rad/s], pose of the peg (7), true
    place of the pad (3), force on the peg from pad and table, left gel, right gel (3 each) [N]. `force_field`:
    `left_field`, `right_field` (14, 10, 3), shear along x and y and normal force of each taxel [N]. `tactile_image`:
    `left_image`, `right_image` (80, 60, 3) uint8, what a GelSight R1.5 would see, as TacSL's policies do; rows go
    along the fingers. `wrist_camera`: `wrist_camera` (64, 64, 3) uint8, from a camera beside the palm. Modes join
    blocks by `+`, at most one of `privileged` (the default) and `reduced`: `reduced+tactile_image+force_field`.

    ## Rewards

    As `PegInsertion-v0`, with the goal upright on the middle of the pad.

    ## Starting State

    As `PegInsertion-v0`, with the pad for the socket.

    ## Episode End

    Truncation after 288 steps (4.8 s): 256 of the policy, 8 in which the fingers open, 24 in which the hand rises.
    Success: after that the peg leans at most 15 degrees, its middle is at most 9.6 mm (0.6 diameters) beside the pad's,
    and within 5 mm of the height at which it stands. A shorter limit (`max_episode_steps`) ends before that.

    ## Version History

    * v0: first version.
    """

    held_radius = 0.008
    play = 0.005
    grasp = (0.0, 0.025)

    def build(self):
        scene = super().build()
        scene.add_mark("goal", Cylinder(self.held_radius + 0.003, 0.0005), (0.05, 0.62, 0.52, 1.0))
        return scene

    def marks(self, world, state, episode):
        top = constant((0.0, 0.0, PAD[1] / 2), world.dtype, world.device)
        return {"goal": (world.bodies["socket"].pose(state)[:, :3] + top)[:, None]}

    def peg(self):
        rim = rings(self.held_radius, np.array([-LENGTH / 2]))
        return Cylinder(self.held_radius, LENGTH / 2), rim, {}

    def socket(self):
        return Cylinder(PAD[0], PAD[1] / 2)

    def seat(self):
        return PAD[1] / 2 + LENGTH / 2

    def mouth(self):
        return PAD[1] / 2, LENGTH / 2

    def after_policy(self, time):
        lift = (time > WAIT / 60.0).to(time) * 0.010
        return 0.0 * time, lift, time > 0.0

    def evaluate(self, world, state, episode):
        lean, offset = self.axis(world, state)[:, 2], self.offset(world, state, episode)
        aside = exact.norm(offset[:, :2])
        stands = (lean > UPRIGHT) & (aside < ASIDE * 2 * self.held_radius) & (offset[:, 2].abs() < OFF)
        over = state.time > (STEPS + WAIT + LIFT - 0.5) * world.dt
        return {"success": stands & over, "upright": lean, "aside": aside}
