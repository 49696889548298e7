# SPDX-License-Identifier: Apache-2.0
"""How fast robots move beside MuJoCo, Pinocchio and Newton: many worlds of one Panda, without contact, on one thread.

    python -m benchmarks.robots --rounds 15

The Panda of `assets/robots/panda.urdf` has 9 joints, here without damping, motors' inertia, limits or drives; steps
are of 1 ms, ten in a control step of simenv. Measured is processor time of a step of a world; the programs are warm
and take turns, and ratios are those of rounds. Before, accelerations at random states are compared, which must be the
same.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import report as reports
from benchmarks.protocol import Program

HERE = Path(__file__).resolve().parent
FILE = HERE.parent / "assets" / "robots" / "panda.urdf"
PEERS = ("mujoco", "pinocchio", "newton")
SCRIPTS = {"simenv": "robots_program.py", **{name: f"peers/robots_{name}.py" for name in PEERS}}
TAPED = 64  # worlds of Newton's gradient, which takes long
# name: program, job, and what else it is asked
Jobs = dict[str, tuple[str, str, dict[str, Any]]]
JOBS: Jobs = {
    "simenv step, float32": ("simenv", "forward", {"dtype": "float32"}),
    "simenv step, float64": ("simenv", "forward", {"dtype": "float64"}),
    "simenv step and gradient, float32": ("simenv", "gradient", {"dtype": "float32"}),
    "simenv step and gradient, float64": ("simenv", "gradient", {"dtype": "float64"}),
    "MuJoCo mj_step, a loop over worlds": ("mujoco", "loop", {}),
    "MuJoCo rollout": ("mujoco", "batch", {}),
    "Pinocchio aba": ("pinocchio", "aba", {}),
    "Pinocchio computeABADerivatives": ("pinocchio", "derivatives", {}),
    "Newton Featherstone": ("newton", "forward", {}),
    "Newton Featherstone and tape": ("newton", "gradient", {"taped": TAPED}),
}
Ratios = dict[str, tuple[str, str, float | None]]
Measure = Callable[[int, int, int], dict[str, Any]]
RATIOS: Ratios = {  # what is divided by what, and the least that it should be
    "MuJoCo loop / simenv step, float32": ("MuJoCo mj_step, a loop over worlds", "simenv step, float32", 1.5),
    "MuJoCo rollout / simenv step, float32": ("MuJoCo rollout", "simenv step, float32", 1.5),
    "MuJoCo rollout / simenv step, float64": ("MuJoCo rollout", "simenv step, float64", None),
    "Pinocchio derivatives / simenv step and gradient, float32": (
        "Pinocchio computeABADerivatives", "simenv step and gradient, float32", 1.0,
    ),
    "Pinocchio derivatives / simenv step and gradient, float64": (
        "Pinocchio computeABADerivatives", "simenv step and gradient, float64", 1.0,
    ),
    "Newton Featherstone / simenv step, float32": ("Newton Featherstone", "simenv step, float32", 50.0),
    "Newton tape / simenv step and gradient, float32": (
        "Newton Featherstone and tape", "simenv step and gradient, float32", 80.0,
    ),
}  # fmt: skip
AGREE = {"float64": 1e-9, "float32": 1e-3}  # of the largest acceleration of a state


def starts(worlds: int, seed: int = 0) -> dict[str, list[list[float]]]:
    """Positions, rates and torques (N, 9) about the middle of the joints' limits."""
    rng = np.random.default_rng(seed)
    middle = np.array([0.0, 0.0, 0.0, -1.57, 0.0, 1.87, 0.0, 0.02, 0.02])
    scale = np.array([1.0] * 7 + [0.01, 0.01])
    return {
        "q": (middle + 0.3 * scale * rng.normal(size=(worlds, 9))).tolist(),
        "v": (0.5 * scale * rng.normal(size=(worlds, 9))).tolist(),
        "tau": (2.0 * scale * rng.normal(size=(worlds, 9))).tolist(),
    }


def disagreement(programs: dict[str, Program]) -> dict[str, float]:
    """Largest differences of accelerations from Pinocchio's, of the largest of the state.

    Raises:
        RuntimeError: they are not of the same robot.
    """
    given = starts(16, seed=1)
    found = {name: program.ask("accelerations", **given) for name, program in programs.items()}
    exact, off = np.array(found["pinocchio"]["float64"]), {}
    for name, answer in found.items():
        for dtype, limit in AGREE.items():
            if dtype in answer and name != "pinocchio":
                error = np.abs(np.array(answer[dtype]) - exact).max(1) / np.abs(exact).max(1)
                off[f"{name}, {dtype}"] = float(error.max())
                if error.max() > limit:
                    raise RuntimeError(f"accelerations of {name}, {dtype} are off by {error.max():.1e}")
    return off


def started(scripts: dict[str, str], pythons: dict[str, str] | None = None) -> dict[str, Program]:
    """The programs, each in its process, with one thread; those named in `pythons` with interpreters of their own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    kept |= {"OMP_NUM_THREADS": "1"}
    pythons = pythons or {}
    return {
        name: Program(pythons.get(name, sys.executable), str(HERE / script), kept) for name, script in scripts.items()
    }


def taken_in_turns(
    programs: dict[str, Program], jobs: Jobs, rounds: int, given: Callable[[int], dict[str, Any]]
) -> tuple[dict[str, list[float]], float]:
    """Times of the jobs [us] in rounds, of which a first one is not counted, as kernels are compiled in it; and the
    least share of a processor that a job had. `given` is what the jobs of a round, from 0, are asked with.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    share = []
    for number in range(rounds + 1):
        asked = given(number)
        for name, (program, job, more) in jobs.items():
            answer = programs[program].ask(job, **asked, **more)
            if number:
                times[name].append(answer["us"])
                share.append(answer["cpu_per_wall"])
    return times, min(share)


def measure(worlds: int, ticks: int, rounds: int) -> dict[str, Any]:
    """The part of the report: rows, versions, and where the time of simenv's ticks goes."""
    programs = started(SCRIPTS)
    part = reports.describe_moment()
    try:
        asked = {"worlds": worlds, "ticks": ticks, "dt": 1e-3, "file": str(FILE)}
        part["versions"] = {name: program.ask("setup", **asked) for name, program in programs.items()}
        part["disagreement"] = disagreement(programs)
        given = starts(worlds)
        times, part["cpu_per_wall"] = taken_in_turns(programs, JOBS, rounds, lambda number: given)
        part["launches"] = {
            dtype: programs["simenv"].ask("parts", dtype=dtype, **given)["parts"] for dtype in ("float32", "float64")
        }
    finally:
        for each in programs.values():
            each.close()
    return {**part, "rows": rows(times), "load_after": os.getloadavg()[0]}


def rows(times: dict[str, list[float]], ratios: Ratios | None = None, unit: str = "us") -> list[reports.Row]:
    """Of all jobs' rounds, and of their ratios, by default `RATIOS`."""
    found = [reports.value_row(name, unit, each, 1) for name, each in times.items()]
    for name, (above, below, least) in (RATIOS if ratios is None else ratios).items():
        found.append(reports.target_row(name, "x", reports.paired(times[above], times[below]), least, True, 1))
    return found


def launches(part: dict[str, Any]) -> list[str]:
    """What the time of a tick goes into, as Markdown."""
    lines = ["| kernel of a tick, us for a world | float32 | reverse | float64 | reverse |", "|---|---|---|---|---|"]
    found, medians = part["launches"], {row["name"]: row["median"] for row in part["rows"]}
    for name in found["float32"]:
        lines.append(f"| `{name}` | " + " | ".join(f"{t:.3f}" for d in found for t in found[d][name]) + " |")
    sums = {dtype: [sum(each[k] for each in found[dtype].values()) for k in range(2)] for dtype in found}
    lines += ["| all | " + " | ".join(f"{each:.2f}" for pair in sums.values() for each in pair) + " |", ""]
    for dtype, (forward, reverse) in sums.items():
        step, gradient = medians[f"simenv step, {dtype}"], medians[f"simenv step and gradient, {dtype}"]
        lines.append(
            f"{dtype}: of a step's {step:.2f} us kernels by themselves take {forward:.2f}; of {gradient:.2f} us with "
            f"the gradient, for which they run forward twice and in reverse, {2 * forward + reverse:.2f}. The rest is "
            "torch, copies, and memory that is not in the caches."
        )
    return lines


def quartiles(row: reports.Row, digits: int = 2) -> str:
    """Of a row's rounds."""
    low, high = np.percentile(row["rounds"], (25, 75))
    return f"{low:.{digits}f} - {high:.{digits}f}"


def versions(answers: dict[str, dict[str, Any]]) -> str:
    """Of all packages that programs named."""
    packages = {name: each for answer in answers.values() for name, each in answer.items() if name != "peak_mb"}
    return ", ".join(f"{name} {version}" for name, version in sorted(packages.items()))


def moment(report: dict[str, Any], part: dict[str, Any]) -> list[str]:
    """When, where and with what a part was measured."""
    machine = report["machine"]
    return [
        f"Processor time of a step of a world; {len(part['rows'][0]['rounds'])} rounds in turns, medians and "
        f"quartiles. Commit {part['commit']}, {part['date']}, load {part['load_before']:.1f} before and "
        f"{part['load_after']:.1f} after; {machine['model']}, {machine['cores']} cores, {machine['system']};",
        versions(part["versions"]) + ".",
    ]


def table(found: list[reports.Row]) -> list[str]:
    """Rows as Markdown."""
    lines = ["| measurement | median | quartiles | target | |", "|---|---|---|---|---|"]
    for row in found:
        target = "" if row["target"] is None else f"≥ {row['target']:g} {row['unit']}"
        lines.append(
            f"| {row['name']} | {row['median']:.2f} {row['unit']} | {quartiles(row)} | {target} | {row['verdict']} |"
        )
    return lines


def markdown(report: dict[str, Any]) -> str:
    """The report as tables."""
    part = report["parts"]["robots"]
    off = ", ".join(f"{name} {value:.0e}" for name, value in part["disagreement"].items())
    lines = [
        "# Robots beside MuJoCo, Pinocchio and Newton",
        "",
        f"`python -m benchmarks.robots`: {report['worlds']} worlds of a Panda (9 joints) without contact, limits and "
        f"drives, steps of 1 ms, {report['ticks']} in a control step, one thread.",
        *moment(report, part),
        f"Accelerations differ from Pinocchio's by, of the largest: {off}. Newton's gradient is of {TAPED} worlds.",
        "",
        *table(part["rows"]),
    ]
    return "\n".join([*lines, "", *launches(part)]) + "\n"


def run(name: str, about: str, measured: Measure, written: Callable[[dict[str, Any]], str]) -> None:
    """Measure, print the tables and write them into `results`.

    Args:
        name: of the module and of the part of the report.
        about: the module's docstring, whose first line `--help` shows.
        measured: the part, by the numbers of worlds, ticks and rounds.
        written: the report as Markdown.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=1024)
    parser.add_argument("--ticks", type=int, default=10, help="of a control step")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=HERE / "results" / f"{name}_cpu")
    given = parser.parse_args()
    report = {"machine": reports.describe_machine(), "worlds": given.worlds, "ticks": given.ticks}
    report["parts"] = {name: measured(given.worlds, given.ticks, given.rounds)}
    print(written(report))
    given.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    given.out.with_suffix(".md").write_text(written(report), encoding="utf-8")


def main() -> None:
    """Robots."""
    run("robots", __doc__, measure, markdown)


if __name__ == "__main__":
    main()
