# SPDX-License-Identifier: Apache-2.0
"""Peak memory of long gradient rollouts, against a tape that stores a grid for every substep."""

from pathlib import Path
from typing import Any

from benchmarks.harness.programs import running
from benchmarks.harness.report import Row, target_row, value_row
from benchmarks.harness.solver import agrees, difference, scene, write_particles

LIMIT = 0.1  # of the tape's
SMALL = {"count": 2880, "grid": 48}  # one world of benchmarks/worlds.py, whose control step has 40 substeps
SMALL_SUBSTEPS = 40


def simenv_memory(part: Row, device: str, **request: Any) -> dict[str, Any]:
    """What a rollout adds, in a fresh process whose kernels an earlier one has compiled."""
    answer: dict[str, Any] = {}
    for steps in (1, request["steps"]):
        with running({"simenv": "memory.py"}) as (programs, _):
            part["versions"]["simenv"] = programs["simenv"].ask("setup", threads=2, device=device)
            answer = programs["simenv"].ask("run", **{**request, "steps": steps})
    return answer


def tape_memory(part: Row, config: dict[str, Any], particles: Path) -> tuple[float, dict[str, Any]]:
    """What a gradient rollout adds to the naive baseline [MB], and its result."""
    request = {"program": "gradient", "order": "unsorted", "particles": str(particles)}
    before, after, check = 0.0, 0.0, {}
    for substeps in (1, config["substeps"]):  # the first process compiles
        with running({"Warp tape": "peers/warp_tape.py"}) as (programs, _):
            tape = programs["Warp tape"]
            part["versions"]["Warp tape"] = tape.ask("setup", config={**config, "substeps": substeps})
            before = part["versions"]["Warp tape"]["peak_mb"]
            after = tape.ask("build", **request)["peak_mb"]
            check = tape.ask("check", **request)
    return after - before, check


def memory_rows(part: Row, scratch: Path, quick: bool, device: str) -> None:
    """A long rollout of a small world, whose tape is extrapolated, and one of the large liquid, all measured."""
    rows, steps = part["rows"], 4 if quick else 300
    config, particles = {**scene(quick), **SMALL}, scratch / "small.npz"
    write_particles(particles, config)
    short, long = (tape_memory(part, {**config, "substeps": count}, particles)[0] for count in (40, 120))
    each = (long - short) / 80
    rows.append(value_row("small world: the tape, each substep (slope from 40 to 120)", "MB", [each]))
    whole = each * SMALL_SUBSTEPS * steps
    rows.append(value_row(f"small world: the tape, {steps} control steps (that slope, extrapolated)", "MB", [whole]))
    for mode, what in (("keep", "torch's graph"), ("checkpoint", "checkpoints")):
        added = simenv_memory(part, device, scene="small", steps=steps, mode=mode)["added_mb"]
        rows.append(value_row(f"small world: simenv, {steps} control steps, {what}", "MB", [added], 2))
        name = f"small world: simenv ({what}) / the tape (extrapolated)"
        rows.append(target_row(name, "x", [added / whole], LIMIT, False))
    config, particles = {**scene(quick), "substeps": 10}, scratch / "particles.npz"
    write_particles(particles, config)
    substeps = 40 if quick else 300
    tape, theirs = tape_memory(part, {**config, "substeps": substeps}, particles)
    rows.append(value_row(f"large liquid: the tape, {substeps} substeps", "MB", [tape], 1))
    request = {"steps": substeps // config["substeps"], "config": config, "particles": str(particles)}
    for mode, what in (("keep", "torch's graph"), ("checkpoint", "checkpoints")):
        answer = simenv_memory(part, device, scene="liquid", mode=mode, **request)
        apart = difference(answer, theirs)
        rows.append(value_row(f"large liquid: simenv, {substeps} substeps, {what}", "MB", [answer["added_mb"]], 2))
        ratio = [answer["added_mb"] / tape]
        row = target_row(f"large liquid: simenv ({what}) / the tape", "x", ratio, LIMIT, False, 2, agrees(apart))
        rows.append({**row, "difference": apart})
