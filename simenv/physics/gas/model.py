# SPDX-License-Identifier: Apache-2.0
"""What a scene says about its gas: the grid, its sides, what is mixed in, and sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simenv.physics.gas.kernels_walls import OPEN, PERIODIC, SLIP, WALL
from simenv.physics.pressure.levels import Grid
from simenv.physics.pressure.solve import Accuracy

__all__ = ["GasModel", "Inlet", "Outlet", "Periodic", "Scalar", "Side", "Slip", "Wall"]

SIDES = ("x-", "x+", "y-", "y+", "z-", "z+")


@dataclass(frozen=True)
class Side:
    """One of six sides of the box. Use `Wall`, `Slip`, `Inlet`, `Outlet` or `Periodic`."""

    kind: int
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    profile: np.ndarray | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    lets_in: bool = False


def Wall(velocity: Sequence[float] = (0.0, 0.0, 0.0), **values: float) -> Side:
    """A wall that gas sticks to. It may move along itself [m/s], and hold scalars at values, by name."""
    return Side(WALL, _three(velocity), None, values)


def Slip(**values: float) -> Side:
    """A wall without friction."""
    return Side(SLIP, values=values)


def Inlet(velocity: Sequence[float], profile: np.ndarray | None = None, **values: float) -> Side:
    """A side through which gas comes in at a velocity [m/s], with scalars at values, by name. A profile multiplies the
    velocity: over the side's cells (a, b), or for each component (a, b, 3).
    """
    return Side(WALL, _three(velocity), profile, values, True)


def Outlet(**values: float) -> Side:
    """A side that is open to gas at rest at pressure zero; what comes in has scalars at values, by name."""
    return Side(OPEN, values=values)


def Periodic() -> Side:
    """A side that is the opposite one."""
    return Side(PERIODIC)


def _three(velocity: Sequence[float]) -> tuple[float, float, float]:
    x, y, z = (float(each) for each in velocity)
    return (x, y, z)


@dataclass(frozen=True)
class Scalar:
    """What is mixed into gas: heat, smoke, dye.

    Attributes:
        diffusivity: [m^2/s].
        lightness: share by which the density falls per unit of it: thermal expansion [1/K] of a temperature, negative
            for smoke that sinks.
        rest: the value at which it weighs nothing; start: at the start, a number or one for each cell.
        unit: of it.
        extinction: of light per unit of it [1/m], by which pictures draw it; 0 is not drawn. color: RGB.
    """

    diffusivity: float = 0.0
    lightness: float = 0.0
    rest: float = 0.0
    start: float | np.ndarray = 0.0
    unit: str = "1"
    extinction: float = 0.0
    color: tuple[float, float, float] = (0.85, 0.86, 0.88)


@dataclass(frozen=True)
class GasModel:
    """Gas in a box of cells.

    Attributes:
        shape: cells along x, y and z; dx: their size [m].
        sides: by name, of `SIDES`.
        scalars: by name.
        places: of sources, where and how much they act on cells (nx, ny, nz).
        accuracy: of the pressure.
        limited: whether scalars make no new extremes, at the price of kinks in their derivatives.
        confinement: whether there is vorticity confinement.
    """

    shape: tuple[int, int, int]
    dx: float
    sides: Mapping[str, Side]
    scalars: Mapping[str, Scalar]
    places: Sequence[np.ndarray] = ()
    accuracy: Accuracy = field(default_factory=lambda: Accuracy(1e-6))
    limited: bool = True
    confinement: bool = False

    @property
    def kinds(self) -> tuple[int, ...]:
        """Of the sides, of `kernels_walls`."""
        return tuple(self.sides[side].kind for side in SIDES)

    @property
    def grid(self) -> Grid:
        """Its cells."""
        x, y, z = (self.sides[side].kind == PERIODIC for side in SIDES[::2])
        return Grid(self.shape, (x, y, z))

    @property
    def held(self) -> np.ndarray:
        """Whether each side holds each scalar (S, 6)."""
        rows = [[name in self.sides[side].values for side in SIDES] for name in self.scalars]
        return np.array(rows or [[False] * 6], dtype=np.int32)

    @property
    def profile(self) -> np.ndarray:
        """Of the velocities of sides, over their cells, for each component (6, most, most, 3)."""
        nx, ny, nz = self.shape
        sizes = [(ny, nz)] * 2 + [(nx, nz)] * 2 + [(nx, ny)] * 2
        made = np.ones((6, max(a for a, _ in sizes), max(b for _, b in sizes), 3))
        for row, (name, size) in enumerate(zip(SIDES, sizes, strict=True)):
            given = self.sides[name].profile
            if not self.sides[name].lets_in:  # a wall moves along itself
                made[row, ..., row // 2] = 0.0
            if given is not None:
                each = given if np.ndim(given) == 3 else np.asarray(given)[..., None]
                made[row, : size[0], : size[1]] = np.broadcast_to(each, (*size, 3))
        return made
