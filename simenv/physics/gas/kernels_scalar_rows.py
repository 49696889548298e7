# SPDX-License-Identifier: Apache-2.0
"""Native functions over rows of cells, of which the adjoint of what carries scalars in gas is made."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_rows import native

__all__ = ["scalar_row_functions"]

# What passes upward from one cell to the next is F = v U - spread (q_high - q_low), with U of the limiter in
# kernels_scalar.py: a and b are differences of the three values that it is of, p and r the derivatives of U - low by
# them. Rows: of the cells below and above the face, of those beyond them, of adjoints of both cells, and of speeds.
_FLUX = """
    const T* g_low = ROW(g_array, low_at[0], low_at[1], low_at[2]);
    const T* g_high = ROW(g_array, high_at[0], high_at[1], high_at[2]);
    const T* q_before = ROW(q_array, before_at[0], before_at[1], before_at[2]);
    const T* q_low = ROW(q_array, low_at[0], low_at[1], low_at[2]);
    const T* q_high = ROW(q_array, high_at[0], high_at[1], high_at[2]);
    const T* q_after = ROW(q_array, after_at[0], after_at[1], after_at[2]);
    const T* speed = ROW(v_array, face_at[0], face_at[1], face_at[2]);
    #define UPSTREAM                                                                                               \\
        const T v = speed[i], f = c * (g_high[i] - g_low[i]);                                                      \\
        const bool up = v > 0;                                                                                     \\
        const T low = up ? q_low[i] : q_high[i], high = up ? q_high[i] : q_low[i];                                 \\
        const T a = low - (up ? q_before[i] : q_after[i]), b = high - low, ab = a * b, aa = a * a, bb = b * b;     \\
        const bool curved = ab > 0;                                                                                \\
        const T per = (T)1 / (curved ? aa + bb : (T)1);
"""

# what one of the four faces gives to the cells at `at`, which are those below it, above it, before or after these
_TAKE = """
    T* to = ROW(to_array, at[0], at[1], at[2]);
    const T along = spread * (below - above);
    EACH(
        UPSTREAM
        T p = (T)0.125, r = (T)0.375;
        if (limited) {
            p = curved ? (T)0.5 * (bb * per) * ((ab + ab - aa + bb) * per) : (T)0;
            r = curved ? (T)0.5 * (aa * per) * ((ab + ab - bb + aa) * per) : (T)0;
        }
        const T of_low = (T)1 + p - r;
        const T of_cell = up ? below * of_low + above * r - before * p : below * r + above * of_low - after * p;
        to[i] += f * (v * of_cell + along);
    )
"""

# to the speeds, and minus the sum of what the difference across the face is in
_SPEED = """
    T* to = ROW(to_array, face_at[0], face_at[1], face_at[2]);
    T total = 0;
    EACH(
        UPSTREAM
        const T more = limited ? (curved ? (T)0.5 * ab * (a + b) * per : (T)0) : (T)0.125 * ((T)3 * b + a);
        to[i] += f * (low + more);
    )
    for (int i = lane; i < count; i += lanes) total += (g_high[i] - g_low[i]) * (q_low[i] - q_high[i]);
    return c * total;
"""


@built_once
def scalar_row_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `take`, which adds to a row of cells what the flux through one row of faces gives; `blow`,
        which adds to the speeds on a row of faces, and returns minus the sum of what their spread is times; `at_side`,
        the derivatives of what leaves through a side, in a `vec4`.
    """
    cells, vec3i, vec4 = wp.array4d(dtype=real), wp.vec3i, wp.types.vector(length=4, dtype=real)

    @wp.func_native(native(_FLUX + _TAKE, real))
    def take(
        w: int, at: vec3i, before_at: vec3i, low_at: vec3i, high_at: vec3i, after_at: vec3i, face_at: vec3i, lane: int,
        lanes: int, count: int, below: real, above: real, before: real, after: real, limited: int, c: real,
        spread: real, v_array: cells, q_array: cells, g_array: cells, to_array: cells,
    ): ...  # fmt: skip

    @wp.func_native(native(_FLUX + _SPEED, real))
    def blow(
        w: int, before_at: vec3i, low_at: vec3i, high_at: vec3i, after_at: vec3i, face_at: vec3i, lane: int, lanes: int,
        count: int, limited: int, c: real, v_array: cells, q_array: cells, g_array: cells, to_array: cells,
    ) -> real: ...  # fmt: skip

    @wp.func
    def at_side(inside: real, outward: real, spread: real, held: int, value: real) -> vec4:
        # derivatives of what leaves through a side by the value inside, the speed outward, the side's value and spread
        if held == 0:
            return vec4(outward, inside, real(0.0), real(0.0))
        two = real(2.0) * spread
        if outward > real(0.0):
            return vec4(outward + two, inside, -two, real(2.0) * (inside - value))
        return vec4(two, value, outward - two, real(2.0) * (inside - value))

    return SimpleNamespace(take=take, blow=blow, at_side=at_side, vec4=vec4)
