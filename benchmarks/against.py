# SPDX-License-Identifier: Apache-2.0
"""Compares this checkout with another: the bits of results and gradients, the launches, and the time.

    python -m benchmarks.against --base ../simenv-before [--only liquid SimEnv/BallRoll-v0] [--rounds 31] [--no-time]

Scenes of particles (against_cases.py) must give the same bits, forward and backward, in both precisions, with the same
number of launches; registered tasks the same numbers within `LIMITS`. Times are taken in turns, in many short samples;
of the ratios of all rounds the table has the median and the quartiles, and that of the fastest samples. Both checkouts
need a Python of their own that imports simenv from them.
"""

import argparse
import math
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.protocol import Program

HERE = Path(__file__).resolve().parents[1]
LIMITS = {"float32": 1e-3, "float64": 1e-9}  # largest difference of a task's numbers, over the largest of its tensor
SAMPLE_MS = 80.0  # a sample of a time takes at least this long
REQUIRED = {"x", "v", "C", "time", "status", "adjoint of x", "adjoint of v", "adjoint of twist", "adjoint of gravity"}


def main() -> int:
    """Compare, and print tables; 1 if anything is not as it must be."""
    arguments = parse()
    python = {"base": arguments.python or arguments.base / ".venv" / "bin" / "python", "this": Path(sys.executable)}
    roots = {"base": arguments.base.resolve(), "this": HERE}
    search = {"base": arguments.pythonpath, "this": os.environ.get("PYTHONPATH", "")}
    sides = {name: start(name, roots[name], python[name], search[name]) for name in ("base", "this")}
    try:
        scenes = sides["this"][1]["scenes"]
        known = [*scenes, *(name for name in sides["this"][1]["tasks"] if name in sides["base"][1]["tasks"])]
        wanted = arguments.only or known
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise SystemExit(f"{', '.join(unknown)}: choose from {', '.join(map(repr, known))}")
        programs = {name: program for name, (program, _) in sides.items()}
        bad = 0
        columns = COLUMNS[: UNTIMED if arguments.no_time else None]
        print(f"base {roots['base']}\nthis {roots['this']}\n\n{line(columns)}\n{'|---' * len(columns)}|", flush=True)
        for name in wanted:
            row, wrong = compare(programs, name, name in scenes, 0 if arguments.no_time else arguments.rounds)
            bad += wrong
            print(row, flush=True)
        print(f"\n{'all as it must be' if not bad else f'{bad} of {len(wanted)} are not as they must be'}")
        return 1 if bad else 0
    finally:
        for program, _ in sides.values():
            program.close()


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="another checkout of simenv")
    parser.add_argument("--python", type=Path, help="its Python; .venv/bin/python in it by default")
    parser.add_argument("--pythonpath", default="", help="its PYTHONPATH, if that is how its Python finds it")
    parser.add_argument("--only", nargs="+", metavar="CASE", help="scenes and tasks; all by default")
    parser.add_argument("--rounds", type=int, default=31, help="samples of each time")
    parser.add_argument("--no-time", action="store_true", help="compare bits and launches only")
    return parser.parse_args()


def start(name: str, root: Path, python: Path, pythonpath: str = "") -> tuple[Program, dict]:
    """The program of one checkout, and what it says of itself."""
    if not python.is_file():
        raise SystemExit(f"{name}: there is no {python}; name the Python that has {root} installed with --python")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "OMP_NUM", "VIRTUAL_ENV"))}
    kept |= {"PYTHONPATH": pythonpath} if pythonpath else {}
    program = Program(str(python), str(HERE / "benchmarks" / "against_program.py"), kept)
    answer = program.ask("setup")
    if Path(answer["root"]) != root:
        raise SystemExit(f"{name}: {python} imports simenv from {answer['root']}, not from {root}; pass another Python")
    return program, answer


COLUMNS = (
    "case", "float32", "float64", "launches: forward", "gradient", "outside", "forward, base", "this / base", "fastest",
    "gradient, base", "this / base", "fastest",
)  # fmt: skip
UNTIMED = 6  # columns


def line(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def compare(programs: dict[str, Program], name: str, exact: bool, rounds: int) -> tuple[str, bool]:
    """The row of a case, and whether it is not as it must be."""
    cells, wrong = [name], False
    answers: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("float64", "float32"):  # times are of the last
            paths = {side: Path(folder) / f"{side}-{dtype}.npz" for side in programs}
            for side, program in programs.items():
                answers[side] = program.ask("values", case=name, dtype=dtype, path=str(paths[side]))
            failed = [f"{side}, {dtype}: {answer['error']}" for side, answer in answers.items() if "error" in answer]
            if failed:
                return line([name, *failed]), True
            said, apart = differences(answers, paths, dtype, exact)
            cells.insert(1, said)
            wrong |= apart
    for what in ("in forward", "in gradient", "outside"):
        said, apart = launches(answers["base"][what], answers["this"][what])
        cells.append(said)
        wrong |= apart and exact and what != "outside"
    for gradient in (False, True) if rounds else ():
        cells += times(programs, gradient, rounds)
    return line(cells), wrong


def differences(answers: dict[str, dict], paths: dict[str, Path], dtype: str, exact: bool) -> tuple[str, bool]:
    """Whether digests are equal, else the tensor that differs most; and whether that must not be."""
    if all(answers["base"][part] == answers["this"][part] for part in ("forward", "gradient")):
        return f"equal {answers['this']['forward'][:6]} {answers['this']['gradient'][:6]}", False
    tensors = {side: dict(np.load(path)) for side, path in paths.items()}
    both = tensors["base"].keys() & tensors["this"].keys()
    one = sorted(tensors["base"].keys() ^ tensors["this"].keys())
    apart = {key: difference(tensors["base"][key], tensors["this"][key]) for key in both}
    worst = max(apart, key=lambda key: apart[key])
    said = "equal" if apart[worst] == 0.0 else f"{apart[worst]:.1e} ({worst})"
    if one:
        said += f", {', '.join(one)} in one only"
    if exact:
        return said, apart[worst] > 0.0 or not both >= REQUIRED or any(key.startswith("adjoint") for key in one)
    return said, not apart[worst] <= LIMITS[dtype]


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference over the largest number; infinite if shape or type differ."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return math.inf
    if a.tobytes() == b.tobytes():
        return 0.0
    a, b = a.astype(np.float64), b.astype(np.float64)
    apart = float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-300))
    return math.inf if math.isnan(apart) else max(apart, sys.float_info.min)  # zeros of either sign are not equal


def launches(base: Any, this: Any) -> tuple[str, bool]:
    """Numbers of launches in each recorded graph, or outside of graphs, and by kernel where they differ."""
    before, after = (graphs if isinstance(graphs, list) else [graphs] for graphs in (base, this))
    counts = [" + ".join(str(sum(graph.values())) for graph in graphs) or "0" for graphs in (before, after)]
    if counts[0] == counts[1]:
        return f"{counts[0]}, equal", False
    totals = [sum(map(Counter, graphs), Counter()) for graphs in (before, after)]
    names = sorted(totals[0].keys() | totals[1].keys())
    changed = [f"{each} {totals[0][each]} to {totals[1][each]}" for each in names if totals[0][each] != totals[1][each]]
    return f"{counts[0]} became {counts[1]}: {', '.join(changed)}", True


def times(programs: dict[str, Program], gradient: bool, rounds: int) -> list[str]:
    """Median time of a control step of the base [ms]; the median ratio, with its quartiles; that of the fastest."""
    first = {side: program.ask("time", gradient=gradient, repeats=1) for side, program in programs.items()}
    rollout = min(answer["ms"] * answer["steps"] for answer in first.values())
    repeats = max(1, math.ceil(SAMPLE_MS / rollout))
    samples: dict[str, list[float]] = {side: [] for side in programs}
    for _ in range(rounds):
        for side, program in programs.items():
            samples[side].append(program.ask("time", gradient=gradient, repeats=repeats)["ms"])
    ratios = [b / a for a, b in zip(samples["base"], samples["this"], strict=True)]
    low, middle, high = np.percentile(ratios, (25, 50, 75))
    fastest = min(samples["this"]) / min(samples["base"])
    return [f"{np.median(samples['base']):.3g} ms", f"{middle:.3f} ({low:.3f} - {high:.3f})", f"{fastest:.3f}"]


if __name__ == "__main__":
    sys.exit(main())
