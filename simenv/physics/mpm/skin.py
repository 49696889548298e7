# SPDX-License-Identifier: Apache-2.0
"""Tactile skin of a collider: the force of every contact with material, shared among the taxels around it.

A skin is a rectangle of taxels fixed to the collider. A contact at a point above or below the rectangle gives its
force, in the collider's own axes, to the four taxels around the foot of the point, with bilinear weights; beyond the
middle of an outer taxel that one has it all. A place beyond the rectangle is not read. The taxels' forces add up to the
collider's, as far as that acts on the rectangle.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.stencil import stencil_functions


@dataclass(frozen=True)
class SkinSpec:
    """A skin, in the frame of its collider's unscaled shape.

    Attributes:
        rows, columns: of taxels, at least 2 each.
        centre: middle of the rectangle [m], (3,).
        along: vectors from a taxel to the next one in its row, and to the one in the next row [m], (2, 3), orthogonal.
    """

    rows: int
    columns: int
    centre: np.ndarray
    along: np.ndarray

    @property
    def count(self) -> int:
        """Number of taxels."""
        return self.rows * self.columns

    @property
    def corner(self) -> np.ndarray:
        """Middle of the first taxel [m], (3,)."""
        return self.centre - 0.5 * (self.columns - 1) * self.along[0] - 0.5 * (self.rows - 1) * self.along[1]

    @property
    def covectors(self) -> np.ndarray:
        """Count taxels along a row, and along a column, from the corner [1/m], (2, 3)."""
        return self.along / (self.along**2).sum(1, keepdims=True)


@built_once
def skin_functions(real) -> SimpleNamespace:
    """Warp struct and functions of skins for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.

    Returns:
        Namespace with

        * ``Skins``: arrays over colliders: ``first`` (number of the first taxel, negative without a skin), ``rows,
          columns, corner`` and the covectors ``u`` and ``v``; ``touch``, over (world, taxel), collects the forces [N];
          ``taxels`` is how many a world has;
        * ``on_skin``: whether a place belongs to a collider's skin; ``add_touch`` and its adjoint.
    """
    vec3 = stencil_functions(real).vec3

    @wp.struct
    class Skins:
        taxels: wp.int32
        first: wp.array(dtype=wp.int32)
        rows: wp.array(dtype=wp.int32)
        columns: wp.array(dtype=wp.int32)
        corner: wp.array(dtype=vec3)
        u: wp.array(dtype=vec3)
        v: wp.array(dtype=vec3)
        touch: wp.array(dtype=vec3)

    @wp.func
    def along_skin(at: real, count: int):
        # the first of the two taxels that a place between them belongs to, the share of the second, and whether that
        # share changes with the place: the outer half of the rim's taxels is theirs alone
        if at <= real(0.0):
            return 0, real(0.0), real(0.0)
        if at >= real(count - 1):
            return count - 2, real(1.0), real(0.0)
        first = wp.min(int(at), count - 2)
        return first, at - real(first), real(1.0)

    @wp.func
    def on_skin(skins: Skins, c: int, local: vec3) -> bool:
        if skins.first[c] < 0:
            return False
        u = wp.dot(local - skins.corner[c], skins.u[c])
        v = wp.dot(local - skins.corner[c], skins.v[c])
        if u < real(-0.5) or u > real(skins.columns[c]) - real(0.5):
            return False
        return v >= real(-0.5) and v <= real(skins.rows[c]) - real(0.5)

    @wp.func
    def add_touch(skins: Skins, world: int, c: int, local: vec3, f: vec3):
        # share a force, in the collider's axes, among the taxels around `local`
        columns = skins.columns[c]
        i, a, _ = along_skin(wp.dot(local - skins.corner[c], skins.u[c]), columns)
        j, b, _ = along_skin(wp.dot(local - skins.corner[c], skins.v[c]), skins.rows[c])
        first = world * skins.taxels + skins.first[c] + j * columns + i
        one = real(1.0)
        wp.atomic_add(skins.touch, first, (one - a) * (one - b) * f)
        wp.atomic_add(skins.touch, first + 1, a * (one - b) * f)
        wp.atomic_add(skins.touch, first + columns, (one - a) * b * f)
        wp.atomic_add(skins.touch, first + columns + 1, a * b * f)

    @wp.func
    def add_touch_adjoint(skins: Skins, world: int, c: int, local: vec3, f: vec3, adj: wp.array(dtype=vec3)):
        # adjoint of `add_touch`: (adj_local, adj_f)
        columns = skins.columns[c]
        i, a, slope_u = along_skin(wp.dot(local - skins.corner[c], skins.u[c]), columns)
        j, b, slope_v = along_skin(wp.dot(local - skins.corner[c], skins.v[c]), skins.rows[c])
        first = world * skins.taxels + skins.first[c] + j * columns + i
        near = adj[first] + a * (adj[first + 1] - adj[first])
        far = adj[first + columns] + a * (adj[first + columns + 1] - adj[first + columns])
        along_u = (real(1.0) - b) * (adj[first + 1] - adj[first])
        along_u = along_u + b * (adj[first + columns + 1] - adj[first + columns])
        adj_u = slope_u * wp.dot(f, along_u)
        adj_v = slope_v * wp.dot(f, far - near)
        return adj_u * skins.u[c] + adj_v * skins.v[c], near + b * (far - near)

    return SimpleNamespace(Skins=Skins, on_skin=on_skin, add_touch=add_touch, add_touch_adjoint=add_touch_adjoint)
