# SPDX-License-Identifier: Apache-2.0
"""How the harness talks to a program that it measures: JSON requests on stdin, JSON answers on stdout, one per line.

Standard library only: the peers' environments hold nothing else of ours. The programs stay alive, so that rounds can
alternate between them while each is warm.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any


def claim_stdout() -> Any:
    """The stream of the answers. Whatever libraries print from now on goes to stderr; call it before importing them."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def serve(server: object, answers: Any) -> None:
    """Answer requests with the methods of `server`; ``{"job": name, ...}`` calls ``server.name(request)``."""
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(server, request["job"])(request)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        answers.write(json.dumps({**answer, "peak_mb": peak}) + "\n")


def timed(run: Callable[[], None], before: Callable[[], None], repeats: int, substeps: int) -> dict:
    """Milliseconds per substep of `run`, each after `before`, and the processor time over the wall time."""
    milliseconds, cpu, wall = [], 0.0, 0.0
    for _ in range(repeats):
        before()
        start, cpu_start = time.perf_counter(), time.process_time()
        run()
        seconds = time.perf_counter() - start
        cpu, wall = cpu + time.process_time() - cpu_start, wall + seconds
        milliseconds.append(1e3 * seconds / substeps)
    return {"ms": milliseconds, "cpu_per_wall": cpu / wall}


def spent(run: Callable[[], None], steps: float) -> dict:
    """Processor time of each of so many steps of `run` [us], and the processor time over the wall time."""
    start, cpu = time.perf_counter(), time.process_time()
    run()
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - start
    return {"us": 1e6 * cpu / steps, "cpu_per_wall": cpu / seconds}


class Program:
    """A measured program in its own process."""

    def __init__(self, python: str, script: str, environment: dict[str, str]):
        self.name = os.path.basename(script)
        self.log: list[str] = []
        self._process = subprocess.Popen(
            [python, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if not os.environ.get("SIMENV_DEBUG") else None,
            text=True,
            bufsize=1,
            env=environment,
        )

    def ask(self, job: str, **request: Any) -> dict:
        """Send one request and wait for its answer."""
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(json.dumps({"job": job, **request}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"{self.name} died in {job!r} {request}; SIMENV_DEBUG=1 shows why")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(timeout=30)
