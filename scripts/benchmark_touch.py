# SPDX-License-Identifier: Apache-2.0
"""Success of learnt policies with and without touch, beside TacSL's table.

``python -m simenv.scripts.benchmark_touch --preset cpu`` trains policies on each observation mode, plays fresh episodes
with each, and writes a table as Markdown and JSON. They imitate the task's own controller, or an expert that PPO has
trained on the privileged state before. Stopped, it goes on where it was.
"""

from __future__ import annotations

import dataclasses
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


TOUCH = ("reduced", "reduced+force_field")
PRESETS = {
    "cpu": Preset(
        64, 300_000, 49_152, 256, 1, "controller", TOUCH, ("dagger", "bc"),
        {"stage": "near", "clearance": 0.005, "max_episode_steps": 96},
        {"rollout_steps": 48, "batch_size": 1024, "learning_rate": 1e-3, "gradient_steps": 200},
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


@dataclasses.dataclass(frozen=True)
class Job:
    """One training and its evaluation; without a method, the controller's evaluation."""

    mode: str
    method: str | None
    seed: int
    place: Path
    expert: Path | None


class Stopped(Exception):
    """A training did not end; the argument says why."""


@dataclasses.dataclass(frozen=True)
class BenchmarkTouch:
    """Train and compare policies with and without touch."""

    id: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="ID")]] = "SimEnv/PegInsertion-v0"
    """Environment."""
    preset: Literal["cpu", "gpu"] = "cpu"
    """Sizes: a short way into a wide hole for a few cores, or the full task for a GPU."""
    out: Path = Path("runs/touch")
    """Folder of the trainings."""
    table: Path = Path("runs/touch/table")
    """The table, without its endings .md and .json."""
    modes: tuple[str, ...] | None = None
    """Observation modes of the policies; the preset's by default."""
    methods: tuple[Literal["bc", "dagger", "ppo", "aacd"], ...] | None = None
    """Cloning, DAgger, PPO with a privileged critic, asymmetric actor-critic distillation; the preset's by default."""
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
        sizes = self._sizes(sizes or PRESETS[self.preset])
        started, rows = time.perf_counter(), []
        for job in self._jobs(sizes):
            try:
                rows.append((job, self._one(sizes, job, started)))
            except Stopped as stop:
                print(f"\n{job.place}: {stop}", file=sys.stderr)
                return 1 if "DIVERGED" in str(stop) else 130
        self._write(sizes, rows)
        return 0

    def _sizes(self, sizes: Preset) -> Preset:
        """The preset with what the command line changes."""
        from simenv.scripts.common import parse_task_arguments

        given = {"modes": self.modes, "methods": self.methods, "expert": self.expert}
        given["options"] = parse_task_arguments(self.env_args) or None
        sizes = dataclasses.replace(sizes, **{name: value for name, value in given.items() if value is not None})
        if "aacd" in sizes.methods and sizes.expert != "ppo":
            raise ValueError("aacd starts from a critic; use --expert ppo, or --methods without aacd")
        return sizes

    def _jobs(self, sizes: Preset) -> list[Job]:
        """All trainings in order."""
        jobs = []
        for seed in range(sizes.seeds):
            folder = self.out / self.id.split("/")[-1] / f"seed-{seed}"
            expert = folder / "expert" if sizes.expert == "ppo" else None
            jobs.append(Job(PRIVILEGED, "ppo" if expert else None, seed, folder / "expert", None))
            jobs += [Job(m, a, seed, folder / f"{m}-{a}", expert) for m in sizes.modes for a in sizes.methods]
        return jobs

    def _one(self, sizes: Preset, job: Job, started: float) -> dict[str, Any]:
        """One training and its evaluation; if both are on the disk, that."""
        from simenv.agents.checkpoint import write_atomically
        from simenv.scripts.learn import Plan

        wanted = {"id": self.id, "sizes": _plain(dataclasses.asdict(sizes)), "augment": self.augment}
        for name in ("modes", "methods"):  # which others are trained does not matter
            wanted["sizes"].pop(name)
        done = job.place / "evaluation.json"
        if done.exists():
            result = json.loads(done.read_text())
            if result.pop("wanted") != wanted:
                raise ValueError(f"{done} is of other settings; use another --out, or remove {job.place}")
            return result
        leader = job.place.name == "expert"
        plan = Plan(
            self.id,
            job.method or "dagger",
            sizes.num_envs,
            actor_mode=job.mode,
            critic_mode=PRIVILEGED,
            expert=job.expert,
            augment=self._augmentation(job) if not leader else None,
            options={"device": self.device} | sizes.options,
        )
        trained = self._train(sizes, job, plan, started) if job.method else None
        returns, success = plan.evaluate(trained.model.act if trained else None, sizes.starts)
        print(f"\r{job.place}: success {float(success.float().mean()):.3f} of {len(success)}", file=sys.stderr)
        result = {"successes": int(success.sum()), "trials": len(success), "mean_return": float(returns.mean())}
        if trained:
            result |= {"train_steps": trained.timesteps, "train_seconds": trained.seconds}
        job.place.mkdir(parents=True, exist_ok=True)
        with write_atomically(done) as file:
            file.write(json.dumps(result | {"wanted": wanted}).encode())
        return result

    def _augmentation(self, job: Job) -> Any:
        from simenv.agents.augment import AugmentConfig

        return AugmentConfig() if self.augment and job.method in ("ppo", "aacd") else None

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
        if trained.code is not Code.MAX_SIMULATED_STEPS and trained.timesteps < steps:
            raise Stopped(f"{trained.code.name}; the same command goes on")
        return trained

    def _write(self, sizes: Preset, rows: list[tuple[Job, dict[str, Any]]]) -> None:
        """The table as Markdown and JSON, over all seeds."""
        from simenv.agents.checkpoint import write_atomically

        published = TACSL.get(self.id.split("/")[-1].split("-v")[0], {})
        lines = ["| observation | method | success | 95 % interval | by seed | TacSL |", "|---|---|---|---|---|---|"]
        table = []
        groups: dict[tuple[str, str | None, bool], list[dict[str, Any]]] = {}
        for job, result in rows:
            groups.setdefault((job.mode, job.method, job.place.name == "expert"), []).append(result)
        for (mode, method, leader), runs in groups.items():
            wins, trials = (sum(run[key] for run in runs) for key in ("successes", "trials"))
            low, high = wilson(wins, trials)
            theirs = published.get(mode, {}).get(method or "")
            name = ("PPO (expert)" if method else "controller") if leader else METHODS[method or ""]
            entry = {"mode": mode, "method": name, "success": wins / trials, "low": low, "high": high}
            table.append(entry | {"trials": trials, "tacsl": theirs, "runs": runs})
            seeds = " ".join(f"{run['successes'] / run['trials']:.3f}" for run in runs)
            shown = "" if theirs is None else f"{theirs:.3f}"
            lines.append(f"| {mode} | {name} | {wins / trials:.3f} | {low:.3f} to {high:.3f} | {seeds} | {shown} |")
        document = {"id": self.id, "preset": self.preset, "sizes": dataclasses.asdict(sizes), "rows": table}
        self.table.parent.mkdir(parents=True, exist_ok=True)
        for ending, text in ((".md", "\n".join(lines) + "\n"), (".json", json.dumps(document, indent=1) + "\n")):
            with write_atomically(self.table.with_name(self.table.name + ending)) as file:
                file.write(text.encode())
        print("\n".join(lines))


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(value))


if __name__ == "__main__":
    sys.exit(tyro.cli(BenchmarkTouch, config=(tyro.conf.FlagCreatePairsOff,)).run())
