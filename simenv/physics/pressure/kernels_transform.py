# SPDX-License-Identifier: Apache-2.0
"""Warp kernels that solve the pressure equation of a box without obstacles in the eigenvectors of its axes.

Each product of an axis' matrix with the cells of a slab, or of some columns, is one native function, in blocks of four
by eight that stay in registers. A product is one thread's, so that the order of its sums is that of the code.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.pressure.kernels_krylov import krylov_functions

__all__ = ["transform_kernels"]

COLUMNS = 64  # of cells, along x, that are one thread's

# c = a b of m rows and n columns, `inner` numbers each; a_row and a_step are the ways between a row's and its numbers,
# b_row and c_row those between rows
_PRODUCT = """
#if !defined(__CUDACC__)
    #pragma clang fp contract(fast)
#endif
    typedef double T;
    #define FOUR _Pragma("unroll") for (int r = 0; r < 4; ++r)
    #define EIGHT _Pragma("unroll") for (int s = 0; s < 8; ++s)
    const T* a_ = (const T*)a.data + a_start;
    const T* b_ = (const T*)b.data + b_start;
    T* c_ = (T*)c.data + c_start;
    for (int i = 0; i < m; i += 4)
        for (int j = 0; j < n; j += 8) {
            const int rows = m - i < 4 ? m - i : 4, columns = n - j < 8 ? n - j : 8;
            const T* left = a_ + (size_t)i * a_row;
            const T* right = b_ + j;
            T* out = c_ + (size_t)i * c_row + j;
            T sum[4][8] = {};
            if (rows == 4 && columns == 8)
                for (int k = 0; k < inner; ++k)
                    FOUR {
                        const T x = left[(size_t)r * a_row + (size_t)k * a_step];
                        EIGHT sum[r][s] += x * right[(size_t)k * b_row + s];
                    }
            else if (columns == 8)
                for (int r = 0; r < rows; ++r)
                    for (int k = 0; k < inner; ++k) {
                        const T x = left[(size_t)r * a_row + (size_t)k * a_step];
                        EIGHT sum[r][s] += x * right[(size_t)k * b_row + s];
                    }
            else
                for (int r = 0; r < rows; ++r)
                    for (int k = 0; k < inner; ++k) {
                        const T x = left[(size_t)r * a_row + (size_t)k * a_step];
                        for (int s = 0; s < columns; ++s) sum[r][s] += x * right[(size_t)k * b_row + s];
                    }
            for (int r = 0; r < rows; ++r)
                for (int s = 0; s < columns; ++s) out[(size_t)r * c_row + s] = sum[r][s];
        }
"""


@built_once
def transform_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`, that the world has; sums are in double precision.

    All cells are flat: world, x, y, z. Matrices are flat too, an eigenvector in each column; `x`, `y` and `z` are those
    of the axes, `xt`, `yt` and `zt` the same transposed.

    Returns:
        A namespace with

        * `into_slabs`: cells in the eigenvectors of y and z, slab by slab across x, and the largest of each slab;
        * `along`: the same along x, divided by eigenvalues, and back;
        * `out_of_slabs`: the inverse of `into_slabs`, or zero where the right-hand side is within the tolerance, and
          whether the numbers of each slab are finite;
        * `end`: 1 for worlds in which all are.
    """
    greater = krylov_functions(real).greater
    flat, given = wp.array(dtype=wp.float64), wp.array(dtype=real)
    options = {"module": f"simenv_pressure_transform_{real.__name__}", "enable_backward": False}

    @wp.func_native(_PRODUCT)
    def product(
        m: int, n: int, inner: int, a: flat, a_start: wp.int64, a_row: int, a_step: int, b: flat, b_start: wp.int64,
        b_row: int, c: flat, c_start: wp.int64, c_row: int,
    ): ...  # fmt: skip

    zero = wp.constant(wp.int64(0))

    @wp.func
    def start_of(w: int, i: int, shape: wp.vec3i) -> wp.int64:
        return (wp.int64(w) * wp.int64(shape[0]) + wp.int64(i)) * wp.int64(shape[1] * shape[2])

    @wp.kernel(**options)
    def into_slabs(
        shape: wp.vec3i, y_in: flat, z_in: flat, b_in: given, spare_out: flat, found_out: flat,
        most_out: wp.array2d(dtype=real),
    ):  # fmt: skip
        w, i = wp.tid()
        ny = shape[1]
        nz = shape[2]
        start = start_of(w, i, shape)
        most = real(0.0)
        for c in range(ny * nz):
            value = b_in[start + wp.int64(c)]
            most = greater(most, wp.abs(value))
            found_out[start + wp.int64(c)] = wp.float64(value)
        most_out[w, i] = most
        if nz == 1:  # rows of one number: the slab is one row, times the matrix
            product(1, ny, ny, found_out, start, ny, 1, y_in, zero, ny, spare_out, start, ny)
            for c in range(ny):
                found_out[start + wp.int64(c)] = spare_out[start + wp.int64(c)]
        else:
            product(ny, nz, ny, y_in, zero, 1, ny, found_out, start, nz, spare_out, start, nz)
            product(ny, nz, nz, spare_out, start, nz, 1, z_in, zero, nz, found_out, start, nz)

    @wp.kernel(**options)
    def along(shape: wp.vec3i, x_in: flat, xt_in: flat, inverse_in: flat, spare_out: flat, found_inout: flat):
        w, chunk = wp.tid()
        nx = shape[0]
        row = shape[1] * shape[2]
        first = chunk * wp.static(COLUMNS)
        count = wp.min(wp.static(COLUMNS), row - first)
        start = start_of(w, 0, shape) + wp.int64(first)
        product(nx, count, nx, xt_in, zero, nx, 1, found_inout, start, row, spare_out, start, row)
        for i in range(nx):
            for c in range(count):
                at = start + wp.int64(i * row + c)
                spare_out[at] = spare_out[at] * inverse_in[i * row + first + c]
        product(nx, count, nx, x_in, zero, nx, 1, spare_out, start, row, found_inout, start, row)

    @wp.kernel(**options)
    def out_of_slabs(
        shape: wp.vec3i, tolerance: real, y_in: flat, yt_in: flat, zt_in: flat, most_in: wp.array2d(dtype=real),
        scale_in: wp.array(dtype=real), found_inout: flat, spare_out: flat, p_out: given,
        whole_out: wp.array2d(dtype=int),
    ):  # fmt: skip
        w, i = wp.tid()
        ny = shape[1]
        nz = shape[2]
        start = start_of(w, i, shape)
        most = real(0.0)
        for each in range(shape[0]):
            most = greater(most, most_in[w, each])
        if most <= tolerance * scale_in[w]:
            for c in range(ny * nz):
                p_out[start + wp.int64(c)] = real(0.0)
            whole_out[w, i] = 1
            return
        if nz == 1:
            product(1, ny, ny, found_inout, start, ny, 1, yt_in, zero, ny, spare_out, start, ny)
            for c in range(ny):
                found_inout[start + wp.int64(c)] = spare_out[start + wp.int64(c)]
        else:
            product(ny, nz, nz, found_inout, start, nz, 1, zt_in, zero, nz, spare_out, start, nz)
            product(ny, nz, ny, y_in, zero, ny, 1, spare_out, start, nz, found_inout, start, nz)
        whole = int(1)
        for c in range(ny * nz):
            value = real(found_inout[start + wp.int64(c)])
            if not wp.isfinite(value):
                whole = 0
            p_out[start + wp.int64(c)] = value
        whole_out[w, i] = whole

    @wp.kernel(**options)
    def end(whole_in: wp.array2d(dtype=int), done_out: wp.array(dtype=int)):
        w = wp.tid()
        done = int(1)
        for i in range(whole_in.shape[1]):
            done = wp.min(done, whole_in[w, i])
        done_out[w] = done

    return SimpleNamespace(into_slabs=into_slabs, along=along, out_of_slabs=out_of_slabs, end=end)
