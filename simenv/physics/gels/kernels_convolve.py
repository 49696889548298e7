# SPDX-License-Identifier: Apache-2.0
"""Direct convolution on a taxel grid, for grids too small for Fourier transforms to pay."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["convolve_kernels"]


@built_once
def convolve_kernels(real) -> SimpleNamespace:
    """Build `convolve` for one scalar type (`wp.float32` or `wp.float64`)."""
    options = {"module": f"simenv_tactile_convolve_{real.__name__}", "enable_backward": False}

    @wp.kernel(**options)
    def convolve(
        rows: int,
        columns: int,
        tables: wp.array4d(dtype=real),
        values_in: wp.array3d(dtype=real),
        sums_out: wp.array3d(dtype=real),
    ):
        # sums[w, i, a] = sum over j, b of table[a, b, row_i - row_j, column_i - column_j] values[w, j, b], with the
        # table of the world, or of all of them, and its first two axes flattened
        w, i, a = wp.tid()
        table = wp.min(w, tables.shape[0] - 1)
        inputs = values_in.shape[2]
        row = i // columns
        column = i - row * columns
        total = real(0.0)
        for b in range(inputs):
            for r in range(rows):
                for c in range(columns):
                    value = values_in[w, r * columns + c, b]
                    if value != real(0.0):  # most taxels touch nothing
                        total += tables[table, a * inputs + b, row - r + rows - 1, column - c + columns - 1] * value
        sums_out[w, i, a] = total

    return SimpleNamespace(convolve=convolve)
