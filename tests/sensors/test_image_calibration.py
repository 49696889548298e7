# SPDX-License-Identifier: Apache-2.0
"""Calibration of tactile images: on made images with a known answer, and on the real ones of the package taxim."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

from simenv import assets
from simenv.errors import AssetError
from simenv.scripts import calibrate_tactile as command
from simenv.sensors.tactile.calibration import TactileCalibration
from simenv.sensors.tactile.fitting import BallImages, averaged_background, ball_depth
from simenv.sensors.tactile.image import TableShader, TactileImage
from simenv.sensors.tactile.membrane import Membrane
from simenv.sensors.tactile.metrics import compare
from simenv.sensors.tactile.photometry import NormalTable


def made_images(count=12, rows=60, columns=80, noise=1.0):
    """Images by a known sensor: lamps along three directions, two blurs, a ball twice as deep as its circle."""
    rng = np.random.default_rng(0)
    angle = 2 * np.pi * np.arange(3) / 3

    def response(nx, ny):
        lit = 60 * (nx[..., None] * np.cos(angle) + ny[..., None] * np.sin(angle)) + 20 * (nx**2 * ny)[..., None]
        return lit[..., None] * np.array([0, 0, 0, 0.3, -0.2, 1.0])

    table = NormalTable.sample(response, (1 / columns, 1 / rows))
    background = rng.integers(100, 140, (rows, columns, 3), dtype=np.uint8)
    sensor = TactileCalibration("made", 1e-4, background, Membrane((1e-4, 8e-4), (0.6, 0.4)), table, {})
    centres = rng.uniform((15, 12), (65, 48), (count, 2))
    radii = rng.uniform(7, 10, count)
    data = BallImages(np.zeros((count, rows, columns, 3), np.uint8), background, centres, radii, 2e-3, 1e-4)
    clean = TactileImage(sensor).render(torch.from_numpy(ball_depth(data, 2.0)).float()).numpy()
    images = np.clip(np.round(clean + noise * rng.normal(size=clean.shape)), 0, 255).astype(np.uint8)
    return BallImages(images, background, centres, radii, 2e-3, 1e-4), clean


def write_folder(folder, data):
    Image.fromarray(data.background).save(folder / "background.png")
    with (folder / "contacts.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(command.COLUMNS)
        for k, image in enumerate(data.images):
            Image.fromarray(image).save(folder / f"{k}.png")
            writer.writerow([f"{k}.png", *data.centres[k], data.radii[k]])


def test_command_calibrates_a_folder(tmp_path, capsys):
    data, clean = made_images()
    write_folder(tmp_path, data)
    out = tmp_path / "out"
    run = command.CalibrateTactile(str(tmp_path), name="mine", ball_radius=2e-3, pixel=1e-4, out=out)
    assert run.run() == 0
    text = capsys.readouterr().out
    assert "| fit |" in text and "| constant background |" in text
    about = json.loads((out / "mine.json").read_text())["about"]
    ours, nothing = about["metrics"]["fit"], about["metrics"]["constant background"]
    assert ours["psnr"] > nothing["psnr"] + 10.0
    # a model without error still has the noise of sigma 1, rounded: a mean of sqrt(2 / pi (1 + 1 / 12)) = 0.83
    assert ours["mae"] < 0.83 + 0.6
    assert about["fit"]["sink"] == 2.0
    held = np.arange(len(clean)) % 3 == 2
    sensor = TactileImage(TactileCalibration.load(out / "mine.json"))
    image = sensor.render(torch.from_numpy(ball_depth(data.subset(held), 2.0)).float()).numpy()
    assert np.abs(image - clean[held]).mean() < 0.8
    with Image.open(out / "mine.png") as picture:
        assert picture.size == (4 * 80, 2 * 60)


def test_command_names_what_a_folder_lacks(tmp_path):
    with pytest.raises(ValueError, match="--ball-radius and --pixel"):
        command.CalibrateTactile(str(tmp_path)).run()
    with pytest.raises(AssetError, match=r"background.png is missing"):
        command.CalibrateTactile(str(tmp_path), ball_radius=2e-3, pixel=1e-4).run()
    with pytest.raises(ValueError, match="no source"):
        command.CalibrateTactile("taxim:digit").run()
    data, _ = made_images(count=3)
    write_folder(tmp_path, data)
    (tmp_path / "contacts.csv").write_text("file,x,y\n0.png,1,2\n")
    with pytest.raises(AssetError, match="it needs file, x, y, radius"):
        command.CalibrateTactile(str(tmp_path), ball_radius=2e-3, pixel=1e-4).run()
    with pytest.raises(AssetError, match="widest contact"):
        BallImages(data.images, data.background, data.centres, data.radii, 0.5e-3, 1e-4)


def test_averaging_lowers_the_noise_of_the_background():
    data, _ = made_images(noise=3.0)
    rng = np.random.default_rng(1)
    noisy = np.clip(data.background + np.round(3.0 * rng.normal(size=data.background.shape)), 0, 255).astype(np.uint8)
    first = BallImages(data.images, noisy, data.centres, data.radii, 2e-3, 1e-4)
    after = np.abs(averaged_background(first).astype(float) - data.background).mean()
    before = np.abs(noisy.astype(float) - data.background).mean()
    # about half of 12 images count in the middle, more at the border: 1 / sqrt(7), and the halos' rest
    assert after < 0.55 * before


def test_ball_depth_is_a_cap():
    data = BallImages(
        np.zeros((1, 41, 41, 3), np.uint8), np.zeros((41, 41, 3), np.uint8), np.array([[20.0, 20.0]]), np.array([10.0]),
        2e-3, 1e-4,
    )  # fmt: skip
    depth = ball_depth(data, 1.0)[0]
    assert depth[20, 20] == pytest.approx(2e-3 - np.sqrt(3) * 1e-3)
    assert depth[20, 30] == pytest.approx(0.0, abs=1e-12) and depth[20, 25] == pytest.approx(
        np.sqrt(4e-6 - 0.25e-6) - np.sqrt(3e-6)
    )


def test_metrics_of_known_images():
    rng = np.random.default_rng(2)
    image = rng.integers(0, 200, (40, 50, 3)).astype(float)
    same = compare(image, image)
    assert same["ssim"] == pytest.approx(1.0) and same["mae"] == 0.0 and same["psnr"] == np.inf
    shifted = compare(image + 10.0, image)
    assert shifted["psnr"] == pytest.approx(20 * np.log10(255 / 10)) and shifted["mae"] == pytest.approx(10.0)
    # two constant images have no structure: SSIM is its luminance term, (2 m n + c) / (m^2 + n^2 + c)
    flat = compare(np.full((20, 20, 3), 100.0), np.full((20, 20, 3), 150.0))
    c1 = (0.01 * 255) ** 2
    assert flat["ssim"] == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1))


@pytest.mark.parametrize("name", ["gelsight", "gelsight_mini"])
def test_held_out_real_images(name):
    # every third real image is not in the fit of the stored calibration; at half of the camera's resolution
    pytest.importorskip("taxim", reason="the real images are in the package taxim (pip install --no-deps taxim)")
    data, shipped = command.taxim_images(name, command.BALL_RADIUS, command.PIXELS[name])
    data = data.subset(np.arange(len(data.images)) % 3 == 2).coarser(240)
    calibration = TactileCalibration.load(assets.path(f"tactile/{name}.json"))
    sensor = TactileImage(calibration)
    sink = calibration.about["fit"]["sink"]
    pictures = {"fit": sensor.render(torch.from_numpy(ball_depth(data, sink)).float()).numpy()}
    # Taxim's position counts pixels of the full image
    table = type(shipped)(shipped.values, (2.0, 2.0))
    shade = TableShader(table, data.background, data.pixel, torch.float32, torch.device("cpu"))
    pictures["shipped"] = shade(torch.from_numpy(ball_depth(data, 1.0)).float()).numpy()
    pictures["background"] = np.broadcast_to(data.background, data.images.shape)
    found = command.metrics(pictures, data.images)
    for other in ("shipped", "background"):
        assert found["fit"]["psnr"] > found[other]["psnr"] + 2.0
        assert found["fit"]["ssim"] > found[other]["ssim"]
        assert found["fit"]["mae"] < found[other]["mae"]
