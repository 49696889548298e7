# SPDX-License-Identifier: Apache-2.0
"""Makes Warp's note of what is being recorded each thread's own.

Warp notes for the whole process that a graph is being recorded. What another thread launches meanwhile would be noted
in that graph too, which corrupts it. In Warp's C++ part that note is each thread's own already.
"""

from __future__ import annotations

import threading
from typing import Any

import warp as wp
from warp._src import codegen, context

from simenv._exclusive import hold_across_forks

_NOTES = ("_apic_capture", "_apic_graph")  # what is being recorded, attributes of Warp's runtime
_noted = threading.local()


class _Note:
    """An attribute with a value for each thread, None at first."""

    def __init__(self, name: str):
        self._name = name

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return getattr(_noted, self._name, None)

    def __set__(self, owner: Any, value: Any) -> None:
        setattr(_noted, self._name, value)


def separate_threads() -> None:
    """Give each thread its own note, and let no fork happen while code is generated; once, after Warp has started.

    Raises:
        RuntimeError: this version of Warp records graphs in another way than the one that this file knows.
    """
    runtime, lock = context.runtime, getattr(codegen, "_codegen_lock", None)
    missing = [name for name in _NOTES if name not in vars(runtime)]
    if missing or lock is None:
        raise RuntimeError(
            f"Warp {wp.__version__} has no {', '.join(missing) or '_codegen_lock'}, which simenv needs to record "
            "graphs safely among threads; install a version of Warp that simenv was tested with (constraints.txt)"
        )
    for name in _NOTES:
        setattr(_noted, name, vars(runtime)[name])  # this thread's, should it be recording
        setattr(type(runtime), name, _Note(name))
    hold_across_forks(lock)
