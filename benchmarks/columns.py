# SPDX-License-Identifier: Apache-2.0
"""How much processor time a column of water takes beside SPlisHSPlasH, and what its volume is afterwards.

    python -m benchmarks.columns --splishsplash splishsplash/bin/python --rounds 5

`pip install pysplishsplash==2.19.0` in an environment of its own; it needs the system's libGL and libGLdispatch. Water,
6 x 6 x 10 cm, is let go in a corner of a box of 12 x 6 cm, with particles 5 mm apart in each program and cells of 10 mm
in simenv, for 3 s. SPlisHSPlasH has DFSPH with the settings of its own dam break, whose particles are ten times as
large: a density within 0.05 %, and by Froude's law time steps of up to 1.6 ms by its CFL condition and 3.2e-4 m^2/s;
once with walls of particles (Akinci et al. 2012) and once with its default volume maps (Bender et al. 2019), both half
a spacing out, as its particles keep a spacing from them. The volume is measured over the last half second: twice the
mean height times the area; below the height at which columns of cells are half full, which counts particles near a
surface as their share; and below the highest particles of these columns, which is more where they lie unevenly. A ratio
counts where the first two are within 3 %. Programs take turns; ratios are those of rounds.
"""

import argparse
import json
import os
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import robots
from benchmarks.harness import filling
from benchmarks.harness import report as reports

SCRIPTS = {"simenv": "columns_program.py", "splishsplash": "peers/columns_splishsplash.py"}
BOX, WATER, SPACING, DX = (0.12, 0.06, 0.30), (0.06, 0.06, 0.10), 0.005, 0.01  # [m]
SECONDS, SEEN, EVERY = 3.0, 2.5, 0.1  # that are simulated, and from and how often volumes are measured [s]
JOBS: robots.Jobs = {
    "simenv, incompressible, ticks of 5 ms": ("simenv", "run", {"liquid": "incompressible", "dt": 5e-3}),
    "simenv, weakly compressible, substeps of 0.4 ms": ("simenv", "run", {"liquid": "compressible", "dt": 4e-4}),
    "simenv, weakly compressible, substeps of 0.1 ms": ("simenv", "run", {"liquid": "compressible", "dt": 1e-4}),
    "SPlisHSPlasH, walls of particles": ("splishsplash", "run", {"walls": "particles"}),
    "SPlisHSPlasH, volume maps": ("splishsplash", "run", {"walls": "volume maps"}),
}
CLOSE = 0.03
MEASURES = ("twice the mean height", "where cells are half full", "highest particles")
COUNT = 2  # of these decide


def volumes(x: np.ndarray) -> list[float]:
    """Of particles (P, 3) over that of the water: by `MEASURES`."""
    area, water = BOX[0] * BOX[1], float(np.prod(WATER))
    columns = (x[:, :2] // DX).astype(int)
    key = 1000 * columns[:, 0] + columns[:, 1]
    tops = [x[key == each, 2].max() + SPACING / 2 for each in np.unique(key)]
    half = DX * filling.height(filling.filled(x, BOX, DX, SPACING**3))
    return [each * area / water for each in (2.0 * float(x[:, 2].mean()), half, float(np.mean(tops)))]


def measure(python: str, rounds: int, jobs: robots.Jobs) -> dict[str, Any]:
    """The part of the report: rows, versions and volumes."""
    programs = robots.started(SCRIPTS, {"splishsplash": python})
    part = reports.describe_moment()
    asked = {"box": BOX, "water": WATER, "spacing": SPACING, "dx": DX}
    asked |= {"seconds": SECONDS, "seen": SEEN, "every": EVERY}
    times: dict[str, list[float]] = {name: [] for name in jobs}
    found: dict[str, list[list[float]]] = {name: [] for name in jobs}
    try:
        part["versions"] = {name: program.ask("setup", **asked) for name, program in programs.items()}
        for _ in range(rounds):
            for name, (program, job, more) in jobs.items():
                answer = programs[program].ask(job, **more)
                times[name].append(answer["us"] / 1e6)
                seen = [volumes(np.array(x)) for x in answer["x"]]
                found[name].append(np.mean(seen, 0).tolist())
    finally:
        for each in programs.values():
            each.close()
    part["volumes"] = {name: np.median(each, 0).tolist() for name, each in found.items()}
    return {**part, "rows": rows(times, part["volumes"]), "load_after": os.getloadavg()[0]}


def kept(volume: list[float]) -> bool:
    """Whether the measures of a volume that decide are close to what it was."""
    return max(abs(each - 1.0) for each in volume[:COUNT]) <= CLOSE


def rows(times: dict[str, list[float]], found: dict[str, list[float]]) -> list[reports.Row]:
    """Of all jobs' rounds, and what ours take of the quickest of the peer's that keeps its volume."""
    made = [reports.value_row(name, "s", each, 1) for name, each in times.items()]
    peers = [name for name in times if "SPlisHSPlasH" in name]
    peer = min(peers, key=lambda name: (not kept(found[name]), statistics.median(times[name])))
    for name in times:
        if name not in peers:
            valid = kept(found[name])
            ratio = reports.paired(times[name], times[peer])
            made.append(reports.target_row(f"{name} / {peer}", "x", ratio, 0.1, False, 1, valid))
    return made


def markdown(report: dict[str, Any]) -> str:
    """The report as tables."""
    part, machine = report["parts"]["columns"], report["machine"]
    lines = [
        "# A column of water beside SPlisHSPlasH",
        "",
        f"`python -m benchmarks.columns`: water, 6 x 6 x 10 cm, let go in a box of 12 x 6 cm, particles 5 mm apart, "
        f"{SECONDS:g} s. Processor time of a simulated second on one thread; {len(part['rows'][0]['rounds'])} rounds "
        f"in turns, medians and quartiles. Commit {part['commit']}, {part['date']}, load {part['load_before']:.1f} "
        f"before and {part['load_after']:.1f} after; {machine['model']}, {machine['cores']} cores, "
        f"{machine['system']};",
        robots.versions(part["versions"]) + ".",
        "",
        f"| measurement | median | quartiles | volume by {', '.join(MEASURES)} | target | |",
        "|---|---|---|---|---|---|",
    ]
    for row in part["rows"]:
        volume = part["volumes"].get(row["name"])
        told = "" if volume is None else ", ".join(f"{each:.3f}" for each in volume)
        target = "" if row["target"] is None else f"≤ {row['target']:g} {row['unit']}"
        lines.append(
            f"| {row['name']} | {row['median']:.3f} {row['unit']} | {robots.quartiles(row, 3)} | {told} | {target} | "
            f"{row['verdict']} |"
        )
    lines += ["", f"A ratio is `invalid` where a volume is not within {100 * CLOSE:g} % by the first two measures."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Columns."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.columns", description=__doc__.splitlines()[0])
    parser.add_argument("--splishsplash", required=True, help="a Python with pysplishsplash==2.19.0")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=robots.HERE / "results" / "columns_cpu")
    given = parser.parse_args()
    report = {"machine": reports.describe_machine()}
    report["parts"] = {"columns": measure(given.splishsplash, given.rounds, JOBS)}
    print(markdown(report))
    given.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    given.out.with_suffix(".md").write_text(markdown(report), encoding="utf-8")


if __name__ == "__main__":
    main()
