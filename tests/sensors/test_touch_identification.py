# SPDX-License-Identifier: Apache-2.0
"""Stiffness and friction of a gel from the forces of a press and a shear, by gradients, against CMA-ES."""

import math

import cma
import numpy as np
import pytest
import torch

from simenv.geometry import Sphere
from simenv.physics.gels.solve import Accuracy
from simenv.rollouts.gauss_newton import GaussNewton
from simenv.sensors.tactile import ElasticLayerGel, TactileField, WinklerGel, flat_grid
from tests.sensors.gels import R
from tests.sensors.scenes import DOUBLE, pose

DEPTHS = (5e-5, 1e-4, 1.5e-4, 2e-4)
SLIDES = (1e-5, 2e-5, 4e-5, 8e-5)
RANGES = {"modulus": (2e4, 1e6), "poisson": (0.3, 0.5), "mu": (0.1, 2.0), "k_n": (1e7, 1e9), "k_t": (1e6, 1e9)}
LINEAR = ("poisson",)
ENOUGH = 0.02


def values(point, names):
    """Parameters (1,) from the unit box, most of them in logarithms."""
    found = {}
    for name, u in zip(names, point, strict=True):
        low, high = RANGES[name]
        found[name] = low + u * (high - low) if name in LINEAR else low * (math.log(high / low) * u).exp()
    return {name: value.reshape(1) for name, value in found.items()}


def rollout(field, parameters):
    """Wrenches of a press and a shear, (T, 2): normal and tangential force."""
    path = [(0.0, d) for d in DEPTHS] + [(x, DEPTHS[-1]) for x in SLIDES]
    state, seen = field.initial_state(1), []
    for x, depth in path:
        reading, state = field.measure(pose(x=x, z=R - depth), pose(), state, None, None, parameters)
        seen.append(reading.wrench[0, [0, 2]])
    return torch.stack(seen)


CASES = {
    "elastic": (ElasticLayerGel(1e5, accuracy=Accuracy(1e-8)), {"modulus": 1.7e5, "mu": 0.62}),
    "springs": (WinklerGel(1e8, 5e7), {"k_n": 1.4e8, "k_t": 4.2e7, "mu": 0.62}),
}


@pytest.mark.parametrize("name", CASES)
def test_parameters_are_found_with_a_tenth_of_the_rollouts_of_cma(name):
    gel, truth = CASES[name]
    field = TactileField(flat_grid(10, 10, 0.005, 0.005), gel, Sphere(R), DOUBLE)
    names = tuple(truth)
    seen = rollout(field, {k: torch.tensor([v], dtype=DOUBLE) for k, v in truth.items()})
    scale = seen.abs().amax(0)

    def residuals(point):
        return ((rollout(field, values(point, names)) - seen) / scale).flatten()

    def error(point):
        found = values(torch.as_tensor(point, dtype=DOUBLE), names)
        return max(abs(float(found[k]) / truth[k] - 1) for k in names)

    begin = np.full(len(names), 0.3)
    search = GaussNewton(begin, 0.3, 1e-6)
    steps = 0
    while error(search.point) > ENOUGH and steps < 100 and not search.done:
        point = torch.as_tensor(search.ask(), dtype=DOUBLE).requires_grad_()
        r = residuals(point)
        steps += 1
        if search.tell(r.detach().numpy(), False):
            (gradient,) = torch.autograd.grad(0.5 * r.square().sum(), point)
            search.sweep(gradient.numpy())
    evolution = cma.CMAEvolutionStrategy(begin, 0.3, {"bounds": [0, 1], "seed": 1, "verbose": -9})
    rollouts = 0
    while not rollouts or (error(evolution.result.xbest) > ENOUGH and rollouts < 2000):
        points = evolution.ask()
        with torch.no_grad():
            losses = [float(residuals(torch.as_tensor(p)).square().sum()) for p in points]
        evolution.tell(points, losses)
        rollouts += len(points)
    print(f"\nmeasured {name}: {steps} rollouts by gradients to {error(search.point):.4f}, {rollouts} by CMA-ES to "
          f"{error(evolution.result.xbest):.4f}")  # fmt: skip
    assert error(search.point) <= ENOUGH and steps <= 100
    assert rollouts >= 10 * steps
