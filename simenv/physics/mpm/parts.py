# SPDX-License-Identifier: Apache-2.0
"""What a scene gives the particle solver, as plain records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simenv.physics.mpm.model import ColliderSpec


@dataclass(frozen=True)
class Particles:
    """A named group of particles of one material; `velocity` (n, 3) [m/s], `volume` of each [m^3]."""

    name: str
    material: str
    positions: np.ndarray
    velocity: np.ndarray
    volume: float
    active: bool
    span: slice


@dataclass(frozen=True)
class Inclusion:
    """A ball in a group of solid particles at rest: `centre`, `radius`, `edge` [m]; `stiffness` over that around it."""

    particles: str
    centre: tuple[float, float, float]
    radius: float
    stiffness: float
    edge: float


@dataclass(frozen=True)
class Collider:
    """A shape that particles collide with, fixed to a body (or to the world if `body` is None)."""

    name: str
    spec: ColliderSpec
    body: str | None
    position: tuple[float, float, float]
    quaternion: tuple[float, float, float, float]
    friction: float
    scale: float
    color: tuple[float, float, float, float]


@dataclass(frozen=True)
class Emitter:
    """Lets particles of a group out of a disc in a body's frame: `count` per control step, at `offsets` (n, 3), with
    `velocity`.
    """

    name: str
    body: str
    particles: str
    count: int
    velocity: tuple[float, float, float]
    offsets: np.ndarray


@dataclass(frozen=True)
class Collector:
    """An axis-aligned box [m] that takes out particles which enter it."""

    name: str
    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
