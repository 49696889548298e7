# SPDX-License-Identifier: Apache-2.0
"""Runs every verification case at its three resolutions and writes docs/verification_cases.md, with its pictures.

    python -m tests.verification.report [--only KEY ...]

With ``--only`` the other cases keep what the last run measured (docs/verification_cases.json).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from tests.verification.cases import CASES, Case, Outcome

ROOT = Path(__file__).resolve().parents[2]
PAGE, NUMBERS = ROOT / "docs" / "verification_cases.md", ROOT / "docs" / "verification_cases.json"
IMAGES = ROOT / "docs" / "images" / "verification"
HEADER = """# Verification cases

Written by `make verify` from its own runs; float32 on a CPU unless a case says otherwise. The error of the finest
resolution counts. [Verification](verification.md) has the conservation laws, the contact laws and the numerical
viscosity of the transfers, [Materials](materials.md) and [Rigid bodies](rigid.md) what is particular to them.
"""


def draw(case: Case, outcomes: dict[int, Outcome]) -> None:
    """The curves of the finest run, and every error over the resolution."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for label, (x, y) in outcomes[case.resolutions[-1]].curves.items():
        if label.startswith("reference"):
            left.plot(x, y, "k--" if len(x) > 20 else "ko", lw=0.8, ms=3, label=None if label[9:10] == " " else label)
        else:
            left.plot(x, y, lw=1.2, label=label)
    left.set(xlabel=case.axes[0], ylabel=case.axes[1])
    left.legend(fontsize=6)
    for quantity, limit in case.limits.items():
        errors = [max(outcomes[resolution].errors[quantity], 1e-9) for resolution in case.resolutions]
        (line,) = right.loglog(case.resolutions, errors, "o-", ms=3, label=quantity)
        right.axhline(limit, color=line.get_color(), lw=0.6, ls=":")
    right.set(xlabel=case.unit, ylabel="error (dotted: limit)")
    right.legend(fontsize=6)
    figure.savefig(IMAGES / f"{case.key}.png", dpi=90)
    plt.close(figure)


def measure(case: Case) -> dict[str, Any]:
    """Errors and values at every resolution, as JSON; draws the picture."""
    outcomes, seconds = {}, {}
    for resolution in case.resolutions:
        start = time.perf_counter()
        outcomes[resolution] = case.run(resolution)
        seconds[resolution] = time.perf_counter() - start
        print(f"{case.key} {resolution}: {outcomes[resolution].errors} ({seconds[resolution]:.0f} s)", flush=True)
    draw(case, outcomes)
    return {
        str(resolution): {
            "errors": {name: float(value) for name, value in outcome.errors.items()},
            "values": {name: float(value) for name, value in outcome.values.items()},
        }
        for resolution, outcome in outcomes.items()
    }


def section(case: Case, measured: dict[str, Any]) -> str:
    """The part of the page about one case."""
    lines = [f"## {case.title}", "", f"    {case.equation}", "", f"{case.setup} Source: {case.source}.", ""]
    lines += [f"| {case.unit} | " + " | ".join(case.limits) + " |", "|---" * (1 + len(case.limits)) + "|"]
    for resolution in map(str, case.resolutions):
        errors = measured[resolution]["errors"]
        lines.append(f"| {resolution} | " + " | ".join(f"{errors[name]:.2g}" for name in case.limits) + " |")
    last = measured[str(case.resolutions[-1])]
    verdicts = ["pass" if last["errors"][name] <= limit else "**miss**" for name, limit in case.limits.items()]
    limits = [f"{limit:g}: {verdict}" for limit, verdict in zip(case.limits.values(), verdicts, strict=True)]
    lines += ["| limit | " + " | ".join(limits) + " |", ""]
    if last["values"]:
        lines += [f"Also measured, at {', '.join(map(str, case.resolutions))} {case.unit}:", ""]
    for name in last["values"]:
        found = (measured[str(resolution)]["values"][name] for resolution in case.resolutions)
        lines.append(f"* {name}: " + ", ".join(f"{value:.4g}" for value in found))
    lines += [""] if last["values"] else []
    lines += [f"Missed: {name}. {why}\n" for name, why in case.misses.items()]
    return "\n".join([*lines, f"![{case.title}](images/verification/{case.key}.png)", ""])


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(CASES), metavar="KEY", help=", ".join(CASES))
    only = parser.parse_args().only or list(CASES)
    IMAGES.mkdir(parents=True, exist_ok=True)
    numbers = json.loads(NUMBERS.read_text(encoding="utf-8")) if NUMBERS.exists() else {}
    for key in only:
        numbers[key] = measure(CASES[key])
        NUMBERS.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    done = {key: case for key, case in CASES.items() if key in numbers}
    text = "\n".join([HEADER, *(section(case, numbers[key]) for key, case in done.items())])
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
