# SPDX-License-Identifier: Apache-2.0
"""SoftGrasp: the block at rest, the grip of the pads and what they read, and what the reward is highest for."""

import gymnasium as gym
import numpy as np
import pytest
import torch

import simenv  # noqa: F401  registers the tasks

WEIGHT = 1000.0 * 0.040**3 * 9.81  # of the block [N]
# How far the middle of a block of height h sinks under its own weight, sides free: the strain at height z is
# rho g (h - z) / E, and its displacement, averaged over z, is rho g h^2 / (3 E) [m].
SAG = 1000.0 * 9.81 * 0.040**2 / (3 * 2e4)


def motion(actions, dtype="float32"):
    """Measures after each step (T,), and the force of both pads on the block (T,) [N], and the return."""
    env = gym.make_vec(
        "SimEnv/SoftGrasp-v0", num_envs=1, output="torch", device="cpu", dtype=dtype, autoreset_mode="disabled"
    )
    env.reset(seed=0)
    measures, total = [], 0.0
    for action in actions:
        _, reward, _, _, info = env.step(torch.as_tensor(action, dtype=getattr(torch, dtype))[None])
        force = env.unwrapped.state.wrench[0, 1:, 0]
        measures.append([float(v) for v in (info["risen"], info["slip"], info["strain"], 0.5 * (force[1] - force[0]))])
        total += float(reward)
    assert not info["sim_status"].any()
    height = float(env.unwrapped.episode["height"])
    env.close()
    return np.array(measures).T, total, height


def test_the_block_rests_on_the_table():
    """The block is dropped from zero height, so it swings about its sag and never sinks farther than twice that, in
    both precisions alike.
    """
    (single, *_), *_ = motion(np.zeros((20, 3)))
    (double, *_), *_ = motion(np.zeros((20, 3)), "float64")
    assert single.min() > -2.2 * SAG
    assert single.mean() == pytest.approx(-SAG, rel=0.3)
    assert single == pytest.approx(double, abs=2e-5)


def test_closing_pads_press_harder_and_keep_their_grip():
    """From the touch on the force only grows while the pads close; held still, they lose less than a tenth of it in
    0.2 s.
    """
    actions = np.zeros((34, 3))
    actions[:24, :2] = 0.25
    (_, _, _, force), *_ = motion(actions)
    assert np.diff(force[12:24]).min() > 0.0
    assert force[:5].max() < 0.02 * force[23]  # 2 mm of the gap's 6; contact fades in over the last 4
    assert force[24:].min() > 0.9 * force[23]


def test_no_height_earns_more_than_the_one_asked_for():
    """The same grip, carried to the height, and 6 mm farther within the same time."""

    def lifted(height):
        actions = np.zeros((60, 3))
        actions[:15, :2] = 8.2e-3 / 15 / (0.08 * 0.02)
        actions[15:45, 2] = height / 30 / (0.08 * 0.02)
        return motion(actions)

    height = lifted(0.02)[2]
    (risen, slip, strain, _), returned, _ = lifted(height + 1e-3)
    assert abs(risen[-1] - height) < 2e-3 and abs(slip[-1]) < 4e-3 and strain[-1] < 0.12
    (above, *_), more, _ = lifted(height + 7e-3)
    assert above[-1] > height + 4e-3
    assert more < returned - 0.3


def test_pads_read_the_grip_and_the_weight():
    """Squeeze, lift, hold: both normal forces are equal, the shear of both is the weight, and the taxels add up to the
    contact force on the fingers. The grip is 6 % of the width on each side; the block hangs well clear of the table.
    """
    env = gym.make_vec(
        "SimEnv/SoftGrasp-v0", num_envs=1, output="torch", device="cpu", dtype="float64", autoreset_mode="disabled",
        observation_mode="reduced+force_field",
    )  # fmt: skip
    env.reset(seed=0)
    actions = np.zeros((60, 3))
    actions[:14, :2], actions[14:34, 2] = 0.38, 0.5
    fields, forces = [], []
    for action in actions:
        seen, _, _, _, info = env.step(torch.as_tensor(action)[None])
        fields.append(seen["field"][0])
        forces.append(seen["force"][0].reshape(2, 3))
    assert not info["sim_status"].any() and abs(float(info["slip"][0])) < 0.004
    held = torch.stack(fields[45:]).mean(0).sum((1, 2))  # (pads, 3): columns, up, into the finger
    assert float(held[0, 2]) > 0.5
    assert float(held[0, 2]) == pytest.approx(float(held[1, 2]), rel=0.02)
    assert -float(held[:, 1].sum()) == pytest.approx(WEIGHT, rel=0.01)  # it still swings a little
    total = torch.stack(forces[45:]).mean(0)
    assert float(total[0, 0]) == pytest.approx(-float(held[0, 2]), rel=1e-9)  # the left pad is pushed to the left
    assert float(total[1, 0]) == pytest.approx(float(held[1, 2]), rel=1e-9)
    assert float(total[:, 2].sum()) == pytest.approx(float(held[:, 1].sum()), rel=1e-9)
    env.close()
