# SPDX-License-Identifier: Apache-2.0
"""Read a robot from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simenv.assets import path as asset_path
from simenv.errors import AssetError
from simenv.physics.bodies.tree import Tree
from simenv.robots.document import BASES, Document
from simenv.robots.meshes import Packages

__all__ = ["load", "load_tool"]

# The robots in simenv.assets, and the usual posture of each: the Panda as in Franka's own examples, its hand down in
# front of the base; the others likewise, where they have a tool, instruments half in; a Spot that stands; a hand that
# is open.
FINGER = (0.0, -0.17, 0.79, 0.79)
POSTURES: dict[str, dict[str, float]] = {
    "panda": {
        "joint1": 0.0, "joint2": -np.pi / 4, "joint3": 0.0, "joint4": -3 * np.pi / 4, "joint5": 0.0,
        "joint6": np.pi / 2, "joint7": np.pi / 4,
    },
    "panda_gripper": {
        "joint1": 0.0, "joint2": -np.pi / 4, "joint3": 0.0, "joint4": -3 * np.pi / 4, "joint5": 0.0,
        "joint6": np.pi / 2, "joint7": np.pi / 4, "left_finger_joint": 0.04,
    },
    "fetch": {
        "torso_lift_joint": 0.2, "head_pan_joint": 0.0, "head_tilt_joint": 0.5, "shoulder_pan_joint": 0.0,
        "shoulder_lift_joint": -0.8, "upperarm_roll_joint": 0.0, "elbow_flex_joint": np.pi / 2,
        "forearm_roll_joint": 0.0, "wrist_flex_joint": 0.8, "wrist_roll_joint": 0.0, "l_gripper_finger_joint": 0.025,
    },
    "psm": {
        "yaw": 0.0, "pitch": 0.0, "insertion": 0.12, "roll": 0.0, "wrist_pitch": 0.0, "wrist_yaw": 0.0, "jaw": 0.5,
    },
    "ecm": {"yaw": 0.0, "pitch": 0.0, "insertion": 0.12, "roll": 0.0},
    "lbr": {
        "joint1": 0.0, "joint2": np.pi / 6, "joint3": 0.0, "joint4": -np.pi / 2, "joint5": 0.0, "joint6": np.pi / 3,
        "joint7": 0.0,
    },
    "quadruped": {
        f"{leg}_{joint}": angle
        for leg in ("fl", "fr", "hl", "hr")
        for joint, angle in (("hx", 0.0), ("hy", 1.04), ("kn", -1.8))
    },
    "hand": {
        **{f"{finger}_{i}": FINGER[i] for finger in ("index", "middle", "ring") for i in range(4)},
        "thumb_0": 0.87, "thumb_1": 0.44, "thumb_2": 0.26, "thumb_3": 0.79,
    },
}  # fmt: skip
ENDINGS = (".urdf", ".xml", ".mjcf", ".usd", ".usda", ".usdc", ".usdz")


def load(
    robot: str | Path, *, base: str = "fixed", posture: Mapping[str, Any] | None = None,
    packages: Packages | None = None, repair: bool = False,
) -> Tree:  # fmt: skip
    """Read a robot: all its links and joints, what they weigh, and their shapes.

    A URDF is read in double precision, every number as the file has it. MJCF and USD are read by Newton, in single
    precision; numbers that the text of an MJCF has are then taken from there, those of included files too.

    Args:
        robot: one of ``"panda"``, ``"panda_gripper"`` (whose shapes collide), ``"fetch"``, ``"psm"``, ``"ecm"``,
            ``"lbr"``, ``"quadruped"`` (which floats) and ``"hand"``, or the path of a file: URDF (``.urdf``), MJCF
            (``.xml``, ``.mjcf``) or USD (``.usd``, ``.usda``, ``.usdc``, ``.usdz``; needs the packages ``usd-core`` and
            ``newton-usd-schemas``).
        base: what holds the root to the world: ``"fixed"``, ``"free"``, or ``"planar"``, along x and y of the world and
            about z. A file that says so itself, with a floating joint, need not be told.
        posture: positions of joints by name, where the robot starts and to which free motion returns. Others are in the
            middle of their limits, or at zero without; robots of a name are in their usual posture, the Panda's fingers
            half open.
        packages: folders of ``package://NAME/...`` in a URDF, by name; without, folders above the file are searched.
        repair: raise principal moments of inertia that no body has to the nearest that one can have, with a warning.

    Returns:
        The tree, for `Robot`, `chain` and `Scene.add_robot`.

    Raises:
        TypeError: the robot is neither a name nor a path.
        AssetError: there is no such file, it cannot be read, a joint, link or mesh of it cannot be used, or the posture
            names another joint or leaves the limits.
    """
    if base not in BASES:
        raise AssetError(f"base={base!r} must be one of {', '.join(map(repr, BASES))}")
    if not isinstance(robot, str | os.PathLike):
        raise TypeError(f"load: robot is {robot!r}; give {_known()}, or the path of a URDF, MJCF or USD file")
    if str(robot) in POSTURES:
        file, posture = Path(asset_path(f"robots/{robot}.urdf")), {**POSTURES[str(robot)], **(posture or {})}
    else:
        file = Path(robot)
    if not file.is_file():
        raise AssetError(f"there is no robot {str(robot)!r}; {_remedy(file)}")
    tree = _read(file, base, packages, repair)
    return tree.with_posture(dict(posture)) if posture else tree


def load_tool(robot: str | Path | Tree) -> tuple[Tree, str]:
    """A robot and the name of the link that is its tool.

    Args:
        robot: as of `load`, ``"FILE#LINK"`` (or ``"NAME#LINK"``) whose tool is not the link ``tool``, or a tree.

    Raises:
        AssetError: as of `load`, or there is no such link.
    """
    if isinstance(robot, Tree):
        tree, tool = robot, "tool"
    else:
        path, _, named = robot.partition("#") if isinstance(robot, str) else (robot, "", "")
        tree, tool = load(path), named or "tool"
    names = [link.name for link in tree.links]
    if tool not in names:
        raise AssetError(
            f"robot {tree.name!r} has no link {tool!r} to be its tool; name one of {', '.join(names)}, as in "
            f"'FILE#{names[-1] if names else 'LINK'}'"
        )
    return tree, tool


def _remedy(file: Path) -> str:
    if str(file) != "." and file.is_dir():
        return "it is a folder; give the path of a file in it"
    path, mark, link = str(file).partition("#")
    if mark and (path in POSTURES or Path(path).is_file()):
        return f"load {path!r}; load_tool({str(file)!r}) gives it and the name of its tool, {link!r}"
    return f"give {_known()}, or the path of a URDF, MJCF or USD file"


def _known() -> str:
    return ", ".join(map(repr, POSTURES))


def _read(file: Path, base: str, packages: Packages | None, repair: bool) -> Tree:
    ending = file.suffix.lower()
    if ending not in ENDINGS:
        made = "make a URDF of it with `xacro FILE > robot.urdf`" if ending == ".xacro" else "give such a file"
        raise AssetError(f"robot {file.name!r} ends in {file.suffix!r}, not in {', '.join(ENDINGS)}; {made}")
    document = None if ending.startswith(".usd") else Document(file)
    if document is not None and document.root.tag == "robot":
        from simenv.robots.urdf import read_urdf

        return read_urdf(document, base, packages, repair)
    if document is not None and (ending == ".urdf" or document.root.tag != "mujoco"):
        raise document.refusal(document.root, "a URDF starts with <robot>, an MJCF with <mujoco>")
    from simenv.robots.mjcf import read_with_newton

    return read_with_newton(file, document, base, repair)
