# SPDX-License-Identifier: Apache-2.0
"""Constitutive models of the material point method as Warp functions, each with its exact hand-written adjoint.

A solid's update takes the trial deformation gradient to the new one (they differ only where the material flows) and to
the Kirchhoff stress ``tau = J * Cauchy stress`` [Pa]. ``mu`` and ``lam`` are Lame's parameters [Pa].

===========  ========================================================  ==========================================
model        stress                                                    new deformation gradient
===========  ========================================================  ==========================================
COROTATED    ``2 mu (F - R) F^T + lam J (J - 1) I``                    the trial one
NEO_HOOKEAN  ``mu (F F^T - I) + lam log(J) I``                         the trial one
VON_MISES    ``U (2 mu eps_new + lam tr(eps) I) U^T``, ``eps`` Hencky  ``U exp(eps_new) V^T``, same volume
===========  ========================================================  ==========================================

In VON_MISES the Hencky strain is ``eps = log sigma`` with ``F = U diag(sigma) V^T``; its deviator is returned radially
to the yield surface ``|dev tau| <= sqrt(2/3) yield_stress``, so that ``yield_stress`` [Pa] is the difference of axial
and lateral Kirchhoff stress in a uniaxial test. At exactly the yield stress the derivative is that of the elastic side.

Inverted elements (``det F_trial <= 0``) have no meaning in NEO_HOOKEAN and VON_MISES. The logarithm's argument is then
limited from below (``J_MIN``, ``STRETCH_MIN`` of spectral.py; the derivative of the limit is zero), so that results
stay finite; the plastic return would even hide the inversion by giving an uninverted ``F_new``. The caller must
therefore check ``det F_trial``, and flag the world. COROTATED is defined for inverted elements, but neither its stress
nor its derivative is continuous where the two least signed stretches cancel. An unknown model gives NaN stress, which
the caller's check of finiteness reports.

Sources: Stomakhin et al. (2012) for the fixed-corotated model; Simo and Hughes (1998) for the neo-Hookean one; Simo
(1992) for the return mapping in logarithmic principal strains; Daleckii and Krein (1965) for derivatives of functions
of matrices.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.svd import scalar_types, svd_functions
from simenv.physics.mpm.spectral import spectral_functions

wp.set_module_options({"enable_backward": False})

COROTATED = 0
NEO_HOOKEAN = 1
VON_MISES = 2

J_MIN = 1.0e-6
"""Least volume ratio that enters a logarithm (neo-Hookean)."""


def _von_mises_functions(real: type) -> SimpleNamespace:
    """Return the von Mises update and its adjoint."""
    mat33, vec3 = scalar_types(real)
    spectral = spectral_functions(real)
    hencky, radial_flow, radial_stress = spectral.hencky, spectral.radial_flow, spectral.radial_stress
    radial_adjoint = spectral.radial_adjoint
    root = wp.constant(real((2.0 / 3.0) ** 0.5))

    @wp.func
    def principal(sigma: vec3, mu: real, yield_stress: real):
        # Principal Hencky strains, their deviator and its norm, and the factor kappa < 1 that returns it (1: elastic).
        s, dev, mean, norm = hencky(sigma)
        kappa = real(1.0)
        if real(2.0) * mu * norm > root * yield_stress:
            kappa = root * yield_stress / (real(2.0) * mu * norm)
        return s, dev, mean, norm, kappa

    @wp.func
    def von_mises(F: mat33, U: mat33, sigma: vec3, V: mat33, mu: real, lam: real, yield_stress: real):
        _s, dev, mean, _norm, kappa = principal(sigma, mu, yield_stress)
        tau = radial_stress(U, dev, kappa * mu, (real(2.0) * mu + real(3.0) * lam) * mean)
        F_new = F
        if kappa < real(1.0):
            F_new, _f = radial_flow(U, dev, kappa, mean, V)
        return F_new, tau

    @wp.func
    def von_mises_adjoint(
        U: mat33, sigma: vec3, V: mat33, mu: real, lam: real, yield_stress: real, adj_F_new: mat33, adj_tau: mat33
    ):
        two = real(2.0)
        Ut = wp.transpose(U)
        s, dev, mean, norm, kappa = principal(sigma, mu, yield_stress)
        T = Ut * adj_tau * U
        t = wp.get_diag(T)
        sum_t = t[0] + t[1] + t[2]
        adj_F = mat33()
        G = mat33()
        f = s
        adj_strain = two * mu * t  # of the returned principal strains
        if kappa < real(1.0):
            _F_new, f = radial_flow(U, dev, kappa, mean, V)
            G = Ut * adj_F_new * V
            adj_strain = adj_strain + wp.cw_mul(wp.get_diag(G), f)
        else:
            adj_F = adj_F_new
        adj_mu = two * (kappa * wp.dot(t, dev) + mean * sum_t)
        adj_lam = real(3.0) * mean * sum_t
        adj_yield = real(0.0)
        adj_dev = kappa * adj_strain
        if kappa < real(1.0):  # kappa = sqrt(2/3) yield / (2 mu |dev|)
            adj_kappa = wp.dot(adj_strain, dev)
            adj_yield = adj_kappa * root / (two * mu * norm)
            adj_mu = adj_mu - adj_kappa * kappa / mu
            adj_dev = adj_dev - dev * (adj_kappa * kappa / (norm * norm))
        adj_mean = real(3.0) * lam * sum_t + adj_strain[0] + adj_strain[1] + adj_strain[2]
        adj_F = adj_F + radial_adjoint(U, sigma, V, s, f, dev, kappa, kappa * mu, T, G, adj_dev, adj_mean)
        return adj_F, adj_mu, adj_lam, adj_yield

    return SimpleNamespace(update=von_mises, adjoint=von_mises_adjoint)


def _hyperelastic_functions(real: type) -> SimpleNamespace:
    """Return the stresses of the fixed-corotated and neo-Hookean models and their adjoints."""
    mat33, _vec3 = scalar_types(real)
    geometry = svd_functions(real)
    polar_adjoint, cofactor = geometry.polar_adjoint, geometry.cofactor
    least = wp.constant(real(J_MIN))

    @wp.func
    def corotated(F: mat33, R: mat33, mu: real, lam: real):
        J = wp.determinant(F)
        identity = wp.identity(n=3, dtype=real)
        return real(2.0) * mu * ((F - R) * wp.transpose(F)) + lam * J * (J - real(1.0)) * identity

    @wp.func
    def corotated_adjoint(F: mat33, R: mat33, mu: real, lam: real, adj_tau: mat33):
        two = real(2.0)
        J = wp.determinant(F)
        adj_tau_t = wp.transpose(adj_tau)
        trace = wp.trace(adj_tau)
        adj_product = (adj_tau + adj_tau_t) * F - adj_tau_t * R - polar_adjoint(F, R, adj_tau * F)
        adj_F = two * mu * adj_product + lam * (two * J - real(1.0)) * trace * cofactor(F)
        return adj_F, two * wp.ddot(adj_tau * F, F - R), J * (J - real(1.0)) * trace

    @wp.func
    def neo_hookean(F: mat33, mu: real, lam: real):
        J = wp.max(wp.determinant(F), least)
        identity = wp.identity(n=3, dtype=real)
        return mu * (F * wp.transpose(F) - identity) + lam * wp.log(J) * identity

    @wp.func
    def neo_hookean_adjoint(F: mat33, mu: real, lam: real, adj_tau: mat33):
        J = wp.determinant(F)
        trace = wp.trace(adj_tau)
        adj_F = mu * ((adj_tau + wp.transpose(adj_tau)) * F)
        if J >= least:
            adj_F = adj_F + lam * trace / J * cofactor(F)
        return adj_F, wp.ddot(adj_tau * F, F) - trace, wp.log(wp.max(J, least)) * trace

    return SimpleNamespace(
        corotated=corotated,
        corotated_adjoint=corotated_adjoint,
        neo_hookean=neo_hookean,
        neo_hookean_adjoint=neo_hookean_adjoint,
    )


def _liquid_functions(real: type) -> SimpleNamespace:
    """Return the stress of a weakly compressible Newtonian liquid and its adjoint."""
    mat33, _vec3 = scalar_types(real)

    @wp.func
    def symmetric_deviator(A: mat33):
        pressure = wp.trace(A) / real(3.0)
        return real(0.5) * (A + wp.transpose(A)) - pressure * wp.identity(n=3, dtype=real)

    @wp.func
    def liquid_stress(J: real, C: mat33, bulk_modulus: real, viscosity: real):
        identity = wp.identity(n=3, dtype=real)
        return bulk_modulus * (J - real(1.0)) * identity + real(2.0) * viscosity * J * symmetric_deviator(C)

    @wp.func
    def liquid_stress_adjoint(J: real, C: mat33, bulk_modulus: real, viscosity: real, adj_tau: mat33):
        two = real(2.0)
        rate = two * wp.ddot(adj_tau, symmetric_deviator(C))
        trace = wp.trace(adj_tau)
        adj_C = two * viscosity * J * symmetric_deviator(adj_tau)
        return (bulk_modulus * trace + viscosity * rate, adj_C, (J - real(1.0)) * trace, J * rate)

    return SimpleNamespace(stress=liquid_stress, adjoint=liquid_stress_adjoint)


@built_once
def constitutive_functions(real: type) -> SimpleNamespace:
    """Build the Warp functions for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.

    Returns:
        A namespace of Warp functions, with 3x3 matrices and scalars of type ``real``; ``adj_x`` is the derivative of a
        scalar loss with respect to ``x``, and need not be symmetric for stresses:

        * ``elastic_update(model: int, F_trial, mu [Pa], lam [Pa], yield_stress [Pa]) -> (F_new, tau [Pa])``
        * ``elastic_update_adjoint(model, F_trial, mu, lam, yield_stress, adj_F_new, adj_tau)
          -> (adj_F_trial, adj_mu, adj_lam, adj_yield)``
        * ``liquid_stress(J, C [1/s], bulk_modulus [Pa], viscosity [Pa s]) -> tau [Pa]``, which is
          ``K (J - 1) I + 2 eta J dev(sym C)``: the Kirchhoff stress of a liquid of dynamic viscosity ``eta``.
        * ``liquid_stress_adjoint(J, C, bulk_modulus, viscosity, adj_tau) -> (adj_J, adj_C, adj_bulk, adj_viscosity)``

        ``model`` is ``COROTATED``, ``NEO_HOOKEAN`` or ``VON_MISES``.

    Raises:
        ValueError: if ``real`` is not a supported type.
    """
    mat33, vec3 = scalar_types(real)
    geometry = svd_functions(real)
    svd3, newton_polar = geometry.svd3, geometry.newton_polar
    elastic = _hyperelastic_functions(real)
    corotated, corotated_adjoint = elastic.corotated, elastic.corotated_adjoint
    neo_hookean, neo_hookean_adjoint = elastic.neo_hookean, elastic.neo_hookean_adjoint
    plastic = _von_mises_functions(real)
    von_mises, von_mises_adjoint = plastic.update, plastic.adjoint
    liquid = _liquid_functions(real)
    is_corotated, is_neo_hookean = wp.constant(COROTATED), wp.constant(NEO_HOOKEAN)
    is_von_mises = wp.constant(VON_MISES)

    @wp.func
    def decompose(model: int, F: mat33):
        # What the models need of F. One call of svd3 for all keeps the kernels small; the polar factor rarely needs it.
        R = F
        U = F
        V = F
        sigma = vec3()
        needed = model == is_von_mises
        if model == is_corotated:
            R, found = newton_polar(F)
            needed = found == 0
        if needed:
            U, sigma, V = svd3(F)
            R = U * wp.transpose(V)
        return R, U, sigma, V

    @wp.func
    def elastic_update(model: int, F_trial: mat33, mu: real, lam: real, yield_stress: real):
        F_new = F_trial
        tau = mat33()
        R, U, sigma, V = decompose(model, F_trial)
        if model == is_corotated:
            tau = corotated(F_trial, R, mu, lam)
        elif model == is_neo_hookean:
            tau = neo_hookean(F_trial, mu, lam)
        elif model == is_von_mises:
            F_new, tau = von_mises(F_trial, U, sigma, V, mu, lam, yield_stress)
        else:
            tau = tau + mat33(real(wp.nan))
        return F_new, tau

    @wp.func
    def elastic_update_adjoint(
        model: int, F_trial: mat33, mu: real, lam: real, yield_stress: real, adj_F_new: mat33, adj_tau: mat33
    ):
        adj_F = mat33()
        adj_mu = real(0.0)
        adj_lam = real(0.0)
        adj_yield = real(0.0)
        R, U, sigma, V = decompose(model, F_trial)
        if model == is_corotated:
            adj_F, adj_mu, adj_lam = corotated_adjoint(F_trial, R, mu, lam, adj_tau)
            adj_F = adj_F + adj_F_new
        elif model == is_neo_hookean:
            adj_F, adj_mu, adj_lam = neo_hookean_adjoint(F_trial, mu, lam, adj_tau)
            adj_F = adj_F + adj_F_new
        elif model == is_von_mises:
            adj_F, adj_mu, adj_lam, adj_yield = von_mises_adjoint(
                U, sigma, V, mu, lam, yield_stress, adj_F_new, adj_tau
            )
        else:
            adj_F = adj_F + mat33(real(wp.nan))
        return adj_F, adj_mu, adj_lam, adj_yield

    return SimpleNamespace(
        elastic_update=elastic_update,
        elastic_update_adjoint=elastic_update_adjoint,
        liquid_stress=liquid.stress,
        liquid_stress_adjoint=liquid.adjoint,
    )
