# SPDX-License-Identifier: Apache-2.0
"""A small task on the real engine for the optimisers: a sticky plate moves a soft, weightless block to a goal."""

from __future__ import annotations

import numpy as np
import torch

from simenv.envs import Argument, EpisodeRandom, Task, register_task
from simenv.geometry.shapes import Box
from simenv.physics.mpm.materials import Elastic
from simenv.world import Control, Scene, State, World

SPACING = 0.01  # [m], half a grid cell


@register_task("TestEnv/Push-v0", max_episode_steps=12)
class Push(Task):
    """Move the block's centre to a goal 35 mm to 45 mm ahead of where it starts."""

    action_limits = ((-1.0,), (1.0,))
    action_names = (("plate velocity x", "m/s"),)

    explode_above = Argument(2.0, "a plate pushed beyond this action is driven at a speed no grid can follow")

    def build(self) -> Scene:
        scene = Scene(size=(0.24, 0.12, 0.12), dx=2 * SPACING, substep_dt=1e-3, substeps=10, gravity=(0.0, 0.0, 0.0))
        scene.add_material("block", Elastic(density=1000.0, youngs_modulus=2e4, poisson_ratio=0.3))
        axis = (np.arange(4) - 1.5) * SPACING
        cube = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        scene.add_particles("block", "block", cube + [0.08, 0.06, 0.06], volume=SPACING**3)
        scene.add_body("plate", position=(0.04, 0.06, 0.06))
        scene.add_collider("blade", Box((0.01, 0.03, 0.03)), body="plate", width=0.01, stick=True)
        return scene

    def sample(self, random: EpisodeRandom) -> dict[str, torch.Tensor]:
        return {"goal": random.uniform("goal", 0.115, 0.125)}

    def control(self, world: World, state: State, action: torch.Tensor, episode: dict[str, torch.Tensor]) -> Control:
        speed = torch.where(action > self.explode_above, torch.full_like(action, 300.0), 0.8 * action)
        return Control(torch.cat([speed, torch.zeros_like(action).repeat(1, 5)], dim=-1).unsqueeze(1))

    def observe(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> torch.Tensor:
        mean = [state.x.mean(1), state.v.mean(1), state.body_q[:, 0, :1], episode["goal"][:, None]]
        return torch.cat(mean, dim=-1)

    def reward(
        self, world: World, before: State, action: torch.Tensor, after: State, episode: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        error = after.x[..., 0].mean(1) - episode["goal"]
        return {"distance": -((error / 0.04) ** 2), "effort": -1e-3 * (action**2).sum(-1)}

    def evaluate(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        error = state.x[..., 0].mean(1) - episode["goal"]
        return {"success": error.abs() < 0.003, "error": error.detach()}
