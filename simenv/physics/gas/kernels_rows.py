# SPDX-License-Identifier: Apache-2.0
"""Native functions over rows of cells or faces, along the last axis of an array, of which adjoints of gas are made.

One thread has a row, in loops that compilers make vectors of, or `lanes` threads share one. All add to what is there.
Rows are named by where they begin, (i, j, k), and have `count` numbers.
"""

from types import SimpleNamespace
from typing import Any

import warp as wp

from simenv._exclusive import built_once

__all__ = ["EACH", "native", "row_functions"]

# `EACH(...)` does something for every i of `count`; `ROW(a, i, j, k)` is where a row of array a begins
EACH = """
#if !defined(__CUDACC__)
    #pragma clang fp contract(fast)
#endif
    typedef {scalar} T;
    typedef long long Way;
    #define ROW(a, i, j, k)                                                                                        \\
        ((T*)((char*)a.data + (Way)w * a.strides[0] + (Way)(i) * a.strides[1] + (Way)(j) * a.strides[2]) + (k))
    #define EACH(...)                                                                                              \\
        if (lanes == 1) {                                                                                          \\
            _Pragma("clang loop vectorize(enable)") for (int i = 0; i < count; ++i) { __VA_ARGS__ }                \\
        } else {                                                                                                   \\
            for (int i = lane; i < count; i += lanes) { __VA_ARGS__ }                                              \\
        }
"""

_ADD = """
    const T* g = ROW(g_array, x, y, 0);
    T* to = ROW(to_array, x, y, 0);
    EACH(to[i] += factor * g[i];)
"""

_ADD_APART = """
    const T* g = ROW(g_array, x, y, 0);
    const T* share = ROW(open_array, x, y, 0);
    T* to = ROW(to_array, x, y, 0);
    EACH(to[i] += share[i] > 0 ? g[i] : (T)0;)
    if (solid_array.data) {
        T* solid = ROW(solid_array, x, y, 0);
        EACH(solid[i] += share[i] > 0 ? (T)0 : g[i];)
    }
"""

_GATHER = """
    const T* low = ROW(g_array, low_at[0], low_at[1], low_at[2]);
    const T* high = ROW(g_array, high_at[0], high_at[1], high_at[2]);
    T* to = ROW(to_array, at[0], at[1], at[2]);
    EACH(to[i] += a * low[i] + b * high[i];)
"""

_GATHER_OPEN = """
    const T* low = ROW(g_array, low_at[0], low_at[1], low_at[2]);
    const T* high = ROW(g_array, high_at[0], high_at[1], high_at[2]);
    const T* open_low = ROW(open_array, low_at[0], low_at[1], low_at[2]);
    const T* open_high = ROW(open_array, high_at[0], high_at[1], high_at[2]);
    T* to = ROW(to_array, at[0], at[1], at[2]);
    EACH(to[i] += a * (open_low[i] > 0 ? low[i] : (T)0) + b * (open_high[i] > 0 ? high[i] : (T)0);)
"""

_FLOW = """
    const T* low = ROW(g_array, low_at[0], low_at[1], low_at[2]);
    const T* high = ROW(g_array, high_at[0], high_at[1], high_at[2]);
    const T* share = ROW(open_array, at[0], at[1], at[2]);
    T* to = ROW(to_array, at[0], at[1], at[2]);
    EACH(to[i] += share[i] * (a * low[i] + b * high[i]);)
    if (open_bar_array.data) {
        const T* solid = ROW(solid_array, at[0], at[1], at[2]);
        const T* q = ROW(q_array, at[0], at[1], at[2]);
        T* open_bar = ROW(open_bar_array, at[0], at[1], at[2]);
        T* solid_bar = ROW(solid_bar_array, at[0], at[1], at[2]);
        EACH(
            const T g = a * low[i] + b * high[i];
            open_bar[i] += (q[i] - solid[i]) * g;
            solid_bar[i] += ((T)1 - share[i]) * g;
        )
    }
"""

_TOTAL = """
    const T* g = ROW(g_array, at[0], at[1], at[2]);
    T total = 0;
    for (int i = lane; i < count; i += lanes) total += g[i];
    return total;
"""

_ALONG = """
    const T* g = ROW(g_array, at[0], at[1], at[2]);
    const T* low = ROW(q_array, low_at[0], low_at[1], low_at[2]);
    const T* high = ROW(q_array, high_at[0], high_at[1], high_at[2]);
    T total = 0;
    for (int i = lane; i < count; i += lanes) total += g[i] * ((T)0.5 * (low[i] + high[i]) - rest);
    return total;
"""

# of places of sources, which all worlds share
_SHARED = """
    #define PLACE(at)                                                                                              \\
        ((T*)((char*)p_array.data + (Way)at[0] * p_array.strides[0] + (Way)at[1] * p_array.strides[1]) + at[2])
    const T* g = ROW(g_array, at[0], at[1], at[2]);
    const T* low = PLACE(low_at);
    const T* high = PLACE(high_at);
    T total = 0;
    for (int i = lane; i < count; i += lanes) total += g[i] * (T)0.5 * (low[i] + high[i]);
    return total;
"""


def native(body: str, real: Any) -> str:
    """Code of a native function of a scalar type, whose body may use `EACH` and `ROW`."""
    scalar = {wp.float32: "float", wp.float64: "double"}[real]
    return (EACH + body).replace("{scalar}", scalar)


@built_once
def row_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with

        * `add_row`: to += factor g;
        * `add_apart`: g, to one array where faces are open, else to that of what closes them, if there is one;
        * `gather`: to += a low + b high, of two rows of g, and `gather_open`, of those of g where faces are open;
        * `gather_flow`: the same times open shares, and to the adjoints of these and of what closes the rest;
        * `total_row`: sum of g; `total_along`: of g times what the mean of two rows is above `rest`; `total_shared`: of
          g times the mean of two rows of an array (P, ny, nz).
    """
    cells, vec3i = wp.array4d(dtype=real), wp.vec3i

    @wp.func_native(native(_ADD, real))
    def add_row(w: int, x: int, y: int, lane: int, lanes: int, count: int, factor: real, g_array: cells,
                to_array: cells): ...  # fmt: skip

    @wp.func_native(native(_ADD_APART, real))
    def add_apart(w: int, x: int, y: int, lane: int, lanes: int, count: int, open_array: cells, g_array: cells,
                  to_array: cells, solid_array: cells): ...  # fmt: skip

    @wp.func_native(native(_GATHER, real))
    def gather(w: int, at: vec3i, low_at: vec3i, high_at: vec3i, lane: int, lanes: int, count: int, a: real, b: real,
               g_array: cells, to_array: cells): ...  # fmt: skip

    @wp.func_native(native(_GATHER_OPEN, real))
    def gather_open(w: int, at: vec3i, low_at: vec3i, high_at: vec3i, lane: int, lanes: int, count: int, a: real,
                    b: real, open_array: cells, g_array: cells, to_array: cells): ...  # fmt: skip

    @wp.func_native(native(_FLOW, real))
    def gather_flow(w: int, at: vec3i, low_at: vec3i, high_at: vec3i, lane: int, lanes: int, count: int, a: real,
                    b: real, open_array: cells, solid_array: cells, q_array: cells, g_array: cells,
                    open_bar_array: cells, solid_bar_array: cells, to_array: cells): ...  # fmt: skip

    @wp.func_native(native(_TOTAL, real))
    def total_row(w: int, at: vec3i, lane: int, lanes: int, count: int, g_array: cells) -> real: ...

    @wp.func_native(native(_ALONG, real))
    def total_along(w: int, at: vec3i, low_at: vec3i, high_at: vec3i, lane: int, lanes: int, count: int, rest: real,
                    g_array: cells, q_array: cells) -> real: ...  # fmt: skip

    @wp.func_native(native(_SHARED, real))
    def total_shared(w: int, at: vec3i, low_at: vec3i, high_at: vec3i, lane: int, lanes: int, count: int,
                     g_array: cells, p_array: wp.array3d(dtype=real)) -> real: ...  # fmt: skip

    return SimpleNamespace(
        add_row=add_row, add_apart=add_apart, gather=gather, gather_open=gather_open, gather_flow=gather_flow,
        total_row=total_row, total_along=total_along, total_shared=total_shared,
    )  # fmt: skip
