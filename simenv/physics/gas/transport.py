# SPDX-License-Identifier: Apache-2.0
"""The launches that carry the velocity of gas, and their adjoint.

Velocities are copied to wide arrays, with what is beyond the sides of the box about them, and carried line by line
(kernels_lines.py). The wide arrays are those of one stage: the reverse sweep fills them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import warp as wp

from simenv.physics.device import on_cuda
from simenv.physics.direct import warp_real
from simenv.physics.gas.kernels_lines import PAD, line_kernels
from simenv.physics.gas.kernels_rim import rim_kernels
from simenv.physics.gas.kernels_walls import PERIODIC, SLIP
from simenv.physics.gas.model import GasModel
from simenv.physics.launch.slots import Flat, Launch, Memory, Slot
from simenv.physics.pressure.levels import View, plain

__all__ = ["Transport"]


class _Component:
    """Where the velocity along an axis lies, in the order of memory: slabs, rows, lines."""

    def __init__(self, model: GasModel, axis: int, flat: Sequence[bool]):
        kinds, faces = model.kinds, model.grid.faces(axis)
        walled = kinds[2 * axis] != PERIODIC
        low, high = [0, 0, 0], list(faces)
        if walled:
            low[axis], high[axis] = 1, faces[axis] - 1
        self.faces, self.walled = faces, walled
        self.none = any(first >= last for first, last in zip(low, high, strict=True))
        self.pad = [0 if each else PAD for each in flat]
        self.wide = [n + 2 * pad for n, pad in zip(faces, self.pad, strict=True)]
        self.low, self.high = low, high

    def beyond(self, axis: int, periodic: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
        """Places (G, 3) in the layers beyond sides that fluxes read, and their numbers in a wide array (G,)."""
        reach = [min(pad, 2) for pad in self.pad]
        if self.walled:
            reach[axis] = min(reach[axis], 1)
        axes = [np.arange(-far, n + far) for far, n in zip(reach, self.faces, strict=True)]
        places = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        out = (places < 0) | (places >= np.array(self.faces))
        walls = (out & ~np.array(periodic)).sum(1)
        wanted = out.any(1) & (walls <= 1) & ((walls == 0) | (out.sum(1) == 1))
        places = places[wanted]
        return places, np.ravel_multi_index((places + self.pad).T, self.wide)


class _Stage:
    """The launches of one stage as one: its reverse fills the wide arrays again before it reads them."""

    differentiable = True

    def __init__(self, filling: Sequence[Launch], carrying: Sequence[Any], clearing: Sequence[Launch]):
        self._filling, self._carrying, self._clearing = list(filling), list(carrying), list(clearing)

    def forward(self, device: wp.Device) -> None:
        for launch in (*self._filling, *self._carrying):
            launch.forward(device)

    def backward(self, device: wp.Device) -> None:
        for launch in (*self._filling, *self._clearing):
            launch.forward(device)
        for launch in (*reversed(self._carrying), *reversed(self._filling)):
            launch.backward(device)

    def kernels(self) -> list[wp.Kernel]:
        every = (*self._filling, *self._carrying, *self._clearing)
        return [kernel for launch in every for kernel in launch.kernels()]


class _Carry:
    """The launch that carries the velocity along an axis; in reverse, with what its adjoint needs before and after."""

    differentiable = True

    def __init__(self, before: Launch, main: Launch, after: Launch):
        self._before, self._main, self._after = before, main, after

    def forward(self, device: wp.Device) -> None:
        self._main.forward(device)

    def backward(self, device: wp.Device) -> None:
        self._before.forward(device)
        self._main.backward(device)
        self._after.forward(device)

    def kernels(self) -> list[wp.Kernel]:
        return [kernel for launch in (self._before, self._main, self._after) for kernel in launch.kernels()]


class Transport:
    """Carries the velocity of gas by its fluxes and its viscosity.

    Args:
        model: what the gas is; dt: of a step [s]; memory: makes slots; profile: of sides, `GasModel.profile`.
    """

    def __init__(self, model: GasModel, dt: float, memory: Memory, profile: wp.array):
        self._model, self._memory, self._profile, self._dt = model, memory, profile, dt
        self._real = real = warp_real(memory.dtype)
        self._lines, self._rim = line_kernels(real), rim_kernels(real)
        kinds, shape = model.kinds, model.shape
        # between two sides that slip, a single layer of cells has nothing to exchange with its like
        self._flat = [n == 1 and kinds[2 * a] == kinds[2 * a + 1] == SLIP for a, n in enumerate(shape)]
        self._parts = [_Component(model, axis, self._flat) for axis in range(3)]
        # memory's lines should be long: those of a flat axis are of one number, and rows stand in for them
        self._turned = self._flat[2]
        periodic, device = model.grid.periodic, memory.wp_device
        self._places = []
        for axis, part in enumerate(self._parts):
            places, numbers = part.beyond(axis, periodic)
            self._places.append(
                (
                    len(places), wp.array(places.astype(np.int32), dtype=wp.vec3i, device=device),
                    wp.array(numbers.astype(np.int32), dtype=int, device=device),
                )
            )  # fmt: skip
        cuda, parts = on_cuda(memory.device), self._parts
        self._lanes = max(max(each.wide) for each in parts) if cuda else 1
        self._wide = [memory.slot(real, *each.wide) for each in parts]
        self._bars = [memory.slot(real, *each.wide, differentiable=False) for each in parts]
        slabs = max(each.wide[0] for each in parts)
        self._spread = memory.slot(real, slabs, self._lanes, differentiable=False)
        self._kinds = self._rim.Kinds(*kinds)

    def _order(self, values: Sequence[int]) -> wp.vec3i:
        """Of memory."""
        x, y, z = values
        return wp.vec3i(x, z, y) if self._turned else wp.vec3i(x, y, z)

    def stage(self, q: Sequence[Slot], out: Sequence[Slot], viscosity: Slot, speed: Slot) -> Any:
        """What carries velocities.

        Args:
            q: along x, y and z.
            out: the same after dt.
            viscosity: over the density (N,) [m^2/s].
            speed: of sides (N, 6, 3) [m/s].
        """
        worlds, lanes, k = self._memory.worlds, self._lanes, self._lines
        filling: list[Launch] = []
        carrying: list[Any] = []
        clearing: list[Launch] = []
        pad = [0 if each else PAD for each in self._flat]
        wide = [self._order(each.wide) for each in self._parts]
        views = [Flat(each) for each in self._wide]
        for axis, part in enumerate(self._parts):
            if self._flat[axis]:  # nobody reads it
                continue
            faces, line = self._order(part.faces), (worlds, part.faces[0], lanes)
            constants = [lanes, faces, wide[axis], self._order(pad)]
            filling.append(Launch(k.widen, line, constants, [Flat(q[axis])], [views[axis]], k.narrow))
            count, places, numbers = self._places[axis]
            if count:
                constants = [self._kinds, wp.int64(np.prod(part.wide)), places, numbers, self._profile]
                surround = self._rim.surround[axis]
                filling.append(Launch(surround, (worlds, count), constants, [speed, q[axis]], [views[axis]]))
            clearing.append(self._cleared(axis, wide[axis]))
        for axis, part in enumerate(self._parts):
            if not part.none:
                carrying.append(self._carry(axis, wide, views, out[axis], viscosity))
            if part.walled:
                size = [n for other, n in enumerate(part.faces) if other != axis]
                constants = [self._kinds, self._dt / self._model.dx, self._profile]
                kernel = self._rim.pass_sides[axis]
                carrying.append(Launch(kernel, (worlds, 2, *size), constants, [speed, q[axis]], [out[axis]]))
        return _Stage(filling, carrying, clearing)

    def _cleared(self, axis: int, wide: wp.vec3i) -> Launch:
        """Zeroes the adjoint of a wide array."""
        bar = View(lambda: self._wide[axis].adjoint.view(-1), self._real)
        return plain(self._lines.wipe, (self._memory.worlds, wide[0], self._lanes), [self._lanes, wide], [], [bar])

    def _carry(
        self, axis: int, wide: Sequence[wp.vec3i], views: Sequence[Any], out: Slot, viscosity: Slot
    ) -> _Carry:  # fmt: skip
        part, k, real, lanes, worlds = self._parts[axis], self._lines, self._real, self._lanes, self._memory.worlds
        low, high, faces = (self._order(each) for each in (part.low, part.high, part.faces))
        flat, pad = self._order([int(each) for each in self._flat]), self._order(part.pad)
        passes = sum(1 << each for each in range(3) if not flat[each])
        along = [0, 2, 1][axis] if self._turned else axis
        per_dx, bars = 1.0 / self._model.dx, self._bars[axis]
        order = [0, 2, 1] if self._turned else [0, 1, 2]  # of the three velocities too
        constants = [
            lanes, along, passes, low, high, faces, self._dt * per_dx, per_dx, pad, *(wide[each] for each in order)
        ]  # fmt: skip
        inputs = [viscosity, *(views[each] for each in order)]
        slabs = high[0] - low[0] + 4
        work: list[Any] = [lambda: View(lambda: bars.tensor.view(-1), real).array, lambda: self._spread.array]
        main = Launch(k.carry, (worlds, slabs, lanes), constants, inputs, [Flat(out)], k.carry_adjoint, work)
        of_out = View(lambda: out.adjoint.view(-1), real)
        into = View(lambda: bars.tensor.view(-1), real)
        before = plain(k.within, (worlds, slabs, lanes), [lanes, low, high, faces, wide[axis], pad], [of_out], [into])
        thick = View(lambda: viscosity.adjoint, real)
        after = plain(k.thicken, (worlds,), [slabs, lanes], [self._spread], [thick])
        return _Carry(before, main, after)
