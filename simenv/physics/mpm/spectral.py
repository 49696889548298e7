# SPDX-License-Identifier: Apache-2.0
"""What constitutive models in principal stretches share: Hencky strain, divided differences, and the adjoint of an
isotropic tensor function.

With ``F = U diag(s) V^T``, an isotropic model has ``F_new = U diag(f(s)) V^T`` and ``tau = U diag(t(s)) U^T``. Put
``P = U^T dF V``. Then (Daleckii and Krein 1965), without a sum over indices,

    diagonal:       dF_new_ii = sum_j (df_i/ds_j) P_jj,    dtau_ii = sum_j (dt_i/ds_j) P_jj
    off-diagonal:   dF_new_ij = (f_i - f_j)/(s_i - s_j) sym(P)_ij + (f_i + f_j)/(s_i + s_j) skew(P)_ij
                    dtau_ij = (t_i - t_j)/(s_i^2 - s_j^2) (s_j P_ij + s_i P_ji)

in the bases ``U, V`` and ``U, U``. The rotations of ``U`` and ``V`` do not occur, so that there is nothing to divide by
zero where stretches are equal, as long as a model gives the two divided differences with their limits.

A model is *radial* if its principal Hencky strains ``e = kappa dev(log s) + mean`` keep the direction of their
deviator, as in von Mises, Herschel-Bulkley and Drucker-Prager plasticity with isochoric flow; the divided differences
are then functions of ``kappa`` only.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.svd import scalar_types

wp.set_module_options({"enable_backward": False})

STRETCH_MIN = 1.0e-4
"""Least principal stretch that enters a logarithm."""


@built_once
def spectral_functions(real: type) -> SimpleNamespace:
    """Build the Warp functions for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.

    Returns:
        A namespace of Warp functions; matrices and vectors have the scalar type ``real``:

        * ``stress_ratio(delta, a, b)``: ``log(a/b) / (a^2 - b^2)`` with ``delta = log(a/b)``.
        * ``flow_ratio(kappa, delta, f_a, f_b, a, b)``: ``(f_a - f_b) / (a - b)`` if ``log(f_a/f_b) = kappa delta``.
        * ``pair(T, G, P, i, j, s, a, p, q) -> P``: sets the entries ij and ji of the adjoint of ``P``, given those of
          ``U^T dtau U`` (T) and of ``U^T dF_new V`` (G), with ``a, p, q`` the three ratios above.
        * ``hencky(sigma) -> (s, dev, mean, norm)``: stretches limited from below, deviator of their logarithms, its
          mean and norm.
        * ``radial_flow(U, dev, kappa, mean, V) -> (F_new, f)``.
        * ``radial_stress(U, dev, shear, pressure) -> tau``: ``U (2 shear dev + pressure I) U^T``, tension positive.
        * ``radial_adjoint(U, sigma, V, s, f, dev, kappa, shear, T, G, adj_dev, adj_mean) -> adj_F``: for a radial model
          with ``shear = kappa mu``, from the adjoints of ``dev`` and of the mean Hencky strain.
    """
    mat33, vec3 = scalar_types(real)
    small = wp.constant(real(0.2))
    stretch_min = wp.constant(real(STRETCH_MIN))

    @wp.func
    def sinhc(x: real):
        # sinh(x)/x for |x| <= 0.2; the next term is 3e-15.
        y = x * x
        c4 = real(1.0) + y / real(72.0)
        return real(1.0) + y / real(6.0) * (real(1.0) + y / real(20.0) * (real(1.0) + y / real(42.0) * c4))

    @wp.func
    def stress_ratio(delta: real, a: real, b: real):
        # delta / (a^2 - b^2) with delta = log(a/b), which is 1/(2ab) at a = b.
        result = real(0.5) / (a * b * sinhc(delta))
        if wp.abs(delta) > small:
            result = delta / ((a - b) * (a + b))
        return result

    @wp.func
    def flow_ratio(kappa: real, delta: real, f_a: real, f_b: real, a: real, b: real):
        # (f_a - f_b) / (a - b) with log(f_a/f_b) = kappa log(a/b), which is kappa f/a at a = b.
        half = real(0.5) * delta
        result = kappa * wp.sqrt(f_a * f_b / (a * b)) * sinhc(kappa * half) / sinhc(half)
        if wp.abs(delta) > small:
            result = (f_a - f_b) / (a - b)
        return result

    @wp.func
    def pair(T: mat33, G: mat33, P: mat33, i: int, j: int, s: vec3, a: real, p: real, q: real):
        stress = a * (T[i, j] + T[j, i])
        stretch = p * real(0.5) * (G[i, j] + G[j, i])
        turn = q * real(0.5) * (G[i, j] - G[j, i])
        P_out = P
        P_out[i, j] = stress * s[j] + stretch + turn
        P_out[j, i] = stress * s[i] + stretch - turn
        return P_out

    @wp.func
    def hencky(sigma: vec3):
        s = wp.max(sigma, vec3(stretch_min, stretch_min, stretch_min))
        eps = vec3(wp.log(s[0]), wp.log(s[1]), wp.log(s[2]))
        mean = (eps[0] + eps[1] + eps[2]) / real(3.0)
        dev = eps - vec3(mean, mean, mean)
        return s, dev, mean, wp.length(dev)

    @wp.func
    def radial_flow(U: mat33, dev: vec3, kappa: real, mean: real, V: mat33):
        e = kappa * dev + vec3(mean, mean, mean)
        f = vec3(wp.exp(e[0]), wp.exp(e[1]), wp.exp(e[2]))
        return U * wp.diag(f) * wp.transpose(V), f

    @wp.func
    def radial_stress(U: mat33, dev: vec3, shear: real, pressure: real):
        return U * wp.diag(real(2.0) * shear * dev + vec3(pressure, pressure, pressure)) * wp.transpose(U)

    @wp.func
    def radial_pair(
        T: mat33, G: mat33, P: mat33, i: int, j: int, s: vec3, f: vec3, dev: vec3, kappa: real, shear: real
    ):
        delta = dev[i] - dev[j]
        a = real(2.0) * shear * stress_ratio(delta, s[i], s[j])
        p = flow_ratio(kappa, delta, f[i], f[j], s[i], s[j])
        return pair(T, G, P, i, j, s, a, p, (f[i] + f[j]) / (s[i] + s[j]))

    @wp.func
    def radial_adjoint(
        U: mat33, sigma: vec3, V: mat33, s: vec3, f: vec3, dev: vec3, kappa: real, shear: real, T: mat33, G: mat33,
        adj_dev: vec3, adj_mean: real,
    ):  # fmt: skip
        shift = (adj_mean - (adj_dev[0] + adj_dev[1] + adj_dev[2])) / real(3.0)
        P = mat33()
        for i in range(3):
            if sigma[i] >= stretch_min:
                P[i, i] = (adj_dev[i] + shift) / s[i]
        P = radial_pair(T, G, P, 0, 1, s, f, dev, kappa, shear)
        P = radial_pair(T, G, P, 0, 2, s, f, dev, kappa, shear)
        P = radial_pair(T, G, P, 1, 2, s, f, dev, kappa, shear)
        return U * P * wp.transpose(V)

    return SimpleNamespace(
        stress_ratio=stress_ratio,
        flow_ratio=flow_ratio,
        pair=pair,
        hencky=hencky,
        radial_flow=radial_flow,
        radial_stress=radial_stress,
        radial_adjoint=radial_adjoint,
    )
