# SPDX-License-Identifier: Apache-2.0
"""Rows of a benchmark report: how figures are summarised, judged against a target, and printed."""

import datetime
import json
import os
import platform
import re
import statistics
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"

Row = dict[str, Any]


def summary(values: list[float]) -> Row:
    """Median, spread (half the range over the median) and the raw rounds."""
    median = statistics.median(values)
    return {
        "median": median,
        "low": min(values),
        "high": max(values),
        "spread": (max(values) - min(values)) / 2 / median,
        "rounds": values,
    }


def value_row(name: str, unit: str, values: list[float], threads: int | None = None, **more: Any) -> Row:
    """What was measured, without a target."""
    return {"name": name, "unit": unit, "threads": threads, **summary(values), "target": None, "verdict": "-", **more}


def target_row(
    name: str, unit: str, values: list[float], target: float | None, at_least: bool, threads: int | None = None,
    valid: bool = True,
) -> Row:  # fmt: skip
    """A figure whose median should be at least, or at most, `target`; `valid` says whether it counts at all."""
    row = value_row(name, unit, values, threads)
    met = target is None or (row["median"] >= target if at_least else row["median"] <= target)
    verdict = "invalid" if not valid else "-" if target is None else "pass" if met else "miss"
    return {**row, "target": target, "at_least": at_least, "verdict": verdict}


def missing_row(name: str, reason: str, threads: int | None = None) -> Row:
    """Something that was not measured, and why."""
    verdict = f"not measured ({' '.join(reason.split())})"
    return {"name": name, "unit": "", "threads": threads, "rounds": [], "target": None, "verdict": verdict}


def paired(above: list[float], below: list[float]) -> list[float]:
    """Ratios, round by round."""
    return [a / b for a, b in zip(above, below, strict=True)]


def slug_of(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def describe_machine() -> Row:
    """Processor, cores and system."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        match = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text(encoding="utf-8"))
        model = match[1].strip() if match else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"slug": slug_of(f"{model} {cores} cores"), "model": model, "cores": cores, "system": platform.platform()}


def describe_moment() -> Row:
    """Date, commit (``+`` if the simulator was changed since) and load."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": git("rev-parse", "--short", "HEAD") + "+" * bool(git("status", "--porcelain", "simenv")),
        "load_before": os.getloadavg()[0],
    }


def read(path: Path, quick: bool) -> Row:
    """The report at `path`, to which parts are added, or an empty one."""
    if path.is_file():
        report = json.loads(path.read_text(encoding="utf-8"))
        if "parts" in report:
            return {**report, "machine": describe_machine()}
    return {"machine": describe_machine(), "quick": quick, "parts": {}}


def digits(value: float) -> str:
    """Three digits."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table_line(row: Row) -> str:
    """One row as Markdown."""
    measured = len(row["rounds"]) > 0
    median = f"{digits(row['median'])} {row['unit']}" if measured else ""
    spread = f"{digits(row['low'])} - {digits(row['high'])}" if len(row["rounds"]) > 1 else ""
    limit = row.get("target")
    target = "" if limit is None else f"{'≥' if row.get('at_least') else '≤'} {limit:g} {row['unit']}"
    cells = (row["name"], row["threads"] or "", median, spread, target, row["verdict"])
    return "| " + " | ".join(map(str, cells)) + " |"


def part_lines(name: str, part: Row) -> list[str]:
    """A part of the report as Markdown: when it was measured, and its rows."""
    packages: dict[str, str] = {}
    for answer in part["versions"].values():
        packages |= {key: value for key, value in answer.items() if key not in ("peak_mb", "numpy", "python")}
    lines = [
        f"**{name}**: {part['date']}, commit {part['commit']}, load {part['load_before']:.1f} before and "
        f"{part['load_after']:.1f} after"
        + "".join(f", {package} {version}" for package, version in sorted(packages.items())),
        "",
        "| measurement | threads | median | range | target | |",
        "|---|---|---|---|---|---|",
        *(table_line(row) for row in part["rows"]),
        "",
    ]
    return lines


def markdown(report: Row) -> str:
    """The report as tables, one for each part."""
    machine = report["machine"]
    gpu = f"{report['gpu']}, " if report.get("gpu") else ""
    lines = [f"{gpu}{machine['model']}, {machine['cores']} cores, {machine['system']}", ""]
    for name, part in report["parts"].items():
        lines += part_lines(name, part)
    if not gpu:
        lines.append("Everything on CUDA: not measured.")
    return "\n".join(lines) + "\n"
