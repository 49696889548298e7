# SPDX-License-Identifier: Apache-2.0
"""Write a file so that a reader sees the old content, or the new one, and never a part.

The content goes to a file of a unique name in the same directory, is flushed to the disk, and is then renamed
over the target. A process killed at any moment leaves at most one hidden temporary file behind.
"""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from simenv.rollouts.errors import RolloutError

TEMPORARY_SUFFIX = ".tmp"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path; when the block succeeds, flush it and rename it to ``path``.

    Args:
        path: The final file. Its directory must exist.

    Raises:
        RolloutError: The file system refused the write (full, read-only, no permission).
    """
    temporary = path.parent / f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}{TEMPORARY_SUFFIX}"
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    except OSError as error:
        raise RolloutError(
            f"cannot write {path}: {error.strerror or error}; free some space, or record into another directory"
        ) from error
    finally:
        # After a success the name is gone already; after a failure nothing half-written may stay.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def sha256(path: Path, start: int = 0) -> str:
    """SHA-256 of a file from byte ``start`` on, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        file.seek(start)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """Ask the kernel to put a file (or a directory entry) on the disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open a directory, and journals the rename itself.
        return
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
