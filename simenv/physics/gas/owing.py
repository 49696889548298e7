# SPDX-License-Identifier: Apache-2.0
"""Bodies that take along what gas they carry: how the gas' push on them answers to how they move.

The push of a tick is that of bodies which keep their velocities. What speeds up pushes the gas in the next tick only,
which would throw a body that is lighter than this gas back and forth. So it also has, in each tick, the inertia of the
gas that it carries along, and gets back in the next what this has taken: with Z that inertia, M what a tick takes of
the body in truth, and m its mass, accelerations a follow (m + Z) a' = f + (Z - M) a, which is stable for every m if Z
is more than half of M, and best where it is M. No momentum is made or lost: it is on its way for a tick.

A tick foresees where bodies will be, and its push is that of bodies which get there. What faces that are more or less
open hold of the gas' momentum is owed too.

References:
    Foerster, Wall, Ramm 2007, Artificial added mass instabilities in sequential staggered coupling of nonlinear
    structures and incompressible viscous flows, CMAME 196.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import warp as wp

from simenv.physics.direct import warp_real
from simenv.physics.gas.kernels_owe import owe_kernels
from simenv.physics.launch.slots import Launch, Slot
from simenv.physics.solver import Desk

__all__ = ["Owing"]


class Owing:
    """What bodies are owed.

    Args:
        rows: of the table of frames, which are owed.
        carried: what they take along, over the density (6, 6), by row; others do not answer.
        desk: what to work with.
    """

    def __init__(self, rows: Sequence[int], carried: Mapping[int, np.ndarray], desk: Desk):
        self._desk, self._rows = desk, list(rows)
        desk.frames.answer(carried)
        self._kernels = k = owe_kernels(warp_real(desk.dtype))
        device = desk.memory.wp_device
        taken = [carried.get(row, np.zeros((6, 6))) for row in self._rows]
        self._fixed = [
            wp.array(np.array(self._rows, dtype=np.int32), dtype=int, device=device),
            wp.array(np.stack(taken), dtype=k.mat66, device=device),
        ]
        self._owed: list[Slot] = []

    def owed(self, number: int) -> Slot:
        """Impulses [N s] and angular impulses [N m s] (N, F) of six, world axes."""
        while len(self._owed) <= number:
            self._owed.append(self._desk.memory.slot(self._kernels.vec6, len(self._rows)))
        return self._owed[number]

    def lend(self, tick: int, keep: bool, density: Slot) -> Launch:
        """The launch that adds to wrenches what is owed, and responses."""
        frames, k = self._desk.frames, self._kernels
        number, work = frames.before(tick, keep), frames.scratch(tick, keep)
        inputs = [density, frames.pose(number)[1], self.owed(number)]
        out, dim = [*frames.wrench(work), frames.response(work)], (self._desk.worlds, len(self._rows))
        return Launch(k.lend, dim, [*self._fixed, 1.0 / self._desk.dt], inputs, out)

    def owe(self, tick: int, keep: bool, density: Slot, carriers: wp.array, late: Sequence[Slot]) -> Launch:
        """The launch that says what these have taken off the push.

        Args:
            tick: that ends.
            keep: whether for a gradient.
            density: (N,) [kg/m^3].
            carriers: rows (M,) of obstacles.
            late: forces [N] and torques [N m] on obstacles (N, M, 3) that come a tick late, about their frames.
        """
        frames, k = self._desk.frames, self._kernels
        inputs = [density, frames.pose(frames.before(tick, keep))[1], *frames.change(frames.scratch(tick, keep))]
        out, dim = [self.owed(frames.after(tick, keep))], (self._desk.worlds, len(self._rows))
        return Launch(k.owe, dim, [*self._fixed, self._desk.dt, carriers], [*inputs, *late], out)
