# SPDX-License-Identifier: Apache-2.0
"""Slices through gas and lines along its flow, drawn over a picture where nothing opaque stands before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from scipy.ndimage import map_coordinates

from simenv.render.items import Camera
from simenv.render.rays import pixel_rays

__all__ = ["FlowItem", "Slice", "Streamlines", "draw_flow", "streamlines"]

_AXES = "xyz"


@dataclass(frozen=True)
class Slice:
    """A plane of cells whose colour says how much there is of something.

    Attributes:
        of: name of what is mixed into the gas; or ``"speed"`` [m/s], ``"vorticity"`` about the plane's normal [1/s], or
            ``"pressure"`` [Pa].
        axis: that the plane is across: ``"x"``, ``"y"`` or ``"z"``.
        at: where along it [m]; None is the middle of the gas.
        limits: values of the first and the last colour; None takes those of each picture, so that pictures differ.
        colors: name of a colour map of matplotlib.
        opacity: share of what is behind that the plane hides.

    Raises:
        ValueError: an unknown axis or colour map, or an opacity outside (0, 1].
    """

    of: str = "speed"
    axis: str = "y"
    at: float | None = None
    limits: tuple[float, float] | None = None
    colors: str = "viridis"
    opacity: float = 0.85

    def __post_init__(self) -> None:
        if self.axis not in tuple(_AXES):
            raise ValueError(f"Slice: axis={self.axis!r} is no axis; use 'x', 'y' or 'z'")
        _check_look("Slice", self.colors, self.opacity)


@dataclass(frozen=True)
class Streamlines:
    """Lines along the velocity of gas at one instant, coloured by its speed.

    Attributes:
        count: of lines, whose seeds are spread evenly over the box, the same in every picture.
        length: of each [m], half of it upstream of the seed; None is half the box's diagonal.
        width: of a line [px].
        limits: speeds of the first and the last colour [m/s]; None takes those of each picture.
        colors: name of a colour map of matplotlib.
        opacity: share of what is behind that a line hides.

    Raises:
        ValueError: no lines, a width of less than a pixel, an unknown colour map, or an opacity outside (0, 1].
    """

    count: int = 150
    length: float | None = None
    width: float = 1.5
    limits: tuple[float, float] | None = None
    colors: str = "viridis"
    opacity: float = 0.9

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"Streamlines: count={self.count}; ask for at least one line")
        if not self.width >= 1.0:
            raise ValueError(f"Streamlines: width={self.width} px; use at least 1")
        _check_look("Streamlines", self.colors, self.opacity)


def _check_look(name: str, colors: str, opacity: float) -> None:
    if colors not in matplotlib.colormaps:
        raise ValueError(f"{name}: colors={colors!r} is no colour map of matplotlib; use 'viridis' or 'coolwarm'")
    if not 0.0 < opacity <= 1.0:
        raise ValueError(f"{name}: opacity={opacity} must be above 0 and at most 1")


@dataclass(frozen=True)
class FlowItem:
    """What one slice, or one set of streamlines, shows of a world.

    Attributes:
        look: how it is drawn.
        values: in the middles of cells: of a slice what it is of (nx, ny, nz), of streamlines the velocity
            (nx, ny, nz, 3) [m/s].
        lower: corner of the box [m]; dx: size of a cell [m].
    """

    look: Slice | Streamlines
    values: np.ndarray
    lower: np.ndarray
    dx: float

    @property
    def size(self) -> np.ndarray:
        """Of the box [m], (3,)."""
        return self.dx * np.array(self.values.shape[:3])

    def sample(self, points: np.ndarray) -> np.ndarray:
        """The values (n,) or (n, 3) at points (n, 3) [m], trilinear, and constant in the outer halves of cells."""
        cells = ((points - self.lower) / self.dx - 0.5).T
        fields = self.values[..., None] if self.values.ndim == 3 else self.values
        found = [map_coordinates(fields[..., c], cells, order=1, mode="nearest") for c in range(fields.shape[-1])]
        return found[0] if self.values.ndim == 3 else np.stack(found, -1)


def draw_flow(
    image: np.ndarray, far: np.ndarray, camera: Camera, items: Sequence[FlowItem]
) -> tuple[np.ndarray, np.ndarray]:
    """A picture (H, W, 3) uint8 with slices and streamlines, and the way to what is opaque with them (H, W) [m].

    Args:
        image: the picture without.
        far: way to what is opaque through each pixel [m] (H, W), `rays.free_length`.
        camera: the view.
        items: in the order in which they are laid over each other.
    """
    out, far = image.astype(float) / 255.0, far.copy()
    for item in items:
        if isinstance(item.look, Slice):
            way, colors = _plane(item, item.look, camera, *image.shape[:2])
        else:
            way, colors = _lines(item, item.look, camera, *image.shape[:2])
        seen = way < far
        out[seen] += item.look.opacity * (colors[seen] - out[seen])
        far = np.where(seen, way, far) if item.look.opacity == 1.0 else far
    return np.clip(np.round(255.0 * out), 0, 255).astype(np.uint8), far


def _plane(item: FlowItem, look: Slice, camera: Camera, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Way to the plane through each pixel [m], infinite beside it (H, W), and its colours (H, W, 3)."""
    axis, upper = _AXES.index(look.axis), item.lower + item.size
    at = item.lower[axis] + 0.5 * item.size[axis] if look.at is None else look.at
    origin, rays = np.asarray(camera.position, dtype=float), pixel_rays(camera, height, width)
    with np.errstate(divide="ignore", invalid="ignore"):
        way = (at - origin[axis]) / rays[..., axis]
        points = origin + way[..., None] * rays
    across = [each for each in range(3) if each != axis]
    inside = (way > 0.0) & np.isfinite(way)
    for each in across:
        inside &= (points[..., each] >= item.lower[each]) & (points[..., each] <= upper[each])
    colors = np.zeros((height, width, 3))
    if inside.any():
        cut = np.take(
            item.values, int(np.clip((at - item.lower[axis]) / item.dx, 0, item.values.shape[axis] - 1)), axis
        )
        colors[inside] = _shade(item.sample(points[inside]), look.colors, look.limits or (cut.min(), cut.max()))
    return np.where(inside, way, np.inf), colors


def _shade(values: np.ndarray, name: str, limits: tuple[float, float]) -> np.ndarray:
    low, high = limits
    return matplotlib.colormaps[name]((values - low) / max(high - low, 1e-300))[..., :3]


def streamlines(item: FlowItem, look: Streamlines) -> np.ndarray:
    """Points of lines along the velocity, (count, points, 3) [m]; what has left the box is NaN.

    Classical Runge-Kutta of steps of half a cell along the direction of the flow, from seeds of Halton's sequence.
    """
    half = 0.5 * (0.5 * float(np.linalg.norm(item.size)) if look.length is None else look.length)
    steps = max(int(np.ceil(2.0 * half / item.dx)), 1)
    seeds = item.lower + item.size * _halton(look.count)
    upstream = _traced(item, seeds, -half / steps, steps)[:, :0:-1]
    return np.concatenate([upstream, _traced(item, seeds, half / steps, steps)], 1)


def _traced(item: FlowItem, seeds: np.ndarray, step: float, steps: int) -> np.ndarray:
    slow = 1e-9 * np.linalg.norm(item.values, axis=-1).max(initial=0.0) + 1e-300
    upper = item.lower + item.size

    def along(points: np.ndarray) -> np.ndarray:
        velocity = item.sample(np.nan_to_num(points, nan=0.0))
        return velocity / np.maximum(np.linalg.norm(velocity, axis=-1, keepdims=True), slow)

    points = [seeds]
    for _ in range(steps):
        at = points[-1]
        first = along(at)
        second = along(at + 0.5 * step * first)
        third = along(at + 0.5 * step * second)
        last = along(at + step * third)
        to = at + step / 6.0 * (first + 2.0 * second + 2.0 * third + last)
        out = ((to < item.lower) | (to > upper)).any(-1) | np.isnan(at).any(-1)
        points.append(np.where(out[:, None], np.nan, to))
    return np.stack(points, 1)


def _halton(count: int) -> np.ndarray:
    """Points spread evenly over the unit cube, (count, 3)."""
    columns = []
    for base in (2, 3, 5):
        value, share, number = np.zeros(count), 1.0, np.arange(1, count + 1)
        while number.any():
            share /= base
            value, number = value + share * (number % base), number // base
        columns.append(value)
    return np.stack(columns, -1)


def _lines(item: FlowItem, look: Streamlines, camera: Camera, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Way to the nearest line through each pixel [m], infinite beside them (H, W), and its colours (H, W, 3)."""
    way, colors = np.full((height, width), np.inf), np.zeros((height, width, 3))
    lines = streamlines(item, look)
    points = _dense(lines, camera, height)
    if not len(points):
        return way, colors
    speed = np.linalg.norm(item.sample(points), axis=-1)
    shades = _shade(speed, look.colors, look.limits or (speed.min(), speed.max()))
    local = (points - np.asarray(camera.position, dtype=float)) @ camera.axes()
    scale = 0.5 * height / np.tan(0.5 * camera.fov_y) / -local[:, 2]
    column, row = 0.5 * width + scale * local[:, 0], 0.5 * height - scale * local[:, 1]
    distance, reach = np.linalg.norm(local, axis=1), int(np.ceil(0.5 * look.width))
    order = np.argsort(-distance, kind="stable")  # the nearest is written last
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            r, c = np.floor(row).astype(int) + down, np.floor(column).astype(int) + right
            near = np.hypot(r + 0.5 - row, c + 0.5 - column) <= max(0.5 * look.width, 0.71)
            use = order[(near & (r >= 0) & (r < height) & (c >= 0) & (c < width))[order]]
            use = use[distance[use] < way[r[use], c[use]]]
            way[r[use], c[use]], colors[r[use], c[use]] = distance[use], shades[use]
    return way, colors


def _dense(lines: np.ndarray, camera: Camera, height: int) -> np.ndarray:
    """Points along lines at most about half a pixel apart, before the camera, (n, 3)."""
    start, end = lines[:, :-1].reshape(-1, 3), lines[:, 1:].reshape(-1, 3)
    whole = ~np.isnan(end).any(1) & ~np.isnan(start).any(1)
    start, end = start[whole], end[whole]
    depth = -((0.5 * (start + end) - np.asarray(camera.position, dtype=float)) @ camera.axes())[:, 2]
    start, end, depth = start[depth > 0.0], end[depth > 0.0], depth[depth > 0.0]
    if not len(start):
        return np.zeros((0, 3))
    pixels = np.linalg.norm(end - start, axis=1) * 0.5 * height / np.tan(0.5 * camera.fov_y) / depth
    count = max(int(np.ceil(2.0 * pixels.max())), 1)
    shares = (np.arange(count) / count)[:, None, None]
    return (start + shares * (end - start)).reshape(-1, 3)
