# SPDX-License-Identifier: Apache-2.0
"""Tries the mutants: makes each change in a copy of the project and runs the tests that must fail.

`make mutants`, or ``python -m tests.mutants.run [--area AREA] [--name NAME] [--jobs 2]``. First the named tests run on
the unchanged copy and must pass. Exit status 1 if a mutant is not seen by a test that it names.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.entries import ROOT, Mutant, mutants

INSTALLED_INSIDE = ("tasks", "agents", "assets", "scripts")  # top-level folders that are subpackages of simenv
LIMIT = 900.0  # [s] a mutant; a change that makes a test hang is not seen by it


def copy_of_the_project(target: Path) -> None:
    """The project's files, laid out so that ``import simenv`` from there finds the copy and not what is installed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    for folder in INSTALLED_INSIDE:
        (target / "simenv" / folder).symlink_to(Path("..") / folder)


def kernel_cache(target: Path) -> None:
    """A cache of compiled kernels that starts with the project's and keeps the mutants' apart."""
    source = Path(os.environ.get("WARP_CACHE_PATH", ROOT / "build" / "warp-cache"))
    if source.is_dir():
        shutil.copytree(source, target, copy_function=os.link)


def run_tests(tree: Path, cache: Path, tests: Sequence[str]) -> tuple[dict[str, str], str]:
    """Run tests in a copy; what became of each id, as `outcomes` has it, and the end of what pytest printed."""
    report = tree / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *tests]
    environment = {**os.environ, "WARP_CACHE_PATH": str(cache), "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ended = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return {}, f"no end within {LIMIT:.0f} s"
    cases = outcomes(report) if report.is_file() else {}
    tail = "\n".join((ended.stdout + ended.stderr).splitlines()[-15:])
    return {test: judged(test, cases) for test in tests}, tail


def outcomes(report: Path) -> dict[str, str]:
    """``failed``, ``skipped`` or ``passed`` of each case of a JUnit report, by id: ``tests/a/test_b.py::test_c[x]``. A
    file that is skipped as a whole is a case named by the file.
    """
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        failed = any(case.find(kind) is not None for kind in ("failure", "error"))
        outcome = "failed" if failed else "skipped" if case.find("skipped") is not None else "passed"
        where = case.get("classname", "").replace(".", "/")
        name = case.get("name", "")
        found[f"{where}.py::{name}" if where else f"{name.replace('.', '/')}.py"] = outcome
    return found


def judged(test: str, cases: dict[str, str]) -> str:
    """The outcome of a pytest id, which may lack the parameters of its cases: failed if one of them did."""
    file = test.partition("::")[0]
    mine = {outcome for case, outcome in cases.items() if case in (test, file) or case.startswith(test + "[")}
    return next((outcome for outcome in ("failed", "passed", "skipped") if outcome in mine), "missing")


def require_passing(tree: Path, cache: Path, tests: Sequence[str]) -> None:
    """Stop if a test fails without any change. By files: pytest runs none if one of them can't be collected."""
    for file in sorted({test.partition("::")[0] for test in tests}):
        outcome, tail = run_tests(tree, cache, [test for test in tests if test.startswith(f"{file}::")])
        if not outcome or not {"failed", "missing"}.isdisjoint(outcome.values()):
            raise SystemExit(f"mutants: tests fail without any change, so that they can't judge one:\n{tail}")


def try_all(chosen: Iterable[Mutant], jobs: int, check: bool) -> list[tuple[Mutant, str]]:
    """What became of each mutant: "seen", or why it counts as unseen."""
    chosen = list(chosen)
    with tempfile.TemporaryDirectory(prefix="simenv-mutants-") as room:
        cache, trees = Path(room) / "cache", SimpleQueue()
        kernel_cache(cache)
        for job in range(jobs):
            tree = Path(room) / str(job)
            copy_of_the_project(tree)
            trees.put(tree)
        if check:
            tree = trees.get()
            require_passing(tree, cache, sorted({test for mutant in chosen for test in mutant.tests}))
            trees.put(tree)

        def one(mutant: Mutant) -> tuple[Mutant, str]:
            tree, start = trees.get(), time.monotonic()
            target = tree / mutant.file
            text = target.read_text(encoding="utf-8")
            try:
                target.write_text(mutant.applied(text), encoding="utf-8")
                failed, tail = run_tests(tree, cache, mutant.tests)
            finally:
                target.write_text(text, encoding="utf-8")
                trees.put(tree)
            blind = [test for test in mutant.tests if failed.get(test) != "failed"]
            verdict = "seen" if not blind else f"NOT SEEN by {', '.join(blind)}\n{tail}"
            if blind and all(failed.get(test) == "skipped" for test in blind):
                verdict = "not tried, as what its tests need is not installed"
            print(f"{mutant.area}/{mutant.name}: {verdict} ({time.monotonic() - start:.0f} s)", flush=True)
            return mutant, verdict

        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(one, chosen))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.run", description=__doc__)
    parser.add_argument("--area", action="append", help="only of this TOML file; can be given several times")
    parser.add_argument("--name", action="append", help="only this mutant; can be given several times")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (default: 2)")
    parser.add_argument("--no-check", action="store_true", help="don't run the tests without a change first")
    options = parser.parse_args()
    chosen = [
        mutant for mutant in mutants()
        if (not options.area or mutant.area in options.area) and (not options.name or mutant.name in options.name)
    ]  # fmt: skip
    if not chosen:
        parser.error("no mutant has that area and name; tests/mutants/*.toml lists them")
    verdicts = try_all(chosen, max(options.jobs, 1), not options.no_check)
    tried = [(mutant, verdict) for mutant, verdict in verdicts if not verdict.startswith("not tried")]
    total, seen = Counter(m.area for m, _ in tried), Counter(m.area for m, v in tried if v == "seen")
    for area in total:
        print(f"{area:12} {seen[area]:3} of {total[area]:3} seen")
    print(
        f"{'all':12} {seen.total():3} of {total.total():3} seen, {100 * seen.total() / max(total.total(), 1):.1f} %; "
        f"{len(verdicts) - len(tried)} not tried"
    )
    return 0 if seen.total() == total.total() else 1


if __name__ == "__main__":
    sys.exit(main())
