# SPDX-License-Identifier: Apache-2.0
"""Write robots/fetch.urdf: `python assets/make_fetch.py`, from the top of the repository.

A Fetch Mobile Manipulator: base, lifting torso, head, arm of seven joints, gripper. Places of the joints, limits,
largest torques and speeds, damping, masses, centres of mass and inertia: the description that Fetch Robotics publishes
(fetch_ros, fetch_description, BSD-3-Clause), to the digits it has. The inertia that it gives a finger, 0.002 kg m^2
about x and nothing about y and z, no body has: here 0.0798 kg are spread over a finger's box. Both fingers have one
motor, so that the right one follows the left one. The wheels, 2 of 4.35 kg, are fixed to the base. Left out are the
bellows (2 of 0.17 kg), the laser and the emergency button (8 and 2 g). The looks are capsules, boxes and cylinders of
our own; no mesh is used.
"""

from __future__ import annotations

from simenv.assets.urdf_text import BLUE, DARK, GREY, HALF_PI, WHITE, Part, Urdf, box, capsule, cylinder, write

# mass [kg]; centre of mass [m]; inertia about it, xx, yy, zz, xy, xz, yz [kg m^2], in the link's frame
INERTIA = {
    "base_link": (70.1294, (-0.0036, 0.0, 0.0014), (1.225, 1.2853, 0.987, 0.0099, 0.0062, -0.0034)),
    "r_wheel_link": (4.3542, (0.0, 0.0, 0.0), (0.0045, 0.005, 0.0045, 0.0, 0.0, 0.0)),
    "l_wheel_link": (4.3542, (0.0, 0.0, 0.0), (0.0045, 0.005, 0.0045, 0.0, 0.0, 0.0)),
    "torso_fixed_link": (13.2775, (-0.0722, 0.0057, 0.2656), (0.3861, 0.3388, 0.1018, 0.0015, -0.0102, 0.0117)),
    "torso_lift_link": (10.7796, (-0.0013, -0.0009, 0.2935), (0.3354, 0.3354, 0.0954, 0.0, -0.0162, -0.0006)),
    "head_pan_link": (2.2556, (0.0321, 0.0161, 0.0390), (0.0129, 0.0095, 0.0184, 0.0002, 0.0007, 0.0)),
    "head_tilt_link": (0.9087, (0.0081, 0.0025, 0.0113), (0.0061, 0.0014, 0.0061, 0.0, 0.0002, -0.0001)),
    "shoulder_pan_link": (2.5587, (0.0927, -0.0056, 0.0564), (0.0043, 0.0087, 0.0087, -0.0001, 0.001, -0.0001)),
    "shoulder_lift_link": (2.6615, (0.1432, 0.0072, -0.0001), (0.0028, 0.0111, 0.0112, -0.0021, 0.0, 0.0)),
    "upperarm_roll_link": (2.3311, (0.1165, 0.0014, 0.0), (0.0019, 0.0045, 0.0047, -0.0001, 0.0, 0.0)),
    "elbow_flex_link": (2.1299, (0.1279, 0.0073, 0.0), (0.0024, 0.0082, 0.0084, -0.0016, 0.0, 0.0)),
    "forearm_roll_link": (1.6563, (0.1097, -0.0266, 0.0), (0.0016, 0.003, 0.0035, -0.0003, 0.0, 0.0)),
    "wrist_flex_link": (1.725, (0.0882, 0.0009, -0.0001), (0.0018, 0.0042, 0.0042, -0.0001, 0.0, 0.0)),
    "wrist_roll_link": (0.1354, (0.0095, 0.0004, -0.0002), (0.0001, 0.0001, 0.0001, 0.0, 0.0, 0.0)),
    "gripper_link": (1.5175, (-0.0900, -0.0001, -0.0017), (0.0013, 0.0019, 0.0024, 0.0, 0.0, 0.0)),
}  # fmt: skip
X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
# joint, the link that carries it; place [m]; axis; limits [rad or m], None without; torque [N m or N], speed, damping
JOINTS = (
    ("torso_lift", "base_link", (-0.086875, 0, 0.37743), Z, (0.0, 0.38615), 450.0, 0.1, 100.0),
    ("head_pan", "torso_lift_link", (0.053125, 0, 0.603001417713939), Z, (-1.57, 1.57), 0.32, 1.57, 0.0),
    ("head_tilt", "head_pan_link", (0.14253, 0, 0.057999), Y, (-0.76, 1.45), 0.68, 1.57, 0.0),
    ("shoulder_pan", "torso_lift_link", (0.119525, 0, 0.34858), Z, (-1.6056, 1.6056), 33.82, 1.256, 1.0),
    ("shoulder_lift", "shoulder_pan_link", (0.117, 0, 0.06), Y, (-1.221, 1.518), 131.76, 1.454, 1.0),
    ("upperarm_roll", "shoulder_lift_link", (0.219, 0, 0), X, None, 76.94, 1.571, 5.0),
    ("elbow_flex", "upperarm_roll_link", (0.133, 0, 0), Y, (-2.251, 2.251), 66.18, 1.521, 1.0),
    ("forearm_roll", "elbow_flex_link", (0.197, 0, 0), X, None, 29.35, 1.571, 5.0),
    ("wrist_flex", "forearm_roll_link", (0.1245, 0, 0), Y, (-2.16, 2.16), 25.7, 2.268, 1.0),
    ("wrist_roll", "wrist_flex_link", (0.1385, 0, 0), X, None, 7.36, 2.268, 5.0),
)  # fmt: skip
FIXED = (
    ("r_wheel", (0.0012914, -0.18738, 0.055325)), ("l_wheel", (0.0012914, 0.18738, 0.055325)),
    ("torso_fixed", (-0.086875, 0, 0.377425)),
)  # fmt: skip
GRIPPER = (0.16645, 0.0, 0.0)  # beyond the last joint [m]
# of a finger: mass [kg], its joint's distance from the middle [m], stroke [m], force [N], speed [m/s], damping [N s/m]
FINGER_MASS, ASIDE, STROKE, FORCE, SPEED, FINGER_DAMPING = 0.0798, 0.015425, 0.05, 60.0, 0.05, 100.0
FINGER = (0.062, 0.014, 0.026)  # its box, whose inner face is in the middle when the gripper is closed [m]

PARTS: dict[str, list[Part]] = {
    "base_link": [cylinder((0, 0, 0.04), (0, 0, 0.36), 0.275, DARK), box((0.16, 0.30, 0.02), (-0.16, 0, 0.37), DARK)],
    "r_wheel_link": [cylinder((0, -0.02, 0), (0, 0.02, 0), 0.0553, GREY)],
    "l_wheel_link": [cylinder((0, -0.02, 0), (0, 0.02, 0), 0.0553, GREY)],
    "torso_fixed_link": [box((0.14, 0.30, 0.38), (-0.095, 0, 0.18), BLUE)],
    "torso_lift_link": [box((0.10, 0.24, 0.56), (-0.01, 0, 0.32), WHITE),
                        capsule((0.06, 0, 0.30), (0.115, 0, 0.30), 0.055, WHITE)],
    "head_pan_link": [box((0.10, 0.24, 0.03), (0.03, 0, 0.015), GREY),
                      capsule((0.0, 0.0, 0.02), (0.12, 0, 0.058), 0.04, GREY)],
    "head_tilt_link": [box((0.09, 0.24, 0.07), (0.015, 0, 0.01), BLUE)],
    "shoulder_pan_link": [capsule((0, 0, 0), (0, 0, 0.06), 0.057, WHITE),
                          capsule((0, 0, 0.06), (0.117, 0, 0.06), 0.055, WHITE)],
    "shoulder_lift_link": [capsule((0, 0, 0), (0.16, 0, 0), 0.057, BLUE)],
    "upperarm_roll_link": [capsule((0, 0, 0), (0.133, 0, 0), 0.053, WHITE)],
    "elbow_flex_link": [capsule((0, 0, 0), (0.15, 0, 0), 0.054, BLUE)],
    "forearm_roll_link": [capsule((0, 0, 0), (0.1245, 0, 0), 0.05, WHITE)],
    "wrist_flex_link": [capsule((0, 0, 0), (0.10, 0, 0), 0.047, BLUE)],
    "wrist_roll_link": [cylinder((0, 0, 0), (0.03, 0, 0), 0.048, WHITE)],
    "gripper_link": [box((0.10, 0.125, 0.075), (-0.085, 0, 0), GREY)],
}  # fmt: skip


def fetch() -> Urdf:
    """The robot."""
    robot = Urdf("fetch")
    for name, (mass, centre, moments) in INERTIA.items():
        robot.link(name, PARTS[name], mass, centre, moments)
    for name, place in FIXED:
        robot.joint(f"{name}_joint", "fixed", "base_link", f"{name}_link", place)
    for name, parent, place, axis, limits, effort, speed, damping in JOINTS:
        kind = "continuous" if limits is None else "prismatic" if name == "torso_lift" else "revolute"
        robot.joint(
            f"{name}_joint", kind, parent, f"{name}_link", place, axis=axis, limits=limits, effort=effort, speed=speed,
            damping=damping,
        )  # fmt: skip
    robot.joint("gripper_axis", "fixed", "wrist_roll_link", "gripper_link", GRIPPER)
    for side, sign in (("l", -1), ("r", 1)):
        link, joint = f"{side}_gripper_finger_link", f"{side}_gripper_finger_joint"
        robot.link(link, [box(FINGER, (0.0, sign * (FINGER[1] / 2 - ASIDE), 0.0), DARK)], FINGER_MASS)
        robot.joint(
            joint, "prismatic", "gripper_link", link, (0, sign * ASIDE, 0), axis=(0, sign, 0), limits=(0.0, STROKE),
            effort=FORCE, speed=SPEED, damping=FINGER_DAMPING,
            follows=None if side == "l" else ("l_gripper_finger_joint", 1.0),
        )  # fmt: skip
    robot.link("tool")
    # z out of the gripper, which opens along y
    robot.joint("tool_joint", "fixed", "gripper_link", "tool", rpy=(0, HALF_PI, 0))
    return robot


def files() -> dict[str, str]:
    """What the script writes."""
    return {"fetch": fetch().text("make_fetch.py")}


if __name__ == "__main__":
    write(files())
