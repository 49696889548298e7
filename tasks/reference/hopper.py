# SPDX-License-Identifier: Apache-2.0
"""Hop forwards on one leg."""

from __future__ import annotations

import math

import numpy as np
import torch

from simenv.envs import Range, Task, register_task
from simenv.envs.constants import constant
from simenv.geometry import Plane
from simenv.physics import exact
from simenv.physics.bodies.contacts import RigidContact
from simenv.robots import JointDrive
from simenv.tasks.reference import models
from simenv.world import Scene

TORQUE = 200.0  # of each motor at an action of 1 [N m]
NOISE = 5e-3  # of positions [m, rad] and rates [m/s, rad/s] at the start
LOW, LEAN = 0.7, 0.2  # the episode ends where the torso is lower [m], or leans more [rad]
WILD = 100.0  # or any angle or rate is as large [rad, m/s, rad/s]
FASTEST = 10.0  # rate that is observed at most [m/s, rad/s]
FAR = 22.4  # success: so far [m]
BOX = (-0.8, -0.6, 0.0), (1.8, 0.6, 1.5)  # what pictures show [m]
# The published law is a spring of 1 / (0.8 * 20 ms)^2 a kilogram that meets the floor, with critical damping; the foot
# counts as 6 kg there
GROUND = RigidContact(stiffness=2e4, dissipation=2.0, friction=1.0)
SOLE = RigidContact(stiffness=2e4, dissipation=2.0, friction=2.0)


@register_task("SimEnv/Hopper-v0", max_episode_steps=1000)
class Hopper(Task):
    """## Description

    Hop forwards on one leg as fast as you can. Torso, thigh, leg and foot move in the x-z plane (Erez, Tassa and
    Todorov 2011), with lengths, densities, joints, motors, ticks, reward and ends of Gymnasium's `Hopper-v5`. What
    differs: the floor is compliant contact of simenv, 2e4 N/m; a tick is a leapfrog of 2 ms, not Runge and Kutta's
    method; links pass through each other; thigh and leg start within their limits.

    Everything is differentiable. Kinks are where a capsule's end begins or ends to touch, sticking turns to sliding, a
    joint comes to its limit, and an observed rate to 10.

    ## Action Space

    | Num | Action | Min | Max | Unit at 1 |
    |---|---|---|---|---|
    | 0 | torque of the thigh's joint | -1 | 1 | 200 N m |
    | 1 | torque of the leg's joint | -1 | 1 | 200 N m |
    | 2 | torque of the foot's joint | -1 | 1 | 200 N m |

    ## Observation Space

    A vector (11): height of the torso [m] and its angle about y [rad], angles of thigh, leg and foot [rad]; velocity of
    the torso along x and z [m/s], and rates of the angles in this order [rad/s], all six cut to 10.

    ## Rewards

    `forward`: mean velocity along x in the step [m/s]. `alive`: 1 where the step does not end the episode as below.
    `control`: -0.001 |action|^2.

    ## Starting State

    Upright, 1.25 m high and all angles zero, to each of which a number from -0.005 to 0.005 [m, rad] is added, but to
    those of thigh and leg -0.005 to 0; rates from -0.005 to 0.005 [m/s, rad/s]. With `randomize`, the friction of the
    foot and the stiffness of its contact are drawn, too.

    ## Episode End

    Termination where the torso is lower than 0.7 m, leans by more than 0.2 rad, or any angle or rate is 100 or more
    [rad, m/s, rad/s]. Truncation after 1000 steps (8 s). Success: 22.4 m, with which an episode earns what
    Gymnasium calls solved, 3800.

    ## Version History

    * v0: first version.
    """

    action_limits = ((-1.0,) * 3, (1.0,) * 3)
    action_names = (("thigh", "200 N m"), ("leg", "200 N m"), ("foot", "200 N m"))
    observation_names = (
        "height", "angle", "thigh", "leg", "foot", "velocity x", "velocity z", "rate", "thigh rate", "leg rate",
        "foot rate",
    )  # fmt: skip

    def build(self) -> Scene:
        scene = Scene(substep_dt=2e-3, substeps=4, rigid=GROUND)
        scene.add_body("ground", Plane(), motion="fixed", color=(0.80, 0.82, 0.80, 1.0))
        scene.add_robot("hopper", models.hopper(), drive=JointDrive())
        scene.set_contact("hopper/foot", "ground", SOLE)
        return scene

    def sample(self, random):
        low, high = np.full(6, -NOISE), np.full(6, NOISE)
        high[3:5] = 0.0
        return {
            "positions": random.uniform("positions", low.tolist(), high.tolist(), (6,)),
            "rates": random.uniform("rates", -NOISE, NOISE, (6,)),
        }

    def randomisation(self):
        return {
            "ground|hopper/foot.friction": Range(1.2, 2.5, stream="friction"),
            "ground|hopper/foot.stiffness": Range(1e4, 4e4, unit="N/m", log=True, stream="stiffness"),
        }

    def initial_state(self, world, episode):
        hopper, state = world.robots["hopper"], world.initial_state()
        return hopper.place(state, hopper.positions(state) + episode["positions"], episode["rates"])

    def control(self, world, state, action, episode):
        return world.control(torques={"hopper": torch.cat([torch.zeros_like(action), TORQUE * action], -1)})

    def view(self, episode):
        low, high = (constant(each, episode["rates"].dtype, episode["rates"].device) for each in BOX)
        turn = torch.full_like(episode["rates"][:, 0], math.radians(25.0))
        return low.expand(len(turn), -1), high.expand(len(turn), -1), turn

    def observe(self, world, state, episode):
        hopper = world.robots["hopper"]
        return torch.cat([hopper.positions(state)[:, 1:], hopper.rates(state).clamp(-FASTEST, FASTEST)], -1)

    def _alive(self, world, state):
        """(N,) bool."""
        hopper = world.robots["hopper"]
        q, v = hopper.positions(state), hopper.rates(state)
        tame = (torch.cat([q[:, 2:], v], -1).abs() < WILD).all(1)
        return tame & (q[:, 1] > LOW) & (q[:, 2].abs() < LEAN)

    def reward(self, world, before, action, after, episode):
        hopper = world.robots["hopper"]
        way = hopper.positions(after)[:, 0] - hopper.positions(before)[:, 0]
        return {
            "forward": way / world.scene.control_dt,
            "alive": self._alive(world, after).to(way),
            "control": -1e-3 * exact.total(action**2),
        }

    def evaluate(self, world, state, episode):
        alive, way = self._alive(world, state), world.robots["hopper"].positions(state)[:, 0]
        return {"success": alive & (way >= FAR), "terminated": ~alive, "way": way}
