# SPDX-License-Identifier: Apache-2.0
"""Read a recording: a directory, or a single episode file."""

import os
from collections.abc import Iterator
from pathlib import Path

from simenv.rollouts.episode import Episode, read_episode
from simenv.rollouts.errors import RolloutError
from simenv.rollouts.manifest import NAME, Manifest


class Recording:
    """The episodes of a directory written by :class:`~simenv.rollouts.recorder.Recorder`, or one ``.h5`` file of it.

    Episodes are read and verified one by one, when asked for, so a damaged one does not hide the others.

    Args:
        path: Directory, or ``rollout-*.h5`` file. A file alone needs no manifest.

    Raises:
        RolloutError: Nothing there, or the manifest is damaged. ``Manifest.rebuild`` makes one from the episodes.
    """

    def __init__(self, path: str | os.PathLike):
        path = Path(path)
        if not path.exists():
            raise RolloutError(
                f"{path}: no such file or directory; give a recording's directory or a rollout-*.h5 file"
            )
        self.directory = path if path.is_dir() else path.parent
        self.files: list[Path] = [path]
        self._digests: dict[str, str] = {}
        if path.is_dir():
            if (path / NAME).exists():
                self._digests = {row["file"]: row["sha256"] for row in Manifest.load(path).episodes}
            # A process killed between an episode and its manifest row leaves an intact file without a row.
            names = {*self._digests, *(file.name for file in path.glob("rollout-*.h5"))}
            self.files = [path / name for name in sorted(names)]
            if not self.files:
                raise RolloutError(f"{path}: no episodes in it; record some with `simenv record`")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Episode:
        """Read and verify episode ``index``.

        Raises:
            RolloutError: That episode is missing or damaged.
            IndexError: There is no such episode.
        """
        path = self.files[index]
        return read_episode(path, self._digests.get(path.name))

    def __iter__(self) -> Iterator[Episode]:
        return (self[index] for index in range(len(self)))

    def check(self) -> dict[str, str]:
        """Verify every episode; returns file name -> error message of the bad ones, so {} is a sound recording."""
        errors = {}
        for index, path in enumerate(self.files):
            try:
                self[index]
            except RolloutError as error:
                errors[path.name] = str(error)
        return errors
