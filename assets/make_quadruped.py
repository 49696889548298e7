# SPDX-License-Identifier: Apache-2.0
"""Write robots/quadruped.urdf: `python assets/make_quadruped.py`, from the top of the repository.

A Boston Dynamics Spot without arm, which floats. Places of the joints, limits (those of the left front leg; the
others differ by up to 0.05 rad), masses, centres of mass, inertia of the legs, feet: MuJoCo Menagerie (BSD-3-Clause),
from the description by the Robotics and AI Institute. Largest torques: Isaac Lab (BSD-3-Clause), from the same
institute; that of the knee is the largest of a table over its angle. The inertia that is published of the body, 0.004
m^2 times its mass about every axis, is not that of a body of its size: here its mass is spread over the box between
its hips. Speeds, friction and the motors' inertia are not published. The looks are capsules, boxes and balls of our
own; no mesh is used.
"""

from __future__ import annotations

from simenv.assets.urdf_text import DARK, GREY, YELLOW, Urdf, ball, box, capsule, write

HIP, OUTWARD, KNEE, FOOT, BALL = (0.29785, 0.055), 0.1108, (0.025, 0.0, -0.32), (0.0, 0.0, -0.3365), 0.036  # [m]
LIMITS = {"hx": (-0.785398, 0.785398), "hy": (-0.898845, 2.29511), "kn": (-2.7929, -0.254402)}  # [rad]
EFFORT = {"hx": 45.0, "hy": 45.0, "kn": 113.236015}  # [N m]
HEIGHT = 0.46  # of the body at the start [m]
BODY = (32.86, (0.0063944, -9.81216e-05, 0.000911379))  # [kg], [m]
# mass [kg]; centre [m] of a left front leg; moments [kg m^2] about x, y, z
HIP_LINK = (1.68, (-0.00537435, 0.0128418, 9.87523e-05), (0.00211474, 0.00181296, 0.00226544))
UPPER_LEG = (2.34, (0.00514237, -0.00243237, -0.121009), (0.0275596, 0.0273549, 0.00284815))
LOWER_LEG = (0.35, (0.00225794, 4.6076e-05, -0.180082), (0.00399902, 0.00405032, 0.00014934))
NOTHING = (0.0, 0.0, 0.0)


def quadruped() -> Urdf:
    """The robot."""
    robot = Urdf("quadruped")
    robot.link("world")
    trunk = [
        box((2 * HIP[0], 0.24, 0.18), (0, 0, 0), YELLOW), box((0.13, 0.20, 0.16), (0.36, 0, 0), DARK, weighs=False),
        box((0.13, 0.20, 0.16), (-0.36, 0, 0), DARK, weighs=False),
    ]  # fmt: skip
    robot.link("body", trunk, *BODY)
    robot.joint("base", "floating", "world", "body", (0, 0, HEIGHT))
    for leg, fore, side in (("fl", 1, 1), ("fr", 1, -1), ("hl", -1, 1), ("hr", -1, -1)):
        mass, (x, y, z), moments = HIP_LINK
        # the left hind hip is the front one turned about y, the right ones mirror the left
        centre = (fore * x, side * y, fore * side * z)
        hip = [capsule((0, 0, 0), (0, side * 0.06, 0), 0.045, DARK)]
        robot.link(f"{leg}_hip", hip, mass, centre, (*moments, *NOTHING))
        mass, (x, y, z), moments = UPPER_LEG
        upper = [capsule((0, 0, 0), KNEE, 0.04, YELLOW)]
        robot.link(f"{leg}_uleg", upper, mass, (x, side * y, z), (*moments, *NOTHING))
        mass, centre, moments = LOWER_LEG
        lower = [capsule((0, 0, 0), (0, 0, -0.31), 0.02, DARK), ball(BALL, FOOT, GREY)]
        robot.link(f"{leg}_lleg", lower, mass, centre, (*moments, *NOTHING))
        robot.link(f"{leg}_foot")
        for name, parent, child, place, axis in (
            ("hx", "body", f"{leg}_hip", (fore * HIP[0], side * HIP[1], 0), (1, 0, 0)),
            ("hy", f"{leg}_hip", f"{leg}_uleg", (0, side * OUTWARD, 0), (0, 1, 0)),
            ("kn", f"{leg}_uleg", f"{leg}_lleg", KNEE, (0, 1, 0)),
        ):  # fmt: skip
            robot.joint(
                f"{leg}_{name}", "revolute", parent, child, place, axis=axis, limits=LIMITS[name], effort=EFFORT[name]
            )
        robot.joint(f"{leg}_ankle", "fixed", f"{leg}_lleg", f"{leg}_foot", FOOT)
    return robot


def files() -> dict[str, str]:
    """What the script writes."""
    return {"quadruped": quadruped().text("make_quadruped.py")}


if __name__ == "__main__":
    write(files())
