# SPDX-License-Identifier: Apache-2.0
"""The gas of a world, by names: what states hold of it, and what sources are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from simenv.world.state import by_name

if TYPE_CHECKING:
    from simenv.physics.gas.parts import Gas
    from simenv.world.state import State
    from simenv.world.world import World

__all__ = ["GasView"]


class GasView:
    """The gas of a world.

    Args:
        world: that has it.

    Attributes:
        spec: what the scene says.
        shape: cells along x, y and z.
        scalars, sources, obstacles: names.
    """

    def __init__(self, world: World):
        assert world.scene.gas is not None
        self.spec: Gas = world.scene.gas
        self.shape = self.spec.shape
        self.scalars, self.sources = tuple(self.spec.scalars), tuple(self.spec.sources)
        assert world.gas_solver is not None
        self.obstacles = tuple(each.name for each in world.gas_solver.obstacles)
        self._like = torch.zeros(world.num_worlds, dtype=world.dtype, device=world.device)
        self._centres = torch.as_tensor(self.spec.centres(), dtype=world.dtype, device=world.device)

    def centres(self) -> torch.Tensor:
        """Of the cells [m], (nx, ny, nz, 3)."""
        return self._centres

    def scalar(self, state: State, name: str) -> torch.Tensor:
        """What is mixed in, in cells, (N, nx, ny, nz).

        Raises:
            KeyError: nothing of this name is mixed in.
        """
        if name not in self.scalars:
            raise KeyError(f"nothing {name!r} is mixed into the gas; there are: {', '.join(self.scalars) or 'none'}")
        return state.gas_scalar[:, self.scalars.index(name)]

    def velocity(self, state: State) -> torch.Tensor:
        """In the middle of cells, the mean of their faces [m/s], (N, nx, ny, nz, 3)."""
        parts = []
        for axis, key in enumerate("uvw"):
            value = state[f"gas_{key}"]
            around = value.shape[axis + 1] == self.shape[axis]  # a periodic axis
            after = value.roll(-1, axis + 1) if around else value.narrow(axis + 1, 1, self.shape[axis])
            parts.append(0.5 * (value.narrow(axis + 1, 0, self.shape[axis]) + after))
        return torch.stack(parts, -1)

    def pressure(self, state: State) -> torch.Tensor:
        """In cells, beside that of rest, in the middle of the last tick [Pa], (N, nx, ny, nz)."""
        return state.gas_pressure

    def vorticity(self, state: State) -> torch.Tensor:
        """Curl of the velocity in the middle of cells [1/s], (N, nx, ny, nz, 3): differences of neighbours, of one side
        beside the box's.
        """
        velocity, dx = self.velocity(state), self.spec.dx

        def slope(component: int, axis: int) -> torch.Tensor:
            values = velocity[..., component]
            if values.shape[axis + 1] == 1:
                return torch.zeros_like(values)
            if state["gas_" + "uvw"[axis]].shape[axis + 1] == self.shape[axis]:  # a periodic axis
                return (values.roll(-1, axis + 1) - values.roll(1, axis + 1)) / (2.0 * dx)
            return torch.gradient(values, spacing=dx, dim=axis + 1)[0]

        return torch.stack([slope(2, 1) - slope(1, 2), slope(0, 2) - slope(2, 0), slope(1, 0) - slope(0, 1)], -1)

    def wrench(self, state: State, name: str) -> torch.Tensor:
        """Force [N] and torque about its carrier's centre of mass [N m] of the gas on an obstacle, mean over the last
        control step, world axes, (N, 6).

        Raises:
            KeyError: there is no obstacle of this name.
        """
        rows = [row for row, each in enumerate(self.obstacles) if each == name]
        if not rows:
            known = ", ".join(dict.fromkeys(self.obstacles)) or "none"
            raise KeyError(f"there is no obstacle {name!r}; there are: {known}")
        return sum((state.gas_wrench[:, row] for row in rows[1:]), state.gas_wrench[:, rows[0]])

    def drive(self, told: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """`Control.gas_drive` of accelerations (N, 3) [m/s^2] by source; those that are not named have none."""
        still = self._like[:, None].expand(-1, 3)
        return by_name("source", self.sources, told, still)

    def feed(self, told: Mapping[str, Mapping[str, torch.Tensor]]) -> torch.Tensor:
        """`Control.gas_feed` of rates (N,) [1/s] by source and by what is mixed in; what is not named is none."""
        rows = {source: by_name("scalar", self.scalars, rates, self._like) for source, rates in told.items()}
        nothing = self._like[:, None].expand(-1, len(self.scalars))
        return by_name("source", self.sources, rows, nothing)
