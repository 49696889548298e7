# SPDX-License-Identifier: Apache-2.0
"""``simenv view-tactile [FILE]``"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import tyro

if TYPE_CHECKING:
    from simenv.geometry.shapes import Shape
    from simenv.render.touch import TouchSeries
    from simenv.rollouts.episode import Episode
    from simenv.sensors.tactile.grid import TaxelGrid

# Width and height of the gels [m]: of TacSL's configurations (Akinola et al. 2025).
SENSORS = {"gelsight-mini": (25.25e-3, 20.75e-3), "gelsight-r15": (23.978e-3, 32.0e-3)}
PIXEL = 1.0e-4  # of the picture of the markers [m]


@dataclasses.dataclass(frozen=True)
class ViewTactile:
    """Show touch: camera image, force-field arrows with markers, and the wrench over time, side by side.

    Without FILE a shape is pressed into a gel, slid along x, turned about its axis and lifted, and the sensor reads it.
    FILE is a recording of `simenv record` (directory or rollout-*.h5) with a force field among its observations: an
    array (T, rows, columns, 3) of shear x, shear y and normal force [N]. An image (T, H, W, 3) uint8 is
    shown beside it.

    simenv view-tactile --shape box --out box.mp4
    simenv view-tactile runs/peg --episode 3 --field left_force --out peg.png
    """

    file: tyro.conf.Positional[Annotated[Path | None, tyro.conf.arg(metavar="[FILE]")]] = None
    """Recording; without it a press, a slide and a turn are simulated."""
    out: Path = Path("tactile.mp4")
    """Video (.mp4), or picture (.png) of the time of largest force."""
    episode: int = 0
    """Which episode of a directory."""
    field: str | None = None
    """Name of the observation with the force field; not needed where there is only one."""
    image: str | None = None
    """Name of the observation with the camera image; not needed where there is at most one."""
    finger: int = 0
    """Which sensor of observations (T, sensors, rows, columns, 3)."""
    sensor: Literal["gelsight-mini", "gelsight-r15"] = "gelsight-mini"
    """Whose gel: its size."""
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
    modulus: float = 1e5
    """Young's modulus of the gel, which the markers' motion needs [Pa]."""
    poisson: float = 0.48
    """Poisson's ratio of the gel."""
    thickness: float = 2e-3
    """Of the gel [m]."""
    pitch: float = 1.5e-3
    """Distance of the markers [m]; 0 draws none."""
    magnify: float | None = None
    """Factor of the markers' motion in the plot; chosen to be seen by default."""
    steps: int = 60
    """Readings of the simulated touch."""
    fps: float = 20.0
    """Frames per second of the video, and readings per second of the simulated touch."""

    def run(self) -> int:
        """Write the video or picture."""
        from simenv.render.touch import TouchFigure

        self._check()
        if self.file is None:
            series, title = self._simulated(), f"{Path(self.shape).name} on {self.sensor}"
        else:
            series, title = self._recorded(self.file), f"{self.file} (episode {self.episode})"
        figure = TouchFigure(series, title, self.magnify)
        strongest = int(np.linalg.norm(series.wrench[:, :3], axis=-1).argmax())
        if self.out.suffix == ".png":
            from PIL import Image

            self.out.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(figure.draw(strongest)).save(self.out)
        else:
            self._film(figure)
        force = np.linalg.norm(series.wrench[strongest, :3])
        when = series.time[strongest]
        print(f"wrote {self.out}: {len(series.time)} readings, largest force {force:.3g} N at {when:.3g} s")
        return 0

    def _check(self) -> None:
        if self.out.suffix not in (".mp4", ".png"):
            raise ValueError(f"--out {self.out} must end in .mp4 (video) or .png (picture)")
        if self.steps < 8:
            raise ValueError(f"--steps {self.steps} must be at least 8, two for each part of the motion")
        for name in ("depth", "fps", "thickness", "modulus"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"--{name} {getattr(self, name)} must be positive")
        if self.depth > self.thickness:
            raise ValueError(f"--depth {self.depth} m is more than the gel's thickness {self.thickness} m; press less")
        if self.pitch < 0.0 or 0.0 < self.pitch < 2e-4:
            raise ValueError(f"--pitch {self.pitch} m must be 0 (no markers) or at least 2e-4 m")

    def _film(self, figure) -> None:
        from rich.console import Console
        from rich.progress import track

        from simenv.render.video import VideoWriter

        console = Console(stderr=True)
        with VideoWriter(self.out, fps=self.fps) as video:
            frames = range(len(figure.series.time))
            for i in track(frames, "drawing", console=console, transient=True, disable=not console.is_terminal):
                video.add(figure.draw(i))

    def _grid(self, rows: int, columns: int) -> TaxelGrid:
        from simenv.sensors.tactile import flat_grid

        return flat_grid(rows, columns, *SENSORS[self.sensor])

    def _simulated(self) -> TouchSeries:
        import torch

        from simenv.sensors.tactile import TactileField, TactileReading, WinklerGel

        grid = self._grid(*self.taxels)
        shear_stiffness = self.modulus / (2.0 * (1.0 + self.poisson) * self.thickness)
        gel = WinklerGel(self.stiffness, shear_stiffness, self.friction)
        shape = _shape(self.shape)
        sensor = TactileField(grid, gel, shape, torch.float64, max_depth=self.thickness)
        bottom = float(shape.to_mesh().vertices[:, 2].min())
        poses = torch.as_tensor(_motion(self.steps, -bottom, self.depth, self.slide, self.turn))
        rest = poses.new_tensor([[0, 0, 0, 0, 0, 0, 1]])
        state, readings = None, []
        for pose in poses:
            reading, state = sensor.measure(pose[None], rest, state)
            readings.append(reading)
        parts = {f.name: [getattr(r, f.name) for r in readings] for f in dataclasses.fields(TactileReading)}
        together = TactileReading(**{name: torch.cat(values) for name, values in parts.items()})
        return self._series(grid, together, np.arange(self.steps) / self.fps)

    def _recorded(self, path: Path) -> TouchSeries:
        import torch

        from simenv.rollouts import Recording
        from simenv.sensors.tactile import TactileReading

        recording = Recording(path)
        if not 0 <= self.episode < len(recording):
            raise ValueError(f"--episode {self.episode}: {path} has the episodes 0 to {len(recording) - 1}")
        episode = recording[self.episode]
        field = self._observed(episode, "field")
        assert field is not None  # only an image may be absent
        grid = self._grid(field.shape[1], field.shape[2])
        force = torch.as_tensor(field.reshape(len(field), -1, 3), dtype=torch.float64)
        area = torch.as_tensor(grid.areas)
        normal, shear = force[..., 2], force[..., :2]
        total = torch.as_tensor(_wrench(grid.points, force.numpy()))
        status = torch.zeros(len(field), dtype=torch.int32)
        reading = TactileReading(
            normal, shear, torch.zeros_like(normal), total, normal / area, shear / area[:, None], status
        )
        time = np.arange(len(field)) * episode.environment.get("control_dt", 1.0 / self.fps)
        return self._series(grid, reading, time, self._observed(episode, "image"))

    def _observed(self, episode: Episode, what: Literal["field", "image"]) -> np.ndarray | None:
        """The observation that --field or --image names, or the only one that can be it; one finger's."""
        kinds = {name: value for name, value in episode.observations.items() if _is(what, value)}
        wanted = getattr(self, what)
        if wanted is None and not kinds and what == "image":
            return None
        if wanted is None and len(kinds) == 1:
            wanted = next(iter(kinds))
        if wanted not in kinds:
            shapes = ", ".join(f"{name} {value.shape}" for name, value in episode.observations.items()) or "nothing"
            problem = "none can be it" if not kinds else f"it may be {', '.join(kinds)}: name one with --{what}"
            if wanted is not None:
                problem = f"--{what} {wanted} cannot be it; " + problem
            need = "(T, rows, columns, 3) of numbers" if what == "field" else "(T, H, W, 3) uint8"
            raise ValueError(f"the {what} must be an observation {need}; {problem} (recorded: {shapes})")
        value = kinds[wanted]
        if value.ndim == 5:
            if not 0 <= self.finger < value.shape[1]:
                raise ValueError(f"--finger {self.finger}: {wanted} has the sensors 0 to {value.shape[1] - 1}")
            value = value[:, self.finger]
        return value

    def _series(self, grid: TaxelGrid, reading, time: np.ndarray, image: np.ndarray | None = None) -> TouchSeries:
        import torch

        from simenv.render.touch import TouchSeries
        from simenv.sensors.tactile import MarkerField, draw_markers, marker_grid

        width, height = SENSORS[self.sensor]
        points = moved = None
        title = "camera"
        if self.pitch > 0.0:
            counts = [max(1, int(0.9 * side / self.pitch)) for side in (height, width)]
            points = marker_grid(counts[0], counts[1], self.pitch)
            markers = MarkerField(grid, points, self.modulus, self.poisson, self.thickness, torch.float64)
            places = markers.positions(reading)
            moved = places.numpy()
            if image is None:  # a gel's view without shading: the markers as they are, not magnified
                shape, title = (round(height / PIXEL), round(width / PIXEL)), "markers to scale"
                pixels = markers.pixels(places, PIXEL, shape)
                cover = draw_markers(pixels, shape, 0.18 * self.pitch / PIXEL, 0.06 * self.pitch / PIXEL).numpy()
                image = np.repeat((235 - 215 * cover)[..., None], 3, -1).astype(np.uint8)
        return TouchSeries(
            time, grid.points[:, :2], reading.field().numpy(), reading.wrench.numpy(), points, moved, image, title
        )


def _is(what: str, value: np.ndarray) -> bool:
    shaped = value.ndim in (4, 5) and value.shape[-1] == 3 and min(value.shape[-3:-1]) >= 2
    return shaped and (value.dtype == np.uint8) == (what == "image") and value.dtype.kind in "fu"


def _wrench(points: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Force on a flat gel and its moment about the sensor's origin (T, 6) of a field (T, P, 3)."""
    force = field * (1.0, 1.0, -1.0)
    return np.concatenate([force.sum(1), np.cross(points, force).sum(1)], -1)


def _shape(name: str) -> Shape:
    """A shape by name, or a mesh file."""
    from simenv.geometry import Box, Capsule, Cylinder, MeshShape, Sphere

    shapes = {
        "sphere": Sphere(8e-3),
        "box": Box((4e-3, 3e-3, 4e-3)),
        "cylinder": Cylinder(4e-3, 5e-3),
        "capsule": Capsule(3e-3, 4e-3),
    }
    if name in shapes:
        return shapes[name]
    if not Path(name).is_file():
        raise ValueError(f"--shape {name!r} is neither one of {', '.join(shapes)} nor a mesh file")
    return MeshShape(name)


def _motion(steps: int, height: float, depth: float, slide: float, turn: float) -> np.ndarray:
    """Poses (steps, 7): pressed from just above the gel, slid along x, turned, lifted clear of it."""
    u = np.linspace(0.0, 4.0, steps)

    def ramp(start: float) -> np.ndarray:
        t = np.clip(u - start, 0.0, 1.0)
        return t * t * (3.0 - 2.0 * t)

    down = ramp(0.0) - ramp(3.0)
    poses = np.zeros((steps, 7))
    poses[:, 0] = slide * ramp(1.0)
    poses[:, 2] = height + 0.1 * depth - 1.1 * depth * down
    angle = turn * ramp(2.0)
    poses[:, 5], poses[:, 6] = np.sin(0.5 * angle), np.cos(0.5 * angle)
    return poses
