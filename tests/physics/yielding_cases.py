# SPDX-License-Identifier: Apache-2.0
"""Launches of the yielding materials' updates and adjoints on arrays, and deformations at which to test them."""

import functools

import numpy as np
import warp as wp

from simenv.geometry.svd import scalar_types
from simenv.physics.mpm.yielding import HERSCHEL_BULKLEY, SAND, SNOW, yielding_functions
from tests.physics.test_constitutive import deformed, with_stretches

wp.set_module_options({"enable_backward": False})

NUMPY = {wp.float32: np.float32, wp.float64: np.float64}
MODELS = {"herschel_bulkley": HERSCHEL_BULKLEY, "sand": SAND, "snow": SNOW}
MU, LAM, DT = 1.3, 2.1, 0.05  # [Pa], [s]
COMPRESSED, STRETCHED = 0.025, 0.0075  # snow's limits
# One parameter vector per model and regime: density, lambda or bulk modulus, mu, then what columns.py says.
PARAMETERS = {
    "solid": (HERSCHEL_BULKLEY, [1.0, LAM, MU, 0.02, 50.0, 0.6, 0.0, 0.0]),
    "thinning": (HERSCHEL_BULKLEY, [1.0, LAM, MU, 0.1, 0.08, 0.5, 0.0, 0.0]),
    "bingham": (HERSCHEL_BULKLEY, [1.0, LAM, MU, 0.1, 0.08, 1.0, 0.0, 0.0]),
    "thickening": (HERSCHEL_BULKLEY, [1.0, LAM, MU, 0.03, 0.08, 1.7, 0.0, 0.0]),
    "sand": (SAND, [1.0, LAM, MU, 0.9, 0.0, 0.1, 0.0, 0.0]),
    "cohesive": (SAND, [1.0, LAM, MU, 0.9, 0.2, 0.1, 0.0, 0.0]),
    "snow": (SNOW, [1.0, LAM, MU, COMPRESSED, STRETCHED, 5.0, 6.0, 0.0]),
}


@functools.cache
def kernels(real):
    mat33, _vec3 = scalar_types(real)
    vec8 = wp.types.vector(8, real)
    functions = yielding_functions(real)
    update, adjoint = functions.yielding_update, functions.yielding_update_adjoint

    @wp.kernel(module="unique")
    def run_update(
        model: int, dt: real, F: wp.array(dtype=mat33), J: wp.array(dtype=real), C: wp.array(dtype=mat33),
        par: wp.array(dtype=vec8),
        F_out: wp.array(dtype=mat33), J_out: wp.array(dtype=real), tau_out: wp.array(dtype=mat33),
        valid_out: wp.array(dtype=wp.int32),
    ):  # fmt: skip
        i = wp.tid()
        f, j, t, ok = update(model, F[i], J[i], C[i], par[i], dt)
        F_out[i] = f
        J_out[i] = j
        tau_out[i] = t
        valid_out[i] = ok

    @wp.kernel(module="unique")
    def run_adjoint(
        model: int, dt: real, F: wp.array(dtype=mat33), J: wp.array(dtype=real), C: wp.array(dtype=mat33),
        par: wp.array(dtype=vec8), adj_F: wp.array(dtype=mat33), adj_J: wp.array(dtype=real),
        adj_tau: wp.array(dtype=mat33),
        adj_F_out: wp.array(dtype=mat33), adj_J_out: wp.array(dtype=real), adj_C_out: wp.array(dtype=mat33),
        adj_par_out: wp.array(dtype=vec8),
    ):  # fmt: skip
        i = wp.tid()
        f, j, c, p = adjoint(model, F[i], J[i], C[i], par[i], dt, adj_F[i], adj_J[i], adj_tau[i])
        adj_F_out[i] = f
        adj_J_out[i] = j
        adj_C_out[i] = c
        adj_par_out[i] = p

    return run_update, run_adjoint


def _launch(index, model, real, inputs, outputs, dt):
    types = {3: scalar_types(real)[0], 2: wp.types.vector(8, real), 1: real}
    arrays = [np.ascontiguousarray(a, dtype=NUMPY[real]) for a in inputs]
    arrays = [wp.array(a, dtype=types[a.ndim], device="cpu") for a in arrays]
    kinds = {"m": types[3], "v": types[2], "s": real, "i": wp.int32}
    out = [wp.zeros(len(inputs[0]), dtype=kinds[k], device="cpu") for k in outputs]
    wp.launch(kernels(real)[index], dim=len(inputs[0]), inputs=[model, dt, *arrays], outputs=out, device="cpu")
    return [a.numpy().astype(np.float64) for a in out]


def update(model, F, J, C, par, real=wp.float64, dt=DT):
    """F_new, J_new, tau and valid of every row."""
    return _launch(0, model, real, [F, J, C, par], "msmi", dt)


def adjoint(model, F, J, C, par, adjoints, real=wp.float64, dt=DT):
    """Adjoints of F, J, C and the parameters, from those of F_new, J_new and tau."""
    return _launch(1, model, real, [F, J, C, par, *adjoints], "msmv", dt)


def rows(F, par):
    """J, C and the parameter vector for every row of F: a particle at rest in its own deformation."""
    return np.ones(len(F)), np.zeros_like(F), np.tile(np.asarray(par, dtype=float), (len(F), 1))


def deformations():
    rng = np.random.default_rng(0)
    pairs = ([1.3, 1.3, 0.8], [1.3, 0.8, 0.8], [0.99, 0.99, 1.2], [0.99, 0.99, 1.002], [0.9, 0.9, 0.8])
    near = [[1.3 + e, 1.3, 0.8] for e in (1e-12, 1e-8, 1e-4)] + [[0.9 + e, 0.9, 0.8] for e in (1e-12, 1e-8, 1e-4)]
    near += [[0.99 + e, 0.99, 0.8] for e in (1e-12, 1e-8, 1e-4)]
    return {
        "deformed": deformed(150, rng),
        "small": np.eye(3) + 0.01 * rng.standard_normal((80, 3, 3)),
        "compressed": 0.9 * deformed(100, rng, 0.1),
        "rest": np.eye(3)[None],
        "isotropic": np.array([0.8, 0.9, 0.99, 1.25])[:, None, None] * np.eye(3),
        "exact_pair": np.array([np.diag(np.roll(p, k)) for p in pairs for k in range(3)]),
        "pair": np.concatenate([with_stretches(p, 20, rng) for p in pairs]),
        "near_pair": np.concatenate([with_stretches(p, 15, rng) for p in near]),
    }


def yield_margin(model, F, J, par):
    """How far the trial state is from every kink of the model, in its own scale; computed independently."""
    s = np.linalg.svd(F, compute_uv=False)
    eps = np.log(s)
    mean = eps.mean(1)
    dev = np.linalg.norm(eps - mean[:, None], axis=1)
    if model == HERSCHEL_BULKLEY:
        return np.abs(np.sqrt(2.0) * par[:, 2] * dev / par[:, 4] - 1.0)
    if model == SAND:
        modulus = 2 * par[:, 2] + 3 * par[:, 1]
        total = mean + np.log(J) / 3
        radius = par[:, 4] - par[:, 3] * modulus * total
        apex = par[:, 4] / (par[:, 3] * modulus)
        cone = np.where(radius > 0, np.abs(2 * par[:, 2] * dev - radius), 1.0)
        return np.minimum.reduce([np.abs(radius), cone, np.abs(3 * (total - apex) - par[:, 5])])
    low, high = 1 - par[:, 3], 1 + par[:, 4]
    limits = np.minimum(np.abs(s - low[:, None]), np.abs(s - high[:, None])).min(1)
    plastic = J * np.prod(s / np.clip(s, low[:, None], high[:, None]), axis=1)
    return np.minimum(limits * 10, np.abs(np.exp(par[:, 5] * (1 - plastic)) / par[:, 6] - 1.0))
