# SPDX-License-Identifier: Apache-2.0
"""Write robots/lbr.urdf: `python assets/make_lbr.py`, from the top of the repository.

A KUKA LBR iiwa 14 R820, of the family of the arm that holds STAR's tool. Lengths and limits, largest torques and
speeds: KUKA's data sheet. Masses, centres of mass and moments of inertia: MuJoCo Menagerie (BSD-3-Clause). The tool
is a stand-in, a housing and a needle driver's shaft, of guessed size and mass. All links' frames are along the base's
where every joint is at zero. The looks are capsules and cylinders of our own; no mesh is used.
"""

from __future__ import annotations

from math import radians

from simenv.assets.urdf_text import DARK, GREY, ORANGE, WHITE, YELLOW, Urdf, capsule, cylinder, write

PLACES = (0.36, 0.0, 0.42, 0.0, 0.40, 0.0, 0.126)  # of the joints, each above the one before [m]
AXES = ((0, 0, 1), (0, 1, 0), (0, 0, 1), (0, -1, 0), (0, 0, 1), (0, 1, 0), (0, 0, 1))
LIMITS = (170, 120, 170, 120, 170, 120, 175)  # [deg]
EFFORT = (320.0, 320.0, 176.0, 176.0, 110.0, 40.0, 40.0)
SPEED = (85, 85, 100, 75, 130, 135, 135)  # [deg/s]
BASE = (5.0, (-0.1, 0.0, 0.07), (0.05, 0.06, 0.03, 0.0, 0.0, 0.0))  # mass [kg], centre [m], inertia [kg m^2]
MASSES = (
    (5.76, (0.0, -0.03, -0.0825), (0.0333, 0.033, 0.0123)), (6.35, (-0.0003, 0.042, 0.059), (0.0305, 0.0304, 0.011)),
    (3.5, (0.0, 0.03, -0.0855), (0.025, 0.0238, 0.0076)), (3.5, (0.0, -0.034, 0.067), (0.017, 0.0164, 0.006)),
    (3.5, (-0.0001, -0.021, -0.1395), (0.01, 0.0087, 0.00449)), (1.8, (0.0, 0.0004, 0.0006), (0.0049, 0.0047, 0.0036)),
    (1.2, (0.0, 0.0, -0.025), (0.001, 0.001, 0.001)),
)  # fmt: skip
PARTS = (
    [capsule((0, 0, -0.19), (0, -0.01, -0.08), 0.078), capsule((0, -0.05, -0.05), (0, 0.02, 0), 0.078)],
    [capsule((0, -0.02, 0), (0, 0.05, 0), 0.078, ORANGE), capsule((0, 0.05, 0.03), (0, 0.0, 0.19), 0.068, WHITE)],
    [capsule((0, 0, -0.21), (0, 0.01, -0.09), 0.068), capsule((0, 0.045, -0.05), (0, -0.02, 0), 0.072)],
    [capsule((0, 0.02, 0), (0, -0.045, 0), 0.072, ORANGE), capsule((0, -0.045, 0.03), (0, 0, 0.18), 0.062, WHITE)],
    [capsule((0, 0, -0.20), (0, -0.06, -0.05), 0.058)],
    [capsule((0, -0.05, 0), (0, 0.02, 0), 0.06, ORANGE)],
    [cylinder((0, 0, -0.065), (0, 0, 0), 0.05, GREY)],
)
HOUSING, SHAFT = (0.12, 0.030), (0.335, 0.006)  # of the tool: where it ends beyond the flange, radius [m]
TOOL_MASS = 0.6  # a guess [kg]


def lbr() -> Urdf:
    """The arm with a suturing tool."""
    robot = Urdf("lbr")
    stand = [cylinder((0, 0, 0), (0, 0, 0.14), 0.09), capsule((-0.07, 0, 0.05), (0, 0, 0.05), 0.05)]
    robot.link("base", stand, *BASE)
    rows = zip(PLACES, AXES, LIMITS, EFFORT, SPEED, MASSES, PARTS, strict=True)
    for i, (up, axis, limit, effort, speed, (mass, centre, moments), parts) in enumerate(rows, start=1):
        robot.link(f"link{i}", parts, mass, centre, (*moments, 0.0, 0.0, 0.0))
        robot.joint(
            f"joint{i}", "revolute", f"link{i - 1}" if i > 1 else "base", f"link{i}", (0, 0, up), axis=axis,
            limits=(-radians(limit), radians(limit)), effort=effort, speed=radians(speed),
        )  # fmt: skip
    driver = [
        cylinder((0, 0, 0), (0, 0, HOUSING[0]), HOUSING[1], YELLOW),
        capsule((0, 0, HOUSING[0]), (0, 0, round(SHAFT[0] - SHAFT[1], 9)), SHAFT[1], DARK),
    ]
    robot.link("needle_driver", driver, TOOL_MASS)
    robot.joint("flange", "fixed", "link7", "needle_driver")
    robot.link("tool")
    robot.joint("tool_joint", "fixed", "needle_driver", "tool", (0, 0, SHAFT[0]))
    return robot


def files() -> dict[str, str]:
    """What the script writes."""
    return {"lbr": lbr().text("make_lbr.py")}


if __name__ == "__main__":
    write(files())
