# SPDX-License-Identifier: Apache-2.0
"""Replay an episode: simulate it again from its actions and measure the deviation, or play its stored states."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from simenv.rollouts import access
from simenv.rollouts.episode import Episode
from simenv.rollouts.errors import RolloutError
from simenv.rollouts.manifest import versions


@dataclasses.dataclass(frozen=True)
class Deviation:
    """How far a replayed quantity is from the recorded one.

    Attributes:
        name: "rewards", "observations/...", "states/x" ...
        unit: SI unit, empty where the quantity mixes units.
        max: Largest absolute difference.
        rms: Root mean square of the differences.
        first_step: First control step at which a value differs in any bit; None if there is none.
    """

    name: str
    unit: str
    max: float
    rms: float
    first_step: int | None


@dataclasses.dataclass(frozen=True)
class ReplayReport:
    """Result of a replay.

    Attributes:
        mode: "actions" or "states".
        steps: Control steps simulated or shown.
        device: Where it was simulated.
        exact: Every compared number equals the recorded one, bit for bit. None in mode "states".
        deviations: One entry per compared quantity.
        remarks: Differences of device or versions between the recording and now.
        video: Path of the video, if one was written.
    """

    mode: str
    steps: int
    device: str
    exact: bool | None
    deviations: tuple[Deviation, ...] = ()
    remarks: tuple[str, ...] = ()
    video: str | None = None

    @property
    def max_deviation(self) -> float:
        """Largest absolute difference over all quantities, each in its own unit."""
        return max((item.max for item in self.deviations), default=0.0)


def replay(
    episode: Episode,
    mode: str = "actions",
    *,
    device: str | None = None,
    video: str | os.PathLike | None = None,
    width: int = 480,
    height: int = 360,
) -> ReplayReport:
    """Replay one episode in an environment rebuilt from its own description.

    Args:
        episode: From :class:`~simenv.rollouts.reader.Recording`.
        mode: "actions" simulates again from the initial state and the actions, and compares; "states" shows the
            stored states as they are and simulates nothing.
        device: Where to simulate; the recorded device by default.
        video: Write an MP4 of the replay there.
        width: Of the video [pixel].
        height: Of the video [pixel].

    Returns:
        The report. On the CPU a replay by the same versions is bit-exact.

    Raises:
        RolloutError: The environment cannot be rebuilt, or the episode holds no states to play.
    """
    if mode not in ("actions", "states"):
        raise RolloutError(f"mode={mode!r}; use 'actions' or 'states'")
    if mode == "states" and not episode.states:
        raise RolloutError("the episode holds no states; replay its actions, or record with states='all'")
    env = access.make(episode.environment, device=device)
    try:
        restore(env, episode)
        with _film(env, episode, mode, video, width, height) as film:
            run = _simulate if mode == "actions" else _play
            deviations = run(env, episode, film)
        return ReplayReport(
            mode,
            len(episode) if mode == "actions" else len(episode.state_steps),
            str(env.unwrapped.world.device),
            all(item.first_step is None for item in deviations) if mode == "actions" else None,
            tuple(deviations),
            _remarks(episode, env) + (_not_kept(episode, env) if mode == "states" else ()),
            None if video is None else str(video),
        )
    finally:
        env.close()


def restore(env: Any, episode: Episode) -> None:
    """Put every world of a rebuilt environment into the episode's initial state, parameters included.

    Raises:
        RolloutError: This version of the task has other parameters or another state than the recording.
    """
    core = env.unwrapped
    now, recorded = core.get_state(), episode.initial_state
    wrong = sorted(set(recorded) ^ set(now))
    wrong += [name for name in recorded if name in now and recorded[name].shape[1:] != tuple(now[name].shape[1:])]
    if wrong:
        raise _other_version(episode, f"the recorded state (different: {', '.join(wrong)}) does not fit")
    core.set_state({name: _like(value, now[name]).expand_as(now[name]).clone() for name, value in recorded.items()})


def state_at(env: Any, episode: Episode, index: int) -> Any:
    """Stored state number ``index`` as a state of one world.

    Fields that were not stored, of which old recordings have some, are the current ones.

    Raises:
        RolloutError: A stored field is none of this world's state.
    """
    state = env.unwrapped.state
    _require_fields(episode, state)
    return state.replace(**{k: _like(v[index : index + 1], state[k]) for k, v in episode.states.items()})


def _other_version(episode: Episode, what: str) -> RolloutError:
    return RolloutError(
        f"{what} this version of {episode.environment['id']}; replay it with the source that recorded it, "
        f"simenv {episode.environment['versions'].get('simenv')}"
    )


def _require_fields(episode: Episode, present: Mapping[str, Any]) -> None:
    unknown = sorted(set(episode.states) - set(present))
    if unknown:
        raise _other_version(episode, f"the recording kept states of {', '.join(unknown)}, which are none of")


def compare(recorded: np.ndarray, replayed: np.ndarray, name: str, steps: np.ndarray, unit: str = "") -> Deviation:
    """Deviation of two arrays of equal shape (K, ...), whose rows belong to the control steps ``steps`` (K,).

    Not-a-number equals itself here: a replay reproduces it, or does not.
    """
    if recorded.shape != replayed.shape:
        raise RolloutError(f"{name}: recorded shape {recorded.shape}, replayed {replayed.shape}; the task has changed")
    a, b = recorded.astype(np.float64), replayed.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(a - b))
    if not difference.size:
        return Deviation(name, unit, 0.0, 0.0, None)
    bad = np.flatnonzero(~same.reshape(len(same), -1).all(axis=1))
    rms = float(np.sqrt(np.mean(difference**2)))
    return Deviation(name, unit, float(difference.max()), rms, int(steps[bad[0]]) if len(bad) else None)


def _simulate(env: Any, episode: Episode, film: Any) -> list[Deviation]:
    core = env.unwrapped
    _require_fields(episode, core.state)
    units = {"rewards": "1", **{f"states/{name}": field.unit for name, field in core.world.fields.items()}}
    keep = set(episode.state_steps.tolist())
    states: dict[str, list] = {name: [] for name in episode.states}
    outputs: dict[str, list] = {name: [] for name in ("rewards", "terminated", "truncated")}
    observations: dict[str, list] = {name: [] for name in episode.observations}

    def note(step: int) -> None:
        film(core.state)
        if step in keep:
            for name, values in states.items():
                values.append(access.host(core.state[name])[0])

    note(0)
    for step, action in enumerate(episode.actions):
        result = env.step(torch.as_tensor(action[None], device=core.world.device))
        for name, value in zip(outputs, result[1:4], strict=True):
            outputs[name].append(access.host(value)[0])
        observed = result[0] if isinstance(result[0], dict) else {"observation": result[0]}
        for name, values in observations.items():
            values.append(access.host(observed[name])[0])
        note(step + 1)
    steps = np.arange(1, len(episode) + 1)
    pairs = [(name, getattr(episode, name), values, steps) for name, values in outputs.items()]
    # The observation before the first action belongs to the reset, which a replay replaces by the stored state.
    pairs += [(f"observations/{k}", episode.observations[k][1:], v, steps) for k, v in observations.items()]
    pairs += [(f"states/{k}", episode.states[k], v, episode.state_steps) for k, v in states.items()]
    return [
        compare(recorded, np.stack(values), name, at, units.get(name, ""))
        for name, recorded, values, at in pairs
        if len(values)
    ]


def _play(env: Any, episode: Episode, film: Any) -> list[Deviation]:
    for index in range(len(episode.state_steps)):
        film(state_at(env, episode, index))
    return []


@contextlib.contextmanager
def _film(env: Any, episode: Episode, mode: str, path: Any, width: int, height: int) -> Iterator[Any]:
    """A function that appends a state to the video, or does nothing without one."""
    if path is None:
        yield lambda state: None
        return
    period = float(episode.environment["control_dt"])
    if mode == "states" and len(episode.state_steps) > 1:
        period *= float(np.median(np.diff(episode.state_steps)))
    with filming(env.unwrapped, path, 1.0 / period, width, height) as film:
        yield film


@contextlib.contextmanager
def filming(env: Any, path: str | os.PathLike, fps: float, width: int = 480, height: int = 360) -> Iterator[Any]:
    """Yield ``film(state)``, which appends the picture of the environment's first world to the video at ``path``."""
    from simenv.envs.frames import TaskRenderer
    from simenv.render.video import VideoWriter

    renderer = TaskRenderer(env.task, env.world, width, height)
    with VideoWriter(path, fps) as writer:
        yield lambda state: writer.add(renderer.render(state, env.episode, worlds=[0])[0])


def _remarks(episode: Episode, env: Any) -> tuple[str, ...]:
    recorded, now = episode.environment["versions"], versions()
    remarks = [f"{k} {v} recorded, {now[k]} here" for k, v in recorded.items() if k in now and now[k] != v]
    device = str(env.unwrapped.world.device)
    if device != episode.environment["device"]:
        remarks.append(f"recorded on {episode.environment['device']}, replayed on {device}")
    return tuple(remarks)


def _not_kept(episode: Episode, env: Any) -> tuple[str, ...]:
    """What a recording by an older version cannot show."""
    core = env.unwrapped
    missing = [name for name in {**core.world.fields, **core.state} if name not in episode.states]
    return (f"states of {', '.join(missing)} were not kept; they are shown as at the start",) if missing else ()


def _like(value: np.ndarray, tensor: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(value)).to(device=tensor.device, dtype=tensor.dtype)
