# SPDX-License-Identifier: Apache-2.0
"""What the hardware allows for one substep, and the share of it that simenv reaches; see benchmarks/roofline.py."""

import statistics
from pathlib import Path
from typing import Any

from benchmarks import roofline
from benchmarks.harness.programs import running
from benchmarks.harness.report import Row, value_row
from benchmarks.harness.solver import ONE, SCRIPTS, scene, write_particles

MEMORY_BYTES = 384_000_000  # arrays that no cache holds


def bound_rows(part: Row, scratch: Path, quick: bool) -> None:
    """Bandwidth, peak, counts, bound, and simenv's share of the bound, with one and two threads."""
    import numpy as np

    config, rows = scene(quick), part["rows"]
    particles = scratch / "particles.npz"
    write_particles(particles, config)
    nodes = roofline.touched_nodes(np.load(particles)["x_unsorted"], 1.0 / config["grid"])
    resident = config["count"] * sum(roofline.SIZES[name] for name in ("x", "v", "C", "J", "volume"))
    scripts = {name: SCRIPTS[name] for name in ("simenv", ONE)}
    with running({"bound": "roofline.py", **scripts}) as (programs, _):
        part["versions"]["bound"] = programs["bound"].ask("setup")
        for name, threads in (("simenv", 2), (ONE, 1)):
            part["versions"][name] = programs[name].ask("setup", config=config, threads=threads)
        for threads, name in ((1, ONE), (2, "simenv")):
            answer = programs["bound"].ask("run", threads=threads, sizes=[resident, MEMORY_BYTES])
            (caches, memory), peak = answer["bandwidth"], answer["peak"]
            size = f"{resident / 1e6:.1f} MB, as the particles"
            rows.append(value_row(f"bandwidth, triad on {size}", "GB/s", [rate / 1e9 for rate in caches], threads))
            size = f"{MEMORY_BYTES // 10**6} MB"
            rows.append(value_row(f"bandwidth, triad on {size}", "GB/s", [rate / 1e9 for rate in memory], threads))
            rows.append(value_row("multiply-adds", "Gflop/s", [rate / 1e9 for rate in peak], threads))
            for job in ("forward", "gradient"):
                counted = roofline.count(job, config["count"], nodes, threads)
                share_rows(rows, job, threads, counted, max(caches), max(peak))
                own = simenv_times(programs[name], job, str(particles), 1 if quick else 5)
                bound = roofline.bound_ms(counted, max(caches), max(peak))
                rows.append(value_row(f"{job}: simenv", "ms/substep", own, threads))
                rows.append(value_row(f"{job}: bound / simenv", "%", [100 * bound / ms for ms in own], threads))


def share_rows(rows: list[Row], job: str, threads: int, counted: dict[str, Any], bandwidth: float, peak: float) -> None:
    """The counts, and the time that each limit asks for."""
    if threads == 1:
        for what, unit in (("bytes", "B"), ("operations", "flop")):
            rows.append(value_row(f"{job}: {what} of a particle", unit, [counted[f"{what}_per_particle"]]))
    rows.append(value_row(f"{job}: bytes / bandwidth", "ms/substep", [1e3 * counted["bytes"] / bandwidth], threads))
    rows.append(value_row(f"{job}: operations / peak", "ms/substep", [1e3 * counted["operations"] / peak], threads))
    bound = roofline.bound_ms(counted, bandwidth, peak)
    rows.append(value_row(f"{job}: bound", "ms/substep", [bound], threads))


def simenv_times(program: Any, job: str, particles: str, rounds: int) -> list[float]:
    """Milliseconds per substep."""
    request = {"program": job, "order": "unsorted", "particles": particles}
    program.ask("build", **request)
    return [statistics.median(program.ask("run", **request, repeats=3)["ms"]) for _ in range(rounds)]
