# SPDX-License-Identifier: Apache-2.0
"""``simenv bench``"""

import dataclasses
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Literal, get_args

from simenv.scripts import bench_report
from simenv.scripts.bench_report import Row

Part = Literal["forward", "gradient", "environment", "worlds", "memory", "bound", "tactile-fields", "tactile-images"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclasses.dataclass(frozen=True)
class Bench:
    """Measure simulation speed and memory: against other simulators on the same liquid, against the hardware's bound,
    and the environments on their own.

    Needs a checkout. The first run makes .venv-bench for Taichi and waits for its compiler. Genesis and rewarped are
    measured if SIMENV_BENCH_GENESIS_PYTHON and SIMENV_BENCH_REWARPED_PYTHON name a Python that has them.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    """Device; nothing has been measured on CUDA."""
    quick: bool = False
    """A small scene, one round and no peers: whether the harness works, not how fast anything is."""
    only: tuple[Part, ...] = ()
    """Parts to measure; the others stay in the report as they were measured before. All by default."""
    out: Path = Path("benchmarks/results")
    """Folder for the report: a JSON file, Markdown tables and a chart."""

    def run(self) -> int:
        """Measure, write the report, print its tables.

        Returns:
            1 if a target is missed or programs disagree, else 0; with ``quick`` only the latter.
        """
        folder = bench_report.BENCHMARKS
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is missing: `simenv bench` runs from a checkout of the repository")
        if self.device == "cuda":
            raise ValueError("--device cuda: nothing has been measured on CUDA yet; use --device cpu")
        self.out.mkdir(parents=True, exist_ok=True)
        slug = bench_report.describe_machine()["slug"]
        path = self.out / f"{slug}-{self.device}{'-quick' if self.quick else ''}.json"
        report = bench_report.read(path, self.quick)
        started = time.perf_counter()
        for name in self.only or PARTS:
            report["parts"][name] = measure(name, self.quick)
            report["parts"] = {part: report["parts"][part] for part in PARTS if part in report["parts"]}
            write(report, path)
        print(bench_report.markdown(report))
        print(f"wrote {path} and its tables and chart in {time.perf_counter() - started:.0f} s")
        measured = [row for name in self.only or PARTS for row in report["parts"][name]["rows"]]
        bad = ("invalid",) if self.quick else ("miss", "invalid")
        return 1 if any(row["verdict"] in bad for row in measured) else 0


def measure(name: Part, quick: bool) -> Row:
    """One part of the report."""
    from simenv.scripts.bench_bound import bound_rows
    from simenv.scripts.bench_environment import environment_rows
    from simenv.scripts.bench_memory import memory_rows
    from simenv.scripts.bench_solver import solver_rows
    from simenv.scripts.bench_tactile_fields import tactile_field_rows
    from simenv.scripts.bench_tactile_images import tactile_image_rows
    from simenv.scripts.bench_worlds import world_rows

    part: Row = {**bench_report.describe_moment(), "versions": {}, "rows": []}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if name in ("forward", "gradient"):
            solver_rows(part, name, scratch, quick)
        elif name == "environment":
            environment_rows(part, scratch, quick)
        elif name == "worlds":
            world_rows(part, quick)
        elif name == "memory":
            memory_rows(part, scratch, quick)
        elif name == "tactile-fields":
            tactile_field_rows(part, quick)
        elif name == "tactile-images":
            tactile_image_rows(part, quick)
        else:
            bound_rows(part, scratch, quick)
    return {**part, "wall_s": round(time.perf_counter() - started, 1), "load_after": os.getloadavg()[0]}


def write(report: Row, path: Path) -> None:
    """The report as JSON, as tables and as a chart."""
    from simenv.scripts.bench_plot import plot

    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(bench_report.markdown(report), encoding="utf-8")
    plot(report, path.with_suffix(".png"))
