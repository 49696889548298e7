# SPDX-License-Identifier: Apache-2.0
"""Incompressible gas, as a solver: what it declares, and what torch does before and after the launches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from simenv.physics.flow.obstacles import Obstacle
from simenv.physics.gas.around_stepper import GasAroundStepper
from simenv.physics.gas.carried import carried_along
from simenv.physics.gas.model import SIDES
from simenv.physics.gas.parts import Gas
from simenv.physics.gas.stepper import GasStepper
from simenv.physics.limits import DIFFUSION, Limit
from simenv.physics.parts import Body
from simenv.physics.solver import Desk, Field, Parameter, Solver, Step, Tensors
from simenv.physics.status import LIGHT_BODY, TOO_FAST, TOO_VISCOUS, UNCONVERGED

__all__ = ["GasSolver"]

HEAVY = 1e6  # a mass that is enough [kg]
STIRRING = 0.1  # dx^2 / dt: what wind along a wall exchanges with it in a tick, at most, as a viscosity
FACES = {"u": "x", "v": "y", "w": "z"}


class GasSolver(Solver):
    """The gas of N worlds.

    Args:
        gas: what the scene says; tick: duration of a tick [s]; obstacles: what the gas goes around.
        bodies: those of the table of frames; device, dtype: to compute in.
    """

    name = "gas"
    together = 1  # a world's fields fill the caches of a core

    def __init__(
        self, gas: Gas, tick: float, obstacles: Sequence[Obstacle], bodies: Mapping[str, Body], device: torch.device,
        dtype: torch.dtype,
    ):  # fmt: skip
        super().__init__()
        self.obstacles, self._bodies, self._device, self._dtype = list(obstacles), list(bodies.values()), device, dtype
        self.gas, self.model, self._tick = gas, gas.model(), tick
        grid, name = self.model.grid, gas.name
        self.fields = {
            f"gas_{key}": Field(grid.faces(axis), "m/s", f"velocity of the gas along {along}, on faces across it")
            for axis, (key, along) in enumerate(FACES.items())
        }
        self.fields["gas_pressure"] = Field(
            grid.shape, "Pa", "pressure beside that of rest, in the middle of the last tick", differentiable=False
        )
        self.fields["gas_divergence"] = Field(
            (), "1/s", "largest divergence of the gas in a cell that is left", differentiable=False
        )
        if self.obstacles:
            about = (
                "force and torque about the carrier's centre of mass of the gas on each obstacle, mean over the last "
            )
            about += f"control step, world axes: {', '.join(each.name for each in self.obstacles)}"
            self.fields["gas_wrench"] = Field((len(self.obstacles), 6), "N, N m", about, differentiable=False)
        self._answering = sorted({each.frame for each in self.obstacles if each.answers})
        self._carried: dict[int, np.ndarray] = {}
        self._thrown = sorted({each.frame for each in self.obstacles if each.moves and not each.told})
        if self._thrown:
            about = "impulses, linear and angular, of the last tick that bodies have yet to get from the gas: "
            about += ", ".join(self._bodies[row].name for row in self._thrown)
            self.fields["gas_owed"] = Field((len(self._thrown), 6), "N s, N m s", about)
        scalars, sources = list(gas.scalars.values()), list(gas.sources)
        if scalars:
            start = np.stack([np.broadcast_to(each.start, grid.shape) for each in scalars])
            about = f"what is mixed into the gas, in cells: {', '.join(gas.scalars)}"
            drawn = any(each.extinction > 0.0 for each in scalars)
            unit = ", ".join(dict.fromkeys(each.unit for each in scalars))
            self.fields["gas_scalar"] = Field(start.shape, unit, about, start, compared=True, drawn=drawn)
        if sources:
            about = f"acceleration of the gas by each source: {', '.join(sources)}; none, if it is not given"
            self.controls["gas_drive"] = Field((len(sources), 3), "m/s^2", about)
        if sources and scalars:
            about = f"rate of what each source gives of {', '.join(gas.scalars)}; none, if it is not given"
            self.controls["gas_feed"] = Field((len(sources), len(scalars)), "1/s", about)
        self.parameters = {
            f"{name}.density": Parameter(gas.density, "kg/m^3", 0.0),
            f"{name}.viscosity": Parameter(gas.viscosity, "Pa s"),
        }
        if gas.confinement:
            self.parameters[f"{name}.confinement"] = Parameter(gas.confinement, "1/s")
        for key, each in gas.scalars.items():
            self.parameters |= {
                f"{name}.{key}.diffusivity": Parameter(each.diffusivity, "m^2/s"),
                f"{name}.{key}.lightness": Parameter(each.lightness, f"1/({each.unit})", -math.inf),
                f"{name}.{key}.rest": Parameter(each.rest, each.unit, -math.inf),
            }
        for side in SIDES:
            given = self.model.sides[side]
            if any(given.velocity):
                self.parameters[f"{name}.{side}.velocity"] = Parameter(given.velocity, "m/s", -math.inf)
            for key, value in given.values.items():
                unit = gas.scalars[key].unit
                self.parameters[f"{name}.{side}.{key}"] = Parameter(float(value), unit, -math.inf)

    def starts_from(self) -> list[str]:
        """The velocities and what is mixed in."""
        return [name for name in ("gas_u", "gas_v", "gas_w", "gas_scalar", "gas_owed") if name in self.fields]

    def limits(self) -> list[Limit]:
        """What a tick bears of viscosity and diffusion, which are explicit."""
        name, dx, dt = self.gas.name, self.gas.dx, self._tick
        step, why = f"a tick of {dt:.3g} s at dx = {dx:g} m", "gas may spread over dx^2 / 6 in it"
        remedy = "shorten the tick, use a coarser dx, or a lower {}"

        def viscosity(values: Mapping[str, Any]) -> Any:
            return values[f"{name}.viscosity"] / values[f"{name}.density"] * (dt / (DIFFUSION * dx**2))

        names = (f"{name}.viscosity", f"{name}.density")
        made = [Limit(TOO_VISCOUS, names, viscosity, step, why, remedy.format("viscosity or a higher density"))]
        for key in self.gas.scalars:
            made.append(self._spreads(f"{name}.{key}.diffusivity", step, why, remedy.format("diffusivity")))
        thrown = {each.frame for each in self.obstacles if each.moves and not each.told and not each.answers}
        return made + [self._throws(row) for row in sorted(thrown)]

    def _throws(self, row: int) -> Limit:
        body = self._bodies[row]
        ease = np.diag(np.concatenate([np.ones(3), np.asarray(body.inertia, dtype=np.float64) ** -0.5]))
        most = float(np.linalg.eigvalsh(ease @ self._carries(row, self._tick) @ ease)[-1])
        names = (f"{body.name}.mass", f"{self.gas.name}.density")

        def load(values: Mapping[str, Any]) -> Any:
            return most * values[names[1]] / values[names[0]]

        why = "the gas that it carries along must be lighter than it"
        remedy = "make it heavier, or coupling='rigid', which bears any mass"
        return Limit(LIGHT_BODY, names, load, f"body {body.name!r}", why, remedy, good=HEAVY)

    def _spreads(self, name: str, step: str, why: str, remedy: str) -> Limit:
        per = self._tick / (DIFFUSION * self.gas.dx**2)
        return Limit(TOO_VISCOUS, (name,), lambda values: values[name] * per, step, why, remedy)

    def pack(self, values: Mapping[str, torch.Tensor]) -> Tensors:
        """What the kernels read of the parameters."""
        name, gas = self.gas.name, self.gas
        gravity = values["gravity"]
        zero = torch.zeros_like(gravity)
        speed = [values.get(f"{name}.{side}.velocity", zero) for side in SIDES]
        density = values[f"{name}.density"]
        packed = {
            "viscosity": values[f"{name}.viscosity"] / density, "gravity": gravity, "density": density,
            "speed": torch.stack(speed, 1),
        }  # fmt: skip
        if gas.confinement:
            packed["confinement"] = values[f"{name}.confinement"]
        if gas.scalars:
            for key in ("diffusivity", "lightness", "rest"):
                packed[key] = torch.stack([values[f"{name}.{scalar}.{key}"] for scalar in gas.scalars], 1)
            held = [
                values.get(f"{name}.{side}.{scalar}", zero[:, 0]) for scalar in gas.scalars for side in SIDES
            ]  # fmt: skip
            packed["value"] = torch.stack(held, 1)
        return packed

    def before(self, step: Step, packed: Tensors) -> Tensors:
        """The inputs of a stepper."""
        state, control = step.state, step.control
        inputs = dict(packed)
        for key in FACES:
            inputs[key] = state[f"gas_{key}"]
        if self.gas.scalars:
            inputs["scalar"] = state.gas_scalar.flatten(1, 2)
        if self._thrown:
            inputs["owed"] = state.gas_owed
        for key, name in (("drive", "gas_drive"), ("rate", "gas_feed")):
            if name in self.controls:
                like = self.controls[name]
                given = getattr(control, name)
                told = state.time.new_zeros((len(state.time), *like.shape)) if given is None else given
                inputs[key] = told if key == "drive" else told.flatten(1)
        return inputs

    def after(self, state: Any, inputs: Tensors, out: Tensors) -> Tensors:
        """Fields of the state at the end."""
        fields = {f"gas_{key}": out[key] for key in FACES}
        if self.gas.scalars:
            fields["gas_scalar"] = out["scalar"].unflatten(1, (len(self.gas.scalars), -1))
        if self.obstacles:
            fields["gas_wrench"] = torch.cat([out["force"], out["torque"]], -1)
        if self._thrown:
            fields["gas_owed"] = out["owed"]
        fields["gas_pressure"] = out["pressure"]
        fields["gas_divergence"] = out["spilled"].detach() / self.model.dx
        return fields

    def results(self) -> dict[str, tuple[tuple[int, ...], torch.dtype | None]]:
        """The state, and readings."""
        grid, scalars = self.model.grid, len(self.gas.scalars)
        found: dict[str, tuple[tuple[int, ...], torch.dtype | None]] = {
            key: (grid.faces(axis), None) for axis, key in enumerate(FACES)
        }
        if scalars:
            found["scalar"] = ((scalars * grid.shape[0], *grid.shape[1:]), None)
        if self.obstacles:
            found |= dict.fromkeys(("force", "torque"), ((len(self.obstacles), 3), None))
        if self._thrown:
            found["owed"] = ((len(self._thrown), 6), None)
        found |= {"pressure": (grid.shape, None), "spilled": ((), None)}
        return found | dict.fromkeys(("failed", "rushed"), ((), torch.int32))

    def faults(self, out: Tensors) -> torch.Tensor:
        """Status bits (N,) of solves that did not converge, and of gas that went farther than a cell in a tick."""
        unsolved, rushed = torch.where(out["failed"] > 0, UNCONVERGED, 0), torch.where(out["rushed"] > 0, TOO_FAST, 0)
        return (unsolved | rushed).to(torch.int32)

    def open(self, desk: Desk) -> GasStepper:
        """A stepper for the worlds of a desk."""
        if self.obstacles:
            return GasAroundStepper(self.model, self.gas.origin, self.obstacles, desk, self._carried_by(desk))
        return GasStepper(self.model, desk)

    def _carried_by(self, desk: Desk) -> dict[int, np.ndarray]:
        """What the bodies that answer carry along, found once."""
        return {row: self._carries(row, desk.dt) for row in self._answering}

    def _carries(self, row: int, dt: float) -> np.ndarray:
        if row not in self._carried:
            there = [each for each in self.obstacles if each.frame == row]
            viscosity = max(self.gas.viscosity / self.gas.density, STIRRING * self.gas.dx**2 / dt)
            self._carried[row] = carried_along(self.model, there, dt, viscosity, self._dtype, self._device)
        return self._carried[row]
