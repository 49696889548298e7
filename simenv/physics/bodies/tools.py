# SPDX-License-Identifier: Apache-2.0
"""Impedances of links: what pulls a link of a robot to a goal by the motors of the joints that carry it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simenv.physics.bodies.table import Table, positions_of_rates

if TYPE_CHECKING:
    from simenv.physics.bodies.forest import RobotMount

__all__ = ["ToolDrive", "ToolMount", "ToolSet", "motors_of", "tool_mounts", "tool_set"]

AXES = 6  # along x, y, z and about them


@dataclass(frozen=True)
class ToolDrive:
    """What pulls a link to its goal, by the motors of the joints between it and the base (Hogan 1985): force and torque
    of stiffness times what is missing of its pose, less damping times its velocity. Both are taken implicitly, so that
    none is too high. Joints that the goal leaves free are pulled to a posture by what the link does not feel at rest.

    Attributes:
        stiffness: along the axes of the goal [N/m] and about them [N m/rad]: two numbers, or six.
        damping: the same [N s/m, N m s/rad].
        posture_stiffness: towards the posture that the robot starts in [N m/rad, N/m], of all joints of the chain, or
            one number for each.
        posture_damping: the same [N m s/rad, N s/m].
        delay: how long goals take to get to the motors [s], whole ticks.
    """

    stiffness: Sequence[float] = (600.0, 50.0)
    damping: Sequence[float] = (100.0, 5.0)
    posture_stiffness: float | Sequence[float] = 0.0
    posture_damping: float | Sequence[float] = 0.0
    delay: float = 0.0


@dataclass(frozen=True)
class ToolMount:
    """An impedance of a link.

    Attributes:
        name: of the body of the scene that the link is; robot: name of the robot; link: of the file.
        motors: rates of the robot whose motors pull, (M,); posture: where these start, (M,).
        stiffness, damping: (6,); posture_stiffness, posture_damping: (M,).
        delay: of its goals [s].
    """

    name: str
    robot: str
    link: str
    motors: tuple[int, ...]
    posture: np.ndarray
    stiffness: np.ndarray
    damping: np.ndarray
    posture_stiffness: np.ndarray
    posture_damping: np.ndarray
    delay: float = 0.0

    @property
    def pulls_to_posture(self) -> bool:
        """Whether it pulls to a posture as well."""
        return bool(self.posture_stiffness.any() or self.posture_damping.any())


def motors_of(made: Table, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rate whose motor moves each rate, -1 for those that none does, and how far it moves with that, (nv,) each.

    Joints that turn or slide have motors, unless they follow others; balls and free joints have none.
    """
    motor, ratio = np.full(len(made.rates), -1), np.zeros(len(made.rates))
    for rate in range(len(made.rates)):
        if position[rate] < 0:
            continue
        if rate in made.lead_rates:
            motor[rate], ratio[rate] = rate, 1.0
        else:
            (column,) = np.flatnonzero(made.rate_gear[rate])
            motor[rate], ratio[rate] = made.lead_rates[column], made.rate_gear[rate, column]
    return motor, ratio


def path_of(made: Table, link: int) -> list[int]:
    """Rates of the joints that carry a moving link, from the base."""
    rates: list[int] = []
    while link >= 0:
        rates = [*range(int(made.v_start[link]), int(made.v_start[link + 1])), *rates]
        link = int(made.parent[link])
    return rates


def tool_mounts(
    robot: str, made: Table, position: np.ndarray, tools: Mapping[str, ToolDrive]
) -> tuple[ToolMount, ...]:  # fmt: skip
    """The impedances of a robot.

    Args:
        robot: its name.
        made: its table.
        position: of `positions_of_rates`.
        tools: by link.

    Raises:
        ValueError: there is no such link, no motor moves it, gains are too many, too few, negative or not finite, or
            the delay is.
    """
    mounts, (motor, _) = [], motors_of(made, position)
    for link, drive in tools.items():
        what = f"robot {robot!r}: the impedance of link {link!r}"
        if link not in made.frames:
            raise ValueError(f"{what}: the robot has no such link; it has {', '.join(made.frames)}")
        path = path_of(made, made.frames[link].link)
        motors = tuple(sorted({int(motor[rate]) for rate in path if motor[rate] >= 0}))
        if not motors:
            raise ValueError(f"{what}: no motor of a joint moves it; name a link beyond a joint that turns or slides")
        gains = [
            _gains(f"{what}: {name}", given, len(motors))
            for name, given in (
                ("stiffness", drive.stiffness), ("damping", drive.damping),
                ("posture_stiffness", drive.posture_stiffness), ("posture_damping", drive.posture_damping),
            )
        ]  # fmt: skip
        if not (isinstance(drive.delay, int | float) and 0.0 <= drive.delay < math.inf):
            raise ValueError(f"{what}: delay = {drive.delay!r} must be one number of seconds, finite and not negative")
        posture = made.posture[position[list(motors)]]
        mounts.append(
            ToolMount(
                f"{robot}/{link}", robot, link, motors, posture, gains[0], gains[1], gains[2], gains[3], drive.delay
            )
        )
    return tuple(mounts)


def _gains(what: str, given: Any, motors: int) -> np.ndarray:
    values = np.asarray(given, dtype=np.float64)
    posture = "posture" in what.rsplit(":", 1)[-1]
    shapes = ((), (motors,)) if posture else ((2,), (AXES,))
    if values.shape not in shapes or not (np.isfinite(values) & (values >= 0.0)).all():
        many = f"one number or {motors}, of the motors" if posture else "two numbers, along and about, or six"
        raise ValueError(f"{what} = {given!r} must be {many}, finite and not negative")
    if posture:
        return np.broadcast_to(values, (motors,)).copy()
    return np.repeat(values, 3) if values.shape == (2,) else values


@dataclass(frozen=True)
class ToolSet:
    """T impedances as kernels read them.

    Attributes:
        mounts: them.
        tree, link, place, turn: tree and link of each, and its frame in that of the link, (T, ...).
        first: of each its first of all M motors, and after the last M, (T + 1,); motor: their rates, (M,).
        path_first, path_rate, path_motor, path_ratio: of each the rates that carry it, which of the M motors moves them
            (-1: none), and by how much.
        motor_of, ratio_of: of every rate of the forest, of `motors_of`, (nv,); is_motor: of an impedance, (nv,) int.
        borne: trees whose weight motors carry, (trees,) int.
        block: of every tree where its block of what impedances add to its inertia begins, -1 without, (trees,);
            size: of all blocks.
        nulled: which of the impedances pull to a posture, (T,) int.
        delay: by which goals of each come late [s], (T,).
    """

    mounts: tuple[ToolMount, ...]
    tree: np.ndarray
    link: np.ndarray
    place: np.ndarray
    turn: np.ndarray
    first: np.ndarray
    motor: np.ndarray
    path_first: np.ndarray
    path_rate: np.ndarray
    path_motor: np.ndarray
    path_ratio: np.ndarray
    motor_of: np.ndarray
    ratio_of: np.ndarray
    is_motor: np.ndarray
    borne: np.ndarray
    block: np.ndarray
    size: int
    nulled: np.ndarray
    delay: np.ndarray

    def __len__(self) -> int:
        return len(self.mounts)

    @property
    def works(self) -> bool:
        """Whether motors do anything beside the drives of the joints."""
        return len(self) > 0 or bool(self.borne.any())


def tool_set(mounts: Sequence[RobotMount], links: np.ndarray, v_start: np.ndarray) -> ToolSet:
    """The impedances of a scene's robots side by side.

    Args:
        mounts: the trees.
        links: first link of each, and after the last their number.
        v_start: of all links.
    """
    starts, rates = [int(v_start[first]) for first in links], int(v_start[-1])
    motor_of, ratio_of = np.full(rates, -1), np.zeros(rates)
    is_motor, block, size = np.zeros(rates, dtype=int), np.full(len(mounts), -1), 0
    tools: list[ToolMount] = []
    rows: list[tuple] = []
    motors: list[int] = []
    paths: list[list[tuple[int, int, float]]] = []
    for t, mount in enumerate(mounts):
        made, start = mount.table, starts[t]
        motor, ratio = motors_of(made, positions_of_rates(made))
        motor_of[start : starts[t + 1]] = np.where(motor >= 0, motor + start, -1)
        ratio_of[start : starts[t + 1]] = ratio
        if mount.tools:
            block[t], size = size, size + (starts[t + 1] - start) ** 2
        for tool in mount.tools:
            frame = made.frames[tool.link]
            rows.append((t, frame.link + int(links[t]), frame.position, frame.quaternion))
            mine = {rate: len(motors) + i for i, rate in enumerate(tool.motors)}
            paths.append([
                (start + rate, mine.get(int(motor[rate]), -1), float(ratio[rate]))
                for rate in path_of(made, frame.link)
            ])  # fmt: skip
            motors += [start + rate for rate in tool.motors]
            tools.append(tool)
    is_motor[motors] = 1
    flat = [each for path in paths for each in path]
    return ToolSet(
        tuple(tools), np.array([row[0] for row in rows], dtype=int), np.array([row[1] for row in rows], dtype=int),
        np.reshape([row[2] for row in rows], (-1, 3)), np.reshape([row[3] for row in rows], (-1, 4)),
        np.cumsum([0, *(len(tool.motors) for tool in tools)]), np.array(motors, dtype=int),
        np.cumsum([0, *map(len, paths)]), np.array([each[0] for each in flat], dtype=int),
        np.array([each[1] for each in flat], dtype=int), np.array([each[2] for each in flat], dtype=float),
        motor_of, ratio_of, is_motor, np.array([int(mount.compensated) for mount in mounts], dtype=int), block, size,
        np.array([int(tool.pulls_to_posture) for tool in tools], dtype=int),
        np.array([tool.delay for tool in tools], dtype=float),
    )  # fmt: skip
