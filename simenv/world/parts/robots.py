# SPDX-License-Identifier: Apache-2.0
"""The part of a scene that is robots, moved by their joints or by their tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simenv.physics.bodies.chain import Chain, Drive
from simenv.physics.bodies.forest import JointDrive, RobotMount
from simenv.physics.bodies.model import ArmMount
from simenv.physics.bodies.tools import ToolDrive
from simenv.physics.bodies.tree import Tree
from simenv.physics.parts import Body
from simenv.world.parts.bodies import AKINOLA, UPRIGHT, Gains
from simenv.world.parts.tied import TiedPart

__all__ = ["RobotsPart"]

Vector = Sequence[float]


class RobotsPart(TiedPart):
    """What a scene says about robots."""

    def add_robot(
        self, name: str, robot: str | Path | Tree | Chain, position: Vector = (0.0, 0.0, 0.0),
        quaternion: Vector = UPRIGHT, *, drive: JointDrive | Drive | None = None, base: str = "fixed",
        posture: Mapping[str, Any] | None = None, tools: Mapping[str, ToolDrive] | None = None,
        tool: tuple[Vector, Vector] | None = None, gains: Gains = AKINOLA,
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
            posture: positions of joints at the start, by name; others are as the file or the name has them, or where
                loops of its links close.
            tools: links that an impedance pulls to goals, by name, ``World.control(goal={"<name>/<link>": pose})``.
            tool: of an arm: position [m] and quaternion of the tool at the start; None leaves it in its posture.
            gains: of an arm, as of a hand.

        Raises:
            ValueError: the name is taken, there is an arm already, or a number is out of range.
            AssetError: the file cannot be used.
        """
        if isinstance(drive, JointDrive):
            if tool is not None or gains is not AKINOLA or isinstance(robot, Chain):
                raise ValueError(f"robot {name!r}: tool, gains and a chain are of an arm without a JointDrive")
            self._add_tree(
                name, robot, self._pose(f"robot {name!r}", position, quaternion), drive, base, posture, tools
            )
            return
        if base != "fixed" or posture is not None or tools is not None:
            raise ValueError(f"robot {name!r}: base, posture and tools are of a robot with drive=JointDrive(...)")
        self._add_arm(name, robot, self._pose(f"robot {name!r}", position, quaternion), tool, gains, drive)

    def _add_tree(
        self, name: str, robot: Any, pose: tuple[Vector, Vector], drive: JointDrive, base: str,
        posture: Mapping[str, Any] | None, tools: Mapping[str, ToolDrive] | None,
    ) -> None:  # fmt: skip
        from simenv.robots.closing import closed
        from simenv.robots.load import load  # only those who have a robot pay for it
        from simenv.robots.placed import placed, start_poses

        what = f"robot {name!r}"
        if name in self.robots or name in self.bodies or any(each.startswith(f"{name}/") for each in self.bodies):
            raise ValueError(f"{what}: the name is taken; give it another")
        if self.arm is not None:
            raise ValueError("the scene has an arm whose tool is pulled, which must be the only robot")
        tree = robot if isinstance(robot, Tree) else load(robot, base=base)
        tree = closed(placed(tree.with_posture(dict(posture)) if posture else tree, *pose))
        mount = RobotMount.of(name, tree, drive, tools)
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
        self, name: str, robot: Any, pose: tuple[Vector, Vector], tool: tuple[Vector, Vector] | None, gains: Gains,
        drive: Drive | None,
    ) -> None:  # fmt: skip
        from simenv.robots.chains import named_chain

        what = f"robot {name!r}"
        if self.arm is not None or self.robots:
            raise ValueError("the scene has a robot already; an arm whose tool is pulled must be the only one")
        self._name(self.bodies, name, "body")
        chain = named_chain(robot).based_at(*(tuple(each) for each in pose))
        start = tool or chain.tool_at(chain.posture)
        self.bodies[name] = Body(name, "arm", *self._pose(what, *start), gains=self._gains(what, gains))
        self.arm = ArmMount(chain, drive or Drive(), list(self.bodies).index(name))
        for i, look in enumerate(chain.looks):
            frame = None if look.link < 0 else f"{name}/{look.link}"
            self.add_look(f"{name} look {i}", look.shape, frame, look.position, look.quaternion, look.color)
