# SPDX-License-Identifier: Apache-2.0
"""The material of bodies that the grid moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from simenv.physics.mpm.kernels_transfer import LIQUID
from simenv.physics.mpm.materials import Material

__all__ = ["Rigid"]


@dataclass(frozen=True)
class Rigid(Material):
    """A rigid body's material: a density, and no stress (see kernels_rigid.py).

    To the transfers it is a liquid of no stiffness, whose volume ratio stays one as a rotation has no divergence.
    """

    kind: ClassVar[int] = LIQUID

    @staticmethod
    def kernel_parameters(values: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """See `Material.kernel_parameters`."""
        zero = torch.zeros_like(values["density"])
        return [values["density"], zero, zero, zero, zero]

    @staticmethod
    def pressure_modulus(values: dict[str, Any]) -> Any:
        """Zero: the body moves as one, and its rigidity sets no limit to the time step."""
        return 0.0 * values["density"]
