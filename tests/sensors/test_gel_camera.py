# SPDX-License-Identifier: Apache-2.0
"""The camera of a gel that feels: places and depths of its pixels, and its colours, against closed forms."""

import numpy as np
import pytest
import torch

from simenv.geometry import Sphere
from simenv.physics.gels.contact import Contact
from simenv.sensors.tactile import ContactDepth, GelCamera, TactileImage, curved_grid, flat_grid, gelsight_mini

RADIUS, DEPTH = 6e-3, 5e-4
AT = (2e-3, -3e-3)  # of the sphere's middle over the gel [m]
REST = torch.tensor([[0, 0, 0, 0, 0, 0, 1.0]], dtype=torch.float64)


def sphere(x, y, z):
    return torch.tensor([[x, y, z, 0, 0, 0, 1.0]], dtype=torch.float64)


def along_normals(grid, centre):
    """Depth of a sphere below each taxel, along its normal: the first root of |p - d n - c| = R seen from inside, which
    is (p - c) . n + sqrt(((p - c) . n)^2 - |p - c|^2 + R^2) with d positive into the gel; NaN where a normal misses.
    """
    away = grid.points - centre
    b = (away * grid.normals).sum(-1)
    with np.errstate(invalid="ignore"):
        return b + np.sqrt(b**2 - (away**2).sum(-1) + RADIUS**2)


@pytest.mark.parametrize(("grid", "rows", "columns"), [
    (flat_grid(14, 10, 0.024, 0.032), 80, 60),
    (curved_grid(12, 12, 0.015, 0.015, 0.012, 0.012), 64, 64),
])  # fmt: skip
def test_depths_of_a_sphere_are_those_of_the_closed_form(grid, rows, columns):
    camera = GelCamera(Contact(grid, Sphere(RADIUS), torch.float64), gelsight_mini(), rows, columns)
    centre = np.array([*AT, RADIUS - DEPTH])
    got = camera.depth(sphere(*centre), REST)[0].numpy().ravel()
    # a pixel is where a taxel of the finer grid is: same place for one in the middle of the coarse cell
    assert camera.grid.size == pytest.approx(grid.size) and camera.grid.points[0, 0] < grid.points[0, 0] < 0
    want = along_normals(camera.grid, centre)
    touched = want > 0.0
    assert 20 < touched.sum() < 0.5 * got.size
    assert np.abs(got - want)[touched].max() < 1e-12
    assert (got[~touched] <= 0.0).all()


def test_a_flat_gel_is_seen_as_by_a_tactile_camera_of_its_own():
    grid, calibration = flat_grid(14, 10, 0.024, 0.032), gelsight_mini()
    camera = GelCamera(Contact(grid, Sphere(RADIUS), torch.float64), calibration, 80, 60)
    sensor = TactileImage(calibration.resized(80, 60, 0.4e-3), torch.float64)
    poses = torch.cat([sphere(*AT, RADIUS - DEPTH), sphere(0.0, 0.0, RADIUS + 1e-6)])
    want = sensor.render(ContactDepth(sensor, Sphere(RADIUS))(poses, REST.expand(2, 7)), as_uint8=True)
    got = camera(poses, REST.expand(2, 7))
    assert torch.equal(got, want) and got.dtype == torch.uint8
    assert (got[0].int() - got[1].int()).abs().max() > 30  # the imprint is seen
    assert np.array_equal(got[1].numpy(), sensor.calibration.background)  # a micrometre above: exactly the background


def test_pixels_must_be_square():
    contact = Contact(flat_grid(14, 10, 0.024, 0.032), Sphere(RADIUS))
    with pytest.raises(ValueError, match=r"64 x 64 pixels on a gel 32 mm high .* such as 64 x 48"):
        GelCamera(contact, gelsight_mini(), 64, 64)
