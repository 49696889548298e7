# SPDX-License-Identifier: Apache-2.0
"""SoftGrasp: what the pads read while they hold the block."""

import gymnasium as gym
import numpy as np
import pytest
import torch

import simenv  # noqa: F401  registers the tasks

WEIGHT = 1000.0 * 0.040**3 * 9.81  # of the block [N]


def test_pads_read_the_grip_and_the_weight():
    """Squeeze, lift, hold: both normal forces are equal, the shear of both is the weight, and the taxels add up to the
    contact force on the fingers. The grip is 8 % of the width on each side.
    """
    env = gym.make_vec(
        "SimEnv/SoftGrasp-v0", num_envs=1, output="torch", device="cpu", dtype="float64", autoreset_mode="disabled",
        observation_mode="reduced+force_field",
    )  # fmt: skip
    env.reset(seed=0)
    actions = np.zeros((60, 3))
    actions[:14, :2], actions[14:34, 2] = 0.5, 0.3
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
