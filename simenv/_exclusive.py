# SPDX-License-Identifier: Apache-2.0
"""What one thread of the process does at a time, and what a forked child starts with.

Warp keeps one table of modules for the whole process and Newton its own caches, both without locks: two threads that
build, load or record at once would make a kernel twice, and run what is no longer there. Here is the lock that whoever
does so holds. It is light: neither torch nor Warp is imported.
"""

import functools
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

EXCLUSIVE = threading.RLock()
"""Held by the thread that makes kernels, loads their modules, records a graph, or calls Newton."""

_held_across_forks: list[Any] = [EXCLUSIVE]


def one_at_a_time(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: one thread at a time calls this function, or any other that is decorated so."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with EXCLUSIVE:
            return function(*args, **kwargs)

    return call


def built_once(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator of a function that defines kernels: called once for each set of arguments in the process.

    `functools.cache` is no match: two threads that ask at once would both define them, under the same names.
    """
    made: dict[Any, R] = {}

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        key = (args, tuple(sorted(kwargs.items())))
        if key not in made:
            with EXCLUSIVE:
                if key not in made:
                    made[key] = function(*args, **kwargs)
        return made[key]

    return call


def hold_across_forks(lock: Any) -> None:
    """Let no process be forked while another thread has this lock: the child, which lacks that thread, would wait for
    ever. Locks are taken in the order of these calls, after `EXCLUSIVE`.
    """
    _held_across_forks.append(lock)


def _before_fork() -> None:
    for lock in _held_across_forks:
        lock.acquire()


def _after_fork() -> None:
    for lock in reversed(_held_across_forks):
        lock.release()


def _in_child() -> None:
    _after_fork()
    torch = sys.modules.get("torch")
    if hasattr(torch, "set_num_threads"):
        # The child has no threads but this one, and OpenMP, which torch computes with, does not know: its next parallel
        # operation would wait for them for ever. With one thread it asks for none.
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
