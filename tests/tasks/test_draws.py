# SPDX-License-Identifier: Apache-2.0
"""What each task draws at the start of an episode lies in the documented ranges and reaches their ends."""

import numpy as np
import pytest
import torch

from simenv.envs.random import EpisodeRandom
from simenv.envs.task import draw_episode
from simenv.tasks.template import PushBlock
from simenv.tasks.template_robot import STIFFNESS, PressBump
from simenv.tasks.template_touch import SlideTile
from tests.tasks.by_hand import make

BALL = 2500.0 * 4.0 / 3.0 * np.pi * 0.015**3  # mass of glass, 30 mm wide [kg]
TILE = 2700.0 * 0.06 * 0.06 * 0.016  # mass of the tile [kg]
# Springs of a bonded layer: k = E (1 - nu) / ((1 + nu) (1 - 2 nu)) / thickness [Pa/m].
SPRINGS = 1.5e5 * 0.52 / (1.48 * 0.04) / 3e-3
SHEAR = 1e5 / (2 * 1.45) / 4e-3  # the same along a gel of 4 mm: its shear modulus over its thickness [Pa/m]
RANGES = {
    "SimEnv/BallRoll-v0": {
        "goal": None, "offset": ((-0.003,) * 2, (0.003,) * 2), "ball.mass": (0.7 * BALL, 1.3 * BALL),
        "gel.k_n": (0.7 * SPRINGS, 1.3 * SPRINGS), "gel.mu": (0.4, 1.0), "contact.friction": (0.4, 1.0),
    },
    "SimEnv/SurfaceFollow-v0": {
        "angle": (0.0, 2 * np.pi), "shift": ((-0.015,) * 2, (0.015,) * 2), "target": (0.8, 1.6),
        "tip.k_n": (0.7 * SPRINGS, 1.3 * SPRINGS), "tip.mu": (0.2, 0.6),
    },
    "SimEnv/SoftGrasp-v0": {
        "height": (0.020, 0.030), "foam.youngs_modulus": (1.2e4, 3e4), "left_pad.friction": (0.5, 1.0),
        "right_pad.friction": (0.5, 1.0),
    },
    "SimEnv/TactilePour-v0": {
        "asked": (0.015, 0.035), "level": (0.042, 0.060), "jar": ((-0.006, -0.006, 0.0), (0.006, 0.006, 0.0)),
        "seen": None, "noise": None, "liquid.viscosity": None, "liquid.density": (950.0, 1050.0),
        "left.k_t": (0.8 * SHEAR, 1.2 * SHEAR), "right.k_t": (0.8 * SHEAR, 1.2 * SHEAR),
    },
    "SimEnv/Palpate-v0": {
        "block.lump.x": (-0.014, 0.014), "block.lump.y": (-0.014, 0.014), "block.lump.z": (0.014, 0.020),
        "block.lump.stiffness": (2.0, 6.0), "tissue.youngs_modulus": (3.5e3, 6e3), "tip.friction": (0.1, 0.5),
    },
    PushBlock.task_id: {"goal": ((0.15, 0.10), (0.17, 0.14)), "foam.youngs_modulus": (1.4e4, 2.6e4)},
    SlideTile.task_id: {
        "goal": None, "offset": ((-0.005,) * 2, (0.005,) * 2), "tile.mass": (0.8 * TILE, 1.2 * TILE),
        "gel.k_n": (4.5e7, 7.5e7), "contact.friction": (0.1, 0.3),
    },
    PressBump.task_id: {
        "bump": ((0.45, -0.05), (0.55, 0.05)), "start": ((-0.008, -0.008, 0.006), (0.008, 0.008, 0.012)),
        "force": (1.0, 3.0), "gel.k_n": (9e7, 1.5e8), "gel.mu": (0.3, 0.7),
        "arm/tool.stiffness": (0.75 * np.array(STIFFNESS), 1.25 * np.array(STIFFNESS)),
    },
}  # fmt: skip


def draw(task_id: str, count: int = 4096) -> dict[str, np.ndarray]:
    env = make(task_id, randomize=True, max_episode_steps=2)  # some draw numbers for each step
    seeds = torch.arange(count)
    drawn = draw_episode(env.task, EpisodeRandom(seeds, torch.zeros_like(seeds), dtype=torch.float64))
    env.close()
    return {name: value.numpy() for name, value in drawn.items()}


@pytest.mark.parametrize("task_id", RANGES)
def test_ranges(task_id: str) -> None:
    drawn = draw(task_id)
    assert drawn.keys() == RANGES[task_id].keys()
    for name, limits in RANGES[task_id].items():
        if limits is None:
            continue
        low, high = (np.asarray(side) for side in limits)
        slack, value = 0.01 * (high - low), drawn[name]
        assert (value >= low - 1e-9 * high).all() and (value <= high + 1e-9 * np.abs(high)).all(), name
        assert (value.min(0) <= low + slack).all() and (value.max(0) >= high - slack).all(), name
    if "goal" in drawn and RANGES[task_id]["goal"] is None:  # so far away, in any direction [m]
        low, high = (0.006, 0.014) if task_id == "SimEnv/BallRoll-v0" else (0.008, 0.016)
        away = np.linalg.norm(drawn["goal"], axis=1)
        assert low <= away.min() < low + 1e-4 and high - 1e-4 < away.max() <= high
        angle = np.arctan2(drawn["goal"][:, 1], drawn["goal"][:, 0])
        assert np.histogram(angle, 8, (-np.pi, np.pi))[0].min() > 512 - 4 * 512**0.5
    if "liquid.viscosity" in drawn:  # as many in each factor of ten; normal errors of 1 mm and 3 mN
        decades = np.log10(drawn["liquid.viscosity"])
        assert np.histogram(decades, 8, (np.log10(0.03), np.log10(3.0)))[0].min() > 512 - 4 * 512**0.5
        assert drawn["seen"].std() == pytest.approx(0.001, rel=0.05)
        assert drawn["noise"].std() == pytest.approx(0.003, rel=0.01) and drawn["noise"].shape[2:] == (2, 48, 3)
        assert (drawn["left.k_t"] == drawn["right.k_t"]).all()
    if "left_pad.friction" in drawn:
        assert (drawn["left_pad.friction"] == drawn["right_pad.friction"]).all()
