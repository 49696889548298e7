# SPDX-License-Identifier: Apache-2.0
"""One writer per recording directory. The kernel drops the lock when its process dies, however it dies."""

import os
from pathlib import Path

from simenv.rollouts.errors import RolloutError

try:
    import fcntl
except ImportError:  # Windows has no flock; simenv is built and tested for Linux, see pyproject.toml.
    fcntl = None  # type: ignore[assignment]


class DirectoryLock:
    """Hold ``directory/.lock`` exclusively until :meth:`release`.

    Raises:
        RolloutError: Another recorder holds it, in this process or another one.
    """

    def __init__(self, directory: Path):
        self._descriptor: int | None = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        if fcntl is None:
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise RolloutError(
                f"{directory} is being recorded into by another Recorder; close it or use another directory"
            ) from error

    def release(self) -> None:
        """Give the lock back; harmless when called again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
