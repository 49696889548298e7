# SPDX-License-Identifier: Apache-2.0
"""What transfers between particles and grid take from a flow, given back on the grid, with the exact adjoint.

One pass of APIC's transfers with quadratic B-splines multiplies a wave of wave numbers k by

    1 - dx^4 (sum_a k_a^4 / 40 + sum_{a<b} k_a^2 k_b^2 / 16) + O((k dx)^6)

in the limit of many particles, as they carry no more than the gradient of a velocity. So nodes are given momentum by a
biharmonic operator of the opposite sign, before forces act:

    p <- p + share / 40 L (mu L v),   v = p / m

L is the sum of the differences to the six neighbours, and mu a mean of the seven nodes' masses that is small if one of
them is, and zero where a neighbour has none: mu = (7 / sum m^-4)^(1/4). The operator is symmetric and takes nothing of
an affine velocity, so that linear and angular momentum stay to rounding, and what a particle's own gradient carries
anyway is left alone. What the transfers cannot represent they still take: share = 1 is at the limit of stability.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.grid import grid_struct
from simenv.physics.mpm.grid_rows import grid_rows
from simenv.physics.mpm.stencil import stencil_functions


@built_once
def restoring_kernels(real, sparse: bool) -> SimpleNamespace:
    """Build the kernels for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.
        sparse: whether nodes are stored in blocks.

    Returns:
        A namespace of kernels: ``add_lanes``, ``bend`` (mu L v), ``give`` (the sum above), and the adjoints
        ``give_adjoint`` and ``bend_adjoint``. Each must be done on all nodes before the next begins.
    """
    st = stencil_functions(real)
    vec3, vec4 = st.vec3, st.vec4
    Grid = grid_struct(real).Grid
    rows = grid_rows(real, sparse)
    touched, touched_parts, lane_sum = rows.touched, rows.touched_parts, rows.lane_sum
    value_at, neighbour = rows.value_at, rows.neighbour
    options = {"module": f"simenv_mpm_restoring_{real.__name__}{'_b' * sparse}", "enable_backward": False}

    @wp.func
    def differences(
        grid: Grid, bounds: wp.array(dtype=wp.int32), lanes: int, s: int, i: int, j: int, k: int,
        values: wp.array(dtype=vec4),
    ) -> vec3:  # fmt: skip
        # L of the first three components
        own = value_at(grid, bounds, lanes, s, i, j, k, values)
        total = -real(6.0) * own
        for side in range(6):
            total = total + neighbour(grid, bounds, lanes, s, i, j, k, side, values)
        return vec3(total[0], total[1], total[2])

    @wp.kernel(**options)
    def add_lanes(
        grid: Grid, bounds_in: wp.array(dtype=wp.int32), lanes: int, lane: int, chunk: int, parts: int,
        lanes_in: wp.array(dtype=vec4), momentum_out: wp.array(dtype=vec4),
    ):  # fmt: skip
        """Add up what the lanes have scattered."""
        first, last = touched_parts(grid, bounds_in, 0, lanes, wp.tid() * lanes + lane, parts)
        for part in range(first, last):
            _s, i, j, lower, upper, base = touched(grid, bounds_in, lanes, chunk, part)
            for k in range(lower, upper):
                momentum_out[base + k] = lane_sum(grid, bounds_in, lanes, i, j, k, base + k, lanes_in)

    @wp.kernel(**options)
    def bend(
        grid: Grid, bounds_in: wp.array(dtype=wp.int32), lanes: int, lane: int, chunk: int, parts: int,
        momentum_in: wp.array(dtype=vec4), bend_out: wp.array(dtype=vec4),
    ):  # fmt: skip
        """mu L v, and mu beside it."""
        first, last = touched_parts(grid, bounds_in, 0, lanes, wp.tid() * lanes + lane, parts)
        for part in range(first, last):
            s, i, j, lower, upper, base = touched(grid, bounds_in, lanes, chunk, part)
            for k in range(lower, upper):
                own = value_at(grid, bounds_in, lanes, s, i, j, k, momentum_in)
                result = vec4()
                if own[3] > real(0.0):
                    v = vec3(own[0], own[1], own[2]) / own[3]
                    total = vec3()
                    heap = real(1.0)
                    full = int(1)
                    for side in range(6):
                        other = neighbour(grid, bounds_in, lanes, s, i, j, k, side, momentum_in)
                        if other[3] > real(0.0):
                            total = total + (vec3(other[0], other[1], other[2]) / other[3] - v)
                            ratio = own[3] / other[3]
                            heap = heap + ratio * ratio * ratio * ratio
                        else:
                            full = 0
                    if full == 1:
                        mu = own[3] * wp.sqrt(wp.sqrt(real(7.0) / heap))
                        result = vec4(mu * total[0], mu * total[1], mu * total[2], mu)
                bend_out[base + k] = result

    @wp.kernel(**options)
    def give(
        grid: Grid, bounds_in: wp.array(dtype=wp.int32), lanes: int, lane: int, chunk: int, parts: int, share: real,
        momentum_in: wp.array(dtype=vec4), bend_in: wp.array(dtype=vec4), momentum_out: wp.array(dtype=vec4),
    ):  # fmt: skip
        """The momentum with what is given back."""
        first, last = touched_parts(grid, bounds_in, 0, lanes, wp.tid() * lanes + lane, parts)
        for part in range(first, last):
            s, i, j, lower, upper, base = touched(grid, bounds_in, lanes, chunk, part)
            for k in range(lower, upper):
                value = momentum_in[base + k]
                if value[3] > real(0.0):
                    more = (share / real(40.0)) * differences(grid, bounds_in, lanes, s, i, j, k, bend_in)
                    value = value + vec4(more[0], more[1], more[2], real(0.0))
                momentum_out[base + k] = value

    @wp.kernel(**options)
    def give_adjoint(
        grid: Grid, bounds_in: wp.array(dtype=wp.int32), lanes: int, lane: int, chunk: int, parts: int, share: real,
        bend_in: wp.array(dtype=vec4), adj_momentum_in: wp.array(dtype=vec4), adj_bend_out: wp.array(dtype=vec4),
    ):  # fmt: skip
        """mu times the adjoint of mu L v, and the adjoint of mu beside it."""
        first, last = touched_parts(grid, bounds_in, 0, lanes, wp.tid() * lanes + lane, parts)
        for part in range(first, last):
            s, i, j, lower, upper, base = touched(grid, bounds_in, lanes, chunk, part)
            for k in range(lower, upper):
                bent = bend_in[base + k]
                result = vec4()
                if bent[3] > real(0.0):
                    adj = (share / real(40.0)) * differences(grid, bounds_in, lanes, s, i, j, k, adj_momentum_in)
                    adj_mu = wp.dot(adj, vec3(bent[0], bent[1], bent[2])) / bent[3]
                    result = vec4(bent[3] * adj[0], bent[3] * adj[1], bent[3] * adj[2], adj_mu)
                adj_bend_out[base + k] = result

    @wp.kernel(**options)
    def bend_adjoint(
        grid: Grid, bounds_in: wp.array(dtype=wp.int32), lanes: int, lane: int, chunk: int, parts: int,
        momentum_in: wp.array(dtype=vec4), bend_in: wp.array(dtype=vec4), adj_bend_in: wp.array(dtype=vec4),
        adj_momentum_inout: wp.array(dtype=vec4),
    ):  # fmt: skip
        """Adds to the adjoint of the momentum, and of the mass beside it."""
        first, last = touched_parts(grid, bounds_in, 0, lanes, wp.tid() * lanes + lane, parts)
        for part in range(first, last):
            s, i, j, lower, upper, base = touched(grid, bounds_in, lanes, chunk, part)
            for k in range(lower, upper):
                value = momentum_in[base + k]
                mass = value[3]
                if mass > real(0.0):
                    adj_p = differences(grid, bounds_in, lanes, s, i, j, k, adj_bend_in) / mass
                    adj_mass = -wp.dot(adj_p, vec3(value[0], value[1], value[2])) / mass
                    # the mean's derivative by this mass, of its own mean and of its neighbours'
                    ratio = bend_in[base + k][3] / mass
                    slopes = adj_bend_in[base + k][3] * ratio * ratio * ratio * ratio * ratio
                    for side in range(6):
                        ratio = neighbour(grid, bounds_in, lanes, s, i, j, k, side, bend_in)[3] / mass
                        adj_mu = neighbour(grid, bounds_in, lanes, s, i, j, k, side, adj_bend_in)[3]
                        slopes = slopes + adj_mu * ratio * ratio * ratio * ratio * ratio
                    adj_momentum_inout[base + k] = adj_momentum_inout[base + k] + vec4(
                        adj_p[0], adj_p[1], adj_p[2], adj_mass + slopes / real(7.0)
                    )

    return SimpleNamespace(
        add_lanes=add_lanes, bend=bend, give=give, give_adjoint=give_adjoint, bend_adjoint=bend_adjoint
    )
