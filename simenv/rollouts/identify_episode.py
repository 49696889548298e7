# SPDX-License-Identifier: Apache-2.0
"""Identify physical parameters of a recorded episode: its environment is rebuilt, its actions are played again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from simenv.envs import views
from simenv.physics.solver import Field
from simenv.rollouts import access
from simenv.rollouts.episode import Episode
from simenv.rollouts.errors import RolloutError
from simenv.rollouts.identify import Callback, Identification, IdentifyConfig, identify
from simenv.rollouts.replay import restore
from simenv.rollouts.residuals import Observed, Quantity
from simenv.world import Control, State

PREFIX = "observations/"


def identify_episode(
    episode: Episode, parameters: Mapping[str, Sequence[float]], *, observe: Sequence[str] = (),
    steps: int | None = None, initial: Mapping[str, float | Sequence[float]] | None = None, starts: int = 1,
    device: str | None = None, config: IdentifyConfig | None = None, callback: Callback | None = None,
) -> Identification:  # fmt: skip
    """Find the physical parameters with which the recorded actions lead to the recorded states.

    Parameters that are not sought keep their recorded values. Terminations are ignored: a world goes on to the end of
    the recording.

    Args:
        episode: From :class:`~simenv.rollouts.reader.Recording`.
        parameters: name -> (low, high), in the parameter's unit; of several numbers one, ``"arm.mass[2]"``.
        observe: What to compare: names of recorded states ("x", "body_q" ...), or "observations/NAME". By default
            the fields that the world's solvers declare as `compared`, which show how it moves: particles, bodies,
            gripper, joints, wrenches of gels; of these what changes.
        steps: Compare the first so many control steps; None for all.
        initial: name -> the first guess, one or one for each start; by default the middle of the limits.
        starts: Starts at once, each a world; those after the first are random.
        device: Where to simulate; the recorded device by default.
        config: Options.
        callback: Called after each iteration.

    Returns:
        The values, with history and result code.

    Raises:
        RolloutError: The recording lacks what is to be compared, its environment can't be rebuilt, or see `identify`.
    """
    if starts < 1:
        raise RolloutError(f"starts = {starts}; at least 1 is needed")
    if steps is not None and not 1 <= steps <= len(episode):
        raise RolloutError(f"steps = {steps}; the episode has 1 .. {len(episode)}")
    steps = len(episode) if steps is None else steps
    env = access.make(episode.environment, device=device, num_envs=starts)
    try:
        restore(env, episode)
        core = env.unwrapped
        fields = core.world.fields
        names = observe or _moving(episode, [name for name, field in fields.items() if field.compared], steps)
        observed = observed_of(episode, names, steps, fields)
        actions = torch.as_tensor(episode.actions, dtype=core.world.dtype, device=core.world.device)
        nobody = torch.zeros(starts, dtype=torch.bool, device=core.world.device)

        def executed(step: int) -> torch.Tensor:
            return core.action_checker.execute(actions[step].expand(starts, -1), nobody)

        def drive(state: State, step: int) -> Control:
            return core.task.control(core.world, state, executed(step), core.episode)

        def remember(before: State, step: int, after: State) -> State:
            return core.task.remember(core.world, before, executed(step), after, core.episode)

        return identify(
            core.world, drive, observed, parameters, initial=initial, start=core.state, config=config,
            quantities={name: _observation(core, name) for name in observed.values if name.startswith(PREFIX)},
            callback=callback, remember=remember,
        )  # fmt: skip
    finally:
        env.close()


def observed_of(episode: Episode, names: Sequence[str], steps: int, fields: Mapping[str, Field]) -> Observed:
    """What a recording says of these quantities in its first control steps.

    Args:
        episode: The recording.
        names: Of recorded states, or "observations/NAME".
        steps: How many.
        fields: What the world declares of its states: rows that take no part were not seen.

    Raises:
        RolloutError: It says nothing of one of them.
    """
    known = [*episode.states, *(PREFIX + name for name in episode.observations)]
    for name in names:
        if name not in known:
            raise RolloutError(
                f"{name!r} was not recorded; compare what was ({', '.join(known) or 'nothing'}), or record it again "
                "with states='keyframes' or 'all' (`--states`)"
            )
    if not names:
        raise RolloutError(
            f"no states were recorded, so there is nothing to compare; name an observation ({', '.join(known)}), or "
            "record with states='keyframes' or 'all'"
        )
    only_observations = all(name.startswith(PREFIX) for name in names)
    at = np.arange(1, len(episode) + 1) if only_observations else episode.state_steps
    rows = np.flatnonzero((at >= 1) & (at <= steps))
    if not len(rows):
        raise RolloutError(f"no state was kept within the first {steps} steps; ask for more steps")
    values = {}
    for name in names:
        if name.startswith(PREFIX):
            values[name] = episode.observations[name.removeprefix(PREFIX)][at[rows]].astype(float)
            continue
        values[name] = episode.states[name][rows].astype(float)
        mask = fields[name].mask if name in fields else None
        if mask in episode.states:
            values[name][~episode.states[mask][rows].astype(bool)] = np.nan
    return Observed(values, at[rows])


def _moving(episode: Episode, names: Sequence[str], steps: int) -> list[str]:
    """Which of these recorded states change within the first control steps; all, if none does."""
    kept = [name for name in names if name in episode.states]
    rows = episode.state_steps <= steps
    moving = [name for name in kept if np.ptp(episode.states[name][rows], axis=0).max(initial=0.0) > 0.0]
    return moving or kept


def _observation(core: Any, name: str) -> Quantity:
    key = name.removeprefix(PREFIX)

    def quantity(world: Any, state: State) -> torch.Tensor:
        seen = views.observe(core.task, world, state, core.episode)
        return seen[key] if isinstance(seen, dict) else seen

    return quantity
