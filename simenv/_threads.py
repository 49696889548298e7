# SPDX-License-Identifier: Apache-2.0
"""How many CPU threads step the worlds, and how work is shared among them."""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

R = TypeVar("R")

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


class Workers:
    """Threads that share the work of one owner: made when first asked for, anew when their number changes, and anew in
    a forked child, which has none of its parent's threads.

    Args:
        name: prefix of the threads' names.
    """

    def __init__(self, name: str = "simenv"):
        self._name = name
        self._pool: ThreadPoolExecutor | None = None
        self._made = (0, 0)  # process and number

    def pool(self, threads: int) -> ThreadPoolExecutor | None:
        """The pool of so many threads; None for one, which is the caller's."""
        if self._made != (os.getpid(), threads):
            self.close()
            self._pool = ThreadPoolExecutor(threads, thread_name_prefix=self._name) if threads > 1 else None
            self._made = (os.getpid(), threads)
        return self._pool

    def close(self) -> None:
        """Stop the threads."""
        if self._pool is not None and self._made[0] == os.getpid():
            self._pool.shutdown()
        self._pool, self._made = None, (0, 0)


@cache
def _shared_workers(name: str, threads: int) -> Workers:
    return Workers(name)


def shared_pool(name: str, threads: int) -> ThreadPoolExecutor | None:
    """The process's pool of this name and size. It stays when another size is asked for: others may be using it.

    Who runs on such a pool must not wait for others on it.
    """
    return _shared_workers(name, threads).pool(threads)


def run_together(
    pool: Executor | None, calls: Iterable[Callable[[], R]], abandon: Callable[[], object] | None = None
) -> list[R]:
    """Run calls on a pool's threads, and wait for all of them even when one fails or the user interrupts.

    Without that, a step that was interrupted would go on writing to the buffers of the next one.

    Args:
        pool: of threads; None runs them here, one after another.
        calls: what to run.
        abandon: called if not all could be started; lets go those that wait for the others.

    Returns:
        What the calls returned, in their order.

    Raises:
        BaseException: the first that a call raised, or the interruption.
    """
    if pool is None:
        return [call() for call in calls]
    started: list[Future[R]] = []
    try:
        try:
            for call in calls:
                started.append(pool.submit(call))
        except BaseException:
            if abandon is not None:
                abandon()
            raise
        return [future.result() for future in started]
    finally:
        _wait_for(started)


def run_apart(call: Callable[[], R]) -> R:
    """Run a call on a thread of its own, and wait for it even when the user interrupts.

    Python interrupts the main thread only: what runs here is never left half done by Ctrl-C. State that C libraries
    keep for each thread ends with the thread.

    Raises:
        BaseException: what the call raised, or the interruption.
    """
    future: Future[R] = Future()

    def run() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)

    try:
        threading.Thread(target=run, name="simenv-apart", daemon=True).start()
        return future.result()
    finally:
        if not future.cancel():  # which succeeds where the interruption came before the thread did
            _wait_for([future])


def _wait_for(futures: list[Future[R]]) -> None:
    """Wait until all have ended; who interrupts the waiting is heard afterwards."""
    interruption = None
    while True:
        try:
            wait(futures)
            break
        except BaseException as error:
            interruption = error
    if interruption is not None:
        raise interruption
