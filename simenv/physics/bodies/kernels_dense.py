# SPDX-License-Identifier: Apache-2.0
"""Native functions for the dense algebra of one world's contact: products, and the solve for a step of Newton's method.

They work on raw rows, in blocks of eight that compilers turn into vector instructions: rows of matrices are `padded`
to whole blocks, and a column of a group's Jacobian is eight numbers, of which the last two are zero. The order in which
anything is added up is that of the code.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_rows import row_functions

__all__ = ["dense_functions"]

# y = A (v - free), of a matrix that is symmetric and in blocks on its diagonal, from `low` to `high`
_TIMES = """
    const int pad = (nv + 7) / 8 * 8;
    const T *a_ = ROW(a), *v_ = ROW(v), *free_ = ROW(free);
    const int *low_ = MARKS(low), *high_ = MARKS(high);
    T* y_ = ROW(y);
    for (int b = 0; b < pad; b += 8) {
        const int end = high_[b + 7 < nv ? b + 7 : nv - 1];
        T sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        for (int j = low_[b]; j < end; ++j) {
            const T x = v_[j] - (less ? free_[j] : (T)0);
            const T* row = a_ + j * pad + b;
            EIGHT sum[l] += x * row[l];
        }
        EIGHT y_[b + l] = sum[l];
    }
"""

# the motion of a group at rates v: spin, speed and two zeros
_MOTION = """
    const T *j_ = ROW(jacobian) + 8 * base, *v_ = ROW(v);
    const int* column_ = MARKS(column) + base;
    T sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int e = 0; e < count; ++e) {
        const T rate = v_[column_[e]];
        EIGHT sum[l] += rate * j_[8 * e + l];
    }
    wp::vec_t<8, T> out;
    EIGHT out[l] = sum[l];
    return out;
"""

# g -= J^T (n, f)
_PULL = """
    const T* j_ = ROW(jacobian) + 8 * base;
    const int* column_ = MARKS(column) + base;
    T* g_ = ROW(g);
    for (int e = 0; e < count; ++e) {
        const T* x = j_ + 8 * e;
        g_[column_[e]] -= x[0] * n[0] + x[1] * n[1] + x[2] * n[2] + x[3] * f[0] + x[4] * f[1] + x[5] * f[2];
    }
"""

# h += J^T K J, in all of it or its lower half; K has blocks nn, nf and fn, ff, or, from LOW = 3 on, only the last
_STIFFEN = """
    const int pad = (nv + 7) / 8 * 8;
    const T* j_ = ROW(jacobian) + 8 * base;
    const int* column_ = MARKS(column) + base;
    T* h_ = ROW(h);
    T k[6][6];
    for (int r = 0; r < 3; ++r)
        for (int c = 0; c < 3; ++c) {
            BLOCKS
            k[3 + r][3 + c] = ff.data[r][c];
        }
    for (int first = 0; first < count; first += 8) {
        const int some = count - first < 8 ? count - first : 8;
        T across[6][8];
        for (int c = LOW; c < 6; ++c)
            EIGHT across[c][l] = l < some ? j_[8 * (first + l) + c] : (T)0;
        for (int e = 0; e < count; ++e) {
            const T* x = j_ + 8 * e;
            const int row = column_[e];
            T* h_row = h_ + row * pad;
            T all[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            for (int c = LOW; c < 6; ++c) {
                T by = 0;
                for (int r = LOW; r < 6; ++r) by += x[r] * k[r][c];
                EIGHT all[l] += by * across[c][l];
            }
            if (whole && some == 8) {
                EIGHT h_row[column_[first + l]] += all[l];
            } else {
                for (int l = 0; l < some; ++l) {
                    const int at = column_[first + l];
                    if (whole || at <= row) h_row[at] += all[l];
                }
            }
        }
    }
"""
_BLOCKS = "k[r][c] = nn.data[r][c]; k[r][3 + c] = nf.data[r][c]; k[3 + r][c] = fn.data[r][c];"

# x = -H^-1 g of the rates that are `active`, of H or of the symmetric matrix that has its lower half. Elimination
# begins with the last rate, so that trees, whose joints come after those that carry them, fill nothing in; what is
# zero is passed over
_SOLVE = """
    const int pad = (nv + 7) / 8 * 8;
    const T* g_ = ROW(g);
    const int* active_ = MARKS(active);
    int* lead_ = (int*)MARKS(lead);
    T *h_ = ROW(h), *x_ = ROW(x), *rest_ = ROW(rest), *part_ = ROW(row);
    for (int k = 0; k < nv; ++k) {
        rest_[k] = -g_[k];
        x_[k] = 0;
    }
    for (int k = nv - 1; k >= 0; --k) {
        if (!active_[k]) continue;
        const T* pivot = h_ + k * pad;
        if (pad <= 16) {  // of a few rates all is faster than to look for what is zero
            const T inverse = 1 / pivot[k], rest = rest_[k];
            T part[8], more[8];
            EIGHT part[l] = pivot[l];
            EIGHT more[l] = k > 8 ? pivot[8 + l] : (T)0;
            for (int i = 0; i < k; ++i) {
                const T share = inverse * (whole ? h_[i * pad + k] : pivot[i]);
                if (share == 0) continue;
                T* target = h_ + i * pad;
                T less[8];
                EIGHT less[l] = target[l] - share * part[l];
                rest_[i] -= share * rest;
                EIGHT target[l] = less[l];
                if (k > 8) {
                    EIGHT less[l] = target[8 + l] - share * more[l];
                    EIGHT target[8 + l] = less[l];
                }
            }
            h_[k * pad + k] = inverse;
            lead_[k] = 0;
            continue;
        }
        int lead = 0;
        while (lead < k && pivot[lead] == 0 && !(whole && h_[lead * pad + k] != 0)) ++lead;
        lead_[k] = lead;
        const int begin = lead / 8 * 8;
        const T inverse = 1 / pivot[k], rest = rest_[k];
        for (int b = begin; b < k; b += 8) EIGHT part_[b + l] = b + l < k ? pivot[b + l] : (T)0;
        for (int i = lead; i < k; ++i) {
            const T tied = whole ? h_[i * pad + k] : pivot[i];
            if (tied == 0) continue;
            const T share = tied * inverse;
            rest_[i] -= share * rest;
            T* target = h_ + i * pad;
            const int end = whole ? k : i + 1;
            for (int b = begin; b < end; b += 8) {
                T less[8];
                EIGHT less[l] = target[b + l] - share * part_[b + l];
                EIGHT target[b + l] = less[l];
            }
        }
        h_[k * pad + k] = inverse;
    }
    for (int k = 0; k < nv; ++k) {
        if (!active_[k]) continue;
        const T* pivot = h_ + k * pad;
        T total = rest_[k];
        for (int j = lead_[k]; j < k; ++j) total -= pivot[j] * x_[j];
        x_[k] = total * pivot[k];
    }
"""

_TRANSPOSE = """
    const int pad = (nv + 7) / 8 * 8;
    T* h_ = ROW(h);
    for (int k = 0; k < nv; ++k)
        for (int j = 0; j < k; ++j) {
            const T kept = h_[k * pad + j];
            h_[k * pad + j] = h_[j * pad + k];
            h_[j * pad + k] = kept;
        }
"""

# A by composite rigid bodies: of each link and all that it carries `about`, `first` and `mass` (its own at the
# beginning), in world axes about the tree's point
_COMPOSE = """
    const int pad = (nv + 7) / 8 * 8;
    T *a_ = ROW(a), *about_ = ROW(about), *first_ = ROW(first), *mass_ = ROW(mass);
    const T *spin_ = ROW(axis_spin), *speed_ = ROW(axis_speed), *easing_ = ROW(easing);
    for (int b = 0; b < nv * pad; b += 8) EIGHT a_[b + l] = 0;
    for (int i = links - 1; i >= 0; --i) {
        const int up = parent.data[i];
        const T *j = about_ + 9 * i, *h = first_ + 3 * i, mass = mass_[i];
        if (up >= 0) {
            for (int c = 0; c < 9; ++c) about_[9 * up + c] += j[c];
            for (int c = 0; c < 3; ++c) first_[3 * up + c] += h[c];
            mass_[up] += mass;
        }
        for (int k = v_start.data[i]; k < v_start.data[i + 1]; ++k) {
            const T *s = spin_ + 3 * k, *v = speed_ + 3 * k;
            const T n[3] = {
                j[0] * s[0] + j[1] * s[1] + j[2] * s[2] + h[1] * v[2] - h[2] * v[1],
                j[3] * s[0] + j[4] * s[1] + j[5] * s[2] + h[2] * v[0] - h[0] * v[2],
                j[6] * s[0] + j[7] * s[1] + j[8] * s[2] + h[0] * v[1] - h[1] * v[0]};
            const T f[3] = {
                mass * v[0] - h[1] * s[2] + h[2] * s[1], mass * v[1] - h[2] * s[0] + h[0] * s[2],
                mass * v[2] - h[0] * s[1] + h[1] * s[0]};
            for (int u = i; u >= 0; u = parent.data[u]) {
                const int end = u == i ? k + 1 : v_start.data[u + 1];
                for (int m = v_start.data[u]; m < end; ++m) {
                    const T *s = spin_ + 3 * m, *v = speed_ + 3 * m;
                    const T both = s[0] * n[0] + s[1] * n[1] + s[2] * n[2] + v[0] * f[0] + v[1] * f[1] + v[2] * f[2];
                    a_[k * pad + m] = both;
                    a_[m * pad + k] = both;
                }
            }
            a_[k * pad + k] += easing_[k];
        }
    }
"""

_COPY = """
    const int cells = (nv + 7) / 8 * 8 * nv;
    const T* a_ = ROW(a);
    T* h_ = ROW(h);
    for (int b = 0; b < cells; b += 8) EIGHT h_[b + l] = a_[b + l];
"""

# the start of Newton's method, `before` where rates are active and these count, and one over A's diagonal
_BEGIN = """
    const int pad = (nv + 7) / 8 * 8;
    const T *a_ = ROW(a), *free_ = ROW(free), *before_ = ROW(before);
    const int *active_ = MARKS(active), *told_ = told.data;
    T *v_ = ROW(v), *inverse_ = ROW(inverse), *weight_ = ROW(weight);
    for (int k = 0; k < nv; ++k) {
        const T heavy = a_[k * pad + k];
        v_[k] = active_[k] && again ? before_[k] : free_[k];
        inverse_[k] = active_[k] ? 1 / heavy : (T)0;
        // what holds a rate that is told would hide all others
        weight_[k] = active_[k] && !told_[k] ? heavy : (T)0;
    }
"""


@built_once
def dense_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`; arrays are of one row for each world.

    Returns:
        A namespace with what `row_functions` has, `vec8`, and the functions

        * `times(w, nv, a, low, high, v, free, less, y)`: y = A v, or A (v - free) where `less` is 1;
        * `motion_of(w, base, count, column, jacobian, v) -> vec8`: of a group, angular and linear velocity;
        * `pull_columns(w, base, count, column, jacobian, n, f, g)`: g -= J^T (n, f);
        * `stiffen_columns(w, nv, base, count, whole, column, jacobian, nn, nf, fn, ff, h)`: h += J^T K J, and
          `stiffen_speeds(w, nv, base, count, whole, column, jacobian, ff, h)`, where K has no other block;
        * `solve(w, nv, whole, active, g, h, lead, row, rest, x)`: x = -H^-1 g; overwrites h, and the next three;
        * `compose(w, nv, links, parent, v_start, axis_spin, axis_speed, easing, about, first, mass, a)`: A;
        * `transpose(w, nv, h)`, `copy_matrix(w, nv, a, h)`;
        * `begin(w, nv, a, active, told, again, free, before, v, inverse, weight)`: where Newton's method begins, which
          is `before` at active rates where these are to be met `again`.
    """
    row = row_functions(real)
    rows, Row, Marks = row.rows, row.Row, row.Marks
    vec3, vec8 = wp.types.vector(length=3, dtype=real), wp.types.vector(length=8, dtype=real)
    mat33 = wp.types.matrix(shape=(3, 3), dtype=real)
    Columns, Vectors = wp.array2d(dtype=vec8), wp.array2d(dtype=vec3)

    @wp.func_native(rows + _TIMES)
    def times(w: int, nv: int, a: Row, low: Marks, high: Marks, v: Row, free: Row, less: int, y: Row): ...

    @wp.func_native(rows + _MOTION)
    def motion_of(w: int, base: int, count: int, column: Marks, jacobian: Columns, v: Row) -> vec8: ...

    @wp.func_native(rows + _PULL)
    def pull_columns(
        w: int, base: int, count: int, column: Marks, jacobian: Columns, n: vec3, f: vec3, g: Row
    ): ...  # fmt: skip

    @wp.func_native(rows + _STIFFEN.replace("BLOCKS", _BLOCKS).replace("LOW", "0"))
    def stiffen_columns(
        w: int, nv: int, base: int, count: int, whole: int, column: Marks, jacobian: Columns, nn: mat33, nf: mat33,
        fn: mat33, ff: mat33, h: Row,
    ): ...  # fmt: skip

    @wp.func_native(rows + _STIFFEN.replace("BLOCKS", "").replace("LOW", "3"))
    def stiffen_speeds(
        w: int, nv: int, base: int, count: int, whole: int, column: Marks, jacobian: Columns, ff: mat33, h: Row
    ): ...  # fmt: skip

    @wp.func_native(rows + _SOLVE)
    def solve(
        w: int, nv: int, whole: int, active: Marks, g: Row, h: Row, lead: Marks, row: Row, rest: Row, x: Row
    ): ...  # fmt: skip

    @wp.func_native(rows + _TRANSPOSE)
    def transpose(w: int, nv: int, h: Row): ...

    @wp.func_native(rows + _COMPOSE)
    def compose(
        w: int, nv: int, links: int, parent: wp.array(dtype=int), v_start: wp.array(dtype=int), axis_spin: Vectors,
        axis_speed: Vectors, easing: Row, about: wp.array2d(dtype=mat33), first: Vectors, mass: Row, a: Row,
    ): ...  # fmt: skip

    @wp.func_native(rows + _COPY)
    def copy_matrix(w: int, nv: int, a: Row, h: Row): ...

    @wp.func_native(rows + _BEGIN)
    def begin(
        w: int, nv: int, a: Row, active: Marks, told: wp.array(dtype=int), again: int, free: Row, before: Row, v: Row,
        inverse: Row, weight: Row,
    ): ...  # fmt: skip

    return SimpleNamespace(
        vec8=vec8, times=times, motion_of=motion_of, pull_columns=pull_columns, stiffen_columns=stiffen_columns,
        stiffen_speeds=stiffen_speeds, solve=solve, compose=compose, transpose=transpose, copy_matrix=copy_matrix,
        begin=begin, **vars(row),
    )  # fmt: skip
