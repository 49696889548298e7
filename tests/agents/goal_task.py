# SPDX-License-Identifier: Apache-2.0
"""Small analytic tasks behind Gymnasium's registry for the learning algorithms: a point and a goal on a line.

The world is the real one with an empty-handed plate that the action moves; position is a body's, so that episodes,
resets, time limits and saved states are those of every other task.
"""

from __future__ import annotations

import torch

from simenv.envs import EpisodeRandom, Task, register_task
from simenv.physics.mpm.materials import Elastic
from simenv.world import Control, Scene, State, World

DT = 0.1  # control step [s]
MIDDLE = 0.5  # [m]
SPAN = 0.2  # goals lie within +- SPAN of the middle [m]
REACH = 0.1  # distance an action of 1 moves in a step [m]
STEPS = 8


class Line(Task):
    """A point x that moves by REACH a along a line; the goal g is uniform in MIDDLE +- SPAN, the start is MIDDLE.

    Reward of a step: -|x - g| after it [m]. The best policy moves by min(REACH, |g - x|) towards g, so that the return
    of an episode with offset d = |g - MIDDLE| is -sum_k max(0, d - k REACH), k = 1 ... STEPS; on average over goals
    -0.025 m. A policy that cannot know the goal can do no better than stay: -STEPS SPAN / 2 = -0.8 m.
    """

    action_limits = ((-1.0,), (1.0,))
    action_names = (("step", "0.1 m"),)
    observation_modes = ("privileged", "blind", "image", "touch")

    def build(self) -> Scene:
        scene = Scene(size=(1.0, 0.25, 0.25), dx=0.0625, substep_dt=DT, substeps=1, gravity=(0.0, 0.0, 0.0))
        scene.add_material("dust", Elastic(density=1.0, youngs_modulus=1e-3, poisson_ratio=0.0))
        scene.add_particles("dust", "dust", [[0.5, 0.125, 0.125]], volume=1e-6)
        scene.add_body("hand", position=(MIDDLE, 0.125, 0.125))
        return scene

    def sample(self, random: EpisodeRandom) -> dict[str, torch.Tensor]:
        return {"goal": random.uniform("goal", MIDDLE - SPAN, MIDDLE + SPAN)}

    def control(self, world: World, state: State, action: torch.Tensor, episode: dict[str, torch.Tensor]) -> Control:
        speed = REACH / DT * action
        return Control(torch.cat([speed, torch.zeros_like(action).repeat(1, 5)], dim=-1).unsqueeze(1))

    def offset(self, state: State, episode: dict[str, torch.Tensor]) -> torch.Tensor:
        """Goal minus position (N,) [m]."""
        return episode["goal"] - state.body_q[:, 0, 0]

    def observe(
        self, world: World, state: State, episode: dict[str, torch.Tensor]
    ) -> torch.Tensor | dict[str, torch.Tensor]:
        place, offset = state.body_q[:, 0, :1] - MIDDLE, self.offset(state, episode)
        if self.observation_mode == "privileged":
            return {"state": torch.cat([place, offset[:, None]], -1)}
        if self.observation_mode == "blind":
            return place
        if self.observation_mode == "touch":  # pressed taxels, strongest at the goal's direction: a force field
            taxels = torch.linspace(-0.4, 0.4, 9, device=offset.device, dtype=offset.dtype)
            return {"field": torch.exp(-(((taxels - offset[:, None]) / 0.1) ** 2))[:, None, :, None]}
        columns = torch.linspace(-0.45, 0.45, 20, device=offset.device, dtype=offset.dtype)
        bar = torch.exp(-(((columns - offset[:, None]) / 0.06) ** 2))[:, None, :, None].expand(-1, 18, -1, 3)
        return {"image": (255 * bar).to(torch.uint8)}

    def reward(
        self, world: World, before: State, action: torch.Tensor, after: State, episode: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        return {"distance": -self.offset(after, episode).abs()}

    def evaluate(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"success": self.offset(state, episode).abs() < 0.03}


@register_task("TestEnv/Goal-v0", max_episode_steps=STEPS)
class Goal(Line):
    """Every episode runs to the time limit. Its controller is the best policy."""

    def expert(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> torch.Tensor:
        return (self.offset(state, episode) / REACH).clamp(-1.0, 1.0)[:, None]


@register_task("TestEnv/Hold-v0", max_episode_steps=40)
class Hold(Line):
    """An unstable point in a wind w: offset' = 1.3 offset - REACH (a - w), from offset 0; past 0.3 m the episode ends.

    The expert a = w + 13 offset never leaves offset 0, so that its demonstrations say nothing about other offsets. A
    clone's action there is w + e(w); with a slope in the offset near 0, the offset after k steps is
    -e REACH (1.3^k - 1) / 0.3: e = 1e-4 has left after 35 steps. (S. Ross, D. Bagnell, 2010: errors compound.)
    """

    observation_modes = ("privileged",)

    def sample(self, random: EpisodeRandom) -> dict[str, torch.Tensor]:
        wind = random.uniform("wind", -0.3, 0.3)
        return {"goal": torch.full_like(wind, MIDDLE), "wind": wind}

    def control(self, world: World, state: State, action: torch.Tensor, episode: dict[str, torch.Tensor]) -> Control:
        drift = -0.3 * self.offset(state, episode) / REACH - episode["wind"]
        return super().control(world, state, action + drift[:, None], episode)

    def observe(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"state": torch.stack([episode["wind"], self.offset(state, episode)], -1)}

    def evaluate(self, world: World, state: State, episode: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        away = self.offset(state, episode).abs()
        return {"success": away < 0.05, "terminated": away > 0.3}


def best_return(offset: torch.Tensor, steps: int = STEPS) -> torch.Tensor:
    """Return of the best policy on `Goal` for start offsets (N,) [m]; see `Line`."""
    moved = REACH * torch.arange(1, steps + 1, dtype=offset.dtype)
    return -(offset.abs()[:, None] - moved).clamp(min=0).sum(1)
