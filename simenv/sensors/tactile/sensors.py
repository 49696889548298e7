# SPDX-License-Identifier: Apache-2.0
"""Tactile cameras by name.

    sensor = TactileImage(gelsight_mini())
    sensor = TactileImage(digit(), shader=digit_shader())

GelSight R1.5 and Mini have colours fitted to real images (assets/README.md says which); DIGIT's are those of a model
with lamps, which nobody has calibrated: fit yours with `simenv calibrate-tactile`.
"""

from __future__ import annotations

import math

import torch

from simenv import assets
from simenv.sensors.tactile.calibration import TactileCalibration
from simenv.sensors.tactile.leds import Elastomer, LedShader
from simenv.sensors.tactile.membrane import Membrane
from simenv.sensors.tactile.photometry import Camera

__all__ = ["CAMERAS", "DIGIT", "SENSORS", "digit", "digit_shader", "gelsight_mini", "gelsight_r15"]

# Effective cameras of TacSL (Akinola et al. 2025, configuration files): distance to the gel, field of view across.
CAMERAS = {
    "gelsight_r15": Camera(20.343e-3, 2.0 * math.atan(11.989 / 20.343)),
    "gelsight_mini": Camera(26.7e-3, 2.0 * math.atan(12.625 / 26.7)),
}

# DIGIT (Lambeta et al. 2020): 320 x 240 pixels, three lamps around the gel. The places and strengths of the lamps and
# the field of view, 16 mm across, are this model's, not measured.
DIGIT_ROWS, DIGIT_COLUMNS, DIGIT_PIXEL = 320, 240, 16.0e-3 / 240
DIGIT = Elastomer(
    lamps=tuple(
        (26.0e-3 * math.cos(math.radians(a)), 26.0e-3 * math.sin(math.radians(a)), 11.0e-3) for a in (90, 210, 330)
    ),
    colours=((40.0, 40.0, 520.0), (480.0, 35.0, 40.0), (40.0, 450.0, 50.0)),
    ambient=(40.0, 40.0, 45.0),
    specular=0.15,
    penumbra=0.15,
)
DIGIT_MEMBRANE = Membrane((0.05e-3, 0.8e-3), (0.7, 0.3))


def gelsight_r15() -> TactileCalibration:
    """GelSight R1.5: 320 x 240 pixels of 0.0999 mm, 32 mm by 24 mm, as TacSL's camera sees it.

    The colours are fitted to the real GelSight images that Taxim was published with (another unit, 0.0295 mm per pixel
    at 640 x 480), turned upright and stretched over the view.
    """
    upright = TactileCalibration.load(assets.path("tactile/gelsight.json")).turned()
    return upright.resized(320, 240, CAMERAS["gelsight_r15"].pitch(240))


def gelsight_mini() -> TactileCalibration:
    """GelSight Mini: 240 x 320 pixels of 0.065 mm, fitted to the real images in the package `taxim`.

    Those images show contacts near the middle only, so that the colours of a slope are the same everywhere. TacSL's
    camera for the Mini sees 0.079 mm per pixel, 21 % more: `CAMERAS["gelsight_mini"].check` refuses this mixture.
    """
    return TactileCalibration.load(assets.path("tactile/gelsight_mini.json"))


def digit() -> TactileCalibration:
    """DIGIT: 320 x 240 pixels of 0.0667 mm, with a table made from the lamps of `DIGIT`. Not calibrated."""
    rows, columns, pixel = DIGIT_ROWS, DIGIT_COLUMNS, DIGIT_PIXEL
    background, table = DIGIT.background(rows, columns, pixel), DIGIT.table(rows, columns, pixel)
    about = {"source": "simenv.sensors.tactile.sensors.DIGIT, a model of lamps", "calibrated": False}
    return TactileCalibration("digit", pixel, background, DIGIT_MEMBRANE, table, about)


SENSORS = {"gelsight_r15": gelsight_r15, "gelsight_mini": gelsight_mini, "digit": digit}


def digit_shader(dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> LedShader:
    """The lamps of `DIGIT` ray by ray, with shadows, in place of the table."""
    background = DIGIT.background(DIGIT_ROWS, DIGIT_COLUMNS, DIGIT_PIXEL)
    return LedShader(DIGIT, background, DIGIT_PIXEL, dtype, device)
