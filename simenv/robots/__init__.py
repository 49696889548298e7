# SPDX-License-Identifier: Apache-2.0
"""Robot arms: read from URDF or MJCF by Newton, moved by a task-space impedance of their tool (docs/robots.md)."""

from simenv.physics.bodies.chain import Chain, Drive
from simenv.robots.arm import Arm
from simenv.robots.load import load

__all__ = ["Arm", "Chain", "Drive", "load"]
