# SPDX-License-Identifier: Apache-2.0
"""``simenv demo``: the main job, end to end, in a few minutes."""

import dataclasses
import time
from pathlib import Path
from typing import Any

from simenv._files import write_text
from simenv.scripts import runs

TASK = "SimEnv/Pouring-v0"
METHODS = {"random": "random actions", "cma": "CMA-ES", "gradient": "gradient (through the simulation)"}


@dataclasses.dataclass(frozen=True)
class Demo:
    """Watch a glass learn to pour: optimise SimEnv/Pouring-v0 through the simulation's gradients, and compare.

    OUT gets rollout-*.h5 (a recording that replays exactly), video.mp4, learning_curve.png and report.md.
    """

    out: Path = Path("runs/demo")
    """Where the results go; results of an earlier demo there are replaced."""
    seed: int = 0
    """Seed of the episode and of the searches."""
    iterations: int = 16
    """Gradient iterations at most; the other methods get as many simulated steps."""
    container: Path | None = None
    """A watertight mesh of your own vessel (.stl, .obj, ...; upright, z up) instead of the bowl."""
    container_scale: float = 1.0
    """Its unit in metres: 0.001 for a file in millimetres."""
    device: str | None = None
    """cpu or cuda:0; CUDA where there is one by default."""

    def run(self) -> int:
        """Run the demo; 0 when the pour succeeds, 1 when it does not."""
        started = time.perf_counter()
        options = self._options()
        self.out.mkdir(parents=True, exist_ok=True)
        for old in [*self.out.glob("rollout-*.h5"), *self.out.glob("manifest.json")]:
            old.unlink()
        results = {"gradient": self._gradient(options)}
        budget = results["gradient"].simulated_steps
        for method in ("random", "cma"):
            results[method] = self._search(method, budget, options)
        best = results["gradient"]
        print("recording the best pour, and its video")
        total = self._record(best.actions, options)
        self._plot(results)
        table = self._table(results)
        self._report(table, best, total, time.perf_counter() - started)
        _print_table(table)
        seconds = time.perf_counter() - started
        print(f"{self.out}/: rollout-*.h5, video.mp4, learning_curve.png, report.md  ({seconds:.0f} s)")
        print(f"next: simenv replay {next(iter(sorted(self.out.glob('rollout-*.h5'))))}")
        return int(not best.success)

    def _options(self) -> dict[str, Any]:
        options = {"device": self.device, **runs.task_options("", self.container)}
        if self.container_scale != 1.0:
            options["container_scale"] = self.container_scale
        return options

    def _worlds(self) -> int:
        """As many starts as the CPU steps at once; a GPU has room for more."""
        import torch

        from simenv import get_num_threads

        return 16 if self.device is None and torch.cuda.is_available() else max(2, min(get_num_threads(), 8))

    def _optimize(self, method: str, optimize: Any, config: Any, total: int, options: dict[str, Any]) -> Any:
        from simenv.scripts.common import make_vec

        differentiable = method == "gradient"
        env = make_vec(
            TASK,
            num_envs=self._worlds(),
            output="torch",
            autoreset_mode="disabled",
            differentiable=differentiable,
            **options,
        )
        try:
            with runs.Progress(total, METHODS[method]) as progress:

                def report(record: Any, metrics: Any) -> None:
                    done = record.iteration if differentiable else record.simulated_steps
                    success = "yes" if record.success else "no"
                    progress.update(min(done, total), {"return": f"{record.best_return:.3f}", "success": success})

                return optimize(env, config, report)
        finally:
            env.close()

    def _gradient(self, options: dict[str, Any]) -> Any:
        from simenv.agents.trajectory import GradientConfig, optimize

        config = GradientConfig(
            seed=self.seed, iterations=self.iterations, learning_rate=0.05, init_scale=0.1, screen=1, success_patience=6
        )
        return self._optimize("gradient", optimize, config, self.iterations, options)

    def _search(self, method: str, budget: int, options: dict[str, Any]) -> Any:
        common: dict[str, Any] = {
            "seed": self.seed,
            "iterations": 10**6,
            "max_simulated_steps": budget,
            "stop_on_success": False,
        }
        if method == "cma":
            from simenv.agents import cma_es

            return self._optimize(method, cma_es.optimize, cma_es.CmaConfig(population=8, **common), budget, options)
        from simenv.agents import random_search

        return self._optimize(method, random_search.optimize, random_search.RandomConfig(**common), budget, options)

    def _record(self, actions: Any, options: dict[str, Any]) -> float:
        """Play the best actions once more in one world: recording and video."""
        import numpy as np

        from simenv.rollouts import Recorder
        from simenv.rollouts.replay import filming
        from simenv.scripts.common import make_vec

        env = make_vec(TASK, num_envs=1, output="numpy", autoreset_mode="disabled", **options)
        total = 0.0
        with (
            Recorder(self.out, env) as recorder,
            filming(env.unwrapped, self.out / "video.mp4", 1 / env.unwrapped.world.dt) as film,
        ):
            recorder.reset(seed=self.seed)
            film(env.unwrapped.state)
            for action in np.asarray(actions, env.single_action_space.dtype):
                _, reward, _, _, _ = recorder.step(action[None])
                film(env.unwrapped.state)
                total += float(reward[0])
        env.close()
        return total

    def _plot(self, results: dict[str, Any]) -> None:
        from simenv.render.plots import learning_curve

        curves = {}
        for method, result in results.items():
            steps = [record.simulated_steps for record in result.history]
            curves[METHODS[method]] = (steps, [record.best_return for record in result.history])
        learning_curve(self.out / "learning_curve.png", curves, "simulated control steps", "best return", "Pouring-v0")

    def _table(self, results: dict[str, Any]) -> list[list[str]]:
        rows = [["method", "simulated steps", "best return", "success", "seconds"]]
        for method in METHODS:
            r = results[method]
            success = "yes" if r.success else "no"
            rows.append([METHODS[method], f"{r.simulated_steps}", f"{r.best_return:.3f}", success, f"{r.seconds:.0f}"])
        return rows

    def _report(self, table: list[list[str]], best: Any, total: float, seconds: float) -> None:
        import platform

        import warp as wp

        import simenv

        versions = f"simenv {simenv.__version__}, Warp {wp.__version__}, Python {platform.python_version()}"
        lines = ["| " + " | ".join(row) + " |" for row in table]
        lines.insert(1, "|" + "---|" * len(table[0]))
        recording = next(iter(sorted(self.out.glob("rollout-*.h5"))))
        text = f"""# {TASK}: a pour, optimised through the simulation

Episode seed {self.seed}; {versions}, {platform.machine()}.

{chr(10).join(lines)}

Simulated steps are forward control steps of one world. The gradient method re-simulates each of them once more in its
reverse sweep ({best.gradient_steps} steps), which is in its seconds. {best.code}

The best pour was recorded (return {total:.3f}) and filmed: `simenv replay {recording}`
re-simulates it from its actions and reports the deviation. The whole demo took {seconds:.0f} s.

![learning curve](learning_curve.png)
"""
        write_text(self.out / "report.md", text)


def _print_table(rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*rows[0], title="the same number of simulated steps (CMA-ES: whole populations)")
    for row in rows[1:]:
        table.add_row(*row)
    Console().print(table)
