# SPDX-License-Identifier: Apache-2.0
"""`Rollout`: what a sequence of actions led to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import checkpoint as utils

from simenv.physics import exact

if TYPE_CHECKING:
    from simenv.envs.batch import Batch, Outcome, Snapshot
    from simenv.world import State


@dataclass(frozen=True)
class Rollout:
    """T control steps of N worlds. Tensors, or arrays from an environment with ``output="numpy"``.

    Attributes:
        observations: (T, N, ...) after each step, or a dict of them; None if they were not asked for.
        rewards: (T, N), 0 after a world's episode has ended.
        returns: (N,) sum of the rewards over time, undiscounted.
        terminated: (T, N) bool, True from the step at which the world's episode ended.
        truncated: (T, N) bool, likewise for the time limit.
        success: (N,) bool, whether the task judges the last state of the world a success.
        sim_status: (N,) int32 status bitmask of the last state.
        states: The T states after each step when asked for, else None.
    """

    observations: Any
    rewards: Any
    returns: Any
    terminated: Any
    truncated: Any
    success: Any
    sim_status: Any
    states: tuple[State, ...] | None = None


def run(
    batch: Batch, actions: torch.Tensor, keep_states: bool = False, observe: bool = True, checkpoint: bool = False
) -> Rollout:
    """Advance a batch through a sequence of actions; worlds whose episode ends stay as they are.

    Args:
        batch: The worlds, from their present state.
        actions: (T, N, A).
        keep_states: Whether to return the states too.
        observe: Whether to compute observations; an optimiser of returns can spare them.
        checkpoint: Whether the backward pass simulates again, in segments of about sqrt(T) steps, instead of keeping
            every step.

    Returns:
        The rollout, as tensors.

    Raises:
        ValueError: If there is no step.
    """
    if actions.shape[0] == 0:
        raise ValueError("rollout() needs at least one step; actions have shape (0, N, A).")
    outcomes: list[Outcome] = []
    states: list[State] = []
    length = max(1, round(len(actions) ** 0.5)) if checkpoint else len(actions)
    for segment in actions.split(length):
        if checkpoint:
            now = batch.snapshot()
            part, passed, end = utils.checkpoint(_segment, batch, now, segment, observe, use_reentrant=False)
            batch.restore(end)
        else:
            part, passed = _advance(batch, segment, observe, keep_states)
        outcomes += part
        states += passed if keep_states else []
    rewards = torch.stack([outcome.reward for outcome in outcomes])
    last = outcomes[-1].info
    return Rollout(
        observations=_stack([outcome.observation for outcome in outcomes]) if observe else None,
        rewards=rewards,
        returns=exact.total(rewards, 0),
        terminated=torch.stack([outcome.terminated for outcome in outcomes]),
        truncated=torch.stack([outcome.truncated for outcome in outcomes]),
        success=last["success"],
        sim_status=last["sim_status"],
        states=tuple(states) if keep_states else None,
    )


def _advance(batch: Batch, actions: torch.Tensor, observe: bool, keep: bool) -> tuple[list[Outcome], list[State]]:
    """Outcomes of the steps, and the states after them if asked for."""
    outcomes, states = [], []
    for action in actions:
        outcomes.append(batch.advance(action, frozen=batch.done, observe=observe))
        if keep:
            states.append(batch.require_state())
    return outcomes, states


def _segment(
    batch: Batch, start: Snapshot, actions: torch.Tensor, observe: bool
) -> tuple[list[Outcome], list[State], Snapshot]:
    """A segment from `start`; the batch is afterwards where it was before, as this also runs in the backward pass."""
    present = batch.snapshot()
    try:
        batch.restore(start)
        outcomes, states = _advance(batch, actions, observe, keep=True)
        return outcomes, states, batch.snapshot()
    finally:
        batch.restore(present)


def _stack(observations: list[Any]) -> Any:
    if isinstance(observations[0], Mapping):
        return {name: torch.stack([each[name] for each in observations]) for name in observations[0]}
    return torch.stack(observations)
