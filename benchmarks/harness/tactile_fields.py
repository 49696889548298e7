# SPDX-License-Identifier: Apache-2.0
"""Force fields per second of the tactile sensor, by gel, grid and number of worlds."""

import json
import os
import subprocess
import sys

from benchmarks.harness.report import BENCHMARKS, Row, missing_row, target_row

GELS = ("tacsl", "winkler", "elastic")
GRIDS = ("10x10", "100x100")
WORLDS = {"cpu": ("1", "16", "256", "1024", "4096"), "cuda": ("1", "16", "256", "1024", "4096", "32768")}
TARGETS = {("cuda", "tacsl", "10x10", "32768"): 1.54e6, ("cuda", "tacsl", "100x100", "4096"): 103e3}  # TacSL's


def tactile_field_rows(part: Row, quick: bool, device: str) -> None:
    """Rows of every gel and grid; a row says where it ended and why."""
    worlds = WORLDS[device][: 2 if quick else None]
    for threads in (1, 2) if device == "cpu" and not quick else (1,):
        for gel in GELS:
            for grid in GRIDS[:1] if quick else GRIDS:
                answer = measure(device, gel, grid, str(threads), "0.01" if quick else "0.5", *worlds)
                title = f"force fields, {gel}, {grid}"
                for count, rates in answer["rates"].items():
                    name = f"{title}, N = {count}"
                    target = TARGETS.get((device, gel, grid, count))
                    shown = threads if device == "cpu" else None
                    part["rows"].append(target_row(name, "fields/s", rates, target, True, shown))
                if answer["ended"]:
                    part["rows"].append(missing_row(f"{title}, more", answer["ended"], threads))


def measure(*arguments: str) -> dict:
    """Run benchmarks/tactile_fields.py."""
    command = [sys.executable, str(BENCHMARKS / "tactile_fields.py"), *arguments]
    inherited = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(command, env=inherited, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)
