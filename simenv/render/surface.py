# SPDX-License-Identifier: Apache-2.0
"""Particles to a smooth closed surface with normals and colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import warp as wp
from warp.geometry import IsoSurfaceMarchingCubes as Cubes

from simenv._exclusive import built_once
from simenv.render import kernels_surface as kernels
from simenv.render.items import ParticleItem

# Above this the grid is coarsened: drops flung far apart would otherwise fill the memory [nodes].
MAX_NODES = 1_500_000


@dataclass
class Surface:
    """A liquid's surface. Arrays are Warp CPU arrays: vertices and normals (V, 3) [m], colours (V, 4) linear rgba."""

    vertices: wp.array
    indices: wp.array
    normals: wp.array
    colors: wp.array


def srgb_to_linear(color: Sequence[float] | np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] to linear light (IEC 61966-2-1); a fourth component is kept."""
    c = np.asarray(color, dtype=np.float64)
    rgb = c[..., :3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.concatenate([linear, c[..., 3:]], axis=-1).astype(np.float32)


def extract_surface(
    items: Sequence[ParticleItem], walls: Sequence[tuple[wp.Mesh, wp.transform]] = (), smoothing: int = 4
) -> Surface | None:
    """Extracts one surface around all particles of ``items``, their colours mixed where they meet.

    Args:
        items: Particle groups; the finest spacing sets the grid.
        walls: Meshes and poses of the vessels that the liquid wets: it is drawn into contact with them.
        smoothing: How many times the level set is filtered; 0 shows every particle as a bump.

    Returns:
        The surface, or None if there is no particle.

    Raises:
        ValueError: A position is not finite.
    """
    items = [item for item in items if len(item.positions)]
    if not items:
        return None
    points = np.concatenate([np.asarray(item.positions, dtype=np.float32).reshape(-1, 3) for item in items])
    if not np.isfinite(points).all():
        bad = int((~np.isfinite(points)).any(axis=1).sum())
        raise ValueError(f"{bad} of {len(points)} particles to draw are not finite; draw only worlds with status 0")
    colors = None
    if len({item.color for item in items}) > 1:
        colors = np.concatenate([np.tile(srgb_to_linear(item.color), (len(item.positions), 1)) for item in items])
    spacing = min(item.spacing for item in items)
    real = len(points)
    points, colors = _with_wall_images(points, colors, walls, 2.4 * spacing)
    grid = _Grid(points, spacing)

    sums = wp.zeros(grid.shape, dtype=wp.vec4, device="cpu")
    images = wp.zeros(grid.shape, dtype=float, device="cpu")
    near = wp.full(grid.shape, grid.radius, dtype=float, device="cpu")
    inputs = [grid.positions, real, grid.low, grid.cell, grid.radius]
    wp.launch(kernels.splat, len(points), inputs, [sums, images, near], device="cpu")
    reached = sums.numpy()[..., 0] > 1e-6
    phi = _level_set(_listed(reached), sums, near, spacing, smoothing)
    for axis in range(3):  # liquid at an outermost node is closed by the cells before it, whose nodes none reaches
        along = np.moveaxis(reached, axis, 0)
        along[:-1] |= along[1:]
    vertices, indices = _marching_cubes(_listed(reached), phi, grid)
    if len(indices) == 0:
        return None
    for mesh, pose in walls:
        inputs = [mesh.id, pose, 1.2 * spacing, 0.12 * spacing, sums, images, grid.low, grid.cell, vertices]
        wp.launch(kernels.wet_walls, len(vertices), inputs, device="cpu")
    normals = wp.empty(len(vertices), dtype=wp.vec3, device="cpu")
    tints = wp.empty(len(vertices), dtype=wp.vec4, device="cpu")
    color_sums = None
    if colors is not None:
        color_sums = wp.zeros(grid.shape, dtype=wp.vec4, device="cpu")
        inputs = [grid.positions, wp.array(colors, dtype=wp.vec4, device="cpu"), grid.low, grid.cell, grid.radius]
        wp.launch(kernels.splat_color, len(points), inputs, [color_sums], device="cpu")
    plain = wp.vec4(*srgb_to_linear(items[0].color).tolist())
    inputs = [vertices, phi, sums, color_sums, plain, grid.low, grid.cell]
    wp.launch(kernels.vertex_attributes, len(vertices), inputs, [normals, tints], device="cpu")
    return Surface(vertices, indices, normals, tints)


class _Grid:
    """A regular grid of nodes around points [m], fine enough to show single particles, with a margin for filters."""

    def __init__(self, points: np.ndarray, spacing: float) -> None:
        lower, upper = points.min(axis=0), points.max(axis=0)
        upper = upper + 1e-6 * spacing
        self.cell = max(0.7 * spacing, float(np.prod((upper - lower).astype(np.float64)) / MAX_NODES) ** (1.0 / 3.0))
        # Whole cells anchor the grid in the world: otherwise the surface would shimmer as its box moves.
        self.radius = 2.2 * max(spacing, self.cell)
        margin = math.ceil(self.radius / self.cell) + 3
        lower = (np.floor(lower / self.cell) - margin) * self.cell
        self.shape = tuple(int(n) for n in np.ceil((upper - lower) / self.cell).astype(int) + margin + 1)
        self.low = wp.vec3(*lower.tolist())
        self.positions = wp.array(points, dtype=wp.vec3, device="cpu")


def _with_wall_images(
    points: np.ndarray, colors: np.ndarray | None, walls: Sequence[tuple[wp.Mesh, wp.transform]], reach: float
) -> tuple[np.ndarray, np.ndarray | None]:
    """Appends the projections onto the walls of the particles near them, with their colours."""
    positions = wp.array(points, dtype=wp.vec3, device="cpu")
    all_points, all_colors = [points], [colors]
    for mesh, pose in walls:
        count = wp.zeros(1, dtype=int, device="cpu")
        source = wp.empty(len(points), dtype=int, device="cpu")
        images = wp.empty(len(points), dtype=wp.vec3, device="cpu")
        inputs = [mesh.id, pose, reach, positions, count]
        wp.launch(kernels.wall_images, len(points), inputs, [source, images], device="cpu")
        n = int(count.numpy()[0])
        all_points.append(images.numpy()[:n])
        all_colors.append(None if colors is None else colors[source.numpy()[:n]])
    return np.concatenate(all_points), None if colors is None else np.concatenate(all_colors)  # type: ignore[arg-type]


def _listed(mask: np.ndarray) -> wp.array:
    """The nodes (n, 3) where a mask is True."""
    return wp.array(np.argwhere(mask).astype(np.int32), dtype=wp.vec3i, device="cpu")


def _level_set(nodes: wp.array, sums: wp.array, near: wp.array, spacing: float, smoothing: int) -> wp.array:
    """Signed distance-like field [m], negative in the liquid; even over bodies of it, true to drops and streams."""
    outside = 0.7 * spacing
    phi = wp.full(sums.shape, outside, dtype=float, device="cpu")
    fine = wp.full(sums.shape, outside, dtype=float, device="cpu")
    inputs = [nodes, sums, near, 0.68 * spacing, 0.95 * spacing, outside]
    wp.launch(kernels.level_set, len(nodes), inputs, [phi, fine], device="cpu")
    if smoothing > 0:
        spare = wp.full(sums.shape, outside, dtype=float, device="cpu")
        fine, spare = _filter(nodes, fine, spare)
        sharp = wp.clone(phi)
        for _ in range(smoothing):
            phi, spare = _filter(nodes, phi, spare)
        wp.launch(kernels.unite, len(nodes), [nodes, fine, near, sharp, spacing], [phi], device="cpu")
    return phi


def _filter(nodes: wp.array, field: wp.array, spare: wp.array) -> tuple[wp.array, wp.array]:
    for axis in range(3):
        wp.launch(kernels.binomial, len(nodes), [axis, nodes, field], [spare], device="cpu")
        field, spare = spare, field
    return field, spare


def _marching_cubes(nodes: wp.array, phi: wp.array, grid: _Grid) -> tuple[wp.array, wp.array]:
    """Triangles of the zero level (Lorensen and Cline 1987), visiting only the cells that liquid can lie in.

    Warp's own extraction visits every node of the box, which for a stream between two vessels is mostly air; its case
    tables are used here.
    """
    corners, edge_start, ranges, edges = _tables()
    count = wp.zeros(1, dtype=int, device="cpu")
    edge = wp.empty((*phi.shape, 3), dtype=int, device="cpu")
    vertices = wp.empty(3 * len(nodes), dtype=wp.vec3, device="cpu")
    inputs = [nodes, phi, grid.low, grid.cell, count]
    wp.launch(kernels.surface_vertices, len(nodes), inputs, [edge, vertices], device="cpu")
    vertex_count = int(count.numpy()[0])
    # A cell has as many vertices on its edges as it has triangles plus two, and an edge has four cells.
    indices = wp.empty(12 * vertex_count, dtype=int, device="cpu")
    count.zero_()
    inputs = [nodes, phi, edge, corners, edge_start, ranges, edges, count]
    wp.launch(kernels.surface_triangles, len(nodes), inputs, [indices], device="cpu")
    used = vertices.numpy()[:vertex_count].copy(), indices.numpy()[: int(count.numpy()[0])].copy()
    return wp.array(used[0], dtype=wp.vec3, device="cpu"), wp.array(used[1], dtype=int, device="cpu")


@built_once
def _tables() -> tuple[wp.array, wp.array, wp.array, wp.array]:
    """Corner offsets, each edge's first node and axis, and Warp's triangle table."""
    corners = np.array(Cubes.CUBE_CORNER_OFFSETS, dtype=np.int32)
    starts = []
    for a, b in Cubes.EDGE_TO_CORNERS:
        starts.append([*np.minimum(corners[a], corners[b]), int(np.argmax(np.abs(corners[a] - corners[b])))])
    return (
        wp.array(corners, dtype=wp.vec3i, device="cpu"),
        wp.array(np.array(starts, dtype=np.int32), dtype=wp.vec4i, device="cpu"),
        wp.array(Cubes.CASE_TO_TRI_RANGE, dtype=int, device="cpu"),
        wp.array(Cubes.TRI_LOCAL_INDICES, dtype=int, device="cpu"),
    )


def enclosed_volume(surface: Surface) -> float:
    """Volume inside a closed surface [m^3] (divergence theorem)."""
    p = surface.vertices.numpy().astype(np.float64)[surface.indices.numpy().reshape(-1, 3)]
    return float(math.fsum(np.einsum("ij,ij->i", p[:, 0], np.cross(p[:, 1], p[:, 2]))) / 6.0)
