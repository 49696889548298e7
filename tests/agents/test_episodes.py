# SPDX-License-Identifier: Apache-2.0
"""Statistics of episodes against sums by hand."""

import math

import torch

from simenv.agents.episodes import Episodes

# Two worlds, four steps; world 0 ends after steps 2 and 4, world 1 after step 3.
A = [[1.0, 10.0], [2.0, 20.0], [4.0, 40.0], [8.0, 80.0]]
B = [[-0.5, 0.0], [-0.5, 1.0], [0.0, 0.0], [0.25, 0.0]]
DONE = [[False, False], [True, False], [False, True], [True, False]]
SUCCESS = [[True, True], [False, True], [True, True], [True, False]]


def feed(episodes: Episodes, steps: range) -> None:
    for a, b, done, success in [list(zip(A, B, DONE, SUCCESS, strict=True))[i] for i in steps]:
        terms = {"a": torch.tensor(a), "b": torch.tensor(b)}
        info = {"reward_terms": terms, "success": torch.tensor(success)}
        episodes.add(terms["a"] + terms["b"], torch.tensor(done), info)


def test_sums_means_and_what_a_checkpoint_keeps() -> None:
    whole, part = Episodes(2, torch.device("cpu")), Episodes(2, torch.device("cpu"))
    assert math.isnan(whole.metrics()["rollout/ep_rew_mean"]) and len(whole) == 0
    feed(whole, range(4))
    feed(part, range(3))
    resumed = Episodes(2, torch.device("cpu"))
    resumed.restore(*part.state())
    feed(resumed, range(3, 4))
    for episodes in (whole, resumed):
        # episodes: (1 + 2, -1) lost, (10 + 20 + 40, 1) won, (4 + 8, 0.25) won
        assert len(episodes) == 3
        assert episodes.metrics() == {
            "rollout/ep_rew_mean": (2.0 + 71.0 + 12.25) / 3, "rollout/ep_len_mean": 7 / 3,
            "rollout/success_rate": 2 / 3, "reward/a": (3.0 + 70.0 + 12.0) / 3, "reward/b": 0.25 / 3,
        }  # fmt: skip


def test_only_the_last_hundred_count() -> None:
    episodes = Episodes(1, torch.device("cpu"))
    for number in range(150):
        info = {"success": torch.tensor([number >= 100])}
        episodes.add(torch.tensor([float(number)]), torch.tensor([True]), info)
    assert len(episodes) == 100
    assert episodes.metrics() == {
        "rollout/ep_rew_mean": 99.5, "rollout/ep_len_mean": 1.0, "rollout/success_rate": 0.5,
    }  # fmt: skip
