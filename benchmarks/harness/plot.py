# SPDX-License-Identifier: Apache-2.0
"""Bar chart of a benchmark report: milliseconds per substep of each program, with the bound of the hardware."""

from pathlib import Path
from typing import Any

from benchmarks.harness.report import Row, digits
from simenv._files import replacing

COLORS = {"simenv": "#0b7a75", "Warp tape": "#8d99ae", "taichi": "#e09f3e", "genesis": "#9e2a2b"}


def bars(report: Row, job: str) -> list[Row]:
    """Rows of `job` that give a program's time, and agree."""
    part = report["parts"].get(job, {"rows": []})
    return [
        row
        for row in part["rows"]
        if row["name"].startswith(f"{job}: ") and row["unit"] == "ms/substep" and row["verdict"] == "-"
    ]


def bound(report: Row, job: str) -> float | None:
    """The bound with two threads [ms], if it was measured."""
    for row in report["parts"].get("bound", {"rows": []})["rows"]:
        if row["name"] == f"{job}: bound" and row["threads"] == 2:
            return row["median"]
    return None


def draw(axis: Any, report: Row, job: str) -> None:
    """One panel."""
    rows = bars(report, job)
    for place, row in enumerate(rows):
        name = row["name"].removeprefix(f"{job}: ")
        color = COLORS.get(name.split(",")[0], "#555555")
        error = [[row["median"] - row["low"]], [row["high"] - row["median"]]]
        axis.barh(place, row["median"], xerr=error, color=color, ecolor="#333333", capsize=2)
        axis.text(row["high"], place, f"  {digits(row['median'])}", va="center", fontsize=8)
    axis.set_yticks(range(len(rows)), [label(row, job) for row in rows], fontsize=8)
    axis.invert_yaxis()
    limit = bound(report, job)
    if limit is not None:
        axis.axvline(limit, color="#333333", linestyle=":", label=f"bound, 2 threads: {digits(limit)}")
        axis.legend(loc="upper right", fontsize=8, frameon=False)
    axis.set_xlim(0.0, 1.1 * max(row["high"] for row in rows))
    axis.set_xlabel("ms per substep, median and range of the rounds", fontsize=8)
    axis.set_title("forward" if job == "forward" else "forward and backward", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)


def label(row: Row, job: str) -> str:
    """A program and its threads."""
    name = row["name"].removeprefix(f"{job}: ").replace(", 1 thread", "")
    return f"{name} ({row['threads']} thread{'s' if row['threads'] > 1 else ''})"


def plot(report: Row, path: Path) -> bool:
    """Write the chart; False if the report has nothing to show."""
    jobs = [job for job in ("forward", "gradient") if bars(report, job)]
    if not jobs:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 2.8 * len(jobs)), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    for axis, job in zip(figure.subplots(len(jobs), squeeze=False)[:, 0], jobs, strict=True):
        draw(axis, report, job)
    with replacing(path, path.suffix) as temporary:
        figure.savefig(temporary, metadata={"Software": None})
    return True
