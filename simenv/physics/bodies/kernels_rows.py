# SPDX-License-Identifier: Apache-2.0
"""Native functions of one number for each rate of a world, on raw rows: sums, copies, and which are active.

They work in blocks of eight that compilers turn into vector instructions, where rows are `padded` with zeros.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["padded", "row_functions"]

# what all begin with: rows of a world, and eight at a time
_ROWS = """
#if !defined(__CUDACC__)
    #pragma clang fp contract(fast)
#endif
    typedef {scalar} T;
    #define ROW(array) ((T*)((char*)(array).data + (size_t)w * (array).strides[0]))
    #define MARKS(array) ((const int*)((const char*)(array).data + (size_t)w * (array).strides[0]))
    #define EIGHT _Pragma("unroll") for (int l = 0; l < 8; ++l)
"""

# the first rate from `k` on that is active and has left where it may be, at v + share d; nv if there is none
_LEAVING = """
    const int* active_ = MARKS(active);
    const T *v_ = ROW(v), *d_ = ROW(d), *least_ = ROW(least), *most_ = ROW(most);
    int next = k;
    for (; next < nv; ++next) {
        const T x = along ? v_[next] + share * d_[next] : v_[next];
        if (active_[next] && !(x >= least_[next] && x <= most_[next])) break;
    }
    return next;
"""

_MARK = """
    const int* column_ = MARKS(column) + base;
    int* active_ = (int*)MARKS(active);
    for (int e = 0; e < count; ++e) active_[column_[e]] = 1;
"""

# rows of nv that need not be padded
_CLEAR = """
    T* x_ = ROW(x);
    for (int k = 0; k < nv; ++k) x_[k] = 0;
"""
_CLEAR_MARKS = """
    int* marks_ = (int*)MARKS(marks);
    for (int k = 0; k < nv; ++k) marks_[k] = 0;
"""
_COPY_ROW = """
    const T* x_ = ROW(x);
    T* out_ = ROW(out);
    for (int k = 0; k < nv; ++k) out_[k] = x_[k];
"""
_AHEAD = """
    const T *v_ = ROW(v), *rate_ = ROW(rate);
    T* out_ = ROW(out);
    for (int k = 0; k < nv; ++k) out_[k] = v_[k] + dt * rate_[k];
"""

# sum of x^2 weight
_SQUARE = """
    const T *x_ = ROW(x), *weight_ = ROW(weight);
    T sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int b = 0; b < nv; b += 8) EIGHT sum[l] += x_[b + l] * x_[b + l] * weight_[b + l];
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
"""

_DOT = """
    const T *x_ = ROW(x), *y_ = ROW(y);
    T sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int b = 0; b < nv; b += 8) EIGHT sum[l] += x_[b + l] * y_[b + l];
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
"""

# out = x + share y
_ADD = """
    const T *x_ = ROW(x), *y_ = ROW(y);
    T* out_ = ROW(out);
    for (int b = 0; b < nv; b += 8) {
        T total[8];
        EIGHT total[l] = share == 0 ? x_[b + l] : x_[b + l] + share * y_[b + l];
        EIGHT out_[b + l] = total[l];
    }
"""


def padded(rates: int) -> int:
    """How long a row of some rates is."""
    return (rates + 7) // 8 * 8


@built_once
def row_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`; arrays are of one row for each world.

    Returns:
        A namespace with `rows`, what native functions begin with, the types `Row` and `Marks`, and the functions

        * `leaving(w, nv, k, along, share, active, v, d, least, most) -> int`: the next rate that is outside of its
          bounds;
        * `mark(w, base, count, column, active)`: a group's rates as active;
        * `clear(w, nv, x)` and `clear_marks(w, nv, marks)`: zeros; `copy_row(w, nv, x, out)`;
        * `ahead(w, nv, dt, v, rate, out)`: v + dt rate;
        * `square(w, nv, x, weight)`, `dot(w, nv, x, y)` and `add(w, nv, x, share, y, out)` of vectors whose rows are
          `padded` with zeros.
    """
    rows = _ROWS.format(scalar="float" if real is wp.float32 else "double")
    Row, Marks = wp.array2d(dtype=real), wp.array2d(dtype=int)

    @wp.func_native(rows + _LEAVING)
    def leaving(
        w: int, nv: int, k: int, along: int, share: real, active: Marks, v: Row, d: Row, least: Row, most: Row
    ) -> int: ...  # fmt: skip

    @wp.func_native(rows + _MARK)
    def mark(w: int, base: int, count: int, column: Marks, active: Marks): ...

    @wp.func_native(rows + _CLEAR)
    def clear(w: int, nv: int, x: Row): ...

    @wp.func_native(rows + _CLEAR_MARKS)
    def clear_marks(w: int, nv: int, marks: Marks): ...

    @wp.func_native(rows + _COPY_ROW)
    def copy_row(w: int, nv: int, x: Row, out: Row): ...

    @wp.func_native(rows + _AHEAD)
    def ahead(w: int, nv: int, dt: real, v: Row, rate: Row, out: Row): ...

    @wp.func_native(rows + _SQUARE)
    def square(w: int, nv: int, x: Row, weight: Row) -> real: ...

    @wp.func_native(rows + _DOT)
    def dot(w: int, nv: int, x: Row, y: Row) -> real: ...

    @wp.func_native(rows + _ADD)
    def add(w: int, nv: int, x: Row, share: real, y: Row, out: Row): ...

    return SimpleNamespace(
        rows=rows, Row=Row, Marks=Marks, leaving=leaving, mark=mark, clear=clear, clear_marks=clear_marks,
        copy_row=copy_row, ahead=ahead, square=square, dot=dot, add=add,
    )  # fmt: skip
