# SPDX-License-Identifier: Apache-2.0
"""Tactile sensors: force fields on a gel, its markers and images, batched and differentiable (docs/tactile.md)."""

from simenv.physics.gels.contact import TactileReading, TactileState
from simenv.physics.gels.elastic import ElasticLayerGel, layer_gels
from simenv.physics.gels.grid import curved_grid, flat_grid
from simenv.physics.gels.winkler import TacSLGel, WinklerGel
from simenv.sensors.tactile.calibration import TactileCalibration
from simenv.sensors.tactile.field import TactileField
from simenv.sensors.tactile.gel_camera import GelCamera
from simenv.sensors.tactile.image import ContactDepth, TactileImage
from simenv.sensors.tactile.markers import MarkerField, draw_markers, marker_grid
from simenv.sensors.tactile.sensors import digit, digit_shader, gelsight_mini, gelsight_r15

__all__ = [
    "ContactDepth",
    "ElasticLayerGel",
    "GelCamera",
    "MarkerField",
    "TacSLGel",
    "TactileCalibration",
    "TactileField",
    "TactileImage",
    "TactileReading",
    "TactileState",
    "WinklerGel",
    "curved_grid",
    "digit",
    "digit_shader",
    "draw_markers",
    "flat_grid",
    "gelsight_mini",
    "gelsight_r15",
    "layer_gels",
    "marker_grid",
]
