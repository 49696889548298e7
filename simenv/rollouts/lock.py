# SPDX-License-Identifier: Apache-2.0
"""One writer per recording directory. The kernel drops the lock when its process dies, however it dies."""

from pathlib import Path

from filelock import FileLock, Timeout

from simenv.rollouts.errors import RolloutError


def lock_directory(directory: Path) -> FileLock:
    """Hold ``directory/.lock`` until ``release()``, which is harmless when called again.

    Raises:
        RolloutError: Another recorder holds it, in this process or another one, or the file system refuses it.
    """
    lock = FileLock(directory / ".lock", timeout=0, mode=0o644, thread_local=False)  # whoever closes, releases
    try:
        lock.acquire()
    except Timeout as error:
        raise RolloutError(
            f"{directory} is being recorded into by another Recorder; close it or use another directory"
        ) from error
    except OSError as error:
        raise RolloutError(
            f"cannot lock {directory} ({error.strerror or error}); record into a directory that you may write to"
        ) from error
    return lock
