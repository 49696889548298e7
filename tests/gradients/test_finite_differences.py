# SPDX-License-Identifier: Apache-2.0
"""Gradients of a return over 20 control steps in contact, against central differences, for all materials and inputs."""

import functools

import pytest
import torch

from tests.gradients.scenes import MATERIALS, Problem, central_differences, direction, plateau, press_scene

TOLERANCE = 1e-5  # float64, relative
FLOAT32_TOLERANCE = 1e-2
LEAVES = {
    "liquid": ("bulk_modulus",),
    "viscous": ("bulk_modulus", "viscosity"),
    "corotated": ("youngs_modulus", "poisson_ratio"),
    "neo_hookean": ("youngs_modulus", "poisson_ratio"),
    "von_mises_elastic": ("youngs_modulus", "poisson_ratio"),
    "von_mises_flowing": ("youngs_modulus", "poisson_ratio", "yield_stress"),
    "bingham": ("bulk_modulus", "viscosity", "yield_stress", "shear_modulus"),
    "thinning": ("bulk_modulus", "consistency", "exponent", "yield_stress", "shear_modulus"),
    "thickening": ("bulk_modulus", "consistency", "exponent", "yield_stress", "shear_modulus"),
    "sand": ("youngs_modulus", "poisson_ratio", "friction_angle", "dilation_limit"),
    "cohesive_sand": ("youngs_modulus", "poisson_ratio", "friction_angle", "cohesion", "dilation_limit"),
    "snow": (
        "youngs_modulus",
        "poisson_ratio",
        "critical_compression",
        "critical_stretch",
        "hardening",
        "hardening_limit",
    ),
    "every_family": ("bulk_modulus", "viscosity"),
    "two_materials": ("bulk_modulus", "viscosity"),
}


def make(name, worlds=1, dtype=torch.float64):
    return Problem(press_scene(name), worlds, dtype)


@functools.cache
def gradients(name, dtype=torch.float64):
    problem = make(name, dtype=dtype)
    return problem, problem.gradients()


def check(name, make_problem, names, seeds=(11, 12)):
    """Compare `names` of the gradient of one world with the differences; returns the errors."""
    problem, grads = gradients(name)
    errors = {}
    for seed in seeds:
        slopes = central_differences(make_problem, names, seed)
        for leaf in names:
            analytic = float((grads[leaf][0] * direction(leaf, problem.leaves[leaf][0], seed)).sum())
            numeric = plateau(slopes[leaf])
            assert abs(numeric) > 1e-9, f"{leaf} has no influence on the return, which tests nothing"
            error = abs(analytic - numeric) / abs(numeric)
            errors[leaf] = max(error, errors.get(leaf, 0.0))
    print(f"\nmeasured {name}: " + ", ".join(f"{leaf} {error:.1e}" for leaf, error in errors.items()))
    wrong = {leaf: error for leaf, error in errors.items() if error > TOLERANCE}
    assert not wrong, f"relative errors above {TOLERANCE}: {wrong}"


# every_family has two materials in touch, and more
QUICK = [pytest.param(name, marks=pytest.mark.slow) if name == "two_materials" else name for name in MATERIALS]
ROUNDED = ("liquid", "corotated", "thinning", "every_family")  # in the quick suite, in single precision
GRAINS = ("sand", "cohesive_sand")  # in single precision in test_sides.py


@pytest.mark.parametrize("name", QUICK)
def test_gradient_of_motion_and_state(name):
    problem, _grads = gradients(name)
    touching = sum(float(force.norm(dim=1).min()) > 0.01 for force in problem.forces)
    assert touching >= len(problem.forces) / 2, "both colliders must press [N] on the block, or nothing is tested"
    names = [leaf for leaf in ("twist", "v", "x", "body_q", "gravity", "C", "F", "J") if leaf in problem.leaves]
    check(name, functools.partial(make, name), tuple(names))


@pytest.mark.parametrize("name", QUICK)
def test_gradient_of_parameters(name):
    names = tuple(f"a.{leaf}" for leaf in ("density", *LEAVES[name])) + ("ball.friction", "floor.friction")
    if name in ("two_materials", "every_family"):
        names += ("b.density", "b.youngs_modulus", "b.poisson_ratio")
    if name == "every_family":
        names += ("c.density", "c.youngs_modulus", "c.critical_compression", "c.hardening")
    check(name, functools.partial(make, name), names, seeds=(11,))  # scalars have one direction


@pytest.mark.parametrize(
    "name", [n if n in ROUNDED else pytest.param(n, marks=pytest.mark.slow) for n in MATERIALS if n not in GRAINS]
)
def test_float32_gradient_is_close_to_float64(name):
    _, exact = gradients(name)
    _, single = gradients(name, torch.float32)
    errors = {leaf: float((single[leaf].double() - exact[leaf]).norm() / exact[leaf].norm()) for leaf in exact}
    errors = {leaf: error for leaf, error in errors.items() if exact[leaf].norm() > 0}
    print(f"\nmeasured {name}: " + ", ".join(f"{leaf} {error:.1e}" for leaf, error in errors.items()))
    assert max(errors.values()) <= FLOAT32_TOLERANCE, errors
