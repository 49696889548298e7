# SPDX-License-Identifier: Apache-2.0
"""``simenv record ID``"""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from simenv.scripts.common import make_vec, parse_task_arguments


@dataclasses.dataclass(frozen=True)
class Record:
    """Record episodes to a directory: one HDF5 file each, and a manifest that can rebuild the environment.

    Recording into a directory again adds to it. Killing the process loses the episodes in progress only.
    """

    id: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="ID")]]
    """Environment, for example SimEnv/Pouring-v0."""
    out: Path = Path("runs/record")
    """Directory to write."""
    episodes: int = 1
    """Episodes to record."""
    policy: str = "random"
    """random, zero, nominal (the task's plain motion towards its goal), expert (its controller with the true state), a
    .npy file of actions (T, A) or (T, N, A), or the folder of an `optimize` or `train` run."""
    num_envs: int = 1
    """Worlds simulated together."""
    steps: int | None = None
    """Episode length limit [control steps]; the task's own by default."""
    seed: int = 0
    """World i gets seed + i."""
    device: str | None = None
    """cpu or cuda:0; CUDA where there is one by default."""
    dtype: Literal["float32", "float64"] = "float32"
    """Precision."""
    states: Literal["all", "keyframes", "none"] = "keyframes"
    """Which states to keep for `simenv replay --mode states` and for comparison."""
    stride: int = 10
    """Control steps between keyframes."""
    video: bool = False
    """Also write an MP4 of the first world, OUT/rollout.mp4."""
    env_args: str = ""
    """Task arguments as a JSON object."""

    def run(self) -> int:
        """Record, with a progress bar on a terminal."""
        if self.episodes < 1 or self.num_envs < 1:
            raise ValueError(f"--episodes {self.episodes} and --num-envs {self.num_envs} must be at least 1")
        if self.seed < 0:
            raise ValueError(f"--seed {self.seed} must be at least 0")
        options: dict[str, Any] = {
            "num_envs": min(self.num_envs, self.episodes),
            "dtype": self.dtype,
            "output": "numpy",
        }
        options |= {"device": self.device} if self.device else {}
        options |= {"max_episode_steps": self.steps} if self.steps is not None else {}
        env = make_vec(self.id, **options | _wanted_mode(self.policy) | parse_task_arguments(self.env_args))
        try:
            return self._record(env)
        finally:
            env.close()

    def _record(self, env: Any) -> int:
        import contextlib

        from rich.console import Console
        from rich.progress import Progress

        from simenv.rollouts import Recorder
        from simenv.rollouts.replay import filming

        policy = make_policy(self.policy, env, self.seed)
        console = Console(stderr=True)
        with contextlib.ExitStack() as stack:
            recorder = stack.enter_context(
                Recorder(
                    self.out,
                    env,
                    states=self.states,
                    stride=self.stride,
                    keep_partial=False,
                    episodes=self.episodes,
                )
            )
            film = None
            if self.video:
                film = stack.enter_context(
                    filming(env.unwrapped, self.out / "rollout.mp4", 1.0 / env.unwrapped.world.dt)
                )
            progress = stack.enter_context(Progress(console=console, disable=not console.is_terminal, transient=True))
            bar = progress.add_task("recording (the first time compiles kernels)", total=self.episodes)
            first = recorder.episode_count
            observation, _ = recorder.reset(seed=self.seed)
            ages = np.zeros(env.num_envs, int)
            while not recorder.done:
                observation, _, terminated, truncated, _ = recorder.step(policy(observation, ages))
                over = terminated | truncated
                # The step after the end only resets that world (next-step autoreset); its episode starts after it.
                ages = np.where(over, -1, ages + 1)
                if film is not None:
                    film(env.unwrapped.state)
                progress.update(bar, completed=recorder.episode_count - first)
            rows = recorder.manifest.episodes[first:]
        _summary(rows, self.out)
        return 0


Policy = Callable[[Any, np.ndarray], np.ndarray]


def make_policy(name: str, env: Any, seed: int) -> Policy:
    """A function from observations (N, ...) and episode steps (N,) to actions (N, A).

    Raises:
        ValueError: Unknown policy, or a file that does not fit the environment.
    """
    space, worlds = env.single_action_space, env.num_envs
    if name == "zero":
        zero = np.zeros((worlds, *space.shape), space.dtype).clip(space.low, space.high)
        return lambda observation, ages: zero
    if name == "random":
        generator = np.random.default_rng(seed)
        return lambda observation, ages: generator.uniform(space.low, space.high, (worlds, *space.shape)).astype(
            space.dtype
        )
    if name == "nominal":
        task = env.unwrapped.task
        motion = task.nominal_actions(task.max_episode_steps)
        if motion is None:
            return make_policy("zero", env, seed)
        return _table_policy(motion[:, None].astype(space.dtype), worlds)
    if name == "expert":
        return _expert(env)
    path = Path(name)
    if path.suffix == ".npy":
        return _table_policy(_load_table(path, space, worlds), worlds)
    if path.is_dir():
        return _trained_policy(path, env)
    raise ValueError(
        f"--policy {name!r}: use random, zero, nominal, expert, a .npy file of actions, or the folder of a run"
    )


def _expert(env: Any) -> Policy:
    """The task's own controller, which knows the true state."""
    from simenv.envs import Task
    from simenv.rollouts.access import host

    core = env.unwrapped
    if type(core.task).expert is Task.expert:
        raise ValueError(f"--policy expert: {type(core.task).__name__} has none; use nominal, or train one")
    return lambda observation, ages: host(core.task.expert(core.world, core.state, core.episode))


def _load_table(path: Path, space: Any, worlds: int) -> np.ndarray:
    """Actions (T, N or 1, A) of a .npy file."""
    try:
        actions = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"--policy {path}: not readable as a NumPy array of numbers ({error})") from error
    if actions.dtype.kind not in "fiu":
        raise ValueError(f"--policy {path}: actions have dtype {actions.dtype}; save real numbers")
    table = actions[:, None] if actions.ndim == 2 else actions
    if table.ndim != 3 or not len(table) or table.shape[1] not in (1, worlds) or table.shape[2:] != space.shape:
        raise ValueError(
            f"--policy {path}: actions have shape {actions.shape}; they must be (T, {space.shape[0]}) or "
            f"(T, {worlds}, {space.shape[0]})"
        )
    return table.astype(space.dtype)


def _table_policy(table: np.ndarray, worlds: int) -> Policy:
    """Open-loop actions; after the last one it is held, so that the episode can end."""
    full = np.broadcast_to(table, (len(table), worlds, table.shape[2]))
    return lambda observation, ages: full[np.clip(ages, 0, len(full) - 1), np.arange(worlds)]


def _trained_policy(path: Path, env: Any) -> Policy:
    """The actions that `simenv optimize` found, or the policy that `simenv train` trained."""
    if (path / "best_actions.npy").exists():
        return _table_policy(
            _load_table(path / "best_actions.npy", env.single_action_space, env.num_envs), env.num_envs
        )
    from simenv.agents.policy import TorchPolicy, load_policy

    policy = load_policy(path)
    if isinstance(policy, TorchPolicy):
        _check_observations(policy, env, path)
        return lambda observation, ages: policy(observation)
    for name in ("observation", "action"):
        wanted, given = getattr(policy.network, f"{name}_space"), getattr(env, f"single_{name}_space")
        if wanted.shape != given.shape:
            raise ValueError(f"--policy {path}: trained for {name}s {wanted.shape}, this environment has {given.shape}")
    return lambda observation, ages: policy(observation)


def _check_observations(policy: Any, env: Any, path: Path) -> None:
    """Raise ValueError when an environment lacks what a policy of the torch agents reads."""
    from gymnasium.spaces import Dict

    from simenv.envs.views import BARE

    space = env.single_observation_space
    given = {name: part.shape for name, part in space.items()} if isinstance(space, Dict) else {BARE: space.shape}
    # what is no image is a vector to the policy, whatever its shape
    fits = [
        shape in (given.get(name), (math.prod(given.get(name, (0,))),))
        for name, shape in policy.actor.trunk.shapes.items()
    ]
    if not all(fits):
        raise ValueError(
            f"--policy {path}: trained for observations {policy.actor.trunk.shapes}, this environment has {given}"
        )


def _wanted_mode(name: str) -> dict[str, Any]:
    """The observation mode that a policy of the torch agents was trained on, as an option of the environment."""
    path = Path(name)
    if not path.is_dir() or (path / "best_actions.npy").exists():
        return {}
    from simenv.agents.policy import load_policy

    mode = getattr(load_policy(path), "mode", None)
    return {"observation_mode": mode} if mode else {}


def _summary(rows: list[dict], directory: Path) -> None:
    returns = [row["return"] for row in rows if row["return"] is not None]
    successes = sum(bool(row["outcome"].get("success")) for row in rows)
    failures = sum(bool(row["outcome"].get("sim_status")) for row in rows)
    mean = f"{np.mean(returns):.4g}" if returns else "none"
    print(f"recorded {len(rows)} episodes in {directory}: mean return {mean}, {successes} successes")
    if failures:
        print(f"{failures} of them ended because the simulation failed; `simenv replay {directory}` reproduces that")
