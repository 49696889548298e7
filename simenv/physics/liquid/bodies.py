# SPDX-License-Identifier: Apache-2.0
"""The launches of bodies that an incompressible liquid moves.

The pressure's equation is linear in how bodies move. A tick solves it for bodies that keep their velocities, and once
for each of the six unit motions of each; what these sways push is the body's response, its added mass (Batty, Bertails
and Bridson 2007, A fast variational framework for accurate solid-fluid coupling). Then bodies move, with all that else
acts on them, and the pressure is the sum of what was solved for. So no body is too light.

What colliders feel is that pressure at their surface, and particles that meet them. What this differs by from what a
body got in the tick, it gets in the next: no momentum is made or lost, it is on its way for a tick. So do two bodies
feel each other's change of motion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import warp as wp

from simenv.physics.direct import warp_real
from simenv.physics.frames import Frames
from simenv.physics.launch.slots import Flat, Launch, Memory, Slot
from simenv.physics.liquid.kernels_bodies import body_kernels
from simenv.physics.liquid.shared import Bar, InPlace, Shared
from simenv.physics.mpm.kernels_exchange import exchange_kernels
from simenv.physics.pressure.levels import View, plain

if TYPE_CHECKING:
    from simenv.physics.liquid.launches import LiquidLaunches

__all__ = ["Bodies"]

SLACK = 10.0  # times the tolerance of the pressure: that of sways, of their largest column
COLUMNS = 6


class _Row:
    """One of six right-hand sides or solutions, as a slot that is solved for."""

    def __init__(self, of: Any, number: int):
        self._of, self._number = of, number

    @property
    def tensor(self) -> torch.Tensor:
        """The values (N, cells)."""
        return self._of.tensor[:, self._number]


class Bodies:
    """The bodies that a liquid of some worlds moves.

    Args:
        owner: the launches of the liquid; mounts: frames that carry its colliders, -1 where none answers.
        local: poses of colliders about their frames' centres of mass; frames: the table; ticks: of a control step.
        dt: of a tick [s]; cells: at most, of a window.

    Attributes:
        rows: frames that it moves; multipliers: space of the reverse sweep, of the pressure and of sways.
    """

    def __init__(
        self, owner: LiquidLaunches, mounts: Sequence[int], local: Sequence[Sequence[float]], frames: Frames,
        ticks: int, dt: float, cells: int,
    ):  # fmt: skip
        self.owner, self._frames, self._ticks, self._dt, self._cells = owner, frames, ticks, dt, cells
        memory: Memory = owner.memory
        real = warp_real(memory.dtype)
        self._real, self._memory, self._count = real, memory, len(mounts)
        self.kernels, self._exchange = body_kernels(real), exchange_kernels(real)
        self.rows = sorted({mount for mount in mounts if mount >= 0})
        frames.answer(self.rows)
        device, x = memory.wp_device, self._exchange

        def array(values: Any, kind: type) -> wp.array:
            return wp.array(np.ascontiguousarray(values), dtype=kind, device=device)

        carried = [c for c, mount in enumerate(mounts) if mount >= 0]
        places = np.array([local[c] for c in carried], dtype=np.float64)
        self._mounts, self._rows = array(np.array(mounts, np.int32), int), array(np.array(self.rows, np.int32), int)
        self._on = [array(np.array(each, np.int32), int) for each in (carried, [mounts[c] for c in carried])]
        self._local = [array(places[:, :3], x.vec3), array(places[:, 3:], x.quat)]
        every, slot = ticks * self._count, memory.slot
        self._early, self._late = ([slot(x.vec3, every) for _ in range(2)] for _ in range(2))
        rows = (COLUMNS, cells)
        self.multipliers = slot(real, cells, differentiable=False), slot(real, *rows, differentiable=False)
        self._bars = [slot(real, *rows, differentiable=False) for _ in self.rows]
        self._ticked: list[dict[str, Any]] = []
        self._owed: list[Slot] = []

    # ------------------------------------------------------------------------------------------------------ slots

    def work(self, number: int) -> dict[str, Any]:
        """What a tick works in: the pressure before bodies move, ``p0``; columns and sways by frame; what these push,
        and answers; and what colliders feel.
        """
        k, x, slot = self.kernels, self._exchange, self._memory.slot
        while len(self._ticked) <= number:
            made: dict[str, Any] = {"p0": slot(self._real, self._cells, differentiable=False)}
            rows = (COLUMNS, self._cells)
            for n in range(len(self.rows)):
                column = slot(self._real, *rows, differentiable=False)
                made[f"column{n}"] = Shared(column, self._bars[n])
                made[f"sway{n}"] = slot(self._real, *rows, differentiable=False)
            made["pushed"], made["answer"] = (slot(kind, len(self.rows)) for kind in (k.vec6, k.mat66))
            for name in ("felt", "turned"):
                made[name] = slot(x.vec3, self._count)
            self._ticked.append(made)
        return self._ticked[number]

    def owed(self, number: int) -> Slot:
        """Impulses [N s] and their moments [N m s] about frames (N, B) of six, which these get in the coming tick."""
        while len(self._owed) <= number:
            self._owed.append(self._memory.slot(self.kernels.vec6, self._frames.count))
        return self._owed[number]

    @property
    def _worlds(self) -> int:
        return self._memory.worlds

    # --------------------------------------------------------------------------------------------------- launches

    def place(self, tick: int, keep: bool, motion: Mapping[str, Slot]) -> Launch:
        """Colliders are where their frames are as a tick begins, and what flows is told of none that they move."""
        fixed = [tick, self._ticks, self._count, 0.0, *self._on, *self._local]
        pose = self._frames.pose(self._frames.before(tick, keep))
        out = [Flat(each) for each in (motion["position"], motion["rotation"], *self._early)]
        return Launch(self._exchange.place_colliders, (self._worlds, len(self._on[0])), fixed, pose, out)

    def ask(
        self, tick: int, keep: bool, w: Mapping[str, Any], thick: wp.array, scale: Slot, density: Slot
    ) -> list[Any]:  # fmt: skip
        """Solve for the pressure, before bodies move, and for what their motion would add to it; frames get both."""
        k, frames, owner = self.kernels, self._frames, self.owner
        own, number = self.work(frames.scratch(tick, keep)), frames.scratch(tick, keep)
        before = frames.before(tick, keep)
        position, _, velocity, omega = frames.pose(before)
        made: list[Any] = []
        for n, row in enumerate(self.rows):
            given = [*(w[name] for name in ("window", "phi", "owner", "open")), position]
            fixed, column = [owner.box, row, self._mounts, thick], own[f"column{n}"]
            made.append(Launch(k.displace, owner.cells[:2], fixed, given, [column]))
            made.append(Launch(k.stir, owner.cells[:2], [row], [w["window"], column, velocity, omega], [w["b"]]))
        made.append(_Coupled(self, own, w, scale, frames.change(number)))
        fixed = [self._rows, owner.box.dx**3, self._dt]
        inputs = [density, own["pushed"], own["answer"], self.owed(before)]
        out = [*frames.wrench(number), frames.response(number)]
        made.append(Launch(k.lend, (self._worlds, len(self.rows)), fixed, inputs, out))
        made.append(frames.clear(own["felt"], own["turned"]))
        return made

    def follow(self, tick: int, keep: bool, w: Mapping[str, Any], motion: Mapping[str, Slot]) -> list[Any]:
        """Once bodies have moved: the pressure, and the motion of colliders and of what closes faces."""
        k, frames, owner = self.kernels, self._frames, self.owner
        number = frames.scratch(tick, keep)
        own, change, late = self.work(number), frames.change(number), self.late()
        place, *told = (Flat(motion[name]) for name in ("position", "velocity", "omega"))
        position, _, velocity, omega = frames.pose(frames.before(tick, keep))
        inputs: list[Any] = [place, *told, position, velocity, omega, *change]
        fixed, closing = [self._mounts, self._ticks, tick], [owner.box, self._count, self._ticks, tick]
        given: list[Any] = [w["window"], w["owner"], place, *late]
        return [
            Launch(k.go_on, (self._worlds, self._count), fixed, inputs, late),
            *self._followed(own, w, change),
            Launch(k.trail, owner.corners[:2], closing, given, [w["trail"]]),
        ]

    def _followed(self, own: Mapping[str, Any], w: Mapping[str, Any], change: Sequence[Slot]) -> list[Any]:
        """The pressure is what it was, and of each frame what it has changed its motion by makes of sways."""
        k, owner, window, before = self.kernels, self.owner, w["window"], own["p0"]
        made = []
        for n, row in enumerate(self.rows):
            sway = own[f"sway{n}"]
            there = plain(k.follow, owner.cells[:2], [row], [window, sway, *change, before], [w["p"]])
            back = plain(
                k.unfollow, owner.cells[:1], [row], [window, sway, Bar(w["p"])], [Bar(each) for each in change]
            )
            made.append(InPlace([there], [back]))
            before = w["p"]
        return made

    def late(self) -> list[Flat]:
        """Velocities and angular velocities of colliders once bodies have moved, in all ticks, in one line."""
        return [Flat(each) for each in self._late]

    def felt(self, tick: int, keep: bool) -> list[Slot]:
        """Forces and torques of a tick on colliders (N, Cl, 3), about their origins."""
        own = self.work(self._frames.scratch(tick, keep))
        return [own["felt"], own["turned"]]

    def owe(self, tick: int, keep: bool, density: Slot, position: Slot, sums: Sequence[Slot]) -> Launch:
        """What frames have yet to get, and what colliders felt over all ticks."""
        frames, number = self._frames, self._frames.scratch(tick, keep)
        own, before, after = self.work(number), frames.before(tick, keep), frames.after(tick, keep)
        fixed = [self._rows, self._mounts, self._ticks, tick, self.owner.box.dx**3, self._dt]
        inputs = [density, own["pushed"], own["answer"], *frames.change(number), frames.pose(before)[0]]
        inputs += [frames.pose(after)[0], Flat(position), *self.felt(tick, keep)]
        return Launch(self.kernels.owe, (self._worlds,), fixed, inputs, [self.owed(after), *sums])


class _Coupled:
    """The solves of a tick as a launch, for which the reverse sweep needs one more: it finds what the adjoint of the
    pressure after bodies have moved asks for, and all else is made of sways.
    """

    differentiable = True

    def __init__(self, bodies: Bodies, own: Mapping[str, Any], w: Mapping[str, Any], scale: Slot, change: list[Slot]):
        self._bodies, self._own, self._w, self._scale, self._change = bodies, own, w, scale, change

    def _frames(self) -> range:
        return range(len(self._bodies.rows))

    def _forward(self) -> list[Launch]:
        bodies, own, w, owner = self._bodies, self._own, self._w, self._bodies.owner
        made = [*owner.solver.solve(w["b"], self._scale, own["p0"]), owner.note()]
        for n in self._frames():
            column, sway = own[f"column{n}"], own[f"sway{n}"]
            for each in range(COLUMNS):
                right, found = _Row(column, each), _Row(sway, each)
                made += [*owner.solver.solve(right, owner.none, found, slack=SLACK), owner.note()]
            inputs, out = [w["window"], column, sway, own["p0"]], [own["pushed"], own["answer"]]
            made.append(plain(bodies.kernels.ask, owner.cells[:1], [n], inputs, out))
        return made

    def _backward(self) -> list[Launch]:
        bodies, own, w, owner = self._bodies, self._own, self._w, self._bodies.owner
        found, window = owner.adjoint, w["window"]
        made = [*owner.solver.solve(w["p"], owner.none, found, adjoint=True), owner.note()]
        made.append(plain(owner.grid.add, owner.cells[:2], [], [window, found], [Bar(w["b"])]))
        made.append(self._blame(w["p"], found))
        of_p, of_sway = bodies.multipliers
        for n, row in enumerate(bodies.rows):
            sway, bars = own[f"sway{n}"], [Bar(own["pushed"]), Bar(own["answer"])]
            inputs = [window, sway, own["p0"], found, *self._change, *bars]
            out = [Bar(own[f"column{n}"]), Bar(w["b"]), of_p, of_sway]
            made.append(plain(bodies.kernels.blame, owner.cells[:2], [n, row], inputs, out))
            made.append(self._blame(own["p0"], of_p))
            made += [self._blame(_view(sway, each), _view(of_sway, each)) for each in range(COLUMNS)]
        return made

    def _blame(self, p: Any, adjoint: Any) -> Launch:
        owner, steep = self._bodies.owner, self._w[self._bodies.owner.joint]
        inputs = [self._w["window"], steep, p, adjoint]
        return plain(owner.grid.blame, owner.corners, [owner.lanes], inputs, [Bar(steep)])

    def forward(self, device: wp.Device) -> None:
        """Solve."""
        for launch in self._forward():
            launch.forward(device)

    def backward(self, device: wp.Device) -> None:
        """Add to adjoints of columns, of what flows into cells, and of what is open."""
        for launch in self._backward():
            launch.forward(device)

    def kernels(self) -> list[wp.Kernel]:
        """All that it launches."""
        return [kernel for launch in (*self._forward(), *self._backward()) for kernel in launch.kernels()]


def _view(of: Slot, number: int) -> View:
    return View(lambda: of.tensor[:, number], of.kind)
