# SPDX-License-Identifier: Apache-2.0
"""Write robots/hand.urdf: `python assets/make_hand.py`, from the top of the repository.

A right hand of the measures of Wonik's Allegro Hand: four fingers of four joints. Places of the joints, limits, boxes
of the links, radius of the tips: the description that SimLab publishes (allegro_hand_ros, BSD-2-Clause). Masses: the
same as its users complete it. The largest torque, 0.7 N m: the maker's specification. The inertia that is published
no body has: here masses are spread over the links' boxes. Friction is left out, since the figures that are published
would hold every joint still. The looks are boxes and capsules of our own; no mesh is used.
"""

from __future__ import annotations

from math import radians

from simenv.assets.urdf_text import DARK, GREY, WHITE, Urdf, box, capsule, write

PALM = (0.4154, (0.0408, 0.1130, 0.095), (-0.0093, 0.0, -0.0475))  # mass [kg], box, its middle [m]
EFFORT = 0.7  # [N m]
SECTION = (0.0196, 0.0275)  # of the links' boxes [m]
TIP = (0.0168, 0.012)  # mass [kg], radius [m]
# the fingers: name, place on the palm [m], turn [deg] about x, y, z
FINGERS = (
    ("index", (0.0, 0.0435, -0.001542), (-5, 0, 0)), ("middle", (0.0, 0.0, 0.0007), (0, 0, 0)),
    ("ring", (0.0, -0.0435, -0.001542), (5, 0, 0)),
)  # fmt: skip
THUMB = ((-0.0182, 0.019333, -0.045987), (0, -95, -90))
# of each joint: length of its link [m], mass [kg], limits [rad], axis; the last reaches to the middle of the tip
FINGER = (
    (0.0164, 0.0119, (-0.47, 0.47), (0, 0, 1)), (0.054, 0.065, (-0.196, 1.61), (0, 1, 0)),
    (0.0384, 0.0355, (-0.174, 1.709), (0, 1, 0)), (0.0267, 0.0096, (-0.227, 1.618), (0, 1, 0)),
)  # fmt: skip
THUMB_BASE = ((0.0358, 0.034, 0.0455), (-0.0179, 0.009, 0.0145), (-0.027, 0.005, 0.0399))  # box, middle, next joint [m]
THUMB_LINKS = (
    (0.0, 0.0176, (0.263, 1.396), (-1, 0, 0)), (0.0177, 0.0119, (-0.105, 1.163), (0, 0, 1)),
    (0.0514, 0.038, (-0.189, 1.644), (0, 1, 0)), (0.0423, 0.0388, (-0.162, 1.719), (0, 1, 0)),
)  # fmt: skip


def _finger(robot: Urdf, name: str, number: int, place: tuple, turn: tuple, rows: tuple) -> None:
    parent, at, rpy = "palm", place, tuple(radians(angle) for angle in turn)
    for i, (length, mass, limits, axis) in enumerate(rows):
        link = f"{name}_link{i}"
        if not length:
            size, middle, at_next = THUMB_BASE
        else:
            # the last box ends where the tip's ball begins
            reach = length if i < 3 else round(length - TIP[1], 9)
            size, middle, at_next = (*SECTION, reach), (0.0, 0.0, round(reach / 2, 9)), (0.0, 0.0, length)
        robot.link(link, [box(size, middle, DARK)], mass)
        robot.joint(f"{name}_{i}", "revolute", parent, link, at, rpy, axis, limits, EFFORT)
        parent, at, rpy = link, at_next, (0.0, 0.0, 0.0)
    mass, radius = TIP
    robot.link(f"tip{number}", [capsule((0, 0, -radius), (0, 0, 0), radius, WHITE)], mass)
    robot.joint(f"{name}_tip", "fixed", parent, f"tip{number}", at)


def hand() -> Urdf:
    """The robot."""
    robot = Urdf("hand")
    mass, size, middle = PALM
    robot.link("palm", [box(size, middle, GREY)], mass)
    for number, (name, place, turn) in enumerate(FINGERS, start=1):
        _finger(robot, name, number, place, turn, FINGER)
    _finger(robot, "thumb", 4, *THUMB, THUMB_LINKS)
    return robot


def files() -> dict[str, str]:
    """What the script writes."""
    return {"hand": hand().text("make_hand.py")}


if __name__ == "__main__":
    write(files())
