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

__all__ = ["load"]

# where Franka's own examples start: the hand looks down in front of the base
PANDA_POSTURE = (0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4)
ENDINGS = (".urdf", ".xml", ".mjcf", ".usd", ".usda", ".usdc", ".usdz")


def load(
    robot: str | Path, *, base: str = "fixed", posture: Mapping[str, Any] | None = None,
    packages: Packages | None = None, repair: bool = False,
) -> Tree:  # fmt: skip
    """Read a robot: all its links and joints, what they weigh, and their shapes.

    A URDF is read in double precision, every number as the file has it. MJCF and USD are read by Newton, in single
    precision; numbers that the text of an MJCF has are then taken from there, those of included files too.

    Args:
        robot: ``"panda"``, or the path of a file: URDF (``.urdf``), MJCF (``.xml``, ``.mjcf``) or USD (``.usd``,
            ``.usda``, ``.usdc``, ``.usdz``; needs the packages ``usd-core`` and ``newton-usd-schemas``).
        base: what holds the root to the world: ``"fixed"``, ``"free"``, or ``"planar"``, along x and y of the world and
            about z. A file that says so itself, with a floating joint, need not be told.
        posture: positions of joints by name, where the robot starts and to which free motion returns. Others are in the
            middle of their limits, or at zero without; the Panda's arm is in its usual posture, its fingers half open.
        packages: folders of ``package://NAME/...`` in a URDF, by name; without, folders above the file are searched.
        repair: raise principal moments of inertia that no body has to the nearest that one can have, with a warning.

    Returns:
        The tree, for `Robot`, `Arm`, `chain` and `Scene.add_robot`.

    Raises:
        TypeError: the robot is neither a name nor a path.
        AssetError: there is no such file, it cannot be read, a joint, link or mesh of it cannot be used, or the posture
            names another joint or leaves the limits.
    """
    if base not in BASES:
        raise AssetError(f"base={base!r} must be one of {', '.join(map(repr, BASES))}")
    if not isinstance(robot, str | os.PathLike):
        raise TypeError(f"load: robot is {robot!r}; give 'panda', or the path of a URDF, MJCF or USD file")
    if str(robot) == "panda":
        arm = {f"joint{i + 1}": float(angle) for i, angle in enumerate(PANDA_POSTURE)}
        file, posture = Path(asset_path("robots/panda.urdf")), {**arm, **(posture or {})}
    else:
        file = Path(robot)
    if not file.is_file():
        raise AssetError(f"there is no robot {str(robot)!r}; {_remedy(file)}")
    tree = _read(file, base, packages, repair)
    return tree.with_posture(dict(posture)) if posture else tree


def _remedy(file: Path) -> str:
    if str(file) != "." and file.is_dir():
        return "it is a folder; give the path of a file in it"
    path, mark, link = str(file).partition("#")
    if mark and Path(path).is_file():
        return f"load {path!r}, and make an arm of it with chain(tree, {link!r})"
    return "give 'panda', or the path of a URDF, MJCF or USD file"


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
