# SPDX-License-Identifier: Apache-2.0
"""Whether buffers fit: their bytes are compared with what the device has free before the first of them is made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from simenv.errors import OutOfMemoryError
from simenv.physics.device import free_on_gpu

__all__ = ["free_bytes", "require_memory"]

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def free_bytes(device: torch.device) -> int | None:
    """Bytes that can still be allocated on a device, None if the system does not say.

    On the CPU it is what the machine, or the container this process runs in, can give.
    """
    on_gpu = free_on_gpu(device)
    if on_gpu is not None:
        return on_gpu
    known = [value for value in (_machine(), _container()) if value is not None]
    return min(known, default=None)


def _machine() -> int | None:
    if not _MEMINFO.exists():
        return None
    for line in _MEMINFO.read_text(encoding="utf-8").splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return None


def _container() -> int | None:
    """What the container's limit leaves; files that it only caches count as free."""
    try:
        limit = (_CGROUP / "memory.max").read_text(encoding="utf-8").strip()
        used = int((_CGROUP / "memory.current").read_text(encoding="utf-8"))
        rows = (_CGROUP / "memory.stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    cached = sum(int(row.split()[1]) for row in rows if row.startswith("inactive_file "))
    return None if limit == "max" else max(int(limit) - used + cached, 0)


def require_memory(what: str, worlds: int, needed: int, device: torch.device, remedies: Sequence[str] = ()) -> None:
    """Refuse buffers that do not fit.

    Args:
        what: the buffers are for.
        worlds: number of worlds that share them equally.
        needed: bytes.
        device: where they will be.
        remedies: what else would help than fewer worlds.

    Raises:
        OutOfMemoryError: they need more than there is.
    """
    free = free_bytes(device)
    if free is None or needed <= free:
        return
    most = worlds * free // needed
    fewer = [f"at most {most} worlds"] if most else []
    raise OutOfMemoryError(
        f"{what} of {worlds} {'worlds' if worlds > 1 else 'world'} needs {_size(needed)} on {device}, where "
        f"{_size(free)} are free; use {', or '.join([*fewer, *remedies]) or 'a smaller scene'}"
    )


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.2f} MB"
