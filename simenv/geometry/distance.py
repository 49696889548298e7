# SPDX-License-Identifier: Apache-2.0
"""Signed distances of collision shapes as Warp functions, with their exact derivatives.

`distance_functions(wp.float32)` returns functions to call from other kernels. Every function takes one `Shape`, the
flat array that holds the values of all distance volumes, and a point `x` [m] in the shape's own frame:

* `distance(shape, sdf_values, x) -> vec4`: unit normal n = grad phi / |grad phi| and signed distance phi [m],
  negative inside the solid.
* `signed_distance(shape, sdf_values, x) -> real`: phi alone, at half the cost.
* `distance_gradient(shape, sdf_values, x) -> vec3`: the true grad phi. It equals n for the analytic shapes. In a
  distance volume |grad phi| is only about 1, so an adjoint of phi must use this and not n.
* `distance_hessian_product(shape, sdf_values, x, a) -> vec3`: (dn/dx) a [1/m], the directional derivative of n.
* `distance_hessian_transpose_product(shape, sdf_values, x, b) -> vec3`: (dn/dx)^T b [1/m]. dn/dx is symmetric for the
  analytic shapes only, so that a reverse sweep must use this one.
* `distance_adjoint(shape, sdf_values, x, adj) -> vec3`: (dn/dx)^T adj[0:3] + grad phi adj[3], the adjoint of `distance`
  in one evaluation. It is also registered as the gradient of `distance` for kernels with a generated backward.

`surely_farther(shape, sdf_values, x, reach) -> bool` reads one value of a volume and is true only where phi > reach
[m], which spares contact the full evaluation (27 values) nearly everywhere; for analytic shapes it is always false.
  `rough_distance(shape, sdf_values, x) -> real` is that value [m], and the exact distance of an analytic shape;
  `at_least(shape, sdf_values, x) -> real` is below phi [m] by it, and phi of an analytic shape.

All derivatives are written by hand, so that modules may set `enable_backward=False`. Where the nearest surface point is
not unique (centre of a sphere, axis of a cylinder, a ridge inside a box), one of the valid unit normals is returned.
"""

from types import SimpleNamespace

import numpy as np
import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.analytic import (
    KIND_BOX,
    KIND_CAPSULE,
    KIND_CUP,
    KIND_CYLINDER,
    KIND_PLANE,
    KIND_SDF,
    KIND_SPHERE,
    analytic_functions,
)
from simenv.geometry.shapes import Box, Capsule, Cup, Cylinder, MeshShape, Plane, Shape, Sphere
from simenv.geometry.volume import volume_functions

__all__ = [
    "KIND_BOX",
    "KIND_CAPSULE",
    "KIND_CUP",
    "KIND_CYLINDER",
    "KIND_PLANE",
    "KIND_SDF",
    "KIND_SPHERE",
    "distance_functions",
    "pack_shapes",
]

_SDF = wp.constant(KIND_SDF)


@built_once
def distance_functions(real: type) -> SimpleNamespace:
    """Return the Warp struct and functions of the module docstring for one scalar type.

    Args:
        real: `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the struct `Shape` and the functions `distance`, `signed_distance`, `distance_gradient`,
        `surely_farther`, `rough_distance`, `at_least`,
        `distance_hessian_product`, `distance_hessian_transpose_product` and
        `distance_adjoint`; `vec3` and `vec4` are the vector types that they use, `real` the scalar type.

    Raises:
        TypeError: `real` is another type.
    """
    if real not in (wp.float32, wp.float64):
        raise TypeError(f"distance functions exist for wp.float32 and wp.float64, not for {real!r}; pass one of these")
    vec3 = wp.types.vector(length=3, dtype=real)
    vec4 = wp.types.vector(length=4, dtype=real)
    volumes = volume_functions(real)
    volume_sample, volume_curvature, volume_nearest = volumes.sample, volumes.curvature, volumes.nearest
    volume_level = volumes.level

    @wp.struct
    class Shape:
        kind: wp.int32
        size: vec4  # the numbers of `_size`, by kind [m]
        sdf_origin: vec3  # position of value (0, 0, 0) [m]
        sdf_spacing: real  # [m]
        sdf_nx: wp.int32
        sdf_ny: wp.int32
        sdf_nz: wp.int32
        sdf_start: wp.int32  # offset of this volume in the flat array of all volumes

    analytic = analytic_functions(real, Shape)
    analytic_distance, analytic_hessian_product = analytic.distance, analytic.hessian_product

    @wp.func
    def volume_at(shape: Shape, sdf_values: wp.array(dtype=real), x: vec3):
        return volume_sample(
            shape.sdf_origin,
            shape.sdf_spacing,
            shape.sdf_nx,
            shape.sdf_ny,
            shape.sdf_nz,
            shape.sdf_start,
            sdf_values,
            x,
        )

    @wp.func
    def volume_curvature_at(shape: Shape, sdf_values: wp.array(dtype=real), x: vec3, a: vec3):
        return volume_curvature(
            shape.sdf_origin,
            shape.sdf_spacing,
            shape.sdf_nx,
            shape.sdf_ny,
            shape.sdf_nz,
            shape.sdf_start,
            sdf_values,
            x,
            a,
        )

    @wp.func
    def rough_distance(shape: Shape, sdf_values: wp.array(dtype=real), x: vec3) -> real:
        if shape.kind == _SDF:
            return volume_nearest(
                shape.sdf_origin,
                shape.sdf_spacing,
                shape.sdf_nx,
                shape.sdf_ny,
                shape.sdf_nz,
                shape.sdf_start,
                sdf_values,
                x,
            )
        near = analytic_distance(shape, x)
        return near[3]

    @wp.func
    def surely_farther(shape: Shape, sdf_values: wp.array(dtype=real), x: vec3, reach: real) -> bool:
        # the nearest value is at most 0.87 spacings away; the rest of a spacing covers the spline's smoothing
        if shape.kind == _SDF:
            return rough_distance(shape, sdf_values, x) > reach + shape.sdf_spacing
        return False

    @wp.func
    def at_least(shape: Shape, sdf_values: wp.array(dtype=real), x: vec3) -> real:
        if shape.kind == _SDF:
            return rough_distance(shape, sdf_values, x) - shape.sdf_spacing
        return rough_distance(shape, sdf_values, x)

    @wp.func
    def distance(shape: Shape, sdf_values: wp.array(dtype=real), x: vec3) -> vec4:
        if shape.kind == _SDF:
            s = volume_at(shape, sdf_values, x)
            g = vec3(s[0], s[1], s[2])
            size = wp.length(g)
            if size > real(1.0e-6):
                return vec4(g[0] / size, g[1] / size, g[2] / size, s[3])
            return vec4(real(0.0), real(0.0), real(1.0), s[3])
        return analytic_distance(shape, x)

    @wp.func
    def signed_distance(shape: Shape, sdf_values: wp.array(dtype=real), x: vec3) -> real:
        if shape.kind == _SDF:
            return volume_level(
                shape.sdf_origin,
                shape.sdf_spacing,
                shape.sdf_nx,
                shape.sdf_ny,
                shape.sdf_nz,
                shape.sdf_start,
                sdf_values,
                x,
            )
        near = analytic_distance(shape, x)
        return near[3]

    @wp.func
    def distance_gradient(shape: Shape, sdf_values: wp.array(dtype=real), x: vec3) -> vec3:
        if shape.kind == _SDF:
            s = volume_at(shape, sdf_values, x)
            return vec3(s[0], s[1], s[2])
        n = analytic_distance(shape, x)
        return vec3(n[0], n[1], n[2])

    @wp.func
    def distance_hessian_product(shape: Shape, sdf_values: wp.array(dtype=real), x: vec3, a: vec3) -> vec3:
        if shape.kind == _SDF:  # n = g / |g|:  dn = (I - n n^T) H a / |g|
            s = volume_at(shape, sdf_values, x)
            g = vec3(s[0], s[1], s[2])
            size = wp.length(g)
            if size > real(1.0e-6):
                n = g / size
                ha = volume_curvature_at(shape, sdf_values, x, a)
                return (ha - n * wp.dot(n, ha)) / size
            return vec3(real(0.0))
        return analytic_hessian_product(shape, x, a)

    @wp.func
    def distance_adjoint(shape: Shape, sdf_values: wp.array(dtype=real), x: vec3, adj: vec4) -> vec3:
        b = vec3(adj[0], adj[1], adj[2])
        if shape.kind == _SDF:  # the transpose of the above: H (I - n n^T) b / |g|
            s = volume_at(shape, sdf_values, x)
            g = vec3(s[0], s[1], s[2])
            size = wp.length(g)
            if size > real(1.0e-6):
                n = g / size
                ha = volume_curvature_at(shape, sdf_values, x, (b - n * wp.dot(n, b)) / size)
                return ha + g * adj[3]
            return g * adj[3]
        m = analytic_distance(shape, x)
        return analytic_hessian_product(shape, x, b) + vec3(m[0], m[1], m[2]) * adj[3]

    @wp.func
    def distance_hessian_transpose_product(shape: Shape, sdf_values: wp.array(dtype=real), x: vec3, b: vec3) -> vec3:
        return distance_adjoint(shape, sdf_values, x, vec4(b[0], b[1], b[2], real(0.0)))

    @wp.func_grad(distance)
    def adj_distance(shape: Shape, sdf_values: wp.array(dtype=real), x: vec3, adj_ret: vec4):
        wp.adjoint[x] += distance_adjoint(shape, sdf_values, x, adj_ret)

    return SimpleNamespace(
        real=real,
        vec3=vec3,
        vec4=vec4,
        Shape=Shape,
        distance=distance,
        signed_distance=signed_distance,
        rough_distance=rough_distance,
        at_least=at_least,
        surely_farther=surely_farther,
        distance_gradient=distance_gradient,
        distance_hessian_product=distance_hessian_product,
        distance_hessian_transpose_product=distance_hessian_transpose_product,
        distance_adjoint=distance_adjoint,
    )


_KINDS = {
    Plane: KIND_PLANE,
    Box: KIND_BOX,
    Sphere: KIND_SPHERE,
    Cylinder: KIND_CYLINDER,
    Capsule: KIND_CAPSULE,
    Cup: KIND_CUP,
    MeshShape: KIND_SDF,
}


def _size(shape: Shape) -> tuple[float, ...]:
    """Return the up to four numbers that describe an analytic shape to the Warp functions [m]."""
    if isinstance(shape, Plane):
        return shape.unit_normal
    if isinstance(shape, Box):
        return shape.half_extents
    if isinstance(shape, Sphere):
        return (shape.radius,)
    if isinstance(shape, Cylinder | Capsule):
        return (shape.radius, shape.half_height)
    if isinstance(shape, Cup):
        return (shape.inner_radius, shape.height, shape.wall, shape.base)
    return ()


def pack_shapes(
    shapes: list[Shape], real: type = wp.float32, spacing: float | None = None, least: float = 0.0
) -> tuple[list, np.ndarray]:
    """Convert shape objects to what the Warp functions read.

    Args:
        shapes: objects of `simenv.geometry.shapes`.
        real: `wp.float32` or `wp.float64`.
        spacing: spacing of the distance volumes of meshes [m]; `None` lets each mesh choose its own.
        least: the least spacing of those that choose [m]: coarse volumes stay in a processor's cache.

    Returns:
        The list of `Shape` structs, one for each object, to be made an array by
        `wp.array(structs, dtype=distance_functions(real).Shape)`, and the flat values of all volumes [m], to be made
        `wp.array(values, dtype=real)`. A mesh that occurs twice has one volume; without meshes there is one unused
        value, since Warp has no empty arrays to index.

    Raises:
        TypeError: an object is no shape.
        AssetError: a mesh can't be used.
    """
    functions = distance_functions(real)
    scalar = np.float32 if real is wp.float32 else np.float64
    structs, volumes, starts, total = [], [], {}, 0
    for shape in shapes:
        if type(shape) not in _KINDS:
            names = ", ".join(kind.__name__ for kind in _KINDS)
            raise TypeError(f"{shape!r} is no collision shape; use one of {names}")
        packed = functions.Shape()
        packed.kind = _KINDS[type(shape)]
        packed.size = functions.vec4(*(_size(shape) + (0.0,) * 4)[:4])
        if isinstance(shape, MeshShape):
            grid = shape.sdf(least if spacing is None and shape.spacing < least else spacing)
            if shape not in starts:
                starts[shape] = total
                volumes.append(np.ascontiguousarray(grid.values, dtype=scalar).ravel())
                total += volumes[-1].size
            packed.sdf_origin = functions.vec3(*grid.origin)
            packed.sdf_spacing = grid.spacing
            packed.sdf_nx, packed.sdf_ny, packed.sdf_nz = grid.values.shape
            packed.sdf_start = starts[shape]
        structs.append(packed)
    return structs, np.concatenate(volumes) if volumes else np.zeros(1, dtype=scalar)
