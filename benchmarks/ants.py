# SPDX-License-Identifier: Apache-2.0
"""How fast ants move on a floor beside MuJoCo: many worlds with contact and limits of joints, on one thread.

    python -m benchmarks.ants --rounds 15

The ant is that of `SimEnv/Ant-v0` and of Gymnasium's file, which are the same robot; steps are of 5 ms, ten in a
control step, motors hold random torques in each. Both programs start each control step where two seconds of such
torques have brought simenv's ants, with the contacts and joints at their limits that there are. Measured is processor
time of a step of a world; the programs are warm and take turns, and ratios are those of rounds. Before, accelerations
of ants in the air are compared, which must be the same.
"""

import os
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from benchmarks import robots
from benchmarks.harness import report as reports
from benchmarks.protocol import Program

FILE = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "ant.xml"
SCRIPTS = {"simenv": "ants_program.py", "mujoco": "peers/ants_mujoco.py"}
JOBS: robots.Jobs = {
    "simenv step, float32": ("simenv", "forward", {"dtype": "float32"}),
    "simenv step, float64": ("simenv", "forward", {"dtype": "float64"}),
    "simenv step and gradient, float32": ("simenv", "gradient", {"dtype": "float32"}),
    "simenv step and gradient, float64": ("simenv", "gradient", {"dtype": "float64"}),
    "MuJoCo mj_step, a loop over worlds": ("mujoco", "loop", {}),
    "MuJoCo rollout": ("mujoco", "batch", {}),
}
RATIOS: robots.Ratios = {
    "MuJoCo rollout / simenv step, float32": ("MuJoCo rollout", "simenv step, float32", 1.2),
    "MuJoCo rollout / simenv step, float64": ("MuJoCo rollout", "simenv step, float64", None),
    "MuJoCo loop / simenv step, float32": ("MuJoCo mj_step, a loop over worlds", "simenv step, float32", None),
}
TORQUE = 45.0  # largest of the motors: 0.3 of what they can [N m]


def torques(worlds: int, seed: int) -> list[list[float]]:
    """Of all rates (N, 14) [N m]."""
    noise = TORQUE * np.random.default_rng(seed).uniform(-1.0, 1.0, (worlds, 8))
    return np.pad(noise, ((0, 0), (6, 0))).tolist()


def disagreement(programs: dict[str, Program]) -> dict[str, float]:
    """Largest differences of accelerations in the air from MuJoCo's, of the largest of the state, where limits are not
    reached.

    Raises:
        RuntimeError: they are not of the same robot.
    """
    rng, worlds = np.random.default_rng(1), 16
    turn = rng.normal(size=(worlds, 4))
    legs = np.array([0.0, 0.87, 0.0, -0.87, 0.0, -0.87, 0.0, 0.87]) + rng.uniform(-0.3, 0.3, (worlds, 8))
    place = np.tile([0.0, 0.0, 3.0], (worlds, 1))
    q = np.hstack([place, turn / np.linalg.norm(turn, axis=1, keepdims=True), legs])
    given = {"q": q.tolist(), "v": np.zeros((worlds, 14)).tolist(), "tau": torques(worlds, 2)}
    found = {name: program.ask("accelerations", **given) for name, program in programs.items()}
    exact, off = np.array(found["mujoco"]["float64"]), {}
    for dtype, limit in robots.AGREE.items():
        error = np.abs(np.array(found["simenv"][dtype]) - exact).max(1) / np.abs(exact).max(1)
        off[f"simenv, {dtype}"] = float(error.max())
        if error.max() > limit:
            raise RuntimeError(f"accelerations of simenv, {dtype} are off by {error.max():.1e}")
    return off


def measure(worlds: int, ticks: int, rounds: int) -> dict[str, Any]:
    """The part of the report: rows, versions, and where the time of simenv's ticks goes."""
    programs = robots.started(SCRIPTS)
    part = reports.describe_moment()
    try:
        asked = {"worlds": worlds, "ticks": ticks, "dt": 5e-3, "file": str(FILE)}
        part["versions"] = {name: program.ask("setup", **asked) for name, program in programs.items()}
        part["disagreement"] = disagreement(programs)
        start = programs["simenv"].ask("settle", seed=0, size=TORQUE)
        touching = programs["mujoco"].ask("start", q=start["q"], v=start["v"])
        part["contacts"] = {"simenv": start["contacts"], "MuJoCo": touching["contacts"]}
        times, part["cpu_per_wall"] = robots.taken_in_turns(
            programs, JOBS, rounds, lambda number: {"tau": torques(worlds, number)}
        )
        part["launches"] = {
            dtype: programs["simenv"].ask("parts", dtype=dtype, tau=torques(worlds, 0))["parts"]
            for dtype in ("float32", "float64")
        }
    finally:
        for each in programs.values():
            each.close()
    return {**part, "rows": robots.rows(times, RATIOS), "load_after": os.getloadavg()[0]}


def markdown(report: dict[str, Any]) -> str:
    """The report as tables."""
    part = report["parts"]["ants"]
    off = ", ".join(f"{name} {value:.0e}" for name, value in part["disagreement"].items())
    contacts = ", ".join(f"{name} {value:.2f}" for name, value in part["contacts"].items())
    lines = [
        "# Ants on a floor beside MuJoCo",
        "",
        f"`python -m benchmarks.ants`: {report['worlds']} worlds of an ant (14 degrees of freedom) on a floor, steps "
        f"of 5 ms, {report['ticks']} in a control step, one thread; random torques of up to {TORQUE:g} N m.",
        *robots.moment(report, part),
        f"Accelerations in the air differ from MuJoCo's by, of the largest: {off}. Contacts of a world: {contacts}.",
        "",
        *robots.table(part["rows"]),
        "",
        *robots.launches(part),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Ants."""
    robots.run("ants", __doc__, measure, markdown)


if __name__ == "__main__":
    main()
