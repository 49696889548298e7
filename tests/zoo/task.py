# SPDX-License-Identifier: Apache-2.0
"""A task of each world of the zoo, with actions that move whatever can be told to move. Importing it registers it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from simenv.envs import Argument, EpisodeRandom, Task, register_task
from simenv.physics import exact
from simenv.world import Control, Scene, State, World
from tests.zoo.scenes import ZOO

TASK = "TestEnv/Zoo-v0"


@register_task(TASK, max_episode_steps=4)
class ZooTask(Task):
    """Stir a world of the zoo."""

    action_limits = ((-1.0, -1.0), (1.0, 1.0))
    action_names = (("sideways", "1"), ("downwards", "1"))

    scene = Argument("liquid", "which world", choices=list(ZOO))
    paced = Argument(False, "whether a control step chooses its number of substeps")

    def build(self) -> Scene:
        case = ZOO[self.scene]
        return case.scene(**({"max_substeps": 16} if self.paced else {}))

    def sample(self, random: EpisodeRandom) -> dict[str, torch.Tensor]:
        return {"offset": random.uniform("offset", -2e-4, 2e-4, shape=(3,))}

    def initial_state(self, world: World, episode: dict[str, torch.Tensor]) -> State:
        state = world.initial_state()
        if "grip" in state:
            state = state.replace(grip=state.grip + state.grip.new_tensor([0.0078, 0.0]))
        if "x" in state:
            state = state.replace(x=state.x + episode["offset"].unsqueeze(1))
        return world.touch_anew(state)

    def control(self, world: World, state: State, action: torch.Tensor, episode: dict[str, torch.Tensor]) -> Control:
        still = torch.zeros_like(action[:, :1])
        way = torch.cat([action[:, :1], still, -action[:, 1:]], -1)
        told: dict[str, Any] = {}
        if world.given_names:
            told["twist"] = {name: torch.cat([0.2 * way, way], -1) for name in world.given_names}
        if world.hand_names:
            turn = torch.zeros_like(way)
            told["goal"] = {name: world.bodies[name].near(state, 2e-3 * way, turn) for name in world.hand_names}
        if world.scene.emitters:
            told["emit"] = dict.fromkeys(world.scene.emitters, action[:, 0] > -0.5)
        if "grip" in state:
            told["effort"] = -6.0 + action[:, 1]
        return world.control(**told)

    def observe(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.cat([state.body_q.flatten(1), state.body_twist.flatten(1), state.time[:, None]], -1)

    def reward(
        self, world: World, before: State, action: torch.Tensor, after: State, episode: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        return {"effort": -exact.total(action * action)}

    def evaluate(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"success": state.time < 0.0}


def actions(steps: int, worlds: int, seed: int = 0) -> torch.Tensor:
    """(steps, worlds, 2) random actions."""
    numbers = np.random.default_rng(seed).uniform(-1.0, 1.0, (steps, worlds, 2))
    return torch.as_tensor(numbers)
