# SPDX-License-Identifier: Apache-2.0
"""Search for faces of a mesh that pass through one another.

Two faces intersect when an edge of one crosses the other, or when they lie in one plane and overlap. Neighbours that
only share a corner or an edge don't count; faces that fold back onto their neighbour do. Candidates come from a
bounding volume hierarchy in single precision with inflated boxes, the decision is made in double precision.
"""

import numpy as np
import warp as wp

from simenv import _warp
from simenv._exclusive import built_once, one_at_a_time

__all__ = ["self_intersections"]

# Relative to the diagonal of the mesh's bounding box. Files in single precision round at 6e-8, so that a crossing must
# be deeper than that to be one, and faces in one plane may be off it by as much.
_DEPTH = wp.constant(wp.float64(2e-7))
_ZERO = wp.constant(wp.float64(0.0))
_ROUNDING = wp.constant(wp.float64(1e-13))


@wp.func
def _volume(a: wp.vec3d, b: wp.vec3d, c: wp.vec3d, d: wp.vec3d):
    return wp.dot(wp.cross(b - a, c - a), d - a)


@wp.func
def _edge_crosses(p: wp.vec3d, q: wp.vec3d, a: wp.vec3d, b: wp.vec3d, c: wp.vec3d):
    # p and q lie on different sides of the plane of (a, b, c), and the line p-q passes through the closed triangle
    normal = wp.cross(b - a, c - a)
    area = wp.length(normal)
    if area <= _ZERO:
        return False
    dp = wp.dot(normal, p - a) / area
    dq = wp.dot(normal, q - a) / area
    if dp * dq >= _ZERO or wp.min(wp.abs(dp), wp.abs(dq)) < _DEPTH:
        return False
    u = _volume(p, q, a, b)
    v = _volume(p, q, b, c)
    w = _volume(p, q, c, a)
    e = _ROUNDING * wp.max(wp.abs(u), wp.max(wp.abs(v), wp.abs(w)))
    return (u >= -e and v >= -e and w >= -e) or (u <= e and v <= e and w <= e)


@wp.func
def _axis_parts(axis: wp.vec3d, a: wp.mat33d, b: wp.mat33d):
    # whether the projections onto an axis overlap by less than the tolerance
    size = wp.length(axis)
    if size <= _ZERO:
        return False
    pa = a * (axis / size)
    pb = b * (axis / size)
    return wp.min(wp.max(pa), wp.max(pb)) - wp.max(wp.min(pa), wp.min(pb)) < _DEPTH


@wp.func
def _overlap_in_plane(a: wp.mat33d, b: wp.mat33d):
    # separating axes of two triangles in one plane; matrix rows are corners
    n = wp.cross(a[1] - a[0], a[2] - a[0])
    area = wp.length(n)
    if area <= _ZERO:
        return False
    n = n / area
    for i in range(3):
        if wp.abs(wp.dot(n, b[i] - a[0])) > _DEPTH:
            return False
    m = wp.cross(b[1] - b[0], b[2] - b[0])
    if wp.length(m) <= _ZERO or wp.abs(wp.dot(wp.normalize(m), n)) < wp.float64(0.5):
        return False
    if _axis_parts(wp.cross(n, a[1] - a[0]), a, b):
        return False
    if _axis_parts(wp.cross(n, a[2] - a[1]), a, b):
        return False
    if _axis_parts(wp.cross(n, a[0] - a[2]), a, b):
        return False
    if _axis_parts(wp.cross(n, b[1] - b[0]), a, b):
        return False
    if _axis_parts(wp.cross(n, b[2] - b[1]), a, b):
        return False
    return not _axis_parts(wp.cross(n, b[0] - b[2]), a, b)


@wp.func
def _any_edge_crosses(edges: wp.mat33d, face: wp.mat33d, skip: wp.vec3i):
    # the edge i to i + 1 is skipped where one of its ends is a corner of the face
    crosses = False
    for i in range(3):
        j = (i + 1) % 3
        if skip[i] == 0 and skip[j] == 0:
            if _edge_crosses(edges[i], edges[j], face[0], face[1], face[2]):
                crosses = True
    return crosses


@built_once
def _kernel() -> wp.Kernel:
    @wp.kernel(enable_backward=False, module="unique")
    def find_intersections(
        mesh: wp.uint64,
        points: wp.array(dtype=wp.vec3d),
        faces: wp.array(dtype=wp.vec3i),
        margin: wp.float32,
        count_out: wp.array(dtype=wp.int32),
        partner_out: wp.array(dtype=wp.int32),
    ):
        i = wp.tid()
        f = faces[i]
        a = wp.matrix_from_rows(points[f[0]], points[f[1]], points[f[2]])
        low = wp.vec3f(wp.min(wp.min(a[0], a[1]), a[2]))
        high = wp.vec3f(wp.max(wp.max(a[0], a[1]), a[2]))
        border = wp.vec3f(margin, margin, margin)
        query = wp.mesh_query_aabb(mesh, low - border, high + border)
        j = wp.int32(0)
        while wp.mesh_query_aabb_next(query, j):
            if j > i:
                g = faces[j]
                b = wp.matrix_from_rows(points[g[0]], points[g[1]], points[g[2]])
                shared_a = wp.vec3i(0, 0, 0)
                shared_b = wp.vec3i(0, 0, 0)
                shared = wp.int32(0)
                for p in range(3):
                    for q in range(3):
                        if f[p] == g[q]:
                            shared_a[p] = 1
                            shared_b[q] = 1
                            shared += 1
                hit = _overlap_in_plane(a, b)
                if not hit and shared < 2:
                    hit = _any_edge_crosses(a, b, shared_a) or _any_edge_crosses(b, a, shared_b)
                if hit:
                    wp.atomic_add(count_out, 0, 1)
                    partner_out[i] = wp.where(partner_out[i] < 0, j, wp.min(partner_out[i], j))

    return find_intersections


@one_at_a_time
def self_intersections(vertices: np.ndarray, faces: np.ndarray) -> tuple[int, int, int]:
    """Count the pairs of faces that pass through one another.

    Args:
        vertices: (v, 3) in any unit.
        faces: (f, 3) indices; equal corners must be merged.

    Returns:
        The number of pairs, and the first pair's faces (-1, -1 if there is none).
    """
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    unit = (vertices - 0.5 * (low + high)) / np.linalg.norm(high - low)
    _warp.start()
    with wp.ScopedDevice("cpu"):
        mesh = wp.Mesh(
            points=wp.array(unit.astype(np.float32), dtype=wp.vec3f),
            indices=wp.array(faces.astype(np.int32).ravel(), dtype=wp.int32),
        )
        count = wp.zeros(1, dtype=wp.int32)
        partner = wp.full(len(faces), -1, dtype=wp.int32)
        inputs = [
            mesh.id,
            wp.array(unit, dtype=wp.vec3d),
            wp.array(faces.astype(np.int32), dtype=wp.vec3i),
            1e-6,
        ]
        wp.launch(_kernel(), dim=len(faces), inputs=inputs, outputs=[count, partner])
        found = partner.numpy()
        total = int(count.numpy()[0])
    first = int(np.argmax(found >= 0)) if total else -1
    return total, first, int(found[first]) if total else -1
