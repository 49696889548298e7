# SPDX-License-Identifier: Apache-2.0
"""A gel that is an elastic half space or an elastic layer bonded to a rigid base.

Linear superposition of the surface's response to loads on rectangles (`compliance`), with pressures p >= 0 under
unilateral contact and Coulomb friction in each taxel (`solve`). Pressure moves the surface sideways, which friction
resists; tractions leave the pressure alone (Goodman 1962), which is exact for an incompressible half space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from simenv.physics.gels.compliance import influence_tables
from simenv.physics.gels.contact import UNCONVERGED, Contact, Motion, TactileReading
from simenv.physics.gels.convolution import Convolution, Response
from simenv.physics.gels.solve import Accuracy, solve_pressure, solve_traction
from simenv.physics.gels.winkler import WinklerGel, check_parameters

__all__ = ["ElasticLayerGel", "Responses", "layer_gels"]

# A half space is quadratic in nu. A layer is smooth: its nearest pole is nu = 3/4, so that the error of interpolating
# at n Chebyshev nodes falls like (2 + sqrt 3)^-n, to 2e-7 at 12.
NODES = {"half space": 3, "layer": 12}
LARGEST_POISSON = 0.5


@dataclass(frozen=True)
class Responses:
    """Responses of the taxels of one grid for E = 1, at nodes of nu and at the gel's own nu."""

    nodes: np.ndarray
    normal: Convolution
    sideways: Convolution
    pushed: Convolution
    bound: Response
    own: tuple[Response, Response, Response]
    accuracy: Accuracy

    def at(self, poisson: torch.Tensor | None) -> tuple[Response, Response, Response]:
        """Indentation by pressure, displacement along the surface by traction and by pressure; for nu (N,)."""
        if poisson is None:
            return self.own
        weights = interpolation_weights(self.nodes, poisson)
        return self.normal.at(weights), self.sideways.at(weights), self.pushed.at(weights)


def interpolation_weights(nodes: np.ndarray, at: torch.Tensor) -> torch.Tensor:
    """Lagrange's polynomials of M nodes at the points (N,): (N, M)."""
    columns = []
    for m, own in enumerate(nodes):
        product = torch.ones_like(at)
        for k, other in enumerate(nodes):
            if k != m:
                product = product * ((at - other) / (own - other))
        columns.append(product)
    return torch.stack(columns, -1)


@dataclass(frozen=True)
class ElasticLayerGel:
    """An elastic gel whose response does not depend on the grid: Hertz on a half space, stiffer on a thin layer.

    Attributes:
        modulus: Young's modulus E [Pa].
        mu: friction.
        poisson: nu in [0, 0.5]; a tensor `poisson` (N,) among the parameters of a reading replaces it.
        thickness: of the layer [m], or `None` for a half space.
        accuracy: of the solves; `None` chooses by the scalar type.
    """

    modulus: float
    mu: float = 1.0
    poisson: float = 0.48
    thickness: float | None = None
    accuracy: Accuracy | None = None
    parameters = ("modulus", "mu")
    structural = ("poisson",)

    def __post_init__(self) -> None:
        check_parameters(self, self.parameters, ("modulus",))
        if not 0.0 <= self.poisson <= LARGEST_POISSON:
            raise ValueError(f"poisson = {self.poisson!r} must lie in [0, {LARGEST_POISSON}]; rubber has about 0.48")
        if self.thickness is not None and not self.thickness > 0.0:
            raise ValueError(f"thickness = {self.thickness!r} m must be positive; use None for a half space")

    @property
    def contact_modulus(self) -> float:
        """E* = E / (1 - nu^2) against a rigid object [Pa]."""
        return self.modulus / (1.0 - self.poisson**2)

    def prepare(self, contact: Contact) -> Responses:
        """Compute the compliance of the grid.

        Raises:
            ValueError: the grid is curved: a flat layer's response says nothing about it.
        """
        grid = contact.grid
        if not grid.is_flat:
            raise ValueError("ElasticLayerGel needs a flat grid (flat_grid); use WinklerGel on a curved one")
        count = NODES["half space" if self.thickness is None else "layer"]
        nodes = 0.5 * LARGEST_POISSON * (1.0 - np.cos((np.arange(count) + 0.5) * np.pi / count))
        t = influence_tables(grid.rows, grid.columns, grid.spacing, nodes.tolist(), self.thickness)
        sideways = np.stack([np.stack([t["xx"], t["xy"]], 1), np.stack([t["xy"], t["yy"]], 1)], 1)
        new = {"dtype": contact.dtype, "device": contact.device}
        every = (
            Convolution(t["zz"][:, None, None], **new),
            Convolution(sideways, **new),
            Convolution(np.stack([t["xz"], t["yz"]], 1)[:, :, None], **new),
        )
        weights = interpolation_weights(nodes, torch.tensor([self.poisson], dtype=torch.float64))
        own = weights.to(contact.dtype).to(contact.device)
        # the largest over the nodes; between them the interpolation may be higher by less than a twentieth
        bound = Convolution(1.05 * np.abs(sideways).max(0, keepdims=True), **new).node(0)
        first, second, third = (each.at(own) for each in every)
        return Responses(nodes, *every, bound, (first, second, third), self.accuracy or Accuracy.of(contact.dtype))

    def respond(
        self,
        contact: Contact,
        motion: Motion,
        stick: torch.Tensor,
        values: Mapping[str, torch.Tensor],
        prepared: Responses,
    ) -> tuple[TactileReading, torch.Tensor]:
        """Reading and the tangential displacement of the gel's surface (N, P, 2) [m]."""
        depth, slide, _ = contact.columns(motion)
        by_pressure, by_traction, sideways = prepared.at(values.get("poisson"))
        p, pressed = solve_pressure(by_pressure, depth, prepared.accuracy)
        pushed = sideways(p[..., None])
        limit = values["mu"][:, None] * p
        q, held = solve_traction(by_traction, prepared.bound, stick + slide - pushed, limit, prepared.accuracy)
        modulus = values["modulus"][:, None]
        pressure, traction = modulus * p, modulus[..., None] * q
        normal, shear = contact.area * pressure, contact.area[:, None] * traction
        total = contact.wrench(torch.cat([shear, normal[..., None]], -1), depth)
        failed = (~(pressed & held)).to(torch.int32) * UNCONVERGED
        reading = TactileReading(normal, shear, depth, total, pressure, traction, contact.saturated(depth) + failed)
        return reading, by_traction(q) + pushed


def layer_gels(modulus: float, poisson: float, thickness: float, mu: float) -> dict[str, WinklerGel | ElasticLayerGel]:
    """One bonded layer under two laws: "springs", and "elastic", whose taxels move each other.

    Args:
        modulus: Young's modulus [Pa].
        poisson: nu, below 0.5.
        thickness: [m].
        mu: friction.
    """
    springs = WinklerGel.from_layer(modulus, poisson, thickness, mu)
    return {"springs": springs, "elastic": ElasticLayerGel(modulus, mu, poisson, thickness)}
