# SPDX-License-Identifier: Apache-2.0
"""Gradients of a return over 20 control steps in which rigid bodies hit a liquid, a floor, a tool, a wall and each
other, against central differences.
"""

import functools

import pytest
import torch

from simenv.geometry.shapes import Box, Capsule, Plane, Sphere
from simenv.physics.mpm.materials import Elastic, Liquid
from simenv.world import Scene
from tests.gradients.scenes import DX, Problem, block, central_differences, direction, plateau

TOLERANCE = 1e-5  # float64, relative
LEAVES = ("free_q", "free_twist", "x", "v", "twist", "body_q", "gravity")


def splash_scene(name: str) -> Scene:
    """A box, turned and spinning, falls onto what lies on a floor; a ball, moved by `Control.twist`, pushes it down."""
    scene = Scene((0.24, 0.22, 0.26), DX, 4.0e-4, 5)
    if name == "solid":
        scene.add_material("a", Elastic(1000.0, 4.0e4, 0.3))
    else:
        scene.add_material("a", Liquid(1000.0, 4.0e4, 2.0))
    points = block((0.06, 0.06, 0.042), (12, 10, 4))
    scene.add_particles("p", "a", points, (0.5 * DX) ** 3, (0.05, 0.02, -0.1))
    scene.add_body(
        "box", Box((0.03, 0.033, 0.035)), 600.0, (0.113, 0.107, 0.128), (0.12, 0.2, 0.08, 0.95), "free",
        velocity=(0.1, 0.05, -0.8), angular_velocity=(3.0, -4.0, 2.0), spacing=0.011,
    )  # fmt: skip
    if name == "two":
        scene.add_body(
            "pill", Capsule(0.03, 0.012), 1500.0, (0.168, 0.118, 0.121), (0.3, 0.1, 0.0, 0.9), "free",
            velocity=(-0.9, 0.0, -0.4), angular_velocity=(1.0, 5.0, -3.0), spacing=0.011,
        )  # fmt: skip
    if name == "wall":  # two bodies squeeze each other between walls of the domain
        scene.add_body(
            "pill", Capsule(0.03, 0.012), 1500.0, (0.04, 0.112, 0.121), (0.3, 0.1, 0.0, 0.9), "free",
            velocity=(-0.9, 0.0, -0.4), angular_velocity=(1.0, 5.0, -3.0), spacing=0.011,
        )  # fmt: skip
    scene.add_body("hand", position=(0.125, 0.098, 0.205), quaternion=(0.1, 0.2, 0.3, 0.9))
    scene.add_collider("ball", Sphere(0.03), "hand", position=(0.004, -0.003, 0.002), friction=0.4, width=0.02)
    scene.add_collider("floor", Plane(), position=(0.0, 0.0, 0.03), friction=0.3, width=0.02)
    return scene


def make(name, worlds=1, dtype=torch.float64):
    return Problem(splash_scene(name), worlds, dtype)


@functools.cache
def gradients(name, dtype=torch.float64):
    problem = make(name, dtype=dtype)
    return problem, problem.gradients()


def parameters(name):
    names = ("box.density", "a.density", "ball.friction", "floor.friction")
    names += ("pill.density",) if name in ("two", "wall") else ()
    return names + (("a.youngs_modulus",) if name == "solid" else ("a.viscosity", "a.bulk_modulus"))


@pytest.mark.parametrize("name", ["liquid", pytest.param("solid", marks=pytest.mark.slow), "two", "wall"])
def test_gradient_with_rigid_bodies(name):
    problem, grads = gradients(name)
    errors = {}
    names = (*LEAVES, *parameters(name))
    for seed in (11, 12):
        slopes = central_differences(functools.partial(make, name), names, seed)
        for leaf in names:
            analytic = float((grads[leaf][0] * direction(leaf, problem.leaves[leaf][0], seed)).sum())
            numeric = plateau(slopes[leaf])
            assert abs(numeric) > 1e-9, f"{leaf} has no influence on the return, which tests nothing"
            errors[leaf] = max(abs(analytic - numeric) / abs(numeric), errors.get(leaf, 0.0))
    print(f"\nmeasured {name}: " + ", ".join(f"{leaf} {error:.1e}" for leaf, error in errors.items()))
    moved = (problem.last.body_q - problem.start.body_q)[0, 0, :3].detach().norm()
    assert float(moved) > 0.005  # [m]
    wrong = {leaf: error for leaf, error in errors.items() if error > TOLERANCE}
    assert not wrong, f"relative errors above {TOLERANCE}: {wrong}"
