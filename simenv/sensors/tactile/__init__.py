# SPDX-License-Identifier: Apache-2.0
"""Tactile sensors: force fields on a gel, batched over worlds and differentiable (docs/tactile.md)."""

from simenv.sensors.tactile.contact import TactileReading, TactileState
from simenv.sensors.tactile.elastic import ElasticGel
from simenv.sensors.tactile.field import TactileField
from simenv.sensors.tactile.grid import curved_grid, flat_grid
from simenv.sensors.tactile.winkler import TacSLGel, WinklerGel

__all__ = [
    "ElasticGel",
    "TacSLGel",
    "TactileField",
    "TactileReading",
    "TactileState",
    "WinklerGel",
    "curved_grid",
    "flat_grid",
]
