# SPDX-License-Identifier: Apache-2.0
"""Tactile sensors: force fields on a gel and its markers, batched and differentiable (docs/tactile.md)."""

from simenv.sensors.tactile.contact import TactileReading, TactileState
from simenv.sensors.tactile.elastic import ElasticLayerGel
from simenv.sensors.tactile.field import TactileField
from simenv.sensors.tactile.grid import curved_grid, flat_grid
from simenv.sensors.tactile.markers import MarkerField, draw_markers, marker_grid
from simenv.sensors.tactile.winkler import TacSLGel, WinklerGel

__all__ = [
    "ElasticLayerGel",
    "MarkerField",
    "TacSLGel",
    "TactileField",
    "TactileReading",
    "TactileState",
    "WinklerGel",
    "curved_grid",
    "draw_markers",
    "flat_grid",
    "marker_grid",
]
