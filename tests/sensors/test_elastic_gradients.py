# SPDX-License-Identifier: Apache-2.0
"""Derivatives of the elastic gel: central differences over steps of a path, and where slope or slip is zero."""

import math

import numpy as np
import pytest
import torch

from simenv.geometry import Cylinder, Sphere
from simenv.physics.gels.solve import Accuracy
from tests.sensors.gels import ORIGIN, E, R, make, press
from tests.sensors.scenes import gradient_error, pose


@pytest.mark.parametrize(("n", "thickness"), [(12, None), (18, 0.003)])  # summed directly, by Fourier transforms
def test_gradients_over_three_steps(n, thickness):
    rng = np.random.default_rng(2)
    field = make(n, Sphere(R), side=0.004, thickness=thickness, accuracy=Accuracy(1e-13))
    start = pose(z=R - 2e-4) + torch.as_tensor(rng.normal(size=(1, 7)) * 3e-5)
    step = rng.normal(size=(1, 7)) * (2e-5, 2e-5, 1e-5, 1e-3, 1e-3, 1e-3, 1e-3)
    weight = torch.as_tensor(rng.normal(size=(1, n * n, 3)))
    leaves = {"body": start, "next": start + torch.as_tensor(step), "sensor": pose()}
    leaves |= {"modulus": torch.tensor([1.1 * E]), "mu": torch.tensor([0.4]), "poisson": torch.tensor([0.43])}
    leaves = {name: leaf.double() for name, leaf in leaves.items()}

    def value(x):
        numbers = {name: x[name] for name in ("modulus", "mu", "poisson")}
        _, state = field.measure(x["body"], x["sensor"], None, None, None, numbers)
        first, state = field.measure(x["next"], x["sensor"], state, None, None, numbers)
        second, state = field.measure(0.5 * (x["next"] + x["body"]), x["sensor"], state, None, None, numbers)
        return (second.field() * weight).sum() + 1e3 * first.shear.square().sum() + second.wrench.sum()

    steps = {"body": 1e-10, "next": 1e-10, "sensor": 1e-10, "modulus": 1.0, "mu": 1e-6, "poisson": 1e-6}
    errors = gradient_error(value, leaves, steps)
    print("\nmeasured", {k: f"{v:.1e}" for k, v in errors.items()})
    assert max(errors.values()) <= 1e-5, errors


def test_zero_slope_and_zero_slip():
    """A flat punch, pressed, that has not slid yet: its stiffness is force over depth, as the response is linear."""
    depth, move = 1e-4, 1e-6
    field = make(14, Cylinder(0.0015, 0.004), mu=20.0, accuracy=Accuracy(1e-12))
    body = pose(z=0.004 - depth).requires_grad_()
    reading, _ = field.measure(body, ORIGIN)
    (grad,) = torch.autograd.grad(reading.normal.sum(), body)
    assert torch.isfinite(grad).all()
    assert float(grad[0, 2]) == pytest.approx(-float(reading.normal.sum()) / depth, rel=1e-6)
    _, state = press(field, depth, bottom=0.004)
    still, _ = field.measure(body, ORIGIN, state)
    (grad,) = torch.autograd.grad(still.wrench[0, 0], body)
    moved, _ = press(field, depth, move, state, bottom=0.004)
    stiffness = float(moved.wrench[0, 0] - still.wrench[0, 0]) / move
    assert torch.isfinite(grad).all()
    # the few taxels at the rim that the pressure has made slip return at the first move: one-sided derivatives differ
    assert float(grad[0, 0]) == pytest.approx(stiffness, rel=0.02)
    # no touch: nothing flows
    body = pose(z=0.0041).requires_grad_()
    reading, state = field.measure(body, ORIGIN, state)
    (grad,) = torch.autograd.grad(reading.field().sum() + reading.wrench.sum() + state.stick.sum(), body)
    assert not grad.any() and math.isfinite(float(reading.normal.sum()))


def test_frictionless_gel_has_a_gradient():
    field = make(12, mu=0.0)
    body = pose(x=1e-5, z=R - 2e-4).requires_grad_()
    reading, state = field.measure(body, ORIGIN)
    reading, _ = field.measure(body + 1e-6, ORIGIN, state)
    (grad,) = torch.autograd.grad(reading.wrench.sum(), body)
    assert torch.isfinite(grad).all() and grad[0, 2] != 0 and not reading.shear.any()
