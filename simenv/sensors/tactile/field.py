# SPDX-License-Identifier: Apache-2.0
"""The tactile force sensor: taxels on a gel that an object touches, for N worlds at once.

The gel model is interchangeable: `TacSLGel` (comparison), `WinklerGel` (springs), `ElasticLayerGel`. A reading is
differentiable with respect to poses, twists, the gel's parameters and the state; the state is what gives shear its
memory. Without a twist no velocity enters.

    sensor = TactileField(flat_grid(20, 25, 0.025, 0.02), WinklerGel(5e7, 2e7, mu=0.8), Sphere(0.004))
    state = sensor.initial_state(worlds=64)
    reading, state = sensor.measure(object_pose, sensor_pose, state)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import torch

from simenv.geometry.shapes import Shape
from simenv.physics.gels.contact import INVALID, Contact, Motion, TactileReading, TactileState
from simenv.physics.gels.grid import TaxelGrid
from simenv.sensors.tactile.frames import check_pose, relative_pose, relative_twist

__all__ = ["Gel", "TactileField"]


class Gel(Protocol):
    """What `TactileField` needs of a gel model: numbers named in `parameters`, and a response."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of its numbers."""

    @property
    def structural(self) -> tuple[str, ...]:
        """Names of numbers on which `prepare` depends; `respond` gets those that a reading replaces."""

    def prepare(self, contact: Contact) -> Any:
        """Whatever can be computed once, such as compliance; handed to `respond`."""

    def respond(
        self, contact: Contact, motion: Motion, stick: torch.Tensor, values: Mapping[str, torch.Tensor], prepared: Any
    ) -> tuple[TactileReading, torch.Tensor]:
        """Reading and new stick displacement."""


class TactileField:
    """A tactile sensor that reads forces.

    Args:
        grid: the taxels, in the sensor's frame.
        gel: the model of the gel.
        shape: of the object.
        dtype, device: of all tensors.
        max_depth: depth below the undeformed gel at which the search for the object starts [m]: its thickness, say. A
            deeper object sets `SATURATED` in the reading's status.
        reach: height above the undeformed gel at which the search ends [m].
        spacing: of the distance volume of a mesh [m].

    Raises:
        TypeError, ValueError: an argument is out of range.
    """

    def __init__(
        self,
        grid: TaxelGrid,
        gel: Gel,
        shape: Shape,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        max_depth: float = 4.0e-3,
        reach: float = 4.0e-3,
        spacing: float | None = None,
    ):
        self.contact = Contact(grid, shape, dtype, device, max_depth, reach, spacing)
        self.grid, self.gel, self.dtype, self.device = grid, gel, dtype, self.contact.device
        self.prepared = gel.prepare(self.contact)
        self._defaults = {
            name: torch.tensor(float(getattr(gel, name)), dtype=dtype, device=self.device) for name in gel.parameters
        }

    def initial_state(self, worlds: int) -> TactileState:
        """The state of `worlds` sensors that have touched nothing."""
        new = {"dtype": self.dtype, "device": self.device}
        stick = torch.zeros((worlds, self.grid.count, 2), **new)
        rotation = torch.eye(3, **new).expand(worlds, 3, 3).contiguous()
        valid = torch.zeros(worlds, dtype=torch.bool, device=self.device)
        return TactileState(stick, rotation, torch.zeros((worlds, 3), **new), valid)

    def measure(
        self,
        object_pose: torch.Tensor,
        sensor_pose: torch.Tensor,
        state: TactileState | None = None,
        object_twist: torch.Tensor | None = None,
        sensor_twist: torch.Tensor | None = None,
        parameters: Mapping[str, torch.Tensor] | None = None,
    ) -> tuple[TactileReading, TactileState]:
        """Read the sensor once.

        Args:
            object_pose: (N, 7) in the world frame.
            sensor_pose: (N, 7) in the world frame.
            state: of the reading before; `None` for a first one, which has no shear but TacSL's.
            object_twist: (N, 6) in the world frame [m/s, rad/s]; `None` for rest. Only TacSL's friction and damping
                need it.
            sensor_twist: the same of the sensor.
            parameters: values (N,) of the gel's numbers by name, which replace its own and may require a gradient.

        Returns:
            The reading, and the state for the next one.

        Raises:
            ValueError: a shape, dtype or name is wrong.
        """
        check_pose("object_pose", object_pose)
        check_pose("sensor_pose", sensor_pose)
        worlds = object_pose.shape[0]
        if sensor_pose.shape[0] != worlds or object_pose.dtype != self.dtype or sensor_pose.dtype != self.dtype:
            raise ValueError(
                f"object_pose {tuple(object_pose.shape)} {object_pose.dtype} and sensor_pose "
                f"{tuple(sensor_pose.shape)} {sensor_pose.dtype} must agree with each other and with the sensor's "
                f"{self.dtype}"
            )
        state = self.initial_state(worlds) if state is None else state
        if state.stick.shape != (worlds, self.grid.count, 2):
            raise ValueError(
                f"the state is of {tuple(state.stick.shape)}, this sensor needs {(worlds, self.grid.count, 2)}; "
                "make it with initial_state"
            )
        rotation, position = relative_pose(object_pose, sensor_pose)
        velocity, omega = relative_twist(object_pose, sensor_pose, object_twist, sensor_twist)
        known = state.valid
        motion = Motion(
            rotation,
            position,
            torch.where(known[:, None, None], state.rotation, rotation),
            torch.where(known[:, None], state.position, position),
            velocity,
            omega,
        )
        values = self._values(worlds, parameters)
        reading, stick = self.gel.respond(self.contact, motion, state.stick, values, self.prepared)
        numbers = torch.cat([rotation.flatten(1), position, torch.stack(list(values.values()), 1)], 1).detach()
        invalid = (~torch.isfinite(numbers).all(1)).to(torch.int32) * INVALID
        reading = replace(reading, status=reading.status | invalid)
        return reading, TactileState(stick, rotation, position, torch.ones_like(known))

    def _values(self, worlds: int, parameters: Mapping[str, torch.Tensor] | None) -> dict[str, torch.Tensor]:
        given = dict(parameters or {})
        known = [*self._defaults, *self.gel.structural]
        unknown = set(given) - set(known)
        if unknown:
            raise ValueError(f"no parameter {sorted(unknown)} in {type(self.gel).__name__}; it has {known}")
        for name, value in given.items():
            if not isinstance(value, torch.Tensor) or value.shape != (worlds,) or value.dtype != self.dtype:
                given_as = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, torch.Tensor) else repr(value)
                raise ValueError(f"parameter {name} must be a tensor {self.dtype} ({worlds},), not {given_as}")
        return {name: default.expand(worlds) for name, default in self._defaults.items()} | given
