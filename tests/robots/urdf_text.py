# SPDX-License-Identifier: Apache-2.0
"""Text of small robots in URDF."""

from collections.abc import Callable
from pathlib import Path

from simenv.physics.bodies.tree import Tree
from simenv.robots import load

MASS = '<inertial><mass value="2"/><inertia ixx="0.1" ixy="0" ixz="0" iyy="0.2" iyz="0" izz="0.25"/></inertial>'


def link(name, content=MASS):
    return f'<link name="{name}">{content}</link>\n'


def joint(name, parent, child, kind="revolute", content=""):
    return f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>{content}</joint>\n'


def arm(content="", kind="revolute", end=MASS):
    """A base that carries one link, on lines 2, 3 and 4."""
    return link("base"), link("arm", end), joint("j", "base", "arm", kind, content)


def reader(folder: Path) -> Callable[..., Tree]:
    """What writes a robot of lines, and loads it."""

    def read(*parts, **options) -> Tree:
        file = folder / "robot.urdf"
        file.write_text("<robot name='r'>\n" + "".join(parts) + "</robot>\n")
        return load(file, **options)

    return read
