# SPDX-License-Identifier: Apache-2.0
"""Run on four legs."""

from __future__ import annotations

import math

import torch

from simenv.envs import Range, Task, register_task
from simenv.envs.constants import constant
from simenv.geometry import Plane
from simenv.physics import exact
from simenv.physics.bodies.contacts import RigidContact
from simenv.physics.rotation import rotate
from simenv.robots import JointDrive
from simenv.tasks.reference import models
from simenv.world import Scene

TORQUE = 150.0  # of each motor at an action of 1 [N m]
NOISE = 0.1  # of positions [m, rad] and, as their standard deviation, of rates [m/s, rad/s] at the start
HEIGHTS = (0.2, 1.0)  # of the torso, beyond which the episode ends [m]
FAR = 250.0  # success: so far along x [m]
TOE, SOLE = 0.4, 0.08  # a foot's end is so far along x and y of its frame, and has this radius [m]
# legs in the order of the motors: back right, front left, front right, back left
MOTORS = ("back_right", "front_left", "front_right", "back_left")
GROUND = RigidContact(stiffness=5e3, dissipation=2.0, friction=1.0)
BOX = (-1.2, -1.2, 0.0), (1.2, 1.2, 1.0)  # what pictures show [m]


@register_task("SimEnv/Ant-v0", max_episode_steps=1000)
class Ant(Task):
    """## Description

    Run along x as fast as you can on four legs of two joints. A ball of 0.25 m carries them (Schulman et al. 2015),
    with lengths, densities, joints, motors, control steps, reward and ends of Gymnasium's `Ant-v5`, without that one's
    contact forces in the observation and their cost. What differs: the floor is compliant contact of simenv, 5e3 N/m; a
    control step is ten ticks of a leapfrog of 5 ms, not five of Runge and Kutta's method of 10 ms; the ankles start
    bent by 1 rad, within their limits.

    Everything is differentiable. Kinks are where a ball or a capsule's end begins or ends to touch, sticking turns to
    sliding, and a joint comes to its limit.

    ## Action Space

    Torques of hips and ankles, in pairs by leg: back right, front left, front right, back left.

    | Num | Action | Min | Max | Unit at 1 |
    |---|---|---|---|---|
    | 0, 2, 4, 6 | torque of a hip, which turns about z | -1 | 1 | 150 N m |
    | 1, 3, 5, 7 | torque of an ankle | -1 | 1 | 150 N m |

    ## Observation Space

    A vector (27): height of the torso [m] and its quaternion w, x, y, z; angles of hip and ankle of the legs front
    left, front right, back left, back right [rad]; velocity of the torso, world axes [m/s], its angular velocity in its
    own axes [rad/s]; rates of hips and ankles, in the same order [rad/s].

    ## Rewards

    `forward`: mean velocity along x in the step [m/s]. `alive`: 1 where the step does not end the episode as below.
    `control`: -0.5 |action|^2.

    ## Starting State

    0.75 m high and upright, hips straight, ankles bent by 1 rad; to all of these positions and to the numbers of the
    quaternion a number from -0.1 to 0.1 [m, rad] is added; rates are normal with a standard deviation of 0.1 [m/s,
    rad/s]. Where a foot would be in the floor, the ant starts higher. With `randomize`, friction and stiffness of the
    floor are drawn, too.

    ## Episode End

    Termination where the torso is lower than 0.2 m or higher than 1 m. Truncation after 1000 steps (50 s). Success: 250
    m along x; an episode that does it without effort earns what Gymnasium calls solved, 6000.

    ## Version History

    * v0: first version.
    """

    action_limits = ((-1.0,) * 8, (1.0,) * 8)
    action_names = tuple(
        (f"{leg.replace('_', ' ')} {joint}", "150 N m") for leg in MOTORS for joint in ("hip", "ankle")
    )
    observation_names = (
        "height", "qw", "qx", "qy", "qz",
        *(f"{leg} {joint}" for leg in models.LEGS for joint in ("hip", "ankle")),
        "velocity x", "velocity y", "velocity z", "turning x", "turning y", "turning z",
        *(f"{leg} {joint} rate" for leg in models.LEGS for joint in ("hip", "ankle")),
    )  # fmt: skip

    def build(self) -> Scene:
        scene = Scene(substep_dt=5e-3, substeps=10, rigid=GROUND)
        scene.add_body("ground", Plane(), motion="fixed", color=(0.80, 0.82, 0.80, 1.0))
        scene.add_robot("ant", models.ant(), drive=JointDrive())
        return scene

    def sample(self, random):
        return {
            "positions": random.uniform("positions", -NOISE, NOISE, (15,)),
            "rates": random.normal("rates", 0.0, NOISE, (14,)),
        }

    def randomisation(self):
        return {
            "rigid.friction": Range(0.6, 1.4, stream="friction"),
            "rigid.stiffness": Range(2.5e3, 1e4, unit="N/m", log=True, stream="stiffness"),
        }

    def initial_state(self, world, episode):
        ant, state = world.robots["ant"], world.initial_state()
        place, turn, joints = (ant.positions(state) + episode["positions"]).split((3, 4, 8), -1)
        turn = turn / exact.norm(turn, keepdim=True)
        state = ant.place(state, torch.cat([place, turn, joints], -1), episode["rates"])
        toes = []
        for leg, x, y in zip(models.LEGS, *models.SIDES, strict=True):
            pose = world.bodies[f"ant/{leg}_foot"].pose(state)
            toe = constant((x * TOE, y * TOE, 0.0), world.dtype, world.device).expand(len(pose), -1)
            toes.append(pose[:, 2] + rotate(pose[:, 3:], toe)[:, 2])
        rise = (SOLE - torch.stack(toes, -1).amin(-1)).clamp(min=0.0)
        place = torch.cat([place[:, :2], place[:, 2:] + rise.unsqueeze(-1)], -1)
        return ant.place(state, torch.cat([place, turn, joints], -1), episode["rates"])

    def control(self, world, state, action, episode):
        pairs = dict(zip(MOTORS, action.unflatten(-1, (4, 2)).unbind(-2), strict=True))
        legs = [pairs[leg] for leg in models.LEGS]
        return world.control(torques={"ant": TORQUE * torch.cat([torch.zeros_like(action[:, :6]), *legs], -1)})

    def view(self, episode):
        rates = episode["rates"]
        low, high = (constant(each, rates.dtype, rates.device).expand(len(rates), -1) for each in BOX)
        return low, high, torch.full_like(rates[:, 0], math.radians(25.0))

    def observe(self, world, state, episode):
        ant = world.robots["ant"]
        q, v = ant.positions(state), ant.rates(state)
        turn = q[:, 3:7]
        own = rotate(torch.cat([-turn[:, :3], turn[:, 3:]], -1), v[:, 3:6])
        return torch.cat([q[:, 2:3], turn[:, 3:], turn[:, :3], q[:, 7:], v[:, :3], own, v[:, 6:]], -1)

    def _alive(self, world, state):
        """(N,) bool."""
        height = world.robots["ant"].positions(state)[:, 2]
        return (height >= HEIGHTS[0]) & (height <= HEIGHTS[1])

    def reward(self, world, before, action, after, episode):
        ant = world.robots["ant"]
        way = ant.positions(after)[:, 0] - ant.positions(before)[:, 0]
        return {
            "forward": way / world.scene.control_dt,
            "alive": self._alive(world, after).to(way),
            "control": -0.5 * exact.total(action**2),
        }

    def evaluate(self, world, state, episode):
        alive, way = self._alive(world, state), world.robots["ant"].positions(state)[:, 0]
        return {"success": alive & (way >= FAR), "terminated": ~alive, "way": way}
