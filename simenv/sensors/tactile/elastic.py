# SPDX-License-Identifier: Apache-2.0
"""A gel that is an elastic half space or an elastic layer bonded to a rigid base.

Linear superposition of the surface's response to loads on rectangles (`compliance`), with pressures p >= 0 under
unilateral contact and Coulomb friction in each taxel (`solve`). Normal and tangential loads do not couple (Goodman
1962), which is exact for an incompressible half space. The response depends on the gel, not on the grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from simenv.sensors.tactile.compliance import influence_tables
from simenv.sensors.tactile.contact import UNCONVERGED, Contact, Motion, TactileReading
from simenv.sensors.tactile.convolution import Convolution
from simenv.sensors.tactile.solve import Accuracy, solve_pressure, solve_traction
from simenv.sensors.tactile.winkler import check_parameters

__all__ = ["ElasticLayerGel", "Responses"]


@dataclass(frozen=True)
class Responses:
    """Responses of the taxels of one grid for E = 1: indentation, tangential displacement and a bound of it."""

    normal: Convolution
    tangential: Convolution
    bound: Convolution
    coupling: Convolution
    accuracy: Accuracy


@dataclass(frozen=True)
class ElasticLayerGel:
    """An elastic gel, mesh-independent: Hertz's contact on a half space, stiffer on a thin layer.

    Attributes:
        modulus: Young's modulus E [Pa].
        mu: friction.
        poisson: nu in (-1, 0.5].
        thickness: of the layer [m], or `None` for a half space.
        accuracy: of the solves; `None` chooses by the scalar type.
    """

    modulus: float
    mu: float = 1.0
    poisson: float = 0.48
    thickness: float | None = None
    accuracy: Accuracy | None = None
    parameters = ("modulus", "mu")

    def __post_init__(self) -> None:
        check_parameters(self, self.parameters, ("modulus",))
        if not -1.0 < self.poisson <= 0.5:
            raise ValueError(f"poisson = {self.poisson!r} must lie in (-1, 0.5]; rubber has about 0.48")
        if self.thickness is not None and not self.thickness > 0.0:
            raise ValueError(f"thickness = {self.thickness!r} m must be positive; use None for a half space")

    @property
    def contact_modulus(self) -> float:
        """E* = E / (1 - nu^2) against a rigid object [Pa]."""
        return self.modulus / (1.0 - self.poisson**2)

    def prepare(self, contact: Contact) -> Responses:
        """Compute the compliance of the grid."""
        grid = contact.grid
        t = influence_tables(grid.rows, grid.columns, grid.spacing, self.poisson, self.thickness)
        sideways = np.stack([np.stack([t["xx"], t["xy"]]), np.stack([t["xy"], t["yy"]])])
        new = {"dtype": contact.dtype, "device": contact.device}
        return Responses(
            Convolution(t["zz"][None, None], **new),
            Convolution(sideways, **new),
            Convolution(np.abs(sideways), **new),
            Convolution(np.stack([t["xz"], t["yz"]])[:, None], **new),
            self.accuracy or Accuracy.of(contact.dtype),
        )

    def respond(
        self,
        contact: Contact,
        motion: Motion,
        stick: torch.Tensor,
        values: Mapping[str, torch.Tensor],
        prepared: Responses,
    ) -> tuple[TactileReading, torch.Tensor]:
        """Reading and the gel's tangential displacement (N, P, 2) [m]."""
        depth, slide, _ = contact.columns(motion)
        p, sound = solve_pressure(prepared.normal, depth, prepared.accuracy)
        limit = values["mu"][:, None] * p
        q, held = solve_traction(prepared.tangential, prepared.bound, stick + slide, limit, prepared.accuracy)
        modulus = values["modulus"][:, None]
        pressure, traction = modulus * p, modulus[..., None] * q
        normal, shear = contact.area * pressure, contact.area[:, None] * traction
        total = contact.wrench(torch.cat([shear, normal[..., None]], -1), depth)
        failed = (~(sound & held)).to(torch.int32) * UNCONVERGED
        reading = TactileReading(normal, shear, depth, total, pressure, traction, contact.saturated(depth) + failed)
        return reading, prepared.tangential(q)
