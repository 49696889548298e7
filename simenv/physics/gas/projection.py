# SPDX-License-Identifier: Apache-2.0
"""The launches that make a velocity free of divergence, and their adjoint: one more solve, whatever the iterations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import torch
import warp as wp

from simenv.physics.device import on_cuda
from simenv.physics.direct import warp_real
from simenv.physics.gas.kernels_average import average_kernels
from simenv.physics.gas.kernels_gaps import gap_kernels
from simenv.physics.gas.kernels_project import project_kernels
from simenv.physics.gas.kernels_project_adjoint import project_adjoint_kernels
from simenv.physics.gas.kernels_walls import OPEN
from simenv.physics.launch.slots import Launch, Memory, Slot
from simenv.physics.pressure.levels import Grid, View, plain
from simenv.physics.pressure.solve import Accuracy, PressureSolver
from simenv.physics.pressure.transform import TransformSolver

__all__ = ["Projection"]

ROUNDING = 4.0  # last places of the largest phi, which gas that leaves a gap may need, that are lost in its equation


ROOMY = 2.0  # open shares of a cell's faces in all: others are gaps, by which what must give way elsewhere does not


class Faces(Protocol):
    """What stands at faces across x, y and z: open shares, and velocities of what closes the rest."""

    open: list[Slot]
    solid: list[Slot]


class _Solve:
    """The solve of one projection, as a launch: forward it finds phi of b, in reverse the adjoint of b of that of phi,
    and adds to the adjoints of the open shares.
    """

    differentiable = True

    def __init__(self, owner: Projection, b: Slot, phi: Slot, slack: float, faces: Faces):
        self._owner, self._b, self._phi, self._slack, self._faces = owner, b, phi, slack, faces

    def forward(self, device: wp.Device) -> None:
        for launch in self._owner.find(self._b, self._phi, self._slack):
            launch.forward(device)

    def backward(self, device: wp.Device) -> None:
        for launch in self._owner.find_adjoint(self._b, self._phi, self._faces):
            launch.forward(device)

    def kernels(self) -> list[wp.Kernel]:
        both = (*self._owner.find(self._b, self._phi), *self._owner.find_adjoint(self._b, self._phi, self._faces))
        return [kernel for launch in both for kernel in launch.kernels()]


class Projection:
    """Makes velocities on the faces of a grid free of divergence.

    Args:
        grid: of cells; kinds: of its six sides, `kernels_walls`; accuracy: of the solves; fastest: speed
            that gas may have [m/s]; memory: makes slots; obstructed: whether faces may be closed.

    Attributes:
        open: shares of faces that gas can pass, across x, y and z, where no others are given; solid: velocities of
            what closes the rest.
        solver: of the pressure equation, by iterations where faces may be closed, else at once; failed: solves that
            ended at their last iteration, or in numbers that are not finite, rushed: those of gas that was too fast
            (N,).
        spilled: largest flow out of a cell after the last projection (N,) [m/s].

    References:
        Batty, Bertails, Bridson 2007, A fast variational framework for accurate solid-fluid coupling; Ng, Min, Gibou
        2009, An efficient fluid-solid coupling algorithm for single-phase flows (shares of areas).
    """

    def __init__(
        self, grid: Grid, kinds: Any, accuracy: Accuracy, fastest: float, memory: Memory, obstructed: bool = False
    ):  # fmt: skip
        self.grid, self.memory, self.obstructed = grid, memory, obstructed
        cuda = on_cuda(memory.device)
        self.lanes = (grid.shape[1] + 1, grid.shape[2] + 1) if cuda else (1, 1)
        real = warp_real(memory.dtype)
        self._kernels, self._sums = project_kernels(real), average_kernels(real)
        self._adjoints, self._gaps = project_adjoint_kernels(real), gap_kernels(real)
        self.kinds = self._kernels.Kinds(*kinds)
        self.open = [memory.slot(real, *grid.faces(axis)) for axis in range(3)]
        self.solid = [memory.slot(real, *grid.faces(axis)) for axis in range(3)]
        plainly = {"differentiable": False}
        self._adjoint = memory.slot(real, *grid.shape, **plainly)
        self.solver: PressureSolver | TransformSolver = (
            PressureSolver(grid, replace(accuracy, rounding=ROUNDING * torch.finfo(memory.dtype).eps), memory, ROOMY)
            if obstructed
            else TransformSolver(grid, [kind == OPEN for kind in kinds], accuracy.tolerance, memory)
        )  # fmt: skip
        self._most = memory.slot(real, grid.shape[0] + 1, **plainly)
        self._scale, self._none, self.spilled = (memory.slot(real, **plainly) for _ in range(3))
        self.failed, self.rushed = (memory.slot(wp.int32, **plainly) for _ in range(2))
        self._fastest = fastest

    def dim(self, axis: int | None) -> tuple[int, ...]:
        """Of launches over the faces across an axis, or over cells."""
        shape = self.grid.shape if axis is None else self.grid.faces(axis)
        return (self.memory.worlds, shape[0], *self.lanes)

    def reset(self) -> None:
        """All faces are open, no solve has failed, and nothing was too fast."""
        for share in self.open:
            share.tensor.fill_(1.0)
        if isinstance(self.solver, TransformSolver):
            self.solver.inverse.tensor.fill_(1.0)
        self.failed.tensor.zero_()
        self.rushed.tensor.zero_()

    def prepare(self, faces: Faces | None = None) -> list[Launch]:
        """Launches that make the equation of the open shares as they are."""
        faces = faces or self
        if isinstance(self.solver, TransformSolver):
            return []
        k, constants, levels = self._kernels, [self.kinds, wp.vec2i(*self.lanes)], self.solver.levels
        made = [
            plain(k.weigh[axis], self.dim(axis), constants, [faces.open[axis]], [levels.weight(axis)])
            for axis in range(3)
        ]
        made.append(plain(k.hold, self.dim(None), constants, faces.open, [levels.shift]))
        return [*made, *self.solver.build()]

    def project(
        self, before: Sequence[Slot], after: Sequence[Slot], b: Slot, phi: Slot, slack: float = 1.0,
        faces: Faces | None = None,
    ) -> list[Any]:  # fmt: skip
        """What leads from velocities to those without divergence.

        Args:
            before: velocities across x, y and z.
            after: the same without divergence.
            b: slot of the right-hand side, a tick's own, which the reverse sweep reads.
            phi: slot of the solution, likewise.
            slack: factor on the tolerance; what is within it stays as it is, bit for bit.
            faces: those that the equation is of, `prepare`.
        """
        faces = faces or self
        k, constants = self._kernels, [self.kinds, wp.vec2i(*self.lanes)]
        slabs = [(self.memory.worlds, each.size[1]) for each in before]
        fastest = [
            plain(k.fastest_flux, slab, [], [share, closed, q], [self._most])
            if self.obstructed else plain(k.fastest, slab, [], [q], [self._most])
            for slab, share, closed, q in zip(slabs, faces.open, faces.solid, before, strict=True)
        ]  # fmt: skip
        scale = plain(k.scale_of, (self.memory.worlds,), [], [], [self._most, self._scale])
        opened, solid = self._shares(faces)
        flows, back = [*opened, *solid, *before], self._adjoints
        pushes = []
        for axis in range(3):
            inputs = [opened[axis], solid[axis], phi, before[axis]]
            pushes.append(Launch(k.push[axis], self.dim(axis), constants, inputs, [after[axis]], back.push[axis]))
        diverge = Launch(k.diverge, self.dim(None), constants, flows, [b], back.diverge)
        return [*fastest, scale, diverge, *self._let_be(faces, b), _Solve(self, b, phi, slack, faces), *pushes]

    def _let_be(self, faces: Faces, b: Slot) -> list[Launch]:
        """Of what flows out of cells, what gaps that cells do not resolve keep."""
        if not self.obstructed:
            return []
        constants = [self.kinds, wp.vec2i(*self.lanes)]
        return [Launch(self._gaps.let_be, self.dim(None), constants, [*faces.open, *faces.solid], [b])]

    def _shares(self, faces: Faces) -> tuple[Sequence[Any], Sequence[Any]]:
        """Open shares and velocities of solids; where nothing stands in the box, without adjoints."""
        if self.obstructed:
            return faces.open, faces.solid
        real = warp_real(self.memory.dtype)
        bare = [[View(partial(getattr, each, "tensor"), real) for each in both] for both in (self.open, self.solid)]
        return bare[0], bare[1]

    def see_spilled(self, flow: Sequence[Slot], b: Slot, faces: Faces | None = None) -> list[Launch]:
        """Launches that measure the divergence that is left; `b` is overwritten."""
        faces = faces or self
        k, constants = self._kernels, [self.kinds, wp.vec2i(*self.lanes)]
        slabs, solver = (self.memory.worlds, self.grid.shape[0]), self.solver
        inverse = solver.inverse if isinstance(solver, TransformSolver) else solver.levels.inverse
        return [
            plain(k.diverge, self.dim(None), constants, [*faces.open, *faces.solid, *flow], [b]),
            *self._let_be(faces, b),
            plain(k.spill, slabs, [], [b, inverse], [self._most]),
            plain(k.scale_of, slabs[:1], [], [], [self._most, self.spilled]),
        ]

    def find(self, b: Slot, phi: Slot, slack: float = 1.0) -> list[Launch]:
        """Launches that solve for phi, to a share of the largest speed, `slack` times the tolerance."""
        watch = plain(self._sums.watch, (self.memory.worlds,), [self._fastest], [self._scale], [self.rushed])
        return [watch, *self.solver.solve(b, self._scale, phi, slack=slack), self._note()]

    def _note(self) -> Launch:
        return plain(self._sums.note, (self.memory.worlds,), [], [self.solver.done], [self.failed])

    def find_adjoint(self, b: Slot, phi: Slot, faces: Faces) -> list[Launch]:
        """Launches that add to the adjoints of b and of the open shares what that of phi gives."""
        k, constants, real = self._kernels, [self.kinds, wp.vec2i(*self.lanes)], warp_real(self.memory.dtype)

        def bar(slot: Slot) -> View:
            return View(lambda: slot.adjoint, real)

        made = self.solver.solve(phi, self._none, self._adjoint, adjoint=True)
        made.append(plain(self._sums.add, self.dim(None), constants[1:], [self._adjoint], [bar(b)]))
        for axis in range(3) if self.obstructed else ():
            inputs = [phi, self._adjoint]
            made.append(plain(k.blame[axis], self.dim(axis), constants, inputs, [bar(faces.open[axis])]))
        return [*made, self._note()]
