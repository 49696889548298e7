# SPDX-License-Identifier: Apache-2.0
"""``simenv train ID``"""

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from simenv.scripts import runs

Work = Callable[[Any], Any]
"""What trains, given what to call after each iteration."""


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a feedback policy.

    ppo, bc, dagger and aacd run on torch tensors where the simulation runs; actor and critic may have observation modes
    of their own. sb3_ppo and sb3_sac are Stable-Baselines3's.

    OUT gets metrics.csv, TensorBoard events, checkpoints, and in OUT/policy the policy, as safetensors and JSON. Ctrl-C
    finishes the iteration and saves (a second one stops at once); --resume goes on from the last checkpoint with the
    same numbers.
    """

    id: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="ID")]]
    """Environment, for example SimEnv/Pouring-v0."""
    algorithm: Literal["ppo", "bc", "dagger", "aacd", "sb3_ppo", "sb3_sac"] = "ppo"
    """Proximal policy optimisation, cloning or DAgger from an expert, a new actor under a learnt critic (AACD), or
    Stable-Baselines3's PPO and SAC.
    """
    actor_mode: str | None = None
    """Observation mode of the policy; the task's first by default."""
    critic_mode: str | None = None
    """Observation mode of the critic (ppo, aacd); the actor's by default."""
    expert: Path | None = None
    """Run folder of the expert (bc, dagger; the task's own controller by default), or of stage 1 (aacd)."""
    freeze_critic: bool = False
    """Keep the critic of stage 1 as it is (aacd)."""
    augment: bool = False
    """Change the actor's images at random: colours, channels, crop (ppo, aacd)."""
    out: Path | None = None
    """Run folder; runs/train/TASK-ALGORITHM-SEED by default."""
    resume: bool = False
    """Go on from the last checkpoint in OUT."""
    seed: int = 0
    """Seed of the networks, the exploration and the episodes (world i starts with seed + i)."""
    timesteps: int = 200_000
    """Control steps to train for, summed over worlds; rounded up to whole iterations (sb3_sac: steps of all worlds)."""
    num_envs: int = 16
    """Worlds simulated together."""
    lr: float = 3e-4
    """Adam's learning rate."""
    gamma: float = 0.99
    """Discount per control step (not bc, dagger)."""
    rollout_steps: int = 64
    """Control steps of each world per iteration."""
    batch_size: int = 256
    """Transitions per gradient step."""
    net_arch: tuple[int, ...] = (128, 128)
    """Widths of the hidden layers."""
    checkpoint_every: int = 10
    """Iterations between checkpoints."""
    device: str | None = None
    """Device of the simulation: cpu or cuda:0; CUDA where there is one by default."""
    policy_device: str = "cpu"
    """Device of the networks of sb3_ppo and sb3_sac; small ones are faster on the CPU."""
    steps: int | None = None
    """Episode length limit [control steps]; the task's own by default."""
    container: Path | None = None
    """Mesh of the container (.stl, .obj, ...), for tasks that take one."""
    env_args: str = ""
    """Other task arguments as a JSON object."""

    def run(self) -> int:
        """Train; 0 when all steps were done, 1 when it diverged, 130 when it was interrupted."""
        from simenv.agents.checkpoint import has_checkpoint, load_checkpoint
        from simenv.agents.log import RunLog
        from simenv.agents.result import Code
        from simenv.scripts.common import require_task

        require_task(self.id)
        options = runs.task_options(self.env_args, self.container)
        folder = runs.run_folder(self.out, "train", self.id, self.algorithm, self.seed, self.resume)
        before = load_checkpoint(folder)[2] if self.resume and has_checkpoint(folder) else None
        options |= {"device": self.device}
        options |= {"max_episode_steps": self.steps} if self.steps is not None else {}
        work = self._sb3(folder, options) if self.algorithm.startswith("sb3_") else self._torch(folder, options)
        log = RunLog(folder, "timesteps", before)
        try:
            with runs.Progress(self._planned(), "step", before or 0) as progress:

                def report(steps: int, metrics: Mapping[str, float]) -> None:
                    log.write(steps, metrics)
                    progress.update(steps, _shown(metrics))

                result = work(report)
        finally:
            log.close()
        reason = "all timesteps were spent" if result.code is Code.MAX_SIMULATED_STEPS else str(result.code)
        print(reason)
        print(f"{_summary(result)}; {result.timesteps} steps, {result.seconds:.1f} s; {folder}")
        if result.code is Code.INTERRUPTED:
            print(f"resume with: {runs.resume_command(self, 'train', folder)}", file=sys.stderr)
            return runs.INTERRUPTED
        return int(result.code is Code.DIVERGED)

    def _planned(self) -> int:
        """Control steps that will be simulated; says so where they are more than was asked for."""
        one_by_one = self.algorithm == "sb3_sac"
        unit = self.num_envs * (1 if one_by_one else self.rollout_steps)
        planned = -(-self.timesteps // unit) * unit
        if planned > self.timesteps > 0:
            made_of = f"{self.num_envs} worlds" + ("" if one_by_one else f" x {self.rollout_steps} steps")
            reason = f"{self.algorithm} trains in units of {unit} ({made_of})"
            print(f"--timesteps {self.timesteps} becomes {planned}: {reason}", file=sys.stderr)
        return planned

    def _torch(self, folder: Path, options: dict[str, Any]) -> Work:
        """Training by an agent on torch tensors."""
        from simenv.agents.augment import AugmentConfig
        from simenv.scripts.learn import Plan

        names = ("id", "algorithm", "num_envs", "actor_mode", "critic_mode", "expert", "freeze_critic")
        augment = AugmentConfig() if self.augment else None
        plan = Plan(**{name: getattr(self, name) for name in names}, augment=augment, options=options)
        names = ("timesteps", "seed", "gamma", "rollout_steps", "batch_size", "checkpoint_every", "resume")
        values = {name: getattr(self, name) for name in names}
        values |= {"learning_rate": self.lr, "hidden": tuple(self.net_arch), "checkpoint_dir": str(folder)}
        return lambda report: plan.train(values, report)

    def _sb3(self, folder: Path, options: dict[str, Any]) -> Work:
        """Training by Stable-Baselines3."""
        from simenv.agents import sb3

        config = self._config(folder)

        def work(report: Any) -> Any:
            env = self._environment(options | ({"observation_mode": self.actor_mode} if self.actor_mode else {}))
            try:
                return sb3.train(env, config, report)
            finally:
                env.close()

        return work

    def _config(self, folder: Path) -> Any:
        """The algorithm's options."""
        from simenv.agents.sb3 import PPOConfig, SACConfig

        kind = PPOConfig if self.algorithm == "sb3_ppo" else SACConfig
        return kind(
            timesteps=self.timesteps,
            seed=self.seed,
            num_envs=self.num_envs,
            learning_rate=self.lr,
            gamma=self.gamma,
            rollout_steps=self.rollout_steps,
            batch_size=self.batch_size,
            net_arch=tuple(self.net_arch),
            device=self.policy_device,
            checkpoint_dir=str(folder),
            checkpoint_every=self.checkpoint_every,
            resume=self.resume,
        )

    def _environment(self, options: dict[str, Any]) -> Any:
        from simenv.envs.sb3 import make_sb3_env

        try:
            return make_sb3_env(self.id, self.num_envs, **options)
        except TypeError as error:
            raise ValueError(f"{self.id}: {error}; `simenv info {self.id}` lists the arguments") from error


def _shown(metrics: Mapping[str, float]) -> dict[str, str]:
    """What the progress line says of the last 100 episodes."""
    value, success = (metrics.get(f"rollout/{name}", math.nan) for name in ("ep_rew_mean", "success_rate"))
    if math.isnan(value):
        return {"no episode": "has ended yet"}
    return {"return": f"{value:.4g}", "success": f"{success:.4g}"}


def _summary(result: Any) -> str:
    """Return and success, and of how many episodes."""
    if not result.episodes:
        return "no episode has ended"
    episodes = "1 episode" if result.episodes == 1 else f"the last {result.episodes} episodes"
    return f"return {result.episode_return:.6g}, success rate {result.success_rate:.3g} over {episodes}"
