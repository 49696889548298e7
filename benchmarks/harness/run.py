# SPDX-License-Identifier: Apache-2.0
"""Measures the parts of a report, and writes it."""

import json
import os
import tempfile
import time
from pathlib import Path

from benchmarks.harness import report as reports
from benchmarks.harness.bound import bound_rows
from benchmarks.harness.environment import check_tasks, environment_rows
from benchmarks.harness.memory import memory_rows
from benchmarks.harness.plot import plot
from benchmarks.harness.report import Row
from benchmarks.harness.solver import solver_rows
from benchmarks.harness.tactile_fields import tactile_field_rows
from benchmarks.harness.tactile_images import tactile_image_rows
from benchmarks.harness.worlds import idle_rows, world_rows
from simenv._files import write_text
from simenv.physics.device import resolve_device
from simenv.scripts.bench import PARTS, Bench, Part


def run(options: Bench, parts: tuple[Part, ...]) -> int:
    """What `Bench.run` does in a checkout."""
    tasks = check_tasks(options.tasks)
    path, gpu = place(options)
    report = {**reports.read(path, options.quick), "gpu": gpu}
    started = time.perf_counter()
    for name in parts:
        report["parts"][name] = measure(name, options, tasks)
        report["parts"] = {part: report["parts"][part] for part in PARTS if part in report["parts"]}
        write(report, path)
    print(reports.markdown(report))
    print(f"wrote {path} and its tables and chart in {time.perf_counter() - started:.0f} s")
    measured = [row for name in parts for row in report["parts"][name]["rows"]]
    bad = ("invalid",) if options.quick else ("miss", "invalid")
    return 1 if any(row["verdict"] in bad for row in measured) else 0


def place(options: Bench) -> tuple[Path, str | None]:
    """Where the report lies, and which GPU it is about."""
    gpu = None
    if options.device == "cuda":
        import torch

        gpu = torch.cuda.get_device_name(resolve_device("cuda"))
    options.out.mkdir(parents=True, exist_ok=True)
    name = reports.slug_of(gpu) if gpu else f"{reports.describe_machine()['slug']}-cpu"
    return options.out / f"{name}{'-quick' if options.quick else ''}.json", gpu


def measure(name: Part, options: Bench, tasks: tuple[str, ...]) -> Row:
    """One part of the report; `tasks` are the environments of the part of that name."""
    quick, device = options.quick, options.device
    part: Row = {**reports.describe_moment(), "versions": {}, "rows": []}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if name in ("forward", "gradient"):
            solver_rows(part, name, scratch, quick, device)
        elif name == "environment":
            environment_rows(part, scratch, quick, device, tasks)
        elif name == "worlds":
            world_rows(part, quick, device)
        elif name == "idle":
            idle_rows(part, quick, device)
        elif name == "memory":
            memory_rows(part, scratch, quick, device)
        elif name == "tactile-fields":
            tactile_field_rows(part, quick, device)
        elif name == "tactile-images":
            tactile_image_rows(part, quick, device)
        else:
            bound_rows(part, scratch, quick)
    return {**part, "wall_s": round(time.perf_counter() - started, 1), "load_after": os.getloadavg()[0]}


def write(report: Row, path: Path) -> None:
    """The report as JSON, as tables and as a chart."""
    write_text(path, json.dumps(report, indent=1) + "\n")
    write_text(path.with_suffix(".md"), reports.markdown(report))
    plot(report, path.with_suffix(".png"))
