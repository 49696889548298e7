# SPDX-License-Identifier: Apache-2.0
"""Warp functions of a kick of trees whose motors pull links (kernels_tools): these make the tree harder to accelerate,
by a block S that is added to its joint-space inertia A, as far as its motors are not at their limits.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.bodies.kernels_gather import gather_functions
from simenv.physics.bodies.kernels_tools import tool_kernels

__all__ = ["yield_functions"]


@built_once
def yield_functions(real) -> SimpleNamespace:
    """Functions for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with the functions, after `assemble`,

        * `harden(trees, tools, w, nv, hard, spent, pull, soft, touch)`: adds S to A, without the rows and columns of
          motors that are `spent`; these alone, and the motors of joints that no impedance pulls, are left to be held to
          their limits by `of_joint`;
        * `slow(trees, tools, w, nv, hard, spent, before, touch, v)`: rates v without contact, less what S takes;
        * `see_spent(trees, tools, w, dt, limits, hard, pull, soft, before, after, spent) -> int`: motors that would
          give more than they can, and whether there are any new ones;
        * `resist(trees, tools, w, k, hard, spent, x) -> real`: a row of S times x.
    """
    gathered, tool = gather_functions(real), tool_kernels(real)
    Trees, Tools, Bounds, Space = gathered.Trees, tool.Tools, gathered.Bounds, gathered.Space
    copy_matrix, solve = gathered.dense.copy_matrix, gathered.dense.solve

    @wp.func
    def hardness(
        tools: Tools, w: int, t: int, size: int, i: int, j: int, start: int, hard: wp.array2d(dtype=real),
        spent: wp.array2d(dtype=real),
    ) -> real:  # fmt: skip
        out = real(0.0)
        if spent[w, start + i] == real(0.0) and spent[w, start + j] == real(0.0):
            out = hard[w, tools.block[t] + i * size + j]
        return out

    @wp.func
    def resist(
        trees: Trees, tools: Tools, w: int, t: int, k: int, hard: wp.array2d(dtype=real),
        spent: wp.array2d(dtype=real), x: wp.array2d(dtype=real),
    ) -> real:  # fmt: skip
        start = trees.v_start[trees.first[t]]
        size = trees.v_start[trees.first[t + 1]] - start
        total = real(0.0)
        for j in range(size):
            total = total + hardness(tools, w, t, size, k - start, j, start, hard, spent) * x[w, start + j]
        return total

    @wp.func
    def harden(
        trees: Trees,
        tools: Tools,
        w: int,
        nv: int,
        hard: wp.array2d(dtype=real),
        spent: wp.array2d(dtype=real),
        pull: wp.array2d(dtype=real),
        soft: wp.array2d(dtype=real),
        s: Space,
    ):
        pad = (nv + 7) // 8 * 8
        for k in range(nv):
            s[0].pull[w, k] = pull[w, k]
            s[0].soft[w, k] = soft[w, k]
            if tools.is_motor[k] == 1 and spent[w, k] == real(0.0):
                s[0].pull[w, k] = real(0.0)
                s[0].soft[w, k] = real(0.0)
        for t in range(trees.first.shape[0] - 1):
            if tools.block[t] >= 0:
                start = trees.v_start[trees.first[t]]
                size = trees.v_start[trees.first[t + 1]] - start
                for i in range(size):
                    k = start + i
                    for j in range(size):
                        more = hardness(tools, w, t, size, i, j, start, hard, spent)
                        s[0].a[w, k * pad + start + j] = s[0].a[w, k * pad + start + j] + more

    @wp.func
    def slow(
        trees: Trees,
        tools: Tools,
        w: int,
        nv: int,
        hard: wp.array2d(dtype=real),
        spent: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        s: Space,
        v: wp.array2d(dtype=real),
    ):
        # (A + S) x = - S (v - before); v + x
        for t in range(trees.first.shape[0] - 1):
            if tools.block[t] >= 0:
                start = trees.v_start[trees.first[t]]
                end = trees.v_start[trees.first[t + 1]]
                for k in range(start, end):
                    s[0].d[w, k] = v[w, k] - before[w, k]
                for k in range(start, end):
                    s[0].g[w, k] = resist(trees, tools, w, t, k, hard, spent, s[0].d)
                for k in range(nv):
                    s[0].active[w, k] = wp.where(k >= start and k < end, 1, 0)
                copy_matrix(w, nv, s[0].a, s[0].h)
                solve(w, nv, 0, s[0].active, s[0].g, s[0].h, s[0].lead, s[0].row, s[0].rest, s[0].d)
                for k in range(start, end):
                    v[w, k] = v[w, k] + s[0].d[w, k]

    @wp.func
    def see_spent(
        trees: Trees,
        tools: Tools,
        w: int,
        dt: real,
        limits: Bounds,
        hard: wp.array2d(dtype=real),
        pull: wp.array2d(dtype=real),
        soft: wp.array2d(dtype=real),
        before: wp.array2d(dtype=real),
        after: wp.array2d(dtype=real),
        s: Space,
        spent: wp.array2d(dtype=real),
    ) -> int:
        more = int(0)
        for t in range(trees.first.shape[0] - 1):
            if tools.block[t] >= 0:
                start = trees.v_start[trees.first[t]]
                end = trees.v_start[trees.first[t + 1]]
                for k in range(start, end):
                    s[0].d[w, k] = after[w, k] - before[w, k]
                    s[0].g[w, k] = real(0.0)
                for k in range(start, end):
                    if tools.is_motor[k] == 1 and spent[w, k] == real(0.0):
                        wanted = dt * pull[w, k] - soft[w, k] * s[0].d[w, k]
                        wanted = wanted - resist(trees, tools, w, t, k, hard, spent, s[0].d)
                        if wp.abs(wanted) > dt * limits[0].effort[k]:
                            s[0].g[w, k] = real(1.0)
                for k in range(start, end):
                    if s[0].g[w, k] == real(1.0):
                        spent[w, k] = real(1.0)
                        more = 1
        return more

    return SimpleNamespace(harden=harden, slow=slow, see_spent=see_spent, resist=resist)
