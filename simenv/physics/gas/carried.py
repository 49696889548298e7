# SPDX-License-Identifier: Apache-2.0
"""How much gas a body carries along: what a tick takes from it when it is set in motion in gas at rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import torch

from simenv.physics.flow.obstacles import Obstacle
from simenv.physics.frames import Frames
from simenv.physics.gas.around_stepper import GasAroundStepper
from simenv.physics.gas.model import SIDES, GasModel, Outlet, Side
from simenv.physics.launch.slots import Memory
from simenv.physics.pressure.solve import Accuracy
from simenv.physics.rotation import quaternion_to_matrix
from simenv.physics.solver import Desk

__all__ = ["carried_along"]

ROOM, FLAT = 0.6, 2.4  # room on each side, of the body's largest extent; likewise of flow in two dimensions
MOST = 24  # cells along an axis
STEP = 0.01  # of a cell, which a body moves in the tick


def carried_along(
    model: GasModel, obstacles: Sequence[Obstacle], dt: float, viscosity: float, dtype: torch.dtype,
    device: torch.device,
) -> np.ndarray:  # fmt: skip
    """What a body with these shapes gives gas at rest in a tick in which it has been set in motion, in the tick's own
    way: added mass, and what sticks to the walls.

    It is found in a box of its own, open all around, with cells of the gas where these suffice. Along axes on which the
    body is as long as the gas, the box is that of the gas.

    Args:
        model: the gas.
        obstacles: the shapes, in the axes of the body.
        dt: of the tick [s].
        viscosity: over the density [m^2/s].
        dtype: to compute in.
        device: likewise.

    Returns:
        Impulse and angular impulse about the centre of mass of unit velocities and angular velocities, over the density
        (6, 6), symmetric and positive semidefinite: of m^3, m^4 and m^5.

    Raises:
        ValueError: they were not found.
    """
    low, high = _extents(obstacles)
    whole = model.dx * np.array(model.shape)
    within = high - low < whole
    room = (ROOM if within.all() else FLAT) * float((high - low)[within].max(initial=0.0)) + 2.0 * model.dx
    least, most = np.where(within, low - room, -0.5 * whole), np.where(within, high + room, 0.5 * whole)
    dx = max(model.dx, float((most - least)[within].max(initial=0.0)) / MOST)
    if not within.all():
        dx = model.dx  # the box has layers of the gas's own
    cells = np.ceil((most - least) / dx - 1e-9).astype(int)
    sides: dict[str, Side] = {
        side: Outlet() if within[number // 2] else model.sides[side] for number, side in enumerate(SIDES)
    }
    nx, ny, nz = (int(n) for n in cells)
    box = GasModel((nx, ny, nz), dx, sides, {}, (), Accuracy(1e-4, 40))
    origin = 0.5 * (least + most) - 0.5 * dx * cells
    reach = float(np.abs(np.stack([low, high]))[:, within].max(initial=dx))
    return _kick(box, origin.tolist(), obstacles, dt, viscosity, reach, dtype, device)


def _extents(obstacles: Sequence[Obstacle]) -> tuple[np.ndarray, np.ndarray]:
    """Of all shapes, in the axes of the body."""
    corners = []
    for each in obstacles:
        turn = quaternion_to_matrix(torch.tensor(each.quaternion, dtype=torch.float64)).numpy()
        for corner in product(*zip(*each.shape.bounds(), strict=True)):
            corners.append(np.array(each.position) + each.scale * turn @ np.array(corner))
    return np.min(corners, 0), np.max(corners, 0)


def _kick(
    box: GasModel, origin: Sequence[float], obstacles: Sequence[Obstacle], dt: float, viscosity: float, reach: float,
    dtype: torch.dtype, device: torch.device,
) -> np.ndarray:  # fmt: skip
    """Six worlds, in each of which the body has another velocity."""
    memory = Memory(6, dtype, device)
    frames = Frames(memory, 1, [], 1)
    there = [replace(each, frame=0, moves=True, told=True, answers=False) for each in obstacles]
    desk = Desk(6, device, dtype, 1, dt, 1, 1, memory, frames)
    stepper = GasAroundStepper(box, origin, there, desk)
    launches = stepper.launches(0, False)
    memory.allocate()
    stepper.begin()
    stepper.gas.inputs["density"].tensor.fill_(1.0)
    stepper.gas.inputs["viscosity"].tensor.fill_(viscosity)
    _, quaternion, velocity, omega = frames.pose(0)
    quaternion.tensor[..., 3] = 1.0
    speed = STEP * box.dx / dt
    velocity.tensor[:3, 0] = speed * torch.eye(3, dtype=dtype, device=device)
    omega.tensor[3:, 0] = speed / reach * torch.eye(3, dtype=dtype, device=device)
    for launch in launches:
        launch.forward(memory.wp_device)
    found = stepper.results(False)
    felt = torch.cat([found["force"].sum(1), found["torque"].sum(1)], -1).double().cpu().numpy()
    each = -dt * felt / np.array([[speed]] * 3 + [[speed / reach]] * 3)
    if not np.isfinite(each).all() or bool((found["failed"] > 0).any()):
        names = ", ".join(dict.fromkeys(one.name for one in obstacles))
        raise ValueError(f"the gas that {names} carries along was not found; use a finer dx, or name other obstacles")
    values, axes = np.linalg.eigh(0.5 * (each + each.T))
    return (axes * np.maximum(values, 0.0)) @ axes.T
