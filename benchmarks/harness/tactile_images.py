# SPDX-License-Identifier: Apache-2.0
"""Tactile images per second, against the package taxim on the same machine."""

import importlib.util
import json
import os
import subprocess
import sys

from benchmarks.harness.report import BENCHMARKS, Row, missing_row, paired, target_row, value_row
from simenv._extras import install_command

TARGET = 10.0  # times taxim, per image
TACSL = 1631.0  # images/s at 320 x 240 on one GPU (Akinola et al. 2025)
SIZES = {"simenv": "240 x 320", "taxim": "480 x 640"}
WORLDS = {"cpu": ("1", "16", "64", "256"), "cuda": ("1", "16", "256", "1024", "4096")}
PEERS = {"cpu": ("1", "16"), "cuda": ("1", "16", "256")}


def tactile_image_rows(part: Row, quick: bool, device: str) -> None:
    """Images per second of both, and their ratio per image and per pixel."""
    rows = part["rows"]
    cores: int | None = None
    if device == "cpu":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    worlds = WORLDS[device][: 2 if quick else None]
    ours = {n: measure("simenv", device, n, cores or 1) for n in worlds}
    for n in worlds:
        goal = 50 * TACSL if (device, n) == ("cuda", "1024") else None
        rows.append(target_row(f"tactile images {SIZES['simenv']}, N = {n}", "images/s", ours[n], goal, True, cores))
    if device == "cpu":
        alone = measure("simenv", device, "1", 1)
        rows.append(value_row(f"tactile images {SIZES['simenv']}, N = 1", "images/s", alone, 1))
    if importlib.util.find_spec("taxim") is None:
        rows.append(missing_row("taxim (torch)", install_command("calibration"), cores))
    else:
        for n in PEERS[device][: 1 if quick else None]:
            theirs = measure("taxim", device, n, cores or 1)
            rows.append(value_row(f"taxim (torch) {SIZES['taxim']}, N = {n}", "images/s", theirs, cores))
            ratio = paired(ours[n], theirs)
            rows.append(target_row(f"over taxim per image, N = {n}", "x", ratio, TARGET, True, cores))
            rows.append(value_row(f"over taxim per pixel, N = {n}", "x", [r / 4.0 for r in ratio], cores))
    rows.append(missing_row("taxim (JAX)", "JAX is not installed", cores))


def measure(program: str, device: str, worlds: str, threads: int) -> list[float]:
    """Run benchmarks/tactile_images.py."""
    command = [sys.executable, str(BENCHMARKS / "tactile_images.py"), program, device, str(threads), worlds]
    inherited = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(command, env=inherited, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])["rates"][worlds]
