# SPDX-License-Identifier: Apache-2.0
"""Liquids with a yield stress, sand and snow: return maps against closed forms, and adjoints against central
differences.
"""

import math

import numpy as np
import pytest
import scipy.optimize
import torch
import warp as wp

from simenv.physics.mpm.materials import Bingham, HerschelBulkley, Sand, Snow
from simenv.physics.mpm.yielding import HERSCHEL_BULKLEY, SAND, SNOW
from tests.physics.test_constitutive import deformed, dev, rotations
from tests.physics.yielding_cases import (
    DT,
    LAM,
    MODELS,
    MU,
    PARAMETERS,
    adjoint,
    deformations,
    rows,
    update,
    yield_margin,
)

MODULUS = 2 * MU + 3 * LAM
EVERY_REGIME = pytest.mark.parametrize("regime", PARAMETERS)


def columns(material) -> list[float]:
    """A material's parameter vector."""
    values = {name: torch.tensor([getattr(material, name)], dtype=torch.float64) for name in material.parameter_names()}
    vector = [float(column) for column in material.kernel_parameters(values)]
    return vector + [0.0] * (8 - len(vector))


def log_stretches(F):
    return np.log(np.linalg.svd(F, compute_uv=False))


def shear(tau):
    """Equivalent shear stress."""
    return np.linalg.norm(dev(tau), axis=(1, 2)) / np.sqrt(2.0)


def check_adjoint(model, F, par, tolerance=1.0e-8):
    """Compare with a fourth-order stencil along random directions of F, J, C and the parameters."""
    rng = np.random.default_rng(1)
    J, C, par = rows(F, par)
    J = J * {HERSCHEL_BULKLEY: 0.97, SAND: 1.02, SNOW: 0.97}[model]
    keep = yield_margin(model, F, J, par) > 0.02
    inputs = [F[keep], J[keep], C[keep], par[keep]]
    if not keep.any():
        return 0
    n = int(keep.sum())
    weights = [rng.standard_normal((n, 3, 3)), rng.standard_normal(n), rng.standard_normal((n, 3, 3))]
    exact = adjoint(model, *inputs, weights)

    def loss(t, directions):
        out = update(model, *[a + t * d for a, d in zip(inputs, directions, strict=True)])[:3]
        return sum((w * a).reshape(n, -1).sum(1) for w, a in zip(weights, out, strict=True))

    h = 5.0e-5  # divided differences of a cut and an uncut stretch of snow vary over 4e-3
    size = np.sqrt(sum((a * a).reshape(n, -1).sum(1) for a in exact))
    assert np.all(size > 0.0)
    for _ in range(6):
        d = [rng.standard_normal(a.shape) for a in inputs]
        d[2] = d[2] / DT
        d[3] = d[3] * (inputs[3] != 0.0) * np.minimum(inputs[3], 1.0)  # limits of the snow are small numbers
        length = np.sqrt(sum((a * a).reshape(n, -1).sum(1) for a in (d[0], d[1], DT * d[2], d[3])))
        d = [a / length.reshape(-1, *[1] * (a.ndim - 1)) for a in d]
        expected = (8 * (loss(h, d) - loss(-h, d)) - loss(2 * h, d) + loss(-2 * h, d)) / (12 * h)
        found = sum((a * b).reshape(n, -1).sum(1) for a, b in zip(exact, d, strict=True))
        worst = np.max(np.abs(found - expected) / size)
        assert worst <= tolerance, f"relative error {worst:.1e} of the adjoint exceeds {tolerance:.0e}"
    return n


@EVERY_REGIME
@pytest.mark.parametrize("name", deformations())
def test_adjoint_matches_central_differences(regime, name):
    F = deformations()[name]
    if name == "rest" and regime == "sand":
        F = F * 1.01  # at rest it is at its apex, where its stress has no derivative
    if name == "rest" and regime not in ("solid", "cohesive", "snow", "sand"):
        F = F[:0]  # no deviator: the same as "solid"
    model, par = PARAMETERS[regime]
    tested = check_adjoint(model, F, par)
    assert tested >= min(len(F), 1), "no deformation is far enough from a kink"


def test_every_regime_of_sand_and_snow_is_tested():
    F = np.concatenate(list(deformations().values()))
    eps = log_stretches(F)
    mean, norm = eps.mean(1), np.linalg.norm(eps - eps.mean(1, keepdims=True), axis=1)
    for regime in ("sand", "cohesive"):
        par = PARAMETERS[regime][1]
        radius = par[4] - par[3] * MODULUS * mean
        limited = 3 * (mean - par[4] / (par[3] * MODULUS)) > par[5]
        for count in ((2 * MU * norm < radius).sum(), ((2 * MU * norm > radius) & (radius > 0)).sum()):
            assert count > 20
        assert (limited & (radius < 0)).sum() > 5
        assert (~limited & (radius < 0)).sum() > 5
    s = np.exp(eps)
    cut = ((s < 1 - 0.025) | (s > 1 + 0.0075)).sum(1)
    assert all((cut == count).sum() > 5 for count in range(4))


# ---------------------------------------------------------------- Herschel-Bulkley


@pytest.mark.parametrize("consistency", [0.0, 1.0e-3, 1.0, 1.0e4])
@pytest.mark.parametrize("exponent", [0.2, 0.5, 1.0, 2.5])
@pytest.mark.parametrize("yield_stress", [0.0, 0.3])
def test_herschel_bulkley_flow_rule_holds(consistency, exponent, yield_stress):
    F = deformed(300, np.random.default_rng(2), 0.25)
    J, C, par = rows(F, [1.0, LAM, MU, consistency, yield_stress, exponent, 0.0, 0.0])
    F_new, J_new, tau, _ = update(HERSCHEL_BULKLEY, F, J, C, par)
    eps, eps_new = log_stretches(F), log_stretches(F_new)
    strain = np.sqrt(2.0) * np.linalg.norm(eps - eps.mean(1, keepdims=True), axis=1)
    left = np.sqrt(2.0) * np.linalg.norm(eps_new, axis=1)
    flows = MU * strain > yield_stress
    assert flows.sum() > 50
    np.testing.assert_allclose(shear(tau), MU * left, rtol=1e-10, atol=1e-13)  # the new F is the elastic one
    np.testing.assert_allclose(left[~flows], strain[~flows], rtol=1e-10)
    assert np.all(shear(tau)[flows] >= yield_stress * (1 - 1e-12))
    np.testing.assert_allclose(np.linalg.det(F_new), 1.0, atol=1e-12)
    np.testing.assert_array_equal(J_new, J)
    # the stress solves tau = trial - G dt rate(tau), by bisection, where the rate can be told from rounding
    for trial, found in zip(MU * strain[flows][:40], shear(tau)[flows][:40], strict=True):

        def surplus(rate, trial=trial):
            return yield_stress + consistency * rate**exponent + MU * DT * rate - trial

        rate = scipy.optimize.brentq(surplus, 0.0, 1.001 * trial / (MU * DT), xtol=1e-300, rtol=1e-14)
        assert found == pytest.approx(trial - MU * DT * rate, rel=1e-10, abs=1e-12 * trial)


def test_herschel_bulkley_in_float32_over_many_magnitudes():
    rng = np.random.default_rng(3)
    F = deformed(400, rng, 0.25).astype(np.float32).astype(float)
    n = len(F)
    J, C, par = rows(F, [1000.0, 1e5, 1e5, 0.0, 0.0, 1.0, 0.0, 0.0])
    par[:, 3] = 10.0 ** rng.uniform(-6, 7, n)
    par[:, 4] = 10.0 ** rng.uniform(-2, 4, n)
    par[:, 5] = 10.0 ** rng.uniform(-1, 0.5, n)
    par = par.astype(np.float32).astype(float)
    exact = update(HERSCHEL_BULKLEY, F, J, C, par, dt=1e-4)
    single = update(HERSCHEL_BULKLEY, F, J, C, par, wp.float32, dt=1e-4)
    error = np.linalg.norm(exact[2] - single[2], axis=(1, 2)) / np.linalg.norm(exact[2], axis=(1, 2))
    assert error.max() <= 1e-4
    weights = [np.ones_like(F), np.ones(n), rng.standard_normal(F.shape)]
    found = adjoint(HERSCHEL_BULKLEY, F, J, C, par, weights, wp.float32, dt=1e-4)
    assert all(np.all(np.isfinite(a)) for a in found)


@pytest.mark.parametrize(("exponent", "rate"), [(1.0, 3.0), (0.5, 8.0), (2.0, 1.5)])
def test_steady_simple_shear_has_the_stress_of_the_flow_rule(exponent, rate):
    consistency, yield_stress, shear_modulus = 20.0, 50.0, 2.0e4
    expected = yield_stress + consistency * rate**exponent
    F, J = np.eye(3)[None], np.ones(1)
    C = np.zeros((1, 3, 3))
    C[0, 0, 2] = rate
    par = np.array([[1000.0, 2e4, shear_modulus, consistency, yield_stress, exponent, 0.0, 0.0]])
    for _ in range(400):
        F, J, tau, _ = update(HERSCHEL_BULKLEY, F, J, C, par, dt=5e-4)
    assert np.array_equal(J, np.ones(1))
    # the finite-strain terms are of order (tau / G)^2, 1e-4 here
    assert tau[0, 0, 2] == pytest.approx(expected, rel=3 * (expected / shear_modulus) ** 2 + 1e-9)
    assert abs(tau[0, 0, 0] - tau[0, 2, 2]) <= 3 * expected**2 / shear_modulus


def test_bingham_is_herschel_bulkley_with_exponent_one():
    bingham = Bingham(1000.0, 2e4, 3.0, 10.0)
    other = HerschelBulkley(1000.0, 2e4, 3.0, 1.0, 10.0)
    assert columns(bingham) == columns(other)
    assert bingham.shear_modulus == 2e4  # taken from the bulk modulus
    assert bingham.sound_speed() == pytest.approx((20.0 * 7 / 3) ** 0.5)


# ---------------------------------------------------------------- sand


@pytest.mark.parametrize("regime", ["sand", "cohesive"])
def test_sand_ends_on_or_inside_the_cone_and_bears_no_tension_beyond_the_apex(regime):
    _, par = PARAMETERS[regime]
    F = np.concatenate([deformed(400, np.random.default_rng(4)), *deformations().values()])
    J, C, p = rows(F, par)
    F_new, J_new, tau, _ = update(SAND, F, J, C, p)
    eps = log_stretches(F)
    mean = eps.mean(1)
    norm = np.linalg.norm(eps - mean[:, None], axis=1)
    pressure = -np.trace(tau, axis1=1, axis2=2) / 3
    size, strength = np.linalg.norm(dev(tau), axis=(1, 2)), par[4] + par[3] * pressure
    assert np.all(size <= strength + 1e-12)
    radius = par[4] - par[3] * MODULUS * mean
    apex, cone = radius <= 0, (radius > 0) & (2 * MU * norm > radius)
    assert min(apex.sum(), cone.sum(), (~apex & ~cone).sum()) > 20
    np.testing.assert_allclose(size[cone], strength[cone], rtol=1e-10)
    np.testing.assert_allclose(pressure[~apex], -MODULUS * mean[~apex], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(np.linalg.det(F_new)[~apex], np.linalg.det(F)[~apex], rtol=1e-12)
    np.testing.assert_allclose(F_new[~apex & ~cone], F[~apex & ~cone], atol=1e-13)
    tip = par[4] / par[3] * np.eye(3)
    np.testing.assert_allclose(tau[apex], np.broadcast_to(tip, tau[apex].shape), atol=1e-12)
    # flow takes volume from F and gives it to J, up to the limit
    gained = np.linalg.det(F) / np.linalg.det(F_new)
    np.testing.assert_allclose(J_new, np.minimum(gained, math.exp(par[5])), rtol=1e-12)


def test_sand_that_comes_apart_presses_again_only_when_closed():
    _, par = PARAMETERS["sand"]
    par = np.array([par])
    zero = np.zeros((1, 3, 3))
    F, J = 0.99 * np.eye(3)[None], np.ones(1)
    start = update(SAND, F, J, zero, par)[2]
    for factor in (1.02, 1.01, 1 / 1.03):  # opens to 1.0198 and closes to 0.9901, not yet to 0.99
        F, J, tau, _ = update(SAND, F * factor, J, zero, par)
    assert J[0] == pytest.approx(1.0, abs=1e-12)
    scale = 0.99 * 1.02 * 1.01 / 1.03
    np.testing.assert_allclose(tau[0], MODULUS * math.log(scale) * np.eye(3), rtol=1e-9, atol=1e-12)
    F, J, tau, _ = update(SAND, F * (0.99 / scale), J, zero, par)
    np.testing.assert_allclose(tau, start, rtol=1e-9)


@pytest.mark.parametrize("friction_angle", [0.3, 0.6])
@pytest.mark.parametrize("cohesion", [0.0, 500.0])
def test_friction_angle_is_that_of_a_triaxial_test(friction_angle, cohesion):
    vector = columns(Sand(1500.0, 1e6, 0.3, friction_angle, cohesion))
    F = np.diag([1.04, 1.04, 0.8])[None]
    _, _, tau, _ = update(SAND, F, np.ones(1), np.zeros((1, 3, 3)), np.array([vector]))
    lateral, axial = -tau[0, 0, 0], -tau[0, 2, 2]
    sine = math.sin(friction_angle)
    expected = (lateral * (1 + sine) + 2 * cohesion * math.cos(friction_angle)) / (1 - sine)
    assert axial == pytest.approx(expected, rel=1e-10)


def test_slope_angle_is_the_stress_ratio_of_steady_shear():
    material = Sand(1500.0, 1e6, 0.3, 0.55)
    F, J = 0.999 * np.eye(3)[None], np.ones(1)  # little pressure, so little elastic strain
    C = np.zeros((1, 3, 3))
    C[0, 0, 2] = 1.0
    for _ in range(200):
        F, J, tau, _ = update(SAND, F, J, C, np.array([columns(material)]), dt=1e-3)
    assert abs(tau[0, 0, 2] / tau[0, 2, 2]) == pytest.approx(math.tan(material.slope_angle()), rel=5e-3)


# ---------------------------------------------------------------- snow


def test_snow_limits_stretches_keeps_the_volume_in_J_and_hardens():
    _, par = PARAMETERS["snow"]
    F = np.concatenate(list(deformations().values()))
    rng = np.random.default_rng(6)
    J, C, p = rows(F, par)
    J = J * rng.uniform(0.8, 1.1, len(F))
    F_new, J_new, tau, _ = update(SNOW, F, J, C, p)
    s, s_new = (np.linalg.svd(a, compute_uv=False) for a in (F, F_new))
    np.testing.assert_allclose(s_new, np.clip(s, 1 - par[3], 1 + par[4]), atol=1e-13)
    np.testing.assert_allclose(J_new * np.linalg.det(F_new), J * np.linalg.det(F), rtol=1e-12)
    inside = np.all((s > 1 - par[3]) & (s < 1 + par[4]), axis=1)
    assert inside.sum() > 3
    np.testing.assert_array_equal(F_new[inside], F[inside])
    np.testing.assert_array_equal(J_new[inside], J[inside])
    # fixed-corotated stress of F_new = R S, times the hardening
    U, _sigma, Vt = np.linalg.svd(F_new)
    R = U @ Vt
    volume = np.linalg.det(F_new)
    h = np.minimum(np.exp(par[5] * (1 - J_new)), par[6])
    assert (h == par[6]).any()
    assert (h < par[6]).any()
    soft = 2 * MU * (F_new - R) @ F_new.transpose(0, 2, 1)
    soft += (LAM * volume * (volume - 1))[:, None, None] * np.eye(3)
    np.testing.assert_allclose(tau, h[:, None, None] * soft, atol=1e-12)


# ---------------------------------------------------------------- all


@EVERY_REGIME
def test_objective_and_isotropic(regime):
    model, par = PARAMETERS[regime]
    rng = np.random.default_rng(5)
    F = deformed(100, rng)
    Q = rotations(len(F), rng)
    J, C, p = rows(F, par)
    F_new, J_new, tau, _ = update(model, F, J, C, p)
    turned_F, turned_J, turned_tau, _ = update(model, Q @ F, J, C, p)
    assert np.abs(turned_tau - Q @ tau @ Q.transpose(0, 2, 1)).max() <= 1e-11
    assert np.abs(turned_F - Q @ F_new).max() <= 1e-12
    assert np.abs(turned_J - J_new).max() <= 1e-12
    assert np.abs(update(model, F @ Q, J, C, p)[2] - tau).max() <= 1e-11
    assert np.abs(tau - tau.transpose(0, 2, 1)).max() <= 1e-12
    assert np.abs(update(model, Q, J, C, p)[2]).max() <= 1e-12  # a rotation is rest


@EVERY_REGIME
@pytest.mark.parametrize("real", [wp.float32, wp.float64], ids=["float32", "float64"])
def test_inverted_elements_are_reported_and_stay_finite(regime, real):
    model, par = PARAMETERS[regime]
    rng = np.random.default_rng(7)
    F = np.concatenate([[np.diag([1.0, 1.0, 0.0]), -np.eye(3), np.diag([1.2, 0.8, -0.5]), np.eye(3)]])
    J, C, p = rows(F, par)
    result = update(model, F, J, C, p, real)
    assert result[3].tolist() == [0, 0, 0, 1]
    weights = [rng.standard_normal(F.shape), rng.standard_normal(len(F)), rng.standard_normal(F.shape)]
    for values in (*result, *adjoint(model, F, J, C, p, weights, real)):
        assert np.all(np.isfinite(values))


@EVERY_REGIME
def test_float32_adjoint(regime):
    model, par = PARAMETERS[regime]
    rng = np.random.default_rng(8)
    F = np.concatenate([deformed(200, rng), deformed(200, rng, 0.02)]).astype(np.float32).astype(float)
    par = np.asarray(par, dtype=np.float32).astype(float)
    J, C, p = rows(F, par)
    keep = yield_margin(model, F, J, p) > 1e-2
    inputs = [a[keep] for a in (F, J, C, p)]
    weights = [
        rng.standard_normal(inputs[0].shape),
        rng.standard_normal(keep.sum()),
        rng.standard_normal(F[keep].shape),
    ]
    exact = adjoint(model, *inputs, weights)
    single = adjoint(model, *inputs, weights, wp.float32)
    n = int(keep.sum())
    size = np.sqrt(sum((a * a).reshape(n, -1).sum(1) for a in exact))
    error = np.sqrt(sum(((a - b) ** 2).reshape(n, -1).sum(1) for a, b in zip(exact, single, strict=True)))
    assert (error / size).max() <= 1e-3


def test_unknown_model_is_not_silent():
    F = np.eye(3)[None]
    J, C, par = rows(F, PARAMETERS["snow"][1])
    assert np.all(np.isnan(update(9, F, J, C, par)[2]))
    assert np.all(np.isnan(adjoint(9, F, J, C, par, [F, J, F])[0]))
    assert 9 not in MODELS.values()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HerschelBulkley(1000.0, 1e4, 1.0, 0.0, 10.0), "exponent = 0.0; it must be above zero"),
        (lambda: Bingham(1000.0, 0.0, 1.0, 10.0), "bulk_modulus = 0.0; it must be above zero"),
        (lambda: Bingham(1000.0, 1e4, 1.0, -1.0), "yield_stress = -1.0"),
        (lambda: Sand(1500.0, 1e6, 0.3, 30.0), r"friction_angle = 30.0 rad; .* math.radians"),
        (lambda: Sand(1500.0, 1e6, 0.5, 0.5), "poisson_ratio = 0.5"),
        (lambda: Snow(400.0, 1e5, critical_compression=1.2), "critical_compression = 1.2; it must be below 1"),
        (lambda: Snow(400.0, 1e5, hardening_limit=0.5), "hardening_limit = 0.5; it must be at least 1"),
    ],
)
def test_material_values(make, message):
    with pytest.raises(ValueError, match=message):
        make()
