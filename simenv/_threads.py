# SPDX-License-Identifier: Apache-2.0
"""How many CPU threads step the worlds, and how work is shared among them."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, wait

ENVIRONMENT_VARIABLE = "SIMENV_NUM_THREADS"

_num_threads: int | None = None


def let_idle_threads_sleep() -> None:
    """Ask OpenMP, which torch computes with, to put idle threads to sleep at once.

    They would go on turning for milliseconds after each torch operation, on the cores that step the worlds next: 20 %
    slower steps on 2 cores. OpenMP reads the variable when torch is imported; one that is set stays as it is.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _available_cores() -> int:
    """Cores this process may run on, which a container or ``taskset`` can make fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_num_threads(n: int) -> None:
    """Set how many CPU threads step the worlds. Results do not depend on it, bit for bit.

    Args:
        n: Number of threads, at least 1. More threads than worlds are not used.

    Raises:
        TypeError: If ``n`` is not an integer.
        ValueError: If ``n`` is less than 1.
    """
    global _num_threads
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"set_num_threads: got {n!r} of type {type(n).__name__}; pass an integer of at least 1.")
    if n < 1:
        raise ValueError(f"set_num_threads: got {n}, the minimum is 1; pass the number of CPU cores to use.")
    _num_threads = int(n)


def get_num_threads() -> int:
    """Number of CPU threads that step the worlds.

    Returns:
        The value given to :func:`set_num_threads`; else the environment variable ``SIMENV_NUM_THREADS``; else the
        number of cores this process may run on.

    Raises:
        ValueError: If ``SIMENV_NUM_THREADS`` is set to something that is not an integer of at least 1.
    """
    if _num_threads is not None:
        return _num_threads
    text = os.environ.get(ENVIRONMENT_VARIABLE, "").strip()
    if not text:
        return _available_cores()
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError(f"{ENVIRONMENT_VARIABLE} is {text!r}; set it to an integer of at least 1, or unset it.")
    return int(text)


def run_together(
    pool: Executor, calls: Iterable[Callable[[], object]], abandon: Callable[[], object] | None = None
) -> None:
    """Run calls on a pool's threads, and wait for all of them even when one fails or the user interrupts.

    Without that, a step that was interrupted would go on writing to the buffers of the next one.

    Args:
        pool: of threads.
        calls: what to run.
        abandon: called if not all could be started; lets go those that wait for the others.

    Raises:
        BaseException: the first that a call raised, or the interruption.
    """
    started: list[Future] = []
    try:
        try:
            for call in calls:
                started.append(pool.submit(call))
        except BaseException:
            if abandon is not None:
                abandon()
            raise
        for future in started:
            future.result()
    finally:
        wait(started)
