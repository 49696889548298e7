# SPDX-License-Identifier: Apache-2.0
"""Adjoints of the kernels around the pressure equation, row by row: no two threads add to the same number."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_faces import face_functions
from simenv.physics.gas.kernels_rows import row_functions
from simenv.physics.gas.kernels_walls import PERIODIC, of_axis, wall_functions

__all__ = ["project_adjoint_kernels"]


@built_once
def project_adjoint_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `push[axis]` and `diverge`, the adjoints of those of `project_kernels`. That of the solution's
        own dependence on open shares is `blame` there.
    """
    Kinds, wrap, rows = wall_functions(real).Kinds, wall_functions(real).wrap, row_functions(real)
    of_open_faces, gather_flow = face_functions(real).of_open_faces, rows.gather_flow
    cells, vec3i = wp.array4d(dtype=real), wp.vec3i
    PERIODIC_ = wp.constant(PERIODIC)
    options = {"module": f"simenv_gas_project_adjoint_{real.__name__}", "enable_backward": False}

    def pushing(axis: int):
        of_faces = of_open_faces[axis]

        @wp.kernel(**options)
        @of_axis(axis)
        def push_adjoint(
            kinds: Kinds, lanes: wp.vec2i, open_in: cells, solid_in: cells, phi_in: cells, q_in: cells,
            after_in: cells, g_in: cells, open_bar_inout: cells, solid_bar_inout: cells, phi_bar_inout: cells,
            q_bar_inout: cells,
        ):  # fmt: skip
            # q' = q - what phi jumps by, where a face is open, else the velocity of what closes it
            w, i, row, lane = wp.tid()
            for j in range(row, g_in.shape[2], lanes[0]):
                rows.add_apart(w, i, j, lane, lanes[1], g_in.shape[3], open_in, g_in, q_bar_inout, solid_bar_inout)
                if i < phi_in.shape[1] and j < phi_in.shape[2]:
                    of_faces(w, i, j, i, lane, lanes[1], kinds, real(2.0), real(-1.0), real(1.0), open_in, g_in,
                             phi_bar_inout)  # fmt: skip

        return push_adjoint

    def flowing(axis: int):
        X, Y = int(axis == 0), int(axis == 1)

        @wp.func
        def flow(
            w: int, i: int, j: int, kind: int, lane: int, lanes: int, share: cells, solid: cells, q: cells, g: cells,
            share_bar: cells, solid_bar: cells, q_bar: cells,
        ):  # fmt: skip
            # into the cell above a face, out of the one below
            one = real(1.0)
            none = real(0.0)
            nz = g.shape[3]
            if wp.static(axis < 2):
                n = g.shape[wp.static(axis + 1)]
                p = wp.static(X) * i + wp.static(Y) * j
                out, into = -one, one
                if p == 0 and kind != PERIODIC_:
                    out = none
                if p == n:
                    into = none
                below = wrap(p - 1, n, kind)
                above = wp.min(p, n - 1)
                low = vec3i(below, j, 0)
                high = vec3i(above, j, 0)
                if wp.static(axis == 1):
                    low = vec3i(i, below, 0)
                    high = vec3i(i, above, 0)
                gather_flow(w, vec3i(i, j, 0), low, high, lane, lanes, nz, out, into, share, solid, q, g, share_bar,
                            solid_bar, q_bar)  # fmt: skip
            else:
                out = none
                if kind == PERIODIC_:
                    out = -one
                first = vec3i(i, j, 0)
                end = vec3i(i, j, nz - 1)
                gather_flow(w, first, end, first, lane, lanes, 1, out, one, share, solid, q, g, share_bar, solid_bar,
                            q_bar)  # fmt: skip
                gather_flow(w, vec3i(i, j, 1), first, vec3i(i, j, 1), lane, lanes, nz - 1, -one, one, share, solid, q,
                            g, share_bar, solid_bar, q_bar)  # fmt: skip
                if kind != PERIODIC_:
                    gather_flow(w, vec3i(i, j, nz), end, end, lane, lanes, 1, -one, none, share, solid, q, g,
                                share_bar, solid_bar, q_bar)  # fmt: skip

        return flow

    flow_x, flow_y, flow_z = (flowing(axis) for axis in range(3))

    @wp.kernel(**options)
    def diverge_adjoint(
        kinds: Kinds, lanes: wp.vec2i, open_x_in: cells, open_y_in: cells, open_z_in: cells, solid_x_in: cells,
        solid_y_in: cells, solid_z_in: cells, u_in: cells, v_in: cells, w_in: cells, b_in: cells, g_in: cells,
        open_x_inout: cells, open_y_inout: cells, open_z_inout: cells, solid_x_inout: cells, solid_y_inout: cells,
        solid_z_inout: cells, u_inout: cells, v_inout: cells, w_inout: cells,
    ):  # fmt: skip
        w, i, row, lane = wp.tid()
        nx = g_in.shape[1]
        ny = g_in.shape[2]
        end = i + 1
        if i == nx - 1:
            end = u_in.shape[1]
        for j in range(row, ny, lanes[0]):
            for face in range(i, end):
                flow_x(w, face, j, kinds[0], lane, lanes[1], open_x_in, solid_x_in, u_in, g_in, open_x_inout,
                       solid_x_inout, u_inout)  # fmt: skip
            flow_z(w, i, j, kinds[4], lane, lanes[1], open_z_in, solid_z_in, w_in, g_in, open_z_inout, solid_z_inout,
                   w_inout)  # fmt: skip
        for j in range(row, v_in.shape[2], lanes[0]):
            flow_y(w, i, j, kinds[2], lane, lanes[1], open_y_in, solid_y_in, v_in, g_in, open_y_inout, solid_y_inout,
                   v_inout)  # fmt: skip

    return SimpleNamespace(push=[pushing(axis) for axis in range(3)], diverge=diverge_adjoint)
