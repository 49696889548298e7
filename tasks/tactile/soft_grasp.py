# SPDX-License-Identifier: Apache-2.0
"""Lift a soft block with two tactile fingers, without slip and without crushing it."""

from __future__ import annotations

import numpy as np
import torch

from simenv.envs import Argument, Range, Task, register_task
from simenv.envs.constants import constant
from simenv.envs.measures import centre_of_mass
from simenv.envs.modes import observe_blocks, with_extras
from simenv.envs.observations import keypoints
from simenv.geometry.shapes import Box, Plane
from simenv.physics import exact
from simenv.physics.mpm.materials import Elastic
from simenv.world import Scene

DX = 0.008  # grid spacing [m]; particles at half of it
FLOOR = 0.016  # height of the table [m]
BLOCK = 0.040  # side of the block [m]
# Contact acts on the nodes of the grid: the block's sides stand on layers of them, so that touch fades in over the last
# 4 mm of the gap. A node inside a pad is pushed out at the nearest face, which must be the front: its middle is a cell
# deep, and the outer rows of nodes that hold the block are 7 mm from the rim, deeper than pads may sink in.
MIDDLE = (0.084, 0.052)  # of the block on the table [m]
TAXELS, PAD = 4, 0.038  # taxels along a pad, and its side [m]
SKIN = PAD + DX  # side of what the taxels read: contact reaches half a cell beyond the rim [m]
THICK = 0.008  # half thickness of a pad [m]
WIDTH = 0.5 * DX  # over which contact fades in [m]
GAP = 0.006  # between each pad and the block at the start [m]
SPEED = 0.08  # of a finger at an action of 1 [m/s]
HEIGHT = (0.020, 0.030)  # range of the height to lift to [m]
NEAR, SLIP, CRUSH = 0.004, 0.004, 0.12  # success: height [m], slip [m], mean strain
SIDES = {"left": -1.0, "right": 1.0}


@register_task("SimEnv/SoftGrasp-v0", max_episode_steps=60)
class SoftGrasp(Task):
    """## Description

    Lift a soft block with two tactile fingers, without slip or crush. The elastic block (40 mm, 64 g) lies on a table
    between two fingers with tactile pads, which close and lift it to a given height. The block is solved by the
    material point method; each pad has 4 x 4 taxels, which share the contact forces that act on the block. The fingers
    are kinematic: they move as told.

    Differentiable: actions, state, the block's stiffness and density, friction. Before the first touch the gradient
    with respect to the block's motion is zero. Contact acts on the nodes of the grid (8 mm), so that the table still
    carries part of a block that hangs less than about a cell above it.

    ## Action Space

    | Num | Action | Min | Max | Unit at 1 |
    |---|---|---|---|---|
    | 0 | speed of the left finger, towards the block | -1 | 1 | 0.08 m/s |
    | 1 | speed of the right finger, towards the block | -1 | 1 | 0.08 m/s |
    | 2 | speed of both, up | -1 | 1 | 0.08 m/s |

    ## Observation Space

    A dict; lengths in metres. Block `reduced`: `fingers` (8), distance of each pad from the block's middle at the
    start, height above their start, and their velocities [m/s]; `goal` (1), height to lift to; `force` (6) on the two
    pads [N]. Block `privileged`: the same and `keypoints` (96), position and velocity [m/s] of 16 particles; `slip`
    (1); `strain` (1). Block `force_field`: `field` (2, 4, 4, 3), for each pad and taxel the force on it [N]: along the
    pad's columns, up, and into the finger. Modes: each of the two states with or without the field, and the field
    alone; the default is `reduced`.

    ## Rewards

    `lift`: 3 for the whole height, in proportion, and nothing beyond it. `grasp`: 0.5 for closing both gaps, in
    proportion. `slip`: -0.1 s^2 / (1 + s^2) per step, s the slip in units of 4 mm. `crush`: -0.05 (e / 0.12)^4 per
    step, e the mean strain. `stay`: -0.1 (h / 4 mm)^2 / (1 + (h / 4 mm)^2) in the last 10 steps before the time limit,
    h the error of the height. `effort`: -0.001 |action|^2.

    ## Starting State

    The block at rest on the table, the pads 6 mm from it, at the height of its middle. The height is drawn from 20 to
    30 mm. With `randomize`, the block's stiffness and the pads' friction are drawn, too.

    ## Episode End

    Truncation after 60 steps (1.2 s). Success: the middle of the block is within 4 mm of the height, the slip (how much
    farther the fingers rose than the block, in all) is at most 4 mm, and the mean strain is at most 0.12: the mean over
    the block of the Frobenius norm of Green's strain.

    ## Version History

    * v0: first version.
    """

    action_limits = ((-1.0,) * 3, (1.0,) * 3)
    action_names = (("left inwards", "0.08 m/s"), ("right inwards", "0.08 m/s"), ("up", "0.08 m/s"))
    observation_modes = with_extras(("reduced", "privileged"), ("force_field",))

    youngs_modulus = Argument(2e4, "of the block", unit="Pa", above=0.0)
    friction = Argument(0.8, "between pads and block", least=0.0)

    def build(self) -> Scene:
        scene = Scene((2 * MIDDLE[0], 2 * MIDDLE[1], 0.112), DX, substep_dt=4e-4, substeps=50)
        scene.add_material("foam", Elastic(1000.0, self.youngs_modulus, 0.3))
        scene.view = ((0.01, 0.0, 0.0), (0.15, 0.096, 0.11))
        axis = np.arange(-BLOCK / 2 + DX / 4, BLOCK / 2, DX / 2)
        grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
        middle = np.array([*MIDDLE, FLOOR + BLOCK / 2])
        scene.add_particles("block", "foam", middle + grid, (DX / 2) ** 3, color=(0.86, 0.45, 0.36, 1.0))
        scene.add_collider("table", Plane(), position=(0.0, 0.0, FLOOR), friction=0.3, width=WIDTH)
        reach = BLOCK / 2 + GAP + THICK
        for side, sign in SIDES.items():
            scene.add_body(side, position=(MIDDLE[0] + sign * reach, MIDDLE[1], float(middle[2])))
            pad = Box((THICK, PAD / 2, PAD / 2))
            color = (0.35, 0.42, 0.50, 1.0)
            scene.add_collider(f"{side}_pad", pad, side, friction=self.friction, width=WIDTH, color=color)
            # z out of the pad towards the block, y up
            frame = (-sign * THICK, 0.0, 0.0), (0.5, -0.5 * sign, -0.5 * sign, 0.5)
            scene.add_skin(f"{side}_pad", TAXELS, TAXELS, SKIN, SKIN, *frame)
        scene.add_mark("goal", Box((0.05, 0.0008, 0.0008)), (0.05, 0.62, 0.52, 1.0))
        return scene

    def marks(self, world, state, episode):
        """A bar that the middle of the block's top is to reach."""
        place = constant((*MIDDLE, FLOOR + BLOCK), episode["height"].dtype, episode["height"].device)
        return {
            "goal": (place + episode["height"][:, None] * constant((0.0, 0.0, 1.0), place.dtype, place.device))[:, None]
        }

    def sample(self, random):
        return {"height": random.uniform("height", *HEIGHT)}

    def randomisation(self):
        friction = {f"{side}_pad.friction": Range(0.5, 1.0, stream="friction") for side in SIDES}
        return {"foam.youngs_modulus": Range(1.2e4, 3e4, unit="Pa", stream="modulus"), **friction}

    def control(self, world, state, action, episode):
        inward = constant([-sign for sign in SIDES.values()], action.dtype, action.device)
        zero = torch.zeros_like(action[:, :2])
        linear = torch.stack([action[:, :2] * inward, zero, action[:, 2:].expand(-1, 2)], -1)
        twist = torch.cat([SPEED * linear, torch.zeros_like(linear)], -1)
        return world.control(twist=dict(zip(SIDES, twist.unbind(1), strict=True)))

    def nominal_actions(self, steps: int) -> np.ndarray:
        actions = np.zeros((steps, 3))
        actions[: steps // 4, :2], actions[steps // 4 : 3 * steps // 4, 2] = 0.36, 0.4
        return actions

    def observe(self, world, state, episode):
        middle = constant((*MIDDLE, FLOOR + BLOCK / 2), state.x.dtype, state.x.device)
        force = torch.stack([world.colliders[f"{side}_pad"].wrench(state)[:, :3] for side in SIDES], 1)
        sides = [world.bodies[side] for side in SIDES]
        moved = [each.pose(state)[:, :3:2] - middle[::2] for each in sides]
        speed = [each.twist(state)[:, :3:2] for each in sides]
        fingers = torch.stack([torch.cat(pair, -1) for pair in zip(moved, speed, strict=True)], 1).flatten(1)
        seen = {"fingers": fingers, "goal": episode["height"][:, None], "force": force.flatten(1)}
        pressing = constant((1.0, 1.0, -1.0), state.x.dtype, state.x.device)
        field = torch.stack([world.skin(state, f"{side}_pad") for side in SIDES], 1) * pressing
        return observe_blocks(self.observation_mode, {
            "reduced": lambda: seen,
            "privileged": lambda: {
                **seen, "keypoints": keypoints(state, world.particle_groups["block"], 16).flatten(1),
                "slip": self._slip(world, state)[:, None], "strain": self._strain(state)[:, None],
            },
            "force_field": lambda: {"field": field},
        })  # fmt: skip

    def _risen(self, state):
        """How far the block's middle has risen (N,) [m]."""
        return centre_of_mass(state.x, state.active)[:, 2] - (FLOOR + BLOCK / 2)

    def _slip(self, world, state):
        """How much farther the fingers have risen than the block (N,) [m]."""
        return world.bodies["left"].pose(state)[:, 2] - (FLOOR + BLOCK / 2) - self._risen(state)

    def _strain(self, state):
        """Mean Frobenius norm of Green's strain (N,)."""
        F = state.F
        stretch, shear = exact.total(F * F, -2) - 1.0, exact.total(F * F.roll(-1, -1), -2)  # of F^T F - 1: ii; ij
        return exact.mean((exact.total(0.25 * stretch**2 + 0.5 * shear**2) + 1e-8).sqrt())

    def _gaps(self, world, state):
        """Mean distance of the pads from the block's sides as built, at most what it was (N,) [m]."""
        place = torch.stack([world.bodies[side].pose(state)[:, 0] for side in SIDES], 1)
        away = (place - MIDDLE[0]).abs() - THICK - BLOCK / 2
        return exact.mean(away.clamp(0.0, GAP))

    def reward(self, world, before, action, after, episode):
        slip, off = (self._slip(world, after) / 0.004) ** 2, ((self._risen(after) - episode["height"]) / 0.004) ** 2
        low, high = (torch.minimum(self._risen(state), episode["height"]) for state in (before, after))
        last = after.time > world.dt * (self.max_episode_steps - 9.5)
        return {
            "lift": 3.0 * (high - low) / episode["height"],
            "grasp": 0.5 * (self._gaps(world, before) - self._gaps(world, after)) / GAP,
            "slip": -0.1 * slip / (1.0 + slip),
            "crush": -0.05 * ((self._strain(after) / CRUSH) ** 2) ** 2,
            "stay": torch.where(last, -0.1 * off / (1.0 + off), 0.0),
            "effort": -0.001 * exact.total(action**2),
        }

    def evaluate(self, world, state, episode):
        risen, slip, strain = self._risen(state), self._slip(world, state), self._strain(state)
        success = ((risen - episode["height"]).abs() < NEAR) & (slip.abs() < SLIP) & (strain < CRUSH)
        return {"success": success, "risen": risen, "slip": slip, "strain": strain}
