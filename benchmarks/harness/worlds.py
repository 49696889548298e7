# SPDX-License-Identifier: Apache-2.0
"""Many small worlds: env-steps per second by their number and the threads, and rewarped's on the same machine."""

from typing import Any

from benchmarks.harness.programs import running, set_up
from benchmarks.harness.report import Row, missing_row, paired, target_row, value_row

WORLDS = {"cpu": (1, 2, 4, 16), "cuda": (1, 4, 16, 64, 256, 1024)}
THREADS = {"cpu": (1, 2), "cuda": (1,)}
LARGEST_GRADIENT = {"cpu": 16, "cuda": 256}  # a reverse sweep keeps the momentum of 40 substeps
KEEPS = 0.95  # of the env-steps/s of one world: a batch must not cost throughput
SCALES = 1.8  # two threads over one
CPU_TARGETS = {(False, 4): 6.0, (True, 4): 8.0}  # times rewarped, by gradient and worlds
OVER_REWARPED = 3.0  # on CUDA
WAITING = (40, 20_000)  # particles in a closed spout: one that is hardly there, and many
IDLE_LIMIT = {False: 1.1, True: 1.3}  # time with many over time with few, by gradient

Case = tuple[str, bool, int, int]  # program, gradient, worlds, threads


def cases(quick: bool, programs: list[str], device: str) -> list[Case]:
    """What is measured in one round."""
    out = []
    for gradient in (False, True):
        for count in WORLDS[device][: 3 if quick else None]:
            if gradient and count > LARGEST_GRADIENT[device]:
                continue
            out += [("simenv", gradient, count, threads) for threads in THREADS[device]]
            # on the CPU rewarped's rate does not depend on their number; a gradient of 16 would take it about 15 GB
            if "rewarped" in programs and count != 2 and not (gradient and count >= 16):
                out.append(("rewarped", gradient, count, 1))
    return out


def steps(case: Case, quick: bool) -> int:
    """Control steps of one rollout: some tenths of a second of work."""
    program, gradient, count, _ = case
    if quick or program == "rewarped":
        return 1
    return max(2, (16 if gradient else 32) // count)


def world_rows(part: Row, quick: bool, device: str) -> None:
    """Throughput rows, and what is asked of them: constant in the number of worlds, linear in the threads."""
    with running({"simenv": "worlds.py"}, () if quick else ("rewarped",)) as (programs, missing):
        if quick:
            missing = {"rewarped": "--quick leaves the peers out"}
        set_up(programs, missing, part["versions"], device=device)
        measured = cases(quick, list(programs), device)
        rates: dict[Case, list[float]] = {case: [] for case in measured}
        for index in range(-1, 1 if quick else 5):  # the first round warms up
            for case in measured:
                request: dict[str, Any] = {"worlds": case[2], "threads": case[3], "gradient": case[1]}
                rate = programs[case[0]].ask("run", steps=steps(case, quick), **request)["rate"]
                if index >= 0:
                    rates[case].append(rate)
    for case in measured:
        part["rows"].append(value_row(title(case), "env-steps/s", rates[case], case[3] if device == "cpu" else None))
    for gradient in (False, True):
        batch_rows(part, rates, gradient, device)
        peer_rows(part, rates, gradient, device)
    part["rows"] += [missing_row(f"{name}, small worlds", reason) for name, reason in missing.items()]


def batch_rows(part: Row, rates: dict[Case, list[float]], gradient: bool, device: str) -> None:
    """The rate of many worlds over that of few, and of two threads over one."""
    job = "gradient" if gradient else "forward"
    most = max(case[2] for case in rates if case[1] == gradient)
    for threads in THREADS[device]:
        few = min(threads, 2)  # one small world keeps one thread busy
        many, base = rates["simenv", gradient, most, threads], rates["simenv", gradient, few, threads]
        shown = threads if device == "cpu" else None
        name = f"{job}: rate of N = {most} / N = {few}"
        part["rows"].append(target_row(name, "x", paired(many, base), KEEPS, True, shown))
    if device == "cpu":
        many, base = rates["simenv", gradient, most, 2], rates["simenv", gradient, most, 1]
        name = f"{job}: two threads / one, N = {most}"
        part["rows"].append(target_row(name, "x", paired(many, base), SCALES, True, 2))


def peer_rows(part: Row, rates: dict[Case, list[float]], gradient: bool, device: str) -> None:
    """simenv's rate over rewarped's."""
    job = "gradient" if gradient else "forward"
    for count in WORLDS[device]:
        if ("rewarped", gradient, count, 1) not in rates:
            continue
        for threads in THREADS[device]:
            ratio = paired(rates["simenv", gradient, count, threads], rates["rewarped", gradient, count, 1])
            name = f"{job}: simenv / rewarped, N = {count} (same size, not the same vessel)"
            shown, target = (threads, CPU_TARGETS.get((gradient, count))) if device == "cpu" else (None, OVER_REWARPED)
            part["rows"].append(target_row(name, "x", ratio, target, True, shown))


def idle_rows(part: Row, quick: bool, device: str) -> None:
    """What particles cost that wait in a closed spout, in alternation with as good as none."""
    with running({"simenv": "worlds.py"}) as (programs, missing):
        set_up(programs, missing, part["versions"], device=device)
        for gradient in (False, True):
            rates: dict[int, list[float]] = {waiting: [] for waiting in WAITING}
            for index in range(-1, 1 if quick else 15):  # the first round warms up
                for waiting in WAITING:
                    request: dict[str, Any] = {"worlds": 1, "threads": 1, "gradient": gradient, "steps": 4}
                    rate = programs["simenv"].ask("run", waiting=waiting, **request)["rate"]
                    if index >= 0:
                        rates[waiting].append(rate)
            job, (few, many) = "gradient" if gradient else "forward", WAITING
            for waiting in WAITING:
                name = f"{job}: N = 1, {waiting} particles wait"
                part["rows"].append(value_row(name, "env-steps/s", rates[waiting], 1))
            ratio, limit = paired(rates[few], rates[many]), IDLE_LIMIT[gradient]
            part["rows"].append(target_row(f"{job}: time, {many} wait / {few} wait", "x", ratio, limit, False, 1))


def title(case: Case) -> str:
    """How a program's own row is called."""
    return f"{'gradient' if case[1] else 'forward'}: {case[0]}, N = {case[2]}"
