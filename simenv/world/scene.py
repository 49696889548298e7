# SPDX-License-Identifier: Apache-2.0
"""The scene builder: one world of particles, bodies, gels and robots, described part by part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NoReturn

import numpy as np
import torch

from simenv.physics import checks
from simenv.physics.bodies.contacts import RigidContact
from simenv.physics.bodies.forest import RobotMount
from simenv.physics.bodies.model import Gripper
from simenv.physics.bodies.parts import BodyParts, ContactLaw, Points
from simenv.physics.bodies.touching import ROOM
from simenv.physics.bodies.tree import Loop
from simenv.physics.gas.parts import Gas
from simenv.physics.gels.parts import Gel
from simenv.physics.mpm.answering import answering
from simenv.physics.mpm.blocks import default_capacity
from simenv.physics.mpm.materials import Material
from simenv.physics.mpm.model import PAD, MPMModel
from simenv.physics.mpm.particles import ParticleParts
from simenv.physics.mpm.parts import Collector, Collider, Emitter, Inclusion, Particles
from simenv.physics.parts import Body
from simenv.physics.solver import Solver
from simenv.world.parts.gas import GasPart
from simenv.world.parts.gels import GelsPart
from simenv.world.parts.robots import RobotsPart

if TYPE_CHECKING:
    from simenv.world.world import World

MakeSolver = Callable[["Scene", int, torch.device, torch.dtype], Solver]

_RENAMED = {
    "add_rigid": "add_body(..., motion='free')", "add_hand": "add_body(..., motion='hand')",
    "add_fixed": "add_body(..., motion='fixed')", "add_arm": "add_robot", "rigids": "touching",
    "shapes": "bodies[name].shape", "centres": "bodies[name].centre", "slides": "looks[name].slide", "arm": "robots",
}  # fmt: skip


@dataclass
class Scene(RobotsPart, GelsPart, GasPart):
    """Describes one world; `World` makes N copies of it, each with its own state and physical parameters.

    Args:
        size: extent of the domain of particles [m]; its walls act as `boundary` says. None, with `dx`, in a scene
            without particles.
        dx: grid spacing [m].
        substep_dt: time step [s].
        substeps: of one control step.
        gravity: [m/s^2]; hands carry their own weight.
        origin: lower corner of the domain [m].
        boundary: ``"separate"`` (frictionless, material may leave the wall), ``"slip"`` (it may not), ``"stick"``,
            ``"periodic"`` or ``"outflow"`` (what crosses the wall is gone); one, or one for each axis. Close one end
            of an open axis with a plane collider.
        max_substeps: None for a fixed substep. Else each control step of each world takes ``substeps``, twice as many,
            ... up to this, as its materials and its speed need (`simenv.physics.mpm.pace.Pace`).
        grid: ``"dense"``, or ``"sparse"``: memory for the nodes near material only, in blocks of 4 x 4 x 4.
        blocks: capacity of a sparse grid, for each world; None is four times what the particles touch at the start.
        particle_substeps: substeps of the particles in a control step, where they differ from those of bodies and
            gels; one number must divide the other.
        lead: relaxation time of the gels [s], Kelvin and Voigt's damping over stiffness.
        contact: law of contact points.
        gripper: the fingers that sliding gels sit on.
        rigid: law of contact of robots and bodies with coupling="rigid", where `set_contact` names no other.
        max_contacts: how many points of these may act in a tick of a world.
        midpoint: whether Coriolis', centrifugal and gyroscopic forces of robots and of bodies with coupling="rigid" are
            those of the middle of a tick and not of its beginning: their free motion is then of second order, and costs
            about twice as much.

    Raises:
        TypeError: no time step, or only one of size and dx, is given.
        ValueError: ``max_substeps`` is not ``substeps`` times a power of two; an unknown grid, or blocks without one;
            a number is not finite or out of range.
    """

    worlds: ClassVar[Callable[..., World] | None] = None  # what makes worlds of a scene, which it does not import

    size: tuple[float, float, float] | None = None  # type: ignore[assignment]
    dx: float | None = None  # type: ignore[assignment]
    substep_dt: float = None  # type: ignore[assignment]
    substeps: int = None  # type: ignore[assignment]
    gravity: tuple[float, float, float] = (0.0, 0.0, -9.81)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    boundary: str | tuple[str, str, str] = "separate"
    max_substeps: int | None = None
    grid: str = "dense"
    blocks: int | None = None
    particle_substeps: int | None = None
    lead: float = 1.0e-3
    contact: ContactLaw = field(default_factory=ContactLaw)
    gripper: Gripper = field(default_factory=Gripper)
    rigid: RigidContact = field(default_factory=RigidContact)
    max_contacts: int = ROOM
    midpoint: bool = False
    materials: dict[str, Material] = field(default_factory=dict, init=False)
    particles: dict[str, Particles] = field(default_factory=dict, init=False)
    inclusions: dict[str, Inclusion] = field(default_factory=dict, init=False)
    bodies: dict[str, Body] = field(default_factory=dict, init=False)
    colliders: dict[str, Collider] = field(default_factory=dict, init=False)
    emitters: dict[str, Emitter] = field(default_factory=dict, init=False)
    collectors: dict[str, Collector] = field(default_factory=dict, init=False)
    gels: dict[str, Gel] = field(default_factory=dict, init=False)
    points: list[Points] = field(default_factory=list, init=False)
    passing: dict[frozenset[str], str] = field(default_factory=dict, init=False)
    robots: dict[str, RobotMount] = field(default_factory=dict, init=False)
    touching: dict[str, RobotMount] = field(default_factory=dict, init=False)
    laws: dict[frozenset[str], RigidContact] = field(default_factory=dict, init=False)
    tied: dict[str, Loop] = field(default_factory=dict, init=False)
    gas: Gas | None = field(default=None, init=False)
    drags: dict[str, float] = field(default_factory=dict, init=False)
    solvers: list[MakeSolver] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if self.substep_dt is None or self.substeps is None:
            raise TypeError("Scene needs substep_dt [s] and substeps, the number of them in a control step")
        if (self.size is None) != (self.dx is None):
            raise TypeError(f"Scene: size = {self.size} and dx = {self.dx}; give both, or neither without particles")
        self.substep_counts()
        for name in ("gravity", "origin", *(["size"] if self.has_grid else [])):
            setattr(self, name, checks.vector(name, getattr(self, name)))
        checks.numbers("Scene", lead=self.lead, **vars(self.contact))
        checks.numbers("gripper", positive=True, mass=self.gripper.mass, widest=self.gripper.widest)
        checks.numbers("gripper", damping=self.gripper.damping)
        if not self.has_grid:
            checks.numbers("Scene", positive=True, substep_dt=self.substep_dt)
            checks.whole("Scene", substeps=self.substeps)
        if self.grid not in ("dense", "sparse"):
            raise ValueError(f"grid = {self.grid!r}; use 'dense' or 'sparse'")
        if self.blocks is not None and (self.grid == "dense" or self.blocks < 1):
            raise ValueError(
                f"blocks = {self.blocks} with grid = {self.grid!r}; it is the capacity of a sparse grid, at least 1"
            )

    if not TYPE_CHECKING:  # a checker of types shall see that they are gone

        def __getattr__(self, name: str) -> NoReturn:
            if name in _RENAMED:
                raise AttributeError(f"Scene.{name} is now Scene.{_RENAMED[name]}; see the changelog")
            raise AttributeError(f"Scene has no {name!r}")

    def substep_counts(self) -> list[int]:
        """Numbers of substeps that a control step can have."""
        counts, last = [self.substeps], self.substeps if self.max_substeps is None else self.max_substeps
        while 0 < counts[-1] < last:
            counts.append(2 * counts[-1])
        if counts[-1] != last:
            raise ValueError(
                f"max_substeps = {last} is not substeps = {self.substeps} times a power of two; use one of "
                f"{', '.join(str(self.substeps * 2**power) for power in range(1, 6))}, or None for a fixed substep"
            )
        return counts

    @property
    def control_dt(self) -> float:
        """Duration of a control step [s]."""
        return self.substep_dt * self.substeps

    @property
    def shortest_substep(self) -> float:
        """The shortest substep of the particles that a control step can have [s]."""
        shortest = self.substep_dt / 2 ** (len(self.substep_counts()) - 1)
        return shortest if self.particle_substeps is None else shortest * self.substeps / self.particle_substeps

    def add_solver(self, make: MakeSolver) -> None:
        """Add a solver of your own, which takes its turn between the particles and the bodies.

        Args:
            make: gives the `simenv.physics.solver.Solver` of N worlds from the scene, N, the device and the dtype.
        """
        self.solvers.append(make)

    def make_world(
        self, num_worlds: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> World:
        """N copies of the scene."""
        assert Scene.worlds is not None  # the package sets it when it is imported
        return Scene.worlds(self, num_worlds, device, dtype)

    # ------------------------------------------------------------------------------------- as the solvers see it

    @property
    def has_motion(self) -> bool:
        """Whether any body moves by itself, or any gel touches one."""
        return self.has_bodies or bool(self.robots) or bool(self.touching)

    @property
    def has_bodies(self) -> bool:
        """Whether any body moves by itself that is no robot's, or any gel touches one."""
        moves = any(body.motion in ("free", "hand") for body in self.bodies.values())
        return moves or any(gel.touches for gel in self.gels.values())

    def body_parts(self) -> BodyParts:
        """What the solver of bodies gets."""
        sliding = any(np.any(gel.slide) for gel in self.gels.values())
        fingers = sliding or any(np.any(look.slide) for look in self.looks.values())
        return BodyParts(self.bodies, self.points, self.contact, self.gripper, fingers)

    def particle_parts(self) -> ParticleParts:
        """What the solver of particles gets."""
        model = self.mpm_model()
        counts = [model.substeps * count // self.substeps for count in self.substep_counts()]
        return ParticleParts(
            model, self.particles, self.materials, self.colliders, self.emitters, self.collectors, self.bodies,
            counts, self.inclusions, tuple(self.touching),
        )  # fmt: skip

    def mpm_model(self) -> MPMModel:
        """The particles as their stepper sees them."""
        if not self.particles or self.size is None or self.dx is None:
            raise ValueError("the scene has no particles; add some with add_particles")
        count = self.particle_substeps or self.substeps
        material, kinds = self._rows()
        boundary = (self.boundary,) * 3 if isinstance(self.boundary, str) else tuple(self.boundary)
        dt = self.substep_dt if count == self.substeps else self.control_dt / count
        mounts, local = self._mounts()
        specs, equal = [collider.spec for collider in self.colliders.values()], count == self.substeps
        able = equal and self.grid == "dense" and not self.drags  # which drag meets when bodies have not moved yet
        links = [c.body is not None and self.bodies[c.body].motion == "link" for c in self.colliders.values()]
        colliders, answers = answering(specs, mounts, [each and able for each in links], self.dx)
        return MPMModel(
            size=tuple(self.size), dx=self.dx,  # type: ignore[arg-type]
            dt=dt, substeps=count, material=material,
            kinds=kinds,
            origin=tuple(self.origin), boundary=boundary,  # type: ignore[arg-type]
            colliders=colliders, blocks=self._capacity(),
            mounts=mounts, local=local, answers=answers, restore=self._restored(any(answers)),
            packs=self._packs(any(answers)),
        )  # fmt: skip

    def _restored(self, answers: bool) -> float:
        """The share of what transfers take that is given back, which acts on nodes and hence on all materials."""
        shares = {name: getattr(material, "restore", 0.0) for name, material in self.materials.items()}
        first = next(iter(shares.values()))
        if any(shares.values()) and (answers or any(share != first for share in shares.values())):
            what = ", ".join(f"{name} {share:g}" for name, share in shares.items())
            raise ValueError(
                f"restore of the materials is {what}; it needs a scene of liquids with the same, without bodies that "
                f"particles move: leave it out"
            )
        return first

    def _packs(self, answers: bool) -> bool:
        """Whether volume ratios follow the density of nodes, which says how densely a liquid is packed only where there
        is nothing else.
        """
        keeping = [name for name, material in self.materials.items() if getattr(material, "keep_volume", False)]
        if keeping and (answers or len(self.materials) > 1):
            what = "bodies that answer it" if answers else f"the materials {', '.join(self.materials)}"
            raise ValueError(
                f"keep_volume of {keeping[0]!r} needs a scene whose only material it is, without bodies that particles "
                f"move; there are {what}: leave it out"
            )
        return bool(keeping)

    def _rows(self) -> tuple[np.ndarray, tuple[int, ...]]:
        """Row of material parameters of every particle, (P,), and the kind of every row: one for each material, then
        one for each particle of a group with inclusions.
        """
        names = list(self.materials)
        kinds = [material.kind for material in self.materials.values()]
        rows = {each.name: np.full(len(each.positions), names.index(each.material)) for each in self.particles.values()}
        for name in dict.fromkeys(inclusion.particles for inclusion in self.inclusions.values()):
            count = len(rows[name])
            kind = kinds[rows[name][0]]
            rows[name] = len(kinds) + np.arange(count)
            kinds += [kind] * count
        return np.concatenate(list(rows.values())).astype(np.int32), tuple(kinds)

    def _mounts(self) -> tuple[tuple[int, ...], tuple[tuple[float, ...], ...]]:
        """Frames that carry colliders and feel what these receive, -1 for none, and their poses about these frames'
        centres of mass.
        """
        names = list(self.bodies)
        mounts, local = [], []
        for collider in self.colliders.values():
            body = None if collider.body is None else self.bodies[collider.body]
            mounts.append(names.index(body.name) if body is not None and not body.is_told else -1)
            centre = body.centre if body is not None else np.zeros(3)
            local.append((*np.subtract(collider.position, centre).tolist(), *collider.quaternion))
        return tuple(mounts), tuple(local)

    def _capacity(self) -> int:
        """Blocks of a sparse grid; 0 for a dense one."""
        if self.grid == "dense" or self.blocks is not None or self.dx is None:
            return self.blocks or 0
        groups = self.particles.values()
        points = np.concatenate([group.positions for group in groups if group.active] or [np.zeros((0, 3))])
        later = sum(group.volume * len(group.positions) for group in groups if not group.active)
        return default_capacity(points, later, np.asarray(self.origin) - PAD * self.dx, self.dx)
