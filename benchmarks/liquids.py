# SPDX-License-Identifier: Apache-2.0
"""How long a second of Pouring takes with either liquid, on one thread, at the same dx.

    python -m benchmarks.liquids --rounds 5

Both tasks are played by their expert up to half a second, when the glass is over the bowl and pours; measured is the
processor time of the control steps that follow, of one world, with and without the gradient of the end's positions and
velocities by state and control. They are warm, take turns, and ratios are those of rounds.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

import simenv
from benchmarks import robots
from benchmarks.harness import report as reports
from simenv.world import Control

LIQUIDS = {"weakly compressible": {}, "incompressible": {"incompressible": True}}
WAIT, STEPS = 25, 10  # control steps of 20 ms before, and measured
NEED = 3.0


class Pour:
    """A world of the task where it pours.

    Args:
        options: of the task.
    """

    def __init__(self, options: dict[str, Any]):
        made = gymnasium.make_vec(
            "SimEnv/Pouring-v0", num_envs=1, output="torch", autoreset_mode="disabled", **options
        )  # fmt: skip
        env: Any = made.unwrapped
        env.reset(seed=0)
        for _ in range(WAIT):
            env.step(env.task.expert(env.world, env.state, env.episode))
        self.env, self.world, self.state = env, env.world, env.state
        action = env.task.expert(env.world, env.state, env.episode)
        self.twist = env.task.control(env.world, env.state, action, env.episode).twist.detach()

    def seconds(self, gradient: bool) -> tuple[float, float]:
        """Processor time of a simulated second [s], and its share of the wall time."""
        state, twist = self.state, self.twist.clone()
        if gradient:
            state = state.replace(x=state.x.clone().requires_grad_(), v=state.v.clone().requires_grad_())
            twist.requires_grad_()
        before, clock = time.process_time(), time.perf_counter()
        now = state
        with torch.set_grad_enabled(gradient):
            for _ in range(STEPS):
                now = self.world.step(now, Control(twist=twist))
            if gradient:
                (now.x.sum() + now.v.sum()).backward()
        taken, wall = time.process_time() - before, time.perf_counter() - clock
        if int(now.status[0]):
            raise RuntimeError(self.world.parameters.explain(now.status, 0))
        return taken / (STEPS * self.world.dt), taken / wall


def measure(rounds: int) -> dict[str, Any]:
    """The part of the report."""
    simenv.set_num_threads(1)
    part = reports.describe_moment()
    part["versions"] = {"here": {"numpy": np.__version__, "torch": torch.__version__, "simenv": simenv.__version__}}
    pours = {name: Pour(options) for name, options in LIQUIDS.items()}
    times: dict[str, list[float]] = {}
    shares = []
    for number in range(rounds + 1):  # the first compiles kernels
        for kind, gradient in (("step", False), ("step and gradient", True)):
            for name, pour in pours.items():
                seconds, share = pour.seconds(gradient)
                if number:
                    times.setdefault(f"{name}, {kind}", []).append(seconds)
                    shares.append(share)
    rows = [reports.value_row(name, "s", each, 1) for name, each in times.items()]
    for kind in ("step", "step and gradient"):
        slow, fast = (times[f"{name}, {kind}"] for name in LIQUIDS)
        name = f"weakly compressible / incompressible, {kind}"
        rows.append(reports.target_row(name, "x", reports.paired(slow, fast), NEED, True, 1))
    return {**part, "cpu_per_wall": min(shares), "rows": rows, "load_after": os.getloadavg()[0]}


def markdown(report: dict[str, Any]) -> str:
    """The report as a table."""
    part = report["parts"]["liquids"]
    lines = [
        "# A second of Pouring with either liquid",
        "",
        f"`python -m benchmarks.liquids`: one world of `SimEnv/Pouring-v0`, dx = 10 mm, single precision, one thread: "
        f"{STEPS} control steps of 20 ms while the glass pours, per simulated second.",
        *robots.moment(report, part),
        "",
        *robots.table(part["rows"]),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Liquids."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.liquids", description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=robots.HERE / "results" / "liquids_cpu")
    given = parser.parse_args()
    report = {"machine": reports.describe_machine(), "parts": {"liquids": measure(given.rounds)}}
    print(markdown(report))
    given.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    given.out.with_suffix(".md").write_text(markdown(report), encoding="utf-8")


if __name__ == "__main__":
    main()
