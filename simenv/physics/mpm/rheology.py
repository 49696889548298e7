# SPDX-License-Identifier: Apache-2.0
"""Yield-stress and power-law liquids (Bingham, Herschel-Bulkley) as Warp functions with exact hand-written adjoints.

The liquid is an elasto-viscoplastic one. Its volume is that of `liquid_stress`: pressure ``p = K (1/J - 1)``, with the
volume ratio ``J`` of a particle as state. Its shape is elastic with a shear modulus ``G``, in Hencky strain, and
flows:

    dev tau = 2 G dev log(sqrt(b_e)),     b_e = F F^T with F the isochoric elastic deformation gradient (det F = 1)
    rate = ((|tau| - tau_y) / k)^(1/n)  where |tau| > tau_y,  else 0

Here ``|tau| = sqrt(dev tau : dev tau / 2)`` is the shear stress of simple shear and ``rate = sqrt(2 D_p : D_p)`` its
shear rate, so that ``|tau| = tau_y + k rate^n`` [Pa] (Herschel and Bulkley 1926); ``n = 1`` is a Bingham liquid of
plastic viscosity ``k`` (Bingham 1922), and ``tau_y = 0`` a power-law liquid. The flow is integrated by backward Euler,
which is a radial return (Simo and Hughes 1998, section 2.7; Yue et al. 2015 for the material point method): the trial
stress falls to the root of

    tau_y + k rate^n + G dt rate = |tau_trial|

**Why elastic, and not a regularised viscous stress.** A regularised Bingham liquid (Papanastasiou 1987; bi-viscosity)
is a Newtonian one of a very high viscosity below the yield stress. It creeps there, and an explicit viscous stress is
unstable when ``2 eta dt / (rho dx^2)`` exceeds about 1: the better the regularisation, the shorter the substep. Here
what has not yielded is an elastic solid and comes to rest; and since the flow is implicit, the stress of a substep
changes by at most ``2 G dt dev D``, whatever ``k`` and ``tau_y`` are. The substep is limited by the speed of sound
``sqrt((K + 4 G / 3) / rho)`` alone.

**What that costs.** Elastic recoil: the stress follows the rate with the relaxation time ``k rate^(n-1) / G``, and the
material yields after the shear strain ``tau_y / G``. A steady shear flow has exactly the stress of the flow rule up to
terms of order ``(|tau| / G)^2`` of finite strain. Choose ``G`` about ``K`` and well above the stresses that occur; a
viscosity of ``k`` then acts on motions slower than ``k / G``.

The root is found by Newton's method in the variable in which the equation is convex, ``a z + b z^m = c`` with ``m >=
1``, from an upper bound that is less than twice the root, so that it converges from above for every input. Its
derivative is that of the implicit function theorem. At exactly the yield stress the derivative is that of the elastic
side; for ``n < 1`` both sides agree.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.svd import scalar_types
from simenv.physics.mpm.columns import EXPONENT, LAME_LAMBDA, LAME_MU, VISCOSITY, YIELD_STRESS
from simenv.physics.mpm.spectral import spectral_functions

wp.set_module_options({"enable_backward": False})


@built_once
def rheology_functions(real: type) -> SimpleNamespace:
    """Build the Warp functions for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.

    Returns:
        A namespace of Warp functions; ``par`` is the material's parameter vector, ``U, sigma, V`` decompose the trial
        deformation gradient, whose volume does not matter, and ``J`` is the volume ratio at the end of the substep:

        * ``flow_rate(excess [Pa], par, dt) -> (viscous [Pa], power, log_rate)``: ``k rate^n``, ``rate^n`` and
          ``log rate`` at the root of ``k rate^n + G dt rate = excess``, for a positive excess.
        * ``herschel_bulkley(U, sigma, V, J, par, dt) -> (F_new, tau [Pa])``
        * ``herschel_bulkley_adjoint(U, sigma, V, J, par, dt, adj_F_new, adj_tau) -> (adj_F_trial, adj_J, adj_par)``

    Raises:
        ValueError: if ``real`` is not a supported type.
    """
    mat33, vec3 = scalar_types(real)
    vec8 = wp.types.vector(8, real)
    spectral = spectral_functions(real)
    hencky, radial_flow, radial_stress = spectral.hencky, spectral.radial_flow, spectral.radial_stress
    radial_adjoint = spectral.radial_adjoint
    root2 = wp.constant(real(2.0**0.5))
    tolerance = wp.constant(real(5.0e-7 if real is wp.float32 else 1.0e-15))
    max_newton = wp.constant(30)  # 5 suffice; the limit is for what is not finite
    one = wp.constant(real(1.0))

    @wp.func
    def flow_rate(excess: real, par: vec8, dt: real):
        n = par[EXPONENT]
        m = n
        a = par[LAME_MU] * dt / excess  # z = rate
        b = par[VISCOSITY] / excess
        if n <= one:  # z = rate^n
            m = one / n
            b = a
            a = par[VISCOSITY] / excess
        # Scaled by the upper bound: alpha y + beta y^m = 1, where the larger of alpha and beta is 1 and y >= 1/2.
        bound = one
        alpha = real(0.0)
        beta = one
        if b > real(0.0):
            bound = wp.pow(b, -one / m)
            alpha = a * bound
        if b <= real(0.0) or alpha > one:
            bound = one / a
            alpha = one
            beta = b * wp.pow(bound, m)
        y = one
        step = one
        turn = wp.int32(0)
        while wp.abs(step) > tolerance and turn < max_newton:
            tail = beta * wp.pow(y, m - one)
            step = (y * (alpha + tail) - one) / (alpha + m * tail)
            y = y - step
            turn = turn + 1
        z = bound * y
        viscous = excess * alpha * y
        power = z
        log_rate = wp.log(z) / n
        if n > one:
            viscous = excess * beta * wp.pow(y, m)
            power = wp.pow(z, n)
            log_rate = wp.log(z)
        return viscous, power, log_rate

    @wp.func
    def herschel_bulkley(U: mat33, sigma: vec3, V: mat33, J: real, par: vec8, dt: real):
        _s, dev, _mean, norm = hencky(sigma)
        trial = root2 * par[LAME_MU] * norm
        kappa = one
        if trial > par[YIELD_STRESS]:
            viscous, _power, _log_rate = flow_rate(trial - par[YIELD_STRESS], par, dt)
            kappa = (par[YIELD_STRESS] + viscous) / trial
        F_new, _f = radial_flow(U, dev, kappa, real(0.0), V)
        return F_new, radial_stress(U, dev, kappa * par[LAME_MU], par[LAME_LAMBDA] * (J - one))

    @wp.func
    def herschel_bulkley_adjoint(
        U: mat33, sigma: vec3, V: mat33, J: real, par: vec8, dt: real, adj_F_new: mat33, adj_tau: mat33
    ):
        two = real(2.0)
        Ut = wp.transpose(U)
        mu = par[LAME_MU]
        s, dev, _mean, norm = hencky(sigma)
        trial = root2 * mu * norm
        excess = trial - par[YIELD_STRESS]
        kappa = one
        viscous = real(0.0)
        power = real(0.0)
        log_rate = real(0.0)
        if excess > real(0.0):
            viscous, power, log_rate = flow_rate(excess, par, dt)
            kappa = (par[YIELD_STRESS] + viscous) / trial
        _F_new, f = radial_flow(U, dev, kappa, real(0.0), V)
        T = Ut * adj_tau * U
        G = Ut * adj_F_new * V
        t = wp.get_diag(T)
        sum_t = t[0] + t[1] + t[2]
        adj_strain = two * mu * t + wp.cw_mul(wp.get_diag(G), f)
        adj_dev = kappa * adj_strain
        adj_par = vec8()
        adj_par[LAME_LAMBDA] = (J - one) * sum_t
        adj_par[LAME_MU] = two * kappa * wp.dot(t, dev)
        if excess > real(0.0):
            adj_kappa = wp.dot(adj_strain, dev)
            adj_stress = adj_kappa / trial
            elastic = excess - viscous  # G dt rate
            passed = par[EXPONENT] * viscous / (par[EXPONENT] * viscous + elastic)  # d stress / d trial
            adj_trial = adj_stress * passed - adj_kappa * kappa / trial
            adj_par[YIELD_STRESS] = adj_stress * (one - passed)
            adj_par[VISCOSITY] = adj_stress * (one - passed) * power
            adj_par[EXPONENT] = adj_stress * (one - passed) * viscous * log_rate
            adj_par[LAME_MU] = adj_par[LAME_MU] + adj_trial * root2 * norm - adj_stress * passed * elastic / mu
            adj_dev = adj_dev + dev * (adj_trial * root2 * mu / norm)
        adj_F = radial_adjoint(U, sigma, V, s, f, dev, kappa, kappa * mu, T, G, adj_dev, real(0.0))
        return adj_F, par[LAME_LAMBDA] * sum_t, adj_par

    return SimpleNamespace(
        flow_rate=flow_rate, herschel_bulkley=herschel_bulkley, herschel_bulkley_adjoint=herschel_bulkley_adjoint
    )
