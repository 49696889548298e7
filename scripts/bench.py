# SPDX-License-Identifier: Apache-2.0
"""``simenv bench``"""

import dataclasses
import datetime
import importlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
PEER_PACKAGES = ("taichi==1.7.4", "numpy")
PEER_PYTHON = "SIMENV_BENCH_PYTHON"  # environment variable: the Python of an environment that has the peers
TASK = "SimEnv/Pouring-v0"

# name -> target; a ratio is reached from above, a limit from below
RATIO_TARGETS = {("forward", "unsorted"): 6.0, ("forward", "sorted"): 4.0, ("gradient", "unsorted"): 5.0}
COMPILE_LIMITS_S = {"forward": 60.0, "gradient": 120.0}
MEMORY_RATIO_LIMIT = 4.0
# largest difference between programs: of mean_x in metres, of the others relative to the largest value of the group
TOLERANCE = {"mean_x": 1e-6, "mean_v": 1e-4, "J": 1e-4, "gradient_v0": 1e-3}


@dataclasses.dataclass(frozen=True)
class Bench:
    """Measure simulation speed: against Taichi on the same liquid, and the pouring environment on its own.

    Needs a checkout. The first run makes .venv-bench for Taichi (or set SIMENV_BENCH_PYTHON), and waits for Taichi's
    compiler.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    """Device; the comparison with Taichi exists on the CPU only."""
    quick: bool = False
    """A small scene, one round and no Taichi: whether the harness works, not how fast anything is."""
    out: Path = Path("benchmarks/results")
    """Folder for the report, a JSON file and a Markdown table."""

    def run(self) -> int:
        """Measure, write the report, print its table.

        Returns:
            0 if every measured target is met, else 1.
        """
        if not BENCHMARKS.is_dir():
            raise FileNotFoundError(f"{BENCHMARKS} is missing: `simenv bench` runs from a checkout of the repository")
        if self.device == "cuda":
            raise ValueError("--device cuda: nothing has been measured on CUDA yet; use --device cpu")
        self.out.mkdir(parents=True, exist_ok=True)
        report: dict[str, Any] = {"machine": describe_machine(), "quick": self.quick, "rows": []}
        report["versions"] = {}
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as scratch:
            solver_rows(report, Path(scratch), self.quick)
            environment_rows(report, Path(scratch), self.quick)
        report["wall_s"] = round(time.perf_counter() - started, 1)
        report["machine"]["load_after"] = os.getloadavg()[0]
        name = f"{report['machine']['slug']}-{self.device}{'-quick' if self.quick else ''}"
        (self.out / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        table = markdown(report)
        (self.out / f"{name}.md").write_text(table, encoding="utf-8")
        print(table)
        print(f"wrote {self.out / name}.json and .md in {report['wall_s']:.0f} s")
        return 1 if any(row["verdict"] in ("miss", "invalid") for row in report["rows"]) else 0


# ---------------------------------------------------------------- the same liquid in simenv and in Taichi


def scene(quick: bool) -> dict[str, Any]:
    """The liquid: 64^3 grid, 1e5 particles, 10 substeps."""
    count = 2_000 if quick else 100_000
    extent = 0.4
    volume = extent**3 / count
    grid = 32 if quick else 64
    return {
        "count": count,
        "grid": grid,
        "dt": 2e-4,
        "volume": volume,
        "density": 1000.0,
        "bulk_modulus": 4e5,
        "gravity": 9.81,
        "substeps": 10,
    }


def write_particles(path: Path, config: dict[str, Any]) -> None:
    """Uniform random positions in [0.2, 0.6]^3, a smooth velocity that compresses, and both sorted by cell."""
    import numpy as np

    x = (np.random.default_rng(0).random((config["count"], 3)) * 0.4 + 0.2).astype(np.float32)
    v = (0.5 * np.sin(9.0 * x + 6.0 * x[:, [1, 2, 0]])).astype(np.float32)
    cell = np.floor(x * config["grid"]).astype(np.int64)
    order = np.lexsort((cell[:, 2], cell[:, 1], cell[:, 0]))
    np.savez(path, x_unsorted=x, v_unsorted=v, x_sorted=x[order], v_sorted=v[order])


def solver_rows(report: dict[str, Any], scratch: Path, quick: bool) -> None:
    """Forward, and forward with backward, of one world, alternating between the programs round by round."""
    sys.path.insert(0, str(BENCHMARKS))
    Program = importlib.import_module("protocol").Program  # of the benchmarks folder, which is not installed

    config, threads = scene(quick), 2
    rounds, repeats = (1, 1) if quick else (7, 3)
    particles = str(scratch / "particles.npz")
    write_particles(Path(particles), config)
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    programs = {"simenv": Program(sys.executable, str(BENCHMARKS / "simenv_mpm.py"), environment)}
    if not quick:
        clean = {key: value for key, value in environment.items() if not key.startswith("PYTHON")}
        programs["taichi"] = Program(peer_python(), str(BENCHMARKS / "peers" / "taichi_mpm.py"), clean)
    try:
        for name, program in programs.items():
            report["versions"][name] = program.ask("setup", config=config, threads=threads)
        for job in ("forward", "gradient"):
            orders = ("unsorted", "sorted") if job == "forward" else ("unsorted",)
            cases = [(name, order) for name in programs for order in orders]
            first = {
                case: programs[case[0]].ask("build", program=job, order=case[1], particles=particles)["first_s"]
                for case in cases
            }
            raw: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
            cpu: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
            for _ in range(rounds):
                for case in cases:
                    answer = programs[case[0]].ask("run", program=job, order=case[1], repeats=repeats)
                    raw[case].append(statistics.median(answer["ms"]))
                    cpu[case].append(answer["cpu_per_wall"])
            # what was computed last must agree
            checks = {}
            for case in cases:
                programs[case[0]].ask("run", program=job, order=case[1], repeats=1)
                checks[case] = programs[case[0]].ask("check", program=job, order=case[1])
            differences = {case: difference(checks[case], checks["simenv", "unsorted"]) for case in cases}
            for case in cases:
                row = {
                    "name": f"{job} {case[0]} {case[1]}",
                    "unit": "ms/substep",
                    "threads": threads,
                    **summary(raw[case]),
                    "cpu_per_wall": statistics.median(cpu[case]),
                    "first_s": first[case],
                    "check": {key: value for key, value in checks[case].items() if key in TOLERANCE},
                    "difference": differences[case],
                    "verdict": "-" if agrees(differences[case]) else "invalid",
                }
                report["rows"].append(row)
            if "taichi" in programs:
                for order in orders:
                    other = ("taichi", order)
                    report["rows"].append(
                        ratio_row(job, order, raw["simenv", "unsorted"], raw[other], agrees(differences[other]))
                    )
    finally:
        for program in programs.values():
            program.close()


def difference(a: dict[str, Any], b: dict[str, Any]) -> dict[str, float]:
    """Largest difference of each group of numbers, relative to the group's largest."""
    out = {}
    for name in TOLERANCE:
        if name in a and name in b:
            scale = 1.0 if name == "mean_x" else max(abs(value) for value in b[name])
            out[name] = max(abs(p - q) for p, q in zip(a[name], b[name], strict=True)) / max(scale, 1e-30)
    return out


def agrees(differences: dict[str, float]) -> bool:
    """Whether every group is within its tolerance; NaN is not."""
    return all(value <= TOLERANCE[name] for name, value in differences.items())


def ratio_row(job: str, order: str, ours: list[float], theirs: list[float], valid: bool) -> dict[str, Any]:
    """How many times longer the peer takes, paired by round."""
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    # simenv always gets the particles unsorted; Taichi is shown with sorted ones as well, where it is at its best
    target = RATIO_TARGETS.get((job, order))
    row = {
        "name": f"{job}: Taichi {order} / simenv unsorted",
        "unit": "x",
        "threads": 2,
        **summary(ratios),
        "target": target,
    }
    met = target is None or row["median"] >= target
    return {**row, "verdict": "invalid" if not valid else "-" if target is None else "pass" if met else "miss"}


def peer_python() -> str:
    """Python with the peers installed; makes .venv-bench when there is none."""
    if os.environ.get(PEER_PYTHON):
        return os.environ[PEER_PYTHON]
    folder = ROOT / ".venv-bench"
    python, done = folder / "bin" / "python", folder / ".installed"
    if not done.exists():
        print(f"==> making {folder} with {', '.join(PEER_PACKAGES)} (once)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        install = [str(python), "-m", "pip", "--disable-pip-version-check", "-qq", "install", *PEER_PACKAGES]
        subprocess.run(install, check=True, stdout=sys.stderr)
        done.touch()
    return str(python)


# ---------------------------------------------------------------- the environment


def environment_rows(report: dict[str, Any], scratch: Path, quick: bool) -> None:
    """Compile time, throughput and memory of the pouring environment; every figure from a process of its own."""
    rows = report["rows"]
    for mode, limit in COMPILE_LIMITS_S.items():
        cache = scratch / f"cache-{mode}"
        first = measure("first", TASK, mode, WARP_CACHE_PATH=str(cache))
        warm = measure("first", TASK, mode, WARP_CACHE_PATH=str(cache))
        rows.append(limit_row(f"{mode}: first step, empty kernel cache", "s", first["seconds"], limit))
        rows.append(limit_row(f"{mode}: first step, kernels cached", "s", warm["seconds"], None))
        rows.append(limit_row(f"{mode}: peak memory while compiling", "MB", first["peak_mb"], None))
    rounds, worlds = ("1", ("1", "2")) if quick else ("5", ("1", "2", "8", "32"))
    for job, arguments in (("throughput", (rounds, *worlds)), ("gradient", (rounds, "1" if quick else "4"))):
        what = "forward" if job == "throughput" else "gradient"
        for case, rates in measure(job, TASK, *arguments)["rates"].items():
            count, threads = case.split("x")
            row = {"name": f"{what}, N = {count}", "unit": "env-steps/s", "threads": int(threads), **summary(rates)}
            rows.append({**row, "verdict": "-"})
    horizon = 2 if quick else 4
    peaks = {}
    for steps in (horizon, 10 * horizon):
        answer = measure("memory", TASK, str(steps))
        peaks[steps] = answer["peak_mb"] - answer["before_mb"]
        rows.append(limit_row(f"memory that a gradient of {steps} steps adds", "MB", peaks[steps], None))
    ratio = peaks[10 * horizon] / peaks[horizon]
    rows.append(limit_row("memory: ten times the steps", "x", ratio, MEMORY_RATIO_LIMIT))


def measure(*arguments: str, **environment: str) -> dict[str, Any]:
    """Run benchmarks/environment.py."""
    command = [sys.executable, str(BENCHMARKS / "environment.py"), *arguments]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def limit_row(name: str, unit: str, value: float, limit: float | None) -> dict[str, Any]:
    """A single figure, and whether it stays under its limit."""
    verdict = "-" if limit is None else "pass" if value < limit else "miss"
    return {"name": name, "unit": unit, "threads": None, **summary([value]), "target": limit, "verdict": verdict}


# ---------------------------------------------------------------- the report


def summary(values: list[float]) -> dict[str, Any]:
    """Median, spread (half the range over the median) and the raw rounds."""
    median = statistics.median(values)
    return {
        "median": median,
        "low": min(values),
        "high": max(values),
        "spread": (max(values) - min(values)) / 2 / median,
        "rounds": values,
    }


def describe_machine() -> dict[str, Any]:
    """Model, cores, memory, load before the start, and the date."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        match = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text(encoding="utf-8"))
        model = match[1].strip() if match else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    slug = re.sub(r"[^a-z0-9]+", "-", f"{model} {cores} cores".lower()).strip("-")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    dirty = bool(
        subprocess.run(["git", "status", "--porcelain", "simenv"], cwd=ROOT, capture_output=True, text=True).stdout
    )
    return {
        "slug": slug,
        "model": model,
        "cores": cores,
        "system": platform.platform(),
        "load_before": os.getloadavg()[0],
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit + ("+" if dirty else ""),
    }


def markdown(report: dict[str, Any]) -> str:
    """The report as a table."""
    machine, versions = report["machine"], report["versions"]
    packages = {
        key: value
        for answer in versions.values()
        for key, value in answer.items()
        if key not in ("peak_mb", "numpy", "python")
    }
    lines = [
        f"{machine['model']}, {machine['cores']} cores, {machine['date']}, commit {machine['commit']}, "
        f"load {machine['load_before']:.1f} before and {machine.get('load_after', 0):.1f} after; "
        + ", ".join(f"{name} {version}" for name, version in packages.items()),
        "",
        "| measurement | threads | median | range | target | |",
        "|---|---|---|---|---|---|",
    ]

    def digits(value: float) -> str:
        return f"{value:.0f}" if value >= 100 else f"{value:.3g}"

    for row in report["rows"]:
        spread = f"{digits(row['low'])} - {digits(row['high'])}" if len(row["rounds"]) > 1 else ""
        limit = row.get("target")
        target = "" if limit is None else f"{'≥' if ': Taichi' in row['name'] else '<'} {limit:g} {row['unit']}"
        cells = (
            row["name"],
            row["threads"] or "",
            f"{digits(row['median'])} {row['unit']}",
            spread,
            target,
            row["verdict"],
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines.append("| everything on CUDA | | not measured | | | |")
    return "\n".join(lines) + "\n"
