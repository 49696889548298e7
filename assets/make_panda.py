# SPDX-License-Identifier: Apache-2.0
"""Write robots/panda.urdf and panda_gripper.urdf: `python assets/make_panda.py`, from the top of the repository.

A Franka Emika Panda with its parallel hand, whose two fingers carry tactile sensors; and with the fingers of the maker,
of which one follows the other, and shapes that collide. Kinematics and limits: Denavit and Hartenberg parameters in
Craig's convention and joint limits of Franka's control interface documentation ("Robot and interface specifications").
Inertia of the links: identified on a robot by Gaz, Cognetti, Oliva, Robuffo Giordano and De Luca (2019), RA-L 4(4),
4147-4154; numbers that a fixed base cannot show, such as link 1's about x and y, are only feasible there. Inertia of
the hand: Franka's data. Fingers with sensors are boxes of 0.1 kg, a guess for a finger and a sensor; the maker's, of 15
g and 53.6 mm from 58.4 mm on (franka_description), are boxes as well, over which their mass is spread evenly. The looks
are capsules and boxes of our own along the kinematics; no mesh is used.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent / "robots"
WHITE, GREY, DARK = "0.93 0.94 0.95 1", "0.62 0.65 0.68 1", "0.25 0.27 0.30 1"

# a [m], alpha [rad], d [m] of each joint
KINEMATICS = (
    (0.0, 0.0, 0.333), (0.0, -np.pi / 2, 0.0), (0.0, np.pi / 2, 0.316), (0.0825, np.pi / 2, 0.0),
    (-0.0825, -np.pi / 2, 0.384), (0.0, np.pi / 2, 0.0), (0.088, np.pi / 2, 0.0),
)  # fmt: skip
FLANGE, TOOL = 0.107, 0.1034  # of the flange beyond joint 7, and of the fingers' tips beyond the hand's frame [m]
# lower, upper [rad], largest speed [rad/s] and torque [N m]
LIMITS = (
    (-2.8973, 2.8973, 2.1750, 87.0), (-1.7628, 1.7628, 2.1750, 87.0), (-2.8973, 2.8973, 2.1750, 87.0),
    (-3.0718, -0.0698, 2.1750, 87.0), (-2.8973, 2.8973, 2.6100, 12.0), (-0.0175, 3.7525, 2.6100, 12.0),
    (-2.8973, 2.8973, 2.6100, 12.0),
)  # fmt: skip
# mass [kg]; centre of mass [m]; inertia about it, xx, yy, zz, xy, xz, yz [kg m^2], in the link's frame
INERTIA = {
    "link1": (
        4.970684, (0.003875, 0.002081, -0.04762),
        (0.70337, 0.70661, 0.009117, -0.000139, 0.006772, 0.019169),
    ),
    "link2": (
        0.646926, (-0.003141, -0.02872, 0.003495),
        (0.007962, 0.02811, 0.025995, -0.003925, 0.010254, 0.000704),
    ),
    "link3": (
        3.228604, (0.027518, 0.039252, -0.066502),
        (0.037242, 0.036155, 0.01083, -0.004761, -0.011396, -0.012805),
    ),
    "link4": (
        3.587895, (-0.05317, 0.104419, 0.027454),
        (0.025853, 0.019552, 0.028323, 0.007796, -0.001332, 0.008641),
    ),
    "link5": (
        1.225946, (-0.011953, 0.041065, -0.038437),
        (0.035549, 0.029474, 0.008627, -0.002117, -0.004037, 0.000229),
    ),
    "link6": (
        1.666555, (0.060149, -0.014117, -0.010517),
        (0.001964, 0.004354, 0.005433, 0.000109, -0.001158, 0.000341),
    ),
    "link7": (
        0.735522, (0.010517, -0.004252, 0.061597),
        (0.012516, 0.010027, 0.004815, -0.000428, -0.001196, -0.000741),
    ),
    "hand": (
        0.73, (-0.01, 0.0, 0.03),
        (0.001, 0.0025, 0.0017, 0.0, 0.0, 0.0),
    ),
}  # fmt: skip
# capsules: from, to, radius [m], colour
CAPSULES: dict[str, list[tuple]] = {
    "base": [((-0.09, 0, 0.06), (0, 0, 0.06), 0.07, WHITE), ((0, 0, 0.05), (0, 0, 0.13), 0.07, WHITE)],
    "link1": [((0, 0, -0.17), (0, 0, -0.05), 0.062, WHITE), ((0, -0.055, 0), (0, 0.03, 0), 0.062, WHITE)],
    "link2": [((0, 0, 0), (0, 0, 0.06), 0.062, WHITE), ((0, -0.13, 0), (0, 0, 0), 0.062, WHITE)],
    "link3": [((0, 0, -0.16), (0, 0, -0.06), 0.06, WHITE), ((0.0825, 0.03, 0), (0.0825, -0.03, 0), 0.056, WHITE),
              ((0, 0, -0.07), (0.07, 0, -0.01), 0.056, WHITE)],
    "link4": [((0, 0, -0.04), (0, 0, 0.04), 0.056, WHITE), ((-0.01, 0, 0), (-0.0825, 0.07, 0), 0.056, WHITE),
              ((-0.0825, 0.07, 0), (-0.0825, 0.10, 0), 0.058, WHITE)],
    "link5": [((0, 0, -0.26), (0, 0, -0.19), 0.056, WHITE), ((0, 0.05, -0.20), (0, 0.07, -0.03), 0.036, WHITE),
              ((0, 0.045, 0), (0, -0.02, 0), 0.052, WHITE)],
    "link6": [((0, 0, -0.02), (0, 0, 0.02), 0.05, WHITE), ((0.01, 0, 0), (0.088, 0, 0), 0.046, WHITE),
              ((0.088, 0, 0.0), (0.088, 0.03, 0.0), 0.046, WHITE)],
    "link7": [((0, 0, 0.055), (0, 0, 0.075), 0.042, GREY), ((0.02, 0.02, 0.075), (0.045, 0.045, 0.078), 0.016, GREY)],
}  # fmt: skip
HAND = (0.063, 0.204, 0.066)  # box of the hand [m]
FINGER = (0.024, 0.012, 0.062)  # box of a finger with its sensor, its tip 16 mm beyond the tool [m]
FINGER_MASS, TIP = 0.1, 0.016  # [kg], [m]
PLAIN, PLAIN_MASS, PLAIN_TIP = (0.02, 0.012, 0.0536), 0.015, 0.0086  # the same of the maker's
STROKE = (0.0, 0.04, 0.2, 70.0)  # of a finger [m], [m/s], [N]


def text(*numbers: float) -> str:
    """Numbers as an attribute."""
    return " ".join(f"{n:.12g}" for n in numbers)


def add_shape(
    link: ET.Element, xyz: tuple, rpy: tuple, shape: str, size: dict[str, str], color: str, collides: bool
) -> None:  # fmt: skip
    """A shape that is drawn, and may collide."""
    for kind in ("visual", "collision")[: 1 + collides]:
        part = ET.SubElement(link, kind)
        ET.SubElement(part, "origin", xyz=text(*xyz), rpy=text(*rpy))
        ET.SubElement(ET.SubElement(part, "geometry"), shape, size)
        if kind == "visual":
            ET.SubElement(ET.SubElement(part, "material", name=f"c{color.replace(' ', '_')}"), "color", rgba=color)


def add_capsule(link: ET.Element, start: tuple, end: tuple, radius: float, color: str, collides: bool) -> None:
    """A capsule between two points; its axis is z after the turn."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    x, y, z = (b - a) / np.linalg.norm(b - a)
    turn = (0.0, float(np.arctan2(np.hypot(x, y), z)), float(np.arctan2(y, x)))
    size = {"radius": text(radius), "height": text(float(np.linalg.norm(b - a)))}
    add_shape(link, tuple((a + b) / 2), turn, "capsule", size, color, collides)


def add_inertia(link: ET.Element, mass: float, centre: tuple, moments: tuple) -> None:
    """Mass and inertia about the centre of mass."""
    inertial = ET.SubElement(link, "inertial")
    ET.SubElement(inertial, "origin", xyz=text(*centre), rpy="0 0 0")
    ET.SubElement(inertial, "mass", value=text(mass))
    names = ("ixx", "iyy", "izz", "ixy", "ixz", "iyz")
    ET.SubElement(inertial, "inertia", {n: text(m) for n, m in zip(names, moments, strict=True)})


def add_joint(
    robot: ET.Element, name: str, kind: str, parent: str, child: str, xyz: tuple, rpy: tuple,
    axis: tuple = (0, 0, 1), limits: tuple[float, ...] | None = None,
) -> None:  # fmt: skip
    """A joint."""
    joint = ET.SubElement(robot, "joint", name=name, type=kind)
    ET.SubElement(joint, "origin", xyz=text(*xyz), rpy=text(*rpy))
    ET.SubElement(joint, "parent", link=parent)
    ET.SubElement(joint, "child", link=child)
    if limits is not None:
        ET.SubElement(joint, "axis", xyz=text(*axis))
        names = ("lower", "upper", "velocity", "effort")
        ET.SubElement(joint, "limit", {n: text(v) for n, v in zip(names, limits, strict=True)})


def panda(gripper: bool) -> ET.Element:
    """The robot, with the maker's fingers and shapes that collide, or with tactile ones and without."""
    robot = ET.Element("robot", name="panda_gripper" if gripper else "panda")
    for name in ("base", *(f"link{i}" for i in range(1, 8))):
        link = ET.SubElement(robot, "link", name=name)
        if name in INERTIA:
            add_inertia(link, *INERTIA[name])
        for start, end, radius, color in CAPSULES[name]:
            add_capsule(link, start, end, radius, color, gripper)
    for i, ((a, alpha, d), limits) in enumerate(zip(KINEMATICS, LIMITS, strict=True), start=1):
        place = (a, -d * np.sin(alpha), d * np.cos(alpha))
        parent = f"link{i - 1}" if i > 1 else "base"
        add_joint(robot, f"joint{i}", "revolute", parent, f"link{i}", place, (alpha, 0, 0), limits=limits)
    hand = ET.SubElement(robot, "link", name="hand")
    add_inertia(hand, *INERTIA["hand"])
    add_shape(hand, (0, 0, HAND[2] / 2), (0, 0, 0), "box", {"size": text(*HAND)}, WHITE, gripper)
    add_joint(robot, "hand_joint", "fixed", "link7", "hand", (0, 0, FLANGE), (0, 0, -np.pi / 4))
    box, mass, tip = (PLAIN, PLAIN_MASS, PLAIN_TIP) if gripper else (FINGER, FINGER_MASS, TIP)
    for side, sign in (("left", 1), ("right", -1)):
        finger = ET.SubElement(robot, "link", name=f"{side}_finger")
        middle = (0, sign * box[1] / 2, TOOL + tip - box[2] / 2)
        x, y, z = (s * s * mass / 12 for s in box)
        add_inertia(finger, mass, middle, (y + z, x + z, x + y, 0, 0, 0))
        add_shape(finger, middle, (0, 0, 0), "box", {"size": text(*box)}, DARK, gripper)
        name = f"{side}_finger_joint"
        add_joint(robot, name, "prismatic", "hand", finger.attrib["name"], (0, 0, 0), (0, 0, 0), (0, sign, 0), STROKE)
    if gripper:
        ET.SubElement(robot.findall("joint")[-1], "mimic", joint="left_finger_joint", multiplier="1")
    ET.SubElement(robot, "link", name="tool")
    add_joint(robot, "tool_joint", "fixed", "hand", "tool", (0, 0, TOOL), (0, 0, 0))
    return robot


def files() -> dict[str, str]:
    """Texts of the files by name."""
    note = "<!-- SPDX-License-Identifier: Apache-2.0. Made by assets/make_panda.py, which names its sources. -->"
    made = {}
    for gripper in (False, True):
        robot = panda(gripper)
        ET.indent(robot)
        made[robot.attrib["name"]] = f'<?xml version="1.0"?>\n{note}\n{ET.tostring(robot, encoding="unicode")}\n'
    return made


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, content in files().items():
        (FOLDER / f"{name}.urdf").write_text(content, encoding="utf-8")
        print(FOLDER / f"{name}.urdf")


if __name__ == "__main__":
    main()
