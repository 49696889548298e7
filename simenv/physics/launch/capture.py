# SPDX-License-Identifier: Apache-2.0
"""The one place that loads kernels, launches them outside graphs, and records graphs, from any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import warp as wp

from simenv import _warp
from simenv._exclusive import EXCLUSIVE
from simenv._threads import run_apart

__all__ = ["launch", "load", "record"]

_loaded: set[tuple[wp.Module, str]] = set()


def load(kernels: Iterable[wp.Kernel], device: wp.Device) -> None:
    """Compile and load the modules of kernels, where they are not."""
    _warp.start()
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
