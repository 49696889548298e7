# SPDX-License-Identifier: Apache-2.0
"""The scene builder for rigid bodies in touch: bodies, hands, a gripper, tactile gels, and stiff contact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from simenv.geometry.shapes import Plane, Shape
from simenv.physics.bodies.chain import Chain, Drive
from simenv.physics.bodies.model import (
    CARRIED,
    DRIVEN,
    FIXED,
    FREE,
    ArmMount,
    GelMount,
    Gripper,
    RigidModel,
    body_properties,
)
from simenv.physics.gels.convolution import DIRECT
from simenv.physics.gels.grid import TaxelGrid
from simenv.physics.gels.launches import gel_parameters
from simenv.physics.mpm.model import ColliderSpec
from simenv.sensors.tactile import ElasticLayerGel, TactileField, WinklerGel
from simenv.world import checks
from simenv.world.drawn import Color, Drawn
from simenv.world.parts import Collider

if TYPE_CHECKING:
    from simenv.world.touch import TouchWorld

Vector = Sequence[float]
UPRIGHT = (0.0, 0.0, 0.0, 1.0)
GAINS = ("stiffness", "turning_stiffness", "damping", "turning_damping")  # of hands


@dataclass(frozen=True)
class TouchBody:
    """A body: `kind` of `simenv.physics.bodies.model`, mass [kg], principal moments per mass [m^2], pose at the start,
    and for a hand its gains: stiffness [N/m], turning stiffness [N m/rad], damping [N s/m], turning damping [N m s].
    """

    kind: int
    mass: float
    inertia: np.ndarray
    position: tuple[float, ...]
    quaternion: tuple[float, ...]
    gains: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class TouchGel:
    """A tactile gel: its mount, taxels, law, and the shape it touches."""

    mount: GelMount
    grid: TaxelGrid
    gel: WinklerGel | ElasticLayerGel
    shape: Shape
    max_depth: float
    reach: float


@dataclass(frozen=True)
class Points:
    """Contact points of a body (n, 3), or balls about them, against the shape of a fixed body."""

    body: str
    against: str
    offsets: np.ndarray
    radius: float
    share: float


@dataclass
class TouchScene(Drawn):
    """Describes one world of rigid bodies; `make_world` makes N copies.

    Args:
        substep_dt: time step [s]; gels are explicit, so it must be short beside sqrt(mass / stiffness).
        substeps: of one control step.
        gravity: [m/s^2]; hands carry their own weight.
        lead: relaxation time of the gels [s], Kelvin and Voigt's damping over stiffness.
        stiffness: of stiff contact [N/m per point]; damping: [N s/m].
        shear_stiffness: of stiff contact along the surface [N/m per point]; friction: Coulomb's coefficient.
        gripper: the fingers that sliding gels sit on.
    """

    substep_dt: float
    substeps: int
    gravity: tuple[float, float, float] = (0.0, 0.0, -9.81)
    lead: float = 1.0e-3
    stiffness: float = 1.0e4
    damping: float = 1.0
    shear_stiffness: float = 5.0e3
    friction: float = 0.3
    gripper: Gripper = field(default_factory=Gripper)
    bodies: dict[str, TouchBody] = field(default_factory=dict, init=False)
    gels: dict[str, TouchGel] = field(default_factory=dict, init=False)
    points: list[Points] = field(default_factory=list, init=False)
    passing: dict[frozenset[str], str] = field(default_factory=dict, init=False)  # pairs that may pass, and why
    arm: ArmMount | None = field(default=None, init=False)
    shapes: dict[str, Shape] = field(default_factory=dict, init=False)
    centres: dict[str, np.ndarray] = field(default_factory=dict, init=False)
    colliders: dict[str, Collider] = field(default_factory=dict, init=False)
    slides: dict[str, tuple[float, ...]] = field(default_factory=dict, init=False)
    # a world of touch has no particles, which those who draw worlds ask for
    particles: dict = field(default_factory=dict, init=False)
    rigids: dict = field(default_factory=dict, init=False)
    materials: dict = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        more = {name: getattr(self, name) for name in ("substep_dt", "stiffness", "shear_stiffness")}
        checks.numbers("TouchScene", positive=True, **more)
        checks.numbers("TouchScene", lead=self.lead, damping=self.damping, friction=self.friction)
        checks.whole("TouchScene", substeps=self.substeps)
        self.gravity = checks.vector("gravity", self.gravity)  # type: ignore[assignment]
        checks.numbers("gripper", positive=True, mass=self.gripper.mass, widest=self.gripper.widest)
        checks.numbers("gripper", damping=self.gripper.damping)

    @property
    def control_dt(self) -> float:
        """Duration of a control step [s]."""
        return self.substep_dt * self.substeps

    def add_body(
        self, name: str, shape: Shape, density: float, position: Vector, quaternion: Vector = UPRIGHT,
        color: Color = (0.80, 0.60, 0.36, 1.0), look: Shape | None = None,
    ) -> None:  # fmt: skip
        """Add a free rigid body; its pose is that of its centre of mass.

        Args:
            name: ``"<name>.mass"`` becomes a world parameter.
            shape: its solid, which gives mass and inertia and is what gels touch.
            density: [kg/m^3].
            position: of its centre of mass [m].
            quaternion: xyzw.
            color: for rendering.
            look: drawn instead of the shape, in the shape's frame.

        Raises:
            ValueError: the name is taken, or the density is not positive.
        """
        checks.numbers(f"body {name!r}", positive=True, density=density)
        volume, centre, inertia = body_properties(name, shape)
        self._add(name, FREE, density * volume, inertia, position, quaternion)
        self.shapes[name], self.centres[name] = shape, centre
        self.add_look(name, look or shape, name, tuple(-centre), color=color)

    def add_fixed(
        self, name: str, shape: Shape, position: Vector, quaternion: Vector = UPRIGHT,
        color: Color = (0.55, 0.57, 0.60, 1.0), look: Shape | None = None,
    ) -> None:  # fmt: skip
        """Add a body that stands still, at a pose that may differ from episode to episode. Arguments as `add_body`."""
        checks.solid(f"body {name!r}", shape)
        self._add(name, FIXED, 1.0, np.zeros(3), position, quaternion)
        self.shapes[name], self.centres[name] = shape, np.zeros(3)
        if isinstance(shape, Plane):  # a table: it is drawn where it was built
            self.add_look(name, shape, None, position, quaternion, color)
        else:
            self.add_look(name, look or shape, name, color=color)

    def add_hand(
        self, name: str, position: Vector, quaternion: Vector = UPRIGHT, mass: float = 1.0, inertia: float = 0.01,
        gains: tuple[float, float, float, float] = (600.0, 50.0, 50.0, 1.41),
    ) -> None:  # fmt: skip
        """Add a body that a task-space impedance pulls towards `TouchControl.goal`: what the end of an impedance-
        controlled arm does, its weight carried.

        Args:
            name: ``"<name>.stiffness"``, ``".turning_stiffness"``, ``".damping"``, ``".turning_damping"`` and
                ``".mass"`` become world parameters.
            position: at the start [m].
            quaternion: xyzw.
            mass: effective mass of the arm at the hand [kg].
            inertia: effective moment of inertia about each axis [kg m^2].
            gains: stiffness [N/m], turning stiffness [N m/rad], damping [N s/m], turning damping [N m s/rad]; the
                default is TacSL's (Akinola et al. 2025), critically damped at the default mass and inertia.
        """
        checks.numbers(f"hand {name!r}", positive=True, mass=mass, inertia=inertia)
        self._add(name, DRIVEN, mass, np.full(3, inertia / mass), position, quaternion, gains)

    def add_arm(
        self, name: str, chain: Chain, position: Vector, quaternion: Vector = UPRIGHT,
        gains: tuple[float, float, float, float] = (600.0, 50.0, 50.0, 1.41), drive: Drive | None = None,
    ) -> None:  # fmt: skip
        """Add a body that is the tool of a robot arm, which the same impedance pulls as a hand of `add_hand`: the arm's
        motors give its force and torque, so that mass and inertia are the arm's. Nothing is differentiable with it.

        Args:
            name: of the body; ``"<name>.stiffness"``, ``".turning_stiffness"``, ``".damping"`` and
                ``".turning_damping"`` become world parameters.
            chain: the arm, from `simenv.robots.load`.
            position: of the tool at the start [m].
            quaternion: xyzw.
            gains: as of `add_hand`.
            drive: how the arm moves beside its impedance.

        Raises:
            ValueError: there is an arm already.
        """
        if self.arm is not None:
            raise ValueError("the scene has an arm already; a scene can have one")
        self._add(name, CARRIED, 1.0, np.ones(3), position, quaternion, gains)
        self.arm = ArmMount(chain, drive or Drive(), self._body(name))
        for i, look in enumerate(chain.looks):
            frame = None if look.link < 0 else f"{name}/{look.link}"
            self.add_look(f"{name} look {i}", look.shape, frame, look.position, look.quaternion, look.color)

    def _add(self, name: str, kind: int, mass: float, inertia: np.ndarray, position, quaternion, gains=(0.0,) * 4):
        if name in self.bodies:
            raise ValueError(f"body {name!r} exists already; give each body its own name")
        unit = checks.unit_quaternion(f"body {name!r}: quaternion", quaternion)
        place = checks.vector(f"body {name!r}: position", position)
        checks.numbers(f"body {name!r}", False, **dict(zip(GAINS, checks.vector("gains", gains, 4), strict=True)))
        self.bodies[name] = TouchBody(kind, float(mass), inertia, place, unit, gains)

    def _body(self, name: str) -> int:
        if name not in self.bodies:
            raise ValueError(f"there is no body {name!r}; the scene has: {', '.join(self.bodies) or 'none'}")
        return list(self.bodies).index(name)

    def add_gel(
        self, name: str, on: str, touches: str, grid: TaxelGrid, gel: WinklerGel | ElasticLayerGel,
        position: Vector = (0.0, 0.0, 0.0),
        quaternion: Vector = UPRIGHT, slide: Vector = (0.0, 0.0, 0.0), shape: Shape | None = None,
        shape_position: Vector | None = None, max_depth: float = 4.0e-3, reach: float = 4.0e-3,
    ) -> None:  # fmt: skip
        """Add a tactile gel; the sum of its force field is the force on both bodies.

        Args:
            name: ``"<name>.k_n"``, ``".k_t"`` and ``".mu"`` become world parameters, ``".modulus"`` and ``".mu"`` of
                an elastic gel.
            on: body that carries it.
            touches: body it touches.
            grid: its taxels.
            gel: its law; damping comes from the scene's `lead`, so the gel's own must be 0. An elastic gel costs two
                small contact problems per substep; its grid is flat and has at most 576 taxels.
            position: of its frame on the body [m]; z points out of the gel.
            quaternion: of its frame, xyzw.
            slide: direction on the body along which it moves with the gripper's half opening.
            shape: what it touches, if not the body's whole shape.
            shape_position: of that shape's frame on the touched body [m]; None is the shape's own place.
            max_depth: depth below the gel at which the search for the object starts [m].
            reach: height above the gel at which it ends [m].

        Raises:
            TypeError: the gel's law has no unit, as TacSL's.
            ValueError: a name, the gel's damping or the size of an elastic gel's grid.
        """
        if name in self.gels:
            raise ValueError(f"gel {name!r} exists already; give each gel its own name")
        gel_parameters(gel)
        if isinstance(gel, WinklerGel) and gel.damping != 0.0:
            raise ValueError(f"gel {name!r}: damping = {gel.damping} s/m; set it to 0 and use the scene's lead")
        if isinstance(gel, ElasticLayerGel) and grid.count > DIRECT:
            raise ValueError(
                f"gel {name!r}: an elastic gel that pushes bodies has at most {DIRECT} taxels, this one "
                f"{grid.rows} x {grid.columns}; take a coarser grid, or WinklerGel"
            )
        item, what = self._body(touches), f"gel {name!r}"
        if touches not in self.shapes:
            raise ValueError(f"{what}: {touches!r} has no shape; use one of {', '.join(self.shapes) or 'none'}")
        place = -self.centres[touches] if shape_position is None else shape_position
        mount = GelMount(
            self._body(on), item, checks.vector(f"{what}: position", position),
            checks.unit_quaternion(f"{what}: quaternion", quaternion), checks.vector(f"{what}: slide", slide),
            checks.vector(f"{what}: shape_position", place), UPRIGHT,
        )  # fmt: skip
        self.gels[name] = TouchGel(mount, grid, gel, shape or self.shapes[touches], max_depth, reach)

    def add_points(self, body: str, against: str, offsets: np.ndarray, radius: float = 0.0, share: float = 1.0) -> None:
        """Let points of a body, or balls about them, touch a fixed body.

        Args:
            body: the free body or hand.
            against: the fixed body.
            offsets: of the points from the body's centre of mass (n, 3) [m].
            radius: of the balls [m].
            share: by how many simultaneous contacts the body's mass is shared; raise it for many stiff points.
        """
        self._body(body)
        self._body(against)
        what = f"points of {body!r}"
        checks.numbers(what, radius=radius)
        checks.numbers(what, positive=True, share=share)
        if not np.isfinite(offsets).all():
            raise ValueError(f"{what}: an offset is NaN or infinite; all must be finite")
        if self.bodies[body].kind == FIXED:
            raise ValueError(f"{body!r} stands still; points belong to a free body or a hand")
        if self.bodies[body].kind == CARRIED:
            raise ValueError(f"{body!r} is the tool of an arm, which only gels can push; give it a gel")
        if self.bodies[against].kind != FIXED:
            raise ValueError(f"points can only touch a body that stands still; {against!r} moves")
        self.points.append(Points(body, against, np.reshape(offsets, (-1, 3)), radius, share))

    def let_pass(self, body: str, other: str, why: str) -> None:
        """Say that two bodies without a gel or points between them may pass through each other, or never meet.

        Without it the world warns of them (`UnpairedBodiesWarning`).

        Args:
            body: one of them.
            other: the other.
            why: the reason, for who reads the scene.
        """
        self._body(body)
        self._body(other)
        if not why.strip():
            raise ValueError(f"let_pass({body!r}, {other!r}): why = {why!r}; say why they may pass or never meet")
        self.passing[frozenset((body, other))] = why

    def add_look(
        self, name: str, shape: Shape, body: str | None, position: Vector = (0.0, 0.0, 0.0),
        quaternion: Vector = UPRIGHT, color: Color = (0.35, 0.38, 0.42, 1.0), slide: Vector = (0.0, 0.0, 0.0),
    ) -> None:  # fmt: skip
        """Add a shape that is only drawn, fixed to a body, and sliding with the gripper.

        A body of None is the world; ``"hand/3"`` is link 3 of the arm that carries the hand.
        """
        unit = np.asarray(quaternion, dtype=np.float64) / np.linalg.norm(quaternion)
        spec = ColliderSpec(shape, 0.0, False, None)
        self.colliders[name] = Collider(name, spec, body, tuple(position), tuple(unit.tolist()), 0.0, 1.0, color)  # type: ignore[arg-type]
        self.slides[name] = tuple(slide)

    def rigid_model(self) -> RigidModel:
        """The scene as the solver sees it."""
        if not self.bodies:
            raise ValueError("the scene has no bodies; add some with add_body, add_fixed or add_hand")
        targets = list(dict.fromkeys(p.against for p in self.points))
        rows = [
            (self._body(p.body), targets.index(p.against), self._body(p.against))
            for p in self.points
            for _ in p.offsets
        ]
        sizes = [(p.radius, p.share) for p in self.points for _ in p.offsets]
        radii, shares = np.reshape(sizes, (-1, 2)).T
        return RigidModel(
            self.substep_dt, self.substeps, self.lead,
            np.array([b.kind for b in self.bodies.values()], dtype=np.int32),
            np.stack([b.inertia for b in self.bodies.values()]),
            tuple(gel.mount for gel in self.gels.values()), tuple(self.shapes[name] for name in targets),
            np.array(rows, dtype=np.int32).reshape(-1, 3),
            np.concatenate([np.zeros((0, 3)), *(p.offsets for p in self.points)]), radii, shares, self.gripper,
            self.arm,
        )  # fmt: skip

    def sensors(self, dtype: torch.dtype, device: torch.device) -> dict[str, TactileField]:
        """The gels as sensors, for readings beside the dynamics."""
        return {
            name: TactileField(gel.grid, gel.gel, gel.shape, dtype, device, gel.max_depth, gel.reach)
            for name, gel in self.gels.items()
        }

    def make_world(
        self, num_worlds: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> TouchWorld:
        """N copies of the scene."""
        from simenv.world.touch import TouchWorld

        return TouchWorld(self, num_worlds, device, dtype)


def line_contact_depth(force: float, stiffness: float, radius: float, length: float) -> float:
    """Depth [m] at which a cylinder of a radius [m] presses over a length [m] with a force [N] into springs of a
    stiffness [Pa/m]: F = 4/3 k L d sqrt(2 R d) (Winkler's foundation, Johnson 1985, section 4.3).
    """
    return (0.75 * force / (stiffness * length * math.sqrt(2.0 * radius))) ** (2.0 / 3.0)
