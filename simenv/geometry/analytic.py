# SPDX-License-Identifier: Apache-2.0
"""Signed distances, normals and their derivatives of the shapes that have a closed form, as Warp functions."""

from types import SimpleNamespace

import warp as wp

from simenv.geometry.profiles import profile_functions

__all__ = [
    "KIND_BOX",
    "KIND_CAPSULE",
    "KIND_CUP",
    "KIND_CYLINDER",
    "KIND_PLANE",
    "KIND_SDF",
    "KIND_SPHERE",
    "analytic_functions",
]

KIND_PLANE = 0
KIND_BOX = 1
KIND_SPHERE = 2
KIND_CYLINDER = 3
KIND_CAPSULE = 4
KIND_CUP = 5
KIND_SDF = 6

_PLANE = wp.constant(KIND_PLANE)
_BOX = wp.constant(KIND_BOX)
_SPHERE = wp.constant(KIND_SPHERE)
_CYLINDER = wp.constant(KIND_CYLINDER)
_CAPSULE = wp.constant(KIND_CAPSULE)


def analytic_functions(real: type, shape_type: type) -> SimpleNamespace:
    """Normal, distance and Hessian product of the shapes that have a closed form."""
    vec3 = wp.types.vector(length=3, dtype=real)
    vec4 = wp.types.vector(length=4, dtype=real)
    profiles = profile_functions(real)
    cylinder, capsule, cup = profiles.cylinder, profiles.capsule, profiles.cup

    @wp.func
    def profile(shape: shape_type, rho: real, z: real):
        s = shape.size
        if shape.kind == _CYLINDER:
            return cylinder(s[0], s[1], rho, z)
        if shape.kind == _CAPSULE:
            return capsule(s[0], s[1], rho, z)
        return cup(s[0], s[1], s[2], s[3], rho, z)

    @wp.func
    def box_distance(h: vec4, x: vec3):
        q = vec3(wp.abs(x[0]) - h[0], wp.abs(x[1]) - h[1], wp.abs(x[2]) - h[2])
        s = vec3(
            wp.where(x[0] >= real(0.0), real(1.0), real(-1.0)),
            wp.where(x[1] >= real(0.0), real(1.0), real(-1.0)),
            wp.where(x[2] >= real(0.0), real(1.0), real(-1.0)),
        )
        p = vec3(wp.max(q[0], real(0.0)), wp.max(q[1], real(0.0)), wp.max(q[2], real(0.0)))
        d = wp.length(p)
        if d > real(0.0):
            return vec4(s[0] * p[0] / d, s[1] * p[1] / d, s[2] * p[2] / d, d)
        if q[0] >= q[1] and q[0] >= q[2]:
            return vec4(s[0], real(0.0), real(0.0), q[0])
        if q[1] >= q[2]:
            return vec4(real(0.0), s[1], real(0.0), q[1])
        return vec4(real(0.0), real(0.0), s[2], q[2])

    @wp.func
    def box_hessian_product(h: vec4, x: vec3, a: vec3):
        # beyond an edge or a corner phi is the distance to it: (P - n n^T) / phi, P the axes beyond the faces
        n = box_distance(h, x)
        if n[3] <= real(0.0):
            return vec3(real(0.0))
        m = vec3(n[0], n[1], n[2])
        pa = vec3(
            wp.where(wp.abs(x[0]) > h[0], a[0], real(0.0)),
            wp.where(wp.abs(x[1]) > h[1], a[1], real(0.0)),
            wp.where(wp.abs(x[2]) > h[2], a[2], real(0.0)),
        )
        return (pa - m * wp.dot(m, a)) / n[3]

    @wp.func
    def distance(shape: shape_type, x: vec3):
        s = shape.size
        if shape.kind == _PLANE:
            return vec4(s[0], s[1], s[2], s[0] * x[0] + s[1] * x[1] + s[2] * x[2])
        if shape.kind == _BOX:
            return box_distance(s, x)
        if shape.kind == _SPHERE:
            d = wp.length(x)
            if d > real(0.0):
                return vec4(x[0] / d, x[1] / d, x[2] / d, d - s[0])
            return vec4(real(0.0), real(0.0), real(1.0), -s[0])
        rho = wp.sqrt(x[0] * x[0] + x[1] * x[1])
        p = profile(shape, rho, x[2])
        if rho > real(0.0):
            return vec4(p[1] * x[0] / rho, p[1] * x[1] / rho, p[2], p[0])
        return vec4(p[1], real(0.0), p[2], p[0])

    @wp.func
    def hessian_product(shape: shape_type, x: vec3, a: vec3):
        if shape.kind == _PLANE:
            return vec3(real(0.0))
        if shape.kind == _BOX:
            return box_hessian_product(shape.size, x, a)
        if shape.kind == _SPHERE:
            d = wp.length(x)
            if d > real(0.0):
                n = x / d
                return (a - n * wp.dot(n, a)) / d
            return vec3(real(0.0))
        rho = wp.sqrt(x[0] * x[0] + x[1] * x[1])
        p = profile(shape, rho, x[2])
        cx = real(1.0)
        cy = real(0.0)
        hoop = real(0.0)
        if rho > real(0.0):
            cx = x[0] / rho
            cy = x[1] / rho
            hoop = p[1] / rho
        radial = cx * a[0] + cy * a[1]
        around = hoop * (cx * a[1] - cy * a[0])
        along = p[3] * (p[1] * a[2] - p[2] * radial)  # kappa (t . a), t = (-m_z, m_r)
        return vec3(-along * p[2] * cx - around * cy, -along * p[2] * cy + around * cx, along * p[1])

    return SimpleNamespace(distance=distance, hessian_product=hessian_product)
