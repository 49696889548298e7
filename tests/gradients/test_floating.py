# SPDX-License-Identifier: Apache-2.0
"""Gradients through a light body in a liquid, whose contact is implicit in its motion, against central differences."""

import functools

import pytest
import torch

from simenv.geometry.shapes import Box, Capsule, Plane, Sphere
from simenv.physics.mpm.materials import Liquid
from simenv.world import Control, Scene, World
from tests.gradients.scenes import block
from tests.gradients.test_mixed import DX, TILT, pool

DOUBLE, STEPS = torch.float64, 8
# of a random direction: how large its numbers are
SIZES = {"body_q": 1e-2, "body_twist": 0.3, "owed": 1e-3, "x": 1e-3, "v": 0.3, "C": 5.0, "J": 1e-3}
FIELDS = tuple(SIZES)
PARAMETERS = (
    "ball.mass", "a.density", "a.bulk_modulus", "a.viscosity", "gravity", "ball.friction", "knob.friction",
    "floor.friction",
)  # fmt: skip


def splash_scene() -> Scene:
    """A box and a pill, turned and spinning, fall onto a liquid on a floor and meet; a ball, moved by `Control.twist`,
    pushes what it meets down.
    """
    scene = Scene((0.24, 0.22, 0.26), DX, 4.0e-4, 5)
    scene.add_material("a", Liquid(1000.0, 4.0e4, 2.0))
    scene.add_particles("p", "a", block((0.06, 0.06, 0.042), (12, 10, 4)), (0.5 * DX) ** 3, (0.05, 0.02, -0.1))
    scene.add_body(
        "box", Box((0.03, 0.033, 0.035)), 600.0, (0.113, 0.107, 0.128), (0.12, 0.2, 0.08, 0.95), "free",
        velocity=(0.1, 0.05, -0.8), angular_velocity=(3.0, -4.0, 2.0), width=DX,
    )  # fmt: skip
    scene.add_body(
        "pill", Capsule(0.03, 0.012), 1500.0, (0.168, 0.118, 0.121), (0.3, 0.1, 0.0, 0.9), "free",
        velocity=(-0.9, 0.0, -0.4), angular_velocity=(1.0, 5.0, -3.0), width=DX,
    )  # fmt: skip
    scene.add_body("hand", position=(0.125, 0.098, 0.205), quaternion=(0.1, 0.2, 0.3, 0.9))
    scene.add_collider("ball", Sphere(0.03), "hand", position=(0.004, -0.003, 0.002), friction=0.4, width=0.02)
    scene.add_collider("floor", Plane(), position=(0.0, 0.0, 0.03), friction=0.3, width=0.02)
    return scene


@functools.cache
def problem():
    """A ball of 300 kg/m^3, with a knob that is not at its centre, falls into a liquid that splashes on a floor and a
    blade that is moved; what is differentiated, and the return.
    """
    scene, generator = pool(), torch.Generator().manual_seed(0)
    scene.add_body(
        "ball", Sphere(0.03), 300.0, (0.105, 0.1, 0.116), TILT, "free", coupling="rigid", velocity=(0.1, 0.05, -0.8),
        angular_velocity=(2.0, -3.0, 4.0), width=DX, friction=0.3,
    )  # fmt: skip
    scene.add_collider("knob", Sphere(0.02), "ball", (0.02, 0.01, -0.02), friction=0.4, width=DX)
    scene.add_body("blade", position=(0.0713, 0.1021, 0.0709), quaternion=(0.05, 0.1, 0.02, 0.99))
    scene.add_collider("edge", Box((0.01, 0.03, 0.02)), "blade", friction=0.2, width=DX)
    world = World(scene, 1, dtype=DOUBLE)
    assert world.particles.model.answers == (False, True, True, False)
    start = world.initial_state()

    def normal(value: torch.Tensor) -> torch.Tensor:
        return torch.randn(value.shape, generator=generator, dtype=DOUBLE)

    leaves = {name: start[name].clone() for name in FIELDS} | {n: world.parameters[n].clone() for n in PARAMETERS}
    leaves["C"], leaves["J"] = 2.0 * normal(leaves["C"]), 1.0 + 1e-3 * normal(leaves["J"])
    weights = {name: normal(leaves[name]) for name in ("x", "v", "J", "body_q", "body_twist", "owed")}
    control = Control(torch.tensor([[[0.3, 0.1, 0.2, 0.5, 0.3, 0.2]]], dtype=DOUBLE))
    shares = {"x": 0.1, "v": 1e-3, "J": 1e-2, "body_q": 1.0, "body_twist": 1.0, "owed": 1.0}

    def returned(given) -> torch.Tensor:
        for name in PARAMETERS:
            world.parameters[name] = given[name]
        state = start.replace(**{name: given[name] for name in FIELDS})
        total = torch.zeros((), dtype=DOUBLE)
        for _ in range(STEPS):
            state = world.step(state, control)
            total = total + 0.1 * state.body_twist.square().sum()
        assert state.status.item() == 0
        return total + sum(share * (state[name] * weights[name]).sum() for name, share in shares.items())

    return leaves, returned


@functools.cache
def gradients():
    """Of the return, by leaf."""
    leaves, returned = problem()
    given = {name: value.clone().requires_grad_() for name, value in leaves.items()}
    return dict(zip(given, torch.autograd.grad(returned(given), list(given.values())), strict=True))


@pytest.mark.parametrize("name", [*FIELDS, *PARAMETERS])
def test_floating_bodies(name) -> None:
    leaves, returned = problem()
    generator = torch.Generator().manual_seed(3)
    value = leaves[name]
    size = SIZES.get(name) or value.abs().max().item()
    along = size * torch.randn(value.shape, generator=generator, dtype=DOUBLE)
    slope = float((gradients()[name] * along).sum())
    errors = []
    for step in (1e-6, 1e-7):
        with torch.no_grad():
            ends = [returned({**leaves, name: value + sign * step * along}).item() for sign in (1, -1)]
        errors.append(abs((ends[0] - ends[1]) / (2 * step) - slope) / abs(slope))
    print(f"\nmeasured {name}: slope {slope:.3e}, off by {min(errors):.1e}")
    assert min(errors) < 1e-5
