# SPDX-License-Identifier: Apache-2.0
"""Calibration on balls pressed in nearly to their equator, by made images with a known answer."""

import json

import numpy as np
import pytest
import torch

from simenv.scripts import calibrate_tactile as command
from simenv.sensors.tactile.calibration import TactileCalibration
from simenv.sensors.tactile.candidates import candidates, limits
from simenv.sensors.tactile.fitting import BallImages, ball_depth, choose, fit_calibration
from simenv.sensors.tactile.image import TactileImage
from simenv.sensors.tactile.membrane import Membrane
from simenv.sensors.tactile.photometry import NormalTable
from tests.sensors.test_image_calibration import write_folder

RADIUS, PIXEL, ROWS, COLUMNS, COUNT = 3e-3, 1.4e-4, 64, 86, 6


def pressed(sink, near, far, share, drawn=1.0):
    """Images by three lamps of a ball with a / R = 0.86 to 0.93.

    Args:
        sink: depth over that of the contact circle.
        near, far: widths of the blurs over the ball's radius.
        share: weight of the wide one.
        drawn: radius of the circles that are told over that of the true ones.
    """
    rng = np.random.default_rng(1)
    background = rng.integers(100, 140, (ROWS, COLUMNS, 3), dtype=np.uint8)
    centres = rng.uniform((30, 26), (56, 38), (COUNT, 2))
    radii = rng.uniform(0.86, 0.93, COUNT) * RADIUS / PIXEL
    angle = 2 * np.pi * np.arange(3) / 3

    def response(nx, ny):
        lit = 70 * (nx[..., None] * np.cos(angle) + ny[..., None] * np.sin(angle))
        return lit[..., None] * np.array([0, 0, 0, 0, 0, 1.0])

    table = NormalTable.sample(response, (1 / COLUMNS, 1 / ROWS))
    membrane = Membrane((near * RADIUS, far * RADIUS), (1 - share, share))
    sensor = TactileImage(TactileCalibration("made", PIXEL, background, membrane, table, {}))
    truth = BallImages(
        np.zeros((COUNT, ROWS, COLUMNS, 3), np.uint8), background, centres, radii, RADIUS, PIXEL
    )  # fmt: skip
    clean = sensor.render(torch.from_numpy(ball_depth(truth, sink)).float()).numpy()
    images = np.clip(np.round(clean + rng.normal(size=clean.shape)), 0, 255).astype(np.uint8)
    return BallImages(images, background, centres, drawn * radii, RADIUS, PIXEL)


def extent(change, centre, radius):
    """Root mean square width of an imprint [pixels], and how much longer than broad it is."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    weight = np.abs(change).sum(-1)
    weight = np.where((weight > 25) & (np.hypot(x - centre[0], y - centre[1]) < 2.2 * radius), weight, 0.0)
    spread = np.cov(np.stack([x.ravel(), y.ravel()]), aweights=weight.ravel(), bias=True)
    small, large = np.linalg.eigvalsh(spread)
    return np.sqrt(small + large), np.sqrt(large / small)


def numbers(fit):
    return fit.sink, fit.membrane.sigmas[0] / RADIUS, fit.membrane.sigmas[1] / RADIUS, fit.membrane.weights[1]


@pytest.mark.parametrize("truth", [(1.7, 0.1, 0.6, 0.75), (1.2, 0.05, 0.6, 0.75)], ids=str)
def test_the_truth_is_found_and_imprints_are_as_wide_and_round_as_the_real_ones(truth):
    """The search used to end at its largest sink, 3, in the first case."""
    data = pressed(*truth)
    fit = choose(data)
    np.testing.assert_allclose(numbers(fit), truth, rtol=1e-9)
    assert limits(fit.found(), RADIUS, data.radii * PIXEL) == []
    sensor = TactileImage(fit_calibration("made", data, fit, {}))
    drawn = sensor.render(torch.from_numpy(ball_depth(data, fit.sink)).float()).numpy()
    for image, mine, centre, radius in zip(data.images, drawn, data.centres, data.radii, strict=True):
        wide, long = extent(image.astype(float) - data.background, centre, radius)
        my_wide, my_long = extent(mine - data.background, centre, radius)
        assert my_wide == pytest.approx(wide, rel=0.02) and my_long == pytest.approx(long, rel=0.03)


def test_a_number_at_its_limit_is_told(tmp_path, capsys):
    """Circles drawn at 0.7 of the true ones: the ball then seems deeper than even a half space would let it."""
    data = pressed(1.7, 0.1, 0.6, 0.75, drawn=0.7)
    write_folder(tmp_path, data)
    out = tmp_path / "out"
    command.CalibrateTactile(str(tmp_path), name="mine", ball_radius=RADIUS, pixel=PIXEL, out=out).run()
    told = capsys.readouterr()
    about = json.loads((out / "mine.json").read_text())["about"]
    largest = candidates(RADIUS, data.radii * PIXEL)["sink"][-1]
    assert about["fit"]["sink"] == largest
    warning = f"depth of the ball over that of its contact circle (sink), {largest:.4g}, is the largest that"
    assert f"warning: {warning}" in told.err and warning in told.out  # and in the report, which is printed
    assert any(line.startswith(warning) for line in about["warnings"])


def test_candidates_end_at_the_depth_of_a_half_space():
    """Sneddon 1965: the contact circle of a ball in a half space, d = a / 2 log((R + a) / (R - a))."""
    for ratio, sink in ((0.1, 2.0), (0.5, 2.0), (0.9, 0.45 * np.log(19.0) / (1 - np.sqrt(0.19)))):
        assert candidates(1.0, np.array([ratio]))["sink"][-1] == pytest.approx(sink)
    narrow = {"sink": 1.0, "near": 0.015 * RADIUS, "far": 2.0 * RADIUS, "share": 0.9}
    found = limits(narrow, RADIUS, np.array([1e-3]))
    assert [text.split(",")[0].split("(")[1][:-1] for text in found] == ["sink", "far", "share"]
    assert "is the least that" in found[0] and f"{2.0 * RADIUS:.4g} m, is the largest" in found[1]
