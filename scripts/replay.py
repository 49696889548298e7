# SPDX-License-Identifier: Apache-2.0
"""``simenv replay FILE``"""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import tyro

from simenv.scripts.common import make_vec, parse_task_arguments


@dataclasses.dataclass(frozen=True)
class Replay:
    """Replay a recording, or a real motion, in the simulator.

    FILE is a directory or rollout-*.h5 written by `simenv record`: its actions are simulated again from the recorded
    initial state and every number is compared (bit-exact on the CPU with the same versions); exit status 1 when they
    deviate by more than --tolerance.

    FILE may also be a CSV of a real tool's poses, with the header `time [s], x,y,z [m], qx,qy,qz,qw`, and needs --env.
    """

    file: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FILE")]]
    """Recording (directory or .h5), or motion (.csv)."""
    episode: int | None = None
    """Which episode of a directory (from 0); all by default."""
    mode: Literal["actions", "states"] = "actions"
    """Simulate again from the actions, or show the stored states."""
    device: str | None = None
    """cpu or cuda:0; for a recording, the recorded device by default."""
    tolerance: float = 0.0
    """Largest deviation, in each quantity's own unit, that counts as reproduced."""
    video: Path | None = None
    """Write an MP4 (of the chosen episode, or of the first)."""
    width: int = 480
    """Video width [pixel]."""
    height: int = 360
    """Video height [pixel]."""
    json: bool = False
    """Print the report as JSON."""

    env: str = ""
    """Motion: environment to replay it in, for example SimEnv/Pouring-v0."""
    env_args: str = ""
    """Motion: task arguments as a JSON object."""
    seed: int = 0
    """Motion: seed of the episode."""
    body: str | None = None
    """Motion: the body that moves; the first one that moves as told, the tool, or else the first hand by default."""
    drive: Literal["auto", "action", "twist", "goal"] = "auto"
    """Motion: through the task's actions and their limits; exactly, by the body's twist; or by the goal of a hand,
    whose impedance then pulls it along."""
    frame: Literal["relative", "world"] = "relative"
    """Motion: start at the body's initial pose, or take the poses as the simulation's world frame."""

    def run(self) -> int:
        """Replay and print the report."""
        from rich.console import Console

        # A sign of life on a terminal: pictures take a fraction of a second each, new kernels up to a minute.
        with Console(stderr=True).status("simulating (the first time compiles kernels)"):
            show = self._motion() if self.file.suffix.lower() == ".csv" else self._recording()
        return show()

    def _recording(self) -> Callable[[], int]:
        """Replay episodes; returns what prints the report and gives the exit status."""
        from simenv.rollouts import Recording, RolloutError, replay

        if not self.tolerance >= 0.0:
            raise RolloutError(f"--tolerance {self.tolerance} must be at least 0")
        recording = Recording(self.file)
        if self.episode is not None and not 0 <= self.episode < len(recording):
            raise RolloutError(f"--episode {self.episode}: {self.file} has episodes 0 to {len(recording) - 1}")
        chosen = range(len(recording)) if self.episode is None else [self.episode]
        reports, failures = {}, {}
        for index in chosen:
            name = recording.files[index].name
            try:
                video = self.video if index == chosen[0] else None
                episode = recording[index]
            except RolloutError as error:
                failures[name] = str(error)
                continue
            reports[name] = replay(
                episode, self.mode, device=self.device, video=video, width=self.width, height=self.height
            )

        def show() -> int:
            if self.json:
                content = {name: dataclasses.asdict(report) for name, report in reports.items()}
                print(json.dumps({"episodes": content, "errors": failures}, indent=1))
            else:
                _show_reports(reports)
            for message in failures.values():
                print(f"simenv: error: {message}", file=sys.stderr)
            deviated = any(report.max_deviation > self.tolerance for report in reports.values())
            return 2 if failures else int(deviated)

        return show

    def _motion(self) -> Callable[[], int]:
        """Replay a real motion; returns what prints the report and gives the exit status."""
        from simenv.rollouts import RolloutError, load_motion, replay_motion

        motion = load_motion(self.file)
        if not self.env:
            raise RolloutError(
                f"{self.file} is a motion; say where to replay it with --env, for example --env SimEnv/Pouring-v0"
            )
        options = {
            "num_envs": 1,
            "output": "torch",
            "autoreset_mode": "disabled",
            **parse_task_arguments(self.env_args),
        }
        if self.device:
            options["device"] = self.device
        env = make_vec(self.env, **options)
        try:
            report = replay_motion(
                motion, env, seed=self.seed, body=self.body, drive=self.drive, frame=self.frame,
                video=self.video, width=self.width, height=self.height,
            )  # fmt: skip
        finally:
            env.close()

        def show() -> int:
            if self.json:
                print(json.dumps(dataclasses.asdict(report), indent=1))
            else:
                _show_motion(report)
            return int(report.sim_status != 0)

        return show


def _show_reports(reports: dict) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    for name, report in reports.items():
        if report.exact is None:
            console.print(f"{name}: showed {report.steps} stored states")
        elif report.exact:
            console.print(f"{name}: {report.steps} steps on {report.device}, reproduced bit for bit")
        else:
            console.print(f"{name}: {report.steps} steps on {report.device}, deviates")
            table = Table("quantity", "unit", "max", "rms", "first step", box=None, pad_edge=False)
            for item in report.deviations:
                first = "-" if item.first_step is None else str(item.first_step)
                table.add_row(item.name, escape(item.unit), f"{item.max:.3g}", f"{item.rms:.3g}", first)
            console.print(table)
        for remark in report.remarks:
            console.print(f"  note: {remark}", markup=False)
        if report.video:
            console.print(f"  video: {report.video}", markup=False)


def _show_motion(report) -> None:
    print(f"moved {report.body} for {report.duration:.3g} s ({report.steps} control steps) by {report.drive}")
    print(f"position error  max {report.position_error_max * 1e3:.3g} mm, rms {report.position_error_rms * 1e3:.3g} mm")
    print(f"angle error     max {report.angle_error_max:.3g} rad, rms {report.angle_error_rms:.3g} rad")
    if report.limited_steps:
        steps = report.limited_steps
        print(f"limited         {steps} steps were beyond the action limits; --drive twist or goal has none")
    for name, value in report.evaluation.items():
        print(f"{name:<15} {value if isinstance(value, bool) else format(value, '.6g')}")
    if report.sim_status:
        print(f"simulation stopped: {report.sim_status_message}")
    if report.video:
        print(f"video           {report.video}")
