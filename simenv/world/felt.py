# SPDX-License-Identifier: Apache-2.0
"""What gels feel of particles: the forces on the skin of their colliders, as a part of their own force field."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from simenv.physics import exact
from simenv.physics.constants import constant
from simenv.physics.gels.parts import Gel
from simenv.physics.mpm.particles import ParticleSolver
from simenv.physics.solver import Tensors

__all__ = ["FeltMaterial"]


class FeltMaterial:
    """Adds material's forces to the readings of gels.

    Args:
        gels: of the scene; taxels: slice of the taxel axis of each; particles: whose skins these share.
    """

    def __init__(self, gels: Mapping[str, Gel], taxels: Mapping[str, slice], particles: ParticleSolver):
        self._gels = [(taxels[name], gel, particles.skins[gel.collider]) for name, gel in gels.items() if gel.collider]
        self._rows = [row for row, gel in enumerate(gels.values()) if gel.collider]

    def added(self, fields: Tensors) -> Tensors:
        """``field`` (N, P, 3) and ``gel_wrench`` (N, G, 6) with the mean force of material over the control step."""
        field, wrench = fields["field"].clone(), fields["gel_wrench"].clone()
        for row, (span, gel, (skin, _, axes)) in zip(self._rows, self._gels, strict=True):
            force = exact.matmul(fields["skin_field"][:, skin], axes)  # in the gel's frame, pressing along -z
            field[:, span] += force * constant((1.0, 1.0, -1.0), force.dtype, force.device)
            at = constant(gel.grid.points, force.dtype, force.device).expand_as(force)
            moment = torch.linalg.cross(at, force)
            wrench[:, row] += torch.cat([exact.total(force, 1), exact.total(moment, 1)], -1)
        return {"field": field, "gel_wrench": wrench}
