# SPDX-License-Identifier: Apache-2.0
"""Env-steps per second of every registered task; compile time, scaling and memory of one of them. Every figure comes
from a process of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import simenv
from benchmarks.harness.report import BENCHMARKS, Row, target_row, value_row
from simenv.scripts.common import require_task

DETAILED = "SimEnv/Pouring-v0"  # followed since the first report: its rows have targets
COMPILE_LIMITS_S = {"forward": 60.0, "gradient": 120.0}
MEMORY_RATIO_LIMIT = 4.0
WORLDS = {"cpu": "4", "cuda": "64"}  # of each task
GRADIENT_STEPS = "2"  # of each task


def check_tasks(tasks: tuple[str, ...]) -> tuple[str, ...]:
    """The tasks that are measured: those given, or all that are registered.

    Raises:
        ValueError: one is not registered; the message says which are like it.
    """
    for task in tasks:
        require_task(task)
    return tasks or tuple(simenv.list_tasks())


def environment_rows(part: Row, scratch: Path, quick: bool, device: str, tasks: tuple[str, ...]) -> None:
    """Rates of all `tasks`; of `DETAILED`, if it is one of them, compile times, scaling and memory as well."""
    rounds = "1" if quick else "3"
    for task in tasks:
        part["rows"] += rate_rows(f"{task}: ", device, task, "throughput", rounds, "2" if quick else WORLDS[device])
        part["rows"] += rate_rows(f"{task}: ", device, task, "gradient", rounds, GRADIENT_STEPS)
    if DETAILED in tasks:
        part["rows"] += compile_rows(scratch, device)
        rounds, worlds = ("1", ("1", "2")) if quick else ("5", ("1", "2", "8", "32"))
        part["rows"] += rate_rows("", device, DETAILED, "throughput", rounds, *worlds)
        part["rows"] += rate_rows("", device, DETAILED, "gradient", rounds, "1" if quick else "4")
        part["rows"] += memory_rows(quick, device)


def rate_rows(prefix: str, device: str, task: str, job: str, *arguments: str) -> list[Row]:
    """Env-steps per second, a row for each number of worlds and of threads."""
    what = "forward" if job == "throughput" else "gradient"
    rows = []
    for case, rates in measure(device, job, task, *arguments)["rates"].items():
        count, threads = case.split("x")
        shown = int(threads) if device == "cpu" else None
        rows.append(value_row(f"{prefix}{what}, N = {count}", "env-steps/s", rates, shown))
    return rows


def compile_rows(scratch: Path, device: str) -> list[Row]:
    """Time to the first step and to the first gradient."""
    rows = []
    for mode, limit in COMPILE_LIMITS_S.items():
        cache = scratch / f"cache-{mode}"
        first = measure(device, "first", DETAILED, mode, WARP_CACHE_PATH=str(cache))
        warm = measure(device, "first", DETAILED, mode, WARP_CACHE_PATH=str(cache))
        rows.append(target_row(f"{mode}: first step, empty kernel cache", "s", [first["seconds"]], limit, False))
        rows.append(value_row(f"{mode}: first step, kernels cached", "s", [warm["seconds"]]))
        rows.append(value_row(f"{mode}: peak memory while compiling", "MB", [first["peak_mb"]]))
    return rows


def memory_rows(quick: bool, device: str) -> list[Row]:
    """Memory that gradients of short and of long rollouts add."""
    horizon = 2 if quick else 4
    rows, peaks = [], {}
    for steps in (horizon, 10 * horizon):
        answer = measure(device, "memory", DETAILED, str(steps))
        peaks[steps] = answer["peak_mb"] - answer["before_mb"]
        rows.append(value_row(f"memory that a gradient of {steps} steps adds", "MB", [peaks[steps]]))
    ratio = peaks[10 * horizon] / peaks[horizon]
    rows.append(target_row("memory: ten times the steps", "x", [ratio], MEMORY_RATIO_LIMIT, False))
    return rows


def measure(*arguments: str, **environment: str) -> dict[str, Any]:
    """Run benchmarks/environment.py."""
    command = [sys.executable, str(BENCHMARKS / "environment.py"), *arguments]
    inherited = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(command, env={**inherited, **environment}, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)
