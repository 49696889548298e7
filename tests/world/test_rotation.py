# SPDX-License-Identifier: Apache-2.0
"""Rotations against their closed forms, through the angle at which the series ends."""

import math

import pytest
import torch

from simenv.physics.rotation import quaternion_from_rotation_vector, quaternion_to_matrix, rotate

AXIS = torch.tensor([2.0, -3.0, 6.0], dtype=torch.float64) / 7.0


@pytest.mark.parametrize("angle", [0.0, 1e-8, 1e-4, 1.9e-3, 1.999e-3, 2.001e-3, 0.1, 1.0, 3.1])
def test_rotation_vector(angle):
    # the series is left at a half-angle of 1e-3, where its first omitted term is 1e-18 / 720
    half = angle / 2
    expected = torch.cat([math.sin(half) * AXIS, torch.tensor([math.cos(half)], dtype=torch.float64)])
    torch.testing.assert_close(quaternion_from_rotation_vector(angle * AXIS), expected, rtol=4e-16, atol=4e-16)


def test_matrix_and_rotation_follow_rodrigues():
    angle, vector = 0.7, torch.tensor([0.3, -1.1, 0.4], dtype=torch.float64)
    q = quaternion_from_rotation_vector(angle * AXIS)
    along, across = (AXIS @ vector) * AXIS, torch.linalg.cross(AXIS, vector)
    expected = along + math.cos(angle) * (vector - along) + math.sin(angle) * across
    torch.testing.assert_close(rotate(q, vector), expected, rtol=1e-15, atol=1e-15)
    torch.testing.assert_close(quaternion_to_matrix(q) @ vector, expected, rtol=1e-15, atol=1e-15)
