# SPDX-License-Identifier: Apache-2.0
"""What the nodes of the grid say of how densely a liquid is packed (`packing.py`), and the adjoint by their masses."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.columns import DENSITY
from simenv.physics.mpm.contact import contact_functions
from simenv.physics.mpm.grid import OUTFLOW, PERIODIC, grid_struct
from simenv.physics.mpm.grid_rows import grid_rows
from simenv.physics.mpm.packing import packing_functions
from simenv.physics.mpm.placing import placing_functions
from simenv.physics.mpm.stencil import stencil_functions


@built_once
def packing_kernels(real, sparse: bool) -> SimpleNamespace:
    """Build them for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.
        sparse: whether nodes are stored in blocks.

    Returns:
        A namespace of the Warp function ``packing_at`` and the kernels ``scatter`` and ``gather``, its adjoint.
    """
    st = stencil_functions(real)
    vec3, vec4, vec8 = st.vec3, st.vec4, st.vec8
    gs = grid_struct(real)
    Grid, image = gs.Grid, gs.image
    Colliders = contact_functions(real).Colliders
    rows = grid_rows(real, sparse)
    touched, touched_parts, mass_at = rows.touched, rows.touched_parts, rows.mass_at
    value_at, neighbour, beside = rows.value_at, rows.neighbour, rows.beside
    packing = packing_functions(real)
    excess_slopes, fullness, fullness_slope = packing.excess_slopes, packing.fullness, packing.fullness_slope
    stands_free = placing_functions(real).stands_free
    options = {"module": f"simenv_mpm_packing_{real.__name__}{'_b' * sparse}", "enable_backward": False}

    @wp.func
    def inward(node: int, count: int, pad: int, boundary: int) -> int:
        # how many nodes further in a wall's node finds one whose surroundings the wall does not cut; 0 off walls
        if boundary != PERIODIC and boundary != OUTFLOW:
            if node == pad:
                return 2
            if node == count - 1 - pad:
                return -2
        return 0

    @wp.func
    def wall_factor(x: int, y: int, z: int) -> real:
        # 2 for each wall beyond which there is nothing, by what `inward` says
        factor = real(1.0)
        if x != 0:
            factor = real(2.0)
        if y != 0:
            factor = real(2.0) * factor
        if z != 0:
            factor = real(2.0) * factor
        return factor

    @wp.func
    def fold(node: int, count: int, pad: int, boundary: int) -> int:
        # where a node beside a wall has its mirror image, from it; 0 if it has none
        if boundary != PERIODIC and boundary != OUTFLOW:
            if node == pad + 1:
                return -2
            if node == count - 2 - pad:
                return 2
        return 0

    @wp.func
    def unfold(node: int, count: int, pad: int, boundary: int) -> int:
        # the node whose image this is, or the node
        if boundary != PERIODIC and boundary != OUTFLOW:
            if node == pad - 1:
                return pad + 1
            if node == count - pad:
                return count - 2 - pad
        return node

    @wp.func
    def folded(
        grid: Grid, bounds: wp.array(dtype=wp.int32), lanes: int, summed: int, s: int, i: int, j: int, k: int,
        values: wp.array(dtype=vec4),
    ) -> real:  # fmt: skip
        # the fourth component of a node and of its mirror images
        di = fold(i, grid.nx, grid.pad, grid.boundary_x)
        dj = fold(j, grid.ny, grid.pad, grid.boundary_y)
        dk = fold(k, grid.nz, grid.pad, grid.boundary_z)
        total = mass_at(grid, bounds, lanes, summed, s, i, j, k, values)
        for code in range(1, 8):
            a = code % 2
            b = (code // 2) % 2
            c = code // 4
            if (a == 0 or di != 0) and (b == 0 or dj != 0) and (c == 0 or dk != 0):
                total = total + mass_at(grid, bounds, lanes, summed, s, i + a * di, j + b * dj, k + c * dk, values)
        return total

    @wp.func
    def inwards(grid: Grid, i: int, j: int, k: int):
        return (
            inward(i, grid.nx, grid.pad, grid.boundary_x),
            inward(j, grid.ny, grid.pad, grid.boundary_y),
            inward(k, grid.nz, grid.pad, grid.boundary_z),
        )

    @wp.func
    def theta_at(
        grid: Grid, bounds: wp.array(dtype=wp.int32), lanes: int, summed: int, s: int, i: int, j: int, k: int,
        rest: real, values: wp.array(dtype=vec4),
    ) -> real:  # fmt: skip
        # of a neighbour, without mirror images
        a = image(i, grid.nx, grid.pad, grid.boundary_x)
        b = image(j, grid.ny, grid.pad, grid.boundary_y)
        c = image(k, grid.nz, grid.pad, grid.boundary_z)
        if a < 0 or a >= grid.nx or b < 0 or b >= grid.ny or c < 0 or c >= grid.nz:
            return real(0.0)
        di, dj, dk = inwards(grid, a, b, c)
        return wall_factor(di, dj, dk) * mass_at(grid, bounds, lanes, summed, s, a, b, c, values) / rest

    @wp.func
    def inside_at(
        grid: Grid, bounds: wp.array(dtype=wp.int32), lanes: int, summed: int, s: int, i: int, j: int, k: int,
        rest: real, values: wp.array(dtype=vec4),
    ) -> real:  # fmt: skip
        product = real(1.0)
        for side in range(6):
            if product > real(0.0):
                di, dj, dk = beside(side)
                theta = theta_at(grid, bounds, lanes, summed, s, i + di, j + dj, k + dk, rest, values)
                product = product * fullness(theta)
        return product

    @wp.func
    def packing_at(
        grid: Grid, colliders: Colliders, bounds: wp.array(dtype=wp.int32), lanes: int, summed: int, substep: int,
        s: int, i: int, j: int, k: int, rest: real, values: wp.array(dtype=vec4),
    ):  # fmt: skip
        # theta, inside and gap of `packing.py`, of a node with mass
        i = unfold(i, grid.nx, grid.pad, grid.boundary_x)
        j = unfold(j, grid.ny, grid.pad, grid.boundary_y)
        k = unfold(k, grid.nz, grid.pad, grid.boundary_z)
        x = grid.origin + grid.dx * vec3(real(i), real(j), real(k))
        di, dj, dk = inwards(grid, i, j, k)
        theta = wall_factor(di, dj, dk) * folded(grid, bounds, lanes, summed, s, i, j, k, values) / rest
        inside = real(0.0)
        gap = real(0.0)
        if di != 0 or dj != 0 or dk != 0:
            gap = mass_at(grid, bounds, lanes, summed, s, i + di, j + dj, k + dk, values) / rest - theta
            if gap > real(0.0):
                if not stands_free(grid, colliders, s, substep, x):
                    gap = real(0.0)
        elif theta < real(1.0):
            inside = inside_at(grid, bounds, lanes, summed, s, i, j, k, rest, values)
            if inside > real(0.0):
                if not stands_free(grid, colliders, s, substep, x):
                    inside = real(0.0)
        return theta, inside, wp.max(gap, real(0.0))

    @wp.kernel(**options)
    def scatter(
        # parameters
        grid: Grid, colliders: Colliders, material: wp.array(dtype=vec8), bounds_in: wp.array(dtype=wp.int32),
        lanes: int, lane: int, chunk: int, parts: int, substep: int,
        # inputs
        momentum_in: wp.array(dtype=vec4), adj_lanes_in: wp.array(dtype=vec4),
        # outputs
        packed_out: wp.array(dtype=vec4),
    ):  # fmt: skip
        """What the excess of a node adds to the adjoints of its mass and of that further in, and `inside` times the
        adjoint of that: what `gather` collects.
        """
        first, last = touched_parts(grid, bounds_in, 0, lanes, wp.tid() * lanes + lane, parts)
        for part in range(first, last):
            s, i, j, lower, upper, base = touched(grid, bounds_in, lanes, chunk, part)
            for k in range(lower, upper):
                result = vec4()
                is_image = unfold(i, grid.nx, grid.pad, grid.boundary_x) != i
                is_image = is_image or unfold(j, grid.ny, grid.pad, grid.boundary_y) != j
                is_image = is_image or unfold(k, grid.nz, grid.pad, grid.boundary_z) != k
                if momentum_in[base + k][3] > real(0.0) and not is_image:
                    rest = material[s][DENSITY] * grid.dx * grid.dx * grid.dx
                    adj_e = folded(grid, bounds_in, lanes, lanes, s, i, j, k, adj_lanes_in)
                    theta, inside, gap = packing_at(
                        grid, colliders, bounds_in, lanes, 1, substep, s, i, j, k, rest, momentum_in
                    )
                    by_theta, by_inside, by_gap = excess_slopes(theta, inside, gap)
                    di, dj, dk = inwards(grid, i, j, k)
                    factor = wall_factor(di, dj, dk) / rest
                    result = adj_e * vec4((by_theta - by_gap) * factor, by_gap / rest, by_inside * inside, real(0.0))
                packed_out[base + k] = result

    @wp.func
    def step_of(digit: int) -> int:
        if digit == 2:
            return 2
        return -2 * digit

    @wp.func
    def looks_at(grid: Grid, i2: int, j2: int, k2: int, i: int, j: int, k: int) -> bool:
        # whether node 2, on a wall, has (i, j, k) as the one further in
        if i2 < 0 or i2 >= grid.nx or j2 < 0 or j2 >= grid.ny or k2 < 0 or k2 >= grid.nz:
            return False
        di, dj, dk = inwards(grid, i2, j2, k2)
        return i2 + di == i and j2 + dj == j and k2 + dk == k

    @wp.func
    def mass_adjoint(
        grid: Grid, bounds: wp.array(dtype=wp.int32), lanes: int, s: int, i: int, j: int, k: int, rest: real,
        values: wp.array(dtype=vec4), packed: wp.array(dtype=vec4),
    ) -> real:  # fmt: skip
        # of all excesses by the mass of a node
        a = unfold(i, grid.nx, grid.pad, grid.boundary_x)
        b = unfold(j, grid.ny, grid.pad, grid.boundary_y)
        c = unfold(k, grid.nz, grid.pad, grid.boundary_z)
        total = value_at(grid, bounds, lanes, s, a, b, c, packed)[0]
        for code in range(1, 27):  # of wall nodes two nodes away, (0, -2, 2) along each axis
            i2 = i + step_of(code % 3)
            j2 = j + step_of((code // 3) % 3)
            k2 = k + step_of(code // 9)
            if looks_at(grid, i2, j2, k2, i, j, k):
                total = total + value_at(grid, bounds, lanes, s, i2, j2, k2, packed)[1]
        theta = theta_at(grid, bounds, lanes, 1, s, i, j, k, rest, values)
        slope = fullness_slope(theta)
        if slope > real(0.0):
            di, dj, dk = inwards(grid, i, j, k)
            share = real(0.0)
            for side in range(6):
                share = share + neighbour(grid, bounds, lanes, s, i, j, k, side, packed)[2]
            total = total + share * slope / fullness(theta) * wall_factor(di, dj, dk) / rest
        return total

    @wp.kernel(**options)
    def gather(
        # parameters
        grid: Grid, material: wp.array(dtype=vec8), bounds_in: wp.array(dtype=wp.int32), lanes: int, lane: int,
        chunk: int, parts: int,
        # inputs
        momentum_in: wp.array(dtype=vec4), packed_in: wp.array(dtype=vec4),
        # outputs
        packing_out: wp.array(dtype=vec4),
    ):  # fmt: skip
        """What all excesses add to the adjoints of a node's mass and of the liquid's density, of which they depend by
        the ratio alone.
        """
        first, last = touched_parts(grid, bounds_in, 0, lanes, wp.tid() * lanes + lane, parts)
        for part in range(first, last):
            s, i, j, lower, upper, base = touched(grid, bounds_in, lanes, chunk, part)
            for k in range(lower, upper):
                mass = momentum_in[base + k][3]
                if mass > real(0.0):
                    density = material[s][DENSITY]
                    rest = density * grid.dx * grid.dx * grid.dx
                    adj_m = mass_adjoint(grid, bounds_in, lanes, s, i, j, k, rest, momentum_in, packed_in)
                    packing_out[base + k] = vec4(adj_m, -adj_m * mass / density, real(0.0), real(0.0))

    return SimpleNamespace(packing_at=packing_at, scatter=scatter, gather=gather)
