# SPDX-License-Identifier: Apache-2.0
"""Native kernels that carry velocities by their fluxes through faces of their cells, line by line, and their adjoint.

What leaves a cell enters its neighbour, so that sums are kept. A face's value is Leonard's quadratic interpolation
upstream (1979, QUICK), of second order. Velocities are read from wide arrays, with `PAD` layers about them that say
what is beyond sides (kernels_rim.py), so that all faces inside are alike, and compilers make vectors of lines. Axes
are those of memory: slabs, rows, and along lines; in an axis that is flat nothing passes, and a step does not move.

The adjoint gathers, for each velocity, from the four edges around it along each axis: no two threads add to one.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["line_kernels"]

PAD = 4  # layers about what there is: two that fluxes read, and two more that the adjoint passes over

# where row (x, m) of the three velocities begins, and the ways between neighbours along each axis
_HEAD = """
#if !defined(__CUDACC__)
    #pragma clang fp contract(fast)
#endif
    typedef {scalar} T;
    typedef long long Way;
    #define OVER(low, high) _Pragma("clang loop vectorize(enable)") for (int i = (low); i < (high); ++i)
    const wp::vec_t<3, int> wide[3] = {wide_u, wide_v, wide_w};
    Way step[3][3];
    Way begin[3];
    for (int c = 0; c < 3; ++c) {
        const Way row = wide[c][2], slab = row * wide[c][1];
        step[c][0] = passes & 1 ? slab : 0;
        step[c][1] = passes & 2 ? row : 0;
        step[c][2] = passes & 4 ? 1 : 0;
        begin[c] = w * (slab * wide[c][0]) + (x + pad[0]) * slab + (m + pad[1]) * row + pad[2];
    }
    const T* base[3] = {(const T*)u.data + begin[0], (const T*)v.data + begin[1], (const T*)t.data + begin[2]};
    const T* q = base[axis];
    const T a = (T)0.375, b = (T)0.75, h = (T)0.125, half = (T)0.5;
"""

# out = q + c (what flows in through both sides of each axis, by fluxes and viscosity)
_CARRY = """
    T* o = (T*)out.data + out_start;
    OVER(low[2], high[2]) o[i] = q[i];
    for (int d = 0; d < 3; ++d) {
        if (!(passes >> d & 1)) continue;
        const Way s = step[axis][d];
        #define TAKE(LOW, HIGH) {                                                                                 \\
            const T own = q[i], below = q[i - s], above = q[i + s];                                               \\
            const T in = LOW, up = HIGH;                                                                          \\
            const T first = in > 0 ? a * own + b * below - h * q[i - 2 * s] : a * below + b * own - h * above;     \\
            const T last = up > 0 ? a * above + b * own - h * below : a * own + b * above - h * q[i + 2 * s];      \\
            o[i] += c * (in * first - up * last + nu * (below - own - own + above));                              \\
        }
        if (d == axis) {
            OVER(low[2], high[2]) TAKE(half * (below + own), half * (above + own))
        } else {
            const T* along = base[d];
            const Way sa = step[d][axis], sd = step[d][d];
            OVER(low[2], high[2]) TAKE(half * (along[i - sa] + along[i]), half * (along[i + sd - sa] + along[i + sd]))
        }
    }
"""

# adjoints of the velocities of row (x, m), and the sum that the viscosity's is made of
_CARRY_BAR = """
    const T* g = (const T*)bar.data + begin[axis];
    T* to[3] = {(T*)u_bar.data + begin[0], (T*)v_bar.data + begin[1], (T*)t_bar.data + begin[2]};
    T* q_bar = to[axis];
    const int at[2] = {x, m};
    #define WITHIN(lo, hi) (at[0] >= (lo)[0] && at[0] < (hi)[0] && at[1] >= (lo)[1] && at[1] < (hi)[1])
    T spread = 0;
    const int inner_low[3] = {low[0], low[1], low[2]}, inner_high[3] = {high[0], high[1], high[2]};
    const bool inside = WITHIN(inner_low, inner_high);
    if (inside) OVER(low[2], high[2]) q_bar[i] += g[i];
    for (int d = 0; d < 3; ++d) {
        if (!(passes >> d & 1)) continue;
        const Way s = step[axis][d];
        int lo[3] = {low[0], low[1], low[2]}, hi[3] = {high[0], high[1], high[2]};
        lo[d] -= 2;
        hi[d] += 2;
        const T* along = base[d];
        const Way sa = step[d][axis], sd = step[d][d];
        #define EDGES(V0, V1, V2, V3)                                                                             \\
            const T f0 = c * (g[i - s] - g[i - 2 * s]), f1 = c * (g[i] - g[i - s]), f2 = c * (g[i + s] - g[i]);    \\
            const T f3 = c * (g[i + 2 * s] - g[i + s]), v0 = V0, v1 = V1, v2 = V2, v3 = V3;                        \\
            T sum = nu * (f2 - f1);                                                                               \\
            sum += f0 * (v0 > 0 ? (T)0 : -h * v0);                                                                \\
            sum += f1 * (v1 > 0 ? a * v1 : b * v1);                                                               \\
            sum += f2 * (v2 > 0 ? b * v2 : a * v2);                                                               \\
            sum += f3 * (v3 > 0 ? -h * v3 : (T)0);
        if (WITHIN(lo, hi)) {
            if (d == axis) {
                OVER(lo[2], hi[2]) {
                    const T p2 = q[i - 2 * s], p1 = q[i - s], own = q[i], n1 = q[i + s], n2 = q[i + 2 * s];
                    EDGES(half * (p2 + p1), half * (p1 + own), half * (own + n1), half * (n1 + n2))
                    const T first = v1 > 0 ? a * own + b * p1 - h * p2 : a * p1 + b * own - h * n1;
                    const T last = v2 > 0 ? a * n1 + b * own - h * p1 : a * own + b * n1 - h * n2;
                    q_bar[i] += sum + half * (f1 * first + f2 * last);
                }
            } else {
                OVER(lo[2], hi[2]) {
                    EDGES(half * (along[i - sd - sa] + along[i - sd]), half * (along[i - sa] + along[i]),
                          half * (along[i + sd - sa] + along[i + sd]),
                          half * (along[i + 2 * sd - sa] + along[i + 2 * sd]))
                    q_bar[i] += sum;
                }
            }
        }
        if (inside)
            for (int i = low[2]; i < high[2]; ++i) spread += g[i] * (q[i - s] - q[i] - q[i] + q[i + s]);
        if (d == axis) continue;
        int first_low[3] = {low[0], low[1], low[2]}, first_high[3] = {high[0], high[1], high[2]};
        first_high[d] += 1;
        first_low[axis] -= 1;
        if (WITHIN(first_low, first_high)) {
            T* along_bar = to[d];
            const Way n = step[axis][axis];
            #define EDGE(p, V) {                                                                                  \\
                const T v = V;                                                                                    \\
                const T up = v > 0 ? a * q[p] + b * q[(p) - s] - h * q[(p) - 2 * s]                               \\
                                   : a * q[(p) - s] + b * q[p] - h * q[(p) + s];                                  \\
                total += (g[p] - g[(p) - s]) * up;                                                                \\
            }
            OVER(first_low[2], first_high[2]) {
                T total = 0;
                EDGE(i, half * (along[i - sa] + along[i]))
                EDGE(i + n, half * (along[i] + along[i + sa]))
                along_bar[i] += half * c * total;
            }
        }
    }
    return c * spread;
"""

_COPY = """
    typedef {scalar} T;
    const T* from = (const T*)source.data + source_start;
    T* to = (T*)target.data + target_start;
    if (adds)
        for (int i = 0; i < count; ++i) to[i] += from[i];
    else
        for (int i = 0; i < count; ++i) to[i] = from[i];
"""


@built_once
def line_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Arrays are flat: world, slab, row, line. `wide` is the shape of a wide array, `pad` how many of its layers lie
    before the first velocity along each axis, `low` and `high` bound the velocities that are carried.

    Returns:
        A namespace with

        * `widen` and `narrow`: velocities into a wide array, and the adjoint, which adds what is there to theirs;
        * `carry` and `carry_adjoint`, of the velocity along an axis; the latter needs the adjoint of what was carried
          in a wide array, from `within`, and leaves the viscosity's slab by slab for `thicken`;
        * `wipe`: zeroes a wide array.
    """
    scalar = {wp.float32: "float", wp.float64: "double"}[real]
    flat, vec3i = wp.array(dtype=real), wp.vec3i
    options = {"module": f"simenv_gas_lines_{real.__name__}", "enable_backward": False}

    @wp.func_native((_HEAD + _CARRY).replace("{scalar}", scalar))
    def carry_line(
        w: int, x: int, m: int, axis: int, passes: int, low: vec3i, high: vec3i, c: real, nu: real, pad: vec3i,
        wide_u: vec3i, wide_v: vec3i, wide_w: vec3i, u: flat, v: flat, t: flat, out: flat, out_start: wp.int64,
    ): ...  # fmt: skip

    @wp.func_native((_HEAD + _CARRY_BAR).replace("{scalar}", scalar))
    def carry_line_bar(
        w: int, x: int, m: int, axis: int, passes: int, low: vec3i, high: vec3i, c: real, nu: real, pad: vec3i,
        wide_u: vec3i, wide_v: vec3i, wide_w: vec3i, u: flat, v: flat, t: flat, bar: flat, u_bar: flat, v_bar: flat,
        t_bar: flat,
    ) -> real: ...  # fmt: skip

    @wp.func_native(_COPY.replace("{scalar}", scalar))
    def copy_line(
        source: flat, source_start: wp.int64, target: flat, target_start: wp.int64, count: int, adds: int
    ): ...  # fmt: skip

    @wp.func
    def row_of(w: int, x: int, m: int, shape: vec3i, pad: vec3i) -> wp.int64:
        slab = wp.int64(w) * wp.int64(shape[0]) + wp.int64(x + pad[0])
        return (slab * wp.int64(shape[1]) + wp.int64(m + pad[1])) * wp.int64(shape[2]) + wp.int64(pad[2])

    none = wp.constant(vec3i(0, 0, 0))

    @wp.kernel(**options)
    def widen(lanes: int, shape: vec3i, wide: vec3i, pad: vec3i, q_in: flat, wide_out: flat):
        w, x, lane = wp.tid()
        for m in range(lane, shape[1], lanes):
            copy_line(q_in, row_of(w, x, m, shape, none), wide_out, row_of(w, x, m, wide, pad), shape[2], 0)

    @wp.kernel(**options)
    def narrow(
        lanes: int, shape: vec3i, wide: vec3i, pad: vec3i, q_in: flat, wide_in: flat, wide_bar_in: flat,
        q_bar_inout: flat,
    ):  # fmt: skip
        w, x, lane = wp.tid()
        for m in range(lane, shape[1], lanes):
            copy_line(wide_bar_in, row_of(w, x, m, wide, pad), q_bar_inout, row_of(w, x, m, shape, none), shape[2], 1)

    @wp.kernel(**options)
    def within(
        lanes: int, low: vec3i, high: vec3i, shape: vec3i, wide: vec3i, pad: vec3i, bar_in: flat, wide_out: flat
    ):
        w, slab, lane = wp.tid()
        x = slab + low[0]
        if x < high[0]:
            for m in range(low[1] + lane, high[1], lanes):
                copy_line(
                    bar_in, row_of(w, x, m, shape, none) + wp.int64(low[2]), wide_out,
                    row_of(w, x, m, wide, pad) + wp.int64(low[2]), high[2] - low[2], 0,
                )  # fmt: skip

    @wp.kernel(**options)
    def wipe(lanes: int, wide: vec3i, wide_out: flat):
        w, x, lane = wp.tid()
        for m in range(lane, wide[1], lanes):
            start = row_of(w, x, m, wide, none)
            for i in range(wide[2]):
                wide_out[start + wp.int64(i)] = real(0.0)

    @wp.kernel(**options)
    def carry(
        lanes: int, axis: int, passes: int, low: vec3i, high: vec3i, shape: vec3i, c: real, per_dx: real, pad: vec3i,
        wide_u: vec3i, wide_v: vec3i, wide_w: vec3i, viscosity_in: wp.array(dtype=real), u_in: flat, v_in: flat,
        t_in: flat, q_out: flat, bar_inout: flat, spread_out: wp.array3d(dtype=real),
    ):  # fmt: skip
        # the last two are the adjoint's
        w, slab, lane = wp.tid()
        x = slab + low[0]
        if x < high[0]:
            nu = per_dx * viscosity_in[w]
            for m in range(low[1] + lane, high[1], lanes):
                carry_line(
                    w, x, m, axis, passes, low, high, c, nu, pad, wide_u, wide_v, wide_w, u_in, v_in, t_in, q_out,
                    row_of(w, x, m, shape, none),
                )  # fmt: skip

    @wp.kernel(**options)
    def carry_adjoint(
        lanes: int, axis: int, passes: int, low: vec3i, high: vec3i, shape: vec3i, c: real, per_dx: real, pad: vec3i,
        wide_u: vec3i, wide_v: vec3i, wide_w: vec3i, viscosity_in: wp.array(dtype=real), u_in: flat, v_in: flat,
        t_in: flat, q_in: flat, q_bar_in: flat, viscosity_bar_in: wp.array(dtype=real), u_bar_inout: flat,
        v_bar_inout: flat, t_bar_inout: flat, bar_inout: flat, spread_out: wp.array3d(dtype=real),
    ):  # fmt: skip
        w, slab, lane = wp.tid()
        x = slab + low[0] - 2
        total = real(0.0)
        nu = per_dx * viscosity_in[w]
        for m in range(low[1] - 2 + lane, high[1] + 2, lanes):
            total += carry_line_bar(
                w, x, m, axis, passes, low, high, c, nu, pad, wide_u, wide_v, wide_w, u_in, v_in, t_in, bar_inout,
                u_bar_inout, v_bar_inout, t_bar_inout,
            )  # fmt: skip
        spread_out[w, slab, lane] = per_dx * total

    @wp.kernel(**options)
    def thicken(slabs: int, lanes: int, spread_in: wp.array3d(dtype=real), viscosity_bar_inout: wp.array(dtype=real)):
        w = wp.tid()
        total = real(0.0)
        for slab in range(slabs):
            for lane in range(lanes):
                total += spread_in[w, slab, lane]
        viscosity_bar_inout[w] = viscosity_bar_inout[w] + total

    return SimpleNamespace(
        widen=widen, narrow=narrow, within=within, wipe=wipe, carry=carry, carry_adjoint=carry_adjoint, thicken=thicken
    )
