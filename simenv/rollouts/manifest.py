# SPDX-License-Identifier: Apache-2.0
"""``manifest.json``: what a recording was made with, enough to rebuild its environment, and one row per episode."""

import dataclasses
import hashlib
import json
import math
import os
from pathlib import Path

from simenv._extras import version_of
from simenv._files import sha256, write_text
from simenv.rollouts.episode import SCHEMA, read_episode
from simenv.rollouts.errors import RolloutError, refusals

FORMAT = "simenv-rollouts"
NAME = "manifest.json"
PACKAGES = ("warp-lang", "newton", "torch", "gymnasium", "numpy", "h5py")


def versions() -> dict[str, str]:
    """Installed versions of what decides the numbers, without importing any of it."""
    import platform

    from simenv import __version__  # what is imported, under whatever name it was installed

    found = {"python": platform.python_version(), "simenv": __version__}
    return found | {name: version_of(name) or "not installed" for name in PACKAGES}


@dataclasses.dataclass
class Manifest:
    """The manifest of one recording directory.

    Attributes:
        environment: id, kwargs, max_episode_steps, device, dtype, dt [s], action and observation channels, versions.
        seed: Seed of the first ``reset``; each episode's row has its own.
        episodes: One dict per finished episode: file, sha256, length, return, success ...
    """

    environment: dict
    seed: int | None = None
    episodes: list[dict] = dataclasses.field(default_factory=list)

    def save(self, directory: str | os.PathLike) -> None:
        """Write ``manifest.json`` atomically.

        Raises:
            RolloutError: Not JSON-serialisable, or the file system refused.
        """
        content = {"format": FORMAT, "schema": SCHEMA, **dataclasses.asdict(self)}
        try:
            content["digest"] = _digest(content)
            text = json.dumps(content, indent=1, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise RolloutError(
                f"the recording's description is not JSON ({error}); use plain task arguments"
            ) from error
        with refusals():
            write_text(Path(directory) / NAME, text + "\n")

    @classmethod
    def load(cls, directory: str | os.PathLike) -> "Manifest":
        """Read and verify ``manifest.json``.

        Raises:
            RolloutError: Missing, truncated, changed by hand or by a fault, or from a newer schema.
        """
        path = Path(directory) / NAME
        remedy = "delete it: the episodes describe themselves, and opening the directory writes a new one"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RolloutError(
                f"{path}: no manifest; is {directory} a directory written by `simenv record`?"
            ) from error
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise RolloutError(f"{path}: not readable ({error}); {remedy}") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise RolloutError(f"{path}: not a simenv manifest; {remedy}")
        if content.pop("digest", None) != _digest(content):
            raise RolloutError(f"{path}: damaged or edited, its digest does not fit; {remedy}")
        if content.get("schema") != SCHEMA:
            raise RolloutError(f"{path}: schema {content.get('schema')}, this simenv reads {SCHEMA}; update simenv")
        return cls(content["environment"], content["seed"], content["episodes"])

    @classmethod
    def rebuild(cls, directory: str | os.PathLike) -> tuple["Manifest", list[RolloutError]]:
        """Make a manifest from the episodes alone; damaged ones are left out and returned as errors."""
        manifest, errors = cls({}), []
        for path in sorted(Path(directory).glob("rollout-*.h5")):
            try:
                manifest.adopt(path)
            except RolloutError as error:
                errors.append(error)
        if not manifest.episodes:
            raise errors[0] if errors else RolloutError(f"{directory}: no rollout-*.h5 in it; record some episodes")
        return manifest, errors

    def adopt(self, path: Path) -> None:
        """Add the row of an intact episode file that no row names."""
        episode = read_episode(path)
        if self.environment and episode.environment != self.environment:
            raise RolloutError(f"{path}: recorded with another environment than its directory; move it elsewhere")
        self.environment = episode.environment
        self.episodes.append({"file": path.name, "sha256": sha256(path), **episode.summary})


def finite(value: float) -> float | None:
    """A float for JSON, which has no NaN and no infinity: those become ``None``."""
    value = float(value)
    return value if math.isfinite(value) else None


def _digest(content: dict) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
