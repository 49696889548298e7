# SPDX-License-Identifier: Apache-2.0
"""The kernel that gives each world the shapes of its layout, from a table of all shapes of a device."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.distance import distance_functions

__all__ = ["shapes_kernels"]


@built_once
def shapes_kernels(real) -> SimpleNamespace:
    """Build the kernel for one scalar type.

    Args:
        real: `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the kernel `choose` over (world, collider).
    """
    dist = distance_functions(real)
    Shape, vec3 = dist.Shape, dist.vec3

    @wp.kernel(module=f"simenv_mpm_shapes_{real.__name__}", enable_backward=False)
    def choose(
        count: int,
        first: wp.array(dtype=int),
        shapes: wp.array(dtype=Shape),
        lowers: wp.array(dtype=vec3),
        uppers: wp.array(dtype=vec3),
        variant_in: wp.array(dtype=int),
        shape_out: wp.array(dtype=Shape),
        lower_out: wp.array(dtype=vec3),
        upper_out: wp.array(dtype=vec3),
    ):
        e = wp.tid()
        row = first[e % count] + variant_in[e]
        shape_out[e] = shapes[row]
        lower_out[e] = lowers[row]
        upper_out[e] = uppers[row]

    return SimpleNamespace(choose=choose)
