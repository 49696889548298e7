# SPDX-License-Identifier: Apache-2.0
"""Balance a pole on a cart."""

from __future__ import annotations

import math

import torch

from simenv.envs import Task, register_task
from simenv.robots import JointDrive
from simenv.tasks.reference import models
from simenv.world import Scene

FORCE = 10.0  # on the cart at an action of 1 [N]
START = 0.05  # largest position [m, rad] and rate [m/s, rad/s] at the start
TRACK = 2.4  # the episode ends where the cart is farther from the middle [m]
LEAN = math.radians(12.0)  # or the pole leans more [rad]
SHARE = 0.95  # of the episode's steps that the pole must stand: 475 of 500


@register_task("SimEnv/CartPole-v0", max_episode_steps=500)
class CartPole(Task):
    """## Description

    Balance a pole on a cart that a force moves along a track. It is the cart and pole of Barto, Sutton and Anderson
    (1983) with the numbers of Gymnasium's `CartPole-v1`: a cart of 1 kg without friction, a uniform thin pole of 0.1 kg
    and 1 m, 9.8 m/s^2, control steps of 20 ms. What differs: the force is any between -10 and 10 N, not one of the two;
    a control step is four ticks of a leapfrog, not one of Euler's explicit method, which adds energy; and small
    penalties give the reward a slope.

    Everything is differentiable, without kinks. Gravity acts, nothing else touches.

    ## Action Space

    | Num | Action | Min | Max | Unit at 1 |
    |---|---|---|---|---|
    | 0 | force on the cart along x | -1 | 1 | 10 N |

    ## Observation Space

    A vector (4): place of the cart [m] and its velocity [m/s], angle of the pole from upright [rad], positive towards
    x, and its rate [rad/s].

    ## Rewards

    `alive`: 1 per step, which is all of Gymnasium's reward: the length of an episode is its return. Beside it the
    penalties of DiffRL's cart and pole (Xu et al. 2022) for angle a and place x: `angle`: -a^2 - 0.1 a'^2; `place`:
    -0.05 x^2 - 0.1 x'^2, SI units, all after the step.

    ## Starting State

    Place, velocity, angle and rate are drawn from -0.05 to 0.05 [m, m/s, rad, rad/s].

    ## Episode End

    Termination where the cart is more than 2.4 m from the middle, or the pole leans by more than 12 degrees. Truncation
    after 500 steps (10 s). Success: the pole stands after 95 % of the steps, 475 of 500.

    ## Version History

    * v0: first version.
    """

    action_limits = ((-1.0,), (1.0,))
    action_names = (("force", "10 N"),)
    observation_names = ("place", "velocity", "angle", "rate")

    def build(self) -> Scene:
        scene = Scene(substep_dt=5e-3, substeps=4, gravity=(0.0, 0.0, -9.8))
        scene.add_robot("cart_pole", models.cart_pole(), drive=JointDrive())
        return scene

    def sample(self, random):
        return {name: random.uniform(name, -START, START, (2,)) for name in ("positions", "rates")}

    def initial_state(self, world, episode):
        return world.robots["cart_pole"].place(world.initial_state(), episode["positions"], episode["rates"])

    def control(self, world, state, action, episode):
        return world.control(torques={"cart_pole": torch.cat([FORCE * action, torch.zeros_like(action)], -1)})

    def observe(self, world, state, episode):
        return torch.stack(self._measures(world, state), -1)

    def _measures(self, world, state):
        """Place, velocity, angle and rate, (N,) each."""
        (place, angle), (velocity, rate) = (
            each.unbind(-1)
            for each in (world.robots["cart_pole"].positions(state), world.robots["cart_pole"].rates(state))
        )
        return place, velocity, angle, rate

    def reward(self, world, before, action, after, episode):
        place, velocity, angle, rate = self._measures(world, after)
        return {
            "alive": torch.ones_like(place),
            "angle": -(angle**2) - 0.1 * rate**2,
            "place": -0.05 * place**2 - 0.1 * velocity**2,
        }

    def evaluate(self, world, state, episode):
        place, _, angle, _ = self._measures(world, state)
        stands = (place.abs() <= TRACK) & (angle.abs() <= LEAN)
        enough = (SHARE * self.max_episode_steps - 0.5) * world.scene.control_dt
        return {"success": stands & (state.time > enough), "terminated": ~stands}
