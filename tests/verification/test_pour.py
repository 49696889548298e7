# SPDX-License-Identifier: Apache-2.0
"""The volume of what was poured from a glass into a bowl, as `SimEnv/Pouring-v0` has both, once it is at rest."""

import functools

import gymnasium
import numpy as np
import pytest
import torch

from simenv.assets import path
from simenv.geometry.sampling import fill_cavity
from simenv.geometry.shapes import MeshShape
from simenv.physics.mpm.materials import Liquid
from simenv.tasks.fluids import pouring

MISSES = {"keeps its volume": "measured 1.060: nodes beside a thin wall do not know what can fill them"}
LEVEL_FROM = 0.037  # columns this near to the bowl's axis stand on its base and reach the surface [m]


def poured(liquid: str, monkeypatch) -> tuple[float, float, float]:
    """Volume of what is in the bowl below a map of the highest particles, half a spacing below the surface each, over
    its own; how densely its lower half centimetre is packed; and root mean square speed [m/s]: half a second, 2 s after
    the glass was emptied.
    """
    if liquid == "keeps its volume":
        monkeypatch.setattr(pouring, "Liquid", functools.partial(Liquid, keep_volume=True))
    made = gymnasium.make_vec(
        "SimEnv/Pouring-v0", num_envs=1, output="torch", autoreset_mode="disabled",
        incompressible=liquid == "incompressible",
    )  # fmt: skip
    env = made.unwrapped
    env.reset(seed=3)
    task, world, state, spacing = env.task, env.world, env.state, env.task.dx / 2
    cavity = np.sort(fill_cavity(MeshShape(str(path("bowl.stl"))), task.rim - 1e-4, 1e-3)[:, 2])
    ratios, low, speeds = [], [], []
    for step in range(task.max_episode_steps + 120):
        tilts = step < task.max_episode_steps
        action = task.expert(world, state, env.episode) if tilts else torch.zeros(1, 4)
        state = world.step(state, task.control(world, state, action, env.episode))
        if step >= task.max_episode_steps + 95:
            x = state.x[0, state.active[0]].numpy() - env.episode["container"][0].numpy()
            x = x[(x[:, 2] > cavity[0] - spacing) & (x[:, 2] < task.rim) & (np.hypot(x[:, 0], x[:, 1]) < 0.07)]
            columns, which = np.unique(np.floor(x[:, :2] / task.dx), axis=0, return_inverse=True)
            near = np.flatnonzero(np.hypot(*(task.dx * (columns.T + 0.5))) < LEVEL_FROM)
            level = np.mean([x[which == column, 2].max() for column in near]) + spacing / 2
            ratios.append(1e-9 * np.searchsorted(cavity, level) / (len(x) * spacing**3))
            floor = cavity[0] + 2 * spacing
            low.append((x[:, 2] < floor).sum() * spacing**3 / (1e-9 * np.searchsorted(cavity, floor)))
            speeds.append(float((state.v[0, state.active[0]] ** 2).sum(1).mean()))
    assert (state.status == 0).all()
    assert len(x) >= 0.98 * int(state.active.sum())
    made.close()
    return float(np.mean(ratios)), float(np.mean(low)), float(np.sqrt(np.mean(speeds)))


@pytest.mark.slow
@pytest.mark.parametrize("liquid", ["weakly compressible", "keeps its volume"])
def test_what_was_poured_has_its_volume(liquid, monkeypatch, request):
    ratio, low, speed = poured(liquid, monkeypatch)
    print(
        f"\nmeasured {liquid}: {ratio:.3f} of the volume by a map of heights; packed {low:.2f} times as densely at the "
        f"base; {1e3 * speed:.1f} mm/s"
    )
    if liquid in MISSES:
        request.applymarker(pytest.mark.xfail(reason=MISSES[liquid], strict=True))
    assert abs(ratio - 1) <= 0.015
