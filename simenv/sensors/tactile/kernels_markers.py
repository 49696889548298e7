# SPDX-License-Identifier: Apache-2.0
"""A matrix applied to a vector of each world, in an order of summation that does not depend on their number."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["markers_kernels"]


@built_once
def markers_kernels(real) -> SimpleNamespace:
    """Build the kernel for one scalar type, `wp.float32` or `wp.float64`: `product` and its type `real`.

    Its derivative is the product with the transposed matrix, so no adjoint is generated.
    """
    options = {"module": f"simenv_tactile_markers_{real.__name__}", "enable_backward": False}

    @wp.kernel(**options)
    def product(
        matrix_in: wp.array2d(dtype=real), vector_in: wp.array2d(dtype=real), result_out: wp.array2d(dtype=real)
    ):
        w, i = wp.tid()
        total = real(0.0)
        for j in range(matrix_in.shape[1]):
            total += matrix_in[i, j] * vector_in[w, j]
        result_out[w, i] = total

    return SimpleNamespace(product=product, real=real)
