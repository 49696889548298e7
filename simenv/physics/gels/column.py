# SPDX-License-Identifier: Apache-2.0
"""How deep an object is below a taxel: where the taxel's normal enters it (`simenv.geometry.entry`). The implicit
function theorem gives the derivative, however steeply the normal enters.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.distance import distance_functions
from simenv.geometry.entry import entry_functions

__all__ = ["column_functions"]


@built_once
def column_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `column_depth(shape, sdf_values, x, axis, deepest, reach)`, negative before touch.
    """
    dist = distance_functions(real)
    Shape, vec3 = dist.Shape, dist.vec3
    entry = entry_functions(real).entry

    @wp.func
    def column_depth(
        shape: Shape, sdf_values: wp.array(dtype=real), x: vec3, axis: vec3, deepest: real, reach: real
    ) -> real:
        met = entry(shape, sdf_values, x, axis, -deepest, reach)
        return -met[3]

    @wp.func_grad(column_depth)
    def adj_column_depth(
        shape: Shape,
        sdf_values: wp.array(dtype=real),
        x: vec3,
        axis: vec3,
        deepest: real,
        reach: real,
        adj_ret: real,
    ):
        met = entry(shape, sdf_values, x, axis, -deepest, reach)
        g = vec3(met[0], met[1], met[2])
        slope = wp.dot(g, axis)
        if slope < real(0.0):  # zero where the ray met nothing; the depth is -t
            factor = adj_ret / slope
            wp.adjoint[x] += factor * g
            wp.adjoint[axis] += (factor * met[3]) * g

    return SimpleNamespace(column_depth=column_depth)
