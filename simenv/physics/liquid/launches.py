# SPDX-License-Identifier: Apache-2.0
"""The launches of a tick of an incompressible liquid.

Particles give the grid their velocities (APIC); gravity acts; the pressure makes these free of divergence, and a second
solve of the same equation finds how particles move to undo what crowds cells (Kugelstadt et al. 2021, Implicit density
projection for volume conserving liquids); both are continued beyond the surface; particles follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import warp as wp

from simenv.physics.device import on_cuda
from simenv.physics.direct import warp_real
from simenv.physics.gas.kernels_average import average_kernels
from simenv.physics.launch.slots import Array, Launch, Memory, Slot
from simenv.physics.liquid.kernels_cells import cell_kernels
from simenv.physics.liquid.kernels_extend import extend_kernels
from simenv.physics.liquid.kernels_pack import pack_kernels
from simenv.physics.liquid.kernels_particles import particle_kernels
from simenv.physics.liquid.kernels_viscosity import viscosity_kernels
from simenv.physics.liquid.kernels_walls import wall_kernels
from simenv.physics.liquid.kernels_window import window_kernels
from simenv.physics.liquid.model import LiquidModel
from simenv.physics.liquid.shared import Bar, Flat, InPlace, Shared
from simenv.physics.pressure.levels import View, plain
from simenv.physics.pressure.solve import PressureSolver

__all__ = ["LiquidLaunches"]

PUSHED = ("ripe", "change", "room")
EXTENSIONS = 2  # faces beyond the surface that have a velocity
COARSER = 100.0  # times the tolerance of velocities: that of what crowds cells, which the next tick undoes anyway


class _Solve:
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
        b, p, steep = w[self._b], w[self._p], w["steep"]
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


class LiquidLaunches:
    """The slots and launches of a liquid in some worlds.

    Args:
        model: what it is; dt: of a tick [s]; memory: makes slots.

    Attributes:
        inputs: by name, the same in all ticks: ``active``, ``volume``, ``gravity``,
            and the kinematic ``viscosity``.
        solver: of the pressure; failed: solves that ended at their last iteration (N,); status: bits of the worlds.
    """

    def __init__(self, model: LiquidModel, dt: float, memory: Memory):
        self.model, self.memory, self._dt = model, memory, dt
        self._real = real = warp_real(memory.dtype)
        self._particles, self.grid, self._extend = particle_kernels(real), cell_kernels(real), extend_kernels(real)
        self._sums, self._pack, self._walls = average_kernels(real), pack_kernels(real), wall_kernels(real)
        self._windows, self._viscosity = window_kernels(real), viscosity_kernels(real)
        self._sticks = wp.vec3i(*(int(each) for each in model.sticks))
        self._vec3, self._vec4, self._mat33 = self._particles.vec3, self._particles.vec4, self._particles.mat33
        self.solver = PressureSolver(model.grid, model.accuracy, memory)
        slot, count = memory.slot, model.particles
        self.inputs: dict[str, Slot] = {
            "active": slot(wp.int32, count), "volume": slot(real, count), "gravity": slot(self._vec3),
            "viscosity": slot(real),
        }  # fmt: skip
        plainly = {"differentiable": False}
        self.status = slot(wp.int32)
        self.failed, self._ends = slot(wp.int32, **plainly), slot(wp.int32, 6, **plainly)
        nx, ny, nz = model.shape
        self._sizes = (nx * ny * nz, (nx + 1) * (ny + 1) * (nz + 1), (nx + 3) * (ny + 3) * (nz + 3))
        self.adjoint = slot(real, self._sizes[0], **plainly)
        self.none, self._scale = slot(real, **plainly), slot(real, **plainly)
        # on CUDA worlds share the tables of a pressure's levels, so that their windows are all of the box
        self._whole = int(on_cuda(memory.device) or memory.worlds > 1)
        self.lanes = wp.vec2i(ny + 1, nz + 1) if on_cuda(memory.device) else wp.vec2i(1, 1)
        self.cells = (memory.worlds, nx, *self.lanes)
        self.corners = (memory.worlds, nx + 1, *self.lanes)
        self._box = self._windows.Box()
        self._box.n, self._box.origin, self._box.dx = wp.vec3i(nx, ny, nz), self._vec3(*model.origin), model.dx
        self._states: list[dict[str, Slot]] = []
        self._work: list[dict[str, Any]] = []
        self._bars: dict[str, Slot] = {}

    def state(self, number: int) -> dict[str, Slot]:
        """``x``, ``v``, ``C`` of particles."""
        kinds = {"x": self._vec3, "v": self._vec3, "C": self._mat33}
        while len(self._states) <= number:
            made = {name: self.memory.slot(kind, self.model.particles) for name, kind in kinds.items()}
            self._states.append(made)
        return self._states[number]

    def _kinds(self) -> dict[str, tuple[type, int]]:
        """Dtypes and sizes of what a tick works in: of cells, of faces, and of the grids of particles."""
        cells, corners, places = self._sizes
        made: dict[str, tuple[type, int]] = {}
        made |= dict.fromkeys(("fill", "b", "p", "crowded_b", "crowded_p"), (self._real, cells))
        pushed = [f"{name}{each}" for each in range(EXTENSIONS + 1) for name in PUSHED]
        made |= dict.fromkeys(("steep", "mass", "old", "fallen", "star", *pushed), (self._vec3, corners))
        grids = ("centres", *(f"{name}_{axis}" for name in ("given", "taken") for axis in "xyz"))
        return made | dict.fromkeys(grids, (self._vec4, places))

    def work(self, number: int) -> dict[str, Any]:
        """What a tick works in. Values are its own, adjoints are shared by all ticks."""
        slot, plainly = self.memory.slot, {"differentiable": False}
        while len(self._work) <= number:
            window = slot(wp.int32, 2, 3, **plainly)
            made: dict[str, Any] = {"window": View(partial(getattr, window, "tensor"), wp.vec3i)}
            for name, (kind, size) in self._kinds().items():
                if name not in self._bars:
                    self._bars[name] = slot(kind, size, **plainly)
                made[name] = Shared(slot(kind, size, **plainly), self._bars[name])
            self._work.append(made)
        return self._work[number]

    def note(self) -> Launch:
        """Count solves that failed."""
        return plain(self._sums.note, (self.memory.worlds,), [], [self.solver.done], [self.failed])

    def build(self, work: dict[str, Any]) -> list[Launch]:
        """The pressure's equation of a tick."""
        window, levels = work["window"], self.solver.levels
        inputs = [window, work["fill"], work["steep"]]
        made = []
        if not self._whole:
            tables = [Array(each) for each in levels.tables]
            made.append(plain(self._windows.refine, (1,), [], [window], [*tables, *self.solver.slabs]))
        weights = [levels.flat_weight(axis) for axis in range(3)]
        made.append(plain(self.grid.weigh, self.corners, [self.lanes], inputs, weights))
        made.append(plain(self.grid.hold, self.cells, [self.lanes], inputs, [levels.flat_shift]))
        return [*made, *self.solver.build()]

    def step(self, before: dict[str, Slot], work: dict[str, Any], after: dict[str, Slot]) -> list[Any]:
        """The launches of a tick."""
        k, g, i, lanes, w, dt = self._particles, self.grid, self.inputs, self.lanes, work, self._dt
        every, window = (self.memory.worlds, self.model.particles), work["window"]
        cells, corners, box = self.cells, self.corners, [self._box, self._sizes[2]]
        given, taken = ([w[f"{name}_{axis}"] for axis in "xyz"] for name in ("given", "taken"))
        thrown = [w["centres"], *given]
        sent: list[Any] = [Flat(each) for each in thrown]
        made: list[Any] = [
            *self._enclose(before["x"], window), *self._wipe(window, thrown),
            Launch(
                k.scatter, every, [*box, 1.0 / self.model.dx**3], [window, i["active"], i["volume"], *before.values()],
                sent, k.unscatter,
            ),
            self._fold_centres(window, w["centres"]), self._fold(window, given),
            Launch(
                self._pack.unpack, corners, [lanes, dt], [window, i["gravity"], *thrown],
                [w[name] for name in ("fill", "mass", "old", "fallen")],
            ),
            Launch(
                self._viscosity.rub, corners, [lanes, dt / self.model.dx**2, self._sticks, self._box.n],
                [window, i["viscosity"], w["mass"], w["old"], w["fallen"]], [w["star"]],
            ),
            Launch(g.settle, corners, [lanes], [window, w["fill"]], [w["steep"], w["ripe0"]]),
            Launch(g.diverge, cells, [lanes], [window, w["star"]], [w["b"]]),
            Launch(g.crowd, cells, [lanes, self.model.relaxing], [window, w["fill"]], [w["crowded_b"]]),
            *self.build(w),
            plain(g.fastest, every[:1], [], [window, w["star"]], [self._scale]),
            _Solve(self, w, "b", "p", self._scale, 1.0),
            _Solve(self, w, "crowded_b", "crowded_p", self.none, COARSER),
            Launch(g.push, corners, [lanes], [window, w["steep"], w["p"], w["crowded_p"]], [w["change0"], w["room0"]]),
        ]  # fmt: skip
        for each in range(EXTENSIONS):
            inputs, outputs = ([w[f"{name}{each + more}"] for name in PUSHED] for more in (0, 1))
            made.append(Launch(self._extend.extend, corners, [lanes], [window, *inputs], outputs))
        inputs = [w["star"], w[f"change{EXTENSIONS}"], w["old"], w[f"room{EXTENSIONS}"]]
        made += [Launch(self._pack.pack, corners, [lanes], [window, *inputs], taken), self._reflect(window, taken)]
        read: list[Any] = [window, i["active"], before["x"], before["v"], *(Flat(each) for each in taken)]
        ends = [*after.values(), self.status]
        made.append(Launch(k.gather, every, [*box, dt, self.model.keeping], read, ends, k.ungather))
        return [*made, self._wipe_bars(w)]

    def _enclose(self, x: Slot, window: View) -> list[Launch]:
        """The window of a tick."""
        k, worlds, active = self._windows, (self.memory.worlds,), self.inputs["active"]
        every = (*worlds, self.model.particles)
        return [
            plain(k.begin, worlds, [], [], [self._ends]),
            plain(k.bound, every, [self._box], [active, x], [self._ends]),
            plain(k.fit, worlds, [self._box, self._whole], [self._ends], [window]),
        ]

    def _wipe(self, window: View, grids: Sequence[Any]) -> list[Launch]:
        """Zeros in the grid of centres and those of faces."""
        k, dim = self._windows, (self.memory.worlds, self.model.shape[0] + 3)
        return [
            plain(k.wipe_grid, dim, [], [window], grids[:1]), plain(k.wipe_grids, dim, [], [window], grids[1:])
        ]  # fmt: skip

    def _wipe_bars(self, work: dict[str, Any]) -> InPlace:
        """Zeros in all adjoints, before the reverse sweep of a tick."""
        k, (worlds, nx), window = self._windows, self.corners[:2], work["window"]
        cells, corners, _ = self._sizes
        bars: dict[int, list[Bar]] = {size: [] for size in self._sizes}
        for name, (_, size) in self._kinds().items():
            bars[size].append(Bar(work[name]))
        made = [plain(k.wipe_cells, (worlds, nx - 1), [], [window], [each]) for each in bars[cells]]
        made += [plain(k.wipe_faces, (worlds, nx), [], [window], [each]) for each in bars[corners]]
        made += [plain(k.wipe_grid, (worlds, nx + 2), [], [window], [each]) for each in bars[self._sizes[2]]]
        return InPlace([], made)

    def _fold_centres(self, window: View, grid: Shared) -> InPlace:
        """What particles gave beyond walls comes back."""
        k, dim = self._walls, (self.memory.worlds,)
        return InPlace(
            [plain(k.fold_centres, dim, [], [window], [grid])],
            [plain(k.reflect_centres, dim, [], [window], [Bar(grid)])],
        )

    def _fold(self, window: View, grids: Sequence[Shared]) -> InPlace:
        """The same of faces, where momentum is odd."""
        k, dim, bars = self._walls, (self.memory.worlds, 3), [Bar(each) for each in grids]
        return InPlace([plain(k.fold, dim, [1], [window], grids)], [plain(k.reflect, dim, [1], [window], bars)])

    def _reflect(self, window: View, grids: Sequence[Shared]) -> InPlace:
        """Beyond walls particles take the mirror image."""
        k, dim, bars = self._walls, (self.memory.worlds, 3), [Bar(each) for each in grids]
        return InPlace([plain(k.reflect, dim, [3], [window], grids)], [plain(k.fold, dim, [3], [window], bars)])
