# SPDX-License-Identifier: Apache-2.0
"""What a substep bears: limits of explicit integration on the physical parameters of a world.

A scene checks them when it is built, a world whenever a parameter is given a number, and at every step, on its device,
for each world of its own. The moduli are those of the undeformed material. A liquid keeps its speed of sound, as its
pressure is linear in its density; solids stiffen when they are compressed, so that one close to a limit may still fail,
which its status says (`too_fast`, `inverted` or `nonfinite`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from simenv.physics.mpm.materials import Material
from simenv.physics.status import TOO_STIFF, TOO_TENSE, TOO_VISCOUS

COURANT = 0.5  # largest sound_speed * substep / dx; explicit MLS-MPM becomes unstable a little above
DIFFUSION = 1 / 6  # largest kinematic viscosity * substep / dx^2
CAPILLARY = 1 / (4 * math.pi)  # largest surface tension / density * substep^2 / dx^3 (Brackbill et al. 1992)
ROUNDING = 1.0 + 1e-5  # what meets a limit exactly is let through, in single precision too


@dataclass(frozen=True)
class Limit:
    """One limit.

    Attributes:
        bit: of the status of a world that breaks it.
        names: of the parameters that it depends on.
        load: their share of what the substep bears, stable up to 1, from the parameters by name: numbers or tensors.
        step: the substep, in words.
        why: what it must hold.
        remedy: what to do about it.
        good: a value of the first of `names` with which the load is small.
    """

    bit: int
    names: tuple[str, ...]
    load: Callable[[Mapping[str, Any]], Any]
    step: str
    why: str
    remedy: str
    good: float = 0.0

    def bound(self, values: Mapping[str, float], name: str, good: float) -> float | None:
        """The last value of parameter `name` on the way from `good` to its present one that the substep bears; None if
        it does not bear `good` either.
        """
        low, high = good, values[name]
        if not self.load({**values, name: low}) <= 1.0:
            return None
        for _ in range(200):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.load({**values, name: middle}) <= 1.0 else (low, middle)
        return low

    def describe(self, values: Mapping[str, float], name: str, good: float) -> str:
        """One sentence about parameter `name`: its value, its limit, given a value that is good, and the remedy."""
        bound, value = self.bound(values, name, good), values[name]
        if bound is None:
            limit = f"with the present values of others it is {self.load(values):.3g} times what {self.step} bears"
        else:
            limit = f"{self.step} bears {'at most' if value > good else 'at least'} {bound:.4g}"
        return f"parameter {name!r} = {value:g}; {limit}, as {self.why}; {self.remedy}"


def material_limits(name: str, material: Material, dt: float, dx: float) -> list[Limit]:
    """The limits on the parameters ``"<name>.<field>"`` of a material at a substep [s] and a grid spacing [m]."""
    fields = material.parameter_names()
    names = tuple(f"{name}.{field}" for field in fields)

    def own(values: Mapping[str, Any]) -> dict[str, Any]:
        return {field: values[f"{name}.{field}"] for field in fields}

    def sound(values: Mapping[str, Any]) -> Any:
        square = material.pressure_modulus(own(values)) / values[f"{name}.density"]
        return (square.sqrt() if isinstance(square, torch.Tensor) else square**0.5) * (dt / (COURANT * dx))

    def viscosity(values: Mapping[str, Any]) -> Any:
        return material.kinematic_viscosity(own(values)) * (dt / (DIFFUSION * dx**2))

    def tension(values: Mapping[str, Any]) -> Any:
        return material.kinematic_tension(own(values)) * (dt**2 / (CAPILLARY * dx**3))

    step = f"a substep of {dt:.3g} s at dx = {dx:g} m"
    remedy = "shorten the substep (or raise max_substeps), use a coarser dx, or a lower {}"
    why, less = f"sound may cross {COURANT} cells in it", remedy.format("stiffness or a higher density")
    limits = [Limit(TOO_STIFF, names, sound, step, why, less)]
    if type(material).kinematic_viscosity is not Material.kinematic_viscosity:
        why, less = "momentum may spread over dx^2 / 6 in it", remedy.format("viscosity or a higher density")
        limits.append(Limit(TOO_VISCOUS, names, viscosity, step, why, less))
    if material.tension() != 0.0:
        why, less = "the shortest waves on a surface must be slow in it", remedy.format("tension or a higher density")
        first = (f"{name}.surface_tension", f"{name}.density")
        limits.append(Limit(TOO_TENSE, first, tension, step, why, less))
    return limits


def check_material(name: str, material: Material, dt: float, dx: float) -> None:
    """Raise ValueError if a substep [s] is too long for a material on a grid of spacing `dx` [m]."""
    courant = material.sound_speed() * dt / dx
    if courant > COURANT * (1 + 1e-9):
        raise ValueError(
            f"material {name!r}: sound travels {courant:.2f} cells in one substep, the limit is {COURANT}; "
            f"use a substep of at most {COURANT * dx / material.sound_speed():.2e} s, a coarser dx, or a "
            f"lower stiffness"
        )
    if material.diffusivity() * dt > DIFFUSION * dx**2 * (1 + 1e-9):
        raise ValueError(
            f"material {name!r}: viscosity {material.diffusivity() * material.density:g} Pa s needs a substep of "
            f"at most {DIFFUSION * dx**2 / material.diffusivity():.2e} s at dx = {dx} m, not {dt:.2e} s; "
            f"shorten it or use a coarser dx"
        )
    if material.tension() * dt**2 > CAPILLARY * dx**3 * (1 + 1e-9):
        raise ValueError(
            f"material {name!r}: surface tension {material.tension() * material.density:g} N/m needs a substep of "
            f"at most {(CAPILLARY * dx**3 / material.tension()) ** 0.5:.2e} s at dx = {dx} m, not {dt:.2e} s; "
            f"shorten it or use a coarser dx"
        )
