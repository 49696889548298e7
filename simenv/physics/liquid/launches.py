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
from simenv.physics.frames import Frames
from simenv.physics.gas.kernels_average import average_kernels
from simenv.physics.launch.slots import Array, Launch, Memory, Slot
from simenv.physics.liquid.bodies import Bodies
from simenv.physics.liquid.kernels_cells import HALF, SURFACE, cell_kernels
from simenv.physics.liquid.kernels_extend import extend_kernels
from simenv.physics.liquid.kernels_pack import pack_kernels
from simenv.physics.liquid.kernels_particles import particle_kernels
from simenv.physics.liquid.kernels_viscosity import viscosity_kernels
from simenv.physics.liquid.kernels_walls import wall_kernels
from simenv.physics.liquid.kernels_window import MARGIN, window_kernels
from simenv.physics.liquid.model import LiquidModel
from simenv.physics.liquid.shared import Bar, Flat, InPlace, Shared
from simenv.physics.liquid.solids import Solids
from simenv.physics.liquid.solve import Solve
from simenv.physics.liquid.tension import PASSES, Tension
from simenv.physics.pressure.levels import View, plain
from simenv.physics.pressure.solve import PressureSolver

__all__ = ["LiquidLaunches"]

PUSHED = ("ripe", "change", "room")
EXTENSIONS = 2  # faces beyond the surface that have a velocity
COARSER = 1000.0  # times the tolerance of velocities: that of what crowds cells, which the next tick undoes anyway


class LiquidLaunches:
    """The slots and launches of a liquid in some worlds.

    Args:
        model: what it is; dt: of a tick [s]; ticks: of a control step; memory: makes slots.
        frames: the table of frames, None where no body moves by itself.

    Attributes:
        box: of all cells; solids: colliders, or None; bodies: that it moves, or None.
        inputs: by name, the same in all ticks: ``active``, ``volume``, ``gravity``,
            ``density``, the kinematic ``viscosity``, and, where it has any, ``tension``, that of the surface over the
            density.
        solver: of the pressure; failed: solves that ended at their last iteration (N,); status: bits of the worlds.
    """

    def __init__(self, model: LiquidModel, dt: float, ticks: int, memory: Memory, frames: Frames | None = None):
        self.model, self.memory, self._dt = model, memory, dt
        self._real = real = warp_real(memory.dtype)
        self._particles, self._extend = particle_kernels(real), extend_kernels(real)
        self.grid = cell_kernels(real, HALF if model.tension else SURFACE)
        self._sums, self._pack, self._walls = average_kernels(real), pack_kernels(real), wall_kernels(real)
        self._windows, self._viscosity = window_kernels(real), viscosity_kernels(real)
        self._sticks = wp.vec3i(*(int(each) for each in model.sticks))
        self._vec3, self._vec4, self._mat33 = self._particles.vec3, self._particles.vec4, self._particles.mat33
        self.solver = PressureSolver(model.grid, model.accuracy, memory)
        slot, count = memory.slot, model.particles
        self.inputs: dict[str, Slot] = {
            "active": slot(wp.int32, count), "volume": slot(real, count), "gravity": slot(self._vec3),
            "viscosity": slot(real), "density": slot(real),
        }  # fmt: skip
        plainly = {"differentiable": False}
        self.status = slot(wp.int32)
        self.failed, self._ends = slot(wp.int32, **plainly), slot(wp.int32, 6, **plainly)
        nx, ny, nz = model.shape
        self._sizes = (nx * ny * nz, (nx + 1) * (ny + 1) * (nz + 1), (nx + 3) * (ny + 3) * (nz + 3))
        self._fine = (2 * nx + 1) * (2 * ny + 1) * (2 * nz + 1)  # points half a cell apart
        self.adjoint = slot(real, self._sizes[0], **plainly)
        self.none, self._scale = slot(real, **plainly), slot(real, **plainly)
        # on CUDA worlds share the tables of a pressure's levels, so that their windows are all of the box
        self._margin = max(MARGIN, PASSES + 1) if model.tension else MARGIN  # so that what is smoothed ends within
        self._whole = int(on_cuda(memory.device) or memory.worlds > 1)
        self.lanes = wp.vec2i(ny + 1, nz + 1) if on_cuda(memory.device) else wp.vec2i(1, 1)
        self.cells = (memory.worlds, nx, *self.lanes)
        self.corners = (memory.worlds, nx + 1, *self.lanes)
        self.box = self._windows.Box()
        self.box.n, self.box.origin, self.box.dx = wp.vec3i(nx, ny, nz), self._vec3(*model.origin), model.dx
        types = (real, self._vec3, self._mat33)
        self.solids = Solids(model.colliders, self.box, ticks, dt, memory, *types) if model.colliders else None
        self.bodies: Bodies | None = None
        if frames is not None and model.moves:
            self.bodies = Bodies(self, model.mounts, model.local, frames, ticks, dt, self._sizes[0])
        self.tension: Tension | None = None
        if model.tension:
            self.inputs["tension"] = slot(real)
            self.tension = Tension(real, model.shape, self.lanes, self.corners, dt, model.dx, EXTENSIONS)
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
        made |= dict.fromkeys(
            ("steep", "mass", "old", "stretched", "sheared", "fallen", "star", *pushed), (self._vec3, corners)
        )
        grids = ("centres", *(f"{name}_{axis}" for name in ("given", "taken") for axis in "xyz"))
        made |= dict.fromkeys(grids, (self._vec4, places))
        if self.solids is not None:
            made |= dict.fromkeys(("can", "free", "fill0", "sight", "least0", "least1", "least"), (self._real, cells))
            made |= dict.fromkeys(
                ("open", "solid", "held", "steep0", "joint", "ripe", "opened", "pushed", "roomed", "flux"),
                (self._vec3, corners),
            )
            made |= {"phi0": (self._real, corners), "phi": (self._real, self._fine)}
        if self.bodies is not None:
            made["trail"] = (self._vec3, corners)
        if self.tension is not None:
            made |= dict.fromkeys(self.tension.cells, (self._real, cells))
            made |= dict.fromkeys(self.tension.faces, (self._vec3, corners))
        return made

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
            if self.solids is not None:
                for name, size in (("owner0", self._sizes[1]), ("owner", self._fine)):
                    made[name] = View(partial(getattr, slot(wp.int32, size, **plainly), "tensor"), wp.int32)
                for c in range(self.solids.count):
                    made |= {
                        f"{name}{c}": slot(self._vec4, self.model.particles, **plainly) for name in ("plane", "near")
                    }
                    made[f"touches{c}"] = slot(wp.int32, self.model.particles, **plainly)
                    made |= {f"{name}{c}": slot(self._vec3, self.model.particles) for name in "xv"}
            self._work.append(made)
        return self._work[number]

    def note(self) -> Launch:
        """Count solves that failed."""
        return plain(self._sums.note, (self.memory.worlds,), [], [self.solver.done], [self.failed])

    def build(self, work: dict[str, Any]) -> list[Launch]:
        """The pressure's equation of a tick."""
        window, levels = work["window"], self.solver.levels
        inputs = [window, work["fill"], work[self.joint]]
        made = []
        if not self._whole:
            tables = [Array(each) for each in levels.tables]
            made.append(plain(self._windows.refine, (1,), [], [window], [*tables, *self.solver.slabs]))
        weights = [levels.flat_weight(axis) for axis in range(3)]
        made.append(plain(self.grid.weigh, self.corners, [self.lanes], inputs, weights))
        made.append(plain(self.grid.hold, self.cells, [self.lanes], inputs, [levels.flat_shift]))
        return [*made, *self.solver.build()]

    @property
    def joint(self) -> str:
        """Name of what couples the pressures of cells: how steep they are between these, by what is open."""
        return "steep" if self.solids is None else "joint"

    @property
    def driven(self) -> str:
        """Name of what faces' velocities are before pressure acts."""
        return "star" if self.tension is None else "pulled"

    def step(self, tick: int, keep: bool, before: dict[str, Slot], work: dict[str, Any]) -> list[Any]:
        """The launches of a tick until it is known how bodies move."""
        w, window, solids, bodies = work, work["window"], self.solids, self.bodies
        moved = [] if bodies is None or solids is None else [bodies.place(tick, keep, solids.inputs)]
        made = [*moved, *self._enclose(before["x"], window), *self._send(before, w), *self._balance(tick, w)]
        made += [*self.build(w), plain(self.grid.fastest, self.cells[:1], [], [window, w[self.driven]], [self._scale])]
        if bodies is None or solids is None:
            made.append(Solve(self, w, "b", "p", self._scale, 1.0))
        else:
            made += bodies.ask(tick, keep, w, solids.thick, self._scale, self.inputs["density"])
        return [*made, Solve(self, w, "crowded_b", "crowded_p", self.none, COARSER)]

    def finish(
        self, tick: int, keep: bool, before: dict[str, Slot], work: dict[str, Any], after: dict[str, Slot]
    ) -> list[Any]:  # fmt: skip
        """The rest of the tick."""
        w, solids, bodies = work, self.solids, self.bodies
        moved = bodies is not None and solids is not None
        made = [*(bodies.follow(tick, keep, w, solids.inputs) if moved else []), *self._push(w)]
        for each in range(EXTENSIONS):
            inputs, outputs = ([w[f"{name}{each + more}"] for name in PUSHED] for more in (0, 1))
            made.append(Launch(self._extend.extend, self.corners, [self.lanes], [w["window"], *inputs], outputs))
        if self.tension is not None:
            made += self.tension.cling(self._extend.extend, w, self.inputs["tension"])
        made += self._receive(tick, keep, before, w, after)
        if moved:
            sums = [solids.force, solids.torque]
            made.append(bodies.owe(tick, keep, self.inputs["density"], solids.inputs["position"], sums))
        return [*made, self._wipe_bars(w)]

    def _push(self, w: dict[str, Any]) -> list[Launch]:
        """What pressures do to faces."""
        inputs = [w["window"], w["steep"], w["p"], w["crowded_p"]]
        ends = ["change0", "room0"] if self.solids is None else ["pushed", "roomed"]
        if self.tension is not None:
            ends[0] = "shoved"
        made = [Launch(self.grid.push, self.corners, [self.lanes], inputs, [w[name] for name in ends])]
        if self.tension is not None:
            made.append(self.tension.gain(w))
        if self.solids is not None:
            given = f"opened held {'solid' if self.bodies is None else 'trail'} star pushed roomed"
            made.append(self.solids.narrow("bind", self.corners, w, given, "ripe0 change0 room0"))
        return made

    def _send(self, before: dict[str, Slot], w: dict[str, Any]) -> list[Any]:
        """Particles give their momentum to faces, which gravity and viscosity change."""
        k, i, lanes, window, dt = self._particles, self.inputs, self.lanes, w["window"], self._dt
        every, box = (self.memory.worlds, self.model.particles), [self.box, self._sizes[2]]
        given = [w[f"given_{axis}"] for axis in "xyz"]
        thrown = [w["centres"], *given]
        sent: list[Any] = [Flat(each) for each in thrown]
        return [
            *self._wipe(window, thrown),
            Launch(
                k.scatter, every, [*box, 1.0 / self.model.dx**3],
                [window, i["active"], i["volume"], *before.values()], sent, k.unscatter,
            ),
            self._fold_centres(window, w["centres"]), self._fold(window, given),
            Launch(
                self._pack.unpack, self.corners, [lanes, dt], [window, i["gravity"], *thrown],
                [w[name] for name in ("fill" if self.solids is None else "fill0", "mass", "old", "fallen")],
            ),
            Launch(
                self._viscosity.strain, self.corners, [lanes], [window, w["mass"], w["old"]],
                [w["stretched"], w["sheared"]],
            ),
            Launch(
                self._viscosity.rub, self.corners, [lanes, dt / self.model.dx**2, self._sticks, self.box.n],
                [window, i["viscosity"], *(w[name] for name in ("mass", "old", "stretched", "sheared", "fallen"))],
                [w["star"]],
            ),
        ]  # fmt: skip

    def _balance(self, tick: int, w: dict[str, Any]) -> list[Any]:
        """What the pressure's equation is made of."""
        g, lanes, window, cells, corners = self.grid, self.lanes, w["window"], self.cells, self.corners
        solids, relax = self.solids, self.model.relaxing
        if solids is None:
            pull = [] if self.tension is None else self.tension.pull(w, self.inputs["tension"])
            return [
                Launch(g.settle, corners, [lanes], [window, w["fill"]], [w["steep"], w["ripe0"]]),
                *pull,
                Launch(g.diverge, cells, [lanes], [window, w[self.driven]], [w["b"]]),
                Launch(g.crowd, cells, [lanes, relax], [window, w["fill"]], [w["crowded_b"]]),
            ]
        return [
            *solids.cut(tick, lanes, corners, w),
            solids.narrow("relieve", cells, w, "fill0 can", "fill sight"),
            Launch(g.settle, corners, [lanes], [window, w["fill"]], [w["steep0"], w["ripe"]]),
            solids.narrow("shade", corners, w, "open steep0 ripe", "steep joint opened"),
            solids.narrow("flux", corners, w, "open solid star", "flux"),
            Launch(g.diverge, cells, [lanes], [window, w["flux"]], [w["b"]]),
            *solids.look(lanes, cells, w),
            Launch(
                g.crowd_within, cells[:2], [relax], [window, *(w[name] for name in ("fill", "least", "can", "free"))],
                [w["crowded_b"]],
            ),
        ]  # fmt: skip

    def _receive(
        self, tick: int, keep: bool, before: dict[str, Slot], w: dict[str, Any], after: dict[str, Slot]
    ) -> list[Any]:  # fmt: skip
        """Particles take velocities from faces, and move; colliders stop them."""
        k, i, window, solids = self._particles, self.inputs, w["window"], self.solids
        every, box = (self.memory.worlds, self.model.particles), [self.box, self._sizes[2]]
        taken = [w[f"taken_{axis}"] for axis in "xyz"]
        change = f"change{EXTENSIONS}" if self.tension is None else "homed"
        inputs = [w["star"], w[change], w["old"], w[f"room{EXTENSIONS}"]]
        made: list[Any] = [
            Launch(self._pack.pack, self.corners, [self.lanes], [window, *inputs], taken), self._reflect(window, taken)
        ]  # fmt: skip
        read: list[Any] = [window, i["active"], before["x"], before["v"], *(Flat(each) for each in taken)]
        first = [after["x"], after["v"]] if solids is None else [w["x0"], w["v0"]]
        ends = [*first, after["C"], self.status]
        made.append(Launch(k.gather, every, [*box, self._dt, self.model.keeping], read, ends, k.ungather))
        if solids is None:
            return made
        late, felt = solids.motion_of, [solids.force, solids.torque]
        if self.bodies is not None:
            late, felt = self.bodies.late(), self.bodies.felt(tick, keep)
        met = solids.meet(tick, i, before["x"], w, after, late, felt)
        return [*made, *met, solids.press(tick, self.cells, i, w, felt)]

    def _enclose(self, x: Slot, window: View) -> list[Launch]:
        """The window of a tick."""
        k, worlds, active = self._windows, (self.memory.worlds,), self.inputs["active"]
        every = (*worlds, self.model.particles)
        return [
            plain(k.begin, worlds, [], [], [self._ends]),
            plain(k.bound, every, [self.box], [active, x], [self._ends]),
            plain(k.fit, worlds, [self.box, self._whole, self._margin], [self._ends], [window]),
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
        cells, corners, places = self._sizes
        real, vec3 = self._real, self._vec3
        made = []
        for kernel, count, kind, size in (
            (k.wipe_cells, nx - 1, real, cells), (k.wipe_corners, nx, real, corners), (k.wipe_faces, nx, vec3, corners),
            (k.wipe_grid, nx + 2, self._vec4, places), (k.wipe_points, 2 * nx - 1, real, self._fine),
        ):  # fmt: skip
            names = [name for name, what in self._kinds().items() if what == (kind, size)]
            made += [plain(kernel, (worlds, count), [], [window], [Bar(work[name])]) for name in names]
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
