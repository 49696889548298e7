# SPDX-License-Identifier: Apache-2.0
"""Gels that touch and feel, as a solver: what they declare, and what torch does before and after the launches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from simenv.physics import exact
from simenv.physics.gels.elastic import ElasticLayerGel
from simenv.physics.gels.launches import Touching, gel_parameters
from simenv.physics.gels.model import GelMount
from simenv.physics.gels.parts import Gel
from simenv.physics.gels.stepper import GelsStepper
from simenv.physics.parts import Body
from simenv.physics.solver import Desk, Field, Parameter, Solver, Step, Tensors
from simenv.physics.status import UNCONVERGED

__all__ = ["GelSolver", "area_name"]

UPRIGHT = (0.0, 0.0, 0.0, 1.0)
UNITS = {"k_n": "Pa/m", "k_t": "Pa/m", "mu": "1", "modulus": "Pa"}


def area_name(gel: str) -> str:
    """Name under which limits find the area with which a gel touches [m^2]; it is no parameter."""
    return f"{gel}.area"


class GelSolver(Solver):
    """The gels of N worlds.

    Args:
        gels, bodies: of the scene, by name; sensors: the gels' laws and queries, by name.
        lead: how far ahead gels see their objects [s].

    Attributes:
        taxels: slice of the taxel axis of every gel.
    """

    name = "gels"

    def __init__(
        self, gels: Mapping[str, Gel], bodies: Mapping[str, Body], sensors: Mapping[str, Touching], lead: float
    ):  # fmt: skip
        super().__init__()
        self.gels, self._sensors, self._lead = gels, sensors, lead
        self.pressing = {name: gel for name, gel in gels.items() if gel.touches is not None}
        self.mounts = {name: self._mount(gel, bodies) for name, gel in self.pressing.items()}
        self._rows = [list(gels).index(name) for name in self.pressing]
        self._numbers = {name: g for g, name in enumerate(self.pressing)}
        self.taxels: dict[str, slice] = {}
        start = 0
        for name, gel in gels.items():
            self.taxels[name] = slice(start, start + gel.grid.count)
            start += gel.grid.count
        self._elastic = [isinstance(gel.gel, ElasticLayerGel) for gel in self.pressing.values()]
        eye, count = np.broadcast_to(np.eye(3), (len(gels), 3, 3)), len(gels)
        self.fields = {
            "stick": Field((start, 2), "m", "displacement of the gels along each taxel that friction holds"),
            "gel_rotation": Field((count, 3, 3), "1", "axes of the touched shape in each gel's frame", eye),
            "gel_offset": Field((count, 3), "m", "place of the touched shape in each gel's frame"),
            "field": Field((start, 3), "N", "force on each taxel at the end of the last control step: shear along x "
                           "and y, normal", differentiable=False),
            "depth": Field((start,), "m", "depth of the object below each taxel, negative where they do not meet",
                           differentiable=False),
            "gel_wrench": Field((count, 6), "N, N m", "force on each gel and its moment about the gel's origin, in the "
                                "gel's frame", differentiable=False, compared=True),
        }  # fmt: skip
        for name, gel in self.pressing.items():
            for key in gel_parameters(gel.gel):
                value = getattr(gel.gel, key)
                lower = 0.0 if key == "modulus" else -1e-2
                self.parameters[f"{name}.{key}"] = Parameter(value, UNITS[key], lower)

    def _mount(self, gel: Gel, bodies: Mapping[str, Body]) -> GelMount:
        assert gel.touches is not None  # a gel that presses
        names, carrier, item = list(bodies), bodies[gel.on], bodies[gel.touches]
        return GelMount(
            names.index(gel.on), names.index(gel.touches), tuple(np.subtract(gel.position, carrier.centre)),
            gel.quaternion, gel.slide, tuple(np.subtract(gel.shape_position, item.centre)), UPRIGHT,
        )  # fmt: skip

    def starts_from(self) -> tuple[str, ...]:
        """What gels remember: the bound of friction would make a number of one that is none."""
        return ("stick", "gel_rotation", "gel_offset")

    @torch.no_grad()
    def beside(self, state: Any) -> Tensors:
        """The area with which each gel touches, at least a taxel's, (N,) [m^2], by `area_name`."""
        areas = {}
        for name in self.pressing:
            each, span = self._sensors[name].contact.area, self.taxels[name]
            touched = torch.where(state.depth[:, span] > 0.0, each, 0.0)
            areas[area_name(name)] = exact.total(touched).clamp(min=each.max())
        return areas

    def pack(self, values: Mapping[str, torch.Tensor]) -> Tensors:
        """The numbers of each gel's law."""
        return {
            f"{key}{g}": values[f"{name}.{key}"]
            for g, (name, gel) in enumerate(self.pressing.items())
            for key in gel_parameters(gel.gel)
        }

    def before(self, step: Step, packed: Tensors) -> Tensors:
        """The inputs of a stepper."""
        state = step.state
        inputs = dict(packed)
        for g, name in enumerate(self.pressing):
            span, row = self.taxels[name], self._rows[g]
            inputs |= {f"stick{g}": state.stick[:, span], f"rotation{g}": state.gel_rotation[:, row]}
            inputs[f"offset{g}"] = state.gel_offset[:, row]
            if self._elastic[g]:  # where its solves start, which changes nothing that they find
                inputs[f"field{g}"] = state.field[:, span].detach()
        return inputs

    def after(self, state: Any, inputs: Tensors, out: Tensors) -> Tensors:
        """Fields of the state at the end."""
        like = {"stick": "stick", "field": "field", "depth": "depth"}
        like |= {"gel_rotation": "rotation", "gel_offset": "offset", "gel_wrench": "total"}
        fields = {}
        for field, name in like.items():
            rows = []
            for g, (gel, span) in enumerate(self.taxels.items()):
                if gel in self.pressing:
                    rows.append(out[f"{name}{self._numbers[gel]}"])
                elif field in ("stick", "field", "depth"):  # what particles do to it is added by the world
                    rows.append(torch.zeros_like(state[field][:, span]))
                else:
                    rows.append(torch.zeros_like(state[field][:, g]) if field == "gel_wrench" else state[field][:, g])
            if field == "gel_wrench":
                rows = [row.flatten(1) for row in rows]
            fields[field] = torch.cat(rows, 1) if field in ("stick", "field", "depth") else torch.stack(rows, 1)
        return fields

    def results(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """What the steppers leave of each gel."""
        found: dict[str, tuple[tuple[int, ...], torch.dtype | None]] = {}
        for g, gel in enumerate(self.pressing.values()):
            P = gel.grid.count
            shapes = {
                "stick": (P, 2),
                "field": (P, 3),
                "depth": (P,),
                "rotation": (3, 3),
                "offset": (3,),
                "total": (2, 3),
            }
            shapes |= {"failed": ()} if self._elastic[g] else {}
            found |= {f"{name}{g}": (shape, None) for name, shape in shapes.items()}
        return found

    def faults(self, out: Tensors) -> torch.Tensor | None:
        """Status bits (N,) of elastic gels whose solves did not converge; None without such gels."""
        failed = [out[f"failed{g}"] > 0.0 for g, elastic in enumerate(self._elastic) if elastic]
        return torch.where(torch.stack(failed).any(0), UNCONVERGED, 0).to(torch.int32) if failed else None

    def open(self, desk: Desk) -> GelsStepper:
        """A stepper for the worlds of a desk."""
        sensors = [self._sensors[name] for name in self.pressing]
        return GelsStepper(list(self.mounts.values()), sensors, self._lead, desk)
