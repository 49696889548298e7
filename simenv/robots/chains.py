# SPDX-License-Identifier: Apache-2.0
"""Robots of which some joints stand still: the kinematic chain from the base to a tool."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from simenv.errors import AssetError
from simenv.physics.bodies.table import table
from simenv.physics.bodies.tree import Joint, Link, Tree
from simenv.robots.placed import joint_positions, motion
from simenv.robots.poses import Pose

__all__ = ["chain", "holding", "joints_to"]


def joints_to(tree: Tree, link: str) -> tuple[str, ...]:
    """Names of the joints between the base and a link, in order, fixed ones included.

    Raises:
        AssetError: there is no such link.
    """
    found: list[str] = []
    at: Link | None = tree.link(link)
    while at is not None:
        found.append(at.joint.name)
        at = None if at.parent is None else tree.link(at.parent)
    return tuple(reversed(found))


def holding(tree: Tree, joints: Collection[str]) -> Tree:
    """The robot with joints fixed where its posture has them, by name."""
    start = joint_positions(table(tree))

    def held(link: Link) -> Link:
        joint = link.joint
        if joint.name not in joints:
            return link
        there = Pose.of(joint.position, joint.quaternion) @ motion(joint.kind, joint.axis, start[joint.name])
        return replace(link, joint=Joint(joint.name, "fixed", *there.tuples()))

    posture = {name: value for name, value in tree.posture.items() if name not in joints}
    return replace(tree, links=tuple(held(link) for link in tree.links), posture=posture)


def chain(tree: Tree, tool: str = "tool") -> Tree:
    """The kinematic chain from a robot's base to its tool: the same links, masses and shapes, but only joints between
    base and tool move, with those that they follow and that follow them. Others, such as those of a gripper, are fixed
    where the posture has them.

    Args:
        tree: the robot, from `simenv.robots.load`.
        tool: name of the link at the end.

    Raises:
        AssetError: there is no such link, or no joint moves it.
    """
    joints, path = {joint.name: joint for joint in tree.joints}, joints_to(tree, tool)
    if not any(name in joints for name in path):
        raise AssetError(f"robot {tree.name!r}: no joint moves {tool!r}; name a link beyond a joint")
    leads = {joint.mimic.leader if joint.mimic else name for name, joint in joints.items() if name in path}
    moves = {name for name, joint in joints.items() if (joint.mimic.leader if joint.mimic else name) in leads}
    return holding(tree, [name for name in joints if name not in moves])
