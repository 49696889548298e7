# SPDX-License-Identifier: Apache-2.0
"""``simenv view-tactile [FILE]``"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import tyro

from simenv._files import replacing

if TYPE_CHECKING:
    from simenv.render.touch import TouchSeries
    from simenv.rollouts.episode import Episode

TASK = re.compile(r"[\w.]+/[\w.]+-v\d+")


@dataclasses.dataclass(frozen=True)
class ViewTactile:
    """Show touch: tactile image, force-field arrows with markers, and the wrench over time, side by side.

    WHAT is a task of touch, which runs; a recording (directory or rollout-*.h5); or nothing: then a shape is pressed
    into a gel, slid along x, turned about its axis and lifted. A recording of a task of touch is simulated again from
    its actions, so that everything can be shown that was not observed. Of any other recording, and with --field, the
    observations are shown: an array (T, rows, columns, 3) of shear x, shear y and normal force [N], and an image
    (T, H, W, 3) uint8.

    simenv view-tactile --shape box --sensor digit --out box.mp4
    simenv view-tactile SimEnv/BallRoll-v0 --scene --out roll.mp4
    simenv view-tactile runs/peg --episode 3 --gel right --out peg.png
    """

    what: tyro.conf.Positional[Annotated[str | None, tyro.conf.arg(metavar="[WHAT]")]] = None
    """Task or recording; without it a press, a slide and a turn are simulated."""
    out: Path = Path("tactile.mp4")
    """Video (.mp4), or picture (.png) of the time of largest force."""
    sensor: Literal["gelsight", "gelsight-r15", "gelsight-mini", "digit"] | None = None
    """Whose colours, and without a task whose size; a task's own or gelsight-mini by default. gelsight is the R1.5."""
    gel: str | None = None
    """Which gel of a task; its first by default."""
    scene: bool = False
    """Show the task's scene, too."""
    policy: str = "nominal"
    """What a task does: nominal (a plain motion towards the goal), expert (its controller with the true state), random,
    zero, a .npy file of actions (T, A), or the folder of an `optimize` or `train` run."""
    seed: int = 0
    """Of the task's episode."""
    env_args: str = ""
    """Task arguments as a JSON object."""
    episode: int = 0
    """Which episode of a directory."""
    field: str | None = None
    """Show this recorded observation as force field."""
    image: str | None = None
    """Name of the recorded image; not needed where there is at most one."""
    finger: int = 0
    """Which sensor of observations (T, sensors, rows, columns, 3)."""
    shape: str = "sphere"
    """sphere, box, cylinder or capsule of some millimetres, or a watertight mesh file in metres."""
    depth: float = 5e-4
    """How deep the shape is pressed [m]."""
    slide: float = 4e-4
    """How far it is slid [m]."""
    turn: float = 0.1
    """How far it is turned [rad]."""
    taxels: tuple[int, int] = (20, 25)
    """Rows and columns of the force field."""
    stiffness: float = 4e7
    """Of the gel per area [Pa/m]; about 2 E / (pi (1 - nu^2) a) for a contact of radius a."""
    friction: float = 0.8
    """Coefficient of friction."""
    modulus: float | None = None
    """Young's modulus of the gel, which the markers' motion needs [Pa]; that of a task's gel, or 1e5, by default."""
    poisson: float | None = None
    """Poisson's ratio of the gel; that of a task's elastic gel, or 0.48, by default."""
    thickness: float | None = None
    """Of the gel [m]; that of a task's elastic gel, or 0.002, by default."""
    pitch: float | None = None
    """Distance of the markers [m]; 0 draws none. By default 14 fit along the gel's shorter side."""
    magnify: float | None = None
    """Factor of the markers' motion in the plot; chosen to be seen by default."""
    steps: int | None = None
    """Readings of the simulated touch (60 by default), or control steps of a task (its episode by default)."""
    fps: float | None = None
    """Frames per second of the video; those of the control steps by default, or 20."""

    def run(self) -> int:
        """Write the video or picture."""
        from simenv.render.touch import TouchFigure

        self._check()
        series, title = self._series()
        figure = TouchFigure(series, title, self.magnify)
        strongest = int(np.linalg.norm(series.wrench[:, :3], axis=-1).argmax())
        if self.out.suffix == ".png":
            from PIL import Image

            self.out.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.out, self.out.suffix) as temporary:
                Image.fromarray(figure.draw(strongest)).save(temporary)
        else:
            self._film(figure)
        force = np.linalg.norm(series.wrench[strongest, :3])
        when = series.time[strongest]
        print(f"wrote {self.out}: {len(series.time)} readings, largest force {force:.3g} N at {when:.3g} s")
        return 0

    def _check(self) -> None:
        if self.out.suffix not in (".mp4", ".png"):
            raise ValueError(f"--out {self.out} must end in .mp4 (video) or .png (picture)")
        least = 8 if self.what is None else 1
        if self.steps is not None and self.steps < least:
            why = ", two for each part of the motion" if self.what is None else ""
            raise ValueError(f"--steps {self.steps} must be at least {least}{why}")
        for name in ("depth", "fps", "thickness", "modulus"):
            if getattr(self, name) is not None and not getattr(self, name) > 0.0:
                raise ValueError(f"--{name} {getattr(self, name)} must be positive")
        from simenv.scripts.touch_series import THICKNESS

        thickness = self.thickness or THICKNESS
        if self.depth > thickness:
            raise ValueError(f"--depth {self.depth} m is more than the gel's thickness {thickness} m; press less")
        if self.poisson is not None and not 0.0 <= self.poisson <= 0.5:
            raise ValueError(f"--poisson {self.poisson} must lie in [0, 0.5]; gels are near 0.5")
        if self.pitch is not None and (self.pitch < 0.0 or 0.0 < self.pitch < 2e-4):
            raise ValueError(f"--pitch {self.pitch} m must be 0 (no markers) or at least 2e-4 m")

    def _film(self, figure) -> None:
        from rich.console import Console
        from rich.progress import track

        from simenv.render.video import VideoWriter

        time, console = figure.series.time, Console(stderr=True)
        pace = 1.0 / float(np.median(np.diff(time))) if len(time) > 1 else 20.0
        with VideoWriter(self.out, fps=self.fps or pace) as video:
            for i in track(
                range(len(time)), "drawing", console=console, transient=True, disable=not console.is_terminal
            ):
                video.add(figure.draw(i))

    @property
    def _sensor(self) -> str | None:
        name = "gelsight-r15" if self.sensor == "gelsight" else self.sensor
        return None if name is None else name.replace("-", "_")

    def _series(self) -> tuple[TouchSeries, str]:
        """What to draw, and its title."""
        from simenv.scripts import touch_series

        layer = touch_series.Layer(self.pitch, self.modulus, self.poisson, self.thickness)
        sensor = self._sensor or "gelsight_mini"
        if self.what is None:
            full = layer.of(None)
            shear = full.modulus / (2.0 * (1.0 + full.poisson) * full.thickness)
            gel = touch_series.WinklerGel(self.stiffness, shear, self.friction)
            shape, motion = touch_series.named_shape(self.shape), (self.depth, self.slide, self.turn)
            series = touch_series.press(
                shape, sensor, gel, layer, self.taxels, self.steps or 60, self.fps or 20.0, motion
            )
            return series, f"{Path(self.shape).name} on {sensor}"
        if TASK.fullmatch(self.what) and not Path(self.what).exists():
            return self._live(layer), self.what
        from simenv.rollouts import Recording

        recording = Recording(Path(self.what))
        if not 0 <= self.episode < len(recording):
            raise ValueError(f"--episode {self.episode}: {self.what} has the episodes 0 to {len(recording) - 1}")
        episode, title = recording[self.episode], f"{self.what} (episode {self.episode})"
        if self.field is None and self.image is None and _has_gels(episode):
            return self._again(episode, layer), title
        return touch_series.recorded(episode, self.field, self.image, self.finger, sensor, layer), title

    def _live(self, layer) -> TouchSeries:
        from simenv.scripts.common import make_vec, parse_task_arguments
        from simenv.scripts.record import make_policy
        from simenv.scripts.touch_series import watch

        assert self.what is not None
        options = {"num_envs": 1, "output": "numpy", "autoreset_mode": "disabled"}
        env = make_vec(self.what, **options, **parse_task_arguments(self.env_args))
        try:
            if not env.unwrapped.world.gels:
                remedy = "choose a task of touch"
                if "force_field" in env.unwrapped.task.observation_modes:
                    remedy = f"""record its force field with `simenv record {self.what} --env-args """
                    remedy += """'{"observation_mode": "force_field"}'` and view that"""
                raise ValueError(f"{self.what} has no gels; {remedy}")
            observation, _ = env.reset(seed=self.seed)
            policy = make_policy(self.policy, env, self.seed)
            steps = self.steps or env.unwrapped.task.max_episode_steps
            return watch(
                env, lambda seen, step: policy(seen, np.array([step])), steps, self.gel, self._sensor, layer,
                self._renderer(env), observation,
            )  # fmt: skip
        finally:
            env.close()

    def _renderer(self, env):
        from simenv.envs.frames import TaskRenderer

        return TaskRenderer(env.unwrapped.task, env.unwrapped.world, 420, 360) if self.scene else None

    def _again(self, episode: Episode, layer) -> TouchSeries:
        """The touch of an episode that is simulated again."""
        from simenv.rollouts import access
        from simenv.rollouts.replay import restore
        from simenv.scripts.touch_series import watch

        env = access.make(episode.environment, output="numpy")
        try:
            restore(env, episode)
            steps = min(self.steps or len(episode), len(episode))
            return watch(
                env, lambda seen, step: episode.actions[step][None], steps, self.gel, self._sensor, layer,
                self._renderer(env), env.unwrapped.observe(),
            )  # fmt: skip
        finally:
            env.close()


def _has_gels(episode: Episode) -> bool:
    """Whether an episode is of a task of touch that is known here."""
    import simenv
    from simenv import _registry

    if episode.environment["id"] not in simenv.list_tasks():
        return False
    return "tactile_image" in "+".join(_registry.load_task(episode.environment["id"]).observation_modes)
