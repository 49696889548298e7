# SPDX-License-Identifier: Apache-2.0
"""``simenv bench``"""

import dataclasses
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Literal, get_args

from simenv._files import write_text
from simenv.scripts import bench_report
from simenv.scripts.bench_report import Row

Part = Literal[
    "forward", "gradient", "environment", "worlds", "idle", "memory", "bound", "tactile-fields", "tactile-images"
]  # fmt: skip
PARTS: tuple[Part, ...] = get_args(Part)
ON_CUDA: tuple[Part, ...] = ("forward", "gradient", "environment", "worlds", "tactile-fields", "tactile-images")


@dataclasses.dataclass(frozen=True)
class Bench:
    """Measure simulation speed and memory: against other simulators on the same liquid, against the hardware's bound,
    and the environments on their own.

    Needs a checkout. The first run makes .venv-bench for Taichi and waits for its compiler. Genesis and rewarped are
    measured if SIMENV_BENCH_GENESIS_PYTHON and SIMENV_BENCH_REWARPED_PYTHON name a Python that has them.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    """Device; on cuda all parts but memory and bound, which are about the CPU."""
    quick: bool = False
    """A small scene, one round and no peers: whether the harness works, not how fast anything is."""
    only: tuple[Part, ...] = ()
    """Parts to measure; the others stay in the report as they were measured before. All of the device by default."""
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
        parts = self.only or (PARTS if self.device == "cpu" else ON_CUDA)
        path, gpu = self._report()
        report = {**bench_report.read(path, self.quick), "gpu": gpu}
        started = time.perf_counter()
        for name in parts:
            report["parts"][name] = measure(name, self.quick, self.device)
            report["parts"] = {part: report["parts"][part] for part in PARTS if part in report["parts"]}
            write(report, path)
        print(bench_report.markdown(report))
        print(f"wrote {path} and its tables and chart in {time.perf_counter() - started:.0f} s")
        measured = [row for name in parts for row in report["parts"][name]["rows"]]
        bad = ("invalid",) if self.quick else ("miss", "invalid")
        return 1 if any(row["verdict"] in bad for row in measured) else 0

    def _report(self) -> tuple[Path, str | None]:
        """Where the report lies, and which GPU it is about."""
        from simenv.physics.device import resolve_device

        gpu = None
        if self.device == "cuda":
            import torch

            gpu = torch.cuda.get_device_name(resolve_device("cuda"))
            if set(self.only) - set(ON_CUDA):
                raise ValueError(f"--only {' '.join(self.only)}: on cuda there are {', '.join(ON_CUDA)}")
        self.out.mkdir(parents=True, exist_ok=True)
        name = bench_report.slug_of(gpu) if gpu else f"{bench_report.describe_machine()['slug']}-cpu"
        return self.out / f"{name}{'-quick' if self.quick else ''}.json", gpu


def measure(name: Part, quick: bool, device: str) -> Row:
    """One part of the report."""
    from simenv.scripts.bench_bound import bound_rows
    from simenv.scripts.bench_environment import environment_rows
    from simenv.scripts.bench_memory import memory_rows
    from simenv.scripts.bench_solver import solver_rows
    from simenv.scripts.bench_tactile_fields import tactile_field_rows
    from simenv.scripts.bench_tactile_images import tactile_image_rows
    from simenv.scripts.bench_worlds import idle_rows, world_rows

    part: Row = {**bench_report.describe_moment(), "versions": {}, "rows": []}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if name in ("forward", "gradient"):
            solver_rows(part, name, scratch, quick, device)
        elif name == "environment":
            environment_rows(part, scratch, quick, device)
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
    from simenv.scripts.bench_plot import plot

    write_text(path, json.dumps(report, indent=1) + "\n")
    write_text(path.with_suffix(".md"), bench_report.markdown(report))
    plot(report, path.with_suffix(".png"))
