# SPDX-License-Identifier: Apache-2.0
"""Materials of the material point method: what a user gives, and the parameter vector that the kernels read."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

import torch

from simenv.physics.mpm.constitutive import COROTATED, NEO_HOOKEAN, VON_MISES
from simenv.physics.mpm.kernels_transfer import LIQUID

PARAMETER_COUNT = 8  # length of a material's parameter vector in the kernels (five are used, see kernels_transfer.py)


@dataclass(frozen=True)
class Material:
    """Base of all materials. Every numeric field is a physical parameter of each world and may require a gradient.

    Attributes:
        density: mass per initial volume [kg/m^3].
    """

    kind: ClassVar[int]
    density: float

    def __post_init__(self) -> None:
        for name in self.parameter_names():
            value = getattr(self, name)
            if not value >= 0.0 or (name == "density" and value == 0.0):
                raise ValueError(f"{type(self).__name__}: {name} = {value}; it must be positive (SI units)")

    @classmethod
    def parameter_names(cls) -> tuple[str, ...]:
        """Names of the physical parameters of this material."""
        return tuple(field.name for field in fields(cls) if field.type == "float")

    @staticmethod
    def kernel_parameters(values: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """Columns (density, lambda or bulk modulus, mu, viscosity, yield stress), each (N,), from the named
        parameters.
        """
        raise NotImplementedError

    def sound_speed(self) -> float:
        """Speed of pressure waves [m/s], which limits the time step."""
        raise NotImplementedError


@dataclass(frozen=True)
class Liquid(Material):
    """Weakly compressible Newtonian liquid: p = K (1/J - 1), deviatoric stress 2 eta dev(D).

    Attributes:
        bulk_modulus: K [Pa]. Water has 2.2e9; choose K so that the speed of sound sqrt(K / rho) is about ten times the
            fastest motion: the density then varies by about 1 % (Monaghan 1994), at a time step that is a hundred times
            longer.
        viscosity: dynamic viscosity eta [Pa s].
    """

    kind: ClassVar[int] = LIQUID
    bulk_modulus: float
    viscosity: float = 0.0

    @staticmethod
    def kernel_parameters(values: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """See `Material.kernel_parameters`."""
        zero = torch.zeros_like(values["density"])
        return [values["density"], values["bulk_modulus"], zero, values["viscosity"], zero]

    def sound_speed(self) -> float:
        """Speed of pressure waves [m/s]."""
        return (self.bulk_modulus / self.density) ** 0.5


def _check_poisson_ratio(material: Elastic | ElastoPlastic) -> None:
    if not material.poisson_ratio < 0.5:
        name = type(material).__name__
        raise ValueError(f"{name}: poisson_ratio = {material.poisson_ratio}; it must be below 0.5 (try 0.45)")


def _lame(values: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    young, poisson = values["youngs_modulus"], values["poisson_ratio"]
    return young * poisson / ((1 + poisson) * (1 - 2 * poisson)), young / (2 * (1 + poisson))


@dataclass(frozen=True)
class Elastic(Material):
    """Elastic solid, fixed-corotated (default) or neo-Hookean.

    Attributes:
        youngs_modulus: E [Pa]; poisson_ratio: nu, in [0, 0.5); model: ``"corotated"`` or ``"neo_hookean"``.
    """

    youngs_modulus: float
    poisson_ratio: float = 0.3
    model: str = "corotated"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_poisson_ratio(self)
        if self.model not in ("corotated", "neo_hookean"):
            raise ValueError(f"Elastic: model = {self.model!r}; use 'corotated' or 'neo_hookean'")

    @property
    def kind(self) -> int:  # type: ignore[override]
        """Constitutive model, as the kernels number it."""
        return COROTATED if self.model == "corotated" else NEO_HOOKEAN

    @staticmethod
    def kernel_parameters(values: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """See `Material.kernel_parameters`."""
        lam, mu = _lame(values)
        zero = torch.zeros_like(lam)
        return [values["density"], lam, mu, zero, zero]

    def sound_speed(self) -> float:
        """Speed of pressure waves [m/s]."""
        lam = self.youngs_modulus * self.poisson_ratio / ((1 + self.poisson_ratio) * (1 - 2 * self.poisson_ratio))
        mu = self.youngs_modulus / (2 * (1 + self.poisson_ratio))
        return ((lam + 2 * mu) / self.density) ** 0.5


@dataclass(frozen=True)
class ElastoPlastic(Material):
    """Von Mises elasto-plastic solid in Hencky strain, without hardening.

    Attributes:
        youngs_modulus: E [Pa]; poisson_ratio: nu, in [0, 0.5); yield_stress: uniaxial yield stress [Pa] (Kirchhoff).
    """

    kind: ClassVar[int] = VON_MISES
    youngs_modulus: float
    poisson_ratio: float
    yield_stress: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_poisson_ratio(self)

    @staticmethod
    def kernel_parameters(values: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """See `Material.kernel_parameters`."""
        lam, mu = _lame(values)
        return [values["density"], lam, mu, torch.zeros_like(lam), values["yield_stress"]]

    def sound_speed(self) -> float:
        """Speed of pressure waves [m/s]."""
        return Elastic(self.density, self.youngs_modulus, self.poisson_ratio).sound_speed()
