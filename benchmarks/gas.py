# SPDX-License-Identifier: Apache-2.0
"""How fast gas flows beside PhiFlow and jax-cfd: one world, forward and with a gradient, on one thread.

    python -m benchmarks.gas --phiflow phiflow/bin/python --jax-cfd jax-cfd/bin/python --rounds 7

Each peer has an environment of its own: `pip install torch==2.13.0 phiflow==3.4.*` in one, `pip install "jax[cpu]"
jax-cfd` in the other. Against PhiFlow a plume of smoke rises in a closed unit box, from a ball of radius 0.1 at height
0.2, with steps in which nothing crosses a cell and a pressure to a relative 1e-4; both start where their plume is after
three steps. The gradient is that of the mean square of smoke after three more, by the rate of the inflow. Against
jax-cfd the vortices of Arnold, Beltrami and Childress turn in a periodic box; the gradient is that of the kinetic
energy by the velocity at the start. Measured is processor time of a step; programs are warm, compiled where they
compile, take turns, and ratios are those of rounds. Before, what they compute is compared.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from benchmarks import robots
from benchmarks.harness import report as reports
from benchmarks.protocol import Program

SCRIPTS = {"simenv": "gas_program.py", "phiflow": "peers/gas_phiflow.py", "jax-cfd": "peers/gas_jax_cfd.py"}
FLAT, DEEP, VORTICES = "2-D 128^2", "3-D 32^3", "periodic 64^3"
PLUMES = {FLAT: {"dim": 2, "cells": 128, "dt": 0.025}, DEEP: {"dim": 3, "cells": 32, "dt": 0.05}}
TURNING = {"cells": 64, "dt": 0.2 / 64, "viscosity": 0.002}
RATE, WARM, STEPS, TOLERANCE = 1.0, 3, 3, 1e-4
JOBS: robots.Jobs = {
    **{
        f"{label}, {case}, {what}": (program, job, {"case": case})
        for case in PLUMES
        for what, job in (("step", "forward"), ("step and gradient", "gradient"))
        for label, program in (("simenv", "simenv"), ("PhiFlow", "phiflow"))
    },
    **{
        f"simenv, {VORTICES}, {what}": ("simenv", job, {"case": VORTICES})
        for what, job in (("step", "forward"), ("step and gradient", "gradient"))
    },
    **{
        f"jax-cfd by {scheme}, {VORTICES}, {what}": ("jax-cfd", job, {"scheme": scheme})
        for scheme in ("Heun", "Euler")
        for what, job in (("step", "forward"), ("step and gradient", "gradient"))
    },
}
RATIOS: robots.Ratios = {
    **{
        f"PhiFlow / simenv, {case}, {what}": (f"PhiFlow, {case}, {what}", f"simenv, {case}, {what}", least)
        for case in PLUMES
        for what, least in (("step", 20.0), ("step and gradient", 10.0))
    },
    **{
        f"jax-cfd by {scheme} / simenv, {VORTICES}, {what}": (
            f"jax-cfd by {scheme}, {VORTICES}, {what}", f"simenv, {VORTICES}, {what}", least,
        )
        for scheme, least in (("Heun", 1.0), ("Euler", None))
        for what in ("step", "step and gradient")
    },
}  # fmt: skip
AGREE = {"smoke": 1e-3, "height": 0.01, "slope": 0.03}  # relative; energies differ by the order of the schemes
EXACT = 0.01  # difference from the exact vortices, of the largest speed along an axis, 2


def compared(programs: dict[str, Program]) -> dict[str, dict[str, dict[str, float]]]:
    """What programs say of each case after the measured steps.

    Raises:
        RuntimeError: they do not compute the same.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for case in PLUMES:
        found[case] = {name: programs[name].ask("facts", case=case) for name in ("simenv", "phiflow")}
        for key, limit in AGREE.items():
            ours, theirs = (found[case][name][key] for name in ("simenv", "phiflow"))
            if abs(ours / theirs - 1.0) > limit:
                raise RuntimeError(f"{case}: {key} is {ours:g} in simenv and {theirs:g} in PhiFlow")
    found[VORTICES] = {"simenv": programs["simenv"].ask("facts", case=VORTICES)}
    for scheme in ("Heun", "Euler"):
        found[VORTICES][f"jax-cfd by {scheme}"] = programs["jax-cfd"].ask("facts", scheme=scheme)
    for name, each in found[VORTICES].items():
        if each["error"] > 2.0 * EXACT:
            raise RuntimeError(f"{VORTICES}: {name} differs from the exact flow by {each['error']:g} m/s")
    return found


def measure(pythons: dict[str, str], rounds: int) -> dict[str, Any]:
    """The part of the report: rows, versions, and what the programs found."""
    programs = robots.started(SCRIPTS, pythons)
    part = reports.describe_moment()
    try:
        plumes = {"plumes": PLUMES, "rate": RATE, "warm": WARM, "steps": STEPS, "tolerance": TOLERANCE}
        asked = {"simenv": {**plumes, "vortices": {VORTICES: TURNING}}, "phiflow": plumes}
        asked["jax-cfd"] = {**TURNING, "steps": STEPS}
        part["versions"] = {name: program.ask("setup", **asked[name]) for name, program in programs.items()}
        part["found"] = compared(programs)
        times, part["cpu_per_wall"] = robots.taken_in_turns(programs, JOBS, rounds, lambda number: {})
    finally:
        for each in programs.values():
            each.close()
    milliseconds = {name: [us / 1e3 for us in each] for name, each in times.items()}
    return {**part, "rows": robots.rows(milliseconds, RATIOS, "ms"), "load_after": os.getloadavg()[0]}


def markdown(report: dict[str, Any]) -> str:
    """The report as tables."""
    part = report["parts"]["gas"]
    lines = [
        "# Gas beside PhiFlow and jax-cfd",
        "",
        f"`python -m benchmarks.gas`: one world in single precision, {STEPS} steps, one thread; pressure of plumes to "
        f"{TOLERANCE:g}. simenv's step is of second order in time, with two projections; so is Heun's of jax-cfd. "
        "PhiFlow's has one projection, and so has Euler's. PhiFlow gives smoke before it weighs it, as its "
        "demonstrations do, so that energies after six steps from rest differ by (7 / 6)^2.",
        *robots.moment(report, part),
        "",
        *robots.table(part["rows"]),
        "",
        "| what they found | simenv | peer |",
        "|---|---|---|",
    ]
    for case in PLUMES:
        ours, theirs = (part["found"][case][name] for name in ("simenv", "phiflow"))
        for key, unit in (
            ("smoke", "smoke in the box"), ("height", "its mean height"), ("energy", "kinetic energy"),
            ("slope", "derivative"), ("divergence", "largest divergence, times dx over speed"),
        ):  # fmt: skip
            lines.append(f"| {case}: {unit} | {ours[key]:.4g} | {theirs[key]:.4g} |")
    ours = part["found"][VORTICES]["simenv"]
    for name, theirs in part["found"][VORTICES].items():
        if name != "simenv":
            for key, what in (("error", "largest error"), ("slope", "derivative")):
                lines.append(f"| {VORTICES}, {name}: {what} | {ours[key]:.4g} | {theirs[key]:.4g} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Gas."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gas", description=__doc__.splitlines()[0])
    parser.add_argument("--phiflow", required=True, help="a Python with torch==2.13.0 and phiflow==3.4.*")
    parser.add_argument("--jax-cfd", required=True, help="a Python with jax[cpu] and jax-cfd")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=robots.HERE / "results" / "gas_cpu")
    given = parser.parse_args()
    report = {"machine": reports.describe_machine()}
    report["parts"] = {"gas": measure({"phiflow": given.phiflow, "jax-cfd": given.jax_cfd}, given.rounds)}
    print(markdown(report))
    given.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    given.out.with_suffix(".md").write_text(markdown(report), encoding="utf-8")


if __name__ == "__main__":
    main()
