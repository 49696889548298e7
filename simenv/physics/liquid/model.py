# SPDX-License-Identifier: Apache-2.0
"""What the solver of incompressible liquids has to know about a scene."""

from __future__ import annotations

from dataclasses import dataclass, field

from simenv.physics.mpm.model import ColliderSpec
from simenv.physics.pressure.levels import Grid
from simenv.physics.pressure.solve import Accuracy

__all__ = ["LiquidModel"]

KEEPING = 0.95  # of how particles' velocities differ from the grid's
KEEPING_TENSE = 0.0  # the same where the surface has tension: what cells do not see would leave it bit by bit
SINGLE, DOUBLE = 1e-5, 1e-11  # tolerances of the pressure in the two precisions, of the largest speed


@dataclass(frozen=True)
class LiquidModel:
    """A liquid in a box of cells.

    Attributes:
        shape: cells along x, y and z; dx: their size [m]; origin: lower corner of the box [m].
        particles: of a world; colliders: shapes of solids; mounts: the frame that moves by itself and carries each, -1
            for one that moves as told; local: its pose about that frame's centre of mass [m, xyzw].
        sticks: along which axes the liquid sticks to walls.
        tension: whether its surface has any.
        keeping: share of how a particle's velocity differs from that of the grid, which it keeps (Fei et al. 2021).
        relaxing: share of what crowds a cell that is undone in a tick.
        accuracy: of the pressure.
    """

    shape: tuple[int, int, int]
    dx: float
    origin: tuple[float, float, float]
    particles: int
    colliders: tuple[ColliderSpec, ...] = ()
    mounts: tuple[int, ...] = ()
    local: tuple[tuple[float, ...], ...] = ()
    sticks: tuple[bool, bool, bool] = (False, False, False)
    tension: bool = False
    keeping: float = KEEPING
    relaxing: float = 0.5
    accuracy: Accuracy = field(default_factory=lambda: Accuracy(SINGLE))

    @property
    def grid(self) -> Grid:
        """Its cells."""
        return Grid(self.shape)

    @property
    def moves(self) -> bool:
        """Whether it moves any body."""
        return any(mount >= 0 for mount in self.mounts)
