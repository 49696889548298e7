# SPDX-License-Identifier: Apache-2.0
"""The part of a scene that is gas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from simenv.physics.gas.model import GasModel, Scalar, Side
from simenv.physics.pressure.solve import Accuracy

__all__ = ["Gas"]


@dataclass
class Gas:
    """Gas in a box.

    Attributes:
        name: prefix of its parameters.
        origin, size: of the box [m]; dx: of its cells [m].
        density: [kg/m^3]; viscosity: [Pa s].
        sides: by name; scalars: what is mixed in, by name; sources: where each acts on cells (nx, ny, nz), by name.
        accuracy: of the pressure; limited: whether scalars make no new extremes.
        obstacles: names of what it goes around; None is all that is solid.
        confinement: strength of vorticity confinement [1/s].
    """

    name: str
    origin: tuple[float, ...]
    size: tuple[float, ...]
    dx: float
    density: float
    viscosity: float
    sides: Mapping[str, Side]
    scalars: Mapping[str, Scalar]
    accuracy: Accuracy
    limited: bool = True
    obstacles: tuple[str, ...] | None = None
    confinement: float = 0.0
    sources: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Cells along x, y and z."""
        x, y, z = (max(1, round(side / self.dx)) for side in self.size)
        return (x, y, z)

    def centres(self) -> np.ndarray:
        """Of the cells, (nx, ny, nz, 3) [m]."""
        axes = [o + self.dx * (np.arange(n) + 0.5) for o, n in zip(self.origin, self.shape, strict=True)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), -1)

    def model(self) -> GasModel:
        """As its stepper sees it."""
        return GasModel(
            self.shape, self.dx, self.sides, self.scalars, tuple(self.sources.values()), self.accuracy, self.limited,
            self.confinement > 0.0,
        )  # fmt: skip
