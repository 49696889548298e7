# SPDX-License-Identifier: Apache-2.0
"""The part of a scene that is robots: trees of joints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from simenv.physics.bodies.forest import JointDrive, RobotMount
from simenv.physics.bodies.tools import ToolDrive
from simenv.physics.bodies.tree import Tree
from simenv.physics.parts import Body
from simenv.world.parts.bodies import UPRIGHT
from simenv.world.parts.tied import TiedPart

__all__ = ["RobotsPart"]

Vector = Sequence[float]


class RobotsPart(TiedPart):
    """What a scene says about robots."""

    def add_robot(
        self, name: str, robot: str | Path | Tree, position: Vector = (0.0, 0.0, 0.0), quaternion: Vector = UPRIGHT, *,
        drive: JointDrive | None = None, base: str = "fixed", posture: Mapping[str, Any] | None = None,
        reach: Mapping[str, tuple[Vector, Vector]] | None = None, tools: Mapping[str, ToolDrive] | None = None,
        self_contact: bool | None = None,
    ) -> None:  # fmt: skip
        """Add a robot: a tree of joints, differentiable in everything, of which a scene can have many.

        Every link is a body ``"<name>/<link>"``, which colliders and gels can be put on; `World.robots` has its joints,
        and ``joint_target``, ``joint_rate`` and ``joint_torque`` of the control move them. World parameters are
        ``"<name>.stiffness"`` and ``".damping"`` of the drives, ``".viscous"`` friction and ``".armature"`` of every
        joint, ``".mass"`` of every link that moves, and ``".inertial"``, its ten numbers each.

        Args:
            name: of the robot.
            robot: a name, a URDF, MJCF or USD file, or what `simenv.robots.load` read of one.
            position: of its base [m]; of a robot that is free, where it starts.
            quaternion: of its base, xyzw.
            drive: what pulls its joints; None is nothing, so that they swing.
            base: what holds the root of a file that is loaded, ``"fixed"``, ``"free"`` or ``"planar"``.
            posture: positions of joints at the start, by name; others are as the file or the name has them, or where
                loops of its links close.
            reach: links that start at poses, world positions [m] and quaternions by name, for which inverse kinematics
                finds the joints from the posture.
            tools: links that an impedance pulls to goals, by name, ``World.control(goal={"<name>/<link>": pose})``.
            self_contact: whether links touch each other, but for neighbours, pairs that the file excludes and, with a
                warning, those that overlap at the start; None as the file has it: of an MJCF they do, of others not.

        Raises:
            ValueError: the name is taken, a number is out of range, or a link does not reach its pose.
            AssetError: the file cannot be used.
        """
        from simenv.robots.closing import closed
        from simenv.robots.folding import folding_pairs
        from simenv.robots.load import load  # only those who have a robot pay for it
        from simenv.robots.placed import placed, start_poses
        from simenv.robots.starts import reaching

        what = f"robot {name!r}"
        pose = self._pose(what, position, quaternion)
        if name in self.robots or name in self.bodies or any(each.startswith(f"{name}/") for each in self.bodies):
            raise ValueError(f"{what}: the name is taken; give it another")
        tree = robot if isinstance(robot, Tree) else load(robot, base=base)
        tree = closed(placed(tree.with_posture(dict(posture)) if posture else tree, *pose))
        if reach:
            tree = reaching(tree, {link: self._pose(f"{what}: reach[{link!r}]", *at) for link, at in reach.items()})
        mount = RobotMount.of(name, tree, drive or JointDrive(), tools)
        if tree.folds if self_contact is None else self_contact:
            mount = replace(mount, folding=folding_pairs(tree, mount.table, name))
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

    def robot_of(self, body: str) -> str:
        """Name of the robot whose link a body is.

        Raises:
            KeyError: it is none.
        """
        for name, mount in self.robots.items():
            if body in mount.bodies.values():
                return name
        raise KeyError(f"body {body!r} is no link of a robot")
