# SPDX-License-Identifier: Apache-2.0
"""Equalities of an MJCF that close loops: ``connect`` and ``weld``, as MuJoCo's reference defines them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np

from simenv.physics.bodies.table import table
from simenv.physics.bodies.tree import KINDS, Loop, Tree
from simenv.robots.closing import anchored
from simenv.robots.document import Document
from simenv.robots.placed import start_poses
from simenv.robots.poses import HERE, Pose

__all__ = ["LOOPS", "loop_elements", "looped"]

LOOPS = ("connect", "weld")


def loop_elements(document: Document) -> list[ET.Element]:
    """Those that hold.

    Raises:
        AssetError: one cannot be read; with its line.
    """
    found = []
    for element in document.root.findall("./equality/*"):
        if element.tag not in LOOPS or element.get("active", "true") == "false":
            continue
        if element.get("site1") or element.get("site2"):
            raise document.refusal(element, "sites cannot be read; give body1, body2 and an anchor")
        document.attribute(element, "body1")
        if element.tag == "connect":
            document.attribute(element, "anchor")
        found.append(element)
    return found


def looped(tree: Tree, elements: list[ET.Element], document: Document) -> Tree:
    """The tree with its loops, closed where the file has the bodies, as MuJoCo takes it.

    Args:
        tree: without.
        elements: of `loop_elements`.
        document: that they are in.

    Raises:
        AssetError: one names no body of the tree; with its line.
    """
    if not elements:
        return tree
    poses = _as_written(tree)
    loops = [_loop(document, element, i, poses) for i, element in enumerate(elements)]
    return replace(tree, loops=tuple(loops))


def _as_written(tree: Tree) -> Mapping[str, Pose]:
    """Poses of all links at zero; a free one is where it starts."""
    zero = {}
    for joint in tree.joints:
        if joint.mimic is None and joint.kind != "free":
            count = KINDS[joint.kind].positions
            zero[joint.name] = (0.0, 0.0, 0.0, 1.0) if joint.kind == "ball" else (0.0,) * count
    there = Tree(tree.name, tree.links, {**tree.posture, **zero})
    return start_poses(there, table(there))


def _loop(document: Document, element: ET.Element, index: int, poses: Mapping[str, Pose]) -> Loop:
    names = [element.get("body1", ""), element.get("body2") or "world"]
    for name in names:
        if name != "world" and name not in poses:
            raise document.refusal(element, f"there is no body {name!r}; there are {', '.join(poses)}")
    if names == ["world", "world"]:
        raise document.refusal(element, "it holds the world to itself; name a body")
    first, second = (HERE if name == "world" else poses[name] for name in names)
    apart, turn = first.inverse() @ second, None
    anchor = np.array(document.numbers(element, "anchor", (0.0, 0.0, 0.0)))
    ends = [anchor, apart.inverse().point(anchor)]
    if element.tag == "weld":  # whose anchor is in the frame of the second
        values = np.array(document.numbers(element, "relpose", (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)))
        apart = Pose.of(values[:3], np.roll(values[3:], -1)) if values[3:].any() else apart
        ends, turn = [apart.point(anchor), anchor], apart.quaternion
    if names[0] == "world":  # the first of ours is a link; they are alike
        names, ends, turn = names[::-1], ends[::-1], None if turn is None else apart.inverse().quaternion
    name = element.get("name") or f"{element.tag} {index}"
    return anchored(name, names[0], None if names[1] == "world" else names[1], ends[0], ends[1], turn)
