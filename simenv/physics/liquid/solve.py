# SPDX-License-Identifier: Apache-2.0
"""A solve of a liquid's pressure as a launch, with its adjoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import warp as wp

from simenv.physics.launch.slots import Launch, Slot
from simenv.physics.liquid.shared import Bar
from simenv.physics.pressure.levels import plain

if TYPE_CHECKING:
    from simenv.physics.liquid.launches import LiquidLaunches

__all__ = ["Solve"]


class Solve:
    """A solve of the pressure's equation as a launch: forward it finds p of b, in reverse the adjoint of b of that of
    p, and adds to the adjoints of how steep faces are.
    """

    differentiable = True

    def __init__(self, owner: LiquidLaunches, work: dict[str, Any], b: str, p: str, scale: Slot, slack: float):
        self._owner, self._work, self._b, self._p, self._scale, self._slack = owner, work, b, p, scale, slack

    def _forward(self) -> list[Launch]:
        owner, b, p = self._owner, self._work[self._b], self._work[self._p]
        return [*owner.solver.solve(b, self._scale, p, slack=self._slack), owner.note()]

    def _backward(self) -> list[Launch]:
        owner, w, found = self._owner, self._work, self._owner.adjoint
        b, p, steep = w[self._b], w[self._p], w[owner.joint]
        made = owner.build(w) if self._b == "crowded_b" else []  # the first in reverse: it was that of another tick
        made += owner.solver.solve(p, owner.none, found, adjoint=True)
        made.append(plain(owner.grid.add, owner.cells[:2], [], [w["window"], found], [Bar(b)]))
        made.append(plain(owner.grid.blame, owner.corners, [owner.lanes], [w["window"], steep, p, found], [Bar(steep)]))
        return [*made, owner.note()]

    def forward(self, device: wp.Device) -> None:
        """Find p."""
        for launch in self._forward():
            launch.forward(device)

    def backward(self, device: wp.Device) -> None:
        """Find the adjoint of b."""
        for launch in self._backward():
            launch.forward(device)

    def kernels(self) -> list[wp.Kernel]:
        """All that it launches."""
        return [kernel for launch in (*self._forward(), *self._backward()) for kernel in launch.kernels()]
