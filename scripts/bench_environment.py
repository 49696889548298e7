# SPDX-License-Identifier: Apache-2.0
"""Compile time, throughput and memory of the pouring environment; every figure from a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from simenv.scripts.bench_report import BENCHMARKS, Row, target_row, value_row

TASK = "SimEnv/Pouring-v0"
COMPILE_LIMITS_S = {"forward": 60.0, "gradient": 120.0}
MEMORY_RATIO_LIMIT = 4.0


def environment_rows(part: Row, scratch: Path, quick: bool, device: str) -> None:
    """Compile times, env-steps per second, and memory."""
    rows = part["rows"]
    for mode, limit in COMPILE_LIMITS_S.items():
        cache = scratch / f"cache-{mode}"
        first = measure(device, "first", TASK, mode, WARP_CACHE_PATH=str(cache))
        warm = measure(device, "first", TASK, mode, WARP_CACHE_PATH=str(cache))
        rows.append(target_row(f"{mode}: first step, empty kernel cache", "s", [first["seconds"]], limit, False))
        rows.append(value_row(f"{mode}: first step, kernels cached", "s", [warm["seconds"]]))
        rows.append(value_row(f"{mode}: peak memory while compiling", "MB", [first["peak_mb"]]))
    rounds, worlds = ("1", ("1", "2")) if quick else ("5", ("1", "2", "8", "32"))
    for job, arguments in (("throughput", (rounds, *worlds)), ("gradient", (rounds, "1" if quick else "4"))):
        what = "forward" if job == "throughput" else "gradient"
        for case, rates in measure(device, job, TASK, *arguments)["rates"].items():
            count, threads = case.split("x")
            rows.append(
                value_row(f"{what}, N = {count}", "env-steps/s", rates, int(threads) if device == "cpu" else None)
            )
    horizon = 2 if quick else 4
    peaks = {}
    for steps in (horizon, 10 * horizon):
        answer = measure(device, "memory", TASK, str(steps))
        peaks[steps] = answer["peak_mb"] - answer["before_mb"]
        rows.append(value_row(f"memory that a gradient of {steps} steps adds", "MB", [peaks[steps]]))
    ratio = peaks[10 * horizon] / peaks[horizon]
    rows.append(target_row("memory: ten times the steps", "x", [ratio], MEMORY_RATIO_LIMIT, False))


def measure(*arguments: str, **environment: str) -> dict[str, Any]:
    """Run benchmarks/environment.py."""
    command = [sys.executable, str(BENCHMARKS / "environment.py"), *arguments]
    inherited = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(command, env={**inherited, **environment}, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)
