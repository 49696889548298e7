# SPDX-License-Identifier: Apache-2.0
"""The free rigid body: rotations by unit quaternions (x, y, z, w) and one step of the rotational motion, with exact
adjoints.

The step is the Strang splitting of the free rigid body's kinetic energy into those of the three principal axes
(McLachlan 1993; Touma and Wisdom 1994; Reich 1996). Under one term, ``l_a^2 / (2 I_a)``, the body turns about its
principal axis ``a`` at the constant rate ``l_a / I_a``, so that the step is a product of five rotations. The angular
momentum ``l`` in the world is an argument that no factor changes: it is conserved exactly, and the energy is bounded
with an error of second order in the time step.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.physics.mpm.stencil import stencil_functions


@built_once
def projected_functions(real) -> SimpleNamespace:
    """Warp functions of the free rigid body for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.

    Returns:
        Namespace of functions of a unit quaternion ``q``, a fixed axis or vector ``a`` in the body, principal ``axes``
        (columns, in the body), ``moments`` and angular momentum ``spin`` (both per unit density):

        * ``rotated(q, a)``, ``rotated_adjoint(q, a, adj) -> adj_q``;
        * ``rotation(q) -> mat33``, ``rotation_adjoint(q, adj) -> adj_q``;
        * ``rate(q, axes, moments, spin)``: angular velocity; ``rate_adjoint(...) -> adj_q, adj_l``;
        * ``turn(q, axes, moments, spin, dt)``: the orientation after dt; ``turn_adjoint(...) -> adj_q, adj_l``;
        * ``skew(w)``: the matrix of ``w x``; ``axial(M)``: the vector of ``M - M^T``, which is also skew's adjoint.
    """
    st = stencil_functions(real)
    vec3, vec4, mat33 = st.vec3, st.vec4, st.mat33
    half = wp.constant(real(0.5))
    two = wp.constant(real(2.0))

    @wp.func
    def product(a: vec4, b: vec4) -> vec4:
        av = vec3(a[0], a[1], a[2])
        bv = vec3(b[0], b[1], b[2])
        v = a[3] * bv + b[3] * av + wp.cross(av, bv)
        return vec4(v[0], v[1], v[2], a[3] * b[3] - wp.dot(av, bv))

    @wp.func
    def rotated(q: vec4, a: vec3) -> vec3:
        u = vec3(q[0], q[1], q[2])
        t = wp.cross(u, a)
        return a + (two * q[3]) * t + two * wp.cross(u, t)

    @wp.func
    def rotated_adjoint(q: vec4, a: vec3, adj: vec3) -> vec4:
        u = vec3(q[0], q[1], q[2])
        g = q[3] * wp.cross(a, adj) + wp.dot(u, a) * adj + wp.dot(adj, u) * a - (two * wp.dot(adj, a)) * u
        return two * vec4(g[0], g[1], g[2], wp.dot(adj, wp.cross(u, a)))

    @wp.func
    def column(m: mat33, j: int) -> vec3:
        return vec3(m[0, j], m[1, j], m[2, j])

    @wp.func
    def rotation(q: vec4) -> mat33:
        a = rotated(q, vec3(real(1.0), real(0.0), real(0.0)))
        b = rotated(q, vec3(real(0.0), real(1.0), real(0.0)))
        c = rotated(q, vec3(real(0.0), real(0.0), real(1.0)))
        return mat33(a[0], b[0], c[0], a[1], b[1], c[1], a[2], b[2], c[2])

    @wp.func
    def rotation_adjoint(q: vec4, adj: mat33) -> vec4:
        total = rotated_adjoint(q, vec3(real(1.0), real(0.0), real(0.0)), column(adj, 0))
        total = total + rotated_adjoint(q, vec3(real(0.0), real(1.0), real(0.0)), column(adj, 1))
        return total + rotated_adjoint(q, vec3(real(0.0), real(0.0), real(1.0)), column(adj, 2))

    @wp.func
    def rate(q: vec4, axes: mat33, moments: vec3, spin: vec3) -> vec3:
        total = vec3()
        for j in range(3):
            n = rotated(q, column(axes, j))
            total = total + (wp.dot(n, spin) / moments[j]) * n
        return total

    @wp.func
    def rate_adjoint(q: vec4, axes: mat33, moments: vec3, spin: vec3, adj: vec3):
        adj_q = vec4()
        adj_l = vec3()
        for j in range(3):
            a = column(axes, j)
            n = rotated(q, a)
            along = wp.dot(n, adj) / moments[j]
            adj_l = adj_l + along * n
            adj_q = adj_q + rotated_adjoint(q, a, (wp.dot(n, spin) / moments[j]) * adj + along * spin)
        return adj_q, adj_l

    @wp.func
    def factor(q: vec4, axes: mat33, moments: vec3, spin: vec3, j: int, dt: real) -> vec4:
        # the turn about principal axis j during dt
        a = column(axes, j)
        angle = half * dt * wp.dot(rotated(q, a), spin) / moments[j]
        s = wp.sin(angle)
        return product(q, vec4(s * a[0], s * a[1], s * a[2], wp.cos(angle)))

    @wp.func
    def factor_adjoint(q: vec4, axes: mat33, moments: vec3, spin: vec3, j: int, dt: real, adj: vec4):
        a = column(axes, j)
        n = rotated(q, a)
        scale = half * dt / moments[j]
        angle = scale * wp.dot(n, spin)
        s = wp.sin(angle)
        c = wp.cos(angle)
        along = scale * wp.dot(adj, product(q, vec4(c * a[0], c * a[1], c * a[2], -s)))
        adj_q = product(adj, vec4(-s * a[0], -s * a[1], -s * a[2], c)) + rotated_adjoint(q, a, along * spin)
        return adj_q, along * n

    @wp.func
    def nearly_unit(q: vec4) -> vec4:
        # a Newton step towards length one: rounding would make it drift, and the moments of inertia with it
        return (real(1.5) - half * wp.dot(q, q)) * q

    @wp.func
    def turn(q: vec4, axes: mat33, moments: vec3, spin: vec3, dt: real) -> vec4:
        a = factor(q, axes, moments, spin, 0, half * dt)
        b = factor(a, axes, moments, spin, 1, half * dt)
        c = factor(b, axes, moments, spin, 2, dt)
        d = factor(c, axes, moments, spin, 1, half * dt)
        return nearly_unit(factor(d, axes, moments, spin, 0, half * dt))

    @wp.func
    def turn_adjoint(q: vec4, axes: mat33, moments: vec3, spin: vec3, dt: real, adj: vec4):
        a = factor(q, axes, moments, spin, 0, half * dt)
        b = factor(a, axes, moments, spin, 1, half * dt)
        c = factor(b, axes, moments, spin, 2, dt)
        d = factor(c, axes, moments, spin, 1, half * dt)
        e = factor(d, axes, moments, spin, 0, half * dt)
        adj_e = (real(1.5) - half * wp.dot(e, e)) * adj - wp.dot(e, adj) * e
        adj_d, l_5 = factor_adjoint(d, axes, moments, spin, 0, half * dt, adj_e)
        adj_c, l_4 = factor_adjoint(c, axes, moments, spin, 1, half * dt, adj_d)
        adj_b, l_3 = factor_adjoint(b, axes, moments, spin, 2, dt, adj_c)
        adj_a, l_2 = factor_adjoint(a, axes, moments, spin, 1, half * dt, adj_b)
        adj_q, l_1 = factor_adjoint(q, axes, moments, spin, 0, half * dt, adj_a)
        return adj_q, l_1 + l_2 + l_3 + l_4 + l_5

    @wp.func
    def skew(w: vec3) -> mat33:
        zero = real(0.0)
        return mat33(zero, -w[2], w[1], w[2], zero, -w[0], -w[1], w[0], zero)

    @wp.func
    def axial(m: mat33) -> vec3:
        return vec3(m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1])

    return SimpleNamespace(
        rotated=rotated, rotation=rotation, rotation_adjoint=rotation_adjoint, rate=rate, rate_adjoint=rate_adjoint,
        turn=turn, turn_adjoint=turn_adjoint, skew=skew, axial=axial,
    )  # fmt: skip
