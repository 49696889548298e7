# SPDX-License-Identifier: Apache-2.0
"""Gradients through solids at rest, where F = I and all singular values are equal: generated adjoints of an SVD give
NaN or zero there. The adjoints of the decompositions alone are tested in tests/geometry/test_svd.py, and those of the
constitutive models in tests/physics/test_constitutive.py; here it is one substep of the whole solver.
"""

import numpy as np
import pytest
import torch

from simenv.physics.mpm.materials import Bingham, Elastic, ElastoPlastic, HerschelBulkley, Sand, Snow
from simenv.world import Scene, World
from tests.gradients.scenes import DX, block

MATERIALS = {
    "corotated": Elastic(1000.0, 4.0e4, 0.3),
    "neo_hookean": Elastic(1000.0, 4.0e4, 0.3, "neo_hookean"),
    "von_mises": ElastoPlastic(1000.0, 4.0e4, 0.3, 500.0),
    "bingham": Bingham(1000.0, 4.0e4, 5.0, 500.0),
    "flowing": HerschelBulkley(1000.0, 4.0e4, 5.0, 0.5, 20.0),
    "cohesive_sand": Sand(1000.0, 4.0e4, 0.3, 0.5, 200.0),
    "snow": Snow(1000.0, 4.0e4),
}
TOLERANCE = 1e-6
DT = 4.0e-4


def returns(world, F, C):
    state = world.initial_state()
    after = world.step(state.replace(F=F, C=C), world.zero_control())
    assert (after.status == 0).all()
    random = torch.Generator().manual_seed(0)
    weights = [torch.randn(getattr(after, name).shape[1:], generator=random, dtype=torch.float64) for name in "vCF"]
    return sum((getattr(after, name) * w).flatten(1).sum(1) for name, w in zip("vCF", weights, strict=True))


def make(material, worlds):
    scene = Scene((0.16, 0.16, 0.16), DX, DT, 1, gravity=(0.0, 0.0, 0.0))
    scene.add_material("m", MATERIALS[material])
    scene.add_particles("p", "m", block((0.05, 0.05, 0.05), (4, 4, 4)), (0.5 * DX) ** 3)
    return World(scene, worlds, dtype=torch.float64)


STRETCHES = {
    "rest": (1.0, 1.0, 1.0),
    "isotropic": (1.02, 1.02, 1.02),
    "pressed": (0.96, 0.96, 0.96),
    "two equal": (1.003, 1.003, 0.999),
}


@pytest.mark.parametrize("stretch", STRETCHES.values(), ids=STRETCHES.keys())
@pytest.mark.parametrize("material", MATERIALS)
def test_gradient_through_one_substep_at_repeated_singular_values(material, stretch):
    world = make(material, 1)
    random = torch.Generator().manual_seed(1)
    F = torch.diag(torch.tensor(stretch, dtype=torch.float64))
    F = F.expand(1, world.particle_count, 3, 3).clone().requires_grad_()
    C = torch.zeros_like(F).requires_grad_()
    grads = torch.autograd.grad(returns(world, F, C).sum(), (F, C))
    epsilons = (1e-4, 1e-5, 1e-6)
    batch = make(material, 4 * len(epsilons))
    worst = 0.0
    for leaf, grad in enumerate(grads):
        d = torch.randn(F.shape[1:], generator=random, dtype=torch.float64)
        inputs = [value.detach().expand(4 * len(epsilons), -1, -1, -1).clone() for value in (F, C)]
        for index, epsilon in enumerate(epsilons):
            inputs[leaf][2 * index] += epsilon * d
            inputs[leaf][2 * index + 1] -= epsilon * d
        with torch.no_grad():
            values = returns(batch, *inputs)[: 2 * len(epsilons)].reshape(-1, 2)
        slopes = ((values[:, 0] - values[:, 1]) / (2 * torch.tensor(epsilons, dtype=torch.float64))).numpy()
        analytic = float((grad[0] * d).sum())
        worst = max(worst, np.abs(slopes / analytic - 1).min())
    print(f"\nmeasured {material} {stretch}: {worst:.1e}")
    assert worst <= TOLERANCE


def test_small_rotation_leaves_no_stress():
    # a wrong polar adjoint shows as stress, and so as acceleration, in a body that only turns
    world = make("corotated", 1)
    state = world.initial_state()
    angle = torch.tensor(0.3, dtype=torch.float64)
    turn = torch.eye(3, dtype=torch.float64)
    turn[0, 0] = turn[1, 1] = torch.cos(angle)
    turn[0, 1], turn[1, 0] = -torch.sin(angle), torch.sin(angle)
    after = world.step(state.replace(F=turn.expand_as(state.F).clone()), world.zero_control())
    assert after.v.abs().max() < 1e-12
