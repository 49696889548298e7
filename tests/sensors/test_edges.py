# SPDX-License-Identifier: Apache-2.0
"""Taxels whose normals pass an edge of the object by next to nothing: force and derivative say the same."""

import numpy as np
import pytest
import torch

from simenv.geometry import Box, Cylinder
from simenv.sensors.tactile import ElasticLayerGel, TactileField, WinklerGel, flat_grid
from tests.sensors.scenes import DOUBLE, turned

ROWS, PRESSED, HALF = 14, 6e-4, 0.008
GRID = flat_grid(ROWS, 10, 0.028, 0.02)
STILL = torch.tensor([[0.0, 0, 0, 0, 0, 0, 1]], dtype=DOUBLE)
SHAPES = {"cylinder": (Cylinder(0.012, HALF), 0.012), "box": (Box((0.012, 0.012, HALF)), 0.012)}
GELS = {"springs": WinklerGel(8e7, 4e7, 0.7), "elastic": ElasticLayerGel(1e5, 0.7, 0.45, 4e-3)}


def place(shape, tilt, beyond):
    """Pose of a shape on its side, its end's edge above a row of taxels and `beyond` it [m]."""
    thick = SHAPES[shape][1]
    cosine, sine = np.cos(tilt), np.sin(tilt)
    # the lower edge of the end is at (y, z) = R (-half along, -thick), from the pose's place
    edge = np.array([-HALF * cosine + thick * sine, -HALF * sine - thick * cosine])
    column, row = (np.unique(np.asarray(GRID.points)[:, axis])[4 - axis] for axis in (0, 1))
    position = (column, row - beyond - edge[0], -PRESSED - edge[1] + (0.0 if tilt > 0 else -2 * HALF * abs(sine)))
    return torch.tensor([[*position, *turned((1.0, 0.0, 0.0), -0.5 * np.pi + tilt)]], dtype=DOUBLE)


@pytest.mark.parametrize("gel", GELS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_force_has_the_derivative_of_its_own_face(shape, gel):
    sensor = TactileField(GRID, GELS[gel], SHAPES[shape][0], DOUBLE)
    weights = torch.randn(1, GRID.count, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    compared = switched = 0
    for tilt in (0.05, 0.004, -0.004, -0.05):
        for beyond in (1e-5, 6e-8, 2e-8, -2e-8, -6e-8, -1e-5):
            pose = place(shape, tilt, beyond)

            def force(at):
                return sensor.measure(at, STILL)[0]

            leaf = pose.clone().requires_grad_()
            (exact,) = torch.autograd.grad((force(leaf).normal * weights).sum(), leaf)
            for axis in (1, 2):
                way = torch.zeros_like(pose)
                way[0, axis] = 2e-9
                ahead, behind = force(pose + way), force(pose - way)
                if ((ahead.depth > 0) != (behind.depth > 0)).any():
                    switched += 1
                    continue
                difference = float(((ahead.normal - behind.normal) * weights).sum()) / 4e-9
                assert difference == pytest.approx(float(exact[0, axis]), rel=2e-5, abs=1e-3), (tilt, beyond, axis)
                compared += 1
    assert compared >= 40 and switched <= 8
