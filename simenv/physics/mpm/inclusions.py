# SPDX-License-Identifier: Apache-2.0
"""Inclusions: balls inside a group of solid particles that are stiffer, or softer, than the rest of it.

Young's modulus of a particle that rests at X is that of its material times

    1 + (s - 1) h((R + e / 2 - |X - c|) / e),        h(t) = t^3 (10 - 15 t + 6 t^2) from 0 to 1, flat beyond,

with the inclusion's centre c, radius R, stiffness s and edge e. The edge makes it twice differentiable by c and R.
Factors of several inclusions multiply. Poisson's ratio, density and yield stress stay those of the material.

Kernels read one vector of parameters per material and particle, so that each particle of a group with inclusions has a
row of its own; no kernel knows of them, and their adjoint by these rows is that of any material's parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from simenv.physics import exact
from simenv.physics.limits import Limit, material_limits
from simenv.physics.mpm.columns import LAME_LAMBDA, LAME_MU
from simenv.physics.mpm.materials import Elastic, ElastoPlastic, Material
from simenv.physics.mpm.parts import Inclusion, Particles
from simenv.physics.solver import Parameter

HOLDS = (Elastic, ElastoPlastic)  # materials that can have inclusions
CENTRE = ("x", "y", "z")
FARTHEST = 1e4  # coordinate of a centre [m]; beyond it single precision rounds to a millimetre


def inclusion_parameters(name: str, inclusion: Inclusion) -> dict[str, Parameter]:
    """The parameters ``"<name>.x"``, ``.y``, ``.z``, ``.radius`` and ``.stiffness`` of an inclusion."""
    found = {
        f"{name}.{axis}": Parameter(value, "m", -FARTHEST, FARTHEST)
        for axis, value in zip(CENTRE, inclusion.centre, strict=True)
    }
    found[f"{name}.radius"] = Parameter(inclusion.radius, "m", 0.0)
    found[f"{name}.stiffness"] = Parameter(inclusion.stiffness, "1", 0.0)
    return found


def inclusion_limits(
    inclusions: Mapping[str, Inclusion], groups: Mapping[str, Particles], materials: Mapping[str, Material],
    dt: float, dx: float,
) -> list[Limit]:  # fmt: skip
    """What a substep [s] bears of the stiffness of inclusions: sound in the stiffest place that a group can have."""
    limits = []
    for group in dict.fromkeys(each.particles for each in inclusions.values()):
        names = tuple(f"{name}.stiffness" for name in of_group(inclusions, group))
        material = groups[group].material
        sound = material_limits(material, materials[material], dt, dx)[0]

        def load(values: Mapping[str, Any], sound: Limit = sound, names: tuple[str, ...] = names) -> Any:
            factor = stiffest(values, names)
            root = factor.sqrt() if isinstance(factor, torch.Tensor) else factor**0.5
            return sound.load(values) * root

        limits.append(Limit(sound.bit, (*names, *sound.names), load, sound.step, sound.why, sound.remedy, good=1.0))
    return limits


def of_group(inclusions: Mapping[str, Inclusion], group: str) -> dict[str, Inclusion]:
    """The inclusions of a group of particles."""
    return {name: each for name, each in inclusions.items() if each.particles == group}


def stiffest(values: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The largest factor on a modulus that inclusions with stiffnesses of these names can make."""
    factor: Any = 1.0
    for name in names:
        value = values[name]
        factor = factor * (value.clamp(min=1.0) if isinstance(value, torch.Tensor) else max(value, 1.0))
    return factor


class Inclusions:
    """Rows of material parameters of the particles in groups with inclusions.

    Args:
        inclusions: of the scene; groups: of particles; materials: their names, in the order of the rows.
        device, dtype: of the tensors.
    """

    def __init__(
        self, inclusions: Mapping[str, Inclusion], groups: Mapping[str, Particles], materials: list[str],
        device: torch.device, dtype: torch.dtype,
    ):  # fmt: skip
        self._groups = []
        for group in dict.fromkeys(each.particles for each in inclusions.values()):
            rest = torch.as_tensor(np.ascontiguousarray(groups[group].positions), dtype=dtype, device=device)
            row = materials.index(groups[group].material)
            self._groups.append((row, rest, of_group(inclusions, group)))

    def rows(self, values: Mapping[str, torch.Tensor], vectors: torch.Tensor) -> torch.Tensor:
        """Those of the materials, `vectors` (N, M, 8), and behind them one of every particle in a group with
        inclusions.
        """
        parts = [vectors]
        for row, rest, inclusions in self._groups:
            own = vectors[:, row : row + 1].expand(-1, len(rest), -1)
            factor = self._factor(values, rest, inclusions)[..., None]
            stiff = own[..., LAME_LAMBDA : LAME_MU + 1] * factor
            parts.append(torch.cat([own[..., :LAME_LAMBDA], stiff, own[..., LAME_MU + 1 :]], -1))
        return torch.cat(parts, 1) if self._groups else vectors

    @staticmethod
    def _factor(
        values: Mapping[str, torch.Tensor], rest: torch.Tensor, inclusions: Mapping[str, Inclusion]
    ) -> torch.Tensor:
        """What the moduli of particles that rest at (P, 3) are multiplied by, (N, P)."""
        factor = rest.new_ones(())
        for name, each in inclusions.items():
            centre = torch.stack([values[f"{name}.{axis}"] for axis in CENTRE], -1)
            distance = exact.norm(rest - centre[:, None])
            inside = ((values[f"{name}.radius"][:, None] - distance) / each.edge + 0.5).clamp(0.0, 1.0)
            share = inside * inside * inside * (10.0 - inside * (15.0 - 6.0 * inside))
            factor = factor * (1.0 + (values[f"{name}.stiffness"][:, None] - 1.0) * share)
        return factor
