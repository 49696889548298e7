# SPDX-License-Identifier: Apache-2.0
"""One recorded episode, and the HDF5 file that holds it.

Layout of ``rollout-000123.h5`` (schema 1)::

    bytes 0..511       text: magic, SHA-256 and length of everything that follows, padded with zeros
    attributes         environment, summary (JSON)
    actions            (T, A)
    rewards            (T,)
    terminated         (T,) bool
    truncated          (T,) bool
    observations/NAME  (T+1, ...)   optional; NAME is "observation" where the observation is one array
    reward_terms/NAME  (T,)         optional
    initial_state/NAME (1, ...)     the complete state before the first action, physical parameters included
    state_steps        (K,) int64   control steps at which states were kept, 0 is before the first action
    states/NAME        (K, ...)     optional

The 512 bytes are an HDF5 user block, so any HDF5 tool opens the file, while simenv can prove every byte good
*before* the HDF5 library parses one. ``fletcher32`` protects readers that do not know about the user block.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
from pathlib import Path

import h5py
import numpy as np

from simenv._files import sha256, write_bytes
from simenv.rollouts.errors import RolloutError, refusals

SCHEMA = 1
USER_BLOCK = 512
MAGIC = "simenv-rollout"
GROUPS = ("observations", "reward_terms", "initial_state", "states")
REMEDY = "delete the file, or restore it from a copy; the other episodes of the recording stay readable"


@dataclasses.dataclass(frozen=True)
class Episode:
    """One episode of one world. T is its length in control steps, A the action size, K the number of kept states.

    Attributes:
        environment: What rebuilds the environment, see :func:`simenv.rollouts.manifest.describe`.
        summary: length, return, success, terminated, truncated, complete, world, seed, sim_status ...
        actions: (T, A) as given to ``step``.
        rewards: (T,).
        terminated: (T,) bool.
        truncated: (T,) bool.
        observations: name -> (T+1, ...); empty when not recorded.
        reward_terms: name -> (T,).
        initial_state: name -> (1, ...), one world's row of ``get_state()``.
        state_steps: (K,) int64, strictly increasing.
        states: name -> (K, ...), SI units.
    """

    environment: dict
    summary: dict
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    observations: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    reward_terms: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    initial_state: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    state_steps: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    states: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """Physical parameters of the episode, name -> (1, ...), SI units."""
        return {k.removeprefix("parameter."): v for k, v in self.initial_state.items() if k.startswith("parameter.")}

    def check(self, name: str = "episode") -> None:
        """Raise :class:`RolloutError` when array lengths disagree."""
        steps = len(self.actions)
        expected = dict.fromkeys(("rewards", "terminated", "truncated"), steps)
        lengths = {key: len(getattr(self, key)) for key in expected}
        for group, length in (("observations", steps + 1), ("reward_terms", steps), ("states", len(self.state_steps))):
            for key, value in getattr(self, group).items():
                expected[f"{group}/{key}"], lengths[f"{group}/{key}"] = length, len(value)
        for key, value in self.initial_state.items():
            expected[f"initial_state/{key}"], lengths[f"initial_state/{key}"] = 1, len(value)
        for key, length in lengths.items():
            if length != expected[key]:
                raise RolloutError(f"{name}: {key} has {length} rows, expected {expected[key]} for {steps} actions")
        steps_kept = self.state_steps
        if len(steps_kept) and (steps_kept[0] < 0 or steps_kept[-1] > steps or np.any(np.diff(steps_kept) <= 0)):
            raise RolloutError(f"{name}: state_steps must increase within 0..{steps}, got {steps_kept.tolist()}")


def write_episode(path: str | os.PathLike, episode: Episode) -> str:
    """Write one episode atomically and return the SHA-256 of the file.

    Raises:
        RolloutError: The arrays disagree, or the file system refused the write.
    """
    path = Path(path)
    episode.check(path.name)
    content = _image(episode)
    whole = _user_block(hashlib.sha256(content).hexdigest(), len(content)) + content
    with refusals():
        write_bytes(path, whole)
    return hashlib.sha256(whole).hexdigest()


def _image(episode: Episode) -> bytes:
    """The HDF5 file, without its user block, made in memory: on a full disk the HDF5 library would bring the process
    down.
    """
    memory = {"driver": "core", "backing_store": False}
    with h5py.File("episode", "w", userblock_size=USER_BLOCK, libver=("v110", "v110"), **memory) as file:
        file.attrs["schema"] = SCHEMA
        file.attrs["environment"] = json.dumps(episode.environment, allow_nan=False)
        file.attrs["summary"] = json.dumps(episode.summary, allow_nan=False)
        for key in ("actions", "rewards", "terminated", "truncated", "state_steps"):
            _write_array(file, key, getattr(episode, key))
        for group in GROUPS:
            for key, value in getattr(episode, group).items():
                _write_array(file.require_group(group), key, value)
        file.flush()
        return file.id.get_file_image()


def read_episode(path: str | os.PathLike, sha256_expected: str | None = None) -> Episode:
    """Read and verify one episode.

    Args:
        path: The ``.h5`` file.
        sha256_expected: Digest from the manifest; a file that is intact, but another one, is refused too.

    Raises:
        RolloutError: Missing, truncated, damaged, swapped, from a newer schema, or not a recording.
    """
    path = Path(path)
    verify(path, sha256_expected)
    try:
        with h5py.File(path, "r") as file:
            if int(file.attrs["schema"]) != SCHEMA:
                raise RolloutError(f"{path}: recording schema {file.attrs['schema']}, this simenv reads {SCHEMA}")
            episode = Episode(
                environment=json.loads(file.attrs["environment"]),
                summary=json.loads(file.attrs["summary"]),
                **{k: file[k][()] for k in ("actions", "rewards", "terminated", "truncated", "state_steps")},
                observations=_read_group(file, "observations"),
                reward_terms=_read_group(file, "reward_terms"),
                initial_state=_read_group(file, "initial_state"),
                states=_read_group(file, "states"),
            )
    except RolloutError:
        raise
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise RolloutError(f"{path}: not a readable recording ({error}); {REMEDY}") from error
    episode.check(str(path))
    return episode


def verify(path: str | os.PathLike, sha256_expected: str | None = None) -> None:
    """Prove that every byte of a recording is the one that was written, without parsing HDF5.

    Raises:
        RolloutError: naming the file, the damage and the remedy.
    """
    path = Path(path)
    if not path.is_file():
        raise RolloutError(f"{path}: no such recording; `simenv record` writes rollout-*.h5 files and a manifest.json")
    try:
        with open(path, "rb") as file:
            header = file.read(USER_BLOCK)
        digest = sha256(path, USER_BLOCK)
        size = path.stat().st_size
        whole = sha256(path) if sha256_expected else None
    except OSError as error:
        raise RolloutError(f"{path}: cannot be read ({error.strerror or error}); {REMEDY}") from error
    if len(header) < USER_BLOCK:
        raise RolloutError(f"{path}: truncated, only {size} bytes are left; {REMEDY}")
    if not header.startswith(MAGIC.encode()):
        raise RolloutError(
            f"{path}: not a simenv recording, or its first bytes are damaged; give a recording's directory or a "
            "rollout-*.h5 file of it, and if this was one, restore it from a copy"
        )
    if header != _user_block(digest, size - USER_BLOCK):
        written = _written_size(header)
        if written is not None and written > size - USER_BLOCK:
            raise RolloutError(f"{path}: truncated to {size} of {written + USER_BLOCK} bytes; {REMEDY}")
        raise RolloutError(f"{path}: damaged, its SHA-256 is not the one written in it; {REMEDY}")
    if whole is not None and sha256_expected is not None and whole != sha256_expected:
        raise RolloutError(
            f"{path}: SHA-256 {whole[:12]}... is not the {sha256_expected[:12]}... of the manifest, so this is another "
            "recording's file; restore the right one, or move this file into a directory of its own and replay it there"
        )


def _user_block(digest: str, size: int) -> bytes:
    text = f"{MAGIC} {SCHEMA}\nsha256 {digest}\nbytes {size}\n"
    return text.encode().ljust(USER_BLOCK, b"\0")


def _written_size(header: bytes) -> int | None:
    with contextlib.suppress(ValueError, IndexError, UnicodeDecodeError):
        return int(header.rstrip(b"\0").decode("ascii").split("\n")[2].removeprefix("bytes "))
    return None


def _write_array(group: h5py.Group, name: str, value: np.ndarray) -> None:
    value = np.asarray(value)
    if value.dtype.kind not in "fiub":
        raise RolloutError(f"{name}: dtype {value.dtype} cannot be recorded; use a float, integer or boolean array")
    # HDF5 can chunk, and so checksum, only what has elements.
    options = {"chunks": True, "fletcher32": True} if value.size else {}
    group.create_dataset(name, data=value, **options)


def _read_group(file: h5py.File, name: str) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}

    def collect(key: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[key] = item[()]

    if name in file:
        file[name].visititems(collect)
    return found
