# SPDX-License-Identifier: Apache-2.0
"""What tasks measure on all particles: distance to a convex hull, and density on a grid.

One after the other on a CPU, so that results do not depend on threads. Arguments are addresses of contiguous memory, as
in `simenv.physics.kernels_exact`.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["measures_kernels"]


@built_once
def measures_kernels(real) -> SimpleNamespace:
    """Build the kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `hull`, over all points; `density` and its adjoint `density_adjoint`, over all particles of all
        worlds; and the type `vec3`.
    """
    options = {"module": f"simenv_measures_{real.__name__}", "enable_backward": False}
    vec3, vec4 = wp.types.vector(3, real), wp.types.vector(4, real)

    @wp.kernel(**options)
    def hull(
        n: int, faces: int, planes_in: wp.uint64, points_in: wp.uint64, distance_out: wp.uint64, face_out: wp.uint64
    ):
        """Largest signed distance to the planes (unit normal, offset), and to which of them."""
        i = wp.tid()
        planes = wp.array(ptr=planes_in, shape=(faces,), dtype=vec4)
        points = wp.array(ptr=points_in, shape=(n,), dtype=vec3)
        distance = wp.array(ptr=distance_out, shape=(n,), dtype=real)
        nearest = wp.array(ptr=face_out, shape=(n,), dtype=wp.int64)
        p, q = points[i], planes[0]
        x, y, z = p[0], p[1], p[2]
        best = q[0] * x + q[1] * y + q[2] * z - q[3]
        face = int(0)
        for f in range(1, faces):
            plane = planes[f]
            d = plane[0] * x + plane[1] * y + plane[2] * z - plane[3]
            if d > best:
                best = d
                face = f
        distance[i] = best
        nearest[i] = wp.int64(face)

    @wp.func
    def spline(offset: real):
        """Weights of three nodes for an offset from the first, in [0.5, 1.5] spacings."""
        a, b, c = real(1.5) - offset, offset - real(1.0), offset - real(0.5)
        return vec3(real(0.5) * a * a, real(0.75) - b * b, real(0.5) * c * c)

    @wp.func
    def slope(offset: real):
        """Their derivatives."""
        return vec3(offset - real(1.5), real(2.0) - real(2.0) * offset, offset - real(0.5))

    @wp.func
    def node_of(x: vec3, low: vec3, spacing: vec3, axis: int):
        """First of the three nodes within reach along an axis."""
        return wp.floor((x[axis] - low[axis]) / spacing[axis] - real(0.5))

    @wp.kernel(**options)
    def density(
        particles: int, nx: int, ny: int, nz: int, low: vec3, spacing: vec3,
        worlds: int, x_in: wp.uint64, amount_in: wp.uint64, grid_out: wp.uint64,
    ):  # fmt: skip
        t = wp.tid()
        positions = wp.array(ptr=x_in, shape=(worlds * particles,), dtype=vec3)
        amounts = wp.array(ptr=amount_in, shape=(worlds * particles,), dtype=real)
        grid = wp.array(ptr=grid_out, shape=(worlds, nx, ny, nz), dtype=real)
        x, amount, world = positions[t], amounts[t], t // particles
        bx, by, bz = node_of(x, low, spacing, 0), node_of(x, low, spacing, 1), node_of(x, low, spacing, 2)
        wx = spline((x[0] - low[0]) / spacing[0] - bx)
        wy = spline((x[1] - low[1]) / spacing[1] - by)
        wz = spline((x[2] - low[2]) / spacing[2] - bz)
        for i in range(3):
            for j in range(3):
                for k in range(3):
                    a, b, c = int(bx) + i, int(by) + j, int(bz) + k
                    if a >= 0 and a < nx and b >= 0 and b < ny and c >= 0 and c < nz:
                        wp.atomic_add(grid, world, a, b, c, amount * wx[i] * wy[j] * wz[k])

    @wp.kernel(**options)
    def density_adjoint(
        particles: int, nx: int, ny: int, nz: int, low: vec3, spacing: vec3,
        worlds: int, x_in: wp.uint64, amount_in: wp.uint64, adj_grid_in: wp.uint64,
        adj_x_out: wp.uint64, adj_amount_out: wp.uint64,
    ):  # fmt: skip
        t = wp.tid()
        positions = wp.array(ptr=x_in, shape=(worlds * particles,), dtype=vec3)
        amounts = wp.array(ptr=amount_in, shape=(worlds * particles,), dtype=real)
        adj_grid = wp.array(ptr=adj_grid_in, shape=(worlds, nx, ny, nz), dtype=real)
        adj_x = wp.array(ptr=adj_x_out, shape=(worlds * particles,), dtype=vec3)
        adj_amount = wp.array(ptr=adj_amount_out, shape=(worlds * particles,), dtype=real)
        x, world = positions[t], t // particles
        bx, by, bz = node_of(x, low, spacing, 0), node_of(x, low, spacing, 1), node_of(x, low, spacing, 2)
        ox, oy, oz = (
            (x[0] - low[0]) / spacing[0] - bx, (x[1] - low[1]) / spacing[1] - by, (x[2] - low[2]) / spacing[2] - bz,
        )  # fmt: skip
        wx, wy, wz = spline(ox), spline(oy), spline(oz)
        sx, sy, sz = slope(ox), slope(oy), slope(oz)
        by_amount, by_place = real(0.0), vec3()
        for i in range(3):
            for j in range(3):
                for k in range(3):
                    a, b, c = int(bx) + i, int(by) + j, int(bz) + k
                    if a >= 0 and a < nx and b >= 0 and b < ny and c >= 0 and c < nz:
                        g = adj_grid[world, a, b, c]
                        by_amount += g * wx[i] * wy[j] * wz[k]
                        by_place += g * vec3(sx[i] * wy[j] * wz[k], wx[i] * sy[j] * wz[k], wx[i] * wy[j] * sz[k])
        adj_x[t] = amounts[t] * wp.cw_div(by_place, spacing)
        adj_amount[t] = by_amount

    return SimpleNamespace(hull=hull, density=density, density_adjoint=density_adjoint, vec3=vec3)
