# SPDX-License-Identifier: Apache-2.0
"""Runs the identifications of `identification.py` by both methods, and writes docs/identification.json, its table in
docs/identification.md and its picture.

    python -m tests.rollouts.identification_report [--only CASE ...] [--kinds KIND ...] [--draw]

With ``--only`` or ``--kinds`` the others keep what the last run found; ``--draw`` runs nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from tests.rollouts import identification as cases

ROOT = Path(__file__).resolve().parents[2]
PAGE, NUMBERS = ROOT / "docs" / "identification.md", ROOT / "docs" / "identification.json"
PICTURE = ROOT / "docs" / "images" / "identification.png"
CASES = {"all": tuple(cases.MATERIALS), **{name: (name,) for name in cases.MATERIALS}}
TITLES = {
    "all": "all four side by side: E, eta, tau_y, phi", "gel": "elastic block under a plate: E",
    "oil": "Newtonian column: eta", "paste": "Bingham column: tau_y, viscosity", "sand": "sand column: phi",
}  # fmt: skip
STEPS, SEEDS, KINDS = 25, (0, 1, 2), ["gradient", "noisy", "cma"]
BEGIN, END = "<!-- written by tests/rollouts/identification_report.py -->\n", "<!-- end -->"


def run(key: str, method: str, seed: int, noise: int | None) -> dict[str, Any]:
    """One identification, as JSON."""
    result, history = cases.find(CASES[key], STEPS, seed, method, noise)
    names = list(result.values)
    row = {
        "code": result.code.name,
        "seconds": result.seconds,
        "cost": cases.cost(history),
        "error": {name: result.values[name] / cases.TRUTH[name] - 1 for name in names},
        "rollouts": [each.rollouts for each in history],
        "loss": [each.loss for each in history],
        "ratios": {name: [each.values[name] / cases.TRUTH[name] for each in history] for name in names},
    }
    print(key, method, seed, noise, row["code"], row["cost"], row["error"], f"{result.seconds:.0f} s", flush=True)
    return row


def measure(key: str, kinds: list[str]) -> dict[str, Any]:
    """Searches from every start: by gradients, by gradients from noisy observations, by CMA-ES."""
    method = {"gradient": "gradient", "noisy": "gradient", "cma": "cma"}
    return {
        kind: [run(key, method[kind], seed, 100 + seed if kind == "noisy" else None) for seed in SEEDS]
        for kind in kinds
    }


def table(numbers: dict[str, Any]) -> str:
    """Costs and errors, Markdown."""
    head = [
        "experiment",
        "gradient: iterations",
        "rollouts",
        "CMA-ES: rollouts",
        "times fewer",
        "error, clean",
        "error, noisy",
    ]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for key, found in numbers.items():
        ours, theirs = [row["cost"] for row in found["gradient"]], [row["cost"] for row in found["cma"]]
        pairs = list(zip(ours, theirs, strict=True))
        worst = [max(abs(e) for row in found[kind] for e in row["error"].values()) for kind in ("gradient", "noisy")]
        cells = [
            TITLES[key],
            _each(ours, 0),
            _each(ours, 1),
            _each(theirs, 1),
            ", ".join(f"{b[1] / a[1]:.1f}" if a and b else "-" for a, b in pairs),
            *(f"{error:.1e}" for error in worst),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _each(costs: list, index: int) -> str:
    return ", ".join("never" if cost is None else str(cost[index]) for cost in costs)


def draw(numbers: dict[str, Any]) -> None:
    """Worst error of the best values over rollouts, and the values of one gradient search."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for method, color, label in (("gradient", "tab:blue", "gradient"), ("cma", "tab:orange", "CMA-ES")):
        for index, row in enumerate(numbers["all"][method]):
            errors = np.max([np.abs(np.asarray(ratio) - 1) for ratio in row["ratios"].values()], 0)
            left.loglog(row["rollouts"], errors, color=color, lw=1.2, label=label if index == 0 else None)
    left.axhline(0.02, color="k", lw=0.6, ls=":")
    left.set(xlabel="rollouts", ylabel="worst relative error of four parameters", title="from three starts")
    left.legend(fontsize=7)
    row = numbers["all"]["gradient"][0]
    for name, ratio in row["ratios"].items():
        right.semilogy(np.arange(1, len(ratio) + 1), ratio, "o-", ms=3, lw=1, label=name)
    right.axhline(1.0, color="k", lw=0.6, ls=":")
    right.set(xlabel="iteration", ylabel="value / truth", title="one gradient search")
    right.legend(fontsize=7)
    figure.savefig(PICTURE, dpi=110)
    plt.close(figure)


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(CASES), metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--draw", action="store_true")
    arguments = parser.parse_args()
    numbers = json.loads(NUMBERS.read_text(encoding="utf-8")) if NUMBERS.exists() else {}
    for key in () if arguments.draw else arguments.only or CASES:
        numbers[key] = {**numbers.get(key, {}), **measure(key, arguments.kinds)}
        NUMBERS.write_text(json.dumps(numbers) + "\n", encoding="utf-8")
    numbers = {key: numbers[key] for key in CASES if set(KINDS) <= set(numbers.get(key, ()))}
    draw(numbers)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(before + BEGIN + table(numbers) + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
