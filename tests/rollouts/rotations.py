# SPDX-License-Identifier: Apache-2.0
"""Unit quaternions (x, y, z, w) in NumPy, by the textbook: what the motions, which use SciPy, are compared with."""

import numpy as np


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product: the rotation ``b`` first, then ``a``. (..., 4), (..., 4) -> (..., 4)."""
    va, wa, vb, wb = a[..., :3], a[..., 3:], b[..., :3], b[..., 3:]
    vector = wa * vb + wb * va + np.cross(va, vb)
    scalar = wa * wb - np.sum(va * vb, axis=-1, keepdims=True)
    return np.concatenate([vector, scalar], axis=-1)


def inverse(q: np.ndarray) -> np.ndarray:
    """Inverse of a unit quaternion."""
    return q * np.array([-1.0, -1.0, -1.0, 1.0])


def log(q: np.ndarray) -> np.ndarray:
    """Rotation vector [rad] of the shorter rotation, (..., 4) -> (..., 3), of angle at most pi."""
    q = np.where(q[..., 3:] < 0, -q, q)
    sine = np.linalg.norm(q[..., :3], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, q[..., 3:])
    # angle/sine -> 2/w as sine -> 0, which keeps tiny rotations exact.
    factor = np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 2.0 / np.maximum(q[..., 3:], 1e-12))
    return factor * q[..., :3]


def exp(vector: np.ndarray) -> np.ndarray:
    """Unit quaternion of a rotation vector [rad], (..., 3) -> (..., 4)."""
    angle = np.linalg.norm(vector, axis=-1, keepdims=True)
    # sin(angle/2)/angle, continued by 1/2 at zero.
    factor = 0.5 * np.sinc(angle / (2.0 * np.pi))
    return np.concatenate([factor * vector, np.cos(angle / 2.0)], axis=-1)


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle [rad] between two orientations, in [0, pi]."""
    return np.linalg.norm(log(multiply(a, inverse(b))), axis=-1)
