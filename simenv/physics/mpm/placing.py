# SPDX-License-Identifier: Apache-2.0
"""Where a liquid's particles are put so that they fill their cells evenly, with the exact adjoint.

A grid moves what is in a cell together: rows that a fall has pressed onto each other on a wall, or voids narrower than
its stencil, stay, as no velocity of its nodes parts or closes them. So particles also move from where nodes are too
dense to where there is room, by what `packing.py` has at nodes,

    x <- x - SHIFT dx^2 grad e,   grad e = 4 / dx^2 sum w e (x_i - x)

a diffusion of particles (Lind et al. 2012), with a share that is far from the limit of its stability. Those that are
too close to a wall of the domain, or beyond it, where nothing else moves them, come back. Places change, velocities do
not: linear momentum stays. Near a collider nothing is done, as it may be a thin wall with particles on both sides.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.contact import contact_functions
from simenv.physics.mpm.grid import OUTFLOW, PERIODIC, grid_struct
from simenv.physics.mpm.packing import packing_functions
from simenv.physics.mpm.stencil import stencil_functions

SHIFT = 0.02
"""Share of dx^2 by which particles diffuse in a substep."""

NEAR = 0.1
"""Particles come no closer to a wall than this, in cells; a quarter is what those that rest have."""

RETURN = 0.1
"""Share of what they are too close by which particles move away from a wall in a substep."""

ONSET = 0.05
"""Less than this matters less and less, in cells."""


@built_once
def placing_functions(real) -> SimpleNamespace:
    """Build the Warp functions for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.

    Returns:
        A namespace of Warp functions:

        * ``stands_free(grid, colliders, world, substep, x)``: whether no collider is within two cells
        * ``place(grid, colliders, world, substep, x, moved, slope) -> x_new`` of a particle that was at `x` and that
          its velocity took to `moved`; `slope` is ``sum w e (o - f)``
        * ``place_adjoint(grid, colliders, world, substep, x, moved, slope, adj_x_new) -> (adj_moved, adj_slope)``
    """
    vec3 = stencil_functions(real).vec3
    Grid = grid_struct(real).Grid
    cf = contact_functions(real)
    Colliders, is_near = cf.Colliders, cf.is_near
    packing = packing_functions(real)
    soft, soft_slope = packing.soft, packing.soft_slope
    rate = wp.constant(real(4.0 * SHIFT))
    near, width, back = (wp.constant(real(value)) for value in (NEAR, ONSET, RETURN))

    @wp.func
    def stands_free(grid: Grid, colliders: Colliders, s: int, substep: int, x: vec3) -> bool:
        for c in range(colliders.count):
            e = s * colliders.count + c
            pose = (s * colliders.substeps + substep) * colliders.count + c
            local = ((x - colliders.position[pose]) * colliders.rotation[pose]) / colliders.scale[e]
            reach = (colliders.width[c] + real(2.0) * grid.dx) / colliders.scale[e]
            if is_near(colliders, e, local, reach):
                return False
        return True

    @wp.func
    def depth(g: real, count: int, pad: int, boundary: int) -> real:
        # how much too close to a wall of this axis, in cells; negative at the lower one
        if boundary != PERIODIC and boundary != OUTFLOW:
            lower = real(pad) + near
            upper = real(count - 1 - pad) - near
            return wp.min(g - lower, real(0.0)) + wp.max(g - upper, real(0.0))
        return real(0.0)

    @wp.func
    def depths(grid: Grid, x: vec3) -> vec3:
        g = (x - grid.origin) * grid.inv_dx
        return vec3(
            depth(g[0], grid.nx, grid.pad, grid.boundary_x),
            depth(g[1], grid.ny, grid.pad, grid.boundary_y),
            depth(g[2], grid.nz, grid.pad, grid.boundary_z),
        )

    @wp.func
    def shifted(grid: Grid, colliders: Colliders, s: int, substep: int, x: vec3, moved: vec3, slope: vec3):
        if stands_free(grid, colliders, s, substep, x):
            return moved - (rate * grid.dx) * slope, rate * grid.dx
        return moved, real(0.0)

    @wp.func
    def place(grid: Grid, colliders: Colliders, s: int, substep: int, x: vec3, moved: vec3, slope: vec3) -> vec3:
        y, _share = shifted(grid, colliders, s, substep, x, moved, slope)
        d = depths(grid, y)
        for axis in range(3):
            if d[axis] != real(0.0):
                y[axis] = y[axis] - back * grid.dx * wp.sign(d[axis]) * soft(wp.abs(d[axis]), width)
        return y

    @wp.func
    def place_adjoint(
        grid: Grid, colliders: Colliders, s: int, substep: int, x: vec3, moved: vec3, slope: vec3, adj_x_new: vec3
    ):  # fmt: skip
        y, share = shifted(grid, colliders, s, substep, x, moved, slope)
        d = depths(grid, y)
        adj = adj_x_new
        for axis in range(3):
            if d[axis] != real(0.0):
                adj[axis] = adj[axis] * (real(1.0) - back * soft_slope(wp.abs(d[axis]), width))
        return adj, -share * adj

    return SimpleNamespace(stands_free=stands_free, place=place, place_adjoint=place_adjoint)
