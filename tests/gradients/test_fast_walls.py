# SPDX-License-Identifier: Apache-2.0
"""Gradients of a liquid that a thin wall meets faster than it can push: particles stop at it on their way."""

import functools

import numpy as np
import pytest
import torch

from simenv.geometry.shapes import Cup
from simenv.physics.mpm import buffers
from simenv.physics.mpm.materials import Liquid
from simenv.world import Scene
from tests.gradients.scenes import DX, Problem, block, central_differences, direction, plateau

TOLERANCE = 1e-5  # float64, relative
NAMES = ("x", "v", "J", "twist", "body_q", "cup.friction", "a.density", "a.bulk_modulus")


def scene() -> Scene:
    """A cup, its wall a fifth of a cell thick, runs into the liquid that it holds, 2 mm in a substep."""
    made = Scene((0.24, 0.24, 0.24), DX, 4.0e-4, 5)
    made.add_material("a", Liquid(1000.0, 4.0e4, 0.5))
    points = block((0.08, 0.08, 0.075), (8, 8, 6))
    points = points[np.hypot(points[:, 0] - 0.12, points[:, 1] - 0.12) < 0.035]
    made.add_particles("p", "a", points, (0.5 * DX) ** 3, (-5.0, 0.4, -0.4))
    made.add_body("hand", position=(0.125, 0.12, 0.068))
    made.add_collider("cup", Cup(0.045, 0.1, 0.004, 0.004), "hand", friction=0.2, width=0.05 * DX)
    return made


def make(worlds: int = 1) -> Problem:
    return Problem(scene(), worlds, steps=3)


def test_gradients_where_walls_stop_particles(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make()
    grads, errors = problem.gradients(), {}
    stopped = problem.last.x.detach()
    slopes = central_differences(functools.partial(make), NAMES, 11)
    for leaf in NAMES:
        analytic = float((grads[leaf][0] * direction(leaf, problem.leaves[leaf][0], 11)).sum())
        numeric = plateau(slopes[leaf])
        assert abs(numeric) > 1e-9
        errors[leaf] = abs(analytic - numeric) / abs(numeric)
    print("\nmeasured: " + ", ".join(f"{leaf} {error:.1e}" for leaf, error in errors.items()))
    assert max(errors.values()) < TOLERANCE, errors
    monkeypatch.setattr(buffers, "SINK", 1e3)  # so that none is stopped
    free = make()
    with torch.no_grad():
        free.returns(free.leaves)
    assert float((free.last.x - stopped).abs().max()) > 1e-4  # [m]
