# SPDX-License-Identifier: Apache-2.0
"""What all materials of particles have in common; materials.py has them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch

__all__ = ["PARAMETER_COUNT", "Material"]

PARAMETER_COUNT = 8  # length of a material's parameter vector in the kernels; columns.py says what stands where


@dataclass(frozen=True)
class Material:
    """Base of all materials. Every numeric field is a physical parameter of each world and may require a gradient.

    Attributes:
        density: mass per initial volume [kg/m^3].
        is_liquid: whether pictures show it with a smooth surface.
    """

    kind: ClassVar[int]
    is_liquid: ClassVar[bool] = False
    density: float

    def __post_init__(self) -> None:
        for name in self.parameter_names():
            value = getattr(self, name)
            if not 0.0 <= value < math.inf or (name == "density" and value == 0.0):
                raise ValueError(f"{type(self).__name__}: {name} = {value}; it must be positive and finite (SI units)")

    def parameter_names(self) -> tuple[str, ...]:
        """Names of the physical parameters of this material."""
        return tuple(field.name for field in fields(self) if field.type == "float")

    @staticmethod
    def kernel_parameters(values: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """Columns of the parameter vector (see columns.py), each (N,), from the named parameters."""
        raise NotImplementedError

    @staticmethod
    def pressure_modulus(values: dict[str, Any]) -> Any:
        """P-wave modulus [Pa], whose waves limit the time step, from the named parameters: numbers or tensors."""
        raise NotImplementedError

    @staticmethod
    def kinematic_viscosity(values: dict[str, Any]) -> Any:
        """Kinematic viscosity [m^2/s] that is integrated explicitly, which limits the time step too."""
        return 0.0 * values["density"]

    @staticmethod
    def kinematic_tension(values: dict[str, Any]) -> Any:
        """Surface tension over density [m^3/s^2], whose waves limit the time step too."""
        return 0.0 * values["density"]

    def sound_speed(self) -> float:
        """Speed of pressure waves [m/s]."""
        return (self.pressure_modulus(self._values()) / self.density) ** 0.5

    def diffusivity(self) -> float:
        """See `kinematic_viscosity`, of this material's own parameters [m^2/s]."""
        return self.kinematic_viscosity(self._values())

    def tension(self) -> float:
        """See `kinematic_tension`, of this material's own parameters [m^3/s^2]."""
        return self.kinematic_tension(self._values())

    def _values(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in self.parameter_names()}
