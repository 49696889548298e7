# SPDX-License-Identifier: Apache-2.0
"""Warp kernels between fields: the mean that ends a step of two stages, sums of adjoints, and failures of solves."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.gas.kernels_rows import row_functions

__all__ = ["average_kernels"]


@built_once
def average_kernels(real) -> SimpleNamespace:
    """Kernels for one scalar type, `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `average`, of where a step started and where its second stage ended, and `unaverage`, its
        adjoint; `press`, the pressure that phi is; `add`; `note`, which counts solves that ended at their last
        iteration; and `watch`, which counts those of speeds that are too large.
    """
    add_row = row_functions(real).add_row
    forward = {"module": f"simenv_gas_sums_{real.__name__}", "enable_backward": False}

    @wp.kernel(**forward)
    def average(
        lanes: wp.vec2i,
        a_in: wp.array4d(dtype=real),
        b_in: wp.array4d(dtype=real),
        q_out: wp.array4d(dtype=real),
    ):
        w, i, row, lane = wp.tid()
        for j in range(row, q_out.shape[2], lanes[0]):
            for k in range(lane, q_out.shape[3], lanes[1]):
                q_out[w, i, j, k] = real(0.5) * (a_in[w, i, j, k] + b_in[w, i, j, k])

    @wp.kernel(**forward)
    def unaverage(
        lanes: wp.vec2i,
        a_in: wp.array4d(dtype=real),
        b_in: wp.array4d(dtype=real),
        q_in: wp.array4d(dtype=real),
        g_in: wp.array4d(dtype=real),
        a_bar_inout: wp.array4d(dtype=real),
        b_bar_inout: wp.array4d(dtype=real),
    ):
        w, i, row, lane = wp.tid()
        for j in range(row, g_in.shape[2], lanes[0]):
            add_row(w, i, j, lane, lanes[1], g_in.shape[3], real(0.5), g_in, a_bar_inout)
            add_row(w, i, j, lane, lanes[1], g_in.shape[3], real(0.5), g_in, b_bar_inout)

    @wp.kernel(module=f"simenv_gas_average_{real.__name__}", enable_backward=True)
    def press(
        lanes: wp.vec2i,
        factor: real,
        density_in: wp.array(dtype=real),
        phi_in: wp.array4d(dtype=real),
        p_out: wp.array4d(dtype=real),
    ):
        w, i, row, lane = wp.tid()
        for j in range(row, p_out.shape[2], lanes[0]):
            for k in range(lane, p_out.shape[3], lanes[1]):
                p_out[w, i, j, k] = factor * density_in[w] * phi_in[w, i, j, k]

    @wp.kernel(**forward)
    def add(lanes: wp.vec2i, a_in: wp.array4d(dtype=real), q_inout: wp.array4d(dtype=real)):
        w, i, row, lane = wp.tid()
        for j in range(row, q_inout.shape[2], lanes[0]):
            for k in range(lane, q_inout.shape[3], lanes[1]):
                q_inout[w, i, j, k] = q_inout[w, i, j, k] + a_in[w, i, j, k]

    @wp.kernel(**forward)
    def note(done_in: wp.array(dtype=int), failed_inout: wp.array(dtype=int)):
        w = wp.tid()
        failed_inout[w] = failed_inout[w] + 1 - done_in[w]

    @wp.kernel(**forward)
    def watch(fastest: real, scale_in: wp.array(dtype=real), rushed_inout: wp.array(dtype=int)):
        w = wp.tid()
        if not (scale_in[w] <= fastest):
            rushed_inout[w] = rushed_inout[w] + 1

    return SimpleNamespace(average=average, unaverage=unaverage, press=press, add=add, note=note, watch=watch)
