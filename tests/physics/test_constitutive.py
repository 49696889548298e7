# SPDX-License-Identifier: Apache-2.0
"""The constitutive models against closed forms, symmetries of mechanics, and central differences of their adjoints."""

import functools

import numpy as np
import pytest
import warp as wp

from simenv.geometry.svd import scalar_types
from simenv.physics.mpm.constitutive import COROTATED, NEO_HOOKEAN, VON_MISES, constitutive_functions

wp.set_module_options({"enable_backward": False})

NUMPY = {wp.float32: np.float32, wp.float64: np.float64}
MODELS = {"corotated": COROTATED, "neo_hookean": NEO_HOOKEAN, "von_mises": VON_MISES}
EVERY_MODEL = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
MU, LAM, HARD, SOFT = 1.3, 2.1, 1.0e3, 0.08  # [Pa]; HARD keeps the material elastic


@functools.cache
def kernels(real):
    mat33, vec3 = scalar_types(real)
    functions = constitutive_functions(real)
    update, adjoint = functions.elastic_update, functions.elastic_update_adjoint
    liquid, liquid_adjoint = functions.liquid_stress, functions.liquid_stress_adjoint

    @wp.kernel(module="unique")
    def run_update(
        model: int,
        F: wp.array(dtype=mat33),
        p: wp.array(dtype=vec3),
        F_new: wp.array(dtype=mat33),
        tau: wp.array(dtype=mat33),
    ):
        i = wp.tid()
        f, t = update(model, F[i], p[i][0], p[i][1], p[i][2])
        F_new[i] = f
        tau[i] = t

    @wp.kernel(module="unique")
    def run_adjoint(
        model: int,
        F: wp.array(dtype=mat33),
        p: wp.array(dtype=vec3),
        adj_F_new: wp.array(dtype=mat33),
        adj_tau: wp.array(dtype=mat33),
        adj_F: wp.array(dtype=mat33),
        adj_p: wp.array(dtype=vec3),
    ):
        i = wp.tid()
        f, mu, lam, y = adjoint(model, F[i], p[i][0], p[i][1], p[i][2], adj_F_new[i], adj_tau[i])
        adj_F[i] = f
        adj_p[i] = vec3(mu, lam, y)

    @wp.kernel(module="unique")
    def run_liquid(
        C: wp.array(dtype=mat33),
        p: wp.array(dtype=vec3),
        adj_tau: wp.array(dtype=mat33),
        tau: wp.array(dtype=mat33),
        adj_C: wp.array(dtype=mat33),
        adj_p: wp.array(dtype=vec3),
    ):
        i = wp.tid()
        tau[i] = liquid(p[i][0], C[i], p[i][1], p[i][2])
        j, c, k, e = liquid_adjoint(p[i][0], C[i], p[i][1], p[i][2], adj_tau[i])
        adj_C[i] = c
        adj_p[i] = vec3(j, k, e)

    return run_update, run_adjoint, run_liquid


def launch(index, real, inputs, kinds, leading=()):
    mat33, vec3 = scalar_types(real)
    arrays = []
    for a in inputs:
        a = np.ascontiguousarray(a, dtype=NUMPY[real])
        arrays.append(wp.array(a, dtype=mat33 if a.ndim == 3 else vec3, device="cpu"))
    out = [wp.zeros(len(inputs[0]), dtype=mat33 if k == "m" else vec3, device="cpu") for k in kinds]
    wp.launch(kernels(real)[index], dim=len(inputs[0]), inputs=[*leading, *arrays], outputs=out, device="cpu")
    return [a.numpy().astype(np.float64) for a in out]


def parameters(F, mu=MU, lam=LAM, yield_stress=HARD):
    return np.tile([mu, lam, yield_stress], (len(F), 1))


def update(model, F, p=None, real=wp.float64):
    F = np.asarray(F)
    return launch(0, real, [F, parameters(F) if p is None else p], "mm", (model,))


def adjoint(model, F, p, adj_F_new, adj_tau, real=wp.float64):
    return launch(1, real, [F, p, adj_F_new, adj_tau], "mv", (model,))


def rotations(count, rng):
    q, _ = np.linalg.qr(rng.standard_normal((count, 3, 3)))
    return q * np.linalg.det(q)[:, None, None]


def with_stretches(values, count, rng):
    return rotations(count, rng) @ np.diag(values) @ rotations(count, rng)


def deformed(count, rng, amount=0.2):
    F = np.eye(3) + amount * rng.standard_normal((4 * count, 3, 3))
    return F[np.linalg.det(F) > 0.3][:count]


def dev(tau):
    return tau - np.trace(tau, axis1=1, axis2=2)[:, None, None] / 3.0 * np.eye(3)


def gradient_cases():
    rng = np.random.default_rng(0)
    cases = {
        "deformed": deformed(100, rng),
        "isotropic": np.array([0.8, 1.0, 1.25])[:, None, None] * np.eye(3),
        "nearly_rest": np.eye(3) + 1.0e-9 * rng.standard_normal((50, 3, 3)),
        "exact_pair": np.array([np.diag(d) for d in ([1.3, 1.3, 0.8], [0.8, 1.3, 0.8], [1.3, 0.8, 0.8])]),
        "pair": np.concatenate([with_stretches(s, 30, rng) for s in ([1.3, 1.3, 0.8], [1.3, 0.8, 0.8])]),
        "near_pair": np.concatenate([with_stretches([1.3 + e, 1.3, 0.8], 20, rng) for e in (1e-12, 1e-8, 1e-4, 1e-2)]),
        # log(s0/s1) on both sides of the switch from series to closed form.
        "switch": np.concatenate([with_stretches([np.exp(d), 1.0, 0.7], 20, rng) for d in (0.1999, 0.2001, 0.35)]),
    }
    return cases


def check_adjoint(model, F, yield_stress, tolerance=1.0e-9):
    """Compare with a fourth-order stencil along random directions of F and of the parameters."""
    rng = np.random.default_rng(1)
    p = parameters(F, yield_stress=yield_stress)
    A, B = rng.standard_normal((2, *F.shape))
    adj_F, adj_p = adjoint(model, F, p, A, B)

    def loss(t, dF, dp):
        F_new, tau = update(model, F + t * dF, p + t * dp)
        return np.sum(A * F_new + B * tau, axis=(1, 2))

    # Truncation h^4 L^(5) / 30 is below 1e-10 (L^(5) reaches 1e5 where the flow factor is steep),
    # rounding 1e-16 |L| / h ~ 1e-12.
    h = 2.0e-4
    size = np.sqrt(np.sum(adj_F**2, axis=(1, 2)) + np.sum(adj_p**2, axis=1))
    assert np.all(size > 0.0)
    worst = 0.0
    for _ in range(6):
        dF, dp = rng.standard_normal(F.shape), rng.standard_normal(p.shape)
        length = np.sqrt(np.sum(dF**2, axis=(1, 2)) + np.sum(dp**2, axis=1))
        dF, dp = dF / length[:, None, None], dp / length[:, None]
        expected = (8.0 * (loss(h, dF, dp) - loss(-h, dF, dp)) - loss(2 * h, dF, dp) + loss(-2 * h, dF, dp)) / (
            12.0 * h
        )
        error = np.abs(np.sum(adj_F * dF, axis=(1, 2)) + np.sum(adj_p * dp, axis=1) - expected) / size
        worst = max(worst, error.max())
    assert worst <= tolerance, f"relative error {worst:.1e} of the adjoint exceeds {tolerance:.0e}"


@EVERY_MODEL
@pytest.mark.parametrize("name", gradient_cases())
def test_elastic_adjoint_matches_central_differences(model, name):
    F = gradient_cases()[name]
    check_adjoint(model, F, HARD)


@pytest.mark.parametrize("name", ["deformed", "exact_pair", "pair", "near_pair", "switch"])
def test_plastic_adjoint_matches_central_differences(name):
    F = gradient_cases()[name]
    elastic_stress = np.linalg.norm(dev(update(VON_MISES, F)[1]), axis=(1, 2))
    F = F[elastic_stress > 0.3]  # well outside of the yield surface, so that the stencil does not cross the kink
    assert len(F) >= 3
    check_adjoint(VON_MISES, F, SOFT)


@EVERY_MODEL
def test_adjoint_at_rest_is_linear_elasticity(model):
    T = np.random.default_rng(2).standard_normal((5, 3, 3))
    F = np.tile(np.eye(3), (5, 1, 1))
    expected = MU * (T + T.transpose(0, 2, 1)) + LAM * np.trace(T, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    for real, tolerance in ((wp.float64, 1e-14), (wp.float32, 1e-6)):
        adj_F, adj_p = adjoint(model, F, parameters(F), np.zeros_like(T), T, real)
        assert np.abs(adj_F - expected).max() <= tolerance * np.abs(expected).max()
        assert np.abs(adj_p).max() <= tolerance


@EVERY_MODEL
@pytest.mark.parametrize("yield_stress", [1.0e7, 3.0e3])
@pytest.mark.parametrize("amount", [0.2, 0.05])
def test_float32_adjoint(model, yield_stress, amount):
    rng = np.random.default_rng(3)
    F = deformed(300, rng, amount).astype(np.float32).astype(np.float64)
    p = parameters(F, 1.0e5, 2.0e5, yield_stress)
    # At the kink of the return the two precisions may take different sides; leave that band out.
    stress = np.linalg.norm(dev(update(VON_MISES, F, parameters(F, 1e5, 2e5, 1e9))[1]), axis=(1, 2))
    keep = np.abs(stress / (np.sqrt(2.0 / 3.0) * yield_stress) - 1.0) > 1.0e-3
    F, p = F[keep], p[keep]
    A, B = 1.0e5 * rng.standard_normal(F.shape), rng.standard_normal(F.shape)
    exact = adjoint(model, F, p, A, B)
    single = adjoint(model, F, p, A, B, wp.float32)
    size = np.linalg.norm(exact[0], axis=(1, 2))
    assert np.all(np.linalg.norm(exact[0] - single[0], axis=(1, 2)) <= 1.0e-4 * size)
    # Parameters, as derivatives by their logarithms, which have the scale of the derivative by F.
    scaled = np.abs(exact[1] * p).max(axis=1)
    assert np.all(np.abs((exact[1] - single[1]) * p).max(axis=1) <= 1.0e-4 * np.maximum(size, scaled))


@pytest.mark.parametrize("yield_stress", [0.5, SOFT, 1.0e-3, 0.0])
def test_return_ends_on_or_inside_the_yield_surface(yield_stress):
    F = deformed(500, np.random.default_rng(4), 0.25)
    p = parameters(F, yield_stress=yield_stress)
    trial = np.linalg.norm(dev(update(VON_MISES, F)[1]), axis=(1, 2))
    F_new, tau = update(VON_MISES, F, p)
    norm = np.linalg.norm(dev(tau), axis=(1, 2))
    radius = np.sqrt(2.0 / 3.0) * yield_stress
    plastic = trial > radius
    assert plastic.any()
    np.testing.assert_allclose(norm[plastic], radius, rtol=1.0e-10, atol=1.0e-14)
    np.testing.assert_allclose(norm[~plastic], trial[~plastic], rtol=1.0e-12)
    np.testing.assert_allclose(np.linalg.det(F_new), np.linalg.det(F), rtol=1.0e-13)
    np.testing.assert_array_equal(F_new[~plastic], F[~plastic])
    # The new F is elastic: its stress is the returned one, which also fixes the flow direction.
    again = update(VON_MISES, F_new)[1]
    assert np.abs(again - tau).max() <= 1.0e-12
    assert np.all(np.abs(np.linalg.norm(dev(again), axis=(1, 2))) <= np.maximum(trial, radius) * (1.0 + 1.0e-12))


def test_yield_stress_is_that_of_a_uniaxial_test():
    for stretch in (1.3, 0.7):
        F = np.diag([stretch, stretch**-0.5, stretch**-0.5])[None]
        tau = update(VON_MISES, F, parameters(F, yield_stress=0.2))[1][0]
        assert tau[0, 0] - tau[1, 1] == pytest.approx(np.sign(stretch - 1.0) * 0.2, rel=1.0e-12)


@EVERY_MODEL
def test_moduli_at_small_strain(model):
    e = 1.0e-6
    young = MU * (3 * LAM + 2 * MU) / (LAM + MU)
    poisson = LAM / (2 * (LAM + MU))
    bulk = LAM + 2.0 * MU / 3.0
    shear = np.eye(3)
    shear[0, 1] = e
    F = np.array([np.diag([1 + e, 1 - poisson * e, 1 - poisson * e]), shear, (1 + e) * np.eye(3)])
    tension, sheared, swollen = update(model, F)[1]
    tolerance = 10.0 * e  # the next term of the stress in the strain, and rounding 1e-16 / e
    assert tension[0, 0] / e == pytest.approx(young, rel=tolerance)
    assert abs(tension[1, 1]) <= tolerance * e * young
    assert abs(tension[2, 2]) <= tolerance * e * young
    assert sheared[0, 1] / e == pytest.approx(MU, rel=tolerance)
    assert sheared[1, 0] == pytest.approx(sheared[0, 1], rel=1.0e-9)
    np.testing.assert_allclose(swollen, 3.0 * bulk * e * np.eye(3), atol=tolerance * e * bulk)


def test_finite_strain_values():
    a, b, c = 1.3, 0.9, 0.8
    F = np.diag([a, b, c])[None]
    J = a * b * c
    s = np.array([a, b, c])
    expected = {
        COROTATED: 2 * MU * (s - 1) * s + LAM * J * (J - 1),
        NEO_HOOKEAN: MU * (s**2 - 1) + LAM * np.log(J),
        VON_MISES: 2 * MU * np.log(s) + LAM * np.log(J),
    }
    for model, stress in expected.items():
        np.testing.assert_allclose(update(model, F)[1][0], np.diag(stress), atol=1.0e-14)


@EVERY_MODEL
@pytest.mark.parametrize("yield_stress", [HARD, SOFT])
def test_objective_and_isotropic(model, yield_stress):
    rng = np.random.default_rng(5)
    F = deformed(100, rng)
    Q = rotations(len(F), rng)
    p = parameters(F, yield_stress=yield_stress)
    F_new, tau = update(model, F, p)
    turned_F, turned_tau = update(model, Q @ F, p)
    assert np.abs(turned_tau - Q @ tau @ Q.transpose(0, 2, 1)).max() <= 1.0e-12
    assert np.abs(turned_F - Q @ F_new).max() <= 1.0e-13
    assert np.abs(update(model, F @ Q, p)[1] - tau).max() <= 1.0e-12
    assert np.abs(tau - tau.transpose(0, 2, 1)).max() <= 1.0e-13
    rest = update(model, Q, p)[1]
    assert np.abs(rest).max() <= 1.0e-13


@EVERY_MODEL
@pytest.mark.parametrize("real", [wp.float32, wp.float64], ids=["float32", "float64"])
def test_inverted_elements_stay_finite(model, real):
    rng = np.random.default_rng(6)
    F = np.concatenate(
        [with_stretches([1.2, 0.8, -0.5], 20, rng), [np.diag([1.0, 1.0, 0.0]), -np.eye(3), np.zeros((3, 3))]]
    )
    A, B = rng.standard_normal((2, *F.shape))
    for yield_stress in (HARD, SOFT):
        p = parameters(F, yield_stress=yield_stress)
        for result in update(model, F, p, real) + adjoint(model, F, p, A, B, real):
            assert np.all(np.isfinite(result))


def test_unknown_model_is_not_silent():
    F = np.eye(3)[None]
    assert np.all(np.isnan(update(7, F)[1]))
    assert np.all(np.isnan(adjoint(7, F, parameters(F), F, F)[0]))


def liquid(J, C, bulk, viscosity, adj_tau=None, real=wp.float64):
    p = np.stack(np.broadcast_arrays(J, bulk, viscosity), axis=-1)
    return launch(2, real, [C, p, np.zeros_like(C) if adj_tau is None else adj_tau], "mmv")


def test_liquid_pressure_and_viscosity():
    J, bulk, eta, rate = 0.98, 2.0e5, 3.5, 7.0
    C = np.zeros((3, 3, 3))
    C[0, 0, 1] = rate  # simple shear: Cauchy stress eta * rate
    C[1] = rate * np.eye(3)  # pure dilation is not resisted
    C[2] = [[0, rate, 0], [-rate, 0, 0], [0, 0, 0]]  # rigid rotation neither
    tau = liquid(np.full(3, J), C, bulk, eta)[0]
    pressure = bulk * (J - 1.0) * np.eye(3)
    shear = np.zeros((3, 3))
    shear[0, 1] = shear[1, 0] = eta * rate * J
    np.testing.assert_allclose(tau, [pressure + shear, pressure, pressure], atol=1.0e-9)


def test_liquid_adjoint_matches_central_differences():
    rng = np.random.default_rng(7)
    n = 50
    x = [1.0 + 0.1 * rng.standard_normal(n), rng.standard_normal((n, 3, 3)), 2.0 + rng.random(n), 0.5 + rng.random(n)]
    B = rng.standard_normal((n, 3, 3))
    _, adj_C, adj_p = liquid(*x, B)
    exact = [adj_p[:, 0], adj_C, adj_p[:, 1], adj_p[:, 2]]
    d = [rng.standard_normal(np.shape(a)) for a in x]

    def loss(t):
        return np.sum(B * liquid(*[a + t * b for a, b in zip(x, d, strict=True)])[0], axis=(1, 2))

    h = 1.0e-3  # the loss is cubic along a line, for which this stencil is exact up to rounding (1e-13)
    expected = (8.0 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12.0 * h)
    found = sum(np.sum((a * b).reshape(n, -1), axis=1) for a, b in zip(exact, d, strict=True))
    size = np.sqrt(sum(np.sum((a * a).reshape(n, -1), axis=1) for a in exact))
    assert np.all(np.abs(found - expected) <= 1.0e-10 * np.maximum(size, 1.0))
