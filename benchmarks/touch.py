# SPDX-License-Identifier: Apache-2.0
"""Success of learnt policies with and without touch, beside TacSL's table.

``python -m benchmarks.touch --preset cpu`` trains policies on each observation mode, plays fresh episodes
with each, and writes a table as Markdown and JSON. They imitate the task's own controller, or an expert that PPO has
trained on the privileged state before. Stopped, it goes on where it was.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from simenv.scripts.learn import Plan

PRIVILEGED = "privileged"  # observation mode of the expert and of all critics
METHODS = {"bc": "BC", "dagger": "DAgger", "ppo": "AAC", "aacd": "AACD"}

# I. Akinola et al., TacSL, arXiv:2408.06506, Table IV: 3 seeds x 1024 starts. AACD has no row there (their Fig. 10).
TACSL: dict[str, dict[str, dict[str, float]]] = {
    "PegPlacement": {
        "privileged": {"bc": 0.999, "dagger": 1.0, "ppo": 0.999},
        "reduced": {"bc": 0.319, "dagger": 0.409, "ppo": 0.421},
        "reduced+tactile_image": {"bc": 0.994, "dagger": 0.990, "ppo": 0.999},
        "reduced+force_field": {"bc": 0.993, "dagger": 1.0, "ppo": 0.999},
        "reduced+wrist_camera": {"bc": 0.995, "dagger": 0.998, "ppo": 0.995},
    },
    "PegInsertion": {
        "privileged": {"bc": 0.826, "dagger": 0.958, "ppo": 0.973},
        "reduced": {"bc": 0.087, "dagger": 0.053, "ppo": 0.0},
        "reduced+tactile_image": {"bc": 0.820, "dagger": 0.908, "ppo": 0.834},
        "reduced+force_field": {"bc": 0.804, "dagger": 0.925, "ppo": 0.930},
        "reduced+wrist_camera": {"bc": 0.936, "dagger": 0.968, "ppo": 0.948},
    },
}


@dataclasses.dataclass(frozen=True)
class Preset:
    """Sizes of a run."""

    num_envs: int
    """Worlds."""
    reward_steps: int
    """Control steps of each training by reward, the expert's included, over all worlds."""
    imitation_steps: int
    """Control steps of each training by imitation."""
    starts: int
    """Episodes played by each policy."""
    seeds: int
    """Independent trainings."""
    expert: Literal["controller", "ppo"]
    """Whom bc and dagger imitate: the task's own controller, or a policy trained on the privileged state first."""
    modes: tuple[str, ...]
    """Observation modes of the policies."""
    methods: tuple[str, ...]
    """How they learn; see `METHODS`."""
    options: dict[str, Any]
    """Arguments of the environment."""
    values: dict[str, Any]
    """Options of the algorithms."""
    id: str = "SimEnv/PegInsertion-v0"
    """Environment."""
    error: tuple[str, str, float] | None = None
    """Measure of the task whose mean size the table shows, too, its unit there, and how many of it one is."""


TOUCH = ("reduced", "reduced+force_field")
PRESETS = {
    "cpu": Preset(
        64, 300_000, 49_152, 256, 2, "controller", TOUCH, ("dagger",),
        {"stage": "near", "clearance": 0.005, "max_episode_steps": 96},
        {"rollout_steps": 48, "batch_size": 1024, "learning_rate": 1e-3, "gradient_steps": 200},
    ),
    "pour": Preset(
        16, 0, 28_800, 64, 3, "controller", ("reduced", "reduced+touch"), ("dagger",), {},
        {"rollout_steps": 120, "batch_size": 1024, "learning_rate": 1e-3, "gradient_steps": 500},
        "SimEnv/TactilePour-v0", ("error", "g", 1e3),
    ),
    "gpu": Preset(
        1024, 200_000_000, 10_000_000, 1024, 3, "ppo", TOUCH, ("bc", "dagger", "ppo", "aacd"), {},
        {"rollout_steps": 64, "batch_size": 16_384},
    ),
}  # fmt: skip


def wilson(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Confidence interval of a proportion (E. Wilson, J. Am. Stat. Assoc. 22, 209, 1927); 95 % by default.

    Raises:
        ValueError: If there are no trials, or more successes than trials.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes in {trials} trials: there must be trials, and no more successes")
    rate, square = successes / trials, z * z / trials
    centre = (rate + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(rate * (1 - rate) / trials + square / (4 * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_error(errors: list[float], z: float = 1.959964) -> tuple[float, float]:
    """Mean of errors and half of its confidence interval, by its standard error; 95 % by default.

    Raises:
        ValueError: If there are less than two.
    """
    if len(errors) < 2:
        raise ValueError(f"{len(errors)} errors have no interval; play at least two episodes")
    mean = sum(errors) / len(errors)
    square = sum((each - mean) ** 2 for each in errors) / (len(errors) - 1)
    return mean, z * math.sqrt(square / len(errors))


@dataclasses.dataclass(frozen=True)
class Job:
    """One training and its evaluation."""

    mode: str
    """Observation mode."""
    method: str | None
    """Algorithm; None for the task's controller, which is only evaluated."""
    name: str
    """As the table calls it."""
    seed: int
    place: Path
    """Folder."""
    expert: Path | None
    """Folder of whom it imitates; None for the controller."""


class Stopped(Exception):
    """A training did not end; the argument is its result code."""


@dataclasses.dataclass(frozen=True)
class BenchmarkTouch:
    """Train and compare policies with and without touch."""

    id: tyro.conf.Positional[Annotated[str | None, tyro.conf.arg(metavar="ID")]] = None
    """Environment; the preset's by default."""
    preset: Literal["cpu", "pour", "gpu"] = "cpu"
    """Sizes: a short way into a wide hole for a few cores, pouring by touch likewise, or the full task for a GPU."""
    out: Path = Path("runs/touch")
    """Folder of the trainings."""
    table: Path | None = None
    """The table, without its endings .md and .json; OUT/table by default."""
    picture: Path | None = None
    """Also draw the successes during training into this file."""
    modes: tuple[str, ...] | None = None
    """Observation modes of the policies; the preset's by default."""
    methods: tuple[Literal["bc", "dagger", "ppo", "aacd"], ...] | None = None
    """Cloning, DAgger, PPO with a privileged critic, asymmetric actor-critic distillation; the preset's by default."""
    seeds: int | None = None
    """Independent trainings; the preset's by default."""
    expert: Literal["controller", "ppo"] | None = None
    """Whom bc and dagger imitate; aacd needs ppo. The preset's by default."""
    env_args: str = ""
    """Arguments of the environment as a JSON object, instead of the preset's."""
    augment: bool = False
    """Change the images of ppo and aacd at random; needs image modes only."""
    limit: float = math.inf
    """Stop after so many seconds; the same command goes on."""
    device: str | None = None
    """Device of the simulation; CUDA where there is one by default."""

    def run(self, sizes: Preset | None = None) -> int:
        """Train, play, and write the table; 0 when all is done, 1 when a training diverged, 130 when it was stopped.

        Args:
            sizes: Other sizes than the preset's.
        """
        from simenv.agents.result import Code

        sizes = self._sizes(sizes or PRESETS[self.preset])
        started, rows = time.perf_counter(), []
        for job in self._jobs(sizes):
            try:
                rows.append((job, self._one(sizes, job, started)))
            except Stopped as stop:
                diverged = stop.args[0] is Code.DIVERGED
                remedy = "lower the learning rate, or see metrics.csv" if diverged else "the same command goes on"
                print(f"\n{job.place}: {stop.args[0].name}; {remedy}", file=sys.stderr)
                return 1 if diverged else 130
        self._write(sizes, rows)
        if self.picture:
            draw([job for job, _ in rows], self.picture)
        return 0

    def _sizes(self, sizes: Preset) -> Preset:
        """The preset with what the command line changes."""
        from simenv.scripts.common import parse_task_arguments

        given: dict[str, Any] = {name: getattr(self, name) for name in ("id", "modes", "methods", "seeds", "expert")}
        given["options"] = parse_task_arguments(self.env_args) or None
        sizes = dataclasses.replace(sizes, **{name: value for name, value in given.items() if value is not None})
        if "aacd" in sizes.methods and sizes.expert != "ppo":
            raise ValueError("aacd starts from a critic; use --expert ppo, or --methods without aacd")
        return sizes

    def _jobs(self, sizes: Preset) -> list[Job]:
        """All trainings in order."""
        jobs = []
        for seed in range(sizes.seeds):
            folder = self.out / sizes.id.split("/")[-1] / f"seed-{seed}"
            expert = folder / "expert" if sizes.expert == "ppo" else None
            if expert:
                jobs.append(Job(PRIVILEGED, "ppo", "PPO (expert)", seed, expert, None))
            elif seed == 0:  # it does not learn
                jobs.append(Job(PRIVILEGED, None, "controller", seed, folder / "expert", None))
            pairs = itertools.product(sizes.modes, sizes.methods)
            jobs += [Job(mode, a, METHODS[a], seed, folder / f"{mode}-{a}", expert) for mode, a in pairs]
        return jobs

    def _one(self, sizes: Preset, job: Job, started: float) -> dict[str, Any]:
        """One training and its evaluation; if both are on the disk, that."""
        from simenv._files import write_text
        from simenv.agents.augment import AugmentConfig
        from simenv.scripts.learn import Plan

        # what decides this one's result; which others are trained does not
        names = ("num_envs", "reward_steps", "imitation_steps", "starts", "expert", "options", "values")
        wanted = json.loads(
            json.dumps({"id": sizes.id, "augment": self.augment} | {n: getattr(sizes, n) for n in names})
        )
        done = job.place / "evaluation.json"
        if done.exists():
            result = json.loads(done.read_text())
            if result.pop("wanted") != wanted:
                raise ValueError(f"{done} is of other settings; use another --out, or remove {job.place}")
            return result
        plan = Plan(
            sizes.id,
            job.method or "dagger",
            sizes.num_envs,
            actor_mode=job.mode,
            critic_mode=PRIVILEGED,
            expert=job.expert,
            augment=AugmentConfig() if self.augment and job.name in ("AAC", "AACD") else None,
            options={"device": self.device} | sizes.options,
        )
        trained = self._train(sizes, job, plan, started) if job.method else None
        measures = ("success",) if sizes.error is None else ("success", sizes.error[0])
        act, seed = trained.model.act if trained else None, 10_000 * (1 + job.seed)
        played = plan.evaluate(act, sizes.starts, seed, measures)
        returns, success = played["returns"], played["success"]
        print(f"\r{job.place}: success {float(success.float().mean()):.3f} of {len(success)}", file=sys.stderr)
        result = {"successes": int(success.sum()), "trials": len(success), "mean_return": float(returns.mean())}
        if sizes.error:
            result["errors"] = played[sizes.error[0]].double().abs().tolist()
        if trained:
            result |= {"train_steps": trained.timesteps, "train_seconds": trained.seconds}
        job.place.mkdir(parents=True, exist_ok=True)
        write_text(done, json.dumps(result | {"wanted": wanted}))
        return result

    def _train(self, sizes: Preset, job: Job, plan: Plan, started: float) -> Any:
        """One training, from its last checkpoint to its end."""
        from simenv.agents.checkpoint import has_checkpoint, load_checkpoint
        from simenv.agents.log import RunLog
        from simenv.agents.result import Code

        steps = sizes.imitation_steps if job.method in ("bc", "dagger") else sizes.reward_steps
        values = sizes.values | {"timesteps": steps, "seed": job.seed, "checkpoint_dir": str(job.place), "resume": True}
        before = load_checkpoint(job.place)[2] if has_checkpoint(job.place) else None
        log = RunLog(job.place, "timesteps", before)

        def report(done: int, metrics: Any) -> bool:
            log.write(done, metrics)
            success = metrics.get("rollout/success_rate", math.nan)
            print(f"\r{job.place}: step {done}/{steps}, success {success:.3f}", end="", file=sys.stderr, flush=True)
            return time.perf_counter() - started > self.limit

        try:
            trained = plan.train(values, report)
        finally:
            log.close()
        if trained.code is Code.DIVERGED or trained.timesteps < steps:
            raise Stopped(trained.code)
        return trained

    def _write(self, sizes: Preset, rows: list[tuple[Job, dict[str, Any]]]) -> None:
        """The table as Markdown and JSON, over all seeds."""
        from simenv._files import write_text

        published = TACSL.get(sizes.id.split("/")[-1].split("-v")[0], {})
        last = f"mean error [{sizes.error[1]}]" if sizes.error else "TacSL"
        lines = [f"| observation | method | success | 95 % interval | by seed | {last} |", "|---|---|---|---|---|---|"]
        table = []
        groups: dict[tuple[str, str, str | None], list[dict[str, Any]]] = {}
        for job, result in rows:
            groups.setdefault((job.mode, job.name, job.method), []).append(result)
        for (mode, name, method), runs in groups.items():
            wins, trials = (sum(run[key] for run in runs) for key in ("successes", "trials"))
            low, high = wilson(wins, trials)
            theirs = published.get(mode, {}).get(method or "")
            entry = {"mode": mode, "method": name, "success": wins / trials, "low": low, "high": high}
            shown = "" if theirs is None else f"{theirs:.3f}"
            if sizes.error:
                mean, half = mean_error([each for run in runs for each in run["errors"]])
                entry |= {"error": mean, "error_interval": half}
                shown = f"{sizes.error[2] * mean:.2f} +- {sizes.error[2] * half:.2f}"
            table.append(entry | {"trials": trials, "tacsl": theirs, "runs": runs})
            seeds = " ".join(f"{run['successes'] / run['trials']:.3f}" for run in runs)
            lines.append(f"| {mode} | {name} | {wins / trials:.3f} | {low:.3f} to {high:.3f} | {seeds} | {shown} |")
        document = {"id": sizes.id, "preset": self.preset, "sizes": dataclasses.asdict(sizes), "rows": table}
        table_file = self.table or self.out / "table"
        table_file.parent.mkdir(parents=True, exist_ok=True)
        for ending, text in ((".md", "\n".join(lines) + "\n"), (".json", json.dumps(document, indent=1) + "\n")):
            write_text(table_file.with_name(table_file.name + ending), text)
        print("\n".join(lines))


def draw(jobs: list[Job], path: Path) -> None:
    """Curves of the successes of the last 100 episodes over the control steps of the trainings in which the policy acts
    (all but bc); the band is the standard deviation over seeds.
    """
    import numpy as np

    from simenv.render.plots import learning_curve

    curves: dict[str, list[Any]] = {}
    for job in jobs:
        if job.method in (None, "bc"):
            continue
        with open(job.place / "metrics.csv", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("rollout/success_rate")]
        column = [[float(row[name]) for row in rows] for name in ("timesteps", "rollout/success_rate")]
        curves.setdefault(f"{job.mode}, {job.name}", []).append(np.array(column))
    bands = {}
    for name, seeds in curves.items():
        steps, rates = seeds[0][0], np.stack([rate for _, rate in seeds])
        bands[name] = (steps, rates.mean(0), rates.std(0))
    learning_curve(path, bands, "control steps", "success of the last 100 episodes")


if __name__ == "__main__":
    sys.exit(tyro.cli(BenchmarkTouch, config=(tyro.conf.FlagCreatePairsOff,)).run())
