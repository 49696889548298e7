# SPDX-License-Identifier: Apache-2.0
"""The part of a scene that moves rigidly: bodies, hands, robots, and contact of points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simenv.geometry.mass import mass_properties
from simenv.geometry.shapes import Plane, Shape
from simenv.physics import checks
from simenv.physics.bodies.contacts import Geom, RigidContact
from simenv.physics.bodies.forest import RobotMount
from simenv.physics.bodies.model import body_properties
from simenv.physics.bodies.parts import GAINS, Points
from simenv.physics.bodies.tree import Inertial
from simenv.physics.gas.model import SIDES
from simenv.physics.parts import MOTIONS, Body
from simenv.world.parts.colliders import CollidersPart
from simenv.world.parts.looks import Color, Drawn
from simenv.world.parts.particles import ParticlesPart

if TYPE_CHECKING:
    from simenv.physics.bodies.tree import Inertial
    from simenv.physics.gels.parts import Gel

Vector = Sequence[float]
Gains = tuple[float, float, float, float]
UPRIGHT = (0.0, 0.0, 0.0, 1.0)
AKINOLA = (600.0, 50.0, 50.0, 1.41)  # an impedance that is critically damped at the default mass and inertia of a hand


class BodiesPart(CollidersPart, ParticlesPart, Drawn):
    """What a scene says about bodies.

    Attributes:
        bodies: rows of the table of frames, by name.
        points: of contact; passing: pairs that may pass through each other, and why.
        robots: by name; touching: rigid bodies that touch these and each other; laws: of pairs of bodies or robots.
    """

    bodies: dict[str, Body]
    points: list[Points]
    passing: dict[frozenset[str], str]
    robots: dict[str, RobotMount]
    touching: dict[str, RobotMount]
    laws: dict[frozenset[str], RigidContact]
    gels: dict[str, Gel]

    def add_body(
        self, name: str, shape: Shape | None = None, density: float | None = None,
        position: Vector = (0.0, 0.0, 0.0), quaternion: Vector = UPRIGHT, motion: str = "given", *,
        coupling: str | None = None, velocity: Vector = (0.0, 0.0, 0.0), angular_velocity: Vector = (0.0, 0.0, 0.0),
        mass: float = 1.0, inertia: float = 0.01, gains: Gains = AKINOLA, friction: float = 0.0,
        width: float = 0.0, color: Color | None = None, look: Shape | None = None,
    ) -> None:  # fmt: skip
        """Add a body: something that moves rigidly. In a scene with particles its shape is also a collider.

        Args:
            name: of the body.
            shape: its solid, in its own frame, which gels touch and particles collide with; None for a frame without
                extent, which colliders and gels can be put on.
            density: of a free body [kg/m^3].
            position: of the shape's frame at the start [m].
            quaternion: of that frame, xyzw.
            motion: ``"given"``: it moves as `Control.twist` says. ``"free"``: by what pushes it, and gravity.
                ``"hand"``: a task-space impedance pulls it towards `Control.goal`, as the end of an impedance-
                controlled arm does, its own weight carried. ``"fixed"``: it stands still, at a pose that may differ
                from episode to episode.
            coupling: how a free body meets others. ``"rigid"``, the default where there are particles: it touches
                robots, other such bodies, and those with a shape that are fixed or move as told (`set_contact`,
                `add_walls`), and bears any mass in particles as long as it is a cell thick. ``"contact"``, the default
                elsewhere: gels and contact points alone, and its colliders as those of a hand; it must be heavier than
                the particles that it touches.
            velocity: of the centre of mass of a free body at the start [m/s].
            angular_velocity: of it [rad/s], world axes.
            mass: of a hand: effective mass of the arm there [kg].
            inertia: of a hand: effective moment of inertia about each axis [kg m^2].
            gains: of a hand: stiffness [N/m], turning stiffness [N m/rad], damping [N s/m], turning damping
                [N m s/rad]; the default is that of Akinola et al. 2025.
            friction: of its collider with particles, Coulomb's coefficient.
            width: over which that contact fades in [m]; for more, give the body no shape, and colliders of its own.
            color: for rendering, RGBA; None leaves it to the renderer.
            look: drawn instead of the shape, in its frame.

        A free body's ``"<name>.mass"``, and a hand's mass, ``".stiffness"``,
        ``".turning_stiffness"``, ``".damping"`` and ``".turning_damping"`` become world parameters.

        Raises:
            TypeError: `shape` is no shape.
            ValueError: the name is taken, or a number is out of range.
        """
        what = f"body {name!r}"
        if shape is not None and not isinstance(shape, Shape):
            raise TypeError(
                f"{what}: shape = {shape!r} is no shape; use one such as Sphere(0.01), and position=... for a place"
            )
        self._name(self.bodies, name, "body")
        if name in self.robots:
            raise ValueError(f"{what}: a robot has the name, and parameters of it; give the body another")
        if motion not in MOTIONS:
            raise ValueError(f"{what}: motion = {motion!r}; use one of {', '.join(map(repr, MOTIONS))}")
        pose = self._pose(what, position, quaternion)
        if motion == "free":
            given = (shape, density, *pose, velocity, angular_velocity)
            self._add_free(name, *given, self._coupling(what, coupling) == "rigid")
        elif motion == "hand":
            checks.numbers(what, positive=True, mass=mass, inertia=inertia)
            moments, pull = np.full(3, inertia / mass), self._gains(what, gains)
            self.bodies[name] = Body(name, "hand", *pose, shape, float(mass), moments, gains=pull)
        else:
            if shape is not None:
                checks.solid(what, shape)
            self.bodies[name] = Body(name, motion, *pose, shape)
        self._show(name, shape, look, color, friction, width)

    def _pose(self, what: str, position: Vector, quaternion: Vector) -> tuple[tuple[float, ...], tuple[float, ...]]:
        unit = checks.unit_quaternion(f"{what}: quaternion", quaternion)
        return checks.vector(f"{what}: position", position), unit

    def _gains(self, what: str, gains: Vector) -> Gains:
        values = checks.vector(f"{what}: gains", gains, 4)
        checks.numbers(what, False, **dict(zip(GAINS, values, strict=True)))
        return values  # type: ignore[return-value]

    def _coupling(self, what: str, coupling: str | None) -> str:
        coupling = coupling or ("rigid" if self.has_grid else "contact")
        if coupling not in ("contact", "rigid"):
            gone = ", which bears any mass as 'grid' did" if coupling == "grid" else ""
            raise ValueError(f"{what}: coupling = {coupling!r}; use 'contact' or 'rigid'{gone}")
        return coupling

    def _solid(self, what: str, shape: Shape | None, density: float | None) -> tuple[Shape, float]:
        if shape is None or density is None:
            lacks = "shape" if shape is None else "density"
            raise ValueError(f"{what} is free and has no {lacks}; give it one, or motion='given', 'hand' or 'fixed'")
        checks.numbers(what, positive=True, density=density)
        return shape, density

    def _add_free(self, name, shape, density, position, quaternion, velocity, angular_velocity, rigid) -> None:
        what = f"body {name!r}"
        shape, density = self._solid(what, shape, density)
        if rigid:
            self._add_rigid(name, shape, density, position, quaternion, velocity, angular_velocity)
            return
        volume, centre, inertia = body_properties(name, shape)
        self.bodies[name] = Body(
            name, "free", position, quaternion, shape, density * volume, inertia, centre,
            velocity=checks.vector(f"{what}: velocity", velocity),
            angular_velocity=checks.vector(f"{what}: angular_velocity", angular_velocity),
        )  # fmt: skip

    def _add_rigid(self, name, shape, density, position, quaternion, velocity, angular_velocity) -> None:
        what, solid = f"body {name!r}", mass_properties(shape)
        inertia = density * (solid.axes * solid.moments) @ solid.axes.T
        rows = tuple(map(tuple, (0.5 * (inertia + inertia.T)).tolist()))
        inertial = Inertial(density * solid.volume, tuple(solid.centre.tolist()), rows)
        self.touching[name] = RobotMount.of_body(name, inertial)
        spin = checks.vector(f"{what}: angular_velocity", angular_velocity)
        arm = Geom(name, shape, (0.0, 0.0, 0.0), quaternion).place(solid.centre[None])[0]
        speed = np.asarray(checks.vector(f"{what}: velocity", velocity)) - np.cross(spin, arm)
        self.bodies[name] = Body(
            name, "link", position, quaternion, shape, density * solid.volume, velocity=tuple(speed.tolist()),
            angular_velocity=spin,
        )  # fmt: skip

    def add_walls(self, sides: Sequence[str] = SIDES[:5]) -> None:
        """Let walls of the domain of particles hold rigid bodies too, as planes that stand still.

        Args:
            sides: of the domain; each becomes a fixed body, ``"wall x-"`` and so on. The default leaves it open above.

        Raises:
            ValueError: there is no such side, it has a wall already, or the scene has no domain.
        """
        self.need_grid("wall", ", ".join(sides))
        lower, size = np.asarray(self.origin, dtype=float), np.asarray(self.size, dtype=float)
        for side in sides:
            if side not in SIDES:
                raise ValueError(f"walls: there is no side {side!r}; use {', '.join(SIDES)}")
            axis, upper = "xyz".index(side[0]), side[1] == "+"
            normal = [0.0, 0.0, 0.0]
            normal[axis] = -1.0 if upper else 1.0
            place = tuple((lower + upper * size).tolist())
            name = f"wall {side}"
            self._name(self.bodies, name, "body")
            self.bodies[name] = Body(name, "fixed", place, UPRIGHT, Plane((normal[0], normal[1], normal[2])))

    def set_contact(self, one: str, other: str, law: RigidContact) -> None:
        """Say by which law two bodies, or robots, touch; other pairs have the scene's.

        Its numbers are world parameters ``"<one>|<other>.stiffness"`` and so on, names in alphabetical order.

        Args:
            one: body, link or robot.
            other: likewise.
            law: of their contact.

        Raises:
            ValueError: a name is unknown.
        """
        for name in (one, other):
            if name not in self.robots:
                self._known(self.bodies, name, "body")
        self.laws[frozenset((one, other))] = law

    def _show(
        self, name: str, shape: Shape | None, look: Shape | None, color: Color | None, friction: float, width: float
    ) -> None:  # fmt: skip
        """Let a body be seen, and collide with particles where there are any."""
        body = self.bodies[name]
        if shape is not None and self.has_grid:
            shown = color or (0.7, 0.7, 0.72, 1.0)
            self.add_collider(name, shape, body=name, friction=friction, width=width, color=shown)
            if look is None:
                return
        seen = look or shape
        if seen is None:
            return
        default = (0.55, 0.57, 0.60, 1.0) if body.is_told else (0.80, 0.60, 0.36, 1.0)
        if isinstance(shape, Plane) and body.motion == "fixed":  # a table: it is drawn where it was built
            self.add_look(name, shape, None, body.position, body.quaternion, color or default)
        else:
            self.add_look(name, seen, name, color=color or default)

    def add_points(self, body: str, against: str, offsets: np.ndarray, radius: float = 0.0, share: float = 1.0) -> None:
        """Let points of a body, or balls about them, touch a fixed body.

        Args:
            body: the free body or hand.
            against: the fixed body.
            offsets: of the points in the body's frame (n, 3) [m].
            radius: of the balls [m].
            share: by how many simultaneous contacts the body's mass is shared; raise it for many stiff points.
        """
        self._known(self.bodies, body, "body")
        self._known(self.bodies, against, "body")
        what = f"points of {body!r}"
        checks.numbers(what, radius=radius)
        checks.numbers(what, positive=True, share=share)
        if not np.isfinite(offsets).all():
            raise ValueError(f"{what}: an offset is NaN or infinite; all must be finite")
        if self.bodies[body].motion not in ("free", "hand"):
            how = self.bodies[body].motion
            raise ValueError(f"{body!r} moves otherwise ({how}); points belong to a free body or a hand")
        if self.bodies[against].motion != "fixed":
            raise ValueError(f"points can only touch a body that stands still; {against!r} moves")
        if self.bodies[against].shape is None:
            raise ValueError(f"points can only touch a body with a shape; {against!r} has none")
        local = np.reshape(offsets, (-1, 3)) - self.bodies[body].centre
        self.points.append(Points(body, against, local, radius, share))

    def let_pass(self, body: str, other: str, why: str) -> None:
        """Say that two bodies without a gel or points between them may pass through each other, or never meet.

        Without it the world warns of them (`UnpairedBodiesWarning`).

        Args:
            body: one of them.
            other: the other.
            why: the reason, for who reads the scene.
        """
        for name in (body, other):
            if name not in self.robots:
                self._known(self.bodies, name, "body")
        if not why.strip():
            raise ValueError(f"let_pass({body!r}, {other!r}): why = {why!r}; say why they may pass or never meet")
        self.passing[frozenset((body, other))] = why
