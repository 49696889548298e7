# SPDX-License-Identifier: Apache-2.0
"""Poses in double precision for the readers of robots: quaternions xyzw, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["HERE", "Pose", "matrix", "quaternion_of"]

Numbers = Sequence[float] | np.ndarray


def _turn(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    t = 2.0 * np.cross(q[:3], v)
    return v + q[3] * t + np.cross(q[:3], t)


def _multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    vector = a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])
    return np.array([*vector, a[3] * b[3] - a[:3] @ b[:3]])


@dataclass(frozen=True)
class Pose:
    """A place [m] (3,) and a unit quaternion xyzw (4,); `a @ b` is b seen from where a is measured."""

    place: np.ndarray
    quaternion: np.ndarray

    @staticmethod
    def of(place: Numbers = (0.0, 0.0, 0.0), quaternion: Numbers = (0.0, 0.0, 0.0, 1.0)) -> Pose:
        """A pose of numbers; the quaternion is brought to length one."""
        q = np.asarray(quaternion, dtype=np.float64)
        return Pose(np.asarray(place, dtype=np.float64), q / np.linalg.norm(q))

    @staticmethod
    def rpy(place: Numbers, angles: Numbers) -> Pose:
        """URDF's: turned about the fixed axes x, then y, then z [rad]."""
        q = np.array([0.0, 0.0, 0.0, 1.0])
        for axis, angle in enumerate(angles):
            about = np.array([0.0, 0.0, 0.0, np.cos(0.5 * angle)])
            about[axis] = np.sin(0.5 * angle)
            q = _multiply(about, q)
        return Pose.of(place, q)

    def __matmul__(self, other: Pose) -> Pose:
        return Pose(
            self.place + _turn(self.quaternion, other.place), _multiply(self.quaternion, other.quaternion)
        )  # fmt: skip

    def inverse(self) -> Pose:
        """The pose that undoes it."""
        back = self.quaternion * np.array([-1.0, -1.0, -1.0, 1.0])
        return Pose(-_turn(back, self.place), back)

    def point(self, at: Numbers) -> np.ndarray:
        """A point (3,) [m] of this frame, in the frame that it is measured from."""
        return self.place + _turn(self.quaternion, np.asarray(at, dtype=np.float64))

    @property
    def is_here(self) -> bool:
        """Whether it changes nothing."""
        return not self.place.any() and not self.quaternion[:3].any()

    def tuples(self) -> tuple[tuple[float, float, float], tuple[float, float, float, float]]:
        """Place and quaternion as tuples, without negative zeros."""
        return tuple((self.place + 0.0).tolist()), tuple((self.quaternion + 0.0).tolist())


HERE = Pose.of()


def matrix(quaternion: np.ndarray) -> np.ndarray:
    """Rotation matrix (3, 3) of a unit quaternion (4,)."""
    return np.stack([_turn(quaternion, axis) for axis in np.eye(3)], axis=1)


def quaternion_of(rotation: np.ndarray) -> np.ndarray:
    """Unit quaternion (4,) of a rotation matrix (3, 3): the eigenvector of Bar-Itzhack (2000), with a positive w."""
    r = np.asarray(rotation, dtype=np.float64)
    k = np.empty((4, 4))
    k[:3, :3] = r + r.T - np.trace(r) * np.eye(3)
    k[3, :3] = k[:3, 3] = (r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1])
    k[3, 3] = np.trace(r)
    q = np.linalg.eigh(k)[1][:, -1]
    return q if q[3] >= 0.0 else -q
