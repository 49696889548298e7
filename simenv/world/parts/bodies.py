# SPDX-License-Identifier: Apache-2.0
"""The part of a scene that moves rigidly: bodies, hands, robots, and contact of points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simenv.geometry.shapes import Plane, Shape
from simenv.physics import checks
from simenv.physics.bodies.chain import Chain, Drive
from simenv.physics.bodies.forest import JointDrive, RobotMount
from simenv.physics.bodies.model import ArmMount, body_properties
from simenv.physics.bodies.parts import GAINS, Points
from simenv.physics.bodies.tree import Tree
from simenv.physics.mpm.materials import Rigid as RigidMaterial
from simenv.physics.mpm.projected_motion import Projected, make_projected
from simenv.physics.parts import MOTIONS, Body
from simenv.world.parts.colliders import CollidersPart
from simenv.world.parts.looks import Color, Drawn
from simenv.world.parts.particles import ParticlesPart

if TYPE_CHECKING:
    from simenv.physics.bodies.tree import Tree
    from simenv.physics.gels.parts import Gel

Vector = Sequence[float]
Gains = tuple[float, float, float, float]
UPRIGHT = (0.0, 0.0, 0.0, 1.0)
AKINOLA = (600.0, 50.0, 50.0, 1.41)  # an impedance that is critically damped at the default mass and inertia of a hand


class BodiesPart(CollidersPart, ParticlesPart, Drawn):
    """What a scene says about bodies.

    Attributes:
        bodies: rows of the table of frames, by name; projected: those that the grid moves.
        points: of contact; passing: pairs that may pass through each other, and why.
        arm: the robot whose tool is pulled, if there is one; robots: those that are moved by their joints, by name.
    """

    bodies: dict[str, Body]
    projected: dict[str, Projected]
    points: list[Points]
    passing: dict[frozenset[str], str]
    arm: ArmMount | None
    robots: dict[str, RobotMount]
    gels: dict[str, Gel]

    def add_body(
        self, name: str, shape: Shape | None = None, density: float | None = None,
        position: Vector = (0.0, 0.0, 0.0), quaternion: Vector = UPRIGHT, motion: str = "given", *,
        coupling: str | None = None, velocity: Vector = (0.0, 0.0, 0.0), angular_velocity: Vector = (0.0, 0.0, 0.0),
        mass: float = 1.0, inertia: float = 0.01, gains: Gains = AKINOLA, spacing: float | None = None,
        friction: float = 0.0, width: float = 0.0, color: Color | None = None, look: Shape | None = None,
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
            coupling: how a free body exchanges momentum with particles. ``"grid"``, the default where there is a
                grid: it is made of particles, and stable however light it is; no gel can touch it. ``"contact"``: by
                its colliders, as a hand; it must be heavier than what it touches.
            velocity: of the centre of mass of a free body at the start [m/s].
            angular_velocity: of it [rad/s], world axes.
            mass: of a hand: effective mass of the arm there [kg].
            inertia: of a hand: effective moment of inertia about each axis [kg m^2].
            gains: of a hand: stiffness [N/m], turning stiffness [N m/rad], damping [N s/m], turning damping
                [N m s/rad]; the default is that of Akinola et al. 2025.
            spacing: of the particles of a body in the grid [m]; None is half the grid's.
            friction: of its collider with particles, Coulomb's coefficient.
            width: over which that contact fades in [m]; for more, give the body no shape, and colliders of its own.
            color: for rendering, RGBA; None leaves it to the renderer.
            look: drawn instead of the shape, in its frame.

        A free body's ``"<name>.mass"`` (in the grid ``"<name>.density"``), and a hand's mass, ``".stiffness"``,
        ``".turning_stiffness"``, ``".damping"`` and ``".turning_damping"`` become world parameters.

        Raises:
            TypeError: `shape` is no shape.
            ValueError: the name is taken, a number is out of range, or the body is too small for the grid.
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
            coupling = self._coupling(what, coupling)
            if coupling == "grid":
                self._add_projected(name, *given, spacing, color)
                if look is not None:
                    self.add_look(name, look, name, color=color or (0.80, 0.60, 0.36, 1.0))
                return
            self._add_free(name, *given)
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
        coupling = coupling or ("grid" if self.has_grid else "contact")
        if coupling not in ("grid", "contact"):
            raise ValueError(f"{what}: coupling = {coupling!r}; use 'grid' or 'contact'")
        return coupling

    def _solid(self, what: str, shape: Shape | None, density: float | None) -> tuple[Shape, float]:
        if shape is None or density is None:
            lacks = "shape" if shape is None else "density"
            raise ValueError(f"{what} is free and has no {lacks}; give it one, or motion='given', 'hand' or 'fixed'")
        checks.numbers(what, positive=True, density=density)
        return shape, density

    def _add_free(self, name, shape, density, position, quaternion, velocity, angular_velocity) -> None:
        what = f"body {name!r}"
        shape, density = self._solid(what, shape, density)
        volume, centre, inertia = body_properties(name, shape)
        self.bodies[name] = Body(
            name, "free", position, quaternion, shape, density * volume, inertia, centre,
            velocity=checks.vector(f"{what}: velocity", velocity),
            angular_velocity=checks.vector(f"{what}: angular_velocity", angular_velocity),
        )  # fmt: skip

    def _add_projected(
        self, name, shape, density, position, quaternion, velocity, angular_velocity, spacing, color
    ) -> None:  # fmt: skip
        self.need_grid("body", name)
        self._name(self.materials, name, "material")
        shape, density = self._solid(f"body {name!r}", shape, density)
        spacing = 0.5 * self.dx if spacing is None else spacing
        made = make_projected(name, shape, position, quaternion, velocity, angular_velocity, spacing, self.dx)
        self.add_material(name, RigidMaterial(density))
        points = made.points()
        speed = np.asarray(made.velocity) + np.cross(made.angular_velocity, points - made.position)
        self.projected[name] = made
        self.bodies[name] = Body(
            name, "grid", position, quaternion, shape, density * made.properties.volume,
            centre=made.properties.centre, velocity=made.velocity, angular_velocity=made.angular_velocity,
        )  # fmt: skip
        self.add_particles(name, name, points, made.properties.volume / len(points), speed, color=color)

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

    def add_robot(
        self, name: str, robot: str | Path | Tree | Chain, position: Vector = (0.0, 0.0, 0.0),
        quaternion: Vector = UPRIGHT, *, drive: JointDrive | Drive | None = None, base: str = "fixed",
        posture: Mapping[str, Any] | None = None, tool: tuple[Vector, Vector] | None = None, gains: Gains = AKINOLA,
    ) -> None:  # fmt: skip
        """Add a robot, moved by its joints or by its tool.

        With a `JointDrive` it is a tree of joints, differentiable in everything, of which a scene can have many. Every
        link is a body ``"<name>/<link>"``, which colliders and gels can be put on; `World.robots` has its joints, and
        ``joint_target``, ``joint_rate`` and ``joint_torque`` of the control move them. World parameters are
        ``"<name>.stiffness"`` and ``".damping"`` of the drives, ``".viscous"`` friction and ``".armature"`` of every
        joint, ``".mass"`` of every link that moves, and ``".inertial"``, its ten numbers each.

        Otherwise it is an arm whose tool is the body `name`, which the same impedance pulls as a hand; the motors give
        its force and torque, so that mass and inertia are the arm's. Nothing is differentiable with it, and a scene can
        have one.

        Args:
            name: of the robot. Without a `JointDrive` that of its tool as well, and ``"<name>.stiffness"``,
                ``".turning_stiffness"``, ``".damping"`` and ``".turning_damping"`` are world parameters.
            robot: a name, a URDF, MJCF or USD file, or what `simenv.robots.load` read of one.
            position: of its base [m]; of a robot that is free, where it starts.
            quaternion: of its base, xyzw.
            drive: what pulls its joints; or how the arm moves beside its impedance, None for the usual.
            base: what holds the root of a file that is loaded, ``"fixed"``, ``"free"`` or ``"planar"``.
            posture: positions of joints at the start, by name; others are as the file or the name has them.
            tool: of an arm: position [m] and quaternion of the tool at the start; None leaves it in its posture.
            gains: of an arm, as of a hand.

        Raises:
            ValueError: the name is taken, there is an arm already, a number is out of range, or with a `JointDrive` a
                joint follows another.
            AssetError: the file cannot be used.
        """
        if isinstance(drive, JointDrive):
            if tool is not None or gains is not AKINOLA or isinstance(robot, Chain):
                raise ValueError(f"robot {name!r}: tool, gains and a chain are of an arm without a JointDrive")
            self._add_tree(name, robot, self._pose(f"robot {name!r}", position, quaternion), drive, base, posture)
            return
        if base != "fixed" or posture is not None:
            raise ValueError(f"robot {name!r}: base and posture are of a robot with drive=JointDrive(...)")
        self._add_arm(name, robot, self._pose(f"robot {name!r}", position, quaternion), tool, gains, drive)

    def _add_tree(
        self, name: str, robot: Any, pose: tuple[Vector, Vector], drive: JointDrive, base: str,
        posture: Mapping[str, Any] | None,
    ) -> None:  # fmt: skip
        from simenv.robots.load import load  # only those who have a robot pay for it
        from simenv.robots.placed import placed, start_poses

        what = f"robot {name!r}"
        if name in self.robots or name in self.bodies or any(each.startswith(f"{name}/") for each in self.bodies):
            raise ValueError(f"{what}: the name is taken; give it another")
        if self.arm is not None:
            raise ValueError("the scene has an arm whose tool is pulled, which must be the only robot")
        tree = robot if isinstance(robot, Tree) else load(robot, base=base)
        following = [joint.name for joint in tree.joints if joint.mimic is not None]
        if following:
            raise ValueError(
                f"{what}: {', '.join(following)} follow other joints, which a world does not make them do; give each a "
                "target of its own, with mimic=None"
            )
        tree = placed(tree.with_posture(dict(posture)) if posture else tree, *pose)
        mount = RobotMount.of(name, tree, drive)
        for frame, at in start_poses(tree, mount.table).items():
            motion = "link" if mount.table.frames[frame].link >= 0 else "fixed"
            self._name(self.bodies, f"{name}/{frame}", "body")
            self.bodies[f"{name}/{frame}"] = Body(f"{name}/{frame}", motion, *at.tuples())
        self.robots[name] = mount
        seen = any(link.looks for link in tree.links)
        for link in tree.links:
            for i, look in enumerate(link.looks if seen else link.collisions):
                shown = look.color or (0.7, 0.7, 0.72, 1.0)
                on = f"{name}/{link.name}"
                self.add_look(f"{on} look {i}", look.shape, on, look.position, look.quaternion, shown)

    def _add_arm(
        self, name: str, robot: Any, pose: tuple[tuple[float, ...], tuple[float, ...]],
        tool: tuple[Vector, Vector] | None, gains: Gains, drive: Drive | None,
    ) -> None:  # fmt: skip
        from simenv.robots.chains import named_chain

        what = f"robot {name!r}"
        if self.arm is not None or self.robots:
            raise ValueError("the scene has a robot already; an arm whose tool is pulled must be the only one")
        self._name(self.bodies, name, "body")
        chain = named_chain(robot).based_at(*pose)
        start = tool or chain.tool_at(chain.posture)
        self.bodies[name] = Body(name, "arm", *self._pose(what, *start), gains=self._gains(what, gains))
        self.arm = ArmMount(chain, drive or Drive(), list(self.bodies).index(name))
        for i, look in enumerate(chain.looks):
            frame = None if look.link < 0 else f"{name}/{look.link}"
            self.add_look(f"{name} look {i}", look.shape, frame, look.position, look.quaternion, look.color)

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
        if self.bodies[body].motion == "arm":
            raise ValueError(f"{body!r} is the tool of a robot, which only gels can push; give it a gel")
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
        self._known(self.bodies, body, "body")
        self._known(self.bodies, other, "body")
        if not why.strip():
            raise ValueError(f"let_pass({body!r}, {other!r}): why = {why!r}; say why they may pass or never meet")
        self.passing[frozenset((body, other))] = why
