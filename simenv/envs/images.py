# SPDX-License-Identifier: Apache-2.0
"""Observations that are pictures: what cameras behind gels see, and what a camera on a body sees.

Both are (N, H, W, 3) uint8 from 0 to 255, red, green, blue, which Gymnasium, Stable-Baselines3 and the agents take for
images; without a gradient. They are computed on the worlds' device, and nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import torch

from simenv.envs.options import choose

if TYPE_CHECKING:
    from simenv.render.items import Camera
    from simenv.world import State, World

T = TypeVar("T")
SMALLEST = 8  # pixels a side
_made: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


def gel_images(world: World, state: State, size: Sequence[int], sensor: str) -> dict[str, torch.Tensor]:
    """Images of all gels.

    Args:
        world: The worlds.
        state: Their state.
        size: Rows and columns, in the proportion of the gels.
        sensor: Whose colours: a name of `simenv.sensors.tactile.sensors.SENSORS`. They are stretched over each gel.

    Returns:
        ``image``, or where there are several gels ``<gel>_image``, (N, H, W, 3) uint8. Without contact it is the
        background, bit by bit.

    Raises:
        ValueError: The size is not two whole numbers, or not in the proportion of a gel, or there is no such sensor.
    """
    rows, columns = pixels("image_size", size)

    def make() -> dict[str, Any]:
        from simenv.sensors.tactile import GelCamera
        from simenv.sensors.tactile.sensors import SENSORS

        calibration = SENSORS[choose("tactile_sensor", sensor, SENSORS)]()
        return {
            name: GelCamera(gel.sensor.contact, calibration, rows, columns)
            for name, gel in world.gels.items()
            if gel.sensor
        }

    cameras = _once(world, (sensor, rows, columns), make)
    return {
        "image" if len(cameras) == 1 else f"{name}_image": camera(
            world.gels[name].object_pose(state), world.gels[name].pose(state)
        )
        for name, camera in cameras.items()
    }


def camera_image(world: World, state: State, body: str, view: Camera, size: Sequence[int]) -> torch.Tensor:
    """Pictures from a camera on a body.

    Args:
        world: The worlds.
        state: Their state.
        body: Name of the body that carries the camera.
        view: The camera in the body's frame.
        size: Rows and columns.

    Returns:
        (N, H, W, 3) uint8.

    Raises:
        ValueError: The size is not two whole numbers, or there is no such body.
    """
    rows, columns = pixels("camera_size", size)

    def make() -> Any:
        from simenv.render.body_camera import BodyCamera  # only those who look pay for it

        return BodyCamera(world, body, view, rows, columns)

    return _once(world, (body, view, rows, columns), make)(world, state)


def pixels(name: str, size: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of an image; ValueError if they are not two whole numbers of at least 8."""
    whole = isinstance(size, Sequence) and len(size) == 2 and all(isinstance(n, int) and n >= SMALLEST for n in size)
    if not whole:
        raise ValueError(f"{name}={size!r}: give rows and columns, two whole numbers of at least {SMALLEST}")
    return size[0], size[1]


def _once(world: Any, key: Any, make: Callable[[], T]) -> T:
    """What was made for these worlds; it lives as long as they do, and must not refer to them."""
    made = _made.setdefault(world, {})
    if key not in made:
        made[key] = make()
    return made[key]
