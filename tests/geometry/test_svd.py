# SPDX-License-Identifier: Apache-2.0
"""The 3x3 decompositions against their defining properties, NumPy, and central differences."""

import functools

import numpy as np
import pytest
import warp as wp

from simenv.geometry.svd import scalar_types, svd_functions

wp.set_module_options({"enable_backward": False})

NUMPY = {wp.float32: np.float32, wp.float64: np.float64}
# Some fifteen rotations round each entry: a few tens of unit roundoffs.
TOLERANCE = {wp.float32: 1.0e-6, wp.float64: 1.0e-14}
REALS = pytest.mark.parametrize("real", [wp.float32, wp.float64], ids=["float32", "float64"])


@functools.cache
def kernels(real):
    mat33, vec3 = scalar_types(real)
    functions = svd_functions(real)
    svd3, polar_rotation = functions.svd3, functions.polar_rotation
    adjoint_svd, adjoint_solve = (functions.polar_rotation_adjoint, functions.polar_adjoint)

    @wp.kernel(module="unique")
    def decompose(
        F: wp.array(dtype=mat33),
        G: wp.array(dtype=mat33),
        U: wp.array(dtype=mat33),
        sigma: wp.array(dtype=vec3),
        V: wp.array(dtype=mat33),
        R: wp.array(dtype=mat33),
        A: wp.array(dtype=mat33),
        B: wp.array(dtype=mat33),
    ):
        i = wp.tid()
        u, s, v = svd3(F[i])
        r = polar_rotation(F[i])
        U[i] = u
        sigma[i] = s
        V[i] = v
        R[i] = r
        A[i] = adjoint_svd(u, s, v, G[i])
        B[i] = adjoint_solve(F[i], r, G[i])

    return decompose


def decompose(F, real=wp.float64, G=None):
    mat33, vec3 = scalar_types(real)
    kind = NUMPY[real]
    F = np.ascontiguousarray(F, dtype=kind)
    G = np.zeros_like(F) if G is None else np.ascontiguousarray(G, dtype=kind)
    matrices = [wp.array(a, dtype=mat33, device="cpu") for a in (F, G)]
    out = [wp.zeros(len(F), dtype=t, device="cpu") for t in (mat33, vec3, mat33, mat33, mat33, mat33)]
    wp.launch(kernels(real), dim=len(F), inputs=matrices, outputs=out, device="cpu")
    return [a.numpy().astype(np.float64) for a in out]


def rotations(count, rng):
    q, _ = np.linalg.qr(rng.standard_normal((count, 3, 3)))
    return q * np.linalg.det(q)[:, None, None]


def with_singular_values(values, count, rng):
    return rotations(count, rng) @ np.diag(values) @ rotations(count, rng)


def samples():
    rng = np.random.default_rng(1)
    cases = {
        "random": rng.standard_normal((2000, 3, 3)),
        "nearly_rest": np.eye(3) + 1.0e-7 * rng.standard_normal((500, 3, 3)),
        "isotropic": np.array([0.7, 1.0, 1.3])[:, None, None] * np.eye(3),
        "rotation": rotations(200, rng),
        "two_equal_large": with_singular_values([1.4, 1.4, 0.6], 300, rng),
        "two_equal_small": with_singular_values([1.4, 0.6, 0.6], 300, rng),
        "exact_pair": np.array([np.diag([1.2, 1.2, 0.9]), np.diag([0.9, 1.2, 0.9])]),
        "tiny": with_singular_values([1.0, 1.0e-5, 1.0e-12], 300, rng),
        "rank_two": with_singular_values([2.0, 1.0, 0.0], 300, rng),
        "rank_one": with_singular_values([2.0, 0.0, 0.0], 300, rng),
        "exact_rank_one": np.array([np.ones((3, 3)), np.diag([0.0, 3.0, 0.0])]),
        "zero": np.zeros((1, 3, 3)),
        "inverted": with_singular_values([1.4, 1.0, -0.6], 300, rng),
        "reflection": np.array([-np.eye(3), np.diag([1.0, -1.0, 1.0])]),
        "large": 1.0e12 * rng.standard_normal((200, 3, 3)),
        "small": 1.0e-12 * rng.standard_normal((200, 3, 3)),
    }
    return cases


@REALS
@pytest.mark.parametrize("name", list(samples()))
def test_decomposition(name, real):
    F = samples()[name].astype(NUMPY[real]).astype(np.float64)
    U, sigma, V, R, _, _ = decompose(F, real)
    tolerance = TOLERANCE[real]
    scale = np.linalg.norm(F, axis=(1, 2), ord=2)
    identity = np.eye(3)
    rebuilt = np.einsum("nij,nj,nkj->nik", U, sigma, V)
    assert np.all(np.abs(rebuilt - F).max(axis=(1, 2)) <= tolerance * scale)
    for matrix in (U, V, R):
        assert np.abs(matrix.transpose(0, 2, 1) @ matrix - identity).max() <= tolerance
        assert np.all(np.linalg.det(matrix) > 0.0)
    assert np.all(sigma[:, 0] >= sigma[:, 1] - tolerance * scale)
    assert np.all(sigma[:, 1] >= np.abs(sigma[:, 2]) - tolerance * scale)
    expected = np.linalg.svd(F, compute_uv=False)
    assert np.all(np.abs(np.abs(sigma) - expected) <= tolerance * scale[:, None])
    certain = np.abs(np.linalg.det(F)) > 1.0e-5 * scale**3
    assert np.all(np.sign(sigma[certain, 2]) == np.sign(np.linalg.det(F[certain])))


@REALS
def test_polar_rotation_agrees_with_decomposition_in_both_of_its_branches(real):
    rng = np.random.default_rng(2)
    near = with_singular_values([1.3, 1.0, 0.8], 300, rng)  # Newton's iteration
    far = np.concatenate(
        [with_singular_values(s, 100, rng) for s in ([9.0, 1.0, 0.5], [1.0, 0.9, 0.01], [1.0, 0.8, -0.3])]
    )
    for F in (near, far):
        U, sigma, V, R, _, _ = decompose(F, real)
        gap = (sigma[:, 1] + sigma[:, 2])[:, None, None] / sigma[:, :1, None]  # conditions the polar factor
        assert np.all(np.abs(R - U @ V.transpose(0, 2, 1)) * gap <= 3.0 * TOLERANCE[real])


def test_limits_of_newton_iteration_are_continuous():
    # det F = 0.1 and |F|^2 = 30 separate the two branches.
    rng = np.random.default_rng(3)
    base = with_singular_values([1.0, 1.0, 0.1], 50, rng)
    large = with_singular_values([5.0, 2.0, 1.0], 50, rng)
    for F in (base, large):
        below, above = (decompose((1.0 - 1.0e-12) * F)[3], decompose((1.0 + 1.0e-12) * F)[3])
        assert np.abs(below - above).max() <= 1.0e-13


@REALS
def test_non_finite_input_is_not_hidden(real):
    F = np.array([np.full((3, 3), np.nan), np.diag([np.inf, 1.0, 1.0]), np.diag([1.0, np.nan, 1.0])])
    _, sigma, _, R, _, _ = decompose(F, real)
    assert not np.any(np.all(np.isfinite(sigma), axis=1))
    assert not np.any(np.all(np.isfinite(R), axis=(1, 2)))


ADJOINT_CASES = ("isotropic", "exact_pair", "two_equal_large", "two_equal_small", "nearly_rest", "rotation")


@pytest.mark.parametrize("name", [*ADJOINT_CASES, "stretched", "inverted"])
def test_polar_adjoint_matches_central_differences(name):
    rng = np.random.default_rng(4)
    cases = samples() | {"stretched": np.eye(3) + 0.2 * rng.standard_normal((200, 3, 3))}
    F = cases[name]
    sigma = np.linalg.svd(F, compute_uv=False)
    F = F[(np.linalg.det(F) > 0.2) | (sigma[:, 1] - sigma[:, 2] > 0.3)]
    assert len(F) > 0
    G, D = rng.standard_normal((2, *F.shape))
    _, _, _, _, by_svd, by_solve = decompose(F, G=G)

    def loss(t):
        return np.sum(G * decompose(F + t * D)[3], axis=(1, 2))

    # Fourth-order stencil: truncation ~ h^4 |R^(5)| / 30 ~ 1e-11 and rounding ~ 1e-16 / h ~ 1e-12.
    h = 1.0e-4
    expected = (8.0 * (loss(h) - loss(-h)) - (loss(2.0 * h) - loss(-2.0 * h))) / (12.0 * h)
    for adjoint in (by_svd, by_solve):
        size = np.linalg.norm(adjoint, axis=(1, 2)) * np.linalg.norm(D, axis=(1, 2))
        assert np.all(np.abs(np.sum(adjoint * D, axis=(1, 2)) - expected) <= 1.0e-9 * size)
    assert np.abs(by_svd - by_solve).max() <= 1.0e-12 * np.abs(by_svd).max()


def test_polar_adjoint_at_rest_is_half_the_antisymmetric_part():
    G = np.random.default_rng(5).standard_normal((1, 3, 3))
    _, _, _, _, by_svd, by_solve = decompose(np.eye(3)[None], wp.float32, G)
    expected = 0.5 * (G - G.transpose(0, 2, 1))
    assert np.abs(by_svd - expected).max() <= 1.0e-6
    assert np.abs(by_solve - expected).max() <= 1.0e-6


def test_adjoints_stay_finite_where_the_polar_factor_jumps():
    F = np.array([np.diag([1.0, 0.5, -0.5]), np.diag([1.0, 0.0, 0.0]), np.zeros((3, 3)), -np.eye(3)])
    G = np.random.default_rng(6).standard_normal(F.shape)
    for real in (wp.float32, wp.float64):
        assert all(np.all(np.isfinite(a)) for a in decompose(F, real, G))


def test_cofactor_is_derivative_of_determinant():
    cofactor = svd_functions(wp.float64).cofactor

    @wp.kernel(module="unique")
    def evaluate(F: wp.array(dtype=wp.mat33d), C: wp.array(dtype=wp.mat33d)):
        C[wp.tid()] = cofactor(F[wp.tid()])

    F = np.random.default_rng(7).standard_normal((20, 3, 3))
    out = wp.zeros(20, dtype=wp.mat33d, device="cpu")
    wp.launch(evaluate, dim=20, inputs=[wp.array(F, dtype=wp.mat33d, device="cpu")], outputs=[out], device="cpu")
    expected = np.linalg.det(F)[:, None, None] * np.linalg.inv(F).transpose(0, 2, 1)
    assert np.abs(out.numpy() - expected).max() <= 1.0e-13 * np.abs(expected).max()


def test_other_scalar_types_are_refused():
    with pytest.raises(ValueError, match=r"wp\.float32 and wp\.float64"):
        svd_functions(wp.float16)
