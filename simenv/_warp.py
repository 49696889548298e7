# SPDX-License-Identifier: Apache-2.0
"""Warp, started without its chatter.

Left alone it prints a banner, a line for each module that it loads, and through its native libraries a warning where
there is no NVIDIA driver and the warnings of the compiler about generated code. None of that helps who uses simenv, and
stdout belongs to their program. What fails still says so. With ``SIMENV_DEBUG=1`` everything is printed.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import warp as wp

from simenv._debug import debugging
from simenv._exclusive import EXCLUSIVE, hold_across_forks
from simenv._recording import separate_threads

# One at a time, since file descriptor 2 belongs to the process.
_DESCRIPTOR = threading.RLock()
hold_across_forks(_DESCRIPTOR)
_started = False
_announced = False


def start() -> None:
    """Initialise Warp silently; does nothing the second time. Whatever uses Warp or Newton first calls it.

    A log level that the user has set stays as it is.
    """
    global _started
    if _started:
        return
    with EXCLUSIVE:
        if _started:
            return
        if debugging():
            wp.init()
        else:
            if wp.config.log_level == wp.LOG_INFO:  # Warp's default
                wp.config.log_level = wp.LOG_WARNING
            with _stderr_through(_without_driver_warning):
                wp.init()
            _watch_compiler()
        separate_threads()
        _started = True


def announce() -> None:
    """Say once in a process, on stderr, that kernels are being compiled: the first seconds would look like a hang."""
    global _announced
    if not _announced:
        _announced = True
        sys.stderr.write("compiling kernels (once, ~30 s)\n")
        sys.stderr.flush()


def _watch_compiler() -> None:
    """Put `announce` before Warp's builds, and keep the compiler's warnings back. These functions are private to Warp:
    where a version lacks them, its compiler is heard.
    """
    build = getattr(getattr(wp, "_src", None), "build", None)
    for name in ("build_cpu", "build_cuda"):
        function = getattr(build, name, None)
        if function is not None:
            setattr(build, name, _quiet_build(function))


def _quiet_build(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def build(*args: Any, **kwargs: Any) -> Any:
        announce()
        with _DESCRIPTOR, _stderr_through(without_compiler_warnings):
            return function(*args, **kwargs)

    return build


@contextlib.contextmanager
def _stderr_through(sieve: Callable[[str], str]) -> Iterator[None]:
    """Pass on what native code writes to stderr in the block only through a sieve; everything if the block raises."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, ValueError, AttributeError):  # no stderr, as in a service: there is nothing to hold back
        yield
        return
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        except BaseException:
            sieve = str
            raise
        finally:
            os.dup2(kept, 2)
            file.seek(0)
            text = sieve(file.read().decode(errors="replace"))
            with open(kept, "wb", buffering=0) as stderr:
                stderr.write(text.encode())


def _without_driver_warning(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if "Could not find or load the NVIDIA CUDA driver" not in line)


_DIAGNOSTIC = re.compile(r"^(?:\S.*:\d+:\d+: )?(warning|note|remark|error|fatal error): ")
_EXCERPT = re.compile(r"^\s*\d* \|")  # a line of source, or the marks below it
_COUNT = re.compile(r"^\d+ warnings? generated\.$")
_INCLUDED = re.compile(r"^(In file included from |\s+from )")


def without_compiler_warnings(text: str) -> str:
    """Clang's output without warnings, the notes and excerpts that belong to them, and their count.

    Args:
        text: What it wrote. Lines that are none of these stay, and so do errors with what belongs to them.
    """
    kept, pending, dropping = [], [], False
    for line in text.splitlines(keepends=True):
        diagnostic = _DIAGNOSTIC.match(line)
        if _INCLUDED.match(line):
            pending.append(line)  # says from where the next diagnostic comes
            continue
        if diagnostic:
            dropping = dropping if diagnostic[1] == "note" else diagnostic[1] in ("warning", "remark")
        elif _COUNT.match(line):
            dropping = False
            continue
        elif not _EXCERPT.match(line):
            dropping = False
        if not dropping:
            kept += [*pending, line]
        pending = []
    return "".join(kept)
