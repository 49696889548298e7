# SPDX-License-Identifier: Apache-2.0
"""The 3x3x3 quadratic B-spline stencil of MLS-MPM, as row operations on a grid of 4-vectors.

A grid node holds four scalars: momentum (or velocity) and mass. Every particle-grid transfer, forward or adjoint,
visits nine rows of three nodes that are contiguous in memory (the z axis is the fastest), so the row is the unit of
vectorisation: the functions here are native snippets that clang turns into 4-wide fused multiply-adds on the CPU, 1.6
to 2 times faster than the same loops written with Warp vectors (docs/performance.md). On CUDA the same snippets use
ordinary arithmetic and atomics.

Distances are in cells. ``fx`` is the particle's position relative to the first node of its stencil, in [0.5, 1.5).
"""

from functools import cache
from types import SimpleNamespace

import warp as wp

_C_NAMES = {wp.float32: "wp::float32", wp.float64: "wp::float64"}

# Clang's vector types: `vu` may be unaligned and may alias the scalars of a wp::vec_t.
_CPU_PROLOGUE = """
    #pragma clang fp contract(fast)
    typedef {scalar} v4 __attribute__((ext_vector_type(4)));
    typedef {scalar} vu __attribute__((ext_vector_type(4), aligned(4), may_alias));
"""

_ROW_SCATTER = """
#if defined(__CUDACC__)
    wp::vec_t<4, {real}> value = q;
    for (int k = 0; k < 3; ++k) {{
        wp::atomic_add(grid.data + index + k, value * w[k]);
        value = value + dq;
    }}
#else
    {{{prologue}
    vu* node = (vu*)(grid.data + index);
    v4 value = *(const vu*)(&q.c[0]);
    const v4 step = *(const vu*)(&dq.c[0]);
    node[0] = node[0] + value * w[0];
    value += step;
    node[1] = node[1] + value * w[1];
    value += step;
    node[2] = node[2] + value * w[2];
    }}
#endif
"""

_ROW_GATHER = """
    wp::vec_t<8, {real}> out;
#if defined(__CUDACC__)
    for (int c = 0; c < 4; ++c) {{
        {real} g1 = grid.data[index + 1][c] * w[1];
        {real} g2 = grid.data[index + 2][c] * w[2];
        out[c] = grid.data[index][c] * w[0] + g1 + g2;
        out[4 + c] = g1 + g2 + g2;
    }}
#else
    {{{prologue}
    const vu* node = (const vu*)(grid.data + index);
    v4 g1 = node[1] * w[1];
    *(vu*)(&out.c[0]) = node[0] * w[0] + g1 + node[2] * w[2];
    *(vu*)(&out.c[4]) = g1 + node[2] * (w[2] + w[2]);
    }}
#endif
    return out;
"""

_ROW_SWEEP = """
    wp::vec_t<8, {real}> out;
#if defined(__CUDACC__)
    for (int c = 0; c < 4; ++c) {{
        {real} a = grid.data[index][c] * u[c];
        {real} b = grid.data[index + 1][c] * (u[c] + du[c]);
        {real} d = grid.data[index + 2][c] * (u[c] + du[c] + du[c]);
        out[c] = a * w[0] + b * w[1] + d * w[2];
        out[4 + c] = a * dw[0] + b * dw[1] + d * dw[2];
    }}
#else
    {{{prologue}
    const vu* node = (const vu*)(grid.data + index);
    v4 value = *(const vu*)(&u.c[0]);
    const v4 step = *(const vu*)(&du.c[0]);
    v4 a = node[0] * value;
    value += step;
    v4 b = node[1] * value;
    value += step;
    v4 d = node[2] * value;
    *(vu*)(&out.c[0]) = a * w[0] + b * w[1] + d * w[2];
    *(vu*)(&out.c[4]) = a * dw[0] + b * dw[1] + d * dw[2];
    }}
#endif
    return out;
"""

_FMA4 = """
    wp::vec_t<4, {real}> out;
#if defined(__CUDACC__)
    for (int c = 0; c < 4; ++c) out[c] = a[c] * s + b[c];
#else
    {{{prologue}
    *(vu*)(&out.c[0]) = *(const vu*)(&a.c[0]) * s + *(const vu*)(&b.c[0]);
    }}
#endif
    return out;
"""

_FMA_HALF = """
    wp::vec_t<4, {real}> out;
#if defined(__CUDACC__)
    for (int c = 0; c < 4; ++c) out[c] = a[4 * half + c] * s + b[c];
#else
    {{{prologue}
    *(vu*)(&out.c[0]) = *(const vu*)(&a.c[4 * half]) * s + *(const vu*)(&b.c[0]);
    }}
#endif
    return out;
"""


@cache
def stencil_functions(real) -> SimpleNamespace:
    """Warp functions of the stencil for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.

    Returns:
        Namespace with the vector types ``vec3, vec4, vec8, mat33`` and the functions

        * ``weights(f) -> vec3``: quadratic B-spline weights of the three nodes at local coordinate ``f`` (Steffen,
          Kirby and Berzins 2008, eq. 16); ``weight_slopes(f) -> vec3``: their derivatives with respect to ``f``;
        * ``row_scatter(grid, index, q, dq, w)``: node ``k`` of the row receives ``w[k] (q + k dq)``;
        * ``row_gather(grid, index, w) -> vec8``: ``sum_k w[k] g[k]`` and ``sum_k k w[k] g[k]``;
        * ``row_sweep(grid, index, u, du, w, dw) -> vec8``: the component-wise sums ``sum_k w[k] g[k] (u + k du)`` and
          the same with ``dw``; adding their components gives the directional derivatives that the adjoints need;
        * ``fma4(a, s, b) = a s + b`` and ``fma_half(a, half, s, b)``, the same on the first or second half of a vec8.
    """
    vec3, vec4, vec8 = (wp.types.vector(length, real) for length in (3, 4, 8))
    mat33 = wp.types.matrix((3, 3), real)
    names = {"real": _C_NAMES[real], "scalar": "float" if real is wp.float32 else "double"}
    names["prologue"] = _CPU_PROLOGUE.format(**names)

    @wp.func
    def weights(f: real) -> vec3:
        a = real(1.5) - f
        b = f - real(1.0)
        c = f - real(0.5)
        return vec3(real(0.5) * a * a, real(0.75) - b * b, real(0.5) * c * c)

    @wp.func
    def weight_slopes(f: real) -> vec3:
        return vec3(f - real(1.5), real(2.0) - real(2.0) * f, f - real(0.5))

    @wp.func_native(_ROW_SCATTER.format(**names))
    def row_scatter(grid: wp.array(dtype=vec4), index: int, q: vec4, dq: vec4, w: vec3): ...

    @wp.func_native(_ROW_GATHER.format(**names))
    def row_gather(grid: wp.array(dtype=vec4), index: int, w: vec3) -> vec8: ...

    @wp.func_native(_ROW_SWEEP.format(**names))
    def row_sweep(grid: wp.array(dtype=vec4), index: int, u: vec4, du: vec4, w: vec3, dw: vec3) -> vec8: ...

    @wp.func_native(_FMA4.format(**names))
    def fma4(a: vec4, s: real, b: vec4) -> vec4: ...

    @wp.func_native(_FMA_HALF.format(**names))
    def fma_half(a: vec8, half: int, s: real, b: vec4) -> vec4: ...

    return SimpleNamespace(
        vec3=vec3, vec4=vec4, vec8=vec8, mat33=mat33, weights=weights, weight_slopes=weight_slopes,
        row_scatter=row_scatter, row_gather=row_gather, row_sweep=row_sweep, fma4=fma4, fma_half=fma_half,
    )  # fmt: skip
