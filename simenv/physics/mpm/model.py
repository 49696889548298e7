# SPDX-License-Identifier: Apache-2.0
"""What an MPM solver has to know about a scene: grid, time step, which particle has which material, which colliders
there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from simenv.geometry.shapes import Cup, MeshShape, Shape
from simenv.physics.mpm.blocks import BLOCK_NODES, SPARE
from simenv.physics.mpm.contact import AT_NODES, AT_PARTICLES, AT_WALL, ON_PATH
from simenv.physics.mpm.kernels_grid import BOUNDARIES, PERIODIC
from simenv.physics.mpm.kernels_transfer import FIRST_YIELDING, LIQUID
from simenv.physics.mpm.skin import SkinSpec

PAD = 3  # nodes outside the domain on each side: the stencil of a particle at the wall, and one to spare


@dataclass(frozen=True)
class ColliderSpec:
    """A collider's constant part; its pose, motion, friction and scale are inputs of every step.

    Attributes:
        shape: its shape, in its own frame [m].
        width: distance over which the contact fades in [m]; 0 is a hard contact.
        sticky: whether material that touches it moves with it.
        levels: how it acts (see contact.py). The default is ``AT_WALL`` for vessels and meshes, whose walls may be
            thinner than a cell, and ``AT_NODES | AT_PARTICLES`` for other shapes.
        skin: its taxels, if it has any.
        variants: shapes of which each world has one, the first of them `shape`; None among them is nothing. Empty where
            all have the same.
    """

    shape: Shape
    width: float = 0.0
    sticky: bool = False
    levels: int | None = None
    skin: SkinSpec | None = None
    variants: tuple[Shape | None, ...] = ()

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """All that worlds may hold."""
        return tuple(shape for shape in self.variants if shape is not None) or (self.shape,)

    def __post_init__(self) -> None:
        if self.levels is None:
            kinds = {isinstance(each, Cup | MeshShape) for each in (self.shape, *self.variants) if each is not None}
            if len(kinds) > 1:
                raise ValueError(
                    "a collider that is a vessel or mesh in some worlds and solid in others needs its levels; choose "
                    "AT_WALL, or AT_NODES | AT_PARTICLES for all"
                )
            object.__setattr__(self, "levels", AT_WALL if kinds.pop() else AT_NODES | AT_PARTICLES)
        if not 0 <= self.levels <= AT_NODES | AT_PARTICLES | AT_WALL | ON_PATH:  # type: ignore[operator]
            raise ValueError(f"levels = {self.levels}; it must be a sum of AT_NODES, AT_PARTICLES, AT_WALL, or None")


@dataclass(frozen=True)
class MPMModel:
    """A scene as the solver sees it; one world of ``particle_count`` particles, copied as often as needed.

    Attributes:
        size: extent of the domain along x, y, z [m]; origin: its lower corner [m].
        dx: grid spacing [m]; dt: substep [s]; substeps: substeps K of one control step.
        material: material index of every particle, (P,) int32; kinds: kind of every material, (M,).
        colliders: the colliders.
        boundary: what the domain's walls do, one for each axis: ``"separate"`` (frictionless, material may leave),
            ``"slip"`` (frictionless, it may not), ``"stick"``, ``"periodic"`` or ``"outflow"`` (material that crosses
            it is gone).
        mounts: number of the moving frame that carries each collider, -1 for those whose motion is an input, (Cl,);
            empty for none; local: pose of those in their frames [m, xyzw], (Cl, 7).
        answers: which colliders' frames answer (answers.py), (Cl,); empty for none.
        blocks: capacity of a sparse grid in blocks of 4 x 4 x 4 nodes, for each world; 0 is a dense grid.
        restore: share of what transfers take from the flow that is given back (`kernels_restoring.py`).
        packs: whether volume ratios follow the density of the grid (`packing.py`).
    """

    size: tuple[float, float, float]
    dx: float
    dt: float
    substeps: int
    material: np.ndarray
    kinds: tuple[int, ...]
    colliders: tuple[ColliderSpec, ...] = ()
    boundary: tuple[str, str, str] = ("separate", "separate", "separate")
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    mounts: tuple[int, ...] = ()
    local: tuple[tuple[float, ...], ...] = ()
    answers: tuple[bool, ...] = ()
    blocks: int = 0
    restore: float = 0.0
    packs: bool = False
    shape: tuple[int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        for name, value in (("dx", self.dx), ("dt", self.dt), ("substeps", self.substeps)):
            if not value > 0:
                raise ValueError(f"{name} = {value}; it must be positive")
        cells = [extent / self.dx for extent in self.size]
        for extent, count, boundary in zip(self.size, cells, self.boundary, strict=True):
            if boundary not in BOUNDARIES:
                raise ValueError(f"boundary = {boundary!r}; use one of {', '.join(BOUNDARIES)}")
            if count < 2 - 1e-9:
                raise ValueError(f"the domain is {extent} m wide but dx = {self.dx} m; it needs at least 2 cells")
            if BOUNDARIES[boundary] == PERIODIC and abs(count - round(count)) > 1e-6 * count:
                raise ValueError(
                    f"a periodic domain of {extent} m is no whole number of cells of {self.dx} m; change size or dx"
                )
        if self.is_sparse and self.is_periodic:
            raise ValueError("a sparse grid cannot have a periodic boundary; use grid='dense'")
        object.__setattr__(self, "shape", tuple(math.ceil(count - 1e-6) + 1 + 2 * PAD for count in cells))

    @property
    def particle_count(self) -> int:
        """Number of particles of one world."""
        return len(self.material)

    @property
    def has_liquids(self) -> bool:
        """Whether any material is a liquid."""
        return any(kind == LIQUID for kind in self.kinds)

    @property
    def has_solids(self) -> bool:
        """Whether any material is a solid of `constitutive.py`."""
        return any(LIQUID < kind < FIRST_YIELDING for kind in self.kinds)

    @property
    def has_yielding(self) -> bool:
        """Whether any material is one of `yielding.py`."""
        return any(kind >= FIRST_YIELDING for kind in self.kinds)

    @property
    def keeps_F(self) -> bool:
        """Whether particles have a deformation gradient."""
        return self.has_solids or self.has_yielding

    @property
    def keeps_J(self) -> bool:
        """Whether particles have a volume ratio."""
        return self.has_liquids or self.has_yielding

    def acts_at(self, level: int) -> bool:
        """Whether any collider acts at a level (see contact.py)."""
        return any(spec.levels & level for spec in self.colliders if spec.levels is not None)

    @property
    def taxel_count(self) -> int:
        """Taxels of all skins."""
        return sum(spec.skin.count for spec in self.colliders if spec.skin is not None)

    @property
    def moves_frames(self) -> bool:
        """Whether any collider is on a frame that its wrench moves."""
        return any(mount >= 0 for mount in self.mounts)

    @property
    def responds(self) -> bool:
        """Whether any collider is on a frame that answers."""
        return any(self.answers)

    @property
    def is_periodic(self) -> bool:
        """Whether the domain wraps around along any axis."""
        return "periodic" in self.boundary

    @property
    def is_sparse(self) -> bool:
        """Whether the grid is one of blocks."""
        return self.blocks > 0

    @property
    def allows_lanes(self) -> bool:
        """Whether a world can be cut into lanes."""
        return not (self.is_periodic or self.is_sparse or self.taxel_count or self.moves_frames)

    @property
    def cells(self) -> int:
        """Number of grid nodes that are stored for one world; a sparse grid has spare slots for what overflows."""
        return (self.blocks + SPARE) * BLOCK_NODES if self.is_sparse else math.prod(self.shape)
