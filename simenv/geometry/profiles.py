# SPDX-License-Identifier: Apache-2.0
"""Half-plane profiles of the shapes of revolution, as Warp functions.

Shapes of revolution are reduced to their half plane (rho, z): with m = (m_r, m_z) the normal there and kappa [1/m] the
curvature of the offset curve, the Hessian of phi is kappa t t^T + (m_r / rho) e_theta e_theta^T, t the tangent.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once

__all__ = ["profile_functions"]


@built_once
def profile_functions(real: type) -> SimpleNamespace:
    """Half-plane profiles of the shapes of revolution: (..., rho, z) -> vec4(phi [m], m_r, m_z, kappa [1/m]).

    Args:
        real: `wp.float32` or `wp.float64`.

    Returns:
        A namespace with `cylinder(radius, half_height, rho, z)`, `capsule(radius, half_height, rho, z)` and
        `cup(inner_radius, height, wall, base, rho, z)`, all lengths in metres.
    """
    vec4 = wp.types.vector(length=4, dtype=real)

    @wp.func
    def corner(r: real, z: real, offset: real, side: real):
        # distance to a point at relative position (r, z); side = -1 where the solid lies around the point
        d = wp.sqrt(r * r + z * z)
        if d > real(0.0):
            return vec4(side * d - offset, side * r / d, side * z / d, side / d)
        return vec4(-offset, side, real(0.0), real(0.0))

    @wp.func
    def rectangle(qr: real, qz: real, sz: real):
        # qr, qz: how far the point lies beyond the rim radius and beyond the nearer end face, whose side is sz
        if qr > real(0.0) and qz > real(0.0):
            p = corner(qr, qz, real(0.0), real(1.0))
            return vec4(p[0], p[1], sz * p[2], p[3])
        if qr > qz:
            return vec4(qr, real(1.0), real(0.0), real(0.0))
        return vec4(qz, real(0.0), sz, real(0.0))

    @wp.func
    def cylinder(radius: real, half_height: real, rho: real, z: real):
        sz = wp.where(z >= real(0.0), real(1.0), real(-1.0))
        return rectangle(rho - radius, sz * z - half_height, sz)

    @wp.func
    def capsule(radius: real, half_height: real, rho: real, z: real):
        dz = z - wp.clamp(z, -half_height, half_height)
        if dz == real(0.0):
            return vec4(rho - radius, real(1.0), real(0.0), real(0.0))
        return corner(rho, dz, radius, real(1.0))

    @wp.func
    def cup(inner_radius: real, height: real, wall: real, base: real, rho: real, z: real):
        cr = inner_radius - rho
        cz = z - base
        if cr > real(0.0) and cz >= real(0.0):  # in the cavity or above it: nearest of wall or inner rim, and floor
            p = vec4(cr, real(-1.0), real(0.0), real(0.0))
            if z > height:
                p = corner(-cr, z - height, real(0.0), real(1.0))
            if cz < p[0]:
                p = vec4(cz, real(0.0), real(1.0), real(0.0))
            return p
        sz = wp.where(z + z >= height, real(1.0), real(-1.0))
        p = rectangle(rho - inner_radius - wall, wp.where(sz > real(0.0), z - height, -z), sz)
        if p[0] <= real(0.0):  # in the solid: the cavity may be nearer than the outer faces
            if cz >= real(0.0):
                if cr > p[0]:
                    p = vec4(cr, real(-1.0), real(0.0), real(0.0))
            elif cr >= real(0.0):
                if cz > p[0]:
                    p = vec4(cz, real(0.0), real(1.0), real(0.0))
            else:
                q = corner(-cr, cz, real(0.0), real(-1.0))
                if q[0] > p[0]:
                    p = q
        return p

    return SimpleNamespace(cylinder=cylinder, capsule=capsule, cup=cup)
