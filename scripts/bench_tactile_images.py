# SPDX-License-Identifier: Apache-2.0
"""Tactile images per second, against the package taxim on the same machine."""

import importlib.util
import json
import os
import subprocess
import sys

from simenv.scripts.bench_report import BENCHMARKS, Row, missing_row, paired, target_row, value_row

TARGET = 10.0  # times taxim, per image
SIZES = {"simenv": "240 x 320", "taxim": "480 x 640"}


def tactile_image_rows(part: Row, quick: bool) -> None:
    """Images per second of both, and their ratio per image and per pixel."""
    rows = part["rows"]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    worlds = ("1", "2") if quick else ("1", "16", "64", "256")
    ours = {n: measure("simenv", n, cores) for n in worlds}
    for n in worlds:
        rows.append(value_row(f"tactile images {SIZES['simenv']}, N = {n}", "images/s", ours[n], cores))
    rows.append(value_row("tactile images 240 x 320, N = 1", "images/s", measure("simenv", "1", 1), 1))
    peers = ("1",) if quick else ("1", "16")
    if importlib.util.find_spec("taxim") is None:
        rows.append(missing_row("taxim (torch)", "pip install --no-deps taxim", cores))
    else:
        for n in peers:
            theirs = measure("taxim", n, cores)
            rows.append(value_row(f"taxim (torch) {SIZES['taxim']}, N = {n}", "images/s", theirs, cores))
            ratio = paired(ours[n], theirs)
            rows.append(target_row(f"over taxim per image, N = {n}", "x", ratio, TARGET, True, cores))
            rows.append(value_row(f"over taxim per pixel, N = {n}", "x", [r / 4.0 for r in ratio], cores))
    rows.append(missing_row("taxim (JAX)", "JAX is not installed", cores))


def measure(program: str, worlds: str, threads: int) -> list[float]:
    """Run benchmarks/tactile_images.py."""
    command = [sys.executable, str(BENCHMARKS / "tactile_images.py"), program, str(threads), worlds]
    inherited = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(command, env=inherited, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])["rates"][worlds]
