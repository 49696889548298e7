# SPDX-License-Identifier: Apache-2.0
"""Robots with two fingers that slide: which these are, and where what sits on them is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simenv.errors import AssetError
from simenv.physics.bodies.table import Table, table
from simenv.physics.bodies.tree import Mimic, Tree
from simenv.robots.chains import holding, joints_to
from simenv.robots.load import load_tool
from simenv.robots.placed import start_poses
from simenv.robots.poses import Pose, matrix

__all__ = ["Fingers", "fingers_of"]


@dataclass(frozen=True)
class Fingers:
    """A robot with two fingers that slide together along y of its tool, and touch at zero.

    Attributes:
        tree: the robot; its right finger follows the left one.
        tool: the link between the fingers, whose z points out of the gripper.
        links: the fingers, the one that opens along y of the tool first; joints: theirs.
        tools: pose of the tool's frame in that of each finger when the fingers are closed.
        arm: joints between the base and the tool.
    """

    tree: Tree
    tool: str
    links: tuple[str, str]
    joints: tuple[str, str]
    tools: tuple[Pose, Pose]
    arm: tuple[str, ...]

    def on(self, side: int, position: tuple[float, ...], quaternion: tuple[float, ...] = (0.0, 0.0, 0.0, 1.0)) -> tuple:
        """A pose in the frame of finger 0 or 1, of one in that of the tool where the fingers are closed."""
        return (self.tools[side] @ Pose.of(position, quaternion)).tuples()

    def clasping(self, half: float) -> Tree:
        """The robot with fingers that do not move, each half open [m].

        Raises:
            AssetError: they do not open so far.
        """
        for joint in (self.tree.link(name).joint for name in self.links):
            if not joint.lower <= half <= joint.upper:
                raise AssetError(
                    f"robot {self.tree.name!r}: its fingers cannot be {half:g} m from the middle, which what they hold "
                    f"takes; joint {joint.name!r} has {joint.lower:g} to {joint.upper:g} m"
                )
        return holding(self.tree.with_posture({self.joints[0]: half}), self.joints)


def fingers_of(robot: str | Path | Tree, damping: float = 0.0) -> Fingers:
    """The fingers of a robot.

    Args:
        robot: a name, a file, ``"FILE#TOOL"`` whose tool is a link that is not called ``tool``, or a tree.
        damping: of both fingers' motion [N s/m], on the joint of the left one.

    Raises:
        AssetError: there is no such tool, or there are not two links beside it that slide along its y.
    """
    tree, tool = load_tool(robot)
    names = [link.name for link in tree.links]
    made = table(tree)
    carrier = made.links[made.frames[tool].link]
    beside = [
        link for link in tree.links
        if link.joint.kind == "prismatic" and link.parent in names and _carrier(made, link.parent) == carrier
    ]  # fmt: skip
    if len(beside) != 2:
        raise AssetError(
            f"robot {tree.name!r}: {len(beside)} links slide beside its tool {tool!r}, not the two of a gripper"
        )
    closed = tree.with_posture({link.joint.name: 0.0 for link in beside if link.joint.mimic is None})
    poses = start_poses(closed, table(closed))
    side = matrix(poses[tool].quaternion)[:, 1]
    along = [float(matrix(poses[link.name].quaternion) @ np.asarray(link.joint.axis) @ side) for link in beside]
    if min(along) > -0.99 or max(along) < 0.99:
        raise AssetError(f"robot {tree.name!r}: links beside its tool {tool!r} do not open along its y axis, both ways")
    left, right = (beside[int(np.argmax(along))], beside[int(np.argmin(along))])
    joint = replace(left.joint, mimic=None, damping=damping, effort=2.0 * left.joint.effort)
    changed = {left.name: replace(left, joint=joint)}
    follows = replace(right.joint, mimic=Mimic(left.joint.name, 1.0, 0.0), damping=0.0)
    changed[right.name] = replace(right, joint=follows)
    posture = {name: value for name, value in tree.posture.items() if name != right.joint.name}
    pair = Tree(tree.name, tuple(changed.get(link.name, link) for link in tree.links), posture)
    tools = tuple(poses[link.name].inverse() @ poses[tool] for link in (left, right))
    path = joints_to(tree, tool)
    arm = tuple(joint for joint in made.joints if joint in path)
    return Fingers(
        pair, tool, (left.name, right.name), (left.joint.name, right.joint.name), (tools[0], tools[1]), arm
    )  # fmt: skip


def _carrier(made: Table, link: str) -> str | None:
    number = made.frames[link].link
    return None if number < 0 else made.links[number]
