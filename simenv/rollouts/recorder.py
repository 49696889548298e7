# SPDX-License-Identifier: Apache-2.0
"""Record episodes of the single or the batched environment, one HDF5 file per episode of each world."""

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np

from simenv._files import TEMPORARY_SUFFIX
from simenv.rollouts.access import Access, describe, host
from simenv.rollouts.episode import Episode, write_episode
from simenv.rollouts.errors import RolloutError
from simenv.rollouts.lock import lock_directory
from simenv.rollouts.manifest import NAME, Manifest, finite


class Recorder:
    """Drive an environment and write each finished episode to a directory.

    Three lines record::

        with Recorder("runs/pour", env) as recorder:
            recorder.reset(seed=0)
            recorder.step(action)  # returns what env.step returns

    Each episode goes to its own ``rollout-000123.h5``, which appears complete or not at all, and into
    ``manifest.json``. A killed process loses the episodes in progress only. Opening a directory again continues it.
    An episode that is left unfinished (``reset``, ``close``, an exception) is kept with ``complete`` false.

    Args:
        directory: Where to write; created if missing. One recorder at a time may use it.
        env: From ``gym.make`` or ``gym.make_vec``.
        states: Which states to keep beside the initial one: every step ("all"), each ``stride``-th and the last
            ("keyframes"), or "none". All fields of the state are copied to the host each time.
        stride: Control steps between keyframes.
        observations: Whether to keep the T+1 observations.
        keep_partial: Whether unfinished episodes are kept.
        episodes: How many to record until `done`; None for no end. Each world records its share: taking those that
            end first instead would favour short episodes.

    Raises:
        RolloutError: Foreign environment, a directory of another environment, or one that is in use.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        env: Any,
        *,
        states: Literal["all", "keyframes", "none"] = "keyframes",
        stride: int = 10,
        observations: bool = True,
        keep_partial: bool = True,
        episodes: int | None = None,
    ):
        if states not in ("all", "keyframes", "none"):
            raise RolloutError(f"states={states!r}; use 'all', 'keyframes' or 'none'")
        if stride < 1:
            raise RolloutError(f"stride={stride}; keep a state every 1 or more control steps")
        if episodes is not None and episodes < 1:
            raise RolloutError(f"episodes={episodes}; record 1 or more, or None for no end")
        self.directory = Path(directory)
        self.env = env
        self._access = Access(env)
        self._states, self._stride = states, 1 if states == "all" else stride
        self._observations, self._keep_partial = observations, keep_partial
        description = describe(env)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RolloutError(f"{self.directory}: no directory to record into ({error}); choose another") from error
        self._lock = lock_directory(self.directory)
        try:
            self.manifest = self._open(description)
        except BaseException:
            self._lock.release()
            raise
        self._next = 1 + max((_number(path) for path in self.directory.glob("rollout-*.h5")), default=-1)
        worlds = self._access.num_worlds
        self._tracks: list[_Track | None] = [None] * worlds
        # Episodes that each world still begins; None without an end.
        self._quota = None if episodes is None else [len(range(world, episodes, worlds)) for world in range(worlds)]
        self._closed = False

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError(
            f"a Recorder can't be pickled or copied: two would write into {self.directory}; pickle or copy its .env, "
            "and record that into a directory of its own"
        )

    @property
    def episode_count(self) -> int:
        """Episodes in the manifest, those of earlier sessions included."""
        return len(self.manifest.episodes)

    @property
    def done(self) -> bool:
        """Whether the requested number of ``episodes`` is recorded; never true without one."""
        return self._quota is not None and not any(self._quota) and not any(self._tracks)

    def reset(self, *, seed: Any = None, options: dict | None = None) -> tuple[Any, dict]:
        """``env.reset``; unfinished episodes of the worlds that reset are kept as incomplete."""
        self._check_open()
        mask = (options or {}).get("reset_mask")
        worlds = np.arange(self._access.num_worlds) if mask is None else np.flatnonzero(host(mask))
        self._finish(dict.fromkeys(worlds.tolist()), complete=False)
        observation, info = self.env.reset(seed=seed, options=options)
        if isinstance(seed, int | np.integer) and self.manifest.seed is None:
            self.manifest.seed = int(seed)
        self._begin(worlds, _rows(self._access.batch(observation)))
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict]:
        """``env.step``, whose result is returned unchanged."""
        self._check_open()
        access = self._access
        if all(track is None for track in self._tracks) and access.autoreset == "disabled":
            raise RolloutError("no world has an episode to record; call recorder.reset() first")
        actions = access.batch(host(action))
        self._keep_start()
        result = self.env.step(action)
        observation, reward, terminated, truncated, info = result
        observations = _rows(access.batch(observation))
        rewards, ended, cut = (host(access.batch(host(v))) for v in (reward, terminated, truncated))
        terms = {
            name: host(access.batch(host(v))) for name, v in info.get("reward_terms", {}).items() if name[:1] != "_"
        }
        running = [world for world, track in enumerate(self._tracks) if track is not None]
        last = _final_rows(info, observations) if access.autoreset == "same_step" else observations
        for world in running:
            track, over = self._tracks[world], bool(ended[world] or cut[world])
            # The terms of a world that was reset within this step belong to its new episode in no mode.
            track.add(
                actions[world], rewards[world], ended[world], cut[world],
                {name: value[world] for name, value in (last if over else observations).items()},
                {name: value[world] for name, value in terms.items()},
            )  # fmt: skip
        self._keep_states(running, ended | cut)
        outcome = _outcome(access.batch(info) if not access.batched else info, access.autoreset)
        finished = [world for world in running if ended[world] or cut[world]]
        self._finish({w: {k: v[w] for k, v in outcome.items()} for w in finished}, complete=True)
        if access.autoreset == "same_step":
            self._begin(np.array(finished, int), observations)
        elif access.autoreset == "next_step":
            fresh = [world for world in range(access.num_worlds) if world not in running]
            self._begin(np.array(fresh, int), observations)
        return result

    def close(self) -> None:
        """Keep unfinished episodes as incomplete, and release the directory. The environment stays open."""
        if self._closed:
            return
        try:
            self._finish(dict.fromkeys(range(len(self._tracks))), complete=False)
            self.manifest.save(self.directory)
        finally:
            self._closed = True
            self._lock.release()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise RolloutError(f"the recorder of {self.directory} is closed; make a new one to continue that directory")

    def _open(self, description: dict) -> Manifest:
        """A new manifest, or that of the directory with the episodes a killed process could not list."""
        for path in self.directory.glob(f".*{TEMPORARY_SUFFIX}"):
            path.unlink(missing_ok=True)
        manifest = Manifest(description)
        if (self.directory / NAME).exists():
            manifest = Manifest.load(self.directory)
        if manifest.environment != description:
            changed = sorted(k for k in description if description[k] != manifest.environment.get(k))
            raise RolloutError(
                f"{self.directory} holds episodes of another environment (different: {', '.join(changed)}); "
                "record into an empty directory"
            )
        listed = {row["file"] for row in manifest.episodes}
        for path in sorted(self.directory.glob("rollout-*.h5")):
            if path.name not in listed:
                manifest.adopt(path)
        manifest.save(self.directory)
        return manifest

    def _begin(self, worlds: np.ndarray, observations: dict[str, np.ndarray]) -> None:
        if self._quota is not None:
            worlds = np.array([world for world in worlds.tolist() if self._quota[world] > 0], int)
            for world in worlds:
                self._quota[world] -= 1
        for world in worlds.tolist():
            seen = {name: value[world] for name, value in observations.items()} if self._observations else {}
            self._tracks[world] = _Track(seen)

    def _keep_start(self) -> None:
        """What the episodes that begin with this step start from: the caller may have assigned parameters since the
        reset.
        """
        fresh = {world: track for world, track in enumerate(self._tracks) if track is not None and not track.length}
        if not fresh:
            return
        state = self._access.state_rows()
        for world, track in fresh.items():
            track.state = {name: value[world : world + 1].copy() for name, value in state.items()}
            track.steps, track.states = [], {}  # of a step that was refused
        if self._states != "none":
            self._append_states(list(fresh))

    def _keep_states(self, running: list[int], over: np.ndarray) -> None:
        if self._states == "none":
            return
        # After a same-step autoreset the state is already that of the next episode.
        final = self._access.autoreset != "same_step"
        keep = [
            world for world in running if (final if over[world] else self._tracks[world].length % self._stride == 0)
        ]
        if keep:
            self._append_states(keep)

    def _append_states(self, worlds: list[int]) -> None:
        fields = {name: host(value) for name, value in self._access.core.state.items()}
        for world in worlds:
            self._tracks[world].keep({name: value[world].copy() for name, value in fields.items()})

    def _finish(self, outcomes: dict[int, dict | None], *, complete: bool) -> None:
        """Write the episodes of worlds (and their outcome); one that can't be written is lost, and the others are not.

        Raises:
            RolloutError: Of the first one that could not be written, after all have been tried.
        """
        refused = None
        for world, outcome in outcomes.items():
            track, self._tracks[world] = self._tracks[world], None
            if track is None:
                continue
            recorded = False
            try:
                if track.length and (complete or self._keep_partial):
                    self._write(world, track, complete, outcome or {})
                    recorded = True
            except RolloutError as error:
                refused = refused or error
            if not recorded and self._quota is not None:
                self._quota[world] += 1  # it was begun, and is not recorded
        if refused is not None:
            raise refused

    def _write(self, world: int, track: "_Track", complete: bool, outcome: dict) -> None:
        path = self.directory / f"rollout-{self._next:06d}.h5"
        origin = {
            "world": world,
            "seed": int(track.state["rng.seed"][0]),
            "episode": int(track.state["rng.episode"][0]),
            "complete": complete,
        }
        episode = track.episode(self.manifest.environment, origin, outcome)
        digest = write_episode(path, episode)
        self._next += 1
        self.manifest.episodes.append({"file": path.name, "sha256": digest, **episode.summary})
        self.manifest.save(self.directory)


class _Track:
    """The growing episode of one world, as lists of rows."""

    def __init__(self, observation: dict):
        self.state: dict[str, np.ndarray] = {}
        self.observations = {name: [value] for name, value in observation.items()}
        self.actions, self.rewards, self.terminated, self.truncated = [], [], [], []
        self.terms: dict[str, list] = {}
        self.steps: list[int] = []
        self.states: dict[str, list] = {}

    @property
    def length(self) -> int:
        return len(self.actions)

    def add(self, action: Any, reward: Any, terminated: Any, truncated: Any, observation: dict, terms: dict) -> None:
        self.actions.append(action)
        self.rewards.append(reward)
        self.terminated.append(terminated)
        self.truncated.append(truncated)
        for name, values in self.observations.items():
            values.append(observation[name])
        for name, value in terms.items():
            self.terms.setdefault(name, []).append(value)

    def keep(self, fields: dict) -> None:
        self.steps.append(self.length)
        for name, value in fields.items():
            self.states.setdefault(name, []).append(value)

    def episode(self, environment: dict, origin: dict, outcome: dict) -> Episode:
        def arrays(lists: dict) -> dict:
            return {name: np.stack(values) for name, values in lists.items()}

        summary = {
            **origin,
            "length": self.length,
            "return": finite(np.sum(self.rewards, dtype=np.float64)),
            "terminated": bool(self.terminated[-1]),
            "truncated": bool(self.truncated[-1]),
            "outcome": {name: _plain(value) for name, value in outcome.items()},
        }
        return Episode(
            environment, summary, np.stack(self.actions), np.stack(self.rewards),
            np.array(self.terminated, bool), np.array(self.truncated, bool),
            arrays(self.observations), arrays(self.terms), self.state,
            np.array(self.steps, np.int64), arrays(self.states),
        )  # fmt: skip


def _rows(observation: Any) -> dict[str, np.ndarray]:
    """Observations as name -> (N, ...)."""
    if isinstance(observation, dict):
        return {name: host(value) for name, value in observation.items()}
    return {"observation": host(observation)}


def _final_rows(info: dict, observations: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Last observations of the worlds that a same-step autoreset has reset already."""
    return _rows(info["final_obs"]) if "final_obs" in info else observations


def _outcome(info: dict, autoreset: str) -> dict[str, np.ndarray]:
    """Per-world measures of the step: success, sim_status and the task's own, name -> (N,)."""
    source = info.get("final_info", info) if autoreset == "same_step" else info
    found = {}
    for name, value in source.items():
        if name.startswith("_") or isinstance(value, dict | str):
            continue
        array = host(value)
        if array.ndim == 1 and array.dtype.kind in "fiub":
            found[name] = array
    return found


def _plain(value: np.generic) -> bool | int | float | None:
    return finite(float(value.item())) if value.dtype.kind == "f" else value.item()


def _number(path: Path) -> int:
    digits = path.stem.removeprefix("rollout-")
    return int(digits) if digits.isdigit() else -1
