# SPDX-License-Identifier: Apache-2.0
"""Sand (Drucker-Prager) and snow (Stomakhin et al. 2013) as Warp functions with exact hand-written adjoints.

Both are elastic in ``F`` and flow by a return map of its principal stretches. Both keep the ratio of plastic volume in
``J``: the volume that flow takes from ``F`` is not lost.

**Sand** (Klar et al. 2016). Hencky strain, Kirchhoff stress ``tau = 2 mu dev eps + (2 mu + 3 lam) mean(eps) I``, and

    |dev tau| <= c + A p,      p = -(2 mu + 3 lam) mean(eps)

with slope ``A`` and cohesion ``c`` (see `simenv.physics.mpm.materials.Sand` for the friction angle). Three cases:
inside, elastic; outside, the deviator falls radially to the cone, and the volume stays (the flow is not dilatant);
beyond the apex, which is at ``mean(eps) = c / (A (2 mu + 3 lam))``, the strain is that of the apex: grains that come
apart carry no stress. How far they came apart, ``log J``, is added to the trial volume strain of later substeps, so
that they press again only when they touch again (the volume correction of Tampubolon et al. 2017). ``log J`` is
limited to what a packing can loosen (``DILATION_LIMIT``), since a lone grain knows little of the volume around it. In
compression ``J`` is 1.

Derivatives at kinks: at exactly the yield surface that of the elastic side; at exactly the apex that of the side
without stress. Cohesionless sand at rest (``F = I``, ``J = 1``) is at its apex: its stress has no derivative there,
and the convention gives zero. One substep under load takes it away from there.

**Snow**. Principal stretches are limited to ``[1 - theta_c, 1 + theta_s]``; ``J`` takes what was cut off, so that ``J
det F`` does not change; and the fixed-corotated stress of the limited stretches is multiplied by ``h = exp(xi (1 -
J))`` with the new ``J``. The paper has no limit of ``h``, which makes any time step unstable in the end; here it is
limited to ``HARDENING_LIMIT``. Derivatives at kinks: at exactly a limit of a stretch or of ``h`` that of the inside
(elastic, or not yet limited).
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.svd import scalar_types
from simenv.physics.mpm.columns import (
    COHESION,
    CRITICAL_COMPRESSION,
    CRITICAL_STRETCH,
    DILATION_LIMIT,
    FRICTION_SLOPE,
    HARDENING,
    HARDENING_LIMIT,
    LAME_LAMBDA,
    LAME_MU,
)
from simenv.physics.mpm.spectral import spectral_functions

wp.set_module_options({"enable_backward": False})

VOLUME_MIN = 1.0e-6
"""Least plastic volume ratio that enters a logarithm (sand)."""


@built_once
def sand_functions(real: type) -> SimpleNamespace:
    """Build the Warp functions of sand for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.

    Returns:
        A namespace of Warp functions; ``par`` is the material's parameter vector, ``U, sigma, V`` decompose the trial
        deformation gradient, and ``J`` is the plastic volume ratio that the substep starts with:

        * ``sand(U, sigma, V, J, par) -> (F_new, J_new, tau [Pa])``
        * ``sand_adjoint(U, sigma, V, J, par, adj_F_new, adj_J_new, adj_tau) -> (adj_F_trial, adj_J, adj_par)``

    Raises:
        ValueError: if ``real`` is not a supported type.
    """
    mat33, vec3 = scalar_types(real)
    vec8 = wp.types.vector(8, real)
    spectral = spectral_functions(real)
    hencky, radial_flow, radial_stress = spectral.hencky, spectral.radial_flow, spectral.radial_stress
    radial_adjoint = spectral.radial_adjoint
    least = wp.constant(real(VOLUME_MIN))
    one, two, three = wp.constant(real(1.0)), wp.constant(real(2.0)), wp.constant(real(3.0))

    @wp.func
    def project(mean: real, norm: real, J: real, par: vec8):
        # New mean strain, factor of the deviator, plastic volume strain, yield radius [Pa] (<= 0 beyond the apex).
        modulus = two * par[LAME_MU] + three * par[LAME_LAMBDA]
        total = mean + wp.log(wp.max(J, least)) / three
        radius = par[COHESION] - par[FRICTION_SLOPE] * modulus * total
        kappa = one
        mean_new = total
        if radius <= real(0.0):
            kappa = real(0.0)
            mean_new = par[COHESION] / (par[FRICTION_SLOPE] * modulus)
        elif two * par[LAME_MU] * norm > radius:
            kappa = radius / (two * par[LAME_MU] * norm)
        return mean_new, kappa, three * (total - mean_new), radius

    @wp.func
    def sand(U: mat33, sigma: vec3, V: mat33, J: real, par: vec8):
        _s, dev, mean, norm = hencky(sigma)
        mean_new, kappa, gap, _radius = project(mean, norm, J, par)
        F_new, _f = radial_flow(U, dev, kappa, mean_new, V)
        pressure = (two * par[LAME_MU] + three * par[LAME_LAMBDA]) * mean_new
        J_new = wp.exp(wp.min(gap, par[DILATION_LIMIT]))
        return F_new, J_new, radial_stress(U, dev, kappa * par[LAME_MU], pressure)

    @wp.func
    def sand_adjoint(
        U: mat33, sigma: vec3, V: mat33, J: real, par: vec8, adj_F_new: mat33, adj_J_new: real, adj_tau: mat33
    ):
        Ut = wp.transpose(U)
        mu = par[LAME_MU]
        slope = par[FRICTION_SLOPE]
        modulus = two * mu + three * par[LAME_LAMBDA]
        s, dev, mean, norm = hencky(sigma)
        mean_new, kappa, gap, radius = project(mean, norm, J, par)
        _F_new, f = radial_flow(U, dev, kappa, mean_new, V)
        T = Ut * adj_tau * U
        G = Ut * adj_F_new * V
        t = wp.get_diag(T)
        sum_t = t[0] + t[1] + t[2]
        flow = wp.cw_mul(wp.get_diag(G), f)
        adj_strain = two * mu * t + flow
        adj_dev = kappa * adj_strain
        adj_mean_new = flow[0] + flow[1] + flow[2] + modulus * sum_t
        adj_modulus = mean_new * sum_t
        adj_mu = two * kappa * wp.dot(t, dev)
        adj_total = adj_mean_new
        adj_par = vec8()
        if radius <= real(0.0):  # mean_new = c / (A modulus), gap = 3 (total - mean_new)
            adj_gap = real(0.0)
            if gap <= par[DILATION_LIMIT]:
                adj_gap = adj_J_new * wp.exp(gap)
            else:
                adj_par[DILATION_LIMIT] = adj_J_new * wp.exp(par[DILATION_LIMIT])
            adj_total = three * adj_gap
            adj_apex = adj_mean_new - three * adj_gap
            adj_par[COHESION] = adj_apex / (slope * modulus)
            adj_par[FRICTION_SLOPE] = -adj_apex * mean_new / slope
            adj_modulus = adj_modulus - adj_apex * mean_new / modulus
        elif kappa < one:  # kappa = (c - A modulus mean_new) / (2 mu |dev|)
            adj_kappa = wp.dot(adj_strain, dev)
            adj_radius = adj_kappa / (two * mu * norm)
            adj_par[COHESION] = adj_radius
            adj_par[FRICTION_SLOPE] = -adj_radius * modulus * mean_new
            adj_modulus = adj_modulus - adj_radius * slope * mean_new
            adj_total = adj_mean_new - adj_radius * slope * modulus
            adj_mu = adj_mu - adj_kappa * kappa / mu
            adj_dev = adj_dev - dev * (adj_kappa * kappa / (norm * norm))
        adj_par[LAME_MU] = adj_mu + two * adj_modulus
        adj_par[LAME_LAMBDA] = three * adj_modulus
        adj_J = real(0.0)
        if J >= least:
            adj_J = adj_total / (three * J)
        adj_F = radial_adjoint(U, sigma, V, s, f, dev, kappa, kappa * mu, T, G, adj_dev, adj_total)
        return adj_F, adj_J, adj_par

    return SimpleNamespace(sand=sand, sand_adjoint=sand_adjoint)


@built_once
def snow_functions(real: type) -> SimpleNamespace:
    """Build the Warp functions of snow for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.

    Returns:
        A namespace of Warp functions ``snow`` and ``snow_adjoint``, called as those of `sand_functions`.

    Raises:
        ValueError: if ``real`` is not a supported type.
    """
    mat33, vec3 = scalar_types(real)
    vec8 = wp.types.vector(8, real)
    pair = spectral_functions(real).pair
    one, two = wp.constant(real(1.0)), wp.constant(real(2.0))
    # sums of two stretches are below it only in inverted elements, whose derivative has no meaning
    least_sum = wp.constant(real(1.0e-6))

    @wp.func
    def clamped(sigma: vec3, par: vec8):
        low = one - par[CRITICAL_COMPRESSION]
        high = one + par[CRITICAL_STRETCH]
        return wp.min(wp.max(sigma, vec3(low, low, low)), vec3(high, high, high))

    @wp.func
    def hardening(J: real, par: vec8):
        # Factor of the moduli, and whether it is limited.
        exponent = par[HARDENING] * (one - J)
        h = wp.min(wp.exp(exponent), par[HARDENING_LIMIT])
        return h, wp.exp(exponent) > par[HARDENING_LIMIT]

    @wp.func
    def principal_stress(f: vec3, par: vec8):
        # Of snow that has not hardened.
        volume = f[0] * f[1] * f[2]
        pressure = par[LAME_LAMBDA] * volume * (volume - one)
        shear = two * par[LAME_MU] * wp.cw_mul(f - vec3(one, one, one), f)
        return shear + vec3(pressure, pressure, pressure)

    @wp.func
    def ratio(a: real, b: real, f_a: real, f_b: real):
        # (f_a - f_b) / (a - b) for limited stretches; of two that are equal both are inside or both are cut.
        result = real(0.0)
        if f_a == a and f_b == b:
            result = one
        elif a != b:
            result = (f_a - f_b) / (a - b)
        return result

    @wp.func
    def snow(F: mat33, U: mat33, sigma: vec3, V: mat33, J: real, par: vec8):
        f = clamped(sigma, par)
        F_new = F
        J_new = J
        if f[0] != sigma[0] or f[1] != sigma[1] or f[2] != sigma[2]:
            F_new = U * wp.diag(f) * wp.transpose(V)
            J_new = J * (sigma[0] / f[0]) * (sigma[1] / f[1]) * (sigma[2] / f[2])
        h, _limited = hardening(J_new, par)
        return F_new, J_new, U * wp.diag(h * principal_stress(f, par)) * wp.transpose(U)

    @wp.func
    def snow_pair(T: mat33, G: mat33, P: mat33, i: int, j: int, sigma: vec3, f: vec3, shear: real):  # shear: 2 mu h
        p = ratio(sigma[i], sigma[j], f[i], f[j])
        total = wp.max(sigma[i] + sigma[j], least_sum)
        a = shear * p * (f[i] + f[j] - one) / total
        return pair(T, G, P, i, j, sigma, a, p, (f[i] + f[j]) / total)

    @wp.func
    def snow_adjoint(
        U: mat33, sigma: vec3, V: mat33, J: real, par: vec8, adj_F_new: mat33, adj_J_new: real, adj_tau: mat33
    ):
        Ut = wp.transpose(U)
        mu = par[LAME_MU]
        lam = par[LAME_LAMBDA]
        f = clamped(sigma, par)
        cut = vec3(sigma[0] / f[0], sigma[1] / f[1], sigma[2] / f[2])
        J_new = J * cut[0] * cut[1] * cut[2]
        h, limited = hardening(J_new, par)
        T = Ut * adj_tau * U
        G = Ut * adj_F_new * V
        t = wp.get_diag(T)
        sum_t = t[0] + t[1] + t[2]
        work = wp.dot(t, principal_stress(f, par))  # derivative by h
        volume = f[0] * f[1] * f[2]
        adj_par = vec8()
        adj_par[LAME_MU] = two * h * wp.dot(t, wp.cw_mul(f - vec3(one, one, one), f))
        adj_par[LAME_LAMBDA] = h * volume * (volume - one) * sum_t
        adj_J_total = adj_J_new
        if limited:
            adj_par[HARDENING_LIMIT] = work
        else:
            adj_par[HARDENING] = (one - J_new) * h * work
            adj_J_total = adj_J_new - par[HARDENING] * h * work
        pressure = lam * (two * volume - one) * volume * sum_t
        adj_compression = real(0.0)
        adj_stretch = real(0.0)
        P = mat33()
        for i in range(3):
            adj_f = h * (two * mu * (two * f[i] - one) * t[i] + pressure / f[i]) + G[i, i] - adj_J_total * J_new / f[i]
            adj_s = adj_J_total * J * cut[(i + 1) % 3] * cut[(i + 2) % 3] / f[i]
            if f[i] == sigma[i]:
                adj_s = adj_s + adj_f
            elif f[i] > sigma[i]:
                adj_compression = adj_compression - adj_f
            else:
                adj_stretch = adj_stretch + adj_f
            P[i, i] = adj_s
        adj_par[CRITICAL_COMPRESSION] = adj_compression
        adj_par[CRITICAL_STRETCH] = adj_stretch
        P = snow_pair(T, G, P, 0, 1, sigma, f, two * mu * h)
        P = snow_pair(T, G, P, 0, 2, sigma, f, two * mu * h)
        P = snow_pair(T, G, P, 1, 2, sigma, f, two * mu * h)
        return U * P * wp.transpose(V), adj_J_total * cut[0] * cut[1] * cut[2], adj_par

    return SimpleNamespace(snow=snow, snow_adjoint=snow_adjoint)
