# SPDX-License-Identifier: Apache-2.0
"""Grid nodes around rigid bodies: each body has a box of nodes, in which its mass at every node is kept."""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.grid import grid_struct
from simenv.physics.mpm.projected_struct import projected_struct
from simenv.physics.mpm.stencil import stencil_functions


@built_once
def projected_node_functions(real) -> SimpleNamespace:
    """Warp functions for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.

    Returns:
        Namespace with ``Node`` and

        * ``node_of``: node number c of a row of a body's box, with its index in the grid and in the box;
        * ``box_index``: index of a grid node in a body's box, -1 outside; ``box_base``: of a particle's first node;
        * ``mass_at``, ``rest_share``, ``is_first``: a body's mass at a node, the share ``a`` of its mass that is no
          body's, and whether the body is the first there;
        * ``stiffness(a)``: chi / beta, and its slope (kernels_projected_grid.py);
        * ``weight``, ``slope_weight``: one weight of the B-spline and its slope (as in stencil.py);
        * ``angular_solve``: the inverse of the sums' inertia, applied.
    """
    vec3, mat33 = stencil_functions(real).vec3, stencil_functions(real).mat33
    vec16 = stencil_functions(real).vec16
    Grid, Bodies = grid_struct(real).Grid, projected_struct(real)

    @wp.struct
    class Node:
        global_index: wp.int32  # in the grid arrays; -1 if this thread has nothing to do there
        local_index: wp.int32  # in the body's box
        body: wp.int32
        i: wp.int32
        j: wp.int32
        k: wp.int32
        place: vec3  # [m]

    @wp.func
    def box_corner(x: real, reach: real, origin: real, inv_dx: real) -> int:
        return int(wp.floor((x - reach - origin) * inv_dx - real(0.5)))

    @wp.func
    def box_index(bodies: Bodies, grid: Grid, e: int, centre: vec3, i: int, j: int, k: int) -> int:
        # index of a grid node in the box of body e, -1 outside
        reach = bodies.reach[e % bodies.count]
        a = i - box_corner(centre[0], reach, grid.origin[0], grid.inv_dx)
        b = j - box_corner(centre[1], reach, grid.origin[1], grid.inv_dx)
        c = k - box_corner(centre[2], reach, grid.origin[2], grid.inv_dx)
        n = bodies.box
        if a < 0 or b < 0 or c < 0 or a >= n or b >= n or c >= n:
            return -1
        return ((e * n + a) * n + b) * n + c

    @wp.func
    def box_base(bodies: Bodies, grid: Grid, e: int, centre: vec3, i: int, j: int, k: int) -> int:
        # index in a body's box of the first of a particle's 27 nodes; -1 if the box does not hold them all
        index = box_index(bodies, grid, e, centre, i, j, k)
        if index < 0 or box_index(bodies, grid, e, centre, i + 2, j + 2, k + 2) < 0:
            return -1
        return index

    @wp.func
    def node_of(bodies: Bodies, grid: Grid, row: int, c: int, centre: vec3) -> Node:
        # node number c of a row of a body's box
        n = bodies.box
        e = row // (n * n)
        reach = bodies.reach[e % bodies.count]
        node = Node()
        node.i = (row // n) % n + box_corner(centre[0], reach, grid.origin[0], grid.inv_dx)
        node.j = row % n + box_corner(centre[1], reach, grid.origin[1], grid.inv_dx)
        node.k = c + box_corner(centre[2], reach, grid.origin[2], grid.inv_dx)
        node.local_index = row * n + c
        node.body = e
        node.global_index = -1
        inside = node.i >= 0 and node.i < grid.nx and node.j >= 0 and node.j < grid.ny
        if inside and node.k >= 0 and node.k < grid.nz:
            s = e // bodies.count
            node.global_index = s * grid.cells + (node.i * grid.ny + node.j) * grid.nz + node.k
        node.place = grid.origin + grid.dx * vec3(real(node.i), real(node.j), real(node.k))
        return node

    @wp.func
    def mass_at(
        bodies: Bodies, grid: Grid, e: int, node: Node, position: wp.array(dtype=vec3), mass: wp.array(dtype=real)
    ) -> real:
        # mass of body e at a node
        if e == node.body:
            return mass[node.local_index]
        index = box_index(bodies, grid, e, position[e], node.i, node.j, node.k)
        if index < 0:
            return real(0.0)
        return mass[index]

    @wp.func
    def rest_share(
        bodies: Bodies, grid: Grid, s: int, node: Node, total: real, position: wp.array(dtype=vec3),
        mass: wp.array(dtype=real),
    ) -> real:  # fmt: skip
        # a: the share of a node's mass that is no body's
        rigid = real(0.0)
        for b in range(bodies.count):
            rigid = rigid + mass_at(bodies, grid, s * bodies.count + b, node, position, mass)
        return wp.max(real(1.0) - rigid / total, real(0.0))

    @wp.func
    def is_first(
        bodies: Bodies, grid: Grid, e: int, node: Node, position: wp.array(dtype=vec3), mass: wp.array(dtype=real)
    ) -> bool:
        # whether no body of a lower number is at the node: that one takes care of it
        for b in range(e % bodies.count):
            if mass_at(bodies, grid, e - e % bodies.count + b, node, position, mass) > real(0.0):
                return False
        return True

    @wp.func
    def stiffness(a: real) -> real:
        a2 = a * a
        a4 = a2 * a2
        return (real(1.0) + a) * (real(1.0) + a2) * (real(1.0) + a4) * (real(1.0) + a4 * a4)

    @wp.func
    def stiffness_slope(a: real) -> real:
        result = real(0.0)
        for n in range(15):
            result = result * a + real(15 - n)
        return result

    @wp.func
    def slope_weight(n: int, f: real) -> real:
        if n == 0:
            return f - real(1.5)
        if n == 1:
            return real(2.0) - real(2.0) * f
        return f - real(0.5)

    @wp.func
    def weight(n: int, f: real) -> real:
        # quadratic B-spline, as in stencil.py
        if n == 0:
            return real(0.5) * (real(1.5) - f) * (real(1.5) - f)
        if n == 1:
            return real(0.75) - (f - real(1.0)) * (f - real(1.0))
        return real(0.5) * (f - real(0.5)) * (f - real(0.5))

    @wp.func
    def inertia(sums: vec16) -> mat33:
        # second moments about the weights' centre, as an inertia tensor
        M = sums[0]
        xx = sums[10] - sums[1] * sums[1] / M
        yy = sums[11] - sums[2] * sums[2] / M
        zz = sums[12] - sums[3] * sums[3] / M
        yz = sums[13] - sums[2] * sums[3] / M
        zx = sums[14] - sums[3] * sums[1] / M
        xy = sums[15] - sums[1] * sums[2] / M
        return mat33(yy + zz, -xy, -zx, -xy, zz + xx, -yz, -zx, -yz, xx + yy)

    @wp.func
    def angular_solve(sums: vec16, dx: real, h: vec3) -> vec3:
        scale = sums[0] * dx * dx  # keeps the determinant near one, also of a small body in float32
        return wp.inverse(inertia(sums) / scale) * (h / scale)

    return SimpleNamespace(
        Node=Node, node_of=node_of, box_index=box_index, box_base=box_base, mass_at=mass_at, rest_share=rest_share,
        is_first=is_first, stiffness=stiffness, stiffness_slope=stiffness_slope, weight=weight,
        slope_weight=slope_weight, angular_solve=angular_solve,
    )  # fmt: skip
