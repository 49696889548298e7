# SPDX-License-Identifier: Apache-2.0
"""The one place that starts Warp, loads kernels, launches them outside graphs, and records graphs.

Warp notes for the whole process that a graph is being recorded. What another thread launches meanwhile would be noted
in that graph too, which corrupts it. `start_warp` makes that note each thread's own, as it is in Warp's C++ part.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import warp as wp
from warp._src import codegen, context

from simenv._exclusive import EXCLUSIVE, hold_across_forks
from simenv._threads import run_apart

__all__ = ["launch", "load", "record", "start_warp"]

_NOTES = ("_apic_capture", "_apic_graph")  # what is being recorded, attributes of Warp's runtime
_noted = threading.local()
_loaded: set[tuple[wp.Module, str]] = set()
_started = False


class _Note:
    """An attribute with a value for each thread, None at first."""

    def __init__(self, name: str):
        self._name = name

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return getattr(_noted, self._name, None)

    def __set__(self, owner: Any, value: Any) -> None:
        setattr(_noted, self._name, value)


def start_warp() -> None:
    """Start Warp; whoever uses it first calls this, or one of the functions below.

    Raises:
        RuntimeError: this version of Warp records graphs in another way than the one that this file knows.
    """
    global _started
    if _started:
        return
    with EXCLUSIVE:
        if _started:
            return
        wp.init()
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
        _started = True


def load(kernels: Iterable[wp.Kernel], device: wp.Device) -> None:
    """Compile and load the modules of kernels, where they are not."""
    start_warp()
    for kernel in kernels:
        key = (kernel.module, str(device))
        if key not in _loaded:
            with EXCLUSIVE:
                wp.load_module(kernel.module, device=device)
                _loaded.add(key)


def launch(kernel: wp.Kernel, dim: Any, *args: Any, device: wp.Device, **kwargs: Any) -> Any:
    """`warp.launch`, from any thread."""
    load((kernel,), device)
    return wp.launch(kernel, dim, *args, device=device, **kwargs)


def record(kernels: Iterable[wp.Kernel], commands: Callable[[], None], device: wp.Device) -> Any:
    """Record what `commands` launches as a graph, for `warp.capture_launch`.

    Nothing is left of a recording that fails or is interrupted: it happens on a thread of its own, which Ctrl-C does
    not reach, and with which Warp's note of it ends.

    Args:
        kernels: all that are launched; they are loaded first.
        commands: makes the launches; it must not build or load anything.
        device: where they run.
    """
    load(kernels, device)
    with EXCLUSIVE:
        return run_apart(lambda: _recorded(commands, device))


def _recorded(commands: Callable[[], None], device: wp.Device) -> Any:
    try:
        wp.capture_begin(device)
        commands()
        return wp.capture_end(device)
    except BaseException:
        with suppress(BaseException):  # it is the first error that counts
            wp.capture_end(device)
        raise
