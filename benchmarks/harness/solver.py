# SPDX-License-Identifier: Apache-2.0
"""The same liquid in simenv, in its peers and in the naive baseline: forward, and forward with backward."""

import statistics
from pathlib import Path
from typing import Any

from benchmarks.harness.programs import running, set_up
from benchmarks.harness.report import Row, missing_row, paired, target_row, value_row

# largest difference from simenv: of mean_x in metres, of the others relative to the largest value of the group
TOLERANCE = {"mean_x": 1e-6, "mean_v": 1e-4, "J": 1e-4, "gradient_v0": 1e-3}
# Genesis' liquid has the Kirchhoff stress K J (J - 1), not K (J - 1), so that J differs by up to (J - 1)^2, where J
# reaches 1.18 on the free surface: see benchmarks/peers/genesis_mpm.py
WIDER = {"genesis": {"J": 3e-2, "gradient_v0": 1e-2}}

TARGETS = {
    ("cpu", "forward", "taichi", "unsorted"): 6.0,
    ("cpu", "forward", "taichi", "sorted"): 4.0,
    ("cpu", "forward", "genesis", "unsorted"): 7.0,
    ("cpu", "gradient", "taichi", "unsorted"): 5.0,
    ("cpu", "gradient", "genesis", "unsorted"): 15.0,
    ("cuda", "forward", "taichi", "unsorted"): 2.0,
    ("cuda", "forward", "genesis", "unsorted"): 3.0,
    ("cuda", "gradient", "taichi", "unsorted"): 3.0,
    ("cuda", "gradient", "genesis", "unsorted"): 3.0,
}
BACKWARD_LIMIT = {"cpu": 2.0, "cuda": 3.0}  # times the forward pass
MANY = {"cuda": (16, 1e9)}  # worlds of 1e5 particles, and particle-substeps/s asked of them

ONE = "simenv, 1 thread"
TAPE = "Warp tape"
SCRIPTS = {"simenv": "simenv_mpm.py", ONE: "simenv_mpm.py", TAPE: "peers/warp_tape.py"}
THREADS = {ONE: 1, TAPE: 1}

Case = tuple[str, str, str]  # program, "forward" or "gradient", order of the particles


def scene(quick: bool) -> dict[str, Any]:
    """The liquid: 64^3 grid, 1e5 particles, 40 substeps (a control step of 8 ms)."""
    count = 2_000 if quick else 100_000
    return {
        "count": count,
        "worlds": 1,
        "grid": 32 if quick else 64,
        "dt": 2e-4,
        "volume": 0.4**3 / count,
        "density": 1000.0,
        "bulk_modulus": 4e5,
        "gravity": 9.81,
        "substeps": 40,
    }


def write_particles(path: Path, config: dict[str, Any]) -> None:
    """Uniform random positions in [0.2, 0.6]^3, a smooth velocity that compresses, and both sorted by cell."""
    import numpy as np

    x = (np.random.default_rng(0).random((config["count"], 3)) * 0.4 + 0.2).astype(np.float32)
    v = (0.5 * np.sin(9.0 * x + 6.0 * x[:, [1, 2, 0]])).astype(np.float32)
    cell = np.floor(x * config["grid"]).astype(np.int64)
    order = np.lexsort((cell[:, 2], cell[:, 1], cell[:, 0]))
    np.savez(path, x_unsorted=x, v_unsorted=v, x_sorted=x[order], v_sorted=v[order])


def cases(job: str, programs: list[str]) -> list[Case]:
    """What is measured in one round."""
    out = [(name, job, "unsorted") for name in programs]
    if job == "forward":
        out += [(name, job, "sorted") for name in ("simenv", "taichi") if name in programs]
    else:
        out.append(("simenv", "forward", "unsorted"))  # the backward pass is judged against it
    return out


def threads_of(name: str, device: str) -> int | None:
    """Threads of a program on the CPU."""
    return THREADS.get(name, 2) if device == "cpu" else None


def many_rows(part: Row, job: str, config: dict[str, Any], particles: Path, device: str, rounds: int) -> None:
    """Particle-substeps per second of many worlds together, where a device is made for them."""
    worlds, target = MANY[device]
    with running({"simenv": "simenv_mpm.py"}) as (programs, _):
        ask = programs["simenv"].ask
        ask("setup", config={**config, "worlds": worlds}, threads=1, device=device)
        request = {"program": job, "order": "unsorted", "particles": str(particles)}
        ask("build", **request)
        times = [statistics.median(ask("run", **request, repeats=3)["ms"]) for _ in range(rounds)]
    rates = [1e3 * worlds * config["count"] / ms for ms in times]
    name = f"{job}: simenv, {worlds} worlds of {config['count']} particles"
    goal = target if job == "forward" else None
    part["rows"].append(target_row(name, "particle-substeps/s", rates, goal, True))


def solver_rows(part: Row, job: str, scratch: Path, quick: bool, device: str) -> None:
    """Rows of ``job``, "forward" or "gradient", of all programs, which take turns round by round."""
    config = scene(quick)
    rounds, repeats = (1, 1) if quick else (7, 3)
    particles = scratch / "particles.npz"
    write_particles(particles, config)
    scripts = {name: script for name, script in SCRIPTS.items() if device == "cpu" or name != ONE}
    with running(scripts, () if quick else ("taichi", "genesis")) as (programs, missing):
        if quick:
            missing = dict.fromkeys(("taichi", "genesis"), "--quick leaves the peers out")
        for name in list(programs):
            alone = {name: programs[name]}
            threads = threads_of(name, device) or 1
            set_up(alone, missing, part["versions"], config=config, threads=threads, device=device)
            if not alone:
                del programs[name]
        measured = cases(job, list(programs))

        def ask(question: str, case: Case, **more: Any) -> dict[str, Any]:
            request = {"program": case[1], "order": case[2], "particles": str(particles)}
            return programs[case[0]].ask(question, **request, **more)

        first = {case: ask("build", case)["first_s"] for case in measured}
        raw: dict[Case, list[float]] = {case: [] for case in measured}
        cpu: dict[Case, list[float]] = {case: [] for case in measured}
        for _ in range(rounds):
            for case in measured:
                # a Genesis rollout takes seconds, and varies less
                answer = ask("run", case, repeats=1 if case[0] == "genesis" else repeats)
                raw[case].append(statistics.median(answer["ms"]))
                cpu[case].append(answer["cpu_per_wall"])
        checks = {}
        for case in measured:  # what was computed last must agree
            ask("run", case, repeats=1)
            checks[case] = ask("check", case)
    own = ("simenv", job, "unsorted")
    for case in measured:
        apart = difference(checks[case], checks[own])
        row = value_row(
            title(case), "ms/substep", raw[case], threads_of(case[0], device),
            cpu_per_wall=statistics.median(cpu[case]), first_s=first[case], difference=apart,
            check={key: value for key, value in checks[case].items() if key in TOLERANCE},
        )  # fmt: skip
        row["verdict"] = "-" if agrees(apart, case[0]) else "invalid"
        part["rows"].append(row)
    for case in measured:
        if case[0] in ("simenv", ONE):
            continue
        for base in ("simenv", ONE) if case[0] == TAPE and device == "cpu" else ("simenv",):
            valid = agrees(difference(checks[case], checks[own]), case[0])
            part["rows"].append(ratio_row(device, case, base, raw[base, job, "unsorted"], raw[case], valid))
    if job == "gradient":
        part["rows"].append(backward_row(device, raw[own], raw["simenv", "forward", "unsorted"]))
    absent = [
        missing_row(title((name, job, "unsorted")), why, threads_of(name, device)) for name, why in missing.items()
    ]
    part["rows"] += absent
    if device in MANY and not quick:
        many_rows(part, job, config, particles, device, rounds)


def title(case: Case) -> str:
    """How a program's own row is called."""
    name, job, order = case
    return f"{job}: {name}{'' if order == 'unsorted' else ', sorted particles'}"


def ratio_row(device: str, case: Case, base: str, ours: list[float], theirs: list[float], valid: bool) -> Row:
    """How many times longer a peer takes, paired by round; simenv always gets the particles unsorted."""
    program, job, order = case
    name = f"{job}: {program}{' (sorted)' if order == 'sorted' else ''} / {base}"
    target = TARGETS.get((device, job, program, order))
    return target_row(name, "x", paired(theirs, ours), target, True, threads_of(base, device), valid)


def backward_row(device: str, both: list[float], forward: list[float]) -> Row:
    """Time of the backward pass over that of a forward pass that keeps nothing, paired by round."""
    ratios = [(a - b) / b for a, b in zip(both, forward, strict=True)]
    limit = BACKWARD_LIMIT[device]
    return target_row("simenv: backward / forward", "x", ratios, limit, False, threads_of("simenv", device))


def difference(a: dict[str, Any], b: dict[str, Any]) -> dict[str, float]:
    """Largest difference of each group of numbers, relative to the group's largest."""
    out = {}
    for name in TOLERANCE:
        if name in a and name in b:
            scale = 1.0 if name == "mean_x" else max(abs(value) for value in b[name])
            out[name] = max(abs(p - q) for p, q in zip(a[name], b[name], strict=True)) / max(scale, 1e-30)
    return out


def agrees(differences: dict[str, float], program: str = "") -> bool:
    """Whether every group is within its tolerance; NaN is not."""
    tolerance = TOLERANCE | WIDER.get(program, {})
    return all(value <= tolerance[name] for name, value in differences.items())
