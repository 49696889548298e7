# SPDX-License-Identifier: Apache-2.0
"""An incompressible liquid of a world, as a solver: particles that declare what all particles do, stepped otherwise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from simenv.geometry.shapes import Cup
from simenv.physics.limits import Limit
from simenv.physics.liquid.model import DOUBLE, KEEPING, KEEPING_TENSE, SINGLE, LiquidModel
from simenv.physics.liquid.stepper import LiquidStepper
from simenv.physics.mpm.particles import ParticleParts, ParticleSolver
from simenv.physics.pressure.solve import Accuracy
from simenv.physics.solver import Desk, Solver, Step, Tensors
from simenv.physics.status import TOO_TENSE, TOO_VISCOUS, UNCONVERGED

__all__ = ["LiquidSolver", "is_incompressible"]

MOTION = ("x", "v", "C")
WALLS = ("slip", "separate", "stick")


def is_incompressible(parts: ParticleParts) -> bool:
    """Whether the particles are an incompressible liquid's.

    Raises:
        ValueError: some are and some are not, or the scene has what these cannot have.
    """
    used = {group.material for group in parts.groups.values()}
    kinds = {name: getattr(parts.materials[name], "incompressible", False) for name in sorted(used)}
    if not any(kinds.values()):
        return False
    if len(kinds) > 1:
        raise ValueError(
            f"an incompressible liquid is the only material of a scene's particles, but they are of {', '.join(kinds)};"
            " give all groups one material, or use liquids with a bulk modulus"
        )
    model = parts.model
    lacking = {
        "skins": [name for name, each in parts.colliders.items() if each.spec.skin is not None],
        "variants of colliders": [name for name, each in parts.colliders.items() if each.spec.variants],
        "colliders on hands and bodies with coupling='contact'": [
            name for name, each in parts.colliders.items() if _cannot_answer(parts, each.body)
        ],
        "grid = 'sparse'": ["blocks"] if model.is_sparse else [],
        "max_substeps": [str(parts.counts)] if len(parts.counts) > 1 else [],
        "boundary": [each for each in model.boundary if each not in WALLS],
    }  # fmt: skip
    for what, names in lacking.items():
        if names:
            raise ValueError(
                f"an incompressible liquid goes without {what} ({', '.join(names)}): walls hold it, those of the "
                "domain with boundary = 'slip', 'separate' or 'stick', and those of colliders that are fixed, move as "
                "told, or are on links of robots or bodies with coupling='rigid'; use a liquid with a bulk modulus"
            )
    for name in used:
        if parts.colliders and parts.materials[name].tension() > 0.0:
            raise ValueError(
                f"material {name!r}: a liquid with surface_tension goes without colliders and bodies "
                f"({', '.join(parts.colliders)}), as waves would grow in cells that these cut; let walls of the domain "
                "hold it, or leave surface_tension out"
            )
    for name, collider in parts.colliders.items():
        cups = [each for each in collider.spec.shapes if isinstance(each, Cup)]
        thinnest = min((collider.scale * min(each.wall, each.base) for each in cups), default=math.inf)
        if thinnest < (1.0 - 1e-6) * model.dx:
            raise ValueError(
                f"collider {name!r}: its wall is {thinnest:g} m thick, but an incompressible liquid needs a cell of "
                f"dx = {model.dx:g} m; make it thicker, or dx smaller"
            )
    for extent in model.size:
        cells = extent / model.dx
        if abs(cells - round(cells)) > 1e-6 * cells:
            raise ValueError(
                f"the domain of an incompressible liquid is {extent} m wide, no whole number of cells of {model.dx} m; "
                "change size or dx"
            )
    return True


def _cannot_answer(parts: ParticleParts, body: str | None) -> bool:
    """Whether a body moves by itself, and not as a link."""
    return body is not None and not parts.bodies[body].is_told and parts.bodies[body].motion != "link"


class LiquidSolver(ParticleSolver):
    """The incompressible liquid of N worlds.

    Args:
        parts: of the scene; num_worlds: N; device, dtype: of the tensors.
    """

    def __init__(self, parts: ParticleParts, num_worlds: int, device: torch.device, dtype: torch.dtype):
        model = replace(parts.model, answers=tuple(mount >= 0 for mount in parts.model.mounts))  # at any thickness
        super().__init__(replace(parts, model=model), num_worlds, device, dtype)
        x, y, z = (round(extent / model.dx) for extent in model.size)
        accuracy = Accuracy(SINGLE if dtype == torch.float32 else DOUBLE, last=4)
        a, b, c = (each == "stick" for each in model.boundary)
        tense = parts.materials[self.material].tension() > 0.0
        self.liquid = LiquidModel(
            (x, y, z), model.dx, model.origin, self.count, model.colliders, model.mounts, model.local, (a, b, c), tense,
            keeping=KEEPING_TENSE if tense else KEEPING, accuracy=accuracy,
        )  # fmt: skip

    @property
    def material(self) -> str:
        """Name of the one there is."""
        return next(iter(self.parts.groups.values())).material

    def limits(self, dt: float) -> list[Limit]:
        """What a substep [s] bears of viscosity and surface tension; no sound crosses cells."""
        return [each for each in super().limits(dt) if each.bit in (TOO_VISCOUS, TOO_TENSE)]

    def pack(self, values: Mapping[str, torch.Tensor]) -> Tensors:
        """``gravity`` (N, 3), ``density`` and the kinematic ``viscosity`` (N,), ``friction`` and ``scale`` (N, Cl);
        ``tension`` (N,), over the density, where there is any.
        """
        name = self.material
        density = values[f"{name}.density"]
        packed = {"gravity": values["gravity"], "density": density, "viscosity": values[f"{name}.viscosity"] / density}
        if self.liquid.tension:
            packed["tension"] = values[f"{name}.surface_tension"] / density
        for kind in ("friction", "scale") if self.parts.colliders else ():
            packed[kind] = torch.stack([values[f"{collider}.{kind}"] for collider in self.parts.colliders], 1)
        return packed

    def before(self, step: Step, packed: Tensors) -> Tensors:
        """The inputs of a stepper."""
        state = step.state
        inputs = {**packed, "volume": self.volume, "active": state.active.to(torch.int32)}
        if self.parts.colliders:
            inputs |= self.colliders.motion(step.told_substeps)
        return inputs | {name: state[name] for name in self._handed_on}

    @property
    def _handed_on(self) -> tuple[str, ...]:
        """Fields of the state that a stepper works on."""
        return (*MOTION, "owed") if self.liquid.moves else MOTION

    def after(self, state: Any, inputs: Tensors, out: Tensors) -> Tensors:
        """Fields of the state at the end; volumes stay as they are."""
        fields = {name: out[name] for name in self._handed_on}
        fields["J"] = torch.ones_like(state.J)
        fields["active"] = self._collect(state.active, out["x"])
        felt = [out["force"], out["torque"]] if self.parts.colliders else [torch.zeros_like(state.wrench)]
        fields["wrench"] = torch.cat(felt, -1)
        fields["emitted"] = state.emitted
        return fields

    def results(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """The state, and faults."""
        P = self.count
        found: dict[str, tuple[tuple[int, ...], torch.dtype | None]] = {
            "x": ((P, 3), None), "v": ((P, 3), None), "C": ((P, 3, 3), None)
        }  # fmt: skip
        if self.liquid.moves:
            found["owed"] = ((len(self.parts.bodies), 6), None)
        if self.parts.colliders:
            found |= dict.fromkeys(("force", "torque"), ((len(self.parts.colliders), 3), None))
        return found | dict.fromkeys(("failed", "status"), ((), torch.int32))

    def faults(self, out: Tensors) -> torch.Tensor:
        """Status bits (N,) of particles, and of solves that did not converge."""
        return out["status"] | torch.where(out["failed"] > 0, UNCONVERGED, 0).to(torch.int32)

    def blank(self, inputs: Tensors, worlds: int) -> Tensors:
        """Tensors for the results."""
        return Solver.blank(self, inputs, worlds)

    def blank_adjoints(self, inputs: Tensors, adjoints: Tensors) -> Tensors:
        """Tensors for the adjoints of the inputs."""
        return Solver.blank_adjoints(self, inputs, adjoints)

    @property
    def lanes(self) -> int:
        """Parts of a world that can run side by side: one."""
        return 1

    def open(self, desk: Desk) -> LiquidStepper:  # type: ignore[override]
        """A stepper for the worlds of a desk.

        Raises:
            ValueError: particles have other substeps than bodies.
        """
        if self.model.substeps != desk.ticks:
            raise ValueError(
                f"{self.model.substeps} particle_substeps in {desk.ticks} substeps of a control step; an "
                "incompressible liquid takes as many as bodies: leave particle_substeps out"
            )
        return LiquidStepper(self.liquid, desk)
