# SPDX-License-Identifier: Apache-2.0
"""What `simenv optimize` and `simenv train` share: run folders, the progress line, recording the result."""

import dataclasses
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

INTERRUPTED = 130


def run_folder(out: Path | None, kind: str, id: str, label: str, seed: int, resume: bool) -> Path:
    """The folder of a run, which no other run may have used unless it is resumed.

    Args:
        out: As given by the user, or None for ``runs/<kind>/<task>-<label>-<seed>``.
        kind: Subcommand.
        id: Environment.
        label: Method or algorithm.
        seed: Seed.
        resume: Whether an existing run goes on.

    Raises:
        FileExistsError: If the folder holds a run and `resume` is False.
    """
    folder = out or Path("runs") / kind / f"{id.split('/')[-1].lower()}-{label}-{seed}"
    if not resume and any((folder / name).exists() for name in ("last", "metrics.csv", "result.json")):
        raise FileExistsError(f"{folder} holds a run already; go on with --resume, or choose another folder with --out")
    return folder


def resume_command(command: Any, name: str, folder: Path) -> str:
    """The command line that resumes a run: the options that differ from their defaults, and --resume.

    Args:
        command: The subcommand's dataclass.
        name: Its name.
        folder: The run's folder.
    """
    words = ["simenv", name, command.id]
    for field in dataclasses.fields(command):
        value = getattr(command, field.name)
        if field.name in ("id", "out", "resume") or value == field.default:
            continue
        flag = field.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *map(str, value if isinstance(value, tuple) else (value,))]
    return shlex.join([*words, "--out", str(folder), "--resume"])


def task_options(env_args: str, container: Path | None) -> dict[str, Any]:
    """Task arguments: a JSON object, and the shorthand --container.

    Raises:
        ValueError: If the JSON is not an object, or the container is given twice.
        FileNotFoundError: If there is no such container file.
    """
    from simenv.scripts.common import parse_task_arguments

    options = parse_task_arguments(env_args)
    if container is not None:
        if "container" in options:
            raise ValueError(f"--container {container} and a container in --env-args; give one of them")
        if not container.is_file():
            raise FileNotFoundError(f"--container {container}: no such file; give a mesh such as an .stl")
        options["container"] = str(container)
    return options


class Progress:
    """A progress bar on a terminal, and a line now and then elsewhere.

    Args:
        total: Steps in all.
        unit: What a step is.
        done: Steps done before (a resumed run).
    """

    def __init__(self, total: int, unit: str, done: int = 0) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        console = Console(stderr=True)
        self.total, self.unit, self.shown, self.live = total, unit, -1, console.is_terminal
        columns = (
            TextColumn(unit),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        self.bar = Bar(*columns, console=console, disable=not self.live)
        self.task = self.bar.add_task(unit, total=total, completed=done, text="")

    def __enter__(self) -> "Progress":
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def update(self, done: int, values: Mapping[str, str]) -> None:
        """Shows how far it is.

        Args:
            done: Steps done.
            values: Name -> formatted number.
        """
        text = "  ".join(f"{name} {value}" for name, value in values.items())
        self.bar.update(self.task, completed=done, text=text)
        tenth = 10 * done // max(1, self.total)
        if not self.live and tenth != self.shown:
            self.shown = tenth
            print(f"{self.unit} {done}/{self.total}  {text}", file=sys.stderr, flush=True)


def record_actions(id: str, actions: Any, seed: int, folder: Path, video: bool, options: dict[str, Any]) -> float:
    """Plays open-loop actions in one world and records the episode.

    Args:
        id: Environment.
        actions: (T, A).
        seed: Seed of the episode.
        folder: Run folder; the recording goes to its ``rollout``, the video to ``rollout.mp4``.
        video: Whether to make a video.
        options: Arguments of ``gym.make_vec``.

    Returns:
        The return of the recorded episode.
    """
    import contextlib
    import shutil

    import numpy as np

    from simenv.rollouts import Recorder
    from simenv.scripts.common import make_vec

    shutil.rmtree(folder / "rollout", ignore_errors=True)  # of an earlier part of the same run
    env = make_vec(id, num_envs=1, output="numpy", autoreset_mode="disabled", **options)
    try:
        with contextlib.ExitStack() as stack:
            recorder = stack.enter_context(Recorder(folder / "rollout", env))
            film = None
            if video:
                from simenv.rollouts.replay import filming

                core = env.unwrapped
                film = stack.enter_context(filming(core, folder / "rollout.mp4", 1.0 / core.world.dt))
            recorder.reset(seed=seed)
            total = 0.0
            for action in np.asarray(actions, env.single_action_space.dtype):
                _, reward, terminated, truncated, _ = recorder.step(action[None])
                total += float(reward[0])
                if film is not None:
                    film(env.unwrapped.state)
                if terminated[0] or truncated[0]:
                    break
        return total
    finally:
        env.close()
