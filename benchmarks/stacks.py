# SPDX-License-Identifier: Apache-2.0
"""How fast five cubes stand on each other beside MuJoCo: many worlds of rigid contact, on one thread.

    python -m benchmarks.stacks --worlds 256 --rounds 15

Cubes of 0.1 m and 1 kg stand on a plane, steps are of 2 ms, ten in a control step, each program with the contact that
it has by default. Measured is the control step in which they are put on each other, and one when they have stood for a
second. Processor time of a step of a world; the programs are warm and take turns, and ratios are those of rounds.
"""

import os
from typing import Any

from benchmarks import robots
from benchmarks.harness import report as reports

SCRIPTS = {"simenv": "stacks_program.py", "mujoco": "peers/stacks_mujoco.py"}
JOBS: robots.Jobs = {
    "simenv step, float32": ("simenv", "forward", {"dtype": "float32", "state": "settled"}),
    "simenv step, float64": ("simenv", "forward", {"dtype": "float64", "state": "settled"}),
    "simenv step and gradient, float32": ("simenv", "gradient", {"dtype": "float32", "state": "settled"}),
    "simenv step and gradient, float64": ("simenv", "gradient", {"dtype": "float64", "state": "settled"}),
    "MuJoCo mj_step, a loop over worlds": ("mujoco", "loop", {"state": "settled"}),
    "MuJoCo rollout": ("mujoco", "batch", {"state": "settled"}),
    "simenv step, float32, as they are put": ("simenv", "forward", {"dtype": "float32", "state": "put"}),
    "simenv step, float64, as they are put": ("simenv", "forward", {"dtype": "float64", "state": "put"}),
    "MuJoCo rollout, as they are put": ("mujoco", "batch", {"state": "put"}),
}
RATIOS: robots.Ratios = {
    "MuJoCo rollout / simenv step, float32": ("MuJoCo rollout", "simenv step, float32", 1.0),
    "MuJoCo rollout / simenv step, float64": ("MuJoCo rollout", "simenv step, float64", None),
    "MuJoCo rollout / simenv step, float32, as they are put": (
        "MuJoCo rollout, as they are put", "simenv step, float32, as they are put", 1.0,
    ),
    "MuJoCo rollout / simenv step, float64, as they are put": (
        "MuJoCo rollout, as they are put", "simenv step, float64, as they are put", None,
    ),
}  # fmt: skip
STANDS = 50  # control steps


def measure(worlds: int, ticks: int, rounds: int) -> dict[str, Any]:
    """The part of the report: rows, versions, and where the time of simenv's ticks goes."""
    programs = robots.started(SCRIPTS)
    part = reports.describe_moment()
    try:
        asked = {"worlds": worlds, "ticks": ticks, "dt": 2e-3}
        part["versions"] = {name: program.ask("setup", **asked) for name, program in programs.items()}
        part["stand"] = {name: program.ask("settle", steps=STANDS) for name, program in programs.items()}
        times, part["cpu_per_wall"] = robots.taken_in_turns(programs, JOBS, rounds, lambda number: {})
        part["launches"] = {
            dtype: programs["simenv"].ask("parts", dtype=dtype, state="settled")["parts"]
            for dtype in ("float32", "float64")
        }
    finally:
        for each in programs.values():
            each.close()
    return {**part, "rows": robots.rows(times, RATIOS), "load_after": os.getloadavg()[0]}


def markdown(report: dict[str, Any]) -> str:
    """The report as tables."""
    part = report["parts"]["stacks"]
    stand = ", ".join(
        f"{name} {each['contacts']:.0f} points, top {1e3 * each['low']:.3f} mm low"
        for name, each in part["stand"].items()
    )
    lines = [
        "# Five cubes on each other beside MuJoCo",
        "",
        f"`python -m benchmarks.stacks`: {report['worlds']} worlds of five cubes of 0.1 m on a plane, steps of 2 ms, "
        f"{report['ticks']} in a control step, one thread.",
        *robots.moment(report, part),
        f"Where they have stood for a second: {stand}.",
        "",
        *robots.table(part["rows"]),
        "",
        *robots.launches(part),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Stacks."""
    robots.run("stacks", __doc__, measure, markdown)


if __name__ == "__main__":
    main()
