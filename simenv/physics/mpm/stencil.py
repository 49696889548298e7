# SPDX-License-Identifier: Apache-2.0
"""The 3x3x3 quadratic B-spline stencil of MLS-MPM: scatter, gather and the derivative of both, on a grid of 4-vectors.

A grid node holds four scalars: momentum (or velocity) and mass. Every particle-grid transfer, forward or adjoint,
visits nine rows of three nodes that are contiguous in memory (the z axis is the fastest): the functions here are native
snippets that clang turns into fused multiply-adds, 8-wide over two nodes of a row, twice as fast as the same loops
written with Warp vectors (docs/performance.md). On CUDA they use ordinary arithmetic and atomics.

Distances are in cells. ``f`` is the particle's position relative to the first node of its stencil, in [0.5, 1.5).
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

_C_NAMES = {wp.float32: "wp::float32", wp.float64: "wp::float64"}

# What the CPU snippets share: clang's vector types (`u4`, `u8` may be unaligned and may alias the scalars of a
# wp::vec_t) and the weights of the three nodes along each axis. Nodes 0 and 1 of a row are one 8-vector.
_CPU_PROLOGUE = """
    #pragma clang fp contract(fast)
    typedef {scalar} v4 __attribute__((ext_vector_type(4)));
    typedef {scalar} v8 __attribute__((ext_vector_type(8)));
    typedef {scalar} u4 __attribute__((ext_vector_type(4), aligned(4), may_alias));
    typedef {scalar} u8 __attribute__((ext_vector_type(8), aligned(4), may_alias));
    const v4 local = {{f[0], f[1], f[2], 0}};
    const v4 below = ({scalar})1.5 - local, centre = local - ({scalar})1.0, above = local - ({scalar})0.5;
    const v4 weight[3] = {{
        ({scalar})0.5 * below * below, ({scalar})0.75 - centre * centre, ({scalar})0.5 * above * above}};
    const {real} wx[3] = {{weight[0][0], weight[1][0], weight[2][0]}};
    const {real} wy[3] = {{weight[0][1], weight[1][1], weight[2][1]}};
    const {real} wz[3] = {{weight[0][2], weight[1][2], weight[2][2]}};
    const v8 wz01 = {{wz[0], wz[0], wz[0], wz[0], wz[1], wz[1], wz[1], wz[1]}};
"""

# The affine field q + A d as seen from the first node: value[0], and its increments along the three axes.
_CPU_AFFINE = """
    const v4 cx = {{A.data[0][0], A.data[1][0], A.data[2][0], {last0}}};
    const v4 cy = {{A.data[0][1], A.data[1][1], A.data[2][1], {last1}}};
    const v4 cz = {{A.data[0][2], A.data[1][2], A.data[2][2], {last2}}};
    const v4 value0 = *(const u4*)(&q.c[0]) - cx * f[0] - cy * f[1] - cz * f[2];
    const v4 value1 = value0 + cz, value2 = value1 + cz;
    v8 value01 = __builtin_shufflevector(value0, value1, 0, 1, 2, 3, 4, 5, 6, 7);
"""

_SCATTER = """
#if defined(__CUDACC__)
    for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j)
            for (int k = 0; k < 3; ++k) {{
                {real} dx = {real}(i) - f[0], dy = {real}(j) - f[1], dz = {real}(k) - f[2];
                {real} w = {weight}(i, f[0]) * {weight}(j, f[1]) * {weight}(k, f[2]);
                wp::vec_t<4, {real}> value;
                for (int c = 0; c < {rows}; ++c)
                    value[c] = w * (q[c] + A.data[c][0] * dx + A.data[c][1] * dy + A.data[c][2] * dz);
                for (int c = {rows}; c < 4; ++c) value[c] = w * q[c];
                wp::atomic_add(grid.data + {node}, value);
            }}
#else
    {{{prologue}{affine}
    v8 plane01 = value01 * wz01;
    v4 plane2 = value2 * wz[2];
    const v8 step_x01 = __builtin_shufflevector(cx, cx, 0, 1, 2, 3, 4, 5, 6, 7) * wz01;
    const v8 step_y01 = __builtin_shufflevector(cy, cy, 0, 1, 2, 3, 4, 5, 6, 7) * wz01;
    const v4 step_x2 = cx * wz[2], step_y2 = cy * wz[2];
    #pragma clang loop unroll(full)
    for (int i = 0; i < 3; ++i) {{
        {real}* node = (({real}*)(grid.data + index)) + 4 * (long long)(i * stride_x);
        v8 row01 = plane01;
        v4 row2 = plane2;
        #pragma clang loop unroll(full)
        for (int j = 0; j < 3; ++j) {{
            const {real} w = wx[i] * wy[j];
            *(u8*)node = *(u8*)node + row01 * w;
            *(u4*)(node + 8) = *(u4*)(node + 8) + row2 * w;
            row01 += step_y01;
            row2 += step_y2;
            node += 4 * (long long)stride_y;
        }}
        plane01 += step_x01;
        plane2 += step_x2;
    }}
    }}
#endif
"""

_GATHER = """
    wp::vec_t<16, {real}> out;
#if defined(__CUDACC__)
    for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j)
            for (int k = 0; k < 3; ++k) {{
                {real} dx = {real}(i) - f[0], dy = {real}(j) - f[1], dz = {real}(k) - f[2];
                {real} w = {weight}(i, f[0]) * {weight}(j, f[1]) * {weight}(k, f[2]);
                for (int c = 0; c < 4; ++c) {{
                    {real} value = w * grid.data[{node}][c];
                    out[c] += value;
                    out[4 + c] += value * dx;
                    out[8 + c] += value * dy;
                    out[12 + c] += value * dz;
                }}
            }}
#else
    {{{prologue}
    // sums over x and y first, for each of the three nodes along z; then over z
    v8 sum01 = 0, x01 = 0, y01 = 0;
    v4 sum2 = 0, x2 = 0, y2 = 0;
    #pragma clang loop unroll(full)
    for (int i = 0; i < 3; ++i) {{
        const {real}* node = ((const {real}*)(grid.data + index)) + 4 * (long long)(i * stride_x);
        const {real}* next = node + 4 * (long long)stride_y;
        const {real}* last = next + 4 * (long long)stride_y;
        const v8 second01 = *(const u8*)last * wy[2], slope01 = *(const u8*)next * wy[1] + second01;
        const v4 second2 = *(const u4*)(last + 8) * wy[2], slope2 = *(const u4*)(next + 8) * wy[1] + second2;
        const v8 plane01 = *(const u8*)node * wy[0] + slope01;
        const v4 plane2 = *(const u4*)(node + 8) * wy[0] + slope2;
        sum01 += plane01 * wx[i];
        sum2 += plane2 * wx[i];
        y01 += (slope01 + second01) * wx[i];
        y2 += (slope2 + second2) * wx[i];
        if (i > 0) {{
            x01 += plane01 * (wx[i] * i);
            x2 += plane2 * (wx[i] * i);
        }}
    }}
    sum01 *= wz01;
    x01 *= wz01;
    y01 *= wz01;
    sum2 *= wz[2];
    const v4 z = sum01.hi + sum2 + sum2, sum = sum01.lo + sum01.hi + sum2;
    *(u4*)(&out.c[0]) = sum;
    *(u4*)(&out.c[4]) = x01.lo + x01.hi + x2 * wz[2] - sum * f[0];
    *(u4*)(&out.c[8]) = y01.lo + y01.hi + y2 * wz[2] - sum * f[1];
    *(u4*)(&out.c[12]) = z - sum * f[2];
    }}
#endif
    return out;
"""

_SWEEP = """
    wp::vec_t<3, {real}> out;
#if defined(__CUDACC__)
    for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j)
            for (int k = 0; k < 3; ++k) {{
                {real} dx = {real}(i) - f[0], dy = {real}(j) - f[1], dz = {real}(k) - f[2];
                wp::vec_t<4, {real}> node = grid.data[{node}];
                {real} value = 0;
                for (int c = {rows}; c < 4; ++c) value += node[c] * q[c];
                for (int c = 0; c < {rows}; ++c)
                    value += node[c] * (q[c] + A.data[c][0] * dx + A.data[c][1] * dy + A.data[c][2] * dz);
                {real} x = {weight}(i, f[0]), y = {weight}(j, f[1]), z = {weight}(k, f[2]);
                out[0] += {slope}(i, f[0]) * y * z * value;
                out[1] += x * {slope}(j, f[1]) * z * value;
                out[2] += x * y * {slope}(k, f[2]) * value;
            }}
    for (int a = 0; a < 3; ++a)
        for (int c = 0; c < {rows}; ++c) out[a] -= A.data[c][a] * sum[c];
#else
    {{{prologue}{affine}
    v4 plane2 = value2;
    const v8 step_x01 = __builtin_shufflevector(cx, cx, 0, 1, 2, 3, 4, 5, 6, 7);
    const v8 step_y01 = __builtin_shufflevector(cy, cy, 0, 1, 2, 3, 4, 5, 6, 7);
    const {real} sx[3] = {{-below[0], -2 * centre[0], above[0]}};
    const {real} sy[3] = {{-below[1], -2 * centre[1], above[1]}};
    const {real} sz[3] = {{-below[2], -2 * centre[2], above[2]}};
    v8 x01 = 0, y01 = 0, z01 = 0;
    v4 x2 = 0, y2 = 0, z2 = 0;
    #pragma clang loop unroll(full)
    for (int i = 0; i < 3; ++i) {{
        const {real}* node = ((const {real}*)(grid.data + index)) + 4 * (long long)(i * stride_x);
        v8 row01 = value01, sum01 = 0, slope01 = 0;
        v4 row2 = plane2, sum2 = 0, slope2 = 0;
        #pragma clang loop unroll(full)
        for (int j = 0; j < 3; ++j) {{
            const v8 product01 = *(const u8*)node * row01;
            const v4 product2 = *(const u4*)(node + 8) * row2;
            sum01 += product01 * wy[j];
            sum2 += product2 * wy[j];
            slope01 += product01 * sy[j];
            slope2 += product2 * sy[j];
            row01 += step_y01;
            row2 += cy;
            node += 4 * (long long)stride_y;
        }}
        x01 += sum01 * sx[i];
        x2 += sum2 * sx[i];
        y01 += slope01 * wx[i];
        y2 += slope2 * wx[i];
        z01 += sum01 * wx[i];
        z2 += sum2 * wx[i];
        value01 += step_x01;
        plane2 += cx;
    }}
    x01 *= wz01;
    y01 *= wz01;
    const v4 total = *(const u4*)(&sum.c[0]);
    const v4 x = x01.lo + x01.hi + x2 * wz[2] - cx * total;
    const v4 y = y01.lo + y01.hi + y2 * wz[2] - cy * total;
    const v4 z = z01.lo * sz[0] + z01.hi * sz[1] + z2 * sz[2] - cz * total;
    out.c[0] = (x[0] + x[1]) + (x[2] + x[3]);
    out.c[1] = (y[0] + y[1]) + (y[2] + y[3]);
    out.c[2] = (z[0] + z[1]) + (z[2] + z[3]);
    }}
#endif
    return out;
"""

# One weight, and its slope, by the node's number; used on CUDA.
_WEIGHT = """[](int n, {real} f) {{
    {real} a = {real}(1.5) - f, b = f - {real}(1), c = f - {real}(0.5);
    return n == 0 ? {real}(0.5) * a * a : n == 1 ? {real}(0.75) - b * b : {real}(0.5) * c * c;
}}"""
_SLOPE = """[](int n, {real} f) {{
    return n == 0 ? f - {real}(1.5) : n == 1 ? {real}(2) - {real}(2) * f : f - {real}(0.5);
}}"""


def snippets(real, node: str = "index + i * stride_x + j * stride_y + k", rows: int = 3) -> dict[str, str]:
    """The native code of ``scatter``, ``gather`` and ``sweep`` for a scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.
        node: on CUDA, the place of node (i, j, k) in the array ``grid``; on the CPU it is always the default.
        rows: number of rows of ``A``.
    """
    names = {"real": _C_NAMES[real], "scalar": "float" if real is wp.float32 else "double", "node": node}
    names |= {"rows": str(rows)} | {f"last{axis}": f"A.data[3][{axis}]" if rows == 4 else "0" for axis in range(3)}
    names |= {"prologue": _CPU_PROLOGUE.format(**names), "affine": _CPU_AFFINE.format(**names)}
    names |= {"weight": _WEIGHT.format(**names), "slope": _SLOPE.format(**names)}
    return {
        name: text.format(**names) for name, text in (("scatter", _SCATTER), ("gather", _GATHER), ("sweep", _SWEEP))
    }


@built_once
def stencil_functions(real, rows: int = 3) -> SimpleNamespace:
    """Warp functions of the stencil for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.
        rows: number of rows of ``A`` below, 3 or 4.

    Returns:
        Namespace with the vector types ``vec3, vec4, vec8, vec16, mat33``, that of ``A``, ``affine``, and the functions
        below, with the weights ``w`` of the quadratic B-spline (Steffen, Kirby and Berzins 2008, eq. 16), the offset
        ``d = o - f`` of a node from the particle in cells, and the affine field ``u = q + A d`` (``A`` acts on the
        first `rows` components):

        * ``scatter(grid, index, stride_x, stride_y, f, q, A)``: every node receives ``w u``;
        * ``gather(grid, index, stride_x, stride_y, f) -> vec16``: ``sum w g``, ``sum w g d_x``, ``sum w g d_y``,
          ``sum w g d_z``;
        * ``sweep(grid, index, stride_x, stride_y, f, q, A, sum) -> vec3``: the derivative of ``sum w g . u`` with
          respect to ``f``; `sum` is ``sum w g``.
    """
    vec3, vec4, vec8, vec16 = (wp.types.vector(length, real) for length in (3, 4, 8, 16))
    mat33, affine = wp.types.matrix((3, 3), real), wp.types.matrix((rows, 3), real)
    text = snippets(real, rows=rows)

    @wp.func_native(text["scatter"])
    def scatter(grid: wp.array(dtype=vec4), index: int, stride_x: int, stride_y: int, f: vec3, q: vec4, A: affine): ...

    @wp.func_native(text["gather"])
    def gather(grid: wp.array(dtype=vec4), index: int, stride_x: int, stride_y: int, f: vec3) -> vec16: ...

    @wp.func_native(text["sweep"])
    def sweep(
        grid: wp.array(dtype=vec4), index: int, stride_x: int, stride_y: int, f: vec3, q: vec4, A: affine, sum: vec4
    ) -> vec3: ...

    return SimpleNamespace(
        vec3=vec3, vec4=vec4, vec8=vec8, vec16=vec16, mat33=mat33, affine=affine, scatter=scatter, gather=gather,
        sweep=sweep,
    )  # fmt: skip
