# SPDX-License-Identifier: Apache-2.0
"""What LatteArt measures, written again in NumPy from its docstring, for the first world."""

import numpy as np
import pytest
import trimesh

from simenv.assets import path
from tests.tasks.by_hand import bspline, hull_distance, row, sigmoid

CUP = trimesh.load(path("cup.stl")).vertices
NODES, STEP = np.linspace(-0.0525, 0.0525, 16, retstep=True)
FOOT = np.array([0.076, 0.076, 0.0])


def milk_of(env, state):
    """Places of the milk from the cup's foot (500, 3), and which of it is out."""
    milk = env.world.particle_groups["milk"]
    return row(state.x)[milk] - FOOT, row(state.active)[milk]


def seen_milk(env, state):
    """Areal density (16, 16) of the milk down to 10 mm below the surface, which it raises."""
    (x, out), volume = milk_of(env, state), row(env.world.volume)[-1]
    assert volume == pytest.approx(np.pi * 0.0033**2 * 0.2 * 0.02 / 5, rel=1e-6)
    level = 0.028 + volume * float(state.emitted[0]) / 0.0064
    mass = 980.0 * volume * sigmoid((x[:, 2] - (level - 0.010)) / 0.002) * out
    along = [bspline((x[:, axis, None] - NODES) / STEP) for axis in (0, 1)]
    return np.einsum("p,pi,pj->ij", mass, *along) / STEP**2


def measured(env, state):
    """The four measures of the reward."""
    (x, out), curve = milk_of(env, state), row(env.episode["curve"])
    target, seen = row(env.episode["target"]).reshape(16, 16), seen_milk(env, state)
    blur = np.exp(-((NODES[:, None] - NODES) ** 2) / (2 * 0.015**2))
    soft = [np.einsum("ai,ij,jb->ab", blur, each, blur) for each in (seen, target)]
    near = np.sqrt(((x[:, None, :2] - curve) ** 2).sum(-1).min(1) + 1e-6)
    outside = np.minimum(hull_distance(x, CUP), CUP[:, 2].max() - x[:, 2])
    return {
        "match": np.minimum(seen, target).sum() / np.maximum(seen, target).sum(),
        "rough": np.minimum(*soft).sum() / np.maximum(*soft).sum(),
        "near": (near * out).sum() / 500 / 0.010,
        "spilled": (sigmoid(outside / 0.004) * out).sum() / 500,
    }
