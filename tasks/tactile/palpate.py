# SPDX-License-Identifier: Apache-2.0
"""Feel for a hard ball in a soft block: where it is, and how stiff."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from simenv.envs import Argument, Range, Task, register_task
from simenv.envs.constants import constant
from simenv.envs.modes import observe_blocks, with_extras
from simenv.geometry.shapes import Box, Capsule, Sphere
from simenv.physics import exact
from simenv.physics.mpm.materials import Elastic
from simenv.sensors.tactile import WinklerGel, flat_grid
from simenv.world import Scene

DX = 0.008  # grid spacing [m]; particles at half of it
SIDE, HEIGHT = 0.056, 0.032  # of the block, whose middle is at x = y = 0 [m]
MARGIN = 0.016  # between the block and the walls of the domain [m]
BALL = 0.010  # radius of the hard ball, which is known [m]
TIP = 0.012  # radius of the finger's tip [m]
TAXELS, SKIN = 4, 2 * TIP  # taxels along a side of what the tip feels, and that side [m]
GAP, PRESS = 0.004, 0.008  # of the tip above the block, and into it in a demonstration [m]
REACH, DEEP = 0.020, 0.010  # how far the finger goes aside, and below the block's top [m]
SPEED = 0.3  # of the finger at an action of 1 [m/s]
STEP = 0.020  # duration of a control step [s]
ASIDE = 0.014  # largest x and y of the ball [m]
MIDDLE, SPREAD = 0.015, 0.003  # depth of its centre below the top, and how far it may be from that [m]
STIFFNESS = (2.0, 6.0)  # range of its Young's modulus over that of the block
USUAL = math.sqrt(STIFFNESS[0] * STIFFNESS[1])  # the middle of that range
HALF = 0.5 * math.log(STIFFNESS[1] / STIFFNESS[0])  # half of its width, in the logarithm
NEAR, ALIKE = 0.002, 0.10  # success: error of the place [m], and relative one of the stiffness
SCALE, FACTOR = 0.010, 0.5  # error of the place [m], and of the stiffness's logarithm, that count as 1
# a spiral of presses, 12 mm from each to the next
SPIRAL = ((0, 0), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
LUMP = "block.lump"
FINGERS, SPRINGS = ("round", "gel"), (2.5e7, 8e6)  # of a gel: stiffness [Pa/m] along the normal and along the surface


@register_task("SimEnv/Palpate-v0", max_episode_steps=64)
class Palpate(Task):
    """## Description

    Find a hard ball in a soft block by touch: its place and its stiffness. The elastic block (56 x 56 x 32 mm, 5 kPa)
    stands on a table, its foot held. Somewhere in it is a ball 20 mm in diameter, 2 to 6 times as stiff. A finger with
    a round tip, 12 mm in radius, presses from above; its 4 x 4 taxels share the contact forces under it. With
    `finger="gel"` it is a flat gel of 24 x 24 mm, with as many taxels, whose front the block meets as it meets a tip:
    material does not press the gel in. The finger is kinematic: it moves as told, within 20 mm of the middle and down
    to 10 mm below the top.

    The agent says at any time where it believes the ball to be, and how stiff; the last word counts. One touch says
    little, so that a policy needs memory, or its own last estimate, which it observes.

    Differentiable: actions, state, the ball's place, radius and stiffness, the block's stiffness and density, friction.
    The finger's motion has no derivative at the edge of where it may go. What it feels does not change the reward but
    by its force: knowledge has no gradient. The grid (8 mm) is coarse for a ball of this size, which feels as this
    grid has it; contact fades in over the last 8 mm, and reaches beyond the taxels by as much.

    ## Action Space

    | Num | Action | Min | Max | Unit at 1 |
    |---|---|---|---|---|
    | 0 | speed of the finger along x | -1 | 1 | 0.3 m/s |
    | 1 | speed along y | -1 | 1 | 0.3 m/s |
    | 2 | speed along z, up | -1 | 1 | 0.3 m/s |
    | 3 | estimate of the ball's x | -1 | 1 | 14 mm |
    | 4 | estimate of its y | -1 | 1 | 14 mm |
    | 5 | estimate of its depth below the top, from 15 mm | -1 | 1 | 3 mm |
    | 6 | estimate of its stiffness, over 3.46 times the block's | -1 | 1 | factor 1.73 |

    ## Observation Space

    A dict. Block `reduced`: `finger` (6), place of the tip's lowest point from the middle of the block's top [m] and
    its velocity [m/s]; `force` (3) on the finger [N]; `estimate` (4), the last one, as in the action. Block
    `privileged`: the same and `lump` (4), the truth in the same units. Block `force_field`: `field` (4, 4, 3), for each
    taxel, in rows along x that follow each other along -y, the force on it along x, y and up [N]. Modes: each of the
    two states with or without the field, and the field alone; the default is `reduced`.

    ## Rewards

    `closer`: by how much the estimate's error falls: sqrt((d / 10 mm)^2 + (ln(s' / s) / 0.5)^2 + 1e-4), d the distance
    of its place from the ball's centre, s' / s its stiffness over the ball's; at the start the estimate is zero.
    `gentle`: -0.01 f^4 / (1 + f^4) per step, f the force on the finger in units of 2 N. `effort`: -0.001 |speeds|^2.

    ## Starting State

    The block at rest, the tip 4 mm above the middle of its top. The ball's x and y are drawn from -14 to 14 mm, its
    depth from 12 to 18 mm, its stiffness from 2 to 6 times the block's, uniform in the logarithm. With `randomize`, the
    block's stiffness and the friction are drawn, too.

    ## Episode End

    Truncation after 64 steps (1.28 s). Success: the estimate's place is within 2 mm of the ball's centre, and its
    stiffness within 10 % of the ball's.

    ## Version History

    * v0: first version.
    """

    action_limits = ((-1.0,) * 7, (1.0,) * 7)
    action_names = (
        ("speed x", "0.3 m/s"), ("speed y", "0.3 m/s"), ("speed z", "0.3 m/s"), ("ball's x", "14 mm"),
        ("ball's y", "14 mm"), ("ball's depth - 15 mm", "3 mm"), ("ball's stiffness / 3.46", "factor 1.73"),
    )  # fmt: skip
    observation_modes = with_extras(("reduced", "privileged"), ("force_field",))

    youngs_modulus = Argument(5e3, "of the block", unit="Pa", above=0.0)
    friction = Argument(0.3, "between finger and block", least=0.0)
    finger = Argument("round", "a hard round tip with taxels, or a flat gel", choices=FINGERS)

    def build(self) -> Scene:
        half = SIDE / 2 + MARGIN
        scene = Scene(
            (2 * half, 2 * half, HEIGHT + 0.024), DX, substep_dt=STEP / 50, substeps=50, origin=(-half, -half, 0.0),
            boundary=("separate", "separate", "stick"),
        )  # fmt: skip
        scene.add_material("tissue", Elastic(1000.0, self.youngs_modulus, 0.4))
        across, up = np.arange(DX / 4, SIDE, DX / 2) - SIDE / 2, np.arange(DX / 4, HEIGHT, DX / 2)
        grid = np.stack(np.meshgrid(across, across, up, indexing="ij"), -1).reshape(-1, 3)
        scene.add_particles("block", "tissue", grid, (DX / 2) ** 3, color=(0.88, 0.58, 0.52, 1.0))
        scene.add_inclusion("lump", "block", (0.0, 0.0, HEIGHT - MIDDLE), BALL, USUAL)
        scene.add_body("finger", position=(0.0, 0.0, HEIGHT + GAP + TIP))
        color = (0.35, 0.42, 0.50, 1.0)
        down = (0.0, 0.0, -TIP), (1.0, 0.0, 0.0, 0.0)
        if self.finger == "gel":
            gel = WinklerGel(*SPRINGS, mu=self.friction)
            scene.add_gel("tip", "finger", None, flat_grid(TAXELS, TAXELS, SKIN, SKIN), gel, *down, thickness=TIP)
            scene.colliders["tip"] = dataclasses.replace(scene.colliders["tip"], friction=self.friction)
        else:
            scene.add_collider("tip", Sphere(TIP), "finger", friction=self.friction, width=DX, color=color)
            scene.add_skin("tip", TAXELS, TAXELS, SKIN, SKIN, *down)
        scene.add_look("stem", Capsule(TIP, TIP), "finger", (0.0, 0.0, TIP), color=color)
        scene.view = ((-0.03, -0.03, 0.0), (0.03, 0.03, 0.066))
        for name, paint in (("ball", (0.05, 0.62, 0.52, 1.0)), ("estimate", (0.95, 0.65, 0.1, 1.0))):
            scene.add_mark(name, Box((0.0008, 0.0008, 0.012)), paint)
        return scene

    def marks(self, world, state, episode):
        """Pins on the block's top: above the ball, and above where it is believed to be."""
        truth, guess = self._truth(world), state.memory
        top = torch.full_like(truth[:, :1], HEIGHT + 0.012)
        return {
            name: torch.cat([ASIDE * each[:, :2], top], -1)[:, None]
            for name, each in (("ball", truth), ("estimate", guess))
        }

    def sample(self, random):
        place = random.uniform("place", -ASIDE, ASIDE, (2,))
        return {
            f"{LUMP}.x": place[:, 0], f"{LUMP}.y": place[:, 1],
            f"{LUMP}.z": HEIGHT - MIDDLE + random.uniform("depth", -SPREAD, SPREAD),
            f"{LUMP}.stiffness": USUAL * exact.exp(HALF * random.uniform("stiffness", -1.0, 1.0)),
        }  # fmt: skip

    def randomisation(self):
        return {
            "tissue.youngs_modulus": Range(0.7, 1.2, of=self.youngs_modulus, unit="Pa", stream="modulus"),
            "tip.friction": Range(0.1, 0.5, stream="friction"),
        }

    def initial_state(self, world, episode):
        state = world.initial_state()
        return state.replace(memory=torch.zeros_like(self._truth(world)))  # the last estimate

    def control(self, world, state, action, episode):
        at = world.bodies["finger"].pose(state)[:, :3]
        low = constant((-REACH, -REACH, HEIGHT + TIP - DEEP), at.dtype, at.device)
        high = constant((REACH, REACH, HEIGHT + TIP + 2 * GAP), at.dtype, at.device)
        goal = torch.minimum(torch.maximum(at + SPEED * STEP * action[:, :3], low), high)
        linear = (goal - at) / STEP
        return world.control(twist={"finger": torch.cat([linear, torch.zeros_like(linear)], -1)})

    def _script(self, steps: int) -> np.ndarray:
        """A spiral of presses: the finger's actions (T, 3), whole steps at full speed, then rest."""
        moves, at = [], (0, 0)
        aside, down = round(0.012 / (SPEED * STEP)), round((GAP + PRESS) / (SPEED * STEP))
        for place in SPIRAL:
            moves += [(place[0] - at[0], place[1] - at[1], 0)] * (aside if place != at else 0)
            moves += [(0, 0, -1)] * down + [(0, 0, 0)] + [(0, 0, 1)] * down
            at = place
        moves += [(0, 0, 0)] * max(steps - len(moves), 1)
        return np.array(moves[: max(steps, 1)], dtype=float)

    def nominal_actions(self, steps: int) -> np.ndarray:
        return np.pad(self._script(steps), ((0, 0), (0, 4)))[:steps]

    def expert(self, world, state, episode):
        """The same presses, and the truth as the estimate: what a policy that feels would have to say."""
        script = constant(self._script(self.max_episode_steps or 64), world.dtype, world.device)
        step = (state.time / STEP).round().long().clamp(max=len(script) - 1)
        return torch.cat([script[step], self._truth(world).clamp(-1.0, 1.0)], -1)

    def _truth(self, world):
        """The ball as an estimate would have it (N, 4)."""
        x, y, z, stiffness = (world.parameters[f"{LUMP}.{name}"] for name in ("x", "y", "z", "stiffness"))
        depth, factor = (HEIGHT - MIDDLE - z) / SPREAD, exact.log(stiffness / USUAL) / HALF
        return torch.stack([x / ASIDE, y / ASIDE, depth, factor], -1)

    def _errors(self, world, estimate):
        """Distance of an estimate's place from the ball's centre (N,) [m], and logarithm of its stiffness over that."""
        off = estimate - self._truth(world)
        scale = constant((ASIDE, ASIDE, SPREAD), off.dtype, off.device)
        return exact.norm(off[:, :3] * scale), off[:, 3] * HALF

    def _error(self, world, estimate):
        distance, log = self._errors(world, estimate)
        return ((distance / SCALE) ** 2 + (log / FACTOR) ** 2 + 1e-4).sqrt()

    def remember(self, world, before, action, after, episode):
        return after.replace(memory=action[:, 3:])

    def observe(self, world, state, episode):
        finger = world.bodies["finger"]
        axes = constant((1.0, -1.0, -1.0), world.dtype, world.device)  # of the world, in the skin's
        place = finger.pose(state)[:, :3] - constant((0.0, 0.0, HEIGHT + TIP), world.dtype, world.device)
        seen = {
            "finger": torch.cat([place, finger.twist(state)[:, :3]], -1),
            "force": world.colliders["tip"].wrench(state)[:, :3], "estimate": state.memory,
        }  # fmt: skip
        return observe_blocks(self.observation_mode, {
            "reduced": lambda: seen,
            "privileged": lambda: {**seen, "lump": self._truth(world)},
            "force_field": lambda: {"field": world.skin(state, "tip") * axes},
        })  # fmt: skip

    def reward(self, world, before, action, after, episode):
        force = (exact.norm(world.colliders["tip"].wrench(after)[:, :3]) / 2.0) ** 2
        return {
            "closer": self._error(world, before.memory) - self._error(world, after.memory),
            "gentle": -0.01 * force**2 / (1.0 + force**2),
            "effort": -0.001 * exact.total(action[:, :3] ** 2),
        }

    def evaluate(self, world, state, episode):
        distance, log = self._errors(world, state.memory)
        off = (exact.exp(log) - 1.0).abs()
        return {"success": (distance <= NEAR) & (off <= ALIKE), "distance": distance, "stiffness_error": off}
