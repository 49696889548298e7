# SPDX-License-Identifier: Apache-2.0
"""Follow an unknown curved surface with a tactile finger at a set normal force."""

from __future__ import annotations

import math

import numpy as np
import torch

from simenv.assets import path
from simenv.envs import Argument, Range, Task, register_task
from simenv.envs.constants import constant
from simenv.envs.images import gel_images, pixels
from simenv.envs.modes import observe_blocks, with_extras
from simenv.geometry.shapes import Capsule, MeshShape
from simenv.physics import exact
from simenv.sensors.tactile import WinklerGel, curved_grid
from simenv.sensors.tactile.sensors import SENSORS
from simenv.world import Scene

TIP = 0.012  # radius of the finger's gel [m]
GEL = WinklerGel.from_layer(modulus=1.5e5, poisson=0.48, thickness=3e-3, mu=0.4)
LENGTH = 0.06  # of the path along x, from the middle of the surface [m]
MOVE, TURN = 0.010, 0.05  # of the goal from the finger at an action of 1 [m], [rad]
TARGET = (0.8, 1.6)  # range of the set force [N]
SETTLE = 0.16  # the force counts after this time [s]
DOWN = (1.0, 0.0, 0.0, 0.0)  # the finger's z axis points down


@register_task("SimEnv/SurfaceFollow-v0", max_episode_steps=100)
class SurfaceFollow(Task):
    """## Description

    Follow an unknown bumpy surface with a tactile finger at a set force. The finger, with a dome of gel 12 mm in
    radius, stands on the surface and goes 60 mm along x. An impedance drives the finger (600 N/m, 50 N s/m, 50 N m/rad,
    1.41 N m s; 1 kg, 0.01 kg m^2); the gel is a bed of springs with friction (150 kPa, 3 mm), whose force field is both
    what the finger reads and what it feels.

    Everything is differentiable: actions, state, gel, friction and gains. The kinks are taxels that begin to touch or
    to slip.

    ## Action Space

    | Num | Action | Min | Max | Unit at 1 |
    |---|---|---|---|---|
    | 0 | goal of the finger along x, from where it is | -1 | 1 | 10 mm |
    | 1 | goal along z, up | -1 | 1 | 10 mm, which pulls with 6 N |
    | 2 | turn of the goal about x | -1 | 1 | 0.05 rad |
    | 3 | turn about y | -1 | 1 | 0.05 rad |

    ## Observation Space

    A dict. Block `reduced`: `pose` (7), the finger from the start [m] and its quaternion; `twist` (6) [m/s, rad/s];
    `target` (1), the set force [N]; `wrench` (6) on the gel in its frame [N, N m]. Block `force_field`: `field`
    (12, 12, 3), shear along x and y and normal force of each taxel [N]. Block `tactile_image`: `image` (64, 64, 3)
    uint8, what the camera of a gel of this size with a GelSight Mini's colours would see, unrolled. Modes join
    blocks by `+`; the default is `reduced`: `reduced+tactile_image+force_field`.

    ## Rewards

    `progress`: 2 for the whole path, in proportion. `force`: -0.1 e^2 / (1 + e^2 / 4) per step, e = (F - F_set) / F_set
    and F the normal force. `centre`: -0.02 (c / 4 mm)^2 per step, c the distance of the field's centre from that of the
    gel. `sideways`: -0.02 (y / 5 mm)^2 per step. `effort`: -0.001 |action|^2.

    ## Starting State

    The surface is turned about z by any angle and shifted by up to 15 mm along x and y. The finger stands upright on
    it, pressed in by 0.4 mm. The set force is drawn from 0.8 to 1.6 N. With `randomize`, the gel's stiffness and
    friction are drawn, too.

    ## Episode End

    Truncation after 100 steps (1.6 s). Success: at least 95 % of the path is done, and from 0.16 s on the root mean
    square of e is at most 0.25 and the finger touched (F > 0.1 F_set) in at least 98 % of the steps.

    ## Version History

    * v0: first version.
    """

    action_limits = ((-1.0,) * 4, (1.0,) * 4)
    action_names = (
        ("goal x", "10 mm"),
        ("goal z", "10 mm"),
        ("turn about x", "0.05 rad"),
        ("turn about y", "0.05 rad"),
    )
    observation_modes = with_extras(("reduced",), ("tactile_image", "force_field"))
    tactile_sensor = Argument("gelsight_mini", "whose colours", choices=tuple(SENSORS))
    image_size = Argument((64, 64), "rows and columns of the tactile image", check=pixels)

    def build(self) -> Scene:
        scene = Scene(substep_dt=2e-3, substeps=8, lead=2e-3)
        bumps = MeshShape(str(path("bumps.stl")))
        scene.add_body("surface", bumps, motion="fixed", color=(0.62, 0.66, 0.58, 1.0))
        scene.add_body("finger", position=(-LENGTH / 2, 0.0, 0.008), quaternion=DOWN, motion="hand")
        grid = curved_grid(12, 12, 0.015, 0.015, radius_x=TIP, radius_y=TIP)
        scene.add_gel("tip", "finger", "surface", grid, GEL, max_depth=3e-3, reach=0.015)
        scene.add_look("dome", Capsule(TIP, 0.02), "finger", (0.0, 0.0, -0.02 - TIP), color=(0.85, 0.42, 0.28, 1.0))
        return scene

    def sample(self, random):
        return {
            "angle": random.uniform("angle", 0.0, 2 * math.pi),
            "shift": random.uniform("shift", -0.015, 0.015, (2,)),
            "target": random.uniform("target", *TARGET),
        }

    def randomisation(self):
        return {
            "tip.k_n": Range(0.7, 1.3, of=GEL.k_n, unit="Pa/m", stream="stiffness"),
            "tip.mu": Range(0.2, 0.6, stream="friction"),
        }

    def initial_state(self, world, episode):
        finger, surface, state = world.bodies["finger"], world.bodies["surface"], world.initial_state()
        sine, cosine = exact.sincos(0.5 * episode["angle"])
        nothing = torch.zeros_like(sine)
        turn = torch.stack([nothing, nothing, sine, cosine], -1)
        state = surface.place(state, torch.cat([episode["shift"], nothing[:, None], turn], -1))
        for sink in (0.0, 4e-4):  # twice, as the depth of a slanted taxel is not along z
            state = world.touch_anew(state)
            pose = finger.pose(state).clone()
            pose[:, 2] += world.gels["tip"].depth(state).amax(1) - sink
            state = finger.place(state, pose)
        state = world.touch_anew(state)
        return state.replace(memory=torch.zeros_like(finger.pose(state)[:, :3]))  # sums: e^2, touch, steps

    def control(self, world, state, action, episode):
        nothing = torch.zeros_like(action[:, :1])
        move = MOVE * torch.cat([action[:, :1], nothing, action[:, 1:2]], -1)
        turn = TURN * torch.cat([action[:, 2:], nothing], -1)
        return world.control(goal={"finger": world.bodies["finger"].near(state, move, turn)})

    def nominal_actions(self, steps: int) -> np.ndarray:
        return np.tile([0.4, -0.2, 0.0, 0.0], (steps, 1))

    def remember(self, world, before, action, after, episode):
        error, counts = self._error(world, after, episode), after.time > SETTLE
        seen = torch.stack([error**2, (error > -0.9).to(error), torch.ones_like(error)], -1)
        return after.replace(memory=after.memory + torch.where(counts[:, None], seen, 0.0).detach())

    def observe(self, world, state, episode):
        finger = world.bodies["finger"]
        return observe_blocks(self.observation_mode, {
            "reduced": lambda: {
                "pose": torch.cat([self._from_start(world, state), finger.pose(state)[:, 3:]], -1),
                "twist": finger.twist(state), "target": episode["target"][:, None],
                "wrench": world.gels["tip"].wrench(state),
            },
            "force_field": lambda: {"field": world.gels["tip"].field(state).unflatten(1, (12, 12))},
            "tactile_image": lambda: gel_images(world, state, self.image_size, self.tactile_sensor),
        })  # fmt: skip

    def _from_start(self, world, state):
        """The finger from the start of the path (N, 3) [m]; heights are from the mean surface."""
        return world.bodies["finger"].pose(state)[:, :3] + constant((LENGTH / 2, 0.0, 0.0), world.dtype, world.device)

    def _error(self, world, state, episode):
        """Relative error of the normal force (N,)."""
        return exact.total(world.gels["tip"].field(state)[..., 2]) / episode["target"] - 1.0

    def reward(self, world, before, action, after, episode):
        old, new = self._from_start(world, before), self._from_start(world, after)
        square = self._error(world, after, episode) ** 2
        field, grid = world.gels["tip"].field(after)[..., 2], world.sensors["tip"].grid
        points = constant(grid.points[:, :2], field.dtype, field.device)
        centre = exact.total(field[..., None] * points, 1) / (exact.total(field, keepdim=True) + 0.05)
        return {
            "progress": 2.0 * (new[:, 0].clamp(max=LENGTH) - old[:, 0].clamp(max=LENGTH)) / LENGTH,
            "force": -0.1 * square / (1.0 + 0.25 * square),  # bends over to 0.4
            "centre": -0.02 * exact.total(centre**2) / 0.004**2,
            "sideways": -0.02 * (new[:, 1] / 0.005) ** 2,
            "effort": -0.001 * exact.total(action**2),
        }

    def evaluate(self, world, state, episode):
        total, touched, steps = state.memory.unbind(-1)
        steps = steps.clamp(min=1.0)
        done, rms = self._from_start(world, state)[:, 0] / LENGTH, (total / steps).sqrt()
        success = (done >= 0.95) & (rms <= 0.25) & (touched >= 0.98 * steps) & (state.memory[:, 2] > 0)
        return {"success": success, "progress": done, "force_error": rms, "touched": touched / steps}
