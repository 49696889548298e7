# SPDX-License-Identifier: Apache-2.0
"""Solids on frames as obstacles to flow on a staggered grid: where they are in each tick, what they leave open, and
what pushes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import warp as wp

from simenv.geometry.distance import pack_shapes
from simenv.geometry.shapes import Shape
from simenv.physics.device import on_cuda
from simenv.physics.direct import warp_real
from simenv.physics.flow.kernels_cut import cut_kernels
from simenv.physics.frames import Frames
from simenv.physics.kernels_frames import frame_kernels
from simenv.physics.launch.slots import Launch, Memory, Slot
from simenv.physics.pressure.levels import Grid, View

__all__ = ["Cut", "Obstacle", "Obstacles"]

Vector = tuple[float, ...]


@dataclass(frozen=True)
class Obstacle:
    """A solid that flow goes around.

    Attributes:
        name: of what has the shape; shape: in its own frame.
        frame: row of the table of frames that carries it, -1 for none; moves: whether that frame may move in a control
            step; told: whether it does so at a twist that is known before; answers: whether it bears a response.
        position, quaternion: of the shape's frame about the carrier's centre of mass, or in the world [m, xyzw].
        scale: factor on the shape's lengths.
    """

    name: str
    shape: Shape
    frame: int = -1
    moves: bool = False
    position: Vector = (0.0, 0.0, 0.0)
    quaternion: Vector = (0.0, 0.0, 0.0, 1.0)
    scale: float = 1.0
    told: bool = False
    answers: bool = False


@dataclass
class Cut:
    """What obstacles make of a grid, at one time.

    Attributes:
        open, solid, distance, clear, drift: of the faces across x, y and z: the share of each that is open, the
            velocity along the axis of what closes the rest [m/s], the distances of its middle and of its open part, the
            mean, from the nearest obstacle [m], and the velocity along the axis of that obstacle's centre of mass.
        phi, owner: of the corners of cells (N, nx + 1, ny + 1, nz + 1): distance, negative within [m], and number of
            the nearest obstacle.
        place, turn, origin, velocity, omega: of obstacles (N, M, ...): of the shape's frame, and of the frame that
            carries it, world axes.
    """

    open: list[Slot]
    solid: list[Slot]
    distance: list[Slot]
    clear: list[Slot]
    drift: list[Slot]
    phi: Slot
    owner: Slot
    place: Slot
    turn: Slot
    origin: Slot
    velocity: Slot
    omega: Slot
    of_owner: View = field(init=False)

    def __post_init__(self) -> None:
        self.of_owner = View(lambda: self.owner.tensor, wp.int32)  # which has no adjoint

    @property
    def frames(self) -> list[Slot]:
        """What says where obstacles are."""
        return [self.place, self.turn, self.origin, self.velocity, self.omega]


class Obstacles:
    """The obstacles of some worlds.

    Args:
        obstacles: at least one; grid: of cells; origin: its lower corner [m]; dx: of cells [m].
        memory: makes slots; frames: the table of frames, None where no obstacle has one.

    Attributes:
        moves: whether any may move in a control step; else one cut does for all ticks.
        yields: whether any moves otherwise than told, so that no tick knows where the next finds it.
        count: M.
    """

    def __init__(
        self, obstacles: Sequence[Obstacle], grid: Grid, origin: Sequence[float], dx: float, memory: Memory,
        frames: Frames | None,
    ):  # fmt: skip
        real = warp_real(memory.dtype)
        self.grid, self.memory, self.frames, self.dx = grid, memory, frames, dx
        self._kernels = k = cut_kernels(real)
        self._real, self.count = real, len(obstacles)
        self.moves = any(each.moves for each in obstacles)
        self.yields = any(each.moves and not each.told for each in obstacles)
        _, ny, nz = grid.shape
        self._lanes = wp.vec2i(ny + 1, nz + 1) if on_cuda(memory.device) else wp.vec2i(1, 1)
        span = [dx * n if around else 0.0 for n, around in zip(grid.shape, grid.periodic, strict=True)]
        self._space = [k.vec3(*origin), dx, k.vec3(*span)]
        device = memory.wp_device

        def array(values: Any, kind: type) -> wp.array:
            return wp.array(np.asarray(values), dtype=kind, device=device)

        structs, values = pack_shapes([each.shape for each in obstacles], real)
        scales = np.array([each.scale for each in obstacles], dtype=np.float64)
        self._shapes = [wp.array(structs, dtype=k.Shape, device=device), array(values, real), array(scales, real)]
        self.rows = array(np.array([each.frame for each in obstacles], dtype=np.int32), int)
        self._local = [
            array(np.array([each.position for each in obstacles], dtype=np.float64), k.vec3),
            array(np.array([each.quaternion for each in obstacles], dtype=np.float64), k.quat),
        ]
        kinds = [each.moves + (each.moves and not each.told) for each in obstacles]
        groups = [[m for m, kind in enumerate(kinds) if kind == of] for of in (2, 1, 0)]
        self._which = [(len(rows), array(np.array(rows, dtype=np.int32), int)) for rows in groups]
        self._nowhere = [memory.slot(kind, 1) for kind in (k.vec3, k.quat, k.vec3, k.vec3)] if frames is None else []
        self._cuts: list[Cut] = []
        self._felt: list[list[Slot]] = []

    # ------------------------------------------------------------------------------------------------------ slots

    def cut(self, number: int) -> Cut:
        """The slots of a cut."""
        k, slot, grid, real = self._kernels, self.memory.slot, self.grid, self._real
        corners = tuple(n + 1 for n in grid.shape)
        while len(self._cuts) <= number:
            faces = [[slot(real, *grid.faces(axis)) for axis in range(3)] for _ in range(5)]
            opened, solid, away, clear, drift = faces
            owner = slot(wp.int32, *corners, differentiable=False)
            where = [slot(kind, self.count) for kind in (k.vec3, k.mat33, k.vec3, k.vec3, k.vec3)]
            self._cuts.append(Cut(opened, solid, away, clear, drift, slot(real, *corners), owner, *where))
        return self._cuts[number]

    def felt(self, number: int) -> list[Slot]:
        """Forces [N] and torques about the origins of their frames [N m] of the obstacles (N, M, 3), world axes."""
        while len(self._felt) <= number:
            self._felt.append(self.new_felt())
        return self._felt[number]

    def new_felt(self) -> list[Slot]:
        """Slots for such a pair."""
        return [self.memory.slot(self._kernels.vec3, self.count) for _ in range(2)]

    def dim(self, axis: int) -> tuple[int, ...]:
        """Of launches over the faces across an axis."""
        return (self.memory.worlds, self.grid.faces(axis)[0], *self._lanes)

    # --------------------------------------------------------------------------------------------------- launches

    def place(
        self, pose: Sequence[Slot], to: Cut, ahead: float = 0.0, moved: Sequence[Slot] | None = None
    ) -> list[Any]:  # fmt: skip
        """Launches that make a cut.

        Args:
            pose: of the frames that move, `Frames.pose`; those that stand are where the table has them at its start.
            to: the cut.
            ahead: for how long frames go on at their twists before [s].
            moved: poses of those that move otherwise than told, which these frames have reached; None if these go on
                like the others.
        """
        k, worlds, space = self._kernels, self.memory.worlds, self._space
        start = self._nowhere if self.frames is None else self.frames.pose(0)
        launches: list[Any] = []
        freely = (pose, ahead) if moved is None else (moved, 0.0)
        for (count, rows), (poses, on), moves in zip(
            self._which, (freely, (pose, ahead), (start, 0.0)), (1.0, 1.0, 0.0), strict=True
        ):
            if count:
                constants = [on, moves, rows, self.rows, *self._local]
                launches.append(Launch(k.place, (worlds, count), constants, poses, to.frames))
        corners = (worlds, self.grid.shape[0] + 1, *self._lanes)
        constants = [*space, self.count, self._lanes, *self._shapes]
        found: list[Any] = [to.phi, to.of_owner]
        launches.append(Launch(k.measure, corners, constants, [to.place, to.turn], found, k.measure_adjoint))
        known: list[Any] = [to.phi, to.of_owner, to.place, to.origin, to.velocity, to.omega]
        for axis in range(3):
            made = [each[axis] for each in (to.open, to.solid, to.distance, to.clear, to.drift)]
            launches.append(Launch(k.cut[axis], self.dim(axis), [*space, self._lanes], known, made))
        return launches

    def gather(
        self, cut: Cut, factor: float, density: Slot, viscosity: Slot, gained: Sequence[Any], felt: Sequence[Slot],
        turns: bool = True,
    ) -> list[Any]:  # fmt: skip
        """Launches that sum what obstacles feel.

        Args:
            cut: where they are.
            factor: of what is gained, which with the density gives a force [N].
            density: (N,) [kg/m^3].
            viscosity: over the density (N,) [m^2/s].
            gained: at faces across x, y and z, along these axes; zero farther than three cells from obstacles.
            felt: forces and torques (N, M, 3), to which is added.
            turns: whether the torque by which a viscous fluid slows what turns is part of it.
        """
        k, share = self._kernels, 2.0 / 3.0 * self.dx**3 if turns else 0.0
        constants = [*self._space, factor, share, self._lanes]
        made: list[Any] = []
        for axis in range(3):
            inputs: list[Any] = [cut.phi, cut.of_owner, cut.distance[axis], cut.open[axis], cut.place, cut.origin]
            inputs += [cut.omega, density, viscosity, gained[axis]]
            made.append(Launch(k.gather[axis], self.dim(axis), constants, inputs, felt))
        return made

    def add_up(
        self, felt: Sequence[Slot], to: Sequence[Slot], rows: wp.array | None = None, share: float = 1.0
    ) -> Launch:
        """The launch that adds a share of what obstacles feel to rows of a pair of tables, by default those of the
        frames that carry them.
        """
        constants = [share, self.rows if rows is None else rows]
        return Launch(self._kernels.add_up, (self.memory.worlds,), constants, list(felt), list(to))

    def clear(self, felt: Sequence[Slot]) -> Launch:
        """The launch that zeroes what obstacles feel."""
        return Launch(frame_kernels(self._real).clear, (self.memory.worlds,), [], [], list(felt), differentiable=False)
