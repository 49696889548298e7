# SPDX-License-Identifier: Apache-2.0
"""Materials of the material point method: what a user gives, and the parameter vector that the kernels read.

What they have in common is in material.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from simenv.physics import exact
from simenv.physics.mpm.constitutive import COROTATED, NEO_HOOKEAN, VON_MISES
from simenv.physics.mpm.kernels_transfer import LIQUID
from simenv.physics.mpm.material import Material
from simenv.physics.mpm.yielding import HERSCHEL_BULKLEY, SAND, SNOW

__all__ = ["Bingham", "Elastic", "ElastoPlastic", "HerschelBulkley", "Liquid", "Material", "Sand", "Snow"]


@dataclass(frozen=True)
class Liquid(Material):
    """Newtonian liquid, weakly compressible: p = K (1/J - 1), deviatoric stress 2 eta dev(D); or incompressible, in a
    scene whose particles are all of it, see `simenv.physics.liquid`.

    Attributes:
        bulk_modulus: K [Pa]. Water has 2.2e9; choose K so that the speed of sound sqrt(K / rho) is about ten times the
            fastest motion: the density then varies by about 1 % (Monaghan 1994), at a time step that is a hundred times
            longer. An incompressible liquid has none.
        viscosity: dynamic viscosity eta [Pa s].
        incompressible: whether it is.
        restore: share, 0 to 1, of what particle-grid transfers take from the flow that is given back; see
            `simenv.physics.mpm.kernels_restoring`. All materials of the scene must be liquids with the same.
        keep_volume: whether volume ratios and places of particles follow the density of the grid, so that volume does
            not drift (`packing` and `placing` of `simenv.physics.mpm`). It must be the scene's only material.
        surface_tension: sigma [N/m] of an incompressible liquid; water against air has 0.072. One that is given 0 has
            none, and no parameter of that name. Scenes with it have no colliders and bodies.
    """

    kind: ClassVar[int] = LIQUID
    is_liquid: ClassVar[bool] = True
    bulk_modulus: float = math.nan
    viscosity: float = 0.0
    incompressible: bool = False
    restore: float = 0.0
    keep_volume: bool = False
    surface_tension: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.restore <= 1.0:
            raise ValueError(f"Liquid: restore = {self.restore}; it is a share, from 0 to 1")
        given = {"bulk_modulus": self.bulk_modulus >= 0, "restore": self.restore > 0, "keep_volume": self.keep_volume}
        for name in (each for each in given if given[each] and self.incompressible):
            raise ValueError(f"Liquid: {name} = {getattr(self, name)} of one that is incompressible; leave it out")
        if self.surface_tension > 0 and not self.incompressible:
            raise ValueError(
                f"Liquid: surface_tension = {self.surface_tension} of one that is weakly compressible, whose "
                "surface the grid does not know; use incompressible=True, or leave it out"
            )

    def parameter_names(self) -> tuple[str, ...]:
        """Names of the physical parameters of this material."""
        without = {"restore"} | ({"bulk_modulus"} if self.incompressible else set())
        without |= {"surface_tension"} if self.surface_tension == 0.0 else set()
        return tuple(name for name in super().parameter_names() if name not in without)

    @staticmethod
    def kernel_parameters(values: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """See `Material.kernel_parameters`."""
        zero = torch.zeros_like(values["density"])
        return [values["density"], values["bulk_modulus"], zero, values["viscosity"], zero]

    @staticmethod
    def pressure_modulus(values: dict[str, Any]) -> Any:
        """See `Material.pressure_modulus`; zero of one that is incompressible, in which no sound limits a time step."""
        return values.get("bulk_modulus", 0.0 * values["density"])

    @staticmethod
    def kinematic_viscosity(values: dict[str, Any]) -> Any:
        """See `Material.kinematic_viscosity`."""
        return values["viscosity"] / values["density"]

    @staticmethod
    def kinematic_tension(values: dict[str, Any]) -> Any:
        """See `Material.kinematic_tension`."""
        return values.get("surface_tension", 0.0 * values["density"]) / values["density"]


def _check_poisson_ratio(material: Elastic | ElastoPlastic | Sand | Snow) -> None:
    if not material.poisson_ratio < 0.5:
        name = type(material).__name__
        raise ValueError(f"{name}: poisson_ratio = {material.poisson_ratio}; it must be below 0.5 (try 0.45)")


def _lame(values: dict[str, Any]) -> tuple[Any, Any]:
    young, poisson = values["youngs_modulus"], values["poisson_ratio"]
    return young * poisson / ((1 + poisson) * (1 - 2 * poisson)), young / (2 * (1 + poisson))


def _elastic_modulus(values: dict[str, Any]) -> Any:
    lam, mu = _lame(values)
    return lam + 2 * mu


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

    @staticmethod
    def pressure_modulus(values: dict[str, Any]) -> Any:
        """See `Material.pressure_modulus`."""
        return _elastic_modulus(values)


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

    @staticmethod
    def pressure_modulus(values: dict[str, Any]) -> Any:
        """See `Material.pressure_modulus`."""
        return _elastic_modulus(values)


def _require_positive(material: Material, *names: str) -> None:
    for name in names:
        if not getattr(material, name) > 0.0:
            value = getattr(material, name)
            raise ValueError(f"{type(material).__name__}: {name} = {value}; it must be above zero (SI units)")


@dataclass(frozen=True)
class HerschelBulkley(Material):
    """Yield-stress and power-law liquid: |tau| = yield_stress + consistency rate^n where it flows.

    |tau| and rate are those of simple shear. It is elastic below the yield stress, and its flow is implicit in time, so
    that no viscosity needs a short substep; see `simenv.physics.mpm.rheology` for equations, sources and errors.

    Attributes:
        bulk_modulus: K [Pa], as for `Liquid`.
        consistency: k [Pa s^n].
        exponent: n; below 1 it thins with the rate (ketchup, mud: 0.3 to 0.6), above 1 it thickens.
        yield_stress: shear stress [Pa] below which it does not flow; 0 is a power-law liquid.
        shear_modulus: G [Pa] of the elastic response, well above the stresses that occur; 0 (default) takes K. The
            stress follows the rate with the relaxation time ``consistency rate^(n-1) / G``.
    """

    kind: ClassVar[int] = HERSCHEL_BULKLEY
    is_liquid: ClassVar[bool] = True
    bulk_modulus: float
    consistency: float
    exponent: float
    yield_stress: float
    shear_modulus: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shear_modulus == 0.0:
            object.__setattr__(self, "shear_modulus", self.bulk_modulus)
        _require_positive(self, "bulk_modulus", "exponent")

    @staticmethod
    def kernel_parameters(values: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """See `Material.kernel_parameters`."""
        names = ("density", "bulk_modulus", "shear_modulus", "consistency", "yield_stress", "exponent")
        return [values[name] for name in names]

    @staticmethod
    def pressure_modulus(values: dict[str, Any]) -> Any:
        """See `Material.pressure_modulus`."""
        return values["bulk_modulus"] + 4 / 3 * values["shear_modulus"]


@dataclass(frozen=True)
class Bingham(Material):
    """Yield-stress liquid whose stress grows linearly: |tau| = yield_stress + viscosity rate; else `HerschelBulkley`.

    Attributes:
        bulk_modulus: K [Pa], as for `Liquid`.
        viscosity: plastic viscosity [Pa s].
        yield_stress: shear stress [Pa] below which it does not flow.
        shear_modulus: G [Pa] of the elastic response, well above the stresses that occur; 0 (default) takes K. The
            stress follows the rate with the relaxation time ``viscosity / G``.
    """

    kind: ClassVar[int] = HERSCHEL_BULKLEY
    is_liquid: ClassVar[bool] = True
    bulk_modulus: float
    viscosity: float
    yield_stress: float
    shear_modulus: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shear_modulus == 0.0:
            object.__setattr__(self, "shear_modulus", self.bulk_modulus)
        _require_positive(self, "bulk_modulus")

    @staticmethod
    def kernel_parameters(values: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """See `Material.kernel_parameters`."""
        names = ("density", "bulk_modulus", "shear_modulus", "viscosity", "yield_stress")
        return [*(values[name] for name in names), torch.ones_like(values["density"])]

    @staticmethod
    def pressure_modulus(values: dict[str, Any]) -> Any:
        """See `Material.pressure_modulus`."""
        return values["bulk_modulus"] + 4 / 3 * values["shear_modulus"]


@dataclass(frozen=True)
class Sand(Material):
    """Granular solid that yields by friction (Drucker and Prager 1952; Klar et al. 2016), with optional cohesion.

    The cone touches the hexagon of Mohr and Coulomb in triaxial compression. It resists more in plane strain, as on a
    wide slope: that one flows above the angle `slope_angle`. See `simenv.physics.mpm.granular` for equations.

    Attributes:
        youngs_modulus: E [Pa] of the packing; choose it so that sound is about ten times faster than the motion.
        poisson_ratio: nu, in [0, 0.5).
        friction_angle: angle of internal friction in triaxial compression [rad], in (0, pi/2); dry sand 0.5 to 0.7.
        cohesion: shear strength without pressure [Pa] (Mohr-Coulomb); dry sand has none.
        dilation_limit: largest logarithmic volume strain of grains that came apart which must be closed before they
            press again; 0 is Klar's model without that memory.
    """

    kind: ClassVar[int] = SAND
    youngs_modulus: float
    poisson_ratio: float
    friction_angle: float
    cohesion: float = 0.0
    dilation_limit: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_poisson_ratio(self)
        if not 0.0 < self.friction_angle < math.pi / 2:
            raise ValueError(
                f"Sand: friction_angle = {self.friction_angle} rad; it must be between 0 and pi/2 "
                f"(if it is in degrees, use math.radians)"
            )

    @staticmethod
    def kernel_parameters(values: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """See `Material.kernel_parameters`."""
        lam, mu = _lame(values)
        sine, cosine = exact.sincos(values["friction_angle"])
        # sqrt(3/2) |dev tau| is the difference q of axial and lateral stress, which Mohr-Coulomb limits to
        # (6 sin(phi) p + 6 c cos(phi)) / (3 - sin(phi)) in triaxial compression.
        factor = (2 / 3) ** 0.5 * 6 / (3 - sine)
        return [
            values["density"],
            lam,
            mu,
            factor * sine,
            factor * cosine * values["cohesion"],
            values["dilation_limit"],
        ]

    @staticmethod
    def pressure_modulus(values: dict[str, Any]) -> Any:
        """See `Material.pressure_modulus`."""
        return _elastic_modulus(values)

    def slope_angle(self) -> float:
        """Angle [rad] above which a wide layer without cohesion flows down a slope.

        In steady shear without dilation the deviator is a pure shear, |dev tau| = sqrt(2) times the shear stress, so
        that shear stress over pressure is sqrt(3) * 2 sin(phi) / (3 - sin(phi)).
        """
        sine = math.sin(self.friction_angle)
        return math.atan(2 * 3**0.5 * sine / (3 - sine))


@dataclass(frozen=True)
class Snow(Material):
    """Snow that compacts and breaks (Stomakhin et al. 2013); see `simenv.physics.mpm.granular` for equations.

    Attributes:
        youngs_modulus: E [Pa] before hardening; the paper uses 1.4e5.
        poisson_ratio: nu, in [0, 0.5); the paper uses 0.2.
        critical_compression: theta_c, in [0, 1): stretches below 1 - theta_c are plastic; 0.019 to 0.025, less is more
            brittle.
        critical_stretch: theta_s: stretches above 1 + theta_s are plastic; 0.005 to 0.0075, less breaks sooner.
        hardening: xi; moduli grow by exp(xi (1 - J)) with the plastic volume ratio J; 5 to 10.
        hardening_limit: largest factor by which they grow, at least 1; the time step must suit it.
    """

    kind: ClassVar[int] = SNOW
    youngs_modulus: float
    poisson_ratio: float = 0.2
    critical_compression: float = 0.025
    critical_stretch: float = 0.0075
    hardening: float = 10.0
    hardening_limit: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_poisson_ratio(self)
        if not self.critical_compression < 1.0:
            raise ValueError(
                f"Snow: critical_compression = {self.critical_compression}; it must be below 1 (try 0.025)"
            )
        if not self.hardening_limit >= 1.0:
            raise ValueError(f"Snow: hardening_limit = {self.hardening_limit}; it must be at least 1 (try 10)")

    @staticmethod
    def kernel_parameters(values: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """See `Material.kernel_parameters`."""
        lam, mu = _lame(values)
        names = ("critical_compression", "critical_stretch", "hardening", "hardening_limit")
        return [values["density"], lam, mu, *(values[name] for name in names)]

    @staticmethod
    def pressure_modulus(values: dict[str, Any]) -> Any:
        """That of fully hardened snow."""
        return _elastic_modulus(values) * values["hardening_limit"]
