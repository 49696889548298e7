# SPDX-License-Identifier: Apache-2.0
"""Robots that stand somewhere, and where their links then are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from simenv.physics.bodies.table import Table
from simenv.physics.bodies.tree import Link, Loop, Tree
from simenv.robots.poses import HERE, Numbers, Pose

__all__ = ["joint_positions", "motion", "placed", "posture_of", "start_poses"]


def placed(tree: Tree, position: Numbers, quaternion: Numbers) -> Tree:
    """The same robot with its base at a place [m] and a quaternion xyzw; one that is free starts there."""
    base = Pose.of(position, quaternion)
    if base.is_here:
        return tree
    posture = dict(tree.posture)

    def moved(link: Link) -> Link:
        joint = link.joint
        if link.parent is not None:
            return link
        if joint.kind == "free":
            start = np.asarray(posture.get(joint.name, (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)), dtype=np.float64)
            place, turn = (base @ Pose.of(start[:3], start[3:])).tuples()
            posture[joint.name] = (*place, *turn)
            return link
        place, turn = (base @ Pose.of(joint.position, joint.quaternion)).tuples()
        return replace(link, joint=replace(joint, position=place, quaternion=turn))

    links = tuple(moved(link) for link in tree.links)

    def anchored(loop: Loop) -> Loop:
        if loop.b is not None:
            return loop
        turn = None if loop.turn is None else (Pose.of(quaternion=loop.turn) @ base.inverse()).tuples()[1]
        return replace(loop, at=tuple(base.point(loop.at).tolist()), turn=turn)

    loops = tuple(anchored(loop) for loop in tree.loops)
    return replace(tree, links=links, posture=posture, loops=loops)


def joint_positions(made: Table) -> dict[str, np.ndarray]:
    """Positions of every joint that moves in the posture, by name."""
    return {name: made.posture[made.q_start[i] : made.q_start[i + 1]] for i, name in enumerate(made.joints)}


def posture_of(made: Table, q: np.ndarray) -> dict[str, Any]:
    """Positions by joint, of those that follow none, as `Tree.with_posture` takes them; q is theirs, (ny,)."""
    full, found = made.gear @ q + made.gear_offset, {}
    for i, name in enumerate(made.joints):
        at = full[made.q_start[i] : made.q_start[i + 1]]
        if made.q_start[i] in made.lead_positions:
            found[name] = tuple(at.tolist()) if len(at) > 1 else float(at[0])
    return found


def start_poses(tree: Tree, made: Table) -> dict[str, Pose]:
    """World poses of all links in the posture, by name.

    Args:
        tree: the robot.
        made: its table.
    """
    start = joint_positions(made)
    poses: dict[str, Pose] = {}
    for link in tree.links:
        joint = link.joint
        at = start.get(joint.name, np.zeros(0))
        carrier = HERE if link.parent is None else poses[link.parent]
        poses[link.name] = carrier @ Pose.of(joint.position, joint.quaternion) @ motion(joint.kind, joint.axis, at)
    return poses


def motion(kind: str, axis: tuple[float, float, float], at: np.ndarray) -> Pose:
    """What a joint of one of `KINDS` does at positions: pose of its link in the joint's frame."""
    normal = np.asarray(axis, dtype=np.float64)
    if kind == "revolute":
        return Pose.of(quaternion=(*np.sin(0.5 * at[0]) * normal, np.cos(0.5 * at[0])))
    if kind == "prismatic":
        return Pose.of(at[0] * normal)
    if kind == "planar":
        along = np.array([0.0, 1.0, 0.0]) if abs(normal[0]) > 0.9 else np.array([1.0, 0.0, 0.0])
        along = along - (along @ normal) * normal
        along = along / np.linalg.norm(along)
        place = at[0] * along + at[1] * np.cross(normal, along)
        return Pose.of(place, (*np.sin(0.5 * at[2]) * normal, np.cos(0.5 * at[2])))
    if kind == "ball":
        return Pose.of(quaternion=at)
    return Pose.of(at[:3], at[3:]) if kind == "free" else HERE
