# SPDX-License-Identifier: Apache-2.0
"""How many substeps a control step needs: the limits of explicit integration, and a choice for each world."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from simenv.physics import exact
from simenv.physics.limits import COURANT, DIFFUSION, ROUNDING
from simenv.physics.mpm.inclusions import stiffest

if TYPE_CHECKING:
    from simenv.physics.mpm.particles import ParticleParts


class Pace:
    """Chooses for each world one of the substep counts ``substeps``, ``2 substeps``, ..., ``max_substeps``.

    It is the least n for which, over the control step T, with the P-wave speed c and the kinematic viscosity nu of
    every material that has particles (Courant, Friedrichs and Lewy 1928; for diffusion Hirt 1968),

        (c + u) T / n <= 0.5 dx        and        nu T / n <= dx^2 / 6

    u bounds the speed during the step: the fastest particle now plus |g| T, or the fastest point of a collider. The
    moduli are those of the undeformed material. The choice is a constant to the gradient.

    Args:
        parts: of the scene; device, dtype: of the state.

    Attributes:
        counts: the substep counts that can be chosen, ascending; times: the start of every substep, (choices,
            max_substeps) [s], zero where there is none.
    """

    def __init__(self, parts: ParticleParts, device: torch.device, dtype: torch.dtype):
        model = parts.model
        self._dx, self._duration = model.dx, model.dt * model.substeps
        self._materials, self.counts = parts.materials, list(parts.counts)
        times = np.zeros((len(self.counts), self.counts[-1]))
        for row, count in enumerate(self.counts):
            times[row, :count] = np.arange(count) * (model.dt * (model.substeps / count))
        self.times = torch.as_tensor(times, dtype=dtype, device=device)
        self._counts = torch.tensor(self.counts, dtype=torch.int32, device=device)
        groups = parts.groups
        self._used = sorted({group.material for group in groups.values()})
        inside = parts.inclusions.items()
        self._hard = [  # sets of inclusions that can lie on one another, and their material
            (groups[name].material, tuple(f"{full}.stiffness" for full, each in inside if each.particles == name))
            for name in dict.fromkeys(each.particles for _, each in inside)
        ]
        given = [name for name, body in parts.bodies.items() if body.motion == "given"]
        self._moving = [(given.index(c.body), name) for name, c in parts.colliders.items() if c.body in given]
        diagonal = float(np.linalg.norm(model.size))
        self._arms = {}
        for _body, name in self._moving:
            collider = parts.colliders[name]
            corner = np.abs(np.concatenate([np.stack(shape.bounds()) for shape in collider.spec.shapes])).max(0)
            self._arms[name] = (float(np.linalg.norm(collider.position)), float(np.linalg.norm(corner)), diagonal)

    def _collider_speed(self, twist: torch.Tensor, parameters: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Bound on the speed of the colliders' points in the domain [m/s], (N,)."""
        speed = twist.new_zeros(len(twist))
        for body, name in self._moving:
            offset, radius, diagonal = self._arms[name]
            arm = (offset + parameters[f"{name}.scale"] * radius).clamp(max=diagonal)
            speed = torch.maximum(speed, exact.norm(twist[:, body, :3]) + exact.norm(twist[:, body, 3:]) * arm)
        return speed

    @torch.no_grad()
    def choose(
        self, parameters: Mapping[str, torch.Tensor], v: torch.Tensor, active: torch.Tensor, twist: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The choice for the next control step.

        Args:
            parameters: of the worlds.
            v: velocities of the particles [m/s], (N, P, 3).
            active: which of them count, (N, P) bool.
            twist: of the bodies [m/s, rad/s], (N, B, 6).

        Returns:
            Index into `counts`, (N,) int64, and the count, (N,) int32. Where even ``max_substeps`` is too few for sound
            or viscosity, `Parameters.checked` stops the world; where it is for the speed, the step does if it fails.
        """
        dx, T = self._dx, self._duration
        sound = diffusion = v.new_zeros(len(v))
        for name in self._used:
            material = self._materials[name]
            values = {field: parameters[f"{name}.{field}"] for field in material.parameter_names()}
            square = material.pressure_modulus(values) / values["density"]
            factors = [stiffest(parameters, names) for stuffed, names in self._hard if stuffed == name]
            for each in [square, *(square * factor for factor in factors)]:
                sound = torch.maximum(sound, each.sqrt())
            diffusion = torch.maximum(diffusion, material.kinematic_viscosity(values))
        fastest = (exact.norm(v) * active).amax(-1) + exact.norm(parameters["gravity"]) * T
        fastest = torch.maximum(fastest, self._collider_speed(twist, parameters))
        need = torch.maximum(diffusion * (T / (DIFFUSION * dx**2)), (sound + fastest) * (T / (COURANT * dx)))
        enough = need[:, None] <= self._counts[:-1] * ROUNDING  # false where the speed is not a number
        choice = (~enough).sum(-1)
        return choice, self._counts[choice]
