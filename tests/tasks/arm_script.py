# SPDX-License-Identifier: Apache-2.0
"""A controller of the peg tasks that knows the true state: it levels the peg above its place, then lowers it, in steps
that suit an arm.
"""

import torch

HOVER = 0.003  # of the lower end above the mouth while it is levelled [m]
ARM = 0.0125  # it goes in when it is aside by less than its play, and leans by less than the play over this [m]


def scripted_action(env):
    """Actions (N, 6) of a `PegTask` environment's present state."""
    task, world, state, episode = env.task, env.world, env.state, env.episode
    axis, offset = task.axis(world, state), task.offset(world, state, episode)
    upward = torch.zeros_like(axis)
    upward[:, 2] = 1.0
    lean = torch.linalg.cross(axis, upward)
    top, half = task.mouth()
    gap = world.bodies["peg"].centre(state)[:, 2] - half * axis[:, 2] - episode["socket"][:, 2] - top
    aside = offset[:, :2].norm(dim=-1)
    within = (gap < -0.001) & (aside < 0.003)
    ready = within | (aside < task.play) & (lean.norm(dim=-1) < task.play / ARM)
    down = torch.where(ready, torch.full_like(gap, -0.34), 1.5 * (HOVER - gap) / 0.010)
    lateral = -1.2 * offset[:, :2] / 0.010
    return torch.cat([lateral, down[:, None], 0.12 * lean / 0.05], -1).clamp(-1.0, 1.0)
