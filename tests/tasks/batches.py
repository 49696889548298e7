# SPDX-License-Identifier: Apache-2.0
"""Batches of a task: a world's numbers depend neither on its neighbours nor on threads."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import simenv
from simenv import _threads

__all__ = ["check_batches", "played"]


def played(env: Any, seed: int, steps: int) -> dict[str, torch.Tensor]:
    """The state after random actions, those of a world by its seed; the environment is closed."""
    env.reset(seed=seed)
    size = env.single_action_space.shape[0]
    rows = [torch.rand(steps, size, generator=torch.Generator().manual_seed(seed + i)) for i in range(env.num_envs)]
    for action in 2 * torch.stack(rows, 1) - 1:
        env.step(action)
    state = {name: value.clone() for name, value in env.get_state().items()}
    env.close()
    return state


def check_batches(
    monkeypatch: pytest.MonkeyPatch, run: Callable[..., dict[str, torch.Tensor]], worlds: int, chosen: int
) -> None:  # fmt: skip
    """`run(worlds, seed=0)` gives the same bits on one thread and on two, and a chosen world those it has alone."""
    monkeypatch.setattr(_threads, "_num_threads", _threads._num_threads)
    simenv.set_num_threads(1)
    batch = run(worlds)
    assert float(batch["state.joint_qd"].abs().max()) > 0.01
    simenv.set_num_threads(2)
    again, alone = run(worlds), run(1, seed=chosen)
    for name, value in batch.items():
        assert torch.equal(value, again[name]), name
        if name.startswith("state."):
            assert torch.equal(value[chosen], alone[name][0]), name
