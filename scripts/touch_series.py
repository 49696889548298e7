# SPDX-License-Identifier: Apache-2.0
"""Where `simenv view-tactile` gets what it draws: a press made up here, a task that runs, or recorded observations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from simenv.physics.gels.grid import TaxelGrid
from simenv.render.touch import TouchSeries
from simenv.sensors.tactile import (
    ElasticLayerGel,
    GelCamera,
    MarkerField,
    TactileField,
    TactileReading,
    WinklerGel,
    draw_markers,
    marker_grid,
)
from simenv.sensors.tactile.sensors import SENSORS

if TYPE_CHECKING:
    from simenv.envs.frames import TaskRenderer
    from simenv.geometry.shapes import Shape
    from simenv.rollouts.episode import Episode

LONG_SIDE = 320  # of an image that is made to be looked at [px]
MODULUS, POISSON, THICKNESS = 1e5, 0.48, 2e-3  # of a layer that nobody describes [Pa], [m]
PER_SIDE = 14  # markers along the shorter side of a gel, if their pitch is not given
REST = torch.tensor([[0.0, 0, 0, 0, 0, 0, 1]], dtype=torch.float64)


@dataclasses.dataclass(frozen=True)
class Layer:
    """The elastic layer whose markers are drawn; None leaves a number to the gel that is touched.

    Attributes:
        pitch: of the markers [m]; None chooses it, 0 draws none.
        modulus: Young's modulus [Pa].
        poisson: Poisson's ratio.
        thickness: [m].
    """

    pitch: float | None = None
    modulus: float | None = None
    poisson: float | None = None
    thickness: float | None = None

    def of(self, gel: WinklerGel | ElasticLayerGel | None, values: Mapping[str, float] | None = None) -> DrawnLayer:
        """This layer with all its numbers.

        An elastic layer gives its own; a half space is drawn as a layer of the usual thickness. Springs give the
        modulus of a layer that is as stiff in shear; without a gel it is `MODULUS`.

        Args:
            gel: that is touched, if it is known.
            values: its numbers in the world that is drawn, by name, where they differ from its own.
        """
        values = values or {}
        poisson, thickness, modulus = POISSON, THICKNESS, MODULUS
        if isinstance(gel, ElasticLayerGel):
            poisson, thickness = gel.poisson, gel.thickness or THICKNESS
            modulus = values.get("modulus", gel.modulus)
        poisson = poisson if self.poisson is None else self.poisson
        thickness = thickness if self.thickness is None else self.thickness
        if isinstance(gel, WinklerGel):
            modulus = 2.0 * (1.0 + poisson) * thickness * values.get("k_t", gel.k_t)
        return DrawnLayer(self.pitch, self.modulus or modulus, poisson, thickness)


@dataclasses.dataclass(frozen=True)
class DrawnLayer:
    """A `Layer` with all its numbers."""

    pitch: float | None
    modulus: float
    poisson: float
    thickness: float

    def markers(self, grid: TaxelGrid) -> MarkerField | None:
        """The markers, or none."""
        width, height = grid.size
        pitch = min(width, height) / PER_SIDE if self.pitch is None else self.pitch
        if pitch == 0.0:
            return None
        rows, columns = (max(1, int(0.9 * side / pitch)) for side in (height, width))
        points = marker_grid(rows, columns, pitch)
        return MarkerField(grid, points, self.modulus, self.poisson, self.thickness, torch.float64)


def image_size(grid: TaxelGrid) -> tuple[int, int]:
    """Rows and columns of an image with square pixels on a gel."""
    width, height = grid.size
    pixel = max(width, height) / LONG_SIDE
    return round(height / pixel), round(width / pixel)


def compose(
    grid: TaxelGrid, reading: TactileReading, time: np.ndarray, markers: MarkerField | None,
    image: np.ndarray | None, drawn: bool, views: Mapping[str, np.ndarray] | None = None,
) -> TouchSeries:  # fmt: skip
    """A series of readings.

    Args:
        grid: the taxels.
        reading: (T, ...) float64.
        time: (T,) [s].
        markers: of the gel, or none.
        image: (T, H, W, 3) uint8 of the gel; None draws the markers alone.
        drawn: whether markers are drawn into that image.
        views: other pictures by title.
    """
    moved, title = None, "tactile image"
    if markers is not None:
        places = markers.positions(reading)
        moved = places.numpy()
        if image is None:
            shape, title = image_size(grid), "markers to scale"
            image = np.full((len(time), *shape, 3), 235, np.uint8)
        if drawn:
            image, title = _printed(image, places, grid), f"{title} with markers" if title[0] == "t" else title
    places_at_rest = marker_grid(grid.rows, grid.columns, 1.0) * grid.spacing
    field, wrench = reading.field().numpy(), reading.wrench.numpy()
    rest = None if markers is None else markers.points.numpy()
    return TouchSeries(time, places_at_rest, field, wrench, rest, moved, image, title, views or {})


def _printed(image: np.ndarray, places: torch.Tensor, grid: TaxelGrid) -> np.ndarray:
    """Images (T, H, W, 3) with markers at places (T, M, 2) [m]."""
    shape = image.shape[1:3]
    pixel = grid.size[0] / shape[1]
    apart = float(torch.linalg.norm(places[0, 1] - places[0, 0])) / pixel if places.shape[1] > 1 else 16.0
    result = np.empty_like(image)
    for k in range(len(image)):  # one at a time: a video of large images would fill the memory
        cover = draw_markers(MarkerField.pixels(places[k : k + 1], pixel, shape), shape, 0.16 * apart, 0.06 * apart)
        result[k] = image[k] * (1.0 - 0.9 * cover[0].numpy()[..., None])
    return result


# ------------------------------------------------------------------------------------------------------------- a press


def press(
    shape: Shape, sensor: str, gel: WinklerGel | ElasticLayerGel, layer: Layer, taxels: tuple[int, int], steps: int,
    fps: float, motion: tuple[float, float, float],
) -> TouchSeries:  # fmt: skip
    """A shape pressed into a gel, slid along x, turned about its axis and lifted.

    Args:
        shape: what presses.
        sensor: name of `SENSORS`; its view gives the size of the gel.
        gel: its law.
        layer: of the markers.
        taxels: rows and columns of the field.
        steps: readings.
        fps: readings per second.
        motion: depth [m], slide [m] and turn [rad].
    """
    from simenv.sensors.tactile import flat_grid

    calibration = SENSORS[sensor]()
    view = calibration.columns * calibration.pixel, calibration.rows * calibration.pixel
    grid = flat_grid(*taxels, *view)
    field = TactileField(grid, gel, shape, torch.float64, max_depth=layer.of(gel).thickness)
    camera = GelCamera(field.contact, calibration, *image_size(grid))
    bottom = float(shape.to_mesh().vertices[:, 2].min())
    state, readings, images = None, [], []
    for pose in torch.as_tensor(_motion(steps, -bottom, *motion)):
        reading, state = field.measure(pose[None], REST, state)
        readings.append(reading)
        images.append(camera(pose[None], REST)[0].numpy())
    parts = {f.name: [getattr(r, f.name) for r in readings] for f in dataclasses.fields(TactileReading)}
    together = TactileReading(**{name: torch.cat(values) for name, values in parts.items()})
    markers = layer.of(gel).markers(grid)
    return compose(grid, together, np.arange(steps) / fps, markers, np.stack(images), True)


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


# -------------------------------------------------------------------------------------------------------------- a task


def watch(
    env: Any, actions: Callable[[Any, int], Any], steps: int, gel: str | None, sensor: str | None, layer: Layer,
    renderer: TaskRenderer | None, observation: Any,
) -> TouchSeries:  # fmt: skip
    """One gel of the first world of a task of touch while it runs.

    Args:
        env: the batched environment, in its first state.
        actions: of an observation and the number of the step.
        steps: at most so many; it ends with the episode.
        gel: name of the gel; None takes the first.
        sensor: name of `SENSORS`; None takes the task's.
        layer: of the markers.
        renderer: of the scene, if it is to be drawn, too.
        observation: of the first state.

    Raises:
        ValueError: there is no such gel.
    """
    core, world = env.unwrapped, env.unwrapped.world
    name = gel or next(iter(world.gels))
    if name not in world.gels:
        raise ValueError(f"--gel {name} is not one of the task's gels: {', '.join(world.gels)}")
    felt = world.gels[name]
    contact, law = felt.sensor.contact, felt.spec.gel
    colours = str(sensor or core.task.arguments.get("tactile_sensor", "gelsight_mini"))
    calibration = SENSORS[colours]()
    camera = GelCamera(contact, calibration, *image_size(contact.grid))
    drawn = {key: world.parameters.get(f"{name}.{key}") for key in law.parameters}  # an episode may draw its own
    numbers = {key: float(value[0]) for key, value in drawn.items() if value is not None}
    fields, wrenches, images, scenes, wrist = [], [], [], [], []

    def note(seen: Any) -> None:
        state = core.state
        fields.append(felt.field(state)[0].double().cpu())
        wrenches.append(felt.wrench(state)[0].double().cpu())
        images.append(camera(felt.object_pose(state), felt.pose(state))[0].cpu().numpy())
        if renderer is not None:
            scenes.append(renderer.render(state, env.unwrapped.episode, worlds=[0])[0])
        if isinstance(seen, Mapping) and "wrist_camera" in seen:
            wrist.append(np.asarray(seen["wrist_camera"])[0].copy())

    note(observation)
    for step in range(steps):
        observation, _, terminated, truncated, _ = env.step(actions(observation, step))
        note(observation)
        if bool(terminated[0]) or bool(truncated[0]):
            break
    reading = _reading(torch.stack(fields), contact.grid, torch.stack(wrenches))
    views = {"scene": scenes, "wrist camera": wrist}
    pictures = {title: np.stack(frames) for title, frames in views.items() if frames}
    markers = layer.of(law, numbers).markers(contact.grid)
    time = world.dt * np.arange(len(fields))
    return compose(contact.grid, reading, time, markers, np.stack(images), True, pictures)


def _reading(field: torch.Tensor, grid: TaxelGrid, wrench: torch.Tensor) -> TactileReading:
    """A reading of forces (T, P, 3) [N] and their wrench (T, 6)."""
    area, normal, shear = torch.as_tensor(grid.areas), field[..., 2], field[..., :2]
    status, traction = torch.zeros(len(field), dtype=torch.int32), shear / area[:, None]
    return TactileReading(normal, shear, torch.zeros_like(normal), wrench, normal / area, traction, status)


# --------------------------------------------------------------------------------------------------------- a recording


def recorded(
    episode: Episode, field: str | None, image: str | None, finger: int, sensor: str, layer: Layer
) -> TouchSeries:
    """What an episode's observations hold.

    Args:
        episode: the recording.
        field: name of the force field; None takes the only one that can be it.
        image: name of the image, likewise; there may be none.
        finger: which sensor of observations (T, sensors, rows, columns, 3).
        sensor: name of `SENSORS`; its view gives the size of the gel.
        layer: of the markers.

    Raises:
        ValueError: it is not clear which observation is meant.
    """
    from simenv.sensors.tactile import flat_grid

    force = _observed(episode, "field", field, finger)
    assert force is not None  # only an image may be absent
    calibration = SENSORS[sensor]()
    view = calibration.columns * calibration.pixel, calibration.rows * calibration.pixel
    grid = flat_grid(force.shape[1], force.shape[2], *view)
    force = force.reshape(len(force), -1, 3).astype(np.float64)
    reading = _reading(torch.as_tensor(force), grid, torch.as_tensor(_wrench(grid.points, force)))
    time = np.arange(len(force)) * episode.environment.get("control_dt", 0.05)
    pictures = _observed(episode, "image", image, finger)
    markers = layer.of(None).markers(grid)
    return compose(grid, reading, time, markers, pictures, pictures is None)


def _observed(episode: Episode, what: str, wanted: str | None, finger: int) -> np.ndarray | None:
    kinds = {name: value for name, value in episode.observations.items() if _is(what, value)}
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
        if not 0 <= finger < value.shape[1]:
            raise ValueError(f"--finger {finger}: {wanted} has the sensors 0 to {value.shape[1] - 1}")
        value = value[:, finger]
    return value


def _is(what: str, value: np.ndarray) -> bool:
    shaped = value.ndim in (4, 5) and value.shape[-1] == 3 and min(value.shape[-3:-1]) >= 2
    return shaped and (value.dtype == np.uint8) == (what == "image") and value.dtype.kind in "fu"


def _wrench(points: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Force on a flat gel and its moment about the sensor's origin (T, 6) of a field (T, P, 3)."""
    force = field * (1.0, 1.0, -1.0)
    return np.concatenate([force.sum(1), np.cross(points, force).sum(1)], -1)


def named_shape(name: str) -> Shape:
    """A shape by name, or a mesh file.

    Raises:
        ValueError: it is neither.
    """
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
