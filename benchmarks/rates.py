# SPDX-License-Identifier: Apache-2.0
"""How many steps of tasks a second this checkout and another take, in turns, and what a world holds in memory.

    python -m benchmarks.rates --base ../simenv-before --tasks SimEnv/PegInsertion-v0 --worlds 256

Both step the batched environment (torch, no gradient, actions of zero) in processes of their own; of the ratios of all
rounds the table has the median and the quartiles.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from benchmarks.protocol import Program

HERE = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rates", description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="another checkout of simenv, with its .venv")
    parser.add_argument("--tasks", nargs="+", default=["SimEnv/PegInsertion-v0"])
    parser.add_argument("--worlds", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=21)
    given = parser.parse_args()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    pythons = {"base": str(given.base / ".venv" / "bin" / "python"), "this": sys.executable}
    script = str(HERE / "benchmarks" / "rates_program.py")
    print("| task | steps/s, base | steps/s, this | this / base | bytes of a world, base | this | this / base |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for task in given.tasks:
        programs = {name: Program(python, script, kept) for name, python in pythons.items()}
        try:
            held = {
                name: program.ask("setup", task=task, worlds=given.worlds, threads=given.threads)["bytes"]
                for name, program in programs.items()
            }
            rounds = []
            for _ in range(given.rounds):
                rounds.append([programs[name].ask("time", steps=2)["ms"] for name in ("base", "this")])
        finally:
            for program in programs.values():
                program.close()
        ms = np.array(rounds)
        base, this = 1e3 * given.worlds / np.median(ms, 0)
        low, middle, high = np.percentile(ms[:, 0] / ms[:, 1], (25, 50, 75))
        share = held["this"] / held["base"]
        ratio = f"{middle:.2f} ({low:.2f} - {high:.2f})"
        print(
            f"| {task} | {base:.0f} | {this:.0f} | {ratio} | {held['base']} | {held['this']} | {share:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
