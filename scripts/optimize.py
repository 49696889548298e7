# SPDX-License-Identifier: Apache-2.0
"""``simenv optimize ID``"""

import dataclasses
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from simenv.scripts import runs


@dataclasses.dataclass(frozen=True)
class Optimize:
    """Optimise open-loop actions for one episode: by gradients through the simulation, by CMA-ES, or by random search.

    OUT gets best_actions.npy (T, A), result.json, metrics.csv, TensorBoard events, checkpoints, and in OUT/rollout the
    recorded best episode. Ctrl-C keeps everything up to the last finished iteration; --resume goes on from there with
    the same numbers.
    """

    id: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="ID")]]
    """Environment, for example SimEnv/Pouring-v0."""
    method: Literal["gradient", "cma", "random"] = "gradient"
    """Optimiser; all three search the same actions and count simulated steps alike."""
    out: Path | None = None
    """Run folder; runs/optimize/TASK-METHOD-SEED by default."""
    resume: bool = False
    """Go on from the last checkpoint in OUT."""
    seed: int = 0
    """Seed of the episode and of the search."""
    starts: int = 16
    """Worlds simulated together: so many starts (gradient) or candidates at once (others)."""
    iterations: int = 100
    """Iterations at most."""
    max_simulated_steps: int | None = None
    """Budget of forward control steps, summed over worlds."""
    horizon: Annotated[int | None, tyro.conf.arg(aliases=["--steps"])] = None
    """Control steps of the episode; the task's own length by default."""
    knots: int | None = None
    """B-spline control points per action: a fifth of the horizon by default, 0 for one free action per step."""
    patience: int | None = None
    """Stop after so many iterations without improvement."""
    # The help of a switch that is on is that of --no-...
    stop_on_success: Annotated[
        bool,
        tyro.conf.arg(
            help="Go on when the task succeeds; otherwise it stops there (after --success-patience more iterations).",
            help_behavior_hint="",
        ),
    ] = True
    success_patience: int = 0
    """Iterations to go on improving after the first success."""
    screen: int = 4
    """Gradient: random motions tried per start beforehand; the best become the starts."""
    init_scale: float = 1.0
    """Gradient: spread of the random starts, in half action ranges."""
    initial_actions: Path | None = None
    """Start from the actions (T, A) in a .npy file."""
    lr: float = 0.1
    """Gradient: Adam's step, in half action ranges per iteration."""
    horizon_start: int | None = None
    """Gradient: begin with so many steps and lengthen the horizon when the return stops improving."""
    horizon_growth: int = 10
    """Gradient: steps added each time."""
    train_window: int | None = None
    """Gradient: freeze all but the last so many steps of the horizon."""
    sigma: float = 0.3
    """CMA-ES: first standard deviation, in half action ranges."""
    population: int | None = None
    """CMA-ES and random search: candidates per iteration."""
    checkpoint_every: int = 10
    """Iterations between checkpoints."""
    device: str | None = None
    """cpu or cuda:0; CUDA where there is one by default."""
    dtype: Literal["float32", "float64"] = "float32"
    """Precision of the simulation."""
    container: Path | None = None
    """Mesh of the container (.stl, .obj, ...), for tasks that take one."""
    env_args: str = ""
    """Other task arguments as a JSON object."""
    record: Annotated[
        bool, tyro.conf.arg(help="Do not record the best episode into OUT/rollout.", help_behavior_hint="")
    ] = True
    video: bool = False
    """Also write it as a video, OUT/rollout.mp4."""

    def run(self) -> int:
        """Optimise; 0 when it ran to an end, 1 when it diverged, 130 when it was interrupted."""
        from simenv.agents.checkpoint import has_checkpoint, load_checkpoint
        from simenv.agents.log import RunLog
        from simenv.agents.result import Code
        from simenv.scripts.common import make_vec, require_task

        require_task(self.id)
        options = runs.task_options(self.env_args, self.container)
        folder = runs.run_folder(self.out, "optimize", self.id, self.method, self.seed, self.resume)
        before = load_checkpoint(folder)[2] if self.resume and has_checkpoint(folder) else None
        optimize, config = self._method(folder)
        options |= {"device": self.device, "dtype": self.dtype}
        options |= {"max_episode_steps": self.horizon} if self.horizon else {}
        started = time.perf_counter()
        env = make_vec(
            self.id,
            num_envs=self.starts,
            output="torch",
            autoreset_mode="disabled",
            differentiable=self.method == "gradient",
            **options,
        )
        log = RunLog(folder, "iteration", before)
        try:
            with runs.Progress(self.iterations, "iteration", before or 0) as progress:

                def report(record: Any, metrics: Mapping[str, float]) -> None:
                    log.write(record.iteration, {**_columns(record), **metrics})
                    best = f"{record.best_return:.4g}"
                    progress.update(record.iteration, {"return": best, "success": "yes" if record.success else "no"})

                result = optimize(env, config, report)
        finally:
            log.close()
            env.close()
        result.save(folder)
        print(f"{result.code}")
        print(
            f"best return {result.best_return:.6g}, success {'yes' if result.success else 'no'}; "
            f"{len(result.history)} iterations, "
            f"{result.simulated_steps} simulated steps, {result.gradient_steps} gradient steps, "
            f"{time.perf_counter() - started:.1f} s; {folder}"
        )
        if result.code is Code.INTERRUPTED:
            print(f"resume with: {runs.resume_command(self, 'optimize', folder)}", file=sys.stderr)
            return runs.INTERRUPTED
        if (self.record or self.video) and math.isfinite(result.best_return):
            total = runs.record_actions(self.id, result.actions, self.seed, folder, self.video, options)
            print(f"recorded the best episode in {folder / 'rollout'}, return {total:.6g}")
        return int(result.code is Code.DIVERGED)

    def _method(self, folder: Path) -> tuple[Any, Any]:
        """The optimiser and its options."""
        common = {
            name: getattr(self, name)
            for name in ("seed", "horizon", "knots", "starts", "iterations", "max_simulated_steps", "patience")
        }
        common |= {"stop_on_success": self.stop_on_success, "success_patience": self.success_patience}
        common |= {"checkpoint_dir": str(folder), "checkpoint_every": self.checkpoint_every, "resume": self.resume}
        common |= {"initial_actions": str(self.initial_actions) if self.initial_actions else None}
        if self.method == "gradient":
            from simenv.agents.trajectory import GradientConfig, optimize

            return optimize, GradientConfig(
                **common,
                screen=self.screen,
                init_scale=self.init_scale,
                learning_rate=self.lr,
                horizon_start=self.horizon_start,
                horizon_growth=self.horizon_growth,
                train_window=self.train_window,
            )
        if self.method == "cma":
            from simenv.agents import cma_es

            return cma_es.optimize, cma_es.CmaConfig(**common, sigma=self.sigma, population=self.population)
        from simenv.agents import random_search

        return random_search.optimize, random_search.RandomConfig(**common, population=self.population)


def _columns(record: Any) -> dict[str, float]:
    """The record's numbers, named for TensorBoard."""
    return {
        "return/mean": record.return_mean,
        "return/iteration_best": record.return_best,
        "return/best": record.best_return,
        "success/best": float(record.success),
        "success/rate": record.success_rate,
        "cost/simulated_steps": record.simulated_steps,
        "cost/gradient_steps": record.gradient_steps,
        "cost/seconds": record.seconds,
        "search/horizon": record.horizon,
        "search/nonfinite": record.nonfinite,
    }
