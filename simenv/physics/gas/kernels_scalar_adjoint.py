# SPDX-License-Identifier: Apache-2.0
"""The adjoint of the kernel that carries what is mixed into gas, row by row.

Each cell gathers from the four faces of an axis whose fluxes its value is in, and each face from the two cells that
its flux goes between: no two threads add to the same number of a field.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_rows import row_functions
from simenv.physics.gas.kernels_scalar_along import along_functions
from simenv.physics.gas.kernels_walls import wall_functions

__all__ = ["scalar_adjoint_kernels"]


@built_once
def scalar_adjoint_kernels(real) -> SimpleNamespace:
    """The kernel `carry_adjoint` of one scalar type, `wp.float32` or `wp.float64`, the adjoint of `carry_scalar` of
    `scalar_kernels`.
    """
    Kinds, rows = wall_functions(real).Kinds, row_functions(real)
    cells, table, held_of = wp.array4d(dtype=real), wp.array2d(dtype=real), wp.array2d(dtype=int)
    options = {"module": f"simenv_gas_scalar_adjoint_{real.__name__}", "enable_backward": False}

    (by_x, blow_x, side_x), (by_y, blow_y, side_y), (by_z, blow_z, side_z) = along_functions(real)

    @wp.func
    def to_speeds(
        w: int, i: int, row: int, lane: int, rows_at_once: int, most: int, scalars: int, kinds: Kinds, nx: int,
        limited: int, c: real, per_dx: real, held: held_of, diffusivity: table, value: table, u: cells, v: cells,
        t: cells, q: cells, g: cells, diffusivity_bar: table, u_bar: cells, v_bar: cells, t_bar: cells,
    ):  # fmt: skip
        for s in range(scalars):
            start = s * nx
            spread = diffusivity[w, s] * per_dx
            total = real(0.0)
            for j in range(row, g.shape[2], rows_at_once):
                total += blow_x(w, start, nx, i, j, kinds, lane, most, limited, c, u, q, g, u_bar)
                total += blow_y(w, start, nx, i, j, kinds, lane, most, limited, c, v, q, g, v_bar)
                total += blow_z(w, start, nx, i, j, kinds, lane, most, limited, c, t, q, g, t_bar)
                side_x(w, s, nx, i, j, kinds, lane, most, 1, held, c, spread, value, u, q, g, value, u_bar, q)
                side_y(w, s, nx, i, j, kinds, lane, most, 1, held, c, spread, value, v, q, g, value, v_bar, q)
                side_z(w, s, nx, i, j, kinds, lane, most, 1, held, c, spread, value, t, q, g, value, t_bar, q)
            wp.atomic_add(diffusivity_bar, w, s, per_dx * total)

    @wp.kernel(**options)
    def carry_adjoint(
        kinds: Kinds, lanes: wp.vec2i, nx: int, limited: int, dt: real, per_dx: real, held: held_of,
        diffusivity_in: table, value_in: table, u_in: cells, v_in: cells, w_in: cells, q_in: cells, after_in: cells,
        g_in: cells, diffusivity_bar_inout: table, value_bar_inout: table, u_bar_inout: cells, v_bar_inout: cells,
        w_bar_inout: cells, q_bar_inout: cells,
    ):  # fmt: skip
        w, row_x, row, lane = wp.tid()
        s = row_x // nx
        i = row_x - s * nx
        start = s * nx
        nz = g_in.shape[3]
        c = dt * per_dx
        most = lanes[1]
        spread = diffusivity_in[w, s] * per_dx
        total = real(0.0)
        for j in range(row, g_in.shape[2], lanes[0]):
            rows.add_row(w, row_x, j, lane, most, nz, real(1.0), g_in, q_bar_inout)
            by_x(w, start, nx, i, j, kinds, lane, most, limited, c, spread, u_in, q_in, g_in, q_bar_inout)
            by_y(w, start, nx, i, j, kinds, lane, most, limited, c, spread, v_in, q_in, g_in, q_bar_inout)
            by_z(w, start, nx, i, j, kinds, lane, most, limited, c, spread, w_in, q_in, g_in, q_bar_inout)
            total += side_x(w, s, nx, i, j, kinds, lane, most, 0, held, c, spread, value_in, u_in, q_in, g_in,
                            value_bar_inout, u_bar_inout, q_bar_inout)  # fmt: skip
            total += side_y(w, s, nx, i, j, kinds, lane, most, 0, held, c, spread, value_in, v_in, q_in, g_in,
                            value_bar_inout, v_bar_inout, q_bar_inout)  # fmt: skip
            total += side_z(w, s, nx, i, j, kinds, lane, most, 0, held, c, spread, value_in, w_in, q_in, g_in,
                            value_bar_inout, w_bar_inout, q_bar_inout)  # fmt: skip
        wp.atomic_add(diffusivity_bar_inout, w, s, per_dx * total)
        if s == 0:  # its thread has the speeds of all
            to_speeds(w, i, row, lane, lanes[0], most, diffusivity_in.shape[1], kinds, nx, limited, c, per_dx, held,
                      diffusivity_in, value_in, u_in, v_in, w_in, q_in, g_in, diffusivity_bar_inout, u_bar_inout,
                      v_bar_inout, w_bar_inout)  # fmt: skip

    return SimpleNamespace(carry_adjoint=carry_adjoint)
