# SPDX-License-Identifier: Apache-2.0
"""Force fields per second of the tactile sensor, by gel, grid and number of worlds, on the CPU and on CUDA at hand."""

import json
import os
import subprocess
import sys

from simenv.scripts.bench_report import BENCHMARKS, Row, missing_row, value_row

GELS = ("tacsl", "winkler", "elastic")
GRIDS = ("10x10", "100x100")
WORLDS = ("1", "16", "256", "1024", "4096")


def tactile_field_rows(part: Row, quick: bool) -> None:
    """Rows of every gel and grid; a row says where it ended and why."""
    import torch

    devices = [("cpu", threads) for threads in (1, 2)]
    if torch.cuda.is_available():
        devices.append(("cuda", 1))
    for device, threads in devices if not quick else devices[:1]:
        for gel in GELS:
            for grid in GRIDS[:1] if quick else GRIDS:
                answer = measure(device, gel, grid, str(threads), "0.01" if quick else "0.5",
                                 *(WORLDS[:2] if quick else WORLDS))  # fmt: skip
                title = f"force fields, {gel}, {grid}{'' if device == 'cpu' else ', CUDA'}"
                for worlds, rates in answer["rates"].items():
                    name = f"{title}, N = {worlds}"
                    part["rows"].append(value_row(name, "fields/s", rates, threads if device == "cpu" else None))
                if answer["ended"]:
                    part["rows"].append(missing_row(f"{title}, more", answer["ended"], threads))
    if len(devices) == 2:
        part["rows"].append(missing_row("force fields on CUDA", "no device at hand"))


def measure(*arguments: str) -> dict:
    """Run benchmarks/tactile_fields.py."""
    command = [sys.executable, str(BENCHMARKS / "tactile_fields.py"), *arguments]
    inherited = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(command, env=inherited, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)
