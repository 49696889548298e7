# SPDX-License-Identifier: Apache-2.0
"""Materials that yield and keep a volume ratio ``J`` besides the deformation gradient: one update for all of them.

================  ================================  ===========================================================
model             ``F``                             ``J``
================  ================================  ===========================================================
HERSCHEL_BULKLEY  elastic, isochoric                volume ratio of the liquid
SAND              elastic                           how far grains came apart beyond their loss of contact, >= 1
SNOW              elastic                           plastic volume ratio: below 1 compacted, above 1 loosened
================  ================================  ===========================================================

The models are those of rheology.py and granular.py; they are kept apart from constitutive.py so that scenes without
them compile none of their code. An unknown model gives NaN stress, which the caller's check of finiteness reports.
"""

from types import SimpleNamespace

import warp as wp

from simenv._exclusive import built_once
from simenv.geometry.svd import scalar_types, svd_functions
from simenv.physics.mpm.granular import sand_functions, snow_functions
from simenv.physics.mpm.rheology import rheology_functions

wp.set_module_options({"enable_backward": False})

HERSCHEL_BULKLEY = 3  # kinds go on from those of constitutive.py
SAND = 4
SNOW = 5


@built_once
def yielding_functions(real: type) -> SimpleNamespace:
    """Build the Warp functions for one scalar type.

    Args:
        real: ``wp.float32`` or ``wp.float64``.

    Returns:
        A namespace of Warp functions; ``C`` is the velocity gradient [1/s], ``par`` the material's parameter vector:

        * ``yielding_update(model: int, F, J, C, par, dt) -> (F_new, J_new, tau [Pa], valid: int)``, where ``valid`` is
          0 for an inverted element or a volume that is not positive, for which the numbers have no meaning.
        * ``yielding_update_adjoint(model, F, J, C, par, dt, adj_F_new, adj_J_new, adj_tau)
          -> (adj_F, adj_J, adj_C, adj_par)``

    Raises:
        ValueError: if ``real`` is not a supported type.
    """
    mat33, _vec3 = scalar_types(real)
    vec8 = wp.types.vector(8, real)
    svd3 = svd_functions(real).svd3
    liquids, grains, flakes = rheology_functions(real), sand_functions(real), snow_functions(real)
    herschel_bulkley, herschel_bulkley_adjoint = liquids.herschel_bulkley, liquids.herschel_bulkley_adjoint
    sand, sand_adjoint = grains.sand, grains.sand_adjoint
    snow, snow_adjoint = flakes.snow, flakes.snow_adjoint
    is_herschel_bulkley, is_sand, is_snow = wp.constant(HERSCHEL_BULKLEY), wp.constant(SAND), wp.constant(SNOW)

    @wp.func
    def yielding_update(model: int, F: mat33, J: real, C: mat33, par: vec8, dt: real):
        F_trial = F + dt * (C * F)
        F_new = F_trial
        J_new = J
        tau = mat33()
        U, sigma, V = svd3(F_trial)
        if model == is_herschel_bulkley:
            J_new = J * (real(1.0) + dt * wp.trace(C))
            F_new, tau = herschel_bulkley(U, sigma, V, J_new, par, dt)
        elif model == is_sand:
            F_new, J_new, tau = sand(U, sigma, V, J, par)
        elif model == is_snow:
            F_new, J_new, tau = snow(F_trial, U, sigma, V, J, par)
        else:
            tau = tau + mat33(real(wp.nan))
        valid = wp.int32(1)
        if sigma[2] <= real(0.0) or J_new <= real(0.0):
            valid = wp.int32(0)
        return F_new, J_new, tau, valid

    @wp.func
    def yielding_update_adjoint(
        model: int, F: mat33, J: real, C: mat33, par: vec8, dt: real, adj_F_new: mat33, adj_J_new: real, adj_tau: mat33
    ):
        F_trial = F + dt * (C * F)
        adj_trial = mat33()
        adj_J = real(0.0)
        adj_C = mat33()
        adj_par = vec8()
        U, sigma, V = svd3(F_trial)
        if model == is_herschel_bulkley:
            growth = real(1.0) + dt * wp.trace(C)
            adj_trial, adj_volume, adj_par = herschel_bulkley_adjoint(
                U, sigma, V, J * growth, par, dt, adj_F_new, adj_tau
            )
            adj_volume = adj_volume + adj_J_new
            adj_J = adj_volume * growth
            adj_C = (dt * J * adj_volume) * wp.identity(n=3, dtype=real)
        elif model == is_sand:
            adj_trial, adj_J, adj_par = sand_adjoint(U, sigma, V, J, par, adj_F_new, adj_J_new, adj_tau)
        elif model == is_snow:
            adj_trial, adj_J, adj_par = snow_adjoint(U, sigma, V, J, par, adj_F_new, adj_J_new, adj_tau)
        else:
            adj_trial = adj_trial + mat33(real(wp.nan))
        adj_F = adj_trial + dt * (wp.transpose(C) * adj_trial)
        return adj_F, adj_J, adj_C + dt * (adj_trial * wp.transpose(F)), adj_par

    return SimpleNamespace(yielding_update=yielding_update, yielding_update_adjoint=yielding_update_adjoint)
