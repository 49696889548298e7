# SPDX-License-Identifier: Apache-2.0
"""Robots: read from URDF, MJCF or USD; their kinematics and dynamics alone, with gradients; what drives them in a world
(docs/robots.md).
"""

from typing import NoReturn

from simenv.physics.bodies.forest import JointDrive
from simenv.physics.bodies.tools import ToolDrive
from simenv.physics.bodies.tree import Fitted, Inertial, Joint, Link, Loop, Mimic, Tree
from simenv.robots.chains import chain
from simenv.robots.closing import close, loop_gaps
from simenv.robots.inverse_kinematics import reach
from simenv.robots.load import load, load_tool
from simenv.robots.robot import Robot

__all__ = [
    "Fitted", "Inertial", "Joint", "JointDrive", "Link", "Loop", "Mimic", "Robot", "ToolDrive", "Tree", "chain",
    "close", "load", "load_tool", "loop_gaps", "reach",
]  # fmt: skip

_GONE = {
    "Arm": "Robot(chain(tree))", "Chain": "chain(tree), a Tree",
    "Drive": "JointDrive(gravity_compensation=True) and ToolDrive(posture_stiffness=, posture_damping=)",
}  # fmt: skip


def __getattr__(name: str) -> NoReturn:
    if name in _GONE:
        raise ImportError(f"simenv.robots.{name} is gone; use {_GONE[name]} (see the changelog)")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
