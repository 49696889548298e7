# SPDX-License-Identifier: Apache-2.0
"""The hull of a vessel: distances and gradients against those of a cylinder."""

import math

import pytest
import torch

from simenv.envs.regions import hull_distance, hull_planes
from simenv.geometry.shapes import Cylinder

RADIUS, HALF = 0.05, 0.04  # [m]
ROUND = 1.0 - math.cos(math.pi / 16)  # by which 16 planes miss a circle between two of them


def test_distances_and_gradients_beside_above_and_inside_a_cylinder() -> None:
    planes = hull_planes(Cylinder(RADIUS, HALF))
    assert planes.shape == (49, 4)
    turn = math.pi / 8  # to the next plane
    points = torch.tensor([[
        [0.08, 0.0, 0.0],  # straight before a side
        [0.08 * math.cos(turn), 0.08 * math.sin(turn), 0.0],
        [0.01, 0.0, 0.06],  # above the rim
        [0.049, 0.0, 0.0],  # inside
    ]], dtype=torch.float64).requires_grad_()  # fmt: skip
    distance = hull_distance(points, planes)
    assert distance[0].tolist() == pytest.approx([0.03, 0.03, 0.02, -0.001], abs=1e-6)
    between = 0.08 * torch.tensor([[[math.cos(turn / 2), math.sin(turn / 2), 0.0]]], dtype=torch.float64)
    assert float(hull_distance(between, planes)) == pytest.approx(0.03 - 0.08 * ROUND, abs=1e-6)
    weights = torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    (gradient,) = torch.autograd.grad((distance * weights).sum(), points)
    normals = [[1, 0, 0], [2 * math.cos(turn), 2 * math.sin(turn), 0], [0, 0, 3], [4, 0, 0]]
    torch.testing.assert_close(gradient[0], torch.tensor(normals, dtype=torch.float64))


def test_distance_is_the_largest_over_the_planes_by_numpy() -> None:
    planes = hull_planes(Cylinder(RADIUS, HALF))
    points = 0.2 * torch.rand(3, 50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.1
    wanted = (points.numpy() @ planes[:, :3].T - planes[:, 3]).max(-1)
    torch.testing.assert_close(hull_distance(points, planes), torch.as_tensor(wanted), rtol=0.0, atol=1e-15)
    single = hull_distance(points.float(), planes)
    torch.testing.assert_close(single, torch.as_tensor(wanted).float(), rtol=0.0, atol=1e-7)
