# SPDX-License-Identifier: Apache-2.0
"""Write files so that a reader sees the old content, or the new one, and never a part.

The content goes to a file of a unique name in the same folder, is flushed to the disk, and is then renamed over the
target. A process killed at any moment leaves at most one hidden temporary file behind. What the file system refuses is
told in one sentence, with the file, the cause and the room that is left.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from simenv.errors import FileWriteError

TEMPORARY_SUFFIX = ".tmp"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], suffix: str = TEMPORARY_SUFFIX) -> Iterator[Path]:
    """Yield a temporary path; when the block succeeds, flush it and rename it to ``path``, otherwise remove it.

    Args:
        path: The final file. Its folder must exist.
        suffix: Ending of the temporary name, for writers that go by it.

    Raises:
        FileWriteError: The file system refused (full, read-only, no permission).
    """
    path = Path(path)
    temporary = temporary_name(path, suffix)
    try:
        with telling(path, temporary):
            yield temporary
            put_in_place(temporary, path)
    finally:
        # After a success the name is gone already; after a failure nothing half-written may stay.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def temporary_name(path: Path, suffix: str = TEMPORARY_SUFFIX) -> Path:
    """A name beside ``path`` that nothing else has."""
    return path.parent / f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}{suffix}"


def put_in_place(temporary: Path, path: Path) -> None:
    """Flush a finished file and rename it to ``path``."""
    flush(temporary)
    os.replace(temporary, path)
    flush(path.parent)


def write_bytes(path: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Write a whole file at once; see `replacing`."""
    with replacing(path) as temporary, telling(path, temporary, len(content)):
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a whole text file in UTF-8 at once; see `replacing`."""
    write_bytes(path, text.encode())


def append_text(path: str | os.PathLike[str], text: str) -> None:
    """Append text in UTF-8 to a file, all of it or nothing.

    Raises:
        FileWriteError: The file system refused; the file is as it was before.
    """
    content = text.encode()
    with telling(path, None, len(content)), open(path, "ab", buffering=0) as file:
        before = os.fstat(file.fileno()).st_size
        try:
            if file.write(content) < len(content):  # a disk takes what still fits, and says nothing
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except BaseException:
            file.truncate(before)
            raise


@contextlib.contextmanager
def telling(path: str | os.PathLike[str], temporary: Path | None = None, needed: int | None = None) -> Iterator[None]:
    """Turn an `OSError` of the block into a `FileWriteError` about ``path``.

    Args:
        path: The file that is being written.
        temporary: Where it is being written to, if elsewhere.
        needed: Its size [bytes], if known.
    """
    try:
        yield
    except FileWriteError:
        raise
    except OSError as error:
        raise FileWriteError(_sentence(Path(path), error, temporary, needed)) from error


def _sentence(path: Path, error: OSError, temporary: Path | None, needed: int | None) -> str:
    cause = f"cannot write {path}: {error.strerror or error}"
    if error.errno not in _FULL:
        return f"{cause}; choose a folder that exists and that you may write to"
    if needed is not None:
        cause += f"; it needs {needed} bytes"
    elif temporary is not None and temporary.exists():
        cause += f"; {temporary.stat().st_size} bytes of it fitted"
    return cause + room(path)


def room(path: Path) -> str:
    """The end of a sentence about a file that did not fit: what is left for it, and the remedy."""
    left = ""
    with contextlib.suppress(OSError):
        folder = next(folder for folder in path.absolute().parents if folder.exists())
        left = f", {shutil.disk_usage(folder).free} bytes are free in {folder}"
    limit = _size_limit()
    if limit is not None:
        left += f", files of this process may have {limit} bytes (`ulimit -f`)"
    return f"{left}; free some space, or write into another folder"


def _size_limit() -> int | None:
    """The largest file that this process may write [bytes], None without a limit."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return None
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def sha256(path: str | os.PathLike[str], start: int = 0) -> str:
    """SHA-256 of a file from byte ``start`` on, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        file.seek(start)
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Ask the kernel to put a file, or the entries of a folder, on the disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open a folder, and journals the rename itself.
        return
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
