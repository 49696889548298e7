# SPDX-License-Identifier: Apache-2.0
"""The launches of vorticity confinement."""

from __future__ import annotations

from collections.abc import Sequence

import warp as wp

from simenv.physics.direct import warp_real
from simenv.physics.gas.kernels_confine import confine_kernels
from simenv.physics.gas.model import GasModel
from simenv.physics.gas.projection import Projection
from simenv.physics.launch.slots import Launch, Memory, Slot

__all__ = ["Confinement"]


class Confinement:
    """Spins up gas where it turns.

    Args:
        model: what the gas is; dt: of a step [s]; memory: makes slots; projection: of the same gas.
    """

    def __init__(self, model: GasModel, dt: float, memory: Memory, projection: Projection):
        self._model, self._dt, self._memory, self._projection = model, dt, memory, projection
        self._kernels = confine_kernels(warp_real(memory.dtype))

    def slots(self, stage: str) -> dict[str, Slot]:
        """What a stage works in: the vorticity in cells, and the acceleration."""
        slot, vec3, shape = self._memory.slot, self._kernels.vec3, self._model.shape
        return {"turn" + stage: slot(vec3, *shape), "spun" + stage: slot(vec3, *shape)}

    def act(
        self, flow: Sequence[Slot], strength: Slot, turn: Slot, spun: Slot, lifted: Sequence[Slot]
    ) -> list[Launch]:  # fmt: skip
        """The launches that add to velocities `lifted` what the vorticity of `flow` gives, of a strength (N,) [1/s]."""
        k, p, dx = self._kernels, self._projection, self._model.dx
        constants = [p.kinds, wp.vec2i(*p.lanes)]
        made = [
            Launch(k.curl, p.dim(None), [*constants, 1.0 / dx], flow, [turn]),
            Launch(k.confine, p.dim(None), [*constants, dx], [strength, turn], [spun]),
        ]
        for axis in range(3):
            given = [*constants, self._dt]
            made.append(Launch(k.spin[axis], p.dim(axis), given, [spun], [lifted[axis]], k.unspin[axis]))
        return made
