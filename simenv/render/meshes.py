# SPDX-License-Identifier: Apache-2.0
"""Triangle meshes made ready for ray casting: one vertex per corner, normals smooth except across creases."""

from __future__ import annotations

import math

import numpy as np

CREASE = math.radians(35.0)


def corner_mesh(vertices: np.ndarray, faces: np.ndarray, name: str = "mesh") -> tuple[np.ndarray, np.ndarray]:
    """Unshares the vertices of a mesh and gives every corner a shading normal.

    A corner's normal is the mean of the normals of those faces around its vertex that lie within `CREASE` of its own
    face, weighted by area times corner angle. A glass therefore keeps its sharp rim while its wall shades smoothly,
    however few and long its triangles are.

    Args:
        vertices: (V, 3) [m].
        faces: (F, 3) indices.
        name: For the error message.

    Returns:
        Corner positions (3F, 3) and unit normals (3F, 3), float32, in face order.

    Raises:
        ValueError: The mesh has no face, or all of its faces have no area.
    """
    vertices = np.asarray(vertices, dtype=np.float64).reshape(-1, 3)
    faces = np.asarray(faces, dtype=np.int64).reshape(-1, 3)
    points = vertices[faces]
    cross = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    area = np.linalg.norm(cross, axis=1)
    keep = area > 0.0
    if not keep.any():
        raise ValueError(f"{name!r} has no face with an area ({len(faces)} faces); give a closed triangle mesh")
    faces, points, cross, area = faces[keep], points[keep], cross[keep], area[keep]
    normals = cross / area[:, None]

    # Positions, not indices, say which corners meet: STL files share no vertices.
    scale = max(float(np.ptp(vertices, axis=0).max()), 1e-12)
    rounded = np.round(points.reshape(-1, 3) / (1e-6 * scale)).astype(np.int64)
    _, vertex = np.unique(rounded, axis=0, return_inverse=True)
    vertex = vertex.reshape(-1)
    face = np.repeat(np.arange(len(faces)), 3)
    weight = (area[:, None] * _corner_angles(points)).reshape(-1)
    first, second = _pairs_at_each_vertex(vertex)
    smooth = np.einsum("ij,ij->i", normals[face[first]], normals[face[second]]) > math.cos(CREASE)
    first, second = first[smooth], second[smooth]
    contribution = normals[face[second]] * weight[second, None]
    total = np.stack([np.bincount(first, contribution[:, k], minlength=len(face)) for k in range(3)], axis=1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    shading = np.where(length > 0.0, total / np.maximum(length, 1e-300), normals[face])
    return points.reshape(-1, 3).astype(np.float32), shading.astype(np.float32)


def _corner_angles(points: np.ndarray) -> np.ndarray:
    """Interior angles (F, 3) [rad] of triangles (F, 3, 3)."""
    angles = np.empty(points.shape[:2])
    for k in range(3):
        a = points[:, (k + 1) % 3] - points[:, k]
        b = points[:, (k + 2) % 3] - points[:, k]
        norm = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        angles[:, k] = np.arccos(np.clip(np.einsum("ij,ij->i", a, b) / np.maximum(norm, 1e-300), -1.0, 1.0))
    return angles


def _pairs_at_each_vertex(vertex: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All ordered pairs of corners that share a vertex (a corner with itself included)."""
    order = np.argsort(vertex, kind="stable")
    count = np.bincount(vertex)
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    size = count[vertex[order]]
    first = np.repeat(order, size)
    # Position inside the run of pairs of one corner: 0 .. size - 1.
    offset = np.arange(len(first)) - np.repeat(np.cumsum(size) - size, size)
    second = order[np.repeat(start[vertex[order]], size) + offset]
    return first, second
