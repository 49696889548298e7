# SPDX-License-Identifier: Apache-2.0
"""Gaps, normals and points of two shapes at given poses, and their distance by coal."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from simenv.geometry.shapes import Box, Capsule, Cylinder, Plane, Shape, Sphere
from simenv.world import Control, Scene, World


def met(one: Shape, other: Shape, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, ...]:
    """Gaps (n, C) [m], normals (n, C, 3) from the second to the first, and points of contacts of two bodies at poses
    (n, 7); planes are fixed, others free.
    """
    scene = Scene(substep_dt=1e-2, substeps=1, gravity=(0.0, 0.0, 0.0))
    for name, shape in (("one", one), ("two", other)):
        if isinstance(shape, Plane):
            scene.add_body(name, shape, motion="fixed")
        else:
            scene.add_body(name, shape, 500.0, motion="free", coupling="rigid")
    gaps = []
    world = World(scene, 2, dtype=torch.float64)  # of which a program has the first
    for a, b in zip(first, second, strict=True):
        state = world.initial_state()
        world.step(state.replace(body_q=torch.tensor(np.tile([a, b], (2, 1, 1)))), Control())
        program = world.engine.program()
        stepper = program.steppers["robots"]
        slots = stepper._slots(program.desk.frames.scratch(0, False))
        gaps.append([each.array.numpy()[0].copy() for each in slots.met])
    gap, normal, point = (np.array(each) for each in zip(*gaps, strict=True))
    sign = np.where(np.array(world.robot_solver.touching.slots.a) == "one", 1.0, -1.0)
    return gap, sign[None, :, None] * normal, point


def matrix(quaternion: np.ndarray) -> np.ndarray:
    """Of a quaternion xyzw."""
    x, y, z, w = quaternion
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def _of_coal(shape: Shape) -> Any:
    import coal

    if isinstance(shape, Box):
        return coal.Box(*(2.0 * np.array(shape.half_extents)))
    if isinstance(shape, Sphere):
        return coal.Sphere(shape.radius)
    kind = {Capsule: coal.Capsule, Cylinder: coal.Cylinder}[type(shape)]
    return kind(shape.radius, 2.0 * shape.half_height)


def distance_between(one: Shape, other: Shape, first: np.ndarray, second: np.ndarray) -> tuple[Any, ...]:
    """Signed distance [m], normal from the first to the second, and the points next to each other, by coal."""
    import coal

    request, result = coal.DistanceRequest(), coal.DistanceResult()
    request.enable_signed_distance = True
    places = [coal.Transform3s(matrix(pose[3:]), pose[:3]) for pose in (first, second)]
    apart = coal.distance(_of_coal(one), places[0], _of_coal(other), places[1], request, result)
    return apart, np.array(result.normal), np.array(result.getNearestPoint1()), np.array(result.getNearestPoint2())


def placed_at(one: Shape, other: Shape, depth: float, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Poses (count, 7) at random at which shapes overlap by a depth [m], less than zero where they are apart."""
    rng, first, second = np.random.default_rng(seed), [], []
    while len(first) < count:
        a, b = (np.concatenate([0.05 * rng.normal(size=3), rng.normal(size=4)]) for _ in range(2))
        for pose in (a, b):
            pose[3:] /= np.linalg.norm(pose[3:])
        for _ in range(4):
            apart, normal, *_ = distance_between(one, other, a, b)
            b[:3] -= normal * (depth + apart)
        if abs(distance_between(one, other, a, b)[0] + depth) < 1e-9:
            first.append(a)
            second.append(b)
    return np.array(first), np.array(second)
