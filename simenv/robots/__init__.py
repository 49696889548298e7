# SPDX-License-Identifier: Apache-2.0
"""Robots: read from URDF, MJCF or USD; their dynamics alone, with gradients; arms, moved by a task-space impedance of
their tool (docs/robots.md).
"""

from simenv.physics.bodies.chain import Chain, Drive
from simenv.physics.bodies.forest import JointDrive
from simenv.physics.bodies.tools import ToolDrive
from simenv.physics.bodies.tree import Fitted, Inertial, Joint, Link, Loop, Mimic, Tree
from simenv.robots.arm import Arm
from simenv.robots.chains import chain
from simenv.robots.closing import close, loop_gaps
from simenv.robots.load import load
from simenv.robots.reach import reach
from simenv.robots.robot import Robot

__all__ = [
    "Arm", "Chain", "Drive", "Fitted", "Inertial", "Joint", "JointDrive", "Link", "Loop", "Mimic", "Robot", "ToolDrive",
    "Tree", "chain", "close", "load", "loop_gaps", "reach",
]  # fmt: skip
