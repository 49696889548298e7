# SPDX-License-Identifier: Apache-2.0
"""A whole task in one file: a blob of liquid falls beside a paddle. The contract tests run it on the real world.

Nothing else in the repository names it: importing this file is all that registration takes.
"""

from __future__ import annotations

import numpy as np
import torch

from simenv.envs import Argument, EpisodeRandom, Task, register_task
from simenv.envs.measures import centre_of_mass
from simenv.envs.observations import keypoints
from simenv.geometry.shapes import Box
from simenv.physics.mpm.materials import Liquid
from simenv.world import Control, Scene, State, World

SIDE = 0.16  # [m]
SPACING = 0.01  # [m], half a grid cell


@register_task("TestEnv/Splash-v0", max_episode_steps=20)
class Splash(Task):
    """Push a falling blob of liquid towards a goal."""

    action_limits = ((-1.0, -1.0), (1.0, 1.0))
    action_names = (("paddle velocity x", "speed"), ("paddle velocity y", "speed"))

    speed = Argument(0.1, "of the paddle at full action", unit="m/s")
    floor = Argument(0.0, "the episode ends when the blob's centre is lower; 0 for never", unit="m")
    explode_above = Argument(2.0, "a test hook: the paddle is then driven at a speed no grid can follow")
    observe_dict = Argument(False, "observe a dict instead of a vector")

    def build(self) -> Scene:
        scene = Scene(size=(SIDE, SIDE, SIDE), dx=2 * SPACING, substep_dt=1e-3, substeps=4)
        scene.add_material("liquid", Liquid(density=1000.0, bulk_modulus=1e4, viscosity=0.1))
        axis = (np.arange(4) - 1.5) * SPACING
        cube = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        scene.add_particles("blob", "liquid", cube + [0.08, 0.08, 0.08], volume=SPACING**3)
        scene.add_body("paddle", position=(0.05, 0.08, 0.06))
        scene.add_collider("blade", Box((0.01, 0.02, 0.03)), body="paddle", friction=0.1)
        return scene

    def sample(self, random: EpisodeRandom) -> dict[str, torch.Tensor]:
        return {
            "goal": random.uniform("goal", (0.05, 0.05), (0.11, 0.11), shape=(2,)),
            "offset": random.uniform("offset", -0.01, 0.01, shape=(3,)),
            "liquid.viscosity": random.uniform("viscosity", 0.01, 0.5),
        }

    def initial_state(self, world: World, episode: dict[str, torch.Tensor]) -> State:
        state = world.initial_state()
        return state.replace(x=state.x + episode["offset"].unsqueeze(1))

    def control(self, world: World, state: State, action: torch.Tensor, episode: dict[str, torch.Tensor]) -> Control:
        speed = torch.where(action.abs() > self.explode_above, 300.0, self.speed)
        twist = torch.cat([action * speed, torch.zeros_like(action), torch.zeros_like(action)], dim=-1)
        return world.control(twist={"paddle": twist})

    def observe(
        self, world: World, state: State, episode: dict[str, torch.Tensor]
    ) -> torch.Tensor | dict[str, torch.Tensor]:
        points = keypoints(state, world.particle_groups["blob"], 4)
        pose = world.bodies["paddle"].pose(state)
        if self.observe_dict:
            return {"points": points, "paddle": pose, "goal": episode["goal"]}
        return torch.cat([points.flatten(1), pose, episode["goal"]], dim=-1)

    def reward(
        self, world: World, before: State, action: torch.Tensor, after: State, episode: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        return {
            "distance": -self._distance(after, episode) / SIDE,
            "effort": -0.01 * (action**2).sum(dim=-1),
        }

    def evaluate(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        centre = centre_of_mass(state.x, state.active)
        distance = self._distance(state, episode)
        return {"success": distance < 0.02, "terminated": centre[:, 2] < self.floor, "distance": distance}

    @staticmethod
    def _distance(state: State, episode: dict[str, torch.Tensor]) -> torch.Tensor:
        offset = centre_of_mass(state.x, state.active)[:, :2] - episode["goal"]
        return torch.sqrt((offset**2).sum(dim=-1) + 1e-12)
