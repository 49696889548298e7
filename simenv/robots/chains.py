# SPDX-License-Identifier: Apache-2.0
"""The arm in a robot: what lies between its base and a tool, as a `Chain`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from simenv.errors import AssetError
from simenv.geometry.shapes import MeshShape
from simenv.physics.bodies.chain import Chain, LinkLook
from simenv.physics.bodies.tree import Link, Tree
from simenv.robots.load import load
from simenv.robots.poses import HERE, Pose, matrix
from simenv.robots.urdf import GREY

__all__ = ["chain", "named_chain"]

Frames = dict[str, tuple[int, Pose]]


def chain(tree: Tree, tool: str = "tool", posture: Any = None) -> Chain:
    """The arm of a robot.

    Joints off the way from base to tool, such as those of a gripper, stand at zero, and so do their links: their mass
    is that of the link that carries them. Friction of joints that does not grow with speed, limits of their speed,
    meshes and collision shapes are left out.

    Args:
        tree: the robot, from `simenv.robots.load`.
        tool: the link whose frame is the tool's: z out of the gripper, which opens along y.
        posture: joint positions (n,) from which inverse kinematics starts and to which free motion returns; None is
            the tree's.

    Returns:
        The chain.

    Raises:
        AssetError: there is no such link, no joint moves it, or one that does neither turns nor slides, or follows
            another.
        ValueError: the posture has the wrong number of joints or leaves their limits.
    """
    moving = _way(tree, tool)
    frames = _frames(tree, moving)
    joints = [link.joint for link in moving]
    places = [_placed(link, frames)[1] for link in moving]
    mass, centres, inertia = _masses(tree, frames, len(moving))
    made = Chain(
        tuple(joint.name for joint in joints), np.array([pose.place for pose in places]),
        np.array([pose.quaternion for pose in places]), np.array([joint.axis for joint in joints]),
        np.array([joint.kind == "prismatic" for joint in joints]), np.array([joint.lower for joint in joints]),
        np.array([joint.upper for joint in joints]), np.array([joint.effort for joint in joints]),
        np.array([joint.damping for joint in joints]), np.array([joint.armature for joint in joints]),
        mass, centres, inertia, frames[tool][1].place, frames[tool][1].quaternion,
        np.array([_start(tree, link) for link in moving]), tuple(_looks(tree, frames, moving)),
    )  # fmt: skip
    return made if posture is None else made.with_posture(posture)


def named_chain(robot: str | Path | Tree | Chain) -> Chain:
    """The arm that is meant by a name or a file (``"FILE#LINK"`` names the tool too), by a tree, or by itself."""
    if isinstance(robot, Chain):
        return robot
    if isinstance(robot, Tree):
        return chain(robot)
    name, _, tool = str(robot).partition("#")
    return chain(load(name), tool or "tool")


def _way(tree: Tree, tool: str) -> list[Link]:
    """Links that move between base and tool, in order."""
    by_name = {link.name: link for link in tree.links}
    if tool not in by_name:
        raise AssetError(
            f"robot {tree.name!r} has 0 links {tool!r}; name one of {', '.join(by_name)} as tool, after the file's "
            f"name: 'FILE#{tree.links[-1].name if tree.links else 'LINK'}'"
        )
    way, at = [], by_name.get(tool)
    while at is not None:
        way.append(at)
        at = None if at.parent is None else by_name[at.parent]
    moving = [link for link in reversed(way) if link.joint.kind != "fixed"]
    for link in moving:
        joint = link.joint
        if joint.kind not in ("revolute", "prismatic"):
            raise AssetError(f"robot {tree.name!r}: {joint.name} is {joint.kind}; in an arm it must turn or slide")
        if joint.mimic is not None:
            raise AssetError(
                f"robot {tree.name!r}: {joint.name} follows {joint.mimic.leader}; in an arm each joint has its own "
                "motor; use simenv.robots.Robot"
            )
    if not moving:
        raise AssetError(f"robot {tree.name!r}: no joint moves {tool!r}; name a link beyond the arm's last joint")
    return moving


def _placed(link: Link, frames: Frames) -> tuple[int, Pose]:
    """A link's joint in the link of the chain that carries it."""
    number, pose = (-1, HERE) if link.parent is None else frames[link.parent]
    return number, pose @ Pose.of(link.joint.position, link.joint.quaternion)


def _frames(tree: Tree, moving: list[Link]) -> Frames:
    """Of each link: the link of the chain that it is part of (-1: the base), and its pose in that link's frame."""
    numbers = {link.name: i for i, link in enumerate(moving)}
    frames: Frames = {}
    for link in tree.links:
        frames[link.name] = (numbers[link.name], HERE) if link.name in numbers else _placed(link, frames)
    return frames


def _start(tree: Tree, link: Link) -> float:
    joint = link.joint
    if joint.name in tree.posture:
        return float(np.atleast_1d(tree.posture[joint.name])[0])
    bounded = np.isfinite([joint.lower, joint.upper]).all()
    return 0.5 * (joint.lower + joint.upper) if bounded else min(max(joint.lower, 0.0), joint.upper)


def _masses(tree: Tree, frames: Frames, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masses (n,), centres (n, 3) and inertia about them (n, 3, 3) of the links, with all that they carry."""
    mass, first, second = np.zeros(count), np.zeros((count, 3)), np.zeros((count, 3, 3))
    for each in tree.links:
        link, pose = frames[each.name]
        if link < 0 or each.inertial is None:
            continue
        turn, m = matrix(pose.quaternion), each.inertial.mass
        centre = pose.point(each.inertial.centre)
        mass[link] += m
        first[link] += m * centre
        second[link] += turn @ np.array(each.inertial.inertia) @ turn.T
        second[link] += m * (centre @ centre * np.eye(3) - np.outer(centre, centre))
    centres = first / np.where(mass > 0.0, mass, 1.0)[:, None]  # a place between two joints weighs nothing
    shift = np.einsum("ni,ni->n", centres, centres)[:, None, None] * np.eye(3) - centres[:, :, None] * centres[:, None]
    return mass, centres, second - mass[:, None, None] * shift


def _looks(tree: Tree, frames: Frames, moving: list[Link]) -> Iterator[LinkLook]:
    """Boxes, balls, cylinders and capsules that the file wants drawn, or, where it has nothing to draw, those that
    collide; not meshes, nor what other joints move, such as fingers, which a scene draws where its gripper has them.
    """
    way = {link.name for link in moving}
    others: set[str] = set()
    drawn = any(link.looks for link in tree.links)
    for link in tree.links:
        if link.parent in others or (link.joint.kind != "fixed" and link.name not in way):
            others.add(link.name)
            continue
        number, frame = frames[link.name]
        for look in link.looks if drawn else link.collisions:
            if not isinstance(look.shape, MeshShape):
                place, quaternion = (frame @ Pose.of(look.position, look.quaternion)).tuples()
                yield LinkLook(number, look.shape, place, quaternion, look.color or GREY)
