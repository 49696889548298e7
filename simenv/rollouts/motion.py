# SPDX-License-Identifier: Apache-2.0
"""Recorded motions of a tool or hand: CSV files of poses over time, validated, resampled and turned into twists.

The file's header is ``time [s], x,y,z [m], qx,qy,qz,qw``; each row is one pose in the fixed frame of the recording.
"""

import csv
import dataclasses
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simenv._files import write_text
from simenv.rollouts.errors import RolloutError, refusals

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

HEADER = "time [s], x,y,z [m], qx,qy,qz,qw"
COLUMNS = ("time", "x", "y", "z", "qx", "qy", "qz", "qw")
MAX_ROWS = 1_000_000
MAX_SPEED = 20.0  # [m/s] far beyond a hand or an arm, and far below a pose in millimetres
MAX_SPIN = 100.0  # [rad/s] likewise for angles in degrees, or a quaternion in another order
NORM_TOLERANCE = 1e-2  # trackers round quaternions to two or three digits


@dataclasses.dataclass(frozen=True)
class Motion:
    """Poses over time.

    Attributes:
        times: (K,) strictly increasing [s], from 0.
        positions: (K, 3) [m].
        quaternions: (K, 4) unit, xyzw, neighbours in the same half space.
    """

    times: np.ndarray
    positions: np.ndarray
    quaternions: np.ndarray

    @property
    def duration(self) -> float:
        """Length [s]."""
        return float(self.times[-1])

    def resample(self, dt: float) -> "Motion":
        """The motion at multiples of ``dt`` [s], its last pose held where the duration is no multiple."""
        steps = max(1, int(np.ceil(self.duration / dt - 1e-9)))
        at = np.minimum(np.arange(steps + 1) * dt, self.duration)
        positions = np.stack([np.interp(at, self.times, self.positions[:, axis]) for axis in range(3)], axis=1)
        from scipy.spatial.transform import Slerp

        turned = Slerp(self.times, rotation(self.quaternions))(at)
        return Motion(np.arange(steps + 1) * dt, positions, turned.as_quat())

    def twists(self) -> np.ndarray:
        """(K-1, 6) constant twists between the poses: velocity [m/s], angular velocity [rad/s], fixed frame."""
        dt = np.diff(self.times)[:, None]
        turn = (rotation(self.quaternions[1:]) * rotation(self.quaternions[:-1]).inv()).as_rotvec()
        return np.concatenate([np.diff(self.positions, axis=0) / dt, turn / dt], axis=1)

    def starting_at(self, position: np.ndarray, quaternion: np.ndarray) -> "Motion":
        """The same displacements and turns along the same axes, from another first pose ((3,) [m], (4,) xyzw)."""
        turn = rotation(self.quaternions) * rotation(self.quaternions[0]).inv()
        return Motion(
            self.times, self.positions - self.positions[0] + position, (turn * rotation(quaternion)).as_quat()
        )


def rotation(quaternions: np.ndarray) -> "Rotation":
    """Orientations of unit quaternions (4,) or (K, 4), xyzw."""
    from scipy.spatial.transform import Rotation  # only those who use motions wait for it

    return Rotation.from_quat(quaternions)


def load_motion(path: str | os.PathLike) -> Motion:
    """Read and validate a motion file.

    Raises:
        RolloutError: Missing, not CSV, wrong header or units, a number that is none, time that does not increase,
            a quaternion that is not of unit length, or an implausible speed. The message names the line.
    """
    path = Path(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(_limited(csv.reader(file), path))
    except FileNotFoundError as error:
        raise RolloutError(f"{path}: no such file; give a CSV file with the header `{HEADER}`") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RolloutError(f"{path}: not readable as CSV ({error}); save it as UTF-8 text") from error
    lines = [(number, row) for number, row in rows if row and not row[0].lstrip().startswith("#")]
    if not lines:
        raise RolloutError(f"{path}: empty; its first line must be `{HEADER}`")
    _check_header(lines[0][1], path)
    return _checked(_numbers(lines[1:], path), [number for number, _ in lines[1:]], path)


def save_motion(path: str | os.PathLike, motion: Motion) -> None:
    """Write a motion in the format that :func:`load_motion` reads."""
    table = np.column_stack([motion.times, motion.positions, motion.quaternions])
    lines = [HEADER, *(",".join(format(value, ".9g") for value in row) for row in table)]
    with refusals():
        write_text(path, "\n".join(lines) + "\n")


def _limited(reader, path: Path):
    for row in reader:
        if reader.line_num > MAX_ROWS:
            raise RolloutError(f"{path}: more than {MAX_ROWS} lines; cut or thin out the motion")
        yield reader.line_num, row


def _check_header(cells: list[str], path: Path) -> None:
    found = [re.fullmatch(r"\s*(\w+)\s*(?:\[\s*([^\]]*?)\s*\])?\s*", cell) for cell in cells]
    names = tuple(match.group(1).lower() if match else "?" for match in found)
    if names != COLUMNS:
        raise RolloutError(f"{path}: header `{','.join(cells)}` is not `{HEADER}`")
    units = [match.group(2) for match in found]
    wanted = ["s", "m", "m", "m", "1", "1", "1", "1"]
    for name, unit, expected in zip(COLUMNS, units, wanted, strict=True):
        if unit is not None and unit != expected:
            raise RolloutError(f"{path}: column {name} is in [{unit}], it must be in [{expected}]; convert it")
    if units[0] is None or all(unit is None for unit in units[1:4]):
        raise RolloutError(
            f"{path}: the header gives no units; write `{HEADER}`, and convert the numbers if they differ"
        )


def _numbers(lines: list[tuple[int, list[str]]], path: Path) -> np.ndarray:
    if len(lines) < 2:
        raise RolloutError(f"{path}: {len(lines)} poses; a motion needs at least 2")
    table = np.empty((len(lines), len(COLUMNS)))
    for index, (number, row) in enumerate(lines):
        if len(row) != len(COLUMNS):
            raise RolloutError(f"{path}, line {number}: {len(row)} columns, expected {len(COLUMNS)}: {HEADER}")
        for column, cell in enumerate(row):
            try:
                table[index, column] = float(cell)
            except ValueError as error:
                raise RolloutError(f"{path}, line {number}: {COLUMNS[column]} is {cell!r}, not a number") from error
    for index, column in np.argwhere(~np.isfinite(table)):
        raise RolloutError(
            f"{path}, line {lines[index][0]}: {COLUMNS[column]} is not finite; remove or repair the line"
        )
    return table


def _checked(table: np.ndarray, numbers: list[int], path: Path) -> Motion:
    times, positions, quaternions = table[:, 0], table[:, 1:4], table[:, 4:]
    for index in np.flatnonzero(np.diff(times) <= 0):
        raise RolloutError(
            f"{path}, line {numbers[index + 1]}: time {times[index + 1]:g} s does not follow {times[index]:g} s; "
            "sort the lines and remove repeated ones"
        )
    norms = np.linalg.norm(quaternions, axis=1)
    for index in np.flatnonzero(np.abs(norms - 1.0) > NORM_TOLERANCE):
        raise RolloutError(
            f"{path}, line {numbers[index]}: the quaternion has length {norms[index]:g}, "
            f"it must be 1 within {NORM_TOLERANCE}; columns are qx,qy,qz,qw (the scalar last)"
        )
    quaternions = quaternions / norms[:, None]
    # q and -q are one orientation; choose the sign that is near the previous line's.
    flips = np.sum(quaternions[1:] * quaternions[:-1], axis=1) < 0
    quaternions[1:] *= np.where(np.cumsum(flips) % 2 == 1, -1.0, 1.0)[:, None]
    motion = Motion(times - times[0], positions, quaternions)
    speeds = motion.twists()
    for values, limit, unit, hint in (
        (np.linalg.norm(speeds[:, :3], axis=1), MAX_SPEED, "m/s", "are positions in metres and time in seconds?"),
        (np.linalg.norm(speeds[:, 3:], axis=1), MAX_SPIN, "rad/s", "is the order qx,qy,qz,qw, and time in seconds?"),
    ):
        for index in np.flatnonzero(values > limit):
            raise RolloutError(
                f"{path}, line {numbers[index + 1]}: speed {values[index]:.3g} {unit} exceeds {limit:g} {unit}; {hint}"
            )
    return motion
